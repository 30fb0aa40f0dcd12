//! Medians and ratios, as a table for people and as JSON lines for programs.

use std::io::Write;

/// One measured figure of one run: its name with the unit, and the value.
pub(crate) type Figure = (&'static str, f64);

/// Everything measured so far.
#[derive(Default)]
pub(crate) struct Report {
    runs: Vec<(&'static str, Vec<Figure>)>,
}

/// A line of progress on stderr.
pub(crate) fn say(line: &str) {
    // Progress that cannot be shown is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl Report {
    /// Adds the figures of one run of `contestant`, and prints them as a line of JSON.
    pub(crate) fn add(&mut self, contestant: &'static str, figures: Vec<Figure>) {
        let mut line = serde_json::Map::new();
        line.insert("contestant".into(), contestant.into());
        for (figure, value) in &figures {
            line.insert((*figure).into(), (*value).into());
        }
        print(&serde_json::Value::Object(line).to_string());
        self.runs.push((contestant, figures));
    }

    /// Prints the medians of `ours` and of each of the others, with the ratio of ours to theirs.
    pub(crate) fn print(&self, ours: &'static str, others: &[&'static str]) {
        let mut heading = format!("{:<44} {ours:>12}", "median of");
        for other in others {
            heading += &format!(" {other:>12} {:>8}", "ratio");
        }
        print(&heading);
        let first = self.runs.iter().find(|(contestant, _)| *contestant == ours);
        for (figure, _) in first.iter().flat_map(|(_, figures)| figures) {
            let show = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
            let own = self.median(ours, figure);
            let mut line = format!("{figure:<44} {:>12}", show(own));
            for other in others {
                let theirs = self.median(other, figure);
                let ratio = own.zip(theirs).map(|(own, theirs)| own / theirs);
                line += &format!(" {:>12} {:>8}", show(theirs), show(ratio));
            }
            print(&line);
        }
    }

    fn median(&self, contestant: &str, figure: &str) -> Option<f64> {
        let its = self.runs.iter().filter(|(other, _)| *other == contestant);
        let mut values: Vec<f64> = its
            .flat_map(|(_, figures)| figures)
            .filter(|(name, _)| *name == figure)
            .map(|(_, value)| *value)
            .collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}
