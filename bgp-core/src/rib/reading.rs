//! Sessions as readers of groups: which they read, and in which order.
//!
//! A session reads one group of each family, or two where it takes several paths to a prefix: one
//! for each [`Plane`](super::Plane), with a cursor in each. Neither group knows of the other, so
//! everything that a group promises holds for each plane by itself: not back to its source, the
//! last state of each prefix, nothing held for who is slow. The owner of the best path thus hears
//! of its rival.
//!
//! What a session says once for both is arranged here:
//!
//! - *End-of-RIB* follows the second plane, and that not before the first has come to its own end.
//! - *A repeated table* (RFC 2918, RFC 7313) is the first plane, then the second: the beginning is
//!   marked by the first, the end by the second. Who asks again meanwhile gets both again, with
//!   another mark of the beginning in front.

use super::chunk::Words;
use super::export::{ExportProfile, Plane};
use super::group::{Group, Newcomer};
use super::peers::{PeerSlot, Peers, ReaderKey};
use super::readers::{EndOfRib, Reader, Refresh, Turn};
use super::table::Table;
use super::{PeerFacts, Shared};
use bytes::Bytes;

impl Plane {
    /// How many groups of a family a session may read.
    pub(super) const MAX: usize = 2;

    /// Its place among those of a session.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Single | Self::Best => 0,
            Self::Rival => 1,
        }
    }
}

impl Table {
    /// Makes a session a reader of the group with this profile, a new group if there is none.
    pub(super) fn join(&mut self, shared: &mut Shared, slot: PeerSlot, profile: ExportProfile) {
        let plane = profile.plane;
        let found = self
            .groups
            .iter()
            .position(|group| group.as_ref().is_some_and(|g| *g.profile() == profile));
        let place = found.unwrap_or_else(|| {
            self.rival_groups += usize::from(plane == Plane::Rival);
            let group = Group::new(profile, self.routes.prefixes.len());
            place_in(&mut self.groups, group)
        });
        let Some(group) = self.groups.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let newcomer = shared.peers.get(slot).and_then(|peer| {
            let facts: &PeerFacts = peer.facts.as_ref()?;
            let former = shared.peers.former(facts.peer).map(|former| {
                let left = former.tables[self.family].left[plane.index()];
                let here = left.filter(|(key, _)| key.group == place);
                // There may be another group at that place by now, with a shorter log.
                let floor = here.map_or(group.tail(), |(_, tail)| tail.min(group.tail()));
                (former.serial, floor)
            });
            Some(Newcomer {
                slot,
                serial: peer.serial,
                former,
                enhanced_refresh: facts.enhanced_refresh,
            })
        });
        let reader = newcomer.map(|newcomer| group.join(newcomer));
        if let Some(of_peer) = shared.peers.table_mut(slot, self.family) {
            of_peer.readers[plane.index()] = reader.map(|reader| ReaderKey {
                group: place,
                reader,
            });
        }
    }

    /// Ends the reading of a session.
    pub(super) fn leave(&mut self, shared: &mut Shared, slot: PeerSlot) {
        for index in 0..Plane::MAX {
            let of_peer = shared.peers.table_mut(slot, self.family);
            if let Some(key) = of_peer.and_then(|of_peer| of_peer.readers[index].take()) {
                let left = self.leave_group(key);
                if let Some(of_peer) = shared.peers.table_mut(slot, self.family) {
                    of_peer.left[index] = left.map(|tail| (key, tail));
                }
            }
        }
    }

    /// Says how long the group's log was.
    fn leave_group(&mut self, key: ReaderKey) -> Option<u64> {
        let place = self.groups.get_mut(key.group)?;
        let group = place.as_mut()?;
        group.leave(key.reader);
        let tail = group.tail();
        if let Some(group) = place.take_if(|group| group.readers().is_empty()) {
            self.rival_groups -= usize::from(group.profile().plane == Plane::Rival);
            if self.rival_groups == 0 {
                self.routes.loc_rib.forget_rivals();
            }
            self.dissolving.push((group, 0));
        }
        Some(tail)
    }

    /// The session's peer asks for everything again.
    pub(super) fn refresh(&mut self, peers: &Peers, slot: PeerSlot) {
        let keys = peers.get(slot).map(|peer| peer.tables[self.family].readers);
        for key in keys.into_iter().flatten().flatten() {
            if let Some(group) = self.groups.get_mut(key.group).and_then(Option::as_mut) {
                group.refresh(key.reader);
            }
        }
    }

    /// The groups that a session reads, with its reader in each, by plane.
    pub(super) fn readers_of(
        &self,
        peers: &Peers,
        slot: PeerSlot,
    ) -> [Option<(ReaderKey, &Group, &Reader)>; Plane::MAX] {
        let keys = peers.get(slot).map(|peer| peer.tables[self.family].readers);
        keys.unwrap_or_default().map(|key| {
            let key = key?;
            let group = self.groups.get(key.group)?.as_ref()?;
            Some((key, group, group.readers().get(key.reader)?))
        })
    }

    /// What a session may do in each of its planes.
    fn turns(&self, shared: &Shared, slot: PeerSlot) -> [Turn; Plane::MAX] {
        let [first, second] = self.readers_of(&shared.peers, slot);
        let free = Turn {
            end_of_rib_held: shared.held,
            refresh_held: false,
        };
        let (Some((_, _, first)), Some((_, _, second))) = (first, second) else {
            return [free; Plane::MAX];
        };
        let end_of_rib_said = second.end_of_rib == EndOfRib::Sent;
        let repeats = matches!(second.refresh, Refresh::Running { .. });
        let of_first = Turn {
            end_of_rib_held: shared.held,
            refresh_held: repeats || (first.enhanced_refresh && !end_of_rib_said),
        };
        let of_second = Turn {
            end_of_rib_held: shared.held || first.end_of_rib != EndOfRib::Sent,
            refresh_held: first.refresh != Refresh::Idle,
        };
        [of_first, of_second]
    }

    /// Whether a read by this session would give it something, or move it.
    pub(super) fn has_work(&self, shared: &Shared, slot: PeerSlot) -> bool {
        let readers = self.readers_of(&shared.peers, slot).into_iter();
        readers
            .zip(self.turns(shared, slot))
            .filter_map(|(reader, turn)| Some((reader?, turn)))
            .any(|((_, group, reader), turn)| group.has_work(reader, turn))
    }

    /// See [`Group::read`].
    pub(super) fn read(
        &mut self,
        shared: &Shared,
        slot: PeerSlot,
        budget: &mut usize,
        out: &mut Vec<Bytes>,
    ) -> bool {
        let Some(peer) = shared.peers.get(slot) else {
            return false;
        };
        let keys = peer.tables[self.family].readers;
        let mut more = false;
        for (index, key) in keys.iter().enumerate() {
            let turn = self.turns(shared, slot)[index];
            let words = Words {
                routes: &self.routes,
                peers: &shared.peers,
                attributes: &shared.attributes,
            };
            let group = key.and_then(|key| Some((key, self.groups.get_mut(key.group)?.as_mut()?)));
            if let Some((key, group)) = group {
                more |= group.read(key.reader, &words, turn, budget, out);
            }
        }
        // What the second plane did may let the first go on.
        more || (keys[1].is_some() && self.has_work(shared, slot))
    }
}

/// Puts `item` into the first free place, and says where that is.
fn place_in<T>(places: &mut Vec<Option<T>>, item: T) -> usize {
    let free = places.iter().position(Option::is_none);
    let place = free.unwrap_or(places.len());
    match places.get_mut(place) {
        Some(free) => *free = Some(item),
        None => places.push(Some(item)),
    }
    place
}
