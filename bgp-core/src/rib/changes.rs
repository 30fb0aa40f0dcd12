//! What is told to whoever installs routes: which prefixes have changed, and to what.
//!
//! # Level, not edge
//!
//! There is no queue of changes. There is a list of prefixes of which something else holds than
//! what was said last, and what is said about a prefix is worked out when it is taken from the
//! list. So a prefix that changes a thousand times before anybody asks is told once, as it is
//! now, and a reader who never reads costs no more than one who does.
//!
//! The list is a [`Log`], the same that update groups have: a prefix stands in it at the place of
//! its first change since it was taken, so that a busy prefix cannot starve a quiet one.
//!
//! # What is worth telling
//!
//! Beside the best path a reader hears of the equal ways and of the *rivals*: usable paths of
//! another originator than the best's. The same route through a second reflector is neither, so
//! that its coming and going is no news ([`Changes`] is not touched): a path counts if it has
//! another originator than the best path, or another next hop. What may be said twice in the same
//! words: a best path that was said again with other attributes.
//!
//! A path is *stale* while the session that it came from is gone (RFC 4724 §4.2). Sessions come
//! and go without a word about any prefix, so a sweep over the table finds the ones concerned.
//!
//! # Invariants
//!
//! - A prefix is in the list at most once, and only if there is a best path or one was told: what
//!   comes and goes before anybody asks leaves nothing behind. So the list is bounded by the
//!   table and by what was told.
//! - A prefix in the list keeps its number, paths or not.
//! - Of a prefix that is not in the list, what was told last holds (unless a sweep is under way).

use super::decision::{self, Candidate, Reason, Source};
use super::ids::{PathIndex, PrefixId};
use super::log::Log;
use super::paths::Path;
use super::peers::PeerSlot;
use super::table::{Routes, Table};
use super::{Rib, Shared};
use crate::family::Family;
use crate::prefix::IpNet;
use crate::types::{PeerId, PeerRole, RouterId};
use smallvec::{SmallVec, smallvec};
use std::net::IpAddr;

/// At most this many rivals of a best path are told: the ones that would be next.
pub const MAX_RIVALS: usize = 4;

/// What holds for a prefix, after something has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteChange {
    /// The prefix.
    pub prefix: IpNet,
    /// Its best path; `None` when there is none any more.
    pub best: Option<BestRoute>,
    /// Usable paths of other originators than the best's, one of each, in the order in which they
    /// would follow it; at most [`MAX_RIVALS`].
    pub rivals: SmallVec<[RouteOrigin; 1]>,
}

/// A best path, as far as a kernel cares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BestRoute {
    /// We originate it.
    pub own: bool,
    /// The next hops of the best path and of those equal to it through step 7 of the decision
    /// process: at most `Router::multipath`, each once, in ascending order. That of the best path
    /// is always there; of too many others the lowest are.
    pub next_hops: SmallVec<[IpAddr; 1]>,
    /// Who it came from.
    pub origin: RouteOrigin,
    /// The session that it came from is gone; it is kept because its peer may come back.
    pub stale: bool,
}

/// Who a path came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteOrigin {
    /// Who said it; `None`: we did.
    pub peer: Option<PeerId>,
    /// The address of who said it; unspecified for our own.
    pub peer_address: IpAddr,
    /// Who originated it within the AS: ORIGINATOR_ID, or else the router id of who said it.
    pub router_id: RouterId,
    /// The next hop.
    pub next_hop: IpAddr,
    /// It came from an external peer.
    pub external: bool,
}

/// The prefixes of one family of which something has to be told.
#[derive(Default)]
pub(super) struct Changes {
    /// By prefix.
    places: Vec<Place>,
    list: Log,
    tail: u64,
    /// Everything up to here has been taken.
    taken: u64,
}

/// The place in the list, zero for none, and above it two bits about what was told last.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Place(u64);

impl Place {
    const HAD_ROUTE: u64 = 1 << 63;
    const WAS_STALE: u64 = 1 << 62;

    fn seq(self) -> u64 {
        self.0 & !(Self::HAD_ROUTE | Self::WAS_STALE)
    }

    fn at(self, seq: u64) -> Self {
        Self(self.0 - self.seq() + seq)
    }

    fn had_route(self) -> bool {
        self.0 & Self::HAD_ROUTE != 0
    }

    fn was_stale(self) -> bool {
        self.0 & Self::WAS_STALE != 0
    }
}

impl Changes {
    fn place(&self, prefix: PrefixId) -> Place {
        self.places.get(prefix.index()).copied().unwrap_or_default()
    }

    /// Whether `prefix` is in the list.
    pub(super) fn contains(&self, prefix: PrefixId) -> bool {
        self.place(prefix).seq() != 0
    }

    /// Notes that something else holds of `prefix`; `has_route`: there is a best path now.
    fn note(&mut self, prefix: PrefixId, has_route: bool) {
        let place = self.place(prefix);
        let nothing_to_tell = !has_route && !place.had_route();
        match (place.seq(), nothing_to_tell) {
            (0, true) => {}
            (0, false) => {
                if self.places.len() <= prefix.index() {
                    self.places.resize(prefix.index() + 1, Place::default());
                }
                self.tail += 1;
                self.places[prefix.index()] = place.at(self.tail);
                self.list.append(self.tail, prefix);
                self.pay();
            }
            (_, true) => self.remove(prefix),
            (_, false) => {}
        }
    }

    fn remove(&mut self, prefix: PrefixId) {
        self.places[prefix.index()] = self.place(prefix).at(0);
        self.list.note_dead();
        self.pay();
    }

    fn pay(&mut self) {
        let places = &self.places;
        self.list
            .pay(|seq, prefix| places[prefix.index()].seq() == seq);
    }

    /// The prefix that has waited longest.
    fn take(&mut self) -> Option<PrefixId> {
        let mut records = self.list.after(self.taken);
        let (seq, prefix) =
            records.find(|(seq, prefix)| self.places[prefix.index()].seq() == *seq)?;
        drop(records);
        self.taken = seq;
        self.remove(prefix);
        Some(prefix)
    }

    fn told(&mut self, prefix: PrefixId, best: Option<&BestRoute>) {
        let stale = match best {
            Some(BestRoute { stale: true, .. }) => Place::WAS_STALE,
            Some(_) | None => 0,
        };
        let route = if best.is_some() { Place::HAD_ROUTE } else { 0 };
        self.places[prefix.index()] = Place(self.place(prefix).seq() | route | stale);
    }

    /// Whether something is to be told.
    pub(super) fn is_empty(&self) -> bool {
        self.list.live() == 0
    }

    /// Whether the list is in order, and of each prefix outside of it `holds` what was told: a
    /// best path, whether it is stale, and whether that will not change by itself.
    ///
    /// # Errors
    /// What is not.
    pub(super) fn check(
        &self,
        prefixes: impl Iterator<Item = PrefixId>,
        holds: impl Fn(PrefixId) -> (bool, bool, bool),
    ) -> Result<(), String> {
        self.list
            .check(|seq, prefix| self.place(prefix).seq() == seq)?;
        let mut queued = 0;
        for prefix in prefixes {
            let place = self.place(prefix);
            let (has_route, stale, settled) = holds(prefix);
            queued += usize::from(place.seq() != 0);
            if place.seq() != 0 && !has_route && !place.had_route() {
                return Err(format!("{prefix:?}: there is nothing to tell"));
            }
            let told = (place.had_route(), place.was_stale());
            if settled && place.seq() == 0 && told != (has_route, stale) {
                return Err(format!(
                    "{prefix:?}: told {told:?}, not {:?}",
                    (has_route, stale)
                ));
            }
        }
        if queued != self.list.live() {
            return Err(format!("{queued} prefixes to be told of"));
        }
        Ok(())
    }
}

/// How far a path comes in the decision process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Unusable,
    Usable,
    /// Equal to the best path through step 7, or the best path itself.
    Equal,
}

impl Path {
    /// How far it came when its prefix was last decided.
    pub(super) fn standing(&self) -> Standing {
        match (self.ineligible, self.lost) {
            (Some(_), _) | (None, Some(Reason::NextHopUnreachable)) => Standing::Unusable,
            (None, Some(reason)) if reason < Reason::RouterId => Standing::Usable,
            (None, Some(_) | None) => Standing::Equal,
        }
    }
}

impl Routes {
    /// Whether a change of `path` may be told although `best` stays the best path to its prefix.
    pub(super) fn counts_beside(&self, path: &Path, best: &Path, shared: &Shared) -> bool {
        let originator = |path: &Path| {
            let route = shared.attributes.get(path.attributes);
            (route.path.originator_id).unwrap_or(shared.peers.source(path.peer).router_id)
        };
        let next_hop = |path: &Path| shared.attributes.get(path.attributes).next_hop.address();
        originator(path) != originator(best) || next_hop(path) != next_hop(best)
    }

    /// Whether the session that the best path to `prefix` came from is gone.
    fn is_stale(&self, prefix: PrefixId, shared: &Shared) -> bool {
        let peer = self
            .best(prefix)
            .and_then(|best| shared.peers.get(best.peer));
        peer.is_some_and(|peer| !peer.up)
    }

    /// What holds for `prefix`.
    fn state(&self, prefix: PrefixId, shared: &Shared) -> Option<RouteChange> {
        let net = self.prefixes.get(prefix)?;
        // As it was when the prefix was last decided: what a sweep under way will find is told
        // when it has been there, or else what leaves meanwhile would not be missed.
        let (paths, candidates) = self.candidates(prefix, shared);
        let (paths, candidates): (SmallVec<[_; 4]>, SmallVec<[_; 4]>) = paths
            .into_iter()
            .zip(candidates)
            .filter(|(path, _)| self.paths.get(*path).standing() != Standing::Unusable)
            .unzip();
        let of_best = self
            .loc_rib
            .best(prefix)
            .and_then(|best| paths.iter().position(|path| *path == best));
        let Some(place) = of_best else {
            return Some(RouteChange {
                prefix: net,
                best: None,
                rivals: SmallVec::new(),
            });
        };
        let best = BestRoute {
            own: candidates[place].source.role.is_none(),
            next_hops: self.ways(&paths, &candidates, place, shared.settings.multipath),
            origin: self.origin(paths[place], &candidates[place], shared),
            stale: self.is_stale(prefix, shared),
        };
        Some(RouteChange {
            prefix: net,
            rivals: self.rivals(&paths, &candidates, place, shared),
            best: Some(best),
        })
    }

    fn ways(
        &self,
        paths: &[PathIndex],
        candidates: &[Candidate<'_>],
        best: usize,
        limit: u8,
    ) -> SmallVec<[IpAddr; 1]> {
        let next_hop = |place: usize| candidates[place].route.next_hop.address();
        let mut ways: SmallVec<[IpAddr; 1]> = smallvec![next_hop(best)];
        if limit > 1 {
            let equal = |place: &usize| self.paths.get(paths[*place]).standing() == Standing::Equal;
            let mut others: SmallVec<[IpAddr; 4]> = (0..paths.len())
                .filter(equal)
                .map(next_hop)
                .filter(|other| *other != next_hop(best))
                .collect();
            others.sort_unstable();
            others.dedup();
            ways.extend(others.into_iter().take(usize::from(limit) - 1));
            ways.sort_unstable();
        }
        ways
    }

    fn rivals(
        &self,
        paths: &[PathIndex],
        candidates: &[Candidate<'_>],
        best: usize,
        shared: &Shared,
    ) -> SmallVec<[RouteOrigin; 1]> {
        let mut rivals: SmallVec<[RouteOrigin; 1]> = SmallVec::new();
        let mut named: SmallVec<[RouterId; 4]> = smallvec![candidates[best].originator()];
        while rivals.len() < MAX_RIVALS
            && let Some(rival) = decision::best_of_others(candidates, &named)
        {
            named.push(candidates[rival].originator());
            rivals.push(self.origin(paths[rival], &candidates[rival], shared));
        }
        rivals
    }

    fn origin(&self, path: PathIndex, candidate: &Candidate<'_>, shared: &Shared) -> RouteOrigin {
        let Source { role, address, .. } = candidate.source;
        RouteOrigin {
            peer: shared.peers.id_of(self.paths.get(path).peer),
            peer_address: address,
            router_id: candidate.originator(),
            next_hop: candidate.route.next_hop.address(),
            external: role == Some(PeerRole::External),
        }
    }
}

impl Table {
    /// Notes what has to be told of `prefix` after it was decided: `changed` is whether its best
    /// path or what else counts has become another.
    pub(super) fn note_change(&mut self, shared: &Shared, prefix: PrefixId, changed: bool) {
        let Some(changes) = &mut self.changes else {
            return;
        };
        let has_route = self.routes.loc_rib.best(prefix).is_some();
        let stale = self.routes.is_stale(prefix, shared);
        if changed || stale != changes.place(prefix).was_stale() {
            changes.note(prefix, has_route);
        }
    }

    fn poll_change(&mut self, shared: &Shared) -> Option<RouteChange> {
        let changes = self.changes.as_mut()?;
        let prefix = changes.take()?;
        let state = self.routes.state(prefix, shared);
        let best = state.as_ref().and_then(|state| state.best.as_ref());
        changes.told(prefix, best);
        if best.is_none() {
            self.release_if_unused(prefix);
        }
        state
    }

    /// Sessions have come or gone, and what was told of their paths no longer holds.
    pub(super) fn find_stale(&mut self) {
        if self.changes.is_some() {
            self.begin_sweep();
        }
    }

    /// See [`Changes::check`].
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check_changes(&self, shared: &Shared) -> Result<(), String> {
        let Some(changes) = &self.changes else {
            return Ok(());
        };
        // What is being cleared away is gone soon, and told to be gone then.
        let leaves = |path: &Path| {
            let peer = shared.peers.get(path.peer);
            peer.is_some_and(|peer| peer.draining.contains(self.family))
        };
        let holds = |prefix| {
            let best = self.routes.best(prefix);
            let settled = !self.is_sweeping() && !best.is_some_and(leaves);
            (
                best.is_some(),
                self.routes.is_stale(prefix, shared),
                settled,
            )
        };
        let prefixes = (0..self.routes.prefixes.len()).map(PrefixId::new);
        changes.check(prefixes, holds)
    }
}

impl Rib {
    /// What holds for a prefix of which something else was told before, or nothing; if routes are
    /// installed at all ([`RibSettings::install`](super::RibSettings)). Each prefix is given once,
    /// as it is now. Families take turns.
    pub fn poll_route_change(&mut self) -> Option<RouteChange> {
        let mut families = Family::ALL;
        if self.change_turn {
            families.reverse();
        }
        self.change_turn = !self.change_turn;
        families
            .into_iter()
            .find_map(|family| self.tables[family].poll_change(&self.shared))
    }

    /// Whether [`Rib::poll_route_change`] has something to say.
    pub fn has_route_changes(&self) -> bool {
        let changes = |table: &Table| table.changes.as_ref().is_some_and(|c| !c.is_empty());
        self.tables.iter().any(|(_, table)| changes(table))
    }
}

impl Shared {
    /// A path of a peer has come, or goes: counts it for its next hop.
    pub(super) fn count_next_hop(&mut self, path: &Path, comes: bool) {
        if path.peer == PeerSlot::LOCAL || path.ineligible.is_some() {
            return;
        }
        let address = self.attributes.get(path.attributes).next_hop.address();
        if comes {
            self.next_hops.hold(address);
        } else {
            self.next_hops.release(address);
        }
    }
}
