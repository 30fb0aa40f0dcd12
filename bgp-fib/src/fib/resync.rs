//! When the whole kernel is looked at: rounds of dumps.
//!
//! A round is started by the start, by a lost notification, by events of devices and addresses
//! (after which Linux drops routes without a word), by doubts, and by a slow timer with jitter.
//! Rounds begin at least [`GAP`] apart; the first one, and [`BURST`] more after devices came up,
//! at once.

use crate::kernel::Dump;
use bgp_core::rng::Rng;
use bgp_core::time::{Duration, Instant};
use std::collections::BTreeSet;

/// Rounds begin at least so far apart.
const GAP: Duration = Duration::from_secs(1);

/// So many rounds may begin at once after a device came up, per [`GAP`].
const BURST: u8 = 2;

/// A dump that takes longer has failed.
const DUMP_TIME: Duration = Duration::from_secs(30);

/// The first look needs complete dumps; after so many that were not, we begin with what we have:
/// new keys are put so that they never overwrite, so that is safe.
const PATIENCE: u32 = 5;

#[derive(Clone, Debug)]
pub(crate) struct Resync {
    rng: Rng,
    interval: Duration,
    asked: bool,
    urgent: u8,
    /// What is left of the round.
    round: Option<BTreeSet<Dump>>,
    running: Option<(Dump, Instant)>,
    /// When the last round began.
    began: Option<Instant>,
    slow: Option<Instant>,
    incomplete: u32,
    /// An incomplete dump is in this round.
    flawed: bool,
    looked: bool,
    rounds: u64,
}

/// How a dump's end leaves the round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// More dumps follow.
    Goes,
    /// The round is over; whether it was the first.
    Done { first: bool },
}

impl Resync {
    pub(crate) fn new(interval: Duration, rng: Rng) -> Self {
        Self {
            rng,
            interval: interval.max(GAP),
            asked: true,
            urgent: 0,
            round: None,
            running: None,
            began: None,
            slow: None,
            incomplete: 0,
            flawed: false,
            looked: false,
            rounds: 0,
        }
    }

    /// Another round is needed. One that runs may have missed the reason, so it does not count.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
    }

    /// A device came up: another round, now.
    pub(crate) fn ask_urgently(&mut self) {
        self.asked = true;
        self.urgent = self.urgent.saturating_add(1).min(BURST);
    }

    pub(crate) fn has_looked(&self) -> bool {
        self.looked
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Whether nothing is asked for and nothing runs.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.asked && self.round.is_none() && self.running.is_none()
    }

    pub(crate) fn running(&self) -> Option<Dump> {
        self.running.map(|(dump, _)| dump)
    }

    /// When something is to be done; `None` while a dump runs that has time left.
    pub(crate) fn next(&self) -> Option<Instant> {
        if let Some((_, since)) = self.running {
            return Some(since + DUMP_TIME);
        }
        if self.round.is_some() {
            return Some(Instant::ZERO);
        }
        let slow = self.slow.unwrap_or(Instant::ZERO);
        if self.asked {
            return Some(self.allowed().min(slow));
        }
        Some(slow)
    }

    fn allowed(&self) -> Instant {
        match self.began {
            Some(began) if self.urgent == 0 => began + GAP,
            Some(_) | None => Instant::ZERO,
        }
    }

    /// The next dump, if it is time; `which` are those of a round.
    pub(crate) fn poll(&mut self, now: Instant, which: &[Dump]) -> Option<Dump> {
        if self.running.is_some() {
            return None;
        }
        if self.round.is_none() {
            if self.next().is_none_or(|at| at > now) {
                return None;
            }
            self.asked = false;
            self.urgent = self.urgent.saturating_sub(1);
            self.began = Some(now);
            self.slow = Some(now + self.rng.jitter(self.interval));
            self.flawed = false;
            self.round = Some(which.iter().copied().collect());
        }
        let dump = self.round.as_mut()?.pop_first()?;
        self.running = Some((dump, now));
        Some(dump)
    }

    /// `dump` has ended.
    pub(crate) fn ended(&mut self, complete: bool) -> Progress {
        self.running = None;
        self.flawed |= !complete;
        if self.round.as_ref().is_some_and(|left| !left.is_empty()) {
            return Progress::Goes;
        }
        self.round = None;
        self.rounds += 1;
        if self.flawed {
            self.incomplete = self.incomplete.saturating_add(1);
            self.asked = true;
        } else {
            self.incomplete = 0;
        }
        let first = !self.looked && (!self.flawed || self.incomplete >= PATIENCE);
        self.looked |= first;
        Progress::Done { first }
    }

    /// The dump that has taken too long, if one has.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Dump> {
        let (dump, since) = self.running?;
        (since + DUMP_TIME <= now).then_some(dump)
    }
}
