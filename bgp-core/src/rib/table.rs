//! The table of one family: prefixes, paths, best paths and the groups that are told of them.
//!
//! Whatever may change a best path ends in [`Table::decide`]: that is the one way from Adj-RIB-In
//! through the decision process into the Loc-RIB, and from there to the groups.

use super::attributes::Interner;
use super::changes::{Changes, Standing};
use super::decision::{self, Candidate};
use super::export::{Plane, Route};
use super::group::{Announcement, Group};
use super::ids::{AttributesId, PathIndex, PrefixId, Serial};
use super::import::Ineligible;
use super::loc_rib::{BestChange, LocRib};
use super::paths::{NewPath, Path, Paths};
use super::peers::{PeerSlot, Peers};
use super::prefixes::PrefixTable;
use super::stale::Gone;
use super::{RibSettings, Shared};
use crate::family::Family;
use crate::prefix::Nlri;
use smallvec::SmallVec;

/// At most this many paths (RFC 7911) of one peer to one prefix are kept; further ones are not,
/// and are counted as refused. The list of a prefix is walked for every change of it.
pub const MAX_PATHS_OF_PEER: usize = 64;

/// What is known about the routes of one family.
pub(super) struct Routes {
    pub(super) prefixes: PrefixTable,
    pub(super) paths: Paths,
    pub(super) loc_rib: LocRib,
}

/// The table of one family.
pub(super) struct Table {
    pub(super) family: Family,
    pub(super) routes: Routes,
    /// The groups, at places that do not move; `None` where one was.
    pub(super) groups: Vec<Option<Group>>,
    /// Groups without readers, and how far they have been taken apart.
    pub(super) dissolving: Vec<(Group, usize)>,
    /// How many groups tell of rivals; while none does, none is worked out.
    pub(super) rival_groups: usize,
    /// What whoever installs routes has to be told; `None` where nobody does.
    pub(super) changes: Option<Changes>,
    /// The walk that decides everything again.
    sweep: Sweep,
    /// Until that walk is over, it looks at each path anew: whether it may be used, and whether it
    /// has become long-lived stale.
    pub(super) revising: bool,
}

/// A walk over all prefixes that decides each again, because a next hop or a policy has changed or
/// a session whose paths are kept has gone. It goes in a
/// circle, and a change meanwhile makes it go once round from where it is: many changes cannot
/// starve the end of the table.
#[derive(Default)]
struct Sweep {
    next: usize,
    /// Where the last change found it. It ends there, after it has been at the end of the table.
    until: usize,
    phase: Phase,
}

/// Where a [`Sweep`] is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// Nothing is to be done.
    #[default]
    Idle,
    /// On the way to the end of the table.
    ToEnd,
    /// On the way from its beginning to where it began.
    FromStart,
}

/// Why a prefix is decided again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A path has come, and this one, if any, has just been unlinked.
    Replaced(Option<PathIndex>),
    /// This path has just been unlinked.
    Removed(PathIndex),
    /// A sweep came by: anything may have happened to next hops.
    Sweep,
}

/// What came of deciding a prefix.
struct Decided {
    best: Option<PathIndex>,
    /// The best of the paths with another originator, where somebody is told.
    rival: Option<PathIndex>,
    /// Where routes are installed: something else may have changed that is told with the best path.
    beside: bool,
}

/// What a peer says about one prefix.
pub(super) struct Said {
    pub(super) nlri: Nlri,
    pub(super) attributes: AttributesId,
    pub(super) ineligible: Option<Ineligible>,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// A path that was not there before, or another one than before.
    Kept,
    /// Just what the peer had said before.
    Unchanged,
    /// Not kept: the peer has as many prefixes as it may have.
    OverLimit,
    /// Not kept: too many paths to one prefix ([`MAX_PATHS_OF_PEER`]).
    TooManyPaths,
}

impl Routes {
    /// The best path to `prefix`.
    pub(super) fn best(&self, prefix: PrefixId) -> Option<&Path> {
        Some(self.paths.get(self.loc_rib.best(prefix)?))
    }

    /// The path to `prefix` of which groups of this plane tell.
    pub(super) fn told(&self, plane: Plane, prefix: PrefixId) -> Option<&Path> {
        let path = match plane {
            Plane::Single | Plane::Best => self.loc_rib.best(prefix),
            Plane::Rival => self.loc_rib.rival(prefix),
        };
        Some(self.paths.get(path?))
    }

    /// The route that `path` is, for export.
    pub(super) fn route<'a>(
        &self,
        path: &Path,
        peers: &Peers,
        attributes: &'a Interner,
    ) -> Option<Route<'a>> {
        Some(Route {
            prefix: self.prefixes.get(path.prefix)?,
            source: peers.source(path.peer),
            attributes: attributes.get(path.attributes),
        })
    }

    /// The paths that may be used, as the decision process sees them.
    pub(super) fn candidates<'a>(
        &self,
        prefix: PrefixId,
        shared: &'a Shared,
    ) -> (SmallVec<[PathIndex; 4]>, SmallVec<[Candidate<'a>; 4]>) {
        self.paths
            .of_prefix(prefix)
            .filter(|(_, path)| path.ineligible.is_none())
            .map(|(index, path)| {
                let route = shared.attributes.get(path.attributes);
                let address = route.next_hop.address();
                let candidate = Candidate {
                    route,
                    source: shared.peers.source(path.peer),
                    path_id: path.path_id,
                    next_hop: match path.peer {
                        PeerSlot::LOCAL => shared.next_hops.of_our_own(address),
                        _ => shared.next_hops.get(address),
                    },
                };
                (index, candidate)
            })
            .unzip()
    }

    /// The best of the paths to `prefix` that have another originator than its best path.
    pub(super) fn find_rival(&self, prefix: PrefixId, shared: &Shared) -> Option<PathIndex> {
        let best = self.loc_rib.best(prefix)?;
        let (paths, candidates) = self.candidates(prefix, shared);
        let best = paths.iter().position(|path| *path == best)?;
        let rival = decision::rival(&candidates, best)?;
        paths.get(rival).copied()
    }
}

impl Table {
    pub(super) fn new(family: Family, settings: &RibSettings) -> Self {
        Self {
            family,
            routes: Routes {
                prefixes: PrefixTable::new(family, settings.hash_seed),
                paths: Paths::default(),
                loc_rib: LocRib::default(),
            },
            groups: Vec::new(),
            dissolving: Vec::new(),
            rival_groups: 0,
            changes: settings.install.then(Changes::default),
            sweep: Sweep::default(),
            revising: false,
        }
    }

    // Adj-RIB-In.

    /// Takes in what a peer says about one prefix; `limit` is how many paths it may have.
    pub(super) fn announce(
        &mut self,
        shared: &mut Shared,
        slot: PeerSlot,
        said: &Said,
        limit: Option<u32>,
    ) -> Outcome {
        let known = self.routes.prefixes.find(&said.nlri.prefix);
        let old = known.and_then(|prefix| self.find(shared, slot, prefix, said.nlri.path_id));
        match old.map(|index| (index, self.routes.paths.get(index))) {
            Some((index, old)) => {
                let same_words = old.attributes == said.attributes;
                if old.peer == slot && same_words && old.ineligible == said.ineligible {
                    self.said_again(shared, slot, index);
                    return Outcome::Unchanged;
                }
            }
            None => {
                let received = shared
                    .peers
                    .table_mut(slot, self.family)
                    .map(|t| t.received);
                if limit.is_some_and(|limit| received.is_some_and(|r| r >= limit)) {
                    return Outcome::OverLimit;
                }
                if known.is_some_and(|prefix| self.has_too_many(slot, prefix)) {
                    return Outcome::TooManyPaths;
                }
            }
        }
        if let Some(prefix) = self.routes.prefixes.insert(&said.nlri.prefix) {
            self.replace(shared, slot, prefix, old, said);
        }
        Outcome::Kept
    }

    /// The path that a peer's word about this prefix and path identifier replaces: its own, or
    /// one of its session before.
    fn find(
        &self,
        shared: &Shared,
        slot: PeerSlot,
        prefix: PrefixId,
        path_id: u32,
    ) -> Option<PathIndex> {
        self.routes
            .paths
            .of_prefix(prefix)
            .find(|(_, path)| path.path_id == path_id && shared.peers.same_peer(path.peer, slot))
            .map(|(index, _)| index)
    }

    fn has_too_many(&self, slot: PeerSlot, prefix: PrefixId) -> bool {
        let of_prefix = self.routes.paths.of_prefix(prefix);
        of_prefix.filter(|(_, path)| path.peer == slot).count() >= MAX_PATHS_OF_PEER
    }

    pub(super) fn replace(
        &mut self,
        shared: &mut Shared,
        slot: PeerSlot,
        prefix: PrefixId,
        old: Option<PathIndex>,
        said: &Said,
    ) {
        let Some(of_peer) = shared.peers.table_mut(slot, self.family) else {
            return;
        };
        shared.attributes.retain(said.attributes);
        of_peer.received += 1;
        of_peer.ineligible += u32::from(said.ineligible.is_some());
        let new = NewPath {
            peer: slot,
            ineligible: said.ineligible,
            path_id: said.nlri.path_id,
            attributes: said.attributes,
            prefix,
        };
        let new = self.routes.paths.insert(new, &mut of_peer.first);
        shared.count_next_hop(self.routes.paths.get(new), true);
        if let Some(old) = old {
            self.unlink(shared, old);
        }
        self.decide(shared, prefix, Cause::Replaced(old));
        if let Some(old) = old {
            let gone = Gone::in_favour_of(shared, self.routes.paths.get(old), slot, said);
            self.free(shared, old);
            self.forget_what_is_void(shared, prefix, gone);
        }
    }

    /// Takes back what a peer said; says whether there was anything.
    pub(super) fn withdraw(&mut self, shared: &mut Shared, slot: PeerSlot, nlri: &Nlri) -> bool {
        let prefix = self.routes.prefixes.find(&nlri.prefix);
        let path = prefix.and_then(|prefix| self.find(shared, slot, prefix, nlri.path_id));
        path.map(|path| self.take_back(shared, path)).is_some()
    }

    /// Removes paths of a session that is gone, for one unit of `budget` each. Says whether there
    /// are more.
    pub(super) fn drain(
        &mut self,
        shared: &mut Shared,
        slot: PeerSlot,
        budget: &mut usize,
    ) -> bool {
        loop {
            let of_peer = shared.peers.table_mut(slot, self.family);
            let Some(path) = of_peer.and_then(|of_peer| of_peer.first) else {
                return false;
            };
            if *budget == 0 {
                return true;
            }
            *budget -= 1;
            self.take_back(shared, path);
        }
    }

    /// Removes a path, and what its end makes void.
    pub(super) fn take_back(&mut self, shared: &mut Shared, path: PathIndex) {
        let taken = *self.routes.paths.get(path);
        let gone = Gone::of(shared, &taken);
        self.remove(shared, path);
        self.forget_what_is_void(shared, taken.prefix, gone);
    }

    pub(super) fn remove(&mut self, shared: &mut Shared, path: PathIndex) {
        let prefix = self.routes.paths.get(path).prefix;
        self.unlink(shared, path);
        self.decide(shared, prefix, Cause::Removed(path));
        self.free(shared, path);
        self.release_if_unused(prefix);
    }

    fn unlink(&mut self, shared: &mut Shared, index: PathIndex) {
        let path = *self.routes.paths.get(index);
        if let Some(of_peer) = shared.peers.table_mut(path.peer, self.family) {
            let next = self.routes.paths.next_of_peer(index);
            of_peer.repeat.leaves(index, next);
            self.routes.paths.unlink(index, &mut of_peer.first);
            of_peer.received -= 1;
            of_peer.ineligible -= u32::from(path.ineligible.is_some());
        }
    }

    fn free(&mut self, shared: &mut Shared, index: PathIndex) {
        let path = self.routes.paths.get(index);
        let attributes = path.attributes;
        shared.count_next_hop(path, false);
        self.routes.paths.free(index);
        shared.attributes.release(attributes);
    }

    /// Gives the prefix's number back when no path, no group and nothing that has to be told
    /// knows it any more.
    pub(super) fn release_if_unused(&mut self, prefix: PrefixId) {
        let has_path = self.routes.paths.of_prefix(prefix).next().is_some();
        if self.changes.as_ref().is_some_and(|c| c.contains(prefix)) {
            return;
        }
        let dissolving = self.dissolving.iter().map(|(group, _)| group);
        let mut groups = self.groups.iter().flatten().chain(dissolving);
        if !has_path && groups.all(|group| group.entry(prefix).is_empty()) {
            self.routes.prefixes.remove(prefix);
        }
    }

    // Decision and Loc-RIB.

    /// Decides which path to `prefix` is best and tells whoever has to know.
    fn decide(&mut self, shared: &mut Shared, prefix: PrefixId, cause: Cause) {
        let decided = self.select(shared, prefix, cause);
        let change = self.routes.loc_rib.set_best(prefix, decided.best);
        if let Some(change) = &change {
            self.count_best(shared, change);
            self.tell(shared, change, |plane| plane != Plane::Rival);
        }
        if self.rival_groups > 0
            && let Some(change) = self.routes.loc_rib.set_rival(prefix, decided.rival)
        {
            self.tell(shared, &change, |plane| plane == Plane::Rival);
        }
        self.note_change(shared, prefix, change.is_some() || decided.beside);
    }

    /// The best path to `prefix`. Each other path is told why it is not.
    fn select(&mut self, shared: &Shared, prefix: PrefixId, cause: Cause) -> Decided {
        let (paths, candidates) = self.routes.candidates(prefix, shared);
        let selection = decision::select(&candidates);
        let rival = selection.best.filter(|_| self.rival_groups > 0);
        let rival = rival.and_then(|best| decision::rival(&candidates, best));
        let best = selection.best.and_then(|place| paths.get(place)).copied();
        let watched = best.filter(|_| self.changes.is_some());
        let counts = |routes: &Routes, path: PathIndex| {
            watched.is_some_and(|best| {
                let best = routes.paths.get(best);
                routes.counts_beside(routes.paths.get(path), best, shared)
            })
        };
        let gone = match cause {
            Cause::Replaced(old) => old,
            Cause::Removed(path) => Some(path),
            Cause::Sweep => None,
        };
        let is_usable = |path: &Path| path.standing() != Standing::Unusable;
        let mut beside = gone.is_some_and(|gone| {
            is_usable(self.routes.paths.get(gone)) && counts(&self.routes, gone)
        });
        for (path, lost) in paths.iter().zip(&selection.lost) {
            let before = self.routes.paths.get(*path).standing();
            self.routes.paths.set_lost(*path, *lost);
            let after = self.routes.paths.get(*path);
            let moved = before != after.standing() || (cause == Cause::Sweep && is_usable(after));
            beside = beside || (moved && counts(&self.routes, *path));
        }
        Decided {
            best,
            rival: rival.and_then(|place| paths.get(place)).copied(),
            beside,
        }
    }

    /// Counts best paths for the peers that they came from.
    fn count_best(&self, shared: &mut Shared, change: &BestChange) {
        for (path, sign) in [(change.before(), -1), (change.after(), 1)] {
            let peer = path.map(|path| self.routes.paths.get(path).peer);
            let of_peer = peer.and_then(|peer| shared.peers.table_mut(peer, self.family));
            if let Some(of_peer) = of_peer {
                of_peer.best = of_peer.best.saturating_add_signed(sign);
            }
        }
    }

    /// Tells the groups of some planes that the path of which they tell is another one.
    fn tell(&mut self, shared: &mut Shared, change: &BestChange, planes: impl Fn(Plane) -> bool) {
        let old = change.before().map(|old| *self.routes.paths.get(old));
        let new = change.after().map(|new| *self.routes.paths.get(new));
        let words_of = |path: &Path| {
            let source = shared.peers.source(path.peer);
            (source.role, source.router_id)
        };
        let reworded = old.as_ref().map(words_of) != new.as_ref().map(words_of);
        for group in self.groups.iter_mut().flatten() {
            if planes(group.profile().plane) && group.is_built(change.prefix()) {
                tell_group(group, &self.routes, shared, change.prefix(), reworded);
            }
        }
    }

    // Background work. Each takes one unit of `budget` for each prefix or entry, and says whether
    // there is more.

    /// Gives new groups what has been known before they were there.
    pub(super) fn build(&mut self, shared: &mut Shared, budget: &mut usize) -> bool {
        for place in 0..self.groups.len() {
            while let Some(prefix) = self.unbuilt(place) {
                if *budget == 0 && prefix.index() < self.routes.prefixes.len() {
                    return true;
                }
                self.build_step(shared, place, prefix, budget);
            }
        }
        false
    }

    fn unbuilt(&self, place: usize) -> Option<PrefixId> {
        self.groups.get(place)?.as_ref()?.unbuilt()
    }

    /// Gives one new group one prefix, or notes that it has all.
    fn build_step(
        &mut self,
        shared: &mut Shared,
        place: usize,
        prefix: PrefixId,
        budget: &mut usize,
    ) {
        let Some(group) = self.groups.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        if prefix.index() >= self.routes.prefixes.len() {
            group.built_to(None);
            return;
        }
        *budget -= 1;
        if group.profile().plane == Plane::Rival {
            // It may be the first that tells of rivals; and if not, a sweep may be on its way.
            let rival = self.routes.find_rival(prefix, shared);
            if let Some(change) = self.routes.loc_rib.set_rival(prefix, rival) {
                self.tell(shared, &change, |plane| plane == Plane::Rival);
            }
        }
        if let Some(group) = self.groups.get_mut(place).and_then(Option::as_mut) {
            tell_group(group, &self.routes, shared, prefix, false);
            group.built_to(Some(PrefixId::new(prefix.index() + 1)));
        }
    }

    /// Takes groups apart that nobody reads any more.
    pub(super) fn dissolve(&mut self, shared: &mut Shared, budget: &mut usize) -> bool {
        let mut emptied = Vec::new();
        while let Some((group, next)) = self.dissolving.last_mut() {
            if *budget == 0 {
                break;
            }
            match group.dissolve(*next, budget, &mut shared.attributes, &mut emptied) {
                Some(place) => *next = place,
                None => {
                    self.dissolving.pop();
                }
            }
        }
        self.release_all(emptied);
        !self.dissolving.is_empty()
    }

    /// Purges tombstones that every reader has passed, and gives up readers that hold too many.
    pub(super) fn purge(&mut self, shared: &mut Shared, budget: &mut usize) -> bool {
        let (mut purged, mut lost, mut more) = (Vec::new(), Vec::new(), false);
        for group in self.groups.iter_mut().flatten() {
            let before = lost.len();
            if !group.purge(budget, &mut purged) {
                // What is left is left because somebody holds it.
                group.give_up_laggards(&mut lost);
                more |= lost.len() > before;
            } else {
                more = true;
            }
        }
        shared.laggards.extend(lost);
        self.release_all(purged);
        more
    }

    fn release_all(&mut self, prefixes: Vec<PrefixId>) {
        for prefix in prefixes {
            self.release_if_unused(prefix);
        }
    }

    /// Something has changed that no prefix was named with: each has to be decided again.
    pub(super) fn begin_sweep(&mut self) {
        self.sweep.until = self.sweep.next;
        self.sweep.phase = Phase::ToEnd;
    }

    /// Each path has to be looked at anew, and each prefix decided again.
    pub(super) fn begin_revision(&mut self) {
        self.revising = true;
        self.begin_sweep();
    }

    /// Decides prefixes again after [`Table::begin_sweep`].
    pub(super) fn sweep(&mut self, shared: &mut Shared, budget: &mut usize) -> bool {
        loop {
            let end = match self.sweep.phase {
                Phase::Idle => {
                    self.revising = false;
                    return false;
                }
                Phase::ToEnd => self.routes.prefixes.len(),
                Phase::FromStart => self.sweep.until,
            };
            if self.sweep.next >= end {
                (self.sweep.phase, self.sweep.next) = match self.sweep.phase {
                    Phase::ToEnd => (Phase::FromStart, 0),
                    Phase::FromStart | Phase::Idle => (Phase::Idle, end),
                };
                continue;
            }
            if *budget == 0 {
                return true;
            }
            *budget -= 1;
            let prefix = PrefixId::new(self.sweep.next);
            self.sweep.next += 1;
            if self.revising {
                self.age(shared, prefix);
            }
            let rejudged = self.revising && self.rejudge(shared, prefix);
            self.decide(shared, prefix, Cause::Sweep);
            if rejudged {
                // What may be used no more is not seen by the decision.
                self.note_change(shared, prefix, true);
            }
        }
    }

    /// Whether a sweep is under way: best paths may still be those of before.
    pub(super) fn is_sweeping(&self) -> bool {
        self.sweep.phase != Phase::Idle
    }
}

/// Tells one group what the path to `prefix` is of which it tells.
fn tell_group(
    group: &mut Group,
    routes: &Routes,
    shared: &mut Shared,
    prefix: PrefixId,
    reworded: bool,
) {
    let path = routes.told(group.profile().plane, prefix);
    let admitted = path.filter(|path| {
        let route = routes.route(path, &shared.peers, &shared.attributes);
        route.is_some_and(|route| group.admits(&route))
    });
    let announcement = admitted.map(|path| Announcement {
        attributes: path.attributes,
        source: source_in(group, &shared.peers, path),
        reworded,
    });
    group.record(prefix, announcement, &mut shared.attributes);
}

/// The session that `path` came from, if it may be one of the group's readers, or of a peer that
/// is one in another session. A peer's role is configured and does not change.
pub(super) fn source_in(group: &Group, peers: &Peers, path: &Path) -> Option<Serial> {
    let may_read = peers.source(path.peer).role == Some(group.profile().role);
    peers
        .get(path.peer)
        .filter(|_| may_read)
        .map(|peer| peer.serial)
}
