//! What whoever installs routes is told: best paths, equal ways, rivals, and next hops in use.

use crate::support::*;
use bgp_core::prefix::IpNet;
use bgp_core::rib::{MAX_RIVALS, PathState, Reachability, Reason, Rib, RibSettings, RouteChange};
use bgp_core::types::{PeerId, PeerRole, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) fn installing() -> RibSettings {
    RibSettings {
        install: true,
        multipath: 4,
        ..settings()
    }
}

pub(crate) fn tracking() -> RibSettings {
    RibSettings {
        track_next_hops: true,
        ..installing()
    }
}

pub(crate) fn lab(settings: RibSettings, peers: u32) -> Lab {
    let mut lab = Lab::with(settings);
    for n in 1..=peers {
        lab.up(facts(n, PeerRole::NonClient));
    }
    lab
}

/// Everything that is to be told.
fn told(rib: &mut Rib) -> Vec<RouteChange> {
    let changes = std::iter::from_fn(|| rib.poll_route_change()).collect();
    assert!(!rib.has_route_changes());
    rib.check().unwrap();
    changes
}

/// The one thing that is to be told.
fn one(rib: &mut Rib) -> RouteChange {
    let mut changes = told(rib);
    assert_eq!(changes.len(), 1, "{changes:?}");
    changes.remove(0)
}

fn hop(n: u32) -> IpAddr {
    next_hop(V4, n).address()
}

pub(crate) fn prefer(local_pref: u32) -> PathAttributes {
    PathAttributes {
        local_pref: Some(local_pref),
        ..PathAttributes::default()
    }
}

/// A route that another one originated and this peer reflects.
fn reflected(originator: u32) -> PathAttributes {
    PathAttributes {
        originator_id: Some(router_id(originator)),
        ..PathAttributes::default()
    }
}

#[test]
fn nobody_is_told_where_nothing_is_installed() {
    let mut lab = lab(settings(), 1);
    lab.say(1, &prefer(1), &[nth_net(V4, 1)]);
    assert!(told(&mut lab.rib).is_empty());
    assert_eq!(lab.rib.poll_next_hop(), None);
}

#[test]
fn a_best_path_comes_changes_and_goes() {
    let mut lab = lab(installing(), 2);
    let prefix = nth_net(V4, 1);
    lab.say(1, &prefer(200), &[prefix]);
    let change = one(&mut lab.rib);
    let best = change.best.unwrap();
    assert_eq!(
        (change.prefix, best.own, best.stale),
        (prefix, false, false)
    );
    assert_eq!(best.next_hops.as_slice(), [hop(1)]);
    assert_eq!(best.origin.peer, Some(PeerId(1)));
    assert_eq!(best.origin.router_id, router_id(1));
    assert!(change.rivals.is_empty() && !best.origin.external);

    lab.say(2, &prefer(300), &[prefix]);
    let change = one(&mut lab.rib);
    assert_eq!(change.best.unwrap().next_hops.as_slice(), [hop(2)]);
    assert_eq!(change.rivals[0].router_id, router_id(1));

    lab.unsay(2, &[prefix]);
    let change = one(&mut lab.rib);
    assert_eq!(change.best.unwrap().next_hops.as_slice(), [hop(1)]);
    assert!(change.rivals.is_empty());

    lab.down(1);
    lab.work();
    assert_eq!(one(&mut lab.rib).best, None);
    lab.work();
    assert_eq!(lab.rib.counts().prefixes[V4], 0);
}

#[test]
fn what_happened_before_somebody_asked_is_told_once() {
    let mut lab = lab(installing(), 2);
    let (busy, quiet) = (nth_net(V4, 1), nth_net(V4, 2));
    for n in 0..100 {
        lab.say(1, &prefer(n), &[busy]);
        lab.say(2, &prefer(7), &[quiet]);
    }
    let changes = told(&mut lab.rib);
    let prefixes: Vec<IpNet> = changes.iter().map(|change| change.prefix).collect();
    assert_eq!(prefixes, [busy, quiet]);
    // Gone and back in the same words is not worth a word about being gone.
    lab.unsay(1, &[busy]);
    lab.say(1, &prefer(99), &[busy]);
    assert!(one(&mut lab.rib).best.is_some());
}

#[test]
fn what_came_and_went_before_somebody_asked_leaves_nothing() {
    let mut lab = lab(installing(), 1);
    for n in 0..50_000 {
        lab.say(1, &prefer(1), &[nth_net(V4, n)]);
        lab.unsay(1, &[nth_net(V4, n)]);
        if n % 1_000 == 0 {
            lab.quiet();
            assert_eq!(lab.rib.counts().prefixes[V4], 0);
        }
    }
    assert!(told(&mut lab.rib).is_empty());
}

#[test]
fn what_was_told_stays_until_it_is_told_to_be_gone() {
    let mut lab = lab(installing(), 1);
    lab.say(1, &prefer(1), &[nth_net(V4, 1)]);
    one(&mut lab.rib);
    lab.unsay(1, &[nth_net(V4, 1)]);
    lab.quiet();
    // Nothing but the list knows the prefix, and its number is not given to another.
    lab.say(1, &prefer(1), &[nth_net(V4, 2)]);
    let changes = told(&mut lab.rib);
    assert_eq!(changes[0].prefix, nth_net(V4, 1));
    assert_eq!(changes[0].best, None);
    assert_eq!(changes[1].prefix, nth_net(V4, 2));
    lab.quiet();
    assert_eq!(lab.rib.counts().prefixes[V4], 1);
}

#[test]
fn the_same_route_through_another_reflector_is_no_news() {
    let mut lab = lab(installing(), 3);
    let prefix = nth_net(V4, 1);
    let route = announce(&reflected(9), next_hop(V4, 9), &[prefix]);
    lab.update(1, &route);
    one(&mut lab.rib);
    lab.update(2, &route);
    lab.update(3, &route);
    lab.unsay(3, &[prefix]);
    assert!(told(&mut lab.rib).is_empty());
    // The best one's session is another matter: who it came from is told.
    lab.unsay(1, &[prefix]);
    let best = one(&mut lab.rib).best.unwrap();
    assert_eq!(best.origin.peer, Some(PeerId(2)));
    assert_eq!(best.origin.router_id, router_id(9));
}

#[test]
fn equal_ways_are_told_in_order_and_no_more_than_wanted() {
    for (limit, expected) in [(1, vec![3]), (2, vec![1, 3]), (4, vec![1, 2, 3])] {
        let mut lab = lab(
            RibSettings {
                multipath: limit,
                ..installing()
            },
            4,
        );
        // Peers 1 and 2 lose by router id to 3's, which is ORIGINATOR_ID 0; 4 by preference.
        let prefix = nth_net(V4, 1);
        lab.update(3, &announce(&reflected(0), next_hop(V4, 3), &[prefix]));
        lab.say(2, &PathAttributes::default(), &[prefix]);
        lab.say(1, &PathAttributes::default(), &[prefix]);
        lab.say(4, &prefer(50), &[prefix]);
        let best = one(&mut lab.rib).best.unwrap();
        let expected: Vec<IpAddr> = expected.into_iter().map(hop).collect();
        assert_eq!(best.next_hops.as_slice(), expected);
        assert_eq!(best.origin.next_hop, hop(3));
    }
}

#[test]
fn equal_paths_with_one_next_hop_are_one_way() {
    let mut lab = lab(installing(), 2);
    let prefix = nth_net(V4, 1);
    for n in [1, 2] {
        lab.update(n, &announce(&reflected(9), next_hop(V4, 9), &[prefix]));
    }
    let best = one(&mut lab.rib).best.unwrap();
    assert_eq!(best.next_hops.as_slice(), [hop(9)]);
}

#[test]
fn rivals_come_in_the_order_in_which_they_would_follow() {
    let mut lab = lab(installing(), 9);
    let prefix = nth_net(V4, 1);
    for n in 1..=8 {
        lab.say(n, &prefer(100 + n), &[prefix]);
    }
    // The rival of peer 7 again, through peer 9: one of each.
    let mut again = reflected(7);
    again.local_pref = Some(1);
    lab.update(9, &announce(&again, next_hop(V4, 7), &[prefix]));
    let change = one(&mut lab.rib);
    let ids: Vec<RouterId> = change.rivals.iter().map(|rival| rival.router_id).collect();
    assert_eq!(ids, [7, 6, 5, 4].map(router_id));
    assert_eq!(ids.len(), MAX_RIVALS);
    assert_eq!(change.rivals[0].peer, Some(PeerId(7)));
}

#[test]
fn a_rival_of_our_own_route_is_told() {
    let mut lab = lab(installing(), 2);
    let prefix = nth_net(V4, 1);
    let ours = NextHop::V4(OUR_ADDRESS);
    lab.rib.originate(prefix, &PathAttributes::default(), ours);
    assert!(one(&mut lab.rib).best.unwrap().own);
    lab.say(1, &prefer(u32::MAX), &[prefix]);
    let change = one(&mut lab.rib);
    let best = change.best.unwrap();
    assert!(best.own && best.origin.peer.is_none());
    assert_eq!(best.origin.router_id, OUR_ID);
    assert_eq!(best.next_hops.as_slice(), [IpAddr::V4(OUR_ADDRESS)]);
    assert_eq!(change.rivals[0].next_hop, hop(1));
    lab.unsay(1, &[prefix]);
    assert!(one(&mut lab.rib).rivals.is_empty());
}

/// A block moves from us to another node: it is announced there before it is withdrawn here. The
/// other way is there at once, with nothing in between, and the same the other way round.
#[test]
fn a_prefix_that_moves_between_us_and_another_is_never_gone() {
    let mut lab = lab(installing(), 1);
    let prefix = nth_net(V4, 1);
    let ours = NextHop::V4(OUR_ADDRESS);
    lab.rib.originate(prefix, &PathAttributes::default(), ours);
    assert!(one(&mut lab.rib).best.unwrap().own);
    lab.say(1, &PathAttributes::default(), &[prefix]);
    assert_eq!(one(&mut lab.rib).rivals.len(), 1);
    assert!(lab.rib.withdraw(prefix));
    let change = one(&mut lab.rib);
    let best = change.best.unwrap();
    assert!(!best.own && change.rivals.is_empty());
    assert_eq!(best.next_hops.as_slice(), [hop(1)]);

    lab.rib.originate(prefix, &PathAttributes::default(), ours);
    let change = one(&mut lab.rib);
    assert!(change.best.unwrap().own);
    assert_eq!(change.rivals.len(), 1);
    lab.unsay(1, &[prefix]);
    let change = one(&mut lab.rib);
    assert!(change.best.unwrap().own && change.rivals.is_empty());
}

#[test]
fn originating_again_in_the_same_words_is_no_news() {
    let mut lab = lab(installing(), 1);
    let ours = NextHop::V4(OUR_ADDRESS);
    for n in 0..100 {
        lab.rib
            .originate(nth_net(V4, n), &PathAttributes::default(), ours);
    }
    assert_eq!(told(&mut lab.rib).len(), 100);
    lab.converge();
    for n in 0..100 {
        lab.rib
            .originate(nth_net(V4, n), &PathAttributes::default(), ours);
    }
    assert!(told(&mut lab.rib).is_empty() && !lab.rib.unsettled());
    assert_eq!(lab.rib.counts().attributes, 1);
}

#[test]
fn routes_of_a_peer_that_is_away_are_stale_until_it_says_them_again() {
    let mut lab = lab(installing(), 1);
    let prefixes = [nth_net(V4, 1), nth_net(V6, 1), nth_net(V4, 2)];
    lab.say(1, &prefer(1), &prefixes);
    assert_eq!(told(&mut lab.rib).len(), 3);
    let kept = lab.restart(1).unwrap();
    lab.work();
    let changes = told(&mut lab.rib);
    assert_eq!(changes.len(), 3);
    assert!(
        changes
            .iter()
            .all(|change| change.best.as_ref().unwrap().stale)
    );

    lab.up(facts(1, PeerRole::NonClient));
    lab.work();
    assert!(
        told(&mut lab.rib).is_empty(),
        "it is back and has said nothing"
    );
    lab.say(1, &prefer(1), &prefixes[..1]);
    let change = one(&mut lab.rib);
    assert!(!change.best.unwrap().stale);
    lab.forget(kept);
    lab.work();
    let changes = told(&mut lab.rib);
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|change| change.best.is_none()));
}

#[test]
fn a_lost_peer_whose_routes_are_not_kept_is_not_said_to_be_stale() {
    let mut lab = lab(installing(), 2);
    lab.say(1, &prefer(2), &[nth_net(V4, 1)]);
    lab.say(2, &prefer(1), &[nth_net(V4, 1)]);
    told(&mut lab.rib);
    lab.down(1);
    lab.work();
    let best = one(&mut lab.rib).best.unwrap();
    assert_eq!((best.origin.peer, best.stale), (Some(PeerId(2)), false));
}

fn interests(rib: &mut Rib) -> BTreeMap<IpAddr, bool> {
    std::iter::from_fn(|| rib.poll_next_hop())
        .map(|interest| (interest.address, interest.wanted))
        .collect()
}

#[test]
fn a_tracked_next_hop_is_unreachable_until_it_is_told() {
    let mut lab = lab(tracking(), 2);
    let prefix = nth_net(V4, 1);
    lab.say(1, &prefer(1), &[prefix, nth_net(V4, 2)]);
    assert!(
        told(&mut lab.rib).is_empty(),
        "nothing is known of its next hop"
    );
    assert_eq!(interests(&mut lab.rib), BTreeMap::from([(hop(1), true)]));
    let lost = lab.rib.explain(&prefix).paths[0].state;
    assert_eq!(lost, PathState::Lost(Reason::NextHopUnreachable));

    lab.rib
        .set_next_hop(hop(1), Reachability::Reachable { metric: 1 });
    lab.work();
    assert_eq!(told(&mut lab.rib).len(), 2);

    // A gateway dies: the other way is there as soon as it is known, in one change each.
    lab.say(2, &prefer(0), &[prefix]);
    assert!(told(&mut lab.rib).is_empty(), "not usable, so no rival");
    assert_eq!(interests(&mut lab.rib), BTreeMap::from([(hop(2), true)]));
    lab.rib
        .set_next_hop(hop(2), Reachability::Reachable { metric: 1 });
    lab.work();
    assert_eq!(one(&mut lab.rib).rivals.len(), 1);
    lab.rib.set_next_hop(hop(1), Reachability::Unreachable);
    assert!(!lab.rib.work(100), "a small table takes one slice");
    let changes = told(&mut lab.rib);
    assert_eq!(changes.len(), 2);
    assert_eq!(
        changes[0].best.as_ref().unwrap().next_hops.as_slice(),
        [hop(2)]
    );
    assert_eq!(changes[1].best, None);
}

/// A sweep has not come to the prefix when it is asked for: what is told is what was decided.
#[test]
fn what_a_sweep_has_not_found_is_not_told() {
    let mut lab = lab(tracking(), 1);
    let prefix = nth_net(V4, 1);
    let ours = NextHop::V4(OUR_ADDRESS);
    lab.say(1, &prefer(1), &[prefix]);
    lab.rib
        .set_next_hop(hop(1), Reachability::Reachable { metric: 1 });
    lab.rib.set_next_hop(hop(1), Reachability::Unreachable);
    lab.work();
    lab.rib.originate(prefix, &PathAttributes::default(), ours);
    lab.rib
        .set_next_hop(hop(1), Reachability::Reachable { metric: 1 });
    assert!(one(&mut lab.rib).rivals.is_empty());
    lab.unsay(1, &[prefix]);
    lab.work();
    let changes = told(&mut lab.rib);
    assert!(changes.iter().all(|change| change.rivals.is_empty()));
}

#[test]
fn only_usable_paths_of_peers_make_a_next_hop_wanted() {
    let mut lab = lab(tracking(), 1);
    let looped = PathAttributes {
        as_path: path(&[OUR_AS.0]),
        ..PathAttributes::default()
    };
    lab.say(1, &looped, &[nth_net(V4, 1)]);
    let ours = NextHop::V4(OUR_ADDRESS);
    lab.rib
        .originate(nth_net(V4, 2), &PathAttributes::default(), ours);
    assert!(interests(&mut lab.rib).is_empty());
    assert!(
        one(&mut lab.rib).best.unwrap().own,
        "we trust our own next hop"
    );
    lab.say(1, &prefer(1), &[nth_net(V4, 1)]);
    lab.say(1, &prefer(2), &[nth_net(V4, 1)]);
    assert_eq!(interests(&mut lab.rib), BTreeMap::from([(hop(1), true)]));
    lab.say(1, &looped, &[nth_net(V4, 1)]);
    assert_eq!(interests(&mut lab.rib), BTreeMap::from([(hop(1), false)]));
}

#[test]
fn what_was_told_of_a_next_hop_ends_with_the_interest_in_it() {
    let mut lab = lab(tracking(), 1);
    lab.say(1, &prefer(1), &[nth_net(V4, 1)]);
    assert_eq!(interests(&mut lab.rib).len(), 1);
    lab.rib.set_next_hop(hop(1), Reachability::TRUSTED);
    lab.down(1);
    lab.work();
    assert_eq!(interests(&mut lab.rib), BTreeMap::from([(hop(1), false)]));
    lab.up(facts(1, PeerRole::NonClient));
    lab.say(1, &prefer(1), &[nth_net(V4, 1)]);
    lab.work();
    assert!(told(&mut lab.rib).is_empty());
    assert_eq!(interests(&mut lab.rib), BTreeMap::from([(hop(1), true)]));
}
