//! Memory of peers that are away: when it becomes old, and when news makes it void.
//!
//! Paths of a session that is gone stay while its peer may come back (RFC 4724 §4.2): they are
//! *stale*. Two things happen to them here.
//!
//! # They become long-lived stale (RFC 9494 §4.2)
//!
//! The peer has not come back in time, and its paths are to stay nevertheless. Then each gets
//! LLGR_STALE, as if the peer had said it again so: that one word makes it the least preferred
//! path (`decision.rs`), is told on, and keeps it from peers that do not know it (`export.rs`). So
//! nothing else has to know that a path is long-lived stale, whoever attached the word. Paths with
//! NO_LLGR go. The walk over the table that follows changes of next hops does it, prefix by
//! prefix.
//!
//! # News beats memory
//!
//! Two reflectors tell the same routes. One is away and what it told is kept; a node dies, and the
//! other takes that node's routes back. Kept all the same, the dead node's block would lead
//! nowhere until the first reflector's time is over. So when a peer that is up takes back or
//! replaces what one originator announced, stale paths of the same originator to the same prefix
//! go too: they say only what was so before. Likewise when a peer is given up that had announced
//! the route itself. What is lost with a *session* takes nobody's memory along, unless it came
//! from its originator: when all reflectors are gone, their last words stay.

use super::ids::{PathIndex, PrefixId};
use super::paths::Path;
use super::peers::PeerSlot;
use super::table::{Said, Table};
use super::{Rib, Shared};
use crate::family::FamilySet;
use crate::prefix::Nlri;
use crate::types::RouterId;
use crate::wire::Community;
use smallvec::SmallVec;

impl Rib {
    /// Whether anything is left of what the session in `slot` said.
    pub fn has_paths(&self, slot: PeerSlot) -> bool {
        let peer = self.shared.peers.get(slot);
        peer.is_some_and(|peer| peer.tables.iter().any(|(_, table)| table.received > 0))
    }

    /// The peer of the session in `slot`, which is gone, has not come back in time; its paths of
    /// `families` that are kept are long-lived stale from now on. [`Rib::work`] marks them.
    pub fn begin_long_lived(&mut self, slot: PeerSlot, families: FamilySet) {
        let peer = self.shared.peers.get_mut(slot).filter(|peer| !peer.up);
        let Some(peer) = peer else {
            return;
        };
        for family in peer.kept.intersection(families).iter() {
            peer.aged.insert(family);
            self.tables[family].begin_revision();
        }
    }
}

impl Table {
    /// Marks the paths to `prefix` that have become long-lived stale, and removes those that must
    /// not.
    pub(super) fn age(&mut self, shared: &mut Shared, prefix: PrefixId) {
        let Some(net) = self.routes.prefixes.get(prefix) else {
            return;
        };
        let family = self.family;
        let is_aged = |path: &Path| {
            let peer = shared.peers.get(path.peer);
            peer.is_some_and(|peer| peer.aged.contains(family))
        };
        let paths = self.routes.paths.of_prefix(prefix);
        let aged: SmallVec<[(PathIndex, Path); 2]> = paths
            .filter(|(_, path)| is_aged(path))
            .map(|(index, path)| (index, *path))
            .collect();
        for (index, path) in aged {
            let said = shared.attributes.get(path.attributes);
            if said.path.communities.contains(&Community::NO_LLGR) {
                self.remove(shared, index);
            } else if !said.is_long_lived_stale() {
                let (mut words, next_hop) = (said.path.clone(), said.next_hop);
                words.communities.push(Community::LLGR_STALE);
                let attributes = shared.attributes.intern(&words, next_hop);
                let marked = Said {
                    nlri: Nlri {
                        prefix: net,
                        path_id: path.path_id,
                    },
                    attributes,
                    ineligible: path.ineligible,
                };
                self.replace(shared, path.peer, prefix, Some(index), &marked);
                shared.attributes.release(attributes);
            }
        }
    }

    /// Removes stale paths to `prefix` of the originator of `gone`, a path of another peer that
    /// has just been taken back.
    pub(super) fn forget_what_is_void(
        &mut self,
        shared: &mut Shared,
        prefix: PrefixId,
        gone: Option<Gone>,
    ) {
        let Some(gone) = gone.filter(|_| shared.peers.departed() > 0) else {
            return;
        };
        let family = self.family;
        let is_void = |path: &Path| {
            let stale = shared.peers.get(path.peer);
            stale.is_some_and(|peer| !peer.up && peer.kept.contains(family))
                && !shared.peers.same_peer(path.peer, gone.peer)
                && is_internal(shared, path.peer)
                && originator(shared, path) == gone.originator
        };
        let paths = self.routes.paths.of_prefix(prefix);
        let void: SmallVec<[PathIndex; 2]> = paths
            .filter(|(_, path)| is_void(path))
            .map(|(index, _)| index)
            .collect();
        for index in void {
            self.remove(shared, index);
        }
    }
}

/// What is left of a path that was taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    peer: PeerSlot,
    originator: RouterId,
}

impl Gone {
    /// `path`, which is removed, when that says that its originator announces the route no more:
    /// its peer is internal, and up, or is the originator itself.
    pub(super) fn of(shared: &Shared, path: &Path) -> Option<Self> {
        let originator = originator(shared, path);
        let is_direct = originator == shared.peers.source(path.peer).router_id;
        let counts = is_internal(shared, path.peer) && (is_up(shared, path.peer) || is_direct);
        counts.then_some(Self {
            peer: path.peer,
            originator,
        })
    }

    /// `path`, in the place of which the session in `slot` has `said` something else, when that is
    /// a route of another originator.
    pub(super) fn in_favour_of(
        shared: &Shared,
        path: &Path,
        slot: PeerSlot,
        said: &Said,
    ) -> Option<Self> {
        let new = &shared.attributes.get(said.attributes).path;
        let new = new.originator_id;
        let new = new.unwrap_or(shared.peers.source(slot).router_id);
        let originator = originator(shared, path);
        let counts = is_internal(shared, slot) && is_up(shared, slot) && new != originator;
        counts.then_some(Self {
            peer: slot,
            originator,
        })
    }
}

fn is_up(shared: &Shared, slot: PeerSlot) -> bool {
    shared.peers.get(slot).is_some_and(|peer| peer.up)
}

fn is_internal(shared: &Shared, slot: PeerSlot) -> bool {
    let role = shared.peers.source(slot).role;
    role.is_some_and(|role| role.is_internal())
}

/// Who announced the route within the AS.
fn originator(shared: &Shared, path: &Path) -> RouterId {
    let said = shared.attributes.get(path.attributes);
    let source = shared.peers.source(path.peer);
    said.path.originator_id.unwrap_or(source.router_id)
}
