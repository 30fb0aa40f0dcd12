//! Whose tables we have heard: what a node asks before it gives up what it knew before a restart.
//!
//! A peer says End-of-RIB when it has told its table (RFC 4724 §2). It is awaited from peers that
//! are up, negotiated graceful restart and are not restarting themselves: one that restarts may
//! hold its own back until it has heard ours (§4.1). From the others none is awaited; that they
//! have said all is seen by their silence alone, so their first UPDATEs count as news.

use crate::family::{Family, FamilySet};
use crate::time::{Duration, Instant};
use crate::types::PeerId;
use std::collections::{BTreeMap, BTreeSet};

/// UPDATEs of a peer that says no End-of-RIB count as news for so long after it came up: later
/// ones are changes, which never end.
pub const FIRST_TABLE: Duration = Duration::from_secs(30);

/// Whose tables we have heard. The numbers are of peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Those whose session is up.
    pub established: usize,
    /// Of these, those whose End-of-RIB is awaited and has not come in every family.
    pub owing: usize,
    /// Of these, those from whom none is awaited and none has come: they do not say it, or they
    /// are restarting themselves.
    pub unmarked: usize,
    /// Those with an address of their own that are enabled and not up.
    pub absent: usize,
    /// When a session last came up or was lost, a table was last said to be told, or a peer that
    /// does not say so last told a part of its first table. At first the start.
    pub last_news: Instant,
}

/// Keeps count.
#[derive(Debug)]
pub(super) struct Hearing {
    up: BTreeMap<PeerId, Up>,
    owing: BTreeSet<PeerId>,
    unmarked: BTreeSet<PeerId>,
    /// Those with an address of their own that are enabled.
    expected: BTreeSet<PeerId>,
    absent: BTreeSet<PeerId>,
    last_news: Instant,
}

#[derive(Debug)]
struct Up {
    since: Instant,
    /// Families without an End-of-RIB so far.
    untold: FamilySet,
}

impl Hearing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            up: BTreeMap::new(),
            owing: BTreeSet::new(),
            unmarked: BTreeSet::new(),
            expected: BTreeSet::new(),
            absent: BTreeSet::new(),
            last_news: now,
        }
    }

    /// Whether `peer` is to come up: it has an address of its own and is enabled.
    pub(super) fn expect(&mut self, peer: PeerId, expected: bool) {
        if expected {
            self.expected.insert(peer);
        } else {
            self.expected.remove(&peer);
        }
        self.place(peer);
    }

    /// `peer` is up with `families`; `awaited`: it will say End-of-RIB, without waiting for ours.
    pub(super) fn established(
        &mut self,
        now: Instant,
        peer: PeerId,
        families: FamilySet,
        awaited: bool,
    ) {
        self.last_news = now;
        let up = Up {
            since: now,
            untold: families,
        };
        self.up.insert(peer, up);
        let place = if awaited {
            &mut self.owing
        } else {
            &mut self.unmarked
        };
        place.insert(peer);
        self.place(peer);
    }

    /// `peer` has said End-of-RIB.
    pub(super) fn end_of_rib(&mut self, now: Instant, peer: PeerId, family: Family) {
        self.last_news = now;
        let Some(up) = self.up.get_mut(&peer) else {
            return;
        };
        up.untold.remove(family);
        if up.untold.is_empty() {
            self.owing.remove(&peer);
            self.unmarked.remove(&peer);
        }
    }

    /// `peer` has said something else about routes.
    pub(super) fn update(&mut self, now: Instant, peer: PeerId) {
        let counts = |up: &Up| now.since(up.since) < FIRST_TABLE;
        if self.unmarked.contains(&peer) && self.up.get(&peer).is_some_and(counts) {
            self.last_news = now;
        }
    }

    /// The session with `peer` is lost.
    pub(super) fn down(&mut self, now: Instant, peer: PeerId) {
        self.last_news = now;
        self.up.remove(&peer);
        self.owing.remove(&peer);
        self.unmarked.remove(&peer);
        self.place(peer);
    }

    pub(super) fn heard(&self) -> Heard {
        Heard {
            established: self.up.len(),
            owing: self.owing.len(),
            unmarked: self.unmarked.len(),
            absent: self.absent.len(),
            last_news: self.last_news,
        }
    }

    fn place(&mut self, peer: PeerId) {
        if self.expected.contains(&peer) && !self.up.contains_key(&peer) {
            self.absent.insert(peer);
        } else {
            self.absent.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1_000_000);
    const PEER: PeerId = PeerId(1);

    fn at(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    fn counts(hearing: &Hearing) -> [usize; 4] {
        let heard = hearing.heard();
        [heard.established, heard.owing, heard.unmarked, heard.absent]
    }

    #[test]
    fn a_table_is_heard_when_every_family_has_had_its_end() {
        let mut hearing = Hearing::new(START);
        hearing.expect(PEER, true);
        assert_eq!(counts(&hearing), [0, 0, 0, 1]);
        hearing.established(at(1), PEER, FamilySet::ALL, true);
        assert_eq!(counts(&hearing), [1, 1, 0, 0]);
        hearing.update(at(2), PEER);
        assert_eq!(hearing.heard().last_news, at(1));
        hearing.end_of_rib(at(3), PEER, Family::Ipv4Unicast);
        assert_eq!(counts(&hearing), [1, 1, 0, 0]);
        hearing.end_of_rib(at(4), PEER, Family::Ipv6Unicast);
        assert_eq!(counts(&hearing), [1, 0, 0, 0]);
        assert_eq!(hearing.heard().last_news, at(4));
        hearing.down(at(5), PEER);
        assert_eq!(counts(&hearing), [0, 0, 0, 1]);
        hearing.expect(PEER, false);
        assert_eq!(counts(&hearing), [0, 0, 0, 0]);
    }

    #[test]
    fn of_a_peer_that_says_no_end_the_first_updates_are_news_and_no_others() {
        let mut hearing = Hearing::new(START);
        hearing.established(at(1), PEER, FamilySet::ALL, false);
        assert_eq!(counts(&hearing), [1, 0, 1, 0]);
        hearing.update(at(2), PEER);
        assert_eq!(hearing.heard().last_news, at(2));
        hearing.update(at(1) + FIRST_TABLE, PEER);
        assert_eq!(hearing.heard().last_news, at(2));
        for family in Family::ALL {
            hearing.end_of_rib(at(40), PEER, family);
        }
        assert_eq!(counts(&hearing), [1, 0, 0, 0]);
    }
}
