//! A peer repeats its table between two markers (RFC 7313 §4): what it does not repeat goes.
//!
//! No path is marked. The list of a peer's paths has the newest first, and what is said again in
//! the same words is moved to the front while a table is repeated. So the first path of the list
//! at the time of the first marker divides it for good: it and all behind it have not been
//! repeated. When it leaves its place, the one behind it takes its part. After the second marker
//! all from there on are removed, in slices of [`Rib::work`]; what is said again before its turn
//! comes has moved to the front, and stays.
//!
//! If the second marker never comes, nothing goes (the RFC lets a speaker give up waiting; what
//! the peer takes back it says anyway). Another first marker begins anew.

use super::ids::PathIndex;
use super::peers::PeerSlot;
use super::table::Table;
use super::{Rib, Shared};
use crate::family::Family;

/// Where a peer's repetition of its table stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Repeat {
    /// There is none.
    #[default]
    Idle,
    /// The peer is at it. The paths from this one on have not been repeated.
    Running(Option<PathIndex>),
    /// It is over. The paths from this one on have to go.
    Over(Option<PathIndex>),
}

impl Repeat {
    /// `path` leaves its place in the list, and `next` was behind it.
    pub(super) fn leaves(&mut self, path: PathIndex, next: Option<PathIndex>) {
        match self {
            Self::Running(first) | Self::Over(first) if *first == Some(path) => *first = next,
            Self::Running(_) | Self::Over(_) | Self::Idle => {}
        }
    }
}

impl Rib {
    /// The peer begins to repeat its table of `family`: what it does not say again before
    /// [`Rib::end_repeat`] is gone.
    pub fn begin_repeat(&mut self, slot: PeerSlot, family: Family) {
        let up = self.shared.peers.get_mut(slot).filter(|peer| peer.up);
        if let Some(peer) = up {
            let of_peer = &mut peer.tables[family];
            of_peer.repeat = Repeat::Running(of_peer.first);
        }
    }

    /// The peer has repeated its table. [`Rib::work`] removes what it has left out. Without
    /// [`Rib::begin_repeat`] nothing happens.
    pub fn end_repeat(&mut self, slot: PeerSlot, family: Family) {
        let Some(of_peer) = self.shared.peers.table_mut(slot, family) else {
            return;
        };
        if let Repeat::Running(first) = of_peer.repeat {
            of_peer.repeat = Repeat::Over(first);
            if !self.repeated.contains(&(slot, family)) {
                self.repeated.push_back((slot, family));
            }
        }
    }

    /// Removes what was not repeated, for one unit of `budget` each. Says whether there is more.
    pub(super) fn drop_unrepeated(&mut self, budget: &mut usize) -> bool {
        while let Some((slot, family)) = self.repeated.front().copied() {
            if self.tables[family].drop_unrepeated(&mut self.shared, slot, budget) {
                return true;
            }
            self.repeated.pop_front();
        }
        false
    }
}

impl Table {
    /// A peer has said again what it had said, in the same words.
    pub(super) fn said_again(&mut self, shared: &mut Shared, slot: PeerSlot, path: PathIndex) {
        let Some(of_peer) = shared.peers.table_mut(slot, self.family) else {
            return;
        };
        if of_peer.repeat != Repeat::Idle {
            let next = self.routes.paths.next_of_peer(path);
            of_peer.repeat.leaves(path, next);
            self.routes.paths.move_to_front(path, &mut of_peer.first);
        }
    }

    fn drop_unrepeated(&mut self, shared: &mut Shared, slot: PeerSlot, budget: &mut usize) -> bool {
        loop {
            let Some(of_peer) = shared.peers.table_mut(slot, self.family) else {
                return false;
            };
            let Repeat::Over(first) = of_peer.repeat else {
                return false;
            };
            let Some(path) = first else {
                of_peer.repeat = Repeat::Idle;
                return false;
            };
            if *budget == 0 {
                return true;
            }
            *budget -= 1;
            self.take_back(shared, path);
        }
    }
}
