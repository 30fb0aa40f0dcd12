//! What happened, as text lines and as one number.
//!
//! A line begins with the virtual time and the host: `t=3.204117 n2 peer r1 OpenSent→OpenConfirm`.
//! Lines hold no address of the machine and no real time, so that one seed gives one trace, byte
//! for byte. The digest covers every line and every octet that any host sent.

use bgp_core::time::Instant;
use std::fmt;

/// How much of a run is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Nothing: the fastest run.
    Off,
    /// Only the digest.
    Digest,
    /// Every line, kept in memory until it is taken.
    Lines,
}

/// At most this many lines wait to be taken by [`Trace::take`]; older ones are dropped first.
pub const MAX_LAST: usize = 100_000;

/// The record of one run.
#[derive(Debug)]
pub struct Trace {
    detail: Detail,
    digest: u64,
    lines: Vec<String>,
}

impl Trace {
    /// An empty record.
    pub fn new(detail: Detail) -> Self {
        Self {
            detail,
            digest: 0xcbf2_9ce4_8422_2325,
            lines: Vec::new(),
        }
    }

    /// Whether lines are wanted at all.
    pub fn is_on(&self) -> bool {
        self.detail != Detail::Off
    }

    /// Writes down a line.
    pub fn line(&mut self, now: Instant, host: &str, what: fmt::Arguments<'_>) {
        if self.detail == Detail::Off {
            return;
        }
        let line = format!("{now:?} {host} {what}");
        self.mix(line.as_bytes());
        if self.detail == Detail::Lines {
            if self.lines.len() == MAX_LAST {
                self.lines.drain(..MAX_LAST / 2);
            }
            self.lines.push(line);
        }
    }

    /// Counts octets that a host sent into the digest.
    pub fn octets(&mut self, octets: &[u8]) {
        if self.is_on() {
            self.mix(octets);
        }
    }

    /// One number for all that happened so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines since the last call.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    // FNV-1a: not for secrets, but every octet and its place count.
    fn mix(&mut self, octets: &[u8]) {
        for octet in octets {
            self.digest = (self.digest ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_octets_change_the_digest() {
        let mut trace = Trace::new(Detail::Lines);
        let empty = trace.digest();
        trace.line(Instant::from_micros(1_500_000), "n1", format_args!("up"));
        let line = trace.digest();
        trace.octets(&[0]);
        assert!(empty != line && line != trace.digest());
        assert_eq!(trace.take(), ["t=1.500000 n1 up"]);
    }

    #[test]
    fn old_lines_make_room() {
        let mut trace = Trace::new(Detail::Lines);
        for number in 0..=MAX_LAST {
            trace.line(Instant::ZERO, "n1", format_args!("{number}"));
        }
        let lines = trace.take();
        assert_eq!(lines.len(), MAX_LAST / 2 + 1);
        assert_eq!(lines.last().unwrap(), &format!("t=0.000000 n1 {MAX_LAST}"));
    }
}
