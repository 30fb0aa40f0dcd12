//! After a restart: when may End-of-RIB be said?
//!
//! Peers that kept our routes while we were away drop what we have not said again as soon as they
//! see our End-of-RIB (RFC 4724 §4.2). A reflector knows only what its peers tell it, so it must
//! not say End-of-RIB before they have told theirs (§4.1). Routes themselves are never held
//! back: they are reflected as they come.
//!
//! The gate opens when every configured peer that can be waited for has said its End-of-RIB and
//! no session has come up for [`QUIET`], and at the latest after [`DEFERRAL`] (the
//! Selection_Deferral_Timer), so a dead peer cannot hold it. Peers that are restarting
//! themselves (R bit) are not waited for: two restarting speakers would wait for each other.

use crate::family::{Family, FamilySet};
use crate::time::{Duration, Instant};
use crate::types::PeerId;
use std::collections::BTreeMap;

/// The gate opens at the latest this long after the start.
pub const DEFERRAL: Duration = Duration::from_secs(30);

/// No session must have come up, and no End-of-RIB arrived, for this long.
pub const QUIET: Duration = Duration::from_secs(2);

/// Decides when End-of-RIB may be said after a restart.
#[derive(Debug)]
pub(super) struct RestartGate {
    started: Instant,
    last_news: Instant,
    /// Established peers that still owe us an End-of-RIB, and for which families.
    owed: BTreeMap<PeerId, FamilySet>,
    /// Configured peers that have not been established yet.
    absent: Vec<PeerId>,
}

impl RestartGate {
    /// A gate that waits for `configured` peers.
    pub(super) fn new(now: Instant, configured: Vec<PeerId>) -> Self {
        Self {
            started: now,
            last_news: now,
            owed: BTreeMap::new(),
            absent: configured,
        }
    }

    /// `peer` is up; `owes` names the families for which it will say End-of-RIB.
    pub(super) fn established(&mut self, now: Instant, peer: PeerId, owes: FamilySet) {
        self.last_news = now;
        self.absent.retain(|id| *id != peer);
        self.owed.insert(peer, owes);
    }

    /// `peer` has said End-of-RIB.
    pub(super) fn end_of_rib(&mut self, now: Instant, peer: PeerId, family: Family) {
        self.last_news = now;
        if let Some(owed) = self.owed.get_mut(&peer) {
            owed.remove(family);
        }
    }

    /// `peer` is gone; it is not waited for any more.
    pub(super) fn down(&mut self, peer: PeerId) {
        self.owed.remove(&peer);
    }

    /// When to ask [`Self::is_open`] again, if nothing happens before.
    pub(super) fn next_check(&self) -> Instant {
        let deadline = self.started + DEFERRAL;
        if self.waits_for_someone() {
            deadline
        } else {
            deadline.min(self.last_news + QUIET)
        }
    }

    /// Whether End-of-RIB may be said.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        now >= self.next_check()
    }

    fn waits_for_someone(&self) -> bool {
        !self.absent.is_empty() || self.owed.values().any(|owed| !owed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1_000_000);

    fn v4() -> FamilySet {
        FamilySet::from_iter([Family::Ipv4Unicast])
    }

    #[test]
    fn opens_after_quiet_when_nobody_is_expected() {
        let gate = RestartGate::new(START, vec![]);
        assert!(!gate.is_open(START));
        assert!(gate.is_open(START + QUIET));
    }

    #[test]
    fn waits_for_a_configured_peer_and_its_end_of_rib() {
        let peer = PeerId(1);
        let mut gate = RestartGate::new(START, vec![peer]);
        assert!(!gate.is_open(START + QUIET));
        let up = START + Duration::from_secs(3);
        gate.established(up, peer, v4());
        assert!(!gate.is_open(up + QUIET));
        gate.end_of_rib(up, peer, Family::Ipv4Unicast);
        assert!(gate.is_open(up + QUIET));
    }

    #[test]
    fn a_dead_peer_holds_it_no_longer_than_the_deferral() {
        let gate = RestartGate::new(START, vec![PeerId(1)]);
        assert!(!gate.is_open(START + DEFERRAL - Duration::from_micros(1)));
        assert!(gate.is_open(START + DEFERRAL));
    }

    #[test]
    fn a_peer_that_leaves_again_is_not_waited_for() {
        let peer = PeerId(1);
        let mut gate = RestartGate::new(START, vec![peer]);
        gate.established(START, peer, v4());
        gate.down(peer);
        assert!(gate.is_open(START + QUIET));
    }
}
