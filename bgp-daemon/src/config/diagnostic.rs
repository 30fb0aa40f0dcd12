//! What is wrong with a configuration file, shown where it is wrong.

use bgp_core::complaint::Complaint;
use std::fmt::{self, Write as _};
use std::ops::Range;

/// A part of the source, in octets.
pub type Span = Range<usize>;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Nothing is started.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
}

/// One thing to say about the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The element that it is about, such as `peer "tor-1"`; empty for the file as a whole.
    pub element: String,
    /// What was found, what is allowed, what to do.
    pub complaint: Complaint,
    /// The key or value at fault.
    pub span: Span,
    /// Another place that has to do with it, and why.
    pub related: Option<(Span, String)>,
}

/// Everything to say about one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// What the file is called.
    pub file: String,
    /// Its text.
    pub source: String,
    /// In the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// How many of a severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        let of_it = |diagnostic: &&Diagnostic| diagnostic.severity == severity;
        self.diagnostics.iter().filter(of_it).count()
    }

    /// Each diagnostic in one line, `file:line:column: element: …`, for logs.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.diagnostics.iter().map(|diagnostic| {
            let place = self.place(&diagnostic.span);
            format!(
                "{}:{}:{}: {}{}",
                self.file,
                place.line,
                place.column,
                heading(&diagnostic.element),
                diagnostic.complaint
            )
        })
    }

    fn place(&self, span: &Span) -> Place<'_> {
        let start = span.start.min(self.source.len());
        let before = self.source.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let from_line = self.source.get(line_start..).unwrap_or_default();
        let text = from_line.lines().next().unwrap_or_default();
        let lead = text.get(..start - line_start).unwrap_or(text);
        let end = span
            .end
            .clamp(start, line_start + text.len().max(lead.len()));
        let marked = self.source.get(start..end).unwrap_or_default();
        Place {
            line: before.matches('\n').count() + 1,
            column: lead.chars().count() + 1,
            text,
            lead,
            width: marked.chars().count().max(1),
        }
    }

    fn write_one(&self, f: &mut fmt::Formatter<'_>, diagnostic: &Diagnostic) -> fmt::Result {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Complaint {
            found,
            allowed,
            advice,
        } = &diagnostic.complaint;
        let place = self.place(&diagnostic.span);
        let related = diagnostic.related.as_ref();
        let related = related.map(|(span, why)| (self.place(span), why));
        let lines = [Some(place.line), related.as_ref().map(|(p, _)| p.line)];
        let last_line = lines.into_iter().flatten().max().unwrap_or(1);
        let gutter = last_line.to_string().len();
        writeln!(f, "{severity}: {}{found}", heading(&diagnostic.element))?;
        place.write(f, &self.file, gutter, "-->", "")?;
        if let Some((place, why)) = related {
            place.write(f, &self.file, gutter, ":::", why)?;
        }
        if !allowed.is_empty() {
            writeln!(f, "{:gutter$} = allowed: {allowed}", "")?;
        }
        writeln!(f, "{:gutter$} = advice: {advice}", "")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            self.write_one(f, diagnostic)?;
            writeln!(f)?;
        }
        match self.count(Severity::Error) {
            0 => Ok(()),
            1 => writeln!(f, "1 error in {}", self.file),
            errors => writeln!(f, "{errors} errors in {}", self.file),
        }
    }
}

impl std::error::Error for Report {}

/// A span as a person sees it.
struct Place<'a> {
    line: usize,
    column: usize,
    /// The line.
    text: &'a str,
    /// What stands on the line before the span.
    lead: &'a str,
    /// How many characters of the line are marked.
    width: usize,
}

impl Place<'_> {
    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        file: &str,
        gutter: usize,
        arrow: &str,
        why: &str,
    ) -> fmt::Result {
        let Self { line, column, .. } = self;
        let space = if why.is_empty() { "" } else { " " };
        writeln!(
            f,
            "{:gutter$}{arrow} {file}:{line}:{column}{space}{why}",
            ""
        )?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line:gutter$} | {}", self.text)?;
        write!(f, "{:gutter$} | ", "")?;
        for character in self.lead.chars() {
            // A tab stays a tab, so that the caret stands under its place at any tab width.
            f.write_char(if character == '\t' { '\t' } else { ' ' })?;
        }
        writeln!(f, "{}", "^".repeat(self.width))
    }
}

fn heading(element: &str) -> String {
    if element.is_empty() {
        String::new()
    } else {
        format!("{element}: ")
    }
}

/// The candidate that a person most likely meant by `written`, when one is near enough.
pub(super) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase().replace('_', "-");
    let distance = |candidate: &str| strsim::osa_distance(&written, candidate);
    let near = |candidate: &&str| distance(candidate) <= (candidate.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(near)
        .min_by_key(|candidate| distance(candidate))
}

/// "did you mean …?", or the list of what there is.
pub(super) fn suggestion<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
    none: &str,
) -> String {
    match nearest(written, candidates) {
        Some(candidate) => format!("did you mean \"{candidate}\"?"),
        None => none.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let keys = ["hold-time", "port", "role"];
        assert_eq!(nearest("hold-tme", keys), Some("hold-time"));
        assert_eq!(nearest("hold_time", keys), Some("hold-time"));
        assert_eq!(nearest("Port", keys), Some("port"));
        assert_eq!(nearest("rloe", keys), Some("role"));
        assert_eq!(nearest("bandwidth", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn the_caret_stands_under_characters_not_octets() {
        let source = "# \n\tname = \"zürich\" # ä\n".to_owned();
        let start = source.find("rich").unwrap();
        let report = Report {
            file: "x.toml".to_owned(),
            source,
            diagnostics: vec![Diagnostic {
                severity: Severity::Warning,
                element: String::new(),
                complaint: Complaint::new("found", "", "advice"),
                span: start..start + 4,
                related: None,
            }],
        };
        assert_eq!(
            report.to_string(),
            "warning: found\n --> x.toml:2:12\n  |\n2 | \tname = \"zürich\" # ä\n  | \
             \t          ^^^^\n  = advice: advice\n\n"
        );
    }

    #[test]
    fn a_span_at_or_beyond_the_end_is_shown_at_the_end() {
        for span in [0..0, 5..5, 6..6, 90..99] {
            let report = Report {
                file: "x".to_owned(),
                source: "a = 1\n".to_owned(),
                diagnostics: Vec::new(),
            };
            let place = report.place(&span);
            assert!(place.line <= 2 && place.width == 1);
        }
    }
}
