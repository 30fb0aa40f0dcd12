//! The decision process: each step, and that no order matters.

use crate::support::*;
use bgp_core::rib::{
    Candidate, PathState, Reachability, Reason, RouteAttributes, Source, compare, select,
};
use bgp_core::types::{Asn, ClusterId, PeerRole, RouterId};
use bgp_core::wire::{Community, Origin, PathAttributes};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr};

/// A candidate that owns what it is made of.
#[derive(Clone, Debug)]
struct Owned {
    route: RouteAttributes,
    source: Source,
    path_id: u32,
    next_hop: Reachability,
}

impl Owned {
    /// An external path that is as good as possible at every step.
    fn good() -> Self {
        Self {
            route: RouteAttributes::new(
                PathAttributes {
                    as_path: path(&[65_001, 65_010]),
                    local_pref: Some(200),
                    med: Some(10),
                    ..PathAttributes::default()
                },
                next_hop(V4, 1),
            ),
            source: Source {
                role: Some(PeerRole::External),
                asn: Asn(65_001),
                router_id: RouterId(Ipv4Addr::new(1, 0, 0, 1)),
                address: IpAddr::V4(Ipv4Addr::new(1, 0, 0, 1)),
            },
            path_id: 1,
            next_hop: Reachability::Reachable { metric: 10 },
        }
    }

    fn view(&self) -> Candidate<'_> {
        Candidate {
            route: &self.route,
            source: self.source,
            path_id: self.path_id,
            next_hop: self.next_hop,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut PathAttributes)) {
        let mut attributes = self.route.path.clone();
        change(&mut attributes);
        self.route = RouteAttributes::new(attributes, self.route.next_hop);
    }

    /// Makes it worse at one step, and at no earlier one.
    fn worsen(&mut self, step: Reason) {
        match step {
            Reason::NextHopUnreachable => self.next_hop = Reachability::Unreachable,
            // The other one is made our own: see `pair`.
            Reason::LocallyOriginated => {}
            Reason::LongLivedStale => {
                self.change(|a| a.communities.push(Community::LLGR_STALE));
            }
            Reason::LocalPref => self.change(|a| a.local_pref = None),
            Reason::AsPathLength => {
                self.change(|a| a.as_path = path(&[65_001, 65_010, 65_011]));
            }
            Reason::Origin => self.change(|a| a.origin = Origin::Incomplete),
            Reason::Med => self.change(|a| a.med = Some(11)),
            Reason::External => self.source.role = Some(PeerRole::Client),
            Reason::NextHopMetric => self.next_hop = Reachability::Reachable { metric: 11 },
            Reason::RouterId => {
                let id = RouterId(Ipv4Addr::new(1, 0, 0, 2));
                self.change(|a| a.originator_id = Some(id));
            }
            Reason::ClusterListLength => {
                self.change(|a| a.cluster_list = vec![ClusterId([9, 9, 9, 9].into())]);
            }
            Reason::PeerAddress => self.source.address = IpAddr::V4(Ipv4Addr::new(1, 0, 0, 2)),
            Reason::PathId => self.path_id = 2,
        }
    }
}

const STEPS: [Reason; 13] = [
    Reason::NextHopUnreachable,
    Reason::LocallyOriginated,
    Reason::LongLivedStale,
    Reason::LocalPref,
    Reason::AsPathLength,
    Reason::Origin,
    Reason::Med,
    Reason::External,
    Reason::NextHopMetric,
    Reason::RouterId,
    Reason::ClusterListLength,
    Reason::PeerAddress,
    Reason::PathId,
];

/// Two paths: the first is better at `step`, the second at every later one, and neither at an
/// earlier one.
fn pair(step: Reason) -> (Owned, Owned) {
    let (mut winner, mut loser) = (Owned::good(), Owned::good());
    for later in STEPS.into_iter().filter(|later| *later > step) {
        // No route of our own is external, so that step cannot tell the two apart any more.
        winner.worsen(later);
    }
    loser.worsen(step);
    if step == Reason::LocallyOriginated {
        winner.source.role = None;
    }
    (winner, loser)
}

#[test]
fn steps_are_numbered_in_order() {
    // Step 2 has two parts.
    let numbers = STEPS.map(Reason::step);
    assert_eq!(numbers, [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn each_step_decides_against_all_later_ones() {
    for step in STEPS {
        let (winner, loser) = pair(step);
        let (winner, loser) = (winner.view(), loser.view());
        assert_eq!(compare(&winner, &loser), (Ordering::Greater, step));
        assert_eq!(compare(&loser, &winner), (Ordering::Less, step));
        for (candidates, best) in [([winner, loser], 0), ([loser, winner], 1)] {
            let selection = select(&candidates);
            assert_eq!(selection.best, Some(best), "{step:?}");
            assert_eq!(selection.lost[best], None);
            assert_eq!(selection.lost[1 - best], Some(step));
        }
    }
}

#[test]
fn a_path_is_equal_to_itself() {
    let one = Owned::good();
    assert_eq!(compare(&one.view(), &one.view()).0, Ordering::Equal);
}

#[test]
fn unreachable_paths_are_no_candidates_even_alone() {
    let mut one = Owned::good();
    one.worsen(Reason::NextHopUnreachable);
    let selection = select(&[one.view(), one.view()]);
    assert_eq!(selection.best, None);
    assert!(
        selection
            .lost
            .iter()
            .all(|lost| *lost == Some(Reason::NextHopUnreachable))
    );
    assert_eq!(select(&[]).best, None);
}

#[test]
fn med_counts_within_one_neighbouring_as_only() {
    let (mut a, mut b) = (Owned::good(), Owned::good());
    a.change(|path| path.med = Some(0));
    b.change(|p| {
        p.med = Some(4_000_000_000);
        p.as_path = path(&[65_002, 65_010]);
    });
    b.source.address = IpAddr::V4(Ipv4Addr::new(0, 0, 0, 1));
    assert_eq!(
        compare(&a.view(), &b.view()),
        (Ordering::Less, Reason::PeerAddress)
    );
}

#[test]
fn no_med_is_the_lowest_one() {
    let (mut a, b) = (Owned::good(), Owned::good());
    a.change(|path| path.med = None);
    assert_eq!(
        compare(&a.view(), &b.view()),
        (Ordering::Greater, Reason::Med)
    );
}

#[test]
fn routes_of_our_own_as_have_one_neighbouring_as() {
    // Two internal paths without an AS in front: both began in our AS, MED compares.
    let internal = |med, n| {
        let mut one = Owned::good();
        one.change(|attributes| {
            attributes.as_path = path(&[]);
            attributes.med = Some(med);
        });
        one.source.role = Some(PeerRole::Client);
        one.source.asn = OUR_AS;
        one.source.address = IpAddr::V4(Ipv4Addr::new(1, 0, 0, n));
        one
    };
    let (a, b) = (internal(20, 1), internal(10, 2));
    assert_eq!(compare(&a.view(), &b.view()), (Ordering::Less, Reason::Med));
}

/// The textbook case: pairwise comparison goes round in a circle.
#[test]
fn a_circle_of_med_has_one_answer() {
    let from = |asn: u32, med, id: u8| {
        let mut one = Owned::good();
        one.change(|attributes| {
            attributes.as_path = path(&[asn, 65_010]);
            attributes.med = Some(med);
        });
        one.source.router_id = RouterId(Ipv4Addr::new(1, 0, 0, id));
        one.source.address = IpAddr::V4(Ipv4Addr::new(1, 0, 0, id));
        one
    };
    // a beats b (id), b beats c (id), c beats a (MED).
    let (a, b, c) = (from(65_001, 20, 1), from(65_002, 5, 2), from(65_001, 10, 3));
    for (x, y) in [(&a, &b), (&b, &c), (&c, &a)] {
        assert_eq!(compare(&x.view(), &y.view()).0, Ordering::Greater);
    }
    agree_in_all_orders(&[a.clone(), b.clone(), c.clone()]);
    let selection = select(&[a.view(), b.view(), c.view()]);
    assert_eq!(selection.best, Some(1));
    assert_eq!(selection.lost[0], Some(Reason::Med));
    assert_eq!(selection.lost[2], Some(Reason::RouterId));
}

/// Every order of the candidates gives the same best one and the same reasons.
fn agree_in_all_orders(candidates: &[Owned]) {
    let expected = outcome(candidates, &(0..candidates.len()).collect::<Vec<_>>());
    for order in permutations(candidates.len()) {
        assert_eq!(
            outcome(candidates, &order),
            expected,
            "in the order {order:?}"
        );
    }
}

/// Best and reasons by the candidates' own numbers, whatever the order they were shown in.
fn outcome(candidates: &[Owned], order: &[usize]) -> (Option<usize>, Vec<Option<Reason>>) {
    let shown: Vec<_> = order
        .iter()
        .map(|place| candidates[*place].view())
        .collect();
    let selection = select(&shown);
    let mut lost = vec![None; candidates.len()];
    for (place, reason) in order.iter().zip(&selection.lost) {
        lost[*place] = *reason;
    }
    (selection.best.map(|best| order[best]), lost)
}

fn permutations(len: usize) -> Vec<Vec<usize>> {
    if len == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(len - 1) {
        for at in 0..len {
            let mut longer = shorter.clone();
            longer.insert(at, len - 1);
            all.push(longer);
        }
    }
    all
}

/// Candidates that differ in little, so that ties and circles are common. Each has an address of
/// its own, as peers do.
fn candidates(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<Owned>> {
    let one = (
        (0u8..3, 0u8..2, 0u8..2, 0u8..3),
        (0u8..3, 0u8..3, 0u8..2, 0u8..3),
    );
    prop::collection::vec(one, len).prop_map(|all| {
        let make = |(n, ((lp, len, origin, med), (asn, role, metric, id)))| {
            let mut one = Owned::good();
            one.change(|attributes| {
                let first = 65_001 + u32::from(asn);
                attributes.as_path = path(&vec![first; 1 + usize::from(len)]);
                attributes.local_pref = [None, Some(100), Some(150)][usize::from(lp)];
                attributes.origin = [Origin::Igp, Origin::Egp][usize::from(origin)];
                attributes.med = [None, Some(5), Some(9)][usize::from(med)];
                if (lp, origin) == (2, 1) {
                    attributes.communities.push(Community::LLGR_STALE);
                }
            });
            let roles = [PeerRole::External, PeerRole::Client, PeerRole::NonClient];
            one.source.role = Some(roles[usize::from(role)]);
            one.source.router_id = RouterId(Ipv4Addr::new(1, 0, 0, id));
            one.source.address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, n as u8));
            one.next_hop = match metric {
                0 => Reachability::Reachable { metric: 1 },
                _ if lp == 0 && med == 2 => Reachability::Unreachable,
                _ => Reachability::Reachable { metric: 2 },
            };
            one
        };
        all.into_iter().enumerate().map(make).collect()
    })
}

/// The RFC's own words, executed: each step removes from a set what is worse than another member.
fn by_elimination(candidates: &[Owned]) -> Option<usize> {
    let mut left: Vec<usize> = (0..candidates.len())
        .filter(|place| candidates[*place].next_hop.is_reachable())
        .collect();
    for step in STEPS {
        let removes = |winner: usize, loser: usize| {
            let (winner, loser) = (&candidates[winner], &candidates[loser]);
            is_better_at(step, winner, loser)
        };
        let before = left.clone();
        left.retain(|loser| !before.iter().any(|winner| removes(*winner, *loser)));
    }
    left.first().copied()
}

fn is_better_at(step: Reason, a: &Owned, b: &Owned) -> bool {
    let (x, y) = (&a.route.path, &b.route.path);
    let neighbour = |one: &Owned| one.route.path.as_path.first_as().unwrap_or(one.source.asn);
    let external = |one: &Owned| one.source.role == Some(PeerRole::External);
    let id = |one: &Owned| one.route.path.originator_id.unwrap_or(one.source.router_id);
    match step {
        Reason::NextHopUnreachable => false,
        Reason::LocallyOriginated => a.source.role.is_none() && b.source.role.is_some(),
        Reason::LongLivedStale => {
            let stale = |a: &PathAttributes| a.communities.contains(&Community::LLGR_STALE);
            !stale(x) && stale(y)
        }
        Reason::LocalPref => x.local_pref.unwrap_or(100) > y.local_pref.unwrap_or(100),
        Reason::AsPathLength => x.as_path.length() < y.as_path.length(),
        Reason::Origin => x.origin < y.origin,
        Reason::Med => neighbour(a) == neighbour(b) && x.med.unwrap_or(0) < y.med.unwrap_or(0),
        Reason::External => external(a) && !external(b),
        Reason::NextHopMetric => a.next_hop.metric() < b.next_hop.metric(),
        Reason::RouterId => id(a) < id(b),
        Reason::ClusterListLength => x.cluster_list.len() < y.cluster_list.len(),
        Reason::PeerAddress => a.source.address < b.source.address,
        Reason::PathId => a.path_id < b.path_id,
    }
}

proptest! {
    #[test]
    fn up_to_six_paths_agree_in_all_orders(candidates in candidates(1..=6)) {
        agree_in_all_orders(&candidates);
    }

    #[test]
    fn many_paths_agree_in_any_order(candidates in candidates(7..60), seed in any::<u64>()) {
        let mut rng = bgp_core::rng::Rng::new(seed);
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        let expected = outcome(&candidates, &order);
        for _ in 0..20 {
            for last in (1..order.len()).rev() {
                order.swap(last, rng.below(last as u64 + 1) as usize);
            }
            prop_assert_eq!(&outcome(&candidates, &order), &expected);
        }
    }

    #[test]
    fn selection_is_what_the_rfc_says(candidates in candidates(1..30)) {
        let all: Vec<_> = candidates.iter().map(Owned::view).collect();
        prop_assert_eq!(select(&all).best, by_elimination(&candidates));
    }

    #[test]
    fn a_loser_loses_to_the_best_or_by_med_to_its_own_neighbour(candidates in candidates(1..30)) {
        let all: Vec<_> = candidates.iter().map(Owned::view).collect();
        let selection = select(&all);
        let Some(best) = selection.best else { return Ok(()) };
        for (place, lost) in selection.lost.iter().enumerate() {
            let Some(lost) = lost else {
                prop_assert_eq!(place, best);
                continue;
            };
            let to_best = compare(&all[best], &all[place]);
            let by_neighbour = *lost == Reason::Med
                && all.iter().any(|other| compare(other, &all[place]) == (Ordering::Greater, Reason::Med));
            prop_assert!(by_neighbour || to_best == (Ordering::Greater, *lost));
        }
    }
}

/// What a whole RIB answers, for every order in which the same UPDATEs arrive.
#[test]
fn all_orders_of_arrival_give_one_table() {
    let prefix = net("10.1.0.0/24");
    let said = |asn: u32, med, local_pref| PathAttributes {
        as_path: path(&[asn, 65_010]),
        med: Some(med),
        local_pref,
        ..PathAttributes::default()
    };
    let updates = [
        (1, said(65_001, 20, None)),
        (2, said(65_002, 5, None)),
        (3, said(65_001, 10, None)),
        (4, said(65_002, 4, None)),
        (5, said(65_003, 4, Some(90))),
    ];
    let states = |order: &[usize]| {
        let mut lab = Lab::new();
        for n in 1..=5 {
            lab.up(facts(n, PeerRole::Client));
        }
        // Something else first, so that there are replacements too.
        lab.say(3, &said(65_009, 1, Some(300)), &[prefix]);
        for place in order {
            let (peer, attributes) = &updates[*place];
            lab.say(*peer, attributes, &[prefix]);
        }
        lab.rib.check().unwrap();
        let mut states: Vec<(u32, PathState)> = lab
            .rib
            .explain(&prefix)
            .paths
            .iter()
            .map(|path| (path.peer.unwrap().0, path.state))
            .collect();
        states.sort_by_key(|(peer, _)| *peer);
        states
    };
    let expected = vec![
        (1, PathState::Lost(Reason::Med)),
        (2, PathState::Lost(Reason::Med)),
        (3, PathState::Best),
        (4, PathState::Lost(Reason::RouterId)),
        (5, PathState::Lost(Reason::LocalPref)),
    ];
    for order in permutations(updates.len()) {
        assert_eq!(states(&order), expected, "{order:?}");
    }
}
