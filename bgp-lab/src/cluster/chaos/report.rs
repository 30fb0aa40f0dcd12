//! What the events found, for people: a line each while they run, and the table at the end.

use super::{Event, Finding};
use crate::Error;
use crate::cluster::probe::Figures;
use crate::cluster::show;
use comfy_table::{ContentArrangement, Table};
use std::time::Duration;

/// The table is folded to this many columns.
const TABLE_WIDTH: u16 = 150;

pub(super) fn empty_table() -> Table {
    let mut table = show::table();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(TABLE_WIDTH);
    table.set_header([
        "event",
        "lost",
        "longest gap",
        "loops",
        "measured",
        "bound",
        "verdict",
    ]);
    table
}

pub(super) fn summary(finding: &Finding) -> String {
    let Figures {
        sent,
        lost,
        longest_gap,
        ..
    } = &finding.figures;
    let gap = seconds(*longest_gap);
    let measured = &finding.measured;
    format!("{lost} of {sent} lost, longest gap {gap}; {measured}")
}

pub(super) fn add_row(table: &mut Table, event: &Event, finding: &Finding) {
    let verdict = if finding.faults.is_empty() {
        "kept"
    } else {
        "MISSED"
    };
    table.add_row([
        event.words.to_owned(),
        finding.figures.lost.to_string(),
        seconds(finding.figures.longest_gap),
        finding.expired.to_string(),
        finding.measured.clone(),
        event.bound.to_owned(),
        verdict.to_owned(),
    ]);
}

/// The row after which the run ends.
pub(super) fn add_end(table: &mut Table, event: &Event, error: &Error) {
    let nothing = String::new;
    table.add_row([
        event.words.to_owned(),
        nothing(),
        nothing(),
        nothing(),
        error.to_string(),
        "the cluster is as before".to_owned(),
        "NOT HEALED".to_owned(),
    ]);
}

pub(super) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
