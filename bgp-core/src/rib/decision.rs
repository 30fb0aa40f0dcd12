//! The decision process (RFC 4271 §9.1.2.2, RFC 4456 §9): which path is best, and why the others
//! are not.
//!
//! # The steps, in the RFC's order
//!
//! 0. The next hop is reachable (RFC 4271 §9.1.2), or the path is no candidate at all.
//! 1. What we originate ourselves comes first. RFC 4271 §9.1.1 leaves the degree of preference of
//!    local routes to the speaker; this is ours.
//! 2. Higher degree of preference (RFC 4271 §9.1.1): what is long-lived stale has the least of all
//!    (RFC 9494 §4.3); then LOCAL_PREF, 100 where there is none.
//! 3. Shorter AS_PATH (§9.1.2.2 a).
//! 4. Lower ORIGIN (b).
//! 5. Lower MULTI_EXIT_DISC, only among paths from the same neighbouring AS; none is 0 (c).
//! 6. External before internal (d).
//! 7. Lower interior cost to the next hop (e).
//! 8. Lower BGP Identifier; ORIGINATOR_ID in its stead where there is one (f, RFC 4456 §9).
//! 9. Shorter CLUSTER_LIST (RFC 4456 §9).
//! 10. Lower peer address (g).
//! 11. Lower path identifier: two paths of one peer (RFC 7911) differ in nothing else.
//!
//! # All orders of arrival give one answer
//!
//! Step 5 compares some pairs and not others, so "a beats b" is not transitive over the whole
//! list of steps and a tournament would depend on its order. [`select`] therefore does what the
//! RFC's text says: steps 0 to 4 leave a set, step 5 removes from the set every path that has a
//! better one *from its own neighbouring AS in the set*, and steps 6 to 11, a total order, pick
//! one of the rest. Each stage looks at a set, never at a sequence.
//!
//! The loser keeps its reason: the step at which it falls behind the best path, or step 5 when a
//! path from its own neighbouring AS removed it.

use super::attributes::RouteAttributes;
use super::next_hops::Reachability;
use crate::types::{Asn, PeerRole, RouterId};
use smallvec::SmallVec;
use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;

/// LOCAL_PREF of a route that carries none, as received from external peers.
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// The step at which a path lost; the numbers are those of the module's list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// 0. Its next hop cannot be reached: it is no candidate.
    NextHopUnreachable,
    /// 1. The other is our own.
    LocallyOriginated,
    /// 2. It is long-lived stale, and the other is not.
    LongLivedStale,
    /// 2. Lower LOCAL_PREF.
    LocalPref,
    /// 3. Longer AS_PATH.
    AsPathLength,
    /// 4. Higher ORIGIN.
    Origin,
    /// 5. Higher MULTI_EXIT_DISC than another path from the same neighbouring AS.
    Med,
    /// 6. Internal, and the other is external.
    External,
    /// 7. Its next hop is further away.
    NextHopMetric,
    /// 8. Higher BGP Identifier or ORIGINATOR_ID.
    RouterId,
    /// 9. Longer CLUSTER_LIST.
    ClusterListLength,
    /// 10. Higher peer address.
    PeerAddress,
    /// 11. Higher path identifier.
    PathId,
}

impl Reason {
    /// The number of the step.
    pub fn step(self) -> u8 {
        // Step 2 has two.
        self as u8 - u8::from(self >= Self::LocalPref)
    }
}

/// Who a path came from, as far as decision and export may know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
    /// What the peer is to us; `None` for what we originate ourselves.
    pub role: Option<PeerRole>,
    /// The peer's AS; ours for our own.
    pub asn: Asn,
    /// The peer's BGP Identifier; ours for our own.
    pub router_id: RouterId,
    /// The peer's address; unspecified for our own.
    pub address: IpAddr,
}

/// A path as the decision process sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What was said.
    pub route: &'a RouteAttributes,
    /// By whom.
    pub source: Source,
    /// Path identifier; 0 without add-path.
    pub path_id: u32,
    /// Whether the next hop can be reached, and at what cost.
    pub next_hop: Reachability,
}

/// The outcome of [`select`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// The place of the best candidate; `None` when there is none with a reachable next hop.
    pub best: Option<usize>,
    /// Why each candidate is not best; `None` for the best one.
    pub lost: SmallVec<[Option<Reason>; 8]>,
}

/// Picks the best of `candidates`, and tells each other one why it lost. The order of the
/// candidates does not matter.
pub fn select(candidates: &[Candidate<'_>]) -> Selection {
    let mut lost = SmallVec::from_elem(None, candidates.len());
    let Some(top) = best_by(candidates, 0..candidates.len(), before_med) else {
        return Selection { best: None, lost };
    };
    if !candidates[top].next_hop.is_reachable() {
        lost.fill(Some(Reason::NextHopUnreachable));
        return Selection { best: None, lost };
    }
    let mut level: SmallVec<[usize; 8]> = SmallVec::new();
    for (place, candidate) in candidates.iter().enumerate() {
        match before_med(candidate, &candidates[top]) {
            Some((_, reason)) => lost[place] = Some(reason),
            None => level.push(place),
        }
    }
    remove_by_med(candidates, &mut level, &mut lost);
    let best = best_by(candidates, level.iter().copied(), after_med);
    if let Some(best) = best {
        for place in level.into_iter().filter(|place| *place != best) {
            lost[place] = after_med(&candidates[place], &candidates[best])
                .map(|(_, reason)| reason)
                .or(Some(Reason::PathId));
        }
    }
    Selection { best, lost }
}

/// The best of those candidates that have another originator than `best`.
pub(super) fn rival(candidates: &[Candidate<'_>], best: usize) -> Option<usize> {
    best_of_others(candidates, &[candidates[best].originator()])
}

/// The best of those candidates that have none of `originators`; `None` when there is none that
/// may be used.
pub(super) fn best_of_others(
    candidates: &[Candidate<'_>],
    originators: &[RouterId],
) -> Option<usize> {
    let others = |candidate: &Candidate<'_>| !originators.contains(&candidate.originator());
    let places: SmallVec<[usize; 8]> = (0..candidates.len())
        .filter(|place| others(&candidates[*place]))
        .collect();
    if places.is_empty() {
        return None;
    }
    let of_others: SmallVec<[Candidate<'_>; 8]> =
        places.iter().map(|place| candidates[*place]).collect();
    let best = select(&of_others).best?;
    places.get(best).copied()
}

/// Step 5 on a set: sorted by neighbouring AS and MED, only the first MED of each AS stays.
fn remove_by_med(
    candidates: &[Candidate<'_>],
    level: &mut SmallVec<[usize; 8]>,
    lost: &mut [Option<Reason>],
) {
    if level.len() < 2 {
        return;
    }
    level.sort_by_key(|place| (candidates[*place].neighbour(), candidates[*place].med()));
    let mut lowest: Option<(Asn, u32)> = None;
    level.retain(|place| {
        let (neighbour, med) = (candidates[*place].neighbour(), candidates[*place].med());
        if lowest.is_some_and(|(same, lower)| same == neighbour && lower < med) {
            lost[*place] = Some(Reason::Med);
            return false;
        }
        lowest = Some((neighbour, med));
        true
    });
}

/// The candidate that no other beats by `order`; the earliest of equals.
fn best_by(
    candidates: &[Candidate<'_>],
    places: impl IntoIterator<Item = usize>,
    order: impl Fn(&Candidate<'_>, &Candidate<'_>) -> Option<(Ordering, Reason)>,
) -> Option<usize> {
    places.into_iter().reduce(
        |best, place| match order(&candidates[place], &candidates[best]) {
            Some((Ordering::Greater, _)) => place,
            Some((Ordering::Less | Ordering::Equal, _)) | None => best,
        },
    )
}

/// Compares two paths: `Greater` when `a` is preferred, and the step that decided.
///
/// This is the pairwise view that an explanation gives; over more than two paths step 5 makes it
/// intransitive, and [`select`] decides.
pub fn compare(a: &Candidate<'_>, b: &Candidate<'_>) -> (Ordering, Reason) {
    before_med(a, b)
        .or_else(|| by_med(a, b))
        .or_else(|| after_med(a, b))
        .unwrap_or((Ordering::Equal, Reason::PathId))
}

/// Steps 0 to 4. `None`: no difference yet.
fn before_med(a: &Candidate<'_>, b: &Candidate<'_>) -> Option<(Ordering, Reason)> {
    let (x, y) = (&a.route.path, &b.route.path);
    // 0. A next hop that can be reached.
    higher(
        a.next_hop.is_reachable(),
        b.next_hop.is_reachable(),
        Reason::NextHopUnreachable,
    )
    // 1. Our own.
    .or_else(|| higher(a.is_own(), b.is_own(), Reason::LocallyOriginated))
    // 2. The higher degree of preference.
    .or_else(|| lower(a.is_stale(), b.is_stale(), Reason::LongLivedStale))
    .or_else(|| higher(a.local_pref(), b.local_pref(), Reason::LocalPref))
    // 3. a) The shorter AS_PATH; a set counts as one.
    .or_else(|| {
        let (a, b) = (a.route.as_path_length(), b.route.as_path_length());
        lower(a, b, Reason::AsPathLength)
    })
    // 4. b) The lower ORIGIN.
    .or_else(|| lower(x.origin, y.origin, Reason::Origin))
}

/// Step 5. `None`: no difference, or not comparable.
fn by_med(a: &Candidate<'_>, b: &Candidate<'_>) -> Option<(Ordering, Reason)> {
    // 5. c) The lower MULTI_EXIT_DISC, within one neighbouring AS.
    if a.neighbour() != b.neighbour() {
        return None;
    }
    lower(a.med(), b.med(), Reason::Med)
}

/// Steps 6 to 11: a total order over paths of different peers or path identifiers.
fn after_med(a: &Candidate<'_>, b: &Candidate<'_>) -> Option<(Ordering, Reason)> {
    // 6. d) External before internal.
    higher(a.is_external(), b.is_external(), Reason::External)
        // 7. e) The lower interior cost.
        .or_else(|| {
            lower(
                a.next_hop.metric(),
                b.next_hop.metric(),
                Reason::NextHopMetric,
            )
        })
        // 8. f) The lower BGP Identifier, ORIGINATOR_ID in its stead.
        .or_else(|| lower(a.originator(), b.originator(), Reason::RouterId))
        // 9. RFC 4456 §9: the shorter CLUSTER_LIST.
        .or_else(|| {
            let (a, b) = (&a.route.path.cluster_list, &b.route.path.cluster_list);
            lower(a.len(), b.len(), Reason::ClusterListLength)
        })
        // 10. g) The lower peer address.
        .or_else(|| lower(a.source.address, b.source.address, Reason::PeerAddress))
        // 11. The lower path identifier.
        .or_else(|| lower(a.path_id, b.path_id, Reason::PathId))
}

fn higher<T: Ord>(a: T, b: T, reason: Reason) -> Option<(Ordering, Reason)> {
    match a.cmp(&b) {
        Ordering::Equal => None,
        order @ (Ordering::Less | Ordering::Greater) => Some((order, reason)),
    }
}

fn lower<T: Ord>(a: T, b: T, reason: Reason) -> Option<(Ordering, Reason)> {
    higher(Reverse(a), Reverse(b), reason)
}

impl Candidate<'_> {
    fn is_own(&self) -> bool {
        self.source.role.is_none()
    }

    fn is_external(&self) -> bool {
        self.source.role.is_some_and(|role| !role.is_internal())
    }

    fn is_stale(&self) -> bool {
        self.route.is_long_lived_stale()
    }

    fn local_pref(&self) -> u32 {
        self.route.path.local_pref.unwrap_or(DEFAULT_LOCAL_PREF)
    }

    fn med(&self) -> u32 {
        self.route.path.med.unwrap_or(0)
    }

    /// Who originated it within the AS, or brought it there (RFC 4456 §8, §9).
    pub(super) fn originator(&self) -> RouterId {
        self.route
            .path
            .originator_id
            .unwrap_or(self.source.router_id)
    }

    /// neighborAS(n) of RFC 4271 §9.1.2.2 c: the AS from which the route entered ours. Without
    /// one in the AS_PATH it is the peer's AS, which on an internal session is our own.
    fn neighbour(&self) -> Asn {
        self.route.first_as().unwrap_or(self.source.asn)
    }
}
