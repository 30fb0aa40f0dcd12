//! Medians and ratios, as a table for people and as JSON lines for programs.

use bgp_lab::reflector::Make;
use std::io::Write;

/// One measured figure of one run: its name with the unit, and the value.
pub(crate) type Figure = (&'static str, f64);

/// Everything measured so far.
#[derive(Default)]
pub(crate) struct Report {
    runs: Vec<(Make, Vec<Figure>)>,
}

/// A line of progress on stderr.
pub(crate) fn say(line: &str) {
    // Progress that cannot be shown is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn name(make: Make) -> &'static str {
    match make {
        Make::BgpRr => "bgp-rr",
        Make::Bird => "bird",
    }
}

impl Report {
    /// Adds the figures of one run, and prints them as a line of JSON.
    pub(crate) fn add(&mut self, make: Make, figures: Vec<Figure>) {
        let mut line = serde_json::Map::new();
        line.insert("reflector".into(), name(make).into());
        for (figure, value) in &figures {
            line.insert((*figure).into(), (*value).into());
        }
        print(&serde_json::Value::Object(line).to_string());
        self.runs.push((make, figures));
    }

    /// Prints the medians, and the ratio of ours to BIRD's.
    pub(crate) fn print(&self) {
        let Some((_, first)) = self.runs.first() else {
            return;
        };
        print(&format!(
            "{:<44} {:>12} {:>12} {:>8}",
            "median of", "bgp-rr", "bird", "ratio"
        ));
        for (figure, _) in first {
            let ours = self.median(Make::BgpRr, figure);
            let bird = self.median(Make::Bird, figure);
            let show = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
            let ratio = ours.zip(bird).map(|(ours, bird)| ours / bird);
            print(&format!(
                "{figure:<44} {:>12} {:>12} {:>8}",
                show(ours),
                show(bird),
                show(ratio)
            ));
        }
    }

    fn median(&self, make: Make, figure: &str) -> Option<f64> {
        let of_make = self.runs.iter().filter(|(other, _)| *other == make);
        let mut values: Vec<f64> = of_make
            .flat_map(|(_, figures)| figures)
            .filter(|(name, _)| *name == figure)
            .map(|(_, value)| *value)
            .collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}
