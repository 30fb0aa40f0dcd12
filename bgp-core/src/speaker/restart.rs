//! After a restart: when may End-of-RIB be said?
//!
//! Peers that kept our routes while we were away drop what we have not said again as soon as they
//! see our End-of-RIB (RFC 4724 §4.2). A reflector knows only what its peers tell it, so it must
//! not say End-of-RIB before they have told theirs (§4.1). Routes themselves are never held
//! back, and least of all our own: they are said as they come.
//!
//! The gate opens when every peer that is up has said the End-of-RIB that is awaited from it and
//! nothing was news for [`QUIET`]. A configured peer that is not up is waited for until
//! [`ABSENT`] after the start and no longer, so a dead one does not hold everybody's. The
//! latest moment is [`Router::restart_deferral`](crate::config::Router::restart_deferral) (the
//! Selection_Deferral_Timer); where that is zero, as at a node, whose own routes do not depend on
//! anybody, End-of-RIB is never held back, and the gate decides only how long OPENs say that we
//! have restarted.

use super::heard::Heard;
use crate::time::{Duration, Instant};

/// Nothing must have been news for this long.
pub const QUIET: Duration = Duration::from_secs(2);

/// How long after the start configured peers that are not up are waited for. We dial them at once,
/// so those that are alive are there by then.
pub const ABSENT: Duration = Duration::from_secs(5);

/// How long OPENs say at most that we have restarted where End-of-RIB is not held back.
pub const RESTART_BIT: Duration = Duration::from_secs(30);

/// Decides when End-of-RIB may be said after a restart.
#[derive(Debug)]
pub(super) struct RestartGate {
    started: Instant,
    deferral: Duration,
}

impl RestartGate {
    /// A gate that opens after `deferral` at the latest.
    pub(super) fn new(now: Instant, deferral: Duration) -> Self {
        Self {
            started: now,
            deferral,
        }
    }

    /// Whether End-of-RIB waits for it.
    pub(super) fn holds(&self) -> bool {
        !self.deferral.is_zero()
    }

    /// When to ask [`Self::is_open`] again, if nothing happens before.
    pub(super) fn next_check(&self, heard: Heard) -> Instant {
        let longest = if self.holds() {
            self.deferral
        } else {
            RESTART_BIT
        };
        let latest = self.started + longest;
        if heard.owing > 0 {
            return latest;
        }
        let quiet = heard.last_news + QUIET;
        let opens = match heard.absent {
            0 => quiet,
            _ => quiet.max(self.started + ABSENT),
        };
        opens.min(latest)
    }

    /// Whether End-of-RIB may be said.
    pub(super) fn is_open(&self, now: Instant, heard: Heard) -> bool {
        now >= self.next_check(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_RESTART_DEFERRAL;

    const START: Instant = Instant::from_micros(1_000_000);
    const MOMENT: Duration = Duration::from_micros(1);

    fn gate() -> RestartGate {
        RestartGate::new(START, DEFAULT_RESTART_DEFERRAL)
    }

    fn heard(established: usize, owing: usize, absent: usize) -> Heard {
        Heard {
            established,
            owing,
            unmarked: 0,
            absent,
            last_news: START,
        }
    }

    #[test]
    fn opens_after_quiet_when_nobody_is_expected() {
        assert!(!gate().is_open(START, heard(0, 0, 0)));
        assert!(gate().is_open(START + QUIET, heard(0, 0, 0)));
    }

    #[test]
    fn waits_for_the_end_of_rib_of_a_peer_that_is_up_no_longer_than_the_deferral() {
        let latest = START + DEFAULT_RESTART_DEFERRAL;
        assert!(!gate().is_open(latest - MOMENT, heard(1, 1, 0)));
        assert!(gate().is_open(latest, heard(1, 1, 0)));
        let said = Heard {
            last_news: START + ABSENT,
            ..heard(1, 0, 0)
        };
        assert!(!gate().is_open(START + ABSENT + QUIET - MOMENT, said));
        assert!(gate().is_open(START + ABSENT + QUIET, said));
    }

    #[test]
    fn a_dead_peer_holds_it_a_few_seconds() {
        assert!(!gate().is_open(START + ABSENT - MOMENT, heard(1, 0, 1)));
        assert!(gate().is_open(START + ABSENT, heard(1, 0, 1)));
    }
}
