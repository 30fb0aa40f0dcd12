//! Memory of peers that are away: long-lived stale routes, and what news makes void.

use crate::support::*;
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use bgp_core::rib::{PathState, PeerSlot, Reason, Refusal, Verdict};
use bgp_core::types::{ClusterId, PeerRole};
use bgp_core::wire::{Community, PathAttributes};

fn all() -> bgp_core::family::FamilySet {
    Family::ALL.into_iter().collect()
}

fn with_communities(communities: &[Community]) -> PathAttributes {
    PathAttributes {
        communities: communities.to_vec(),
        ..PathAttributes::default()
    }
}

/// What another reflector tells of peer `n`.
fn reflected(n: u32) -> PathAttributes {
    PathAttributes {
        originator_id: Some(router_id(n)),
        cluster_list: vec![ClusterId([9, 9, 9, 9].into())],
        ..PathAttributes::default()
    }
}

/// The prefix with which the tests play.
fn block() -> IpNet {
    net("10.244.1.0/26")
}

fn age(lab: &mut Lab, slot: PeerSlot) {
    lab.rib.begin_long_lived(slot, all());
}

/// Who says what about the block, and what became of it.
fn paths(lab: &Lab) -> Vec<(u32, PathState)> {
    let paths = lab.rib.explain(&block()).paths.into_iter();
    let mut states: Vec<_> = paths
        .map(|path| (path.peer.unwrap().0, path.state))
        .collect();
    states.sort_by_key(|(peer, _)| *peer);
    states
}

#[test]
fn routes_that_become_long_lived_stale_get_the_community_and_stay() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    let nets: Vec<IpNet> = (0..1_000).map(|n| nth_net(V4, n)).collect();
    lab.say(1, &with_communities(&[Community(7)]), &nets);
    lab.converge();
    let slot = lab.restart(1).unwrap();
    lab.converge();
    age(&mut lab, slot);
    lab.converge();
    let routes = &lab.client(2).routes;
    assert_eq!(routes.len(), nets.len());
    let marked = [Community(7), Community::LLGR_STALE];
    assert!(routes.values().all(|(said, _)| said.communities == marked));
    lab.forget(slot);
    lab.converge();
    assert!(lab.client(2).routes.is_empty());
}

#[test]
fn routes_with_no_llgr_go_instead() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.say(1, &with_communities(&[Community::NO_LLGR]), &[block()]);
    lab.say(1, &PathAttributes::default(), &[net("10.244.2.0/26")]);
    let slot = lab.restart(1).unwrap();
    lab.converge();
    assert_eq!(lab.client(2).routes.len(), 2);
    age(&mut lab, slot);
    lab.converge();
    assert_eq!(lab.client(2).announced(), [net("10.244.2.0/26")]);
}

#[test]
fn a_long_lived_stale_route_loses_to_any_other() {
    let mut lab = Lab::new();
    for n in 1..=3 {
        lab.up(facts(n, PeerRole::Client));
    }
    let preferred = PathAttributes {
        local_pref: Some(1_000),
        ..PathAttributes::default()
    };
    lab.say(1, &preferred, &[block()]);
    lab.say(2, &PathAttributes::default(), &[block()]);
    let slot = lab.restart(1).unwrap();
    lab.converge();
    assert_eq!(paths(&lab)[0], (1, PathState::Best));
    age(&mut lab, slot);
    lab.converge();
    let stale = PathState::Lost(Reason::LongLivedStale);
    assert_eq!(paths(&lab), [(1, stale), (2, PathState::Best)]);
    lab.unsay(2, &[block()]);
    lab.converge();
    assert_eq!(paths(&lab), [(1, PathState::Best)]);
}

#[test]
fn one_that_was_received_is_the_least_preferred_too() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.say(1, &with_communities(&[Community::LLGR_STALE]), &[block()]);
    lab.say(2, &PathAttributes::default(), &[block()]);
    lab.converge();
    let stale = PathState::Lost(Reason::LongLivedStale);
    assert_eq!(paths(&lab), [(1, stale), (2, PathState::Best)]);
}

#[test]
fn who_does_not_know_long_lived_stale_routes_is_told_that_they_are_gone() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    let mut old = facts(3, PeerRole::Client);
    old.long_lived = false;
    lab.up(old);
    lab.say(1, &PathAttributes::default(), &[block()]);
    let slot = lab.restart(1).unwrap();
    lab.converge();
    assert_eq!(lab.client(3).announced(), [block()]);
    age(&mut lab, slot);
    lab.converge();
    assert_eq!(lab.client(2).announced(), [block()]);
    assert!(lab.client(3).routes.is_empty());
    let verdicts = lab.rib.explain(&block()).groups;
    let refused = Verdict::Refused(Refusal::LongLivedStale);
    assert!(verdicts.iter().any(|(_, verdict)| *verdict == refused));
    // The peer is back and says it again.
    lab.up(facts(1, PeerRole::Client));
    lab.say(1, &PathAttributes::default(), &[block()]);
    lab.forget(slot);
    lab.converge();
    assert_eq!(lab.client(3).announced(), [block()]);
}

#[test]
fn a_route_that_is_taken_back_by_one_reflector_is_not_remembered_from_the_other() {
    for replaced in [false, true] {
        let mut lab = Lab::new();
        lab.up(facts(1, PeerRole::NonClient));
        lab.up(facts(2, PeerRole::NonClient));
        let other = net("10.244.2.0/26");
        for n in [1, 2] {
            lab.say(n, &reflected(77), &[block(), other]);
        }
        lab.restart(1).unwrap();
        lab.converge();
        assert_eq!(paths(&lab).len(), 2);
        if replaced {
            // The block has moved.
            lab.say(2, &reflected(78), &[block()]);
        } else {
            lab.unsay(2, &[block()]);
        }
        lab.converge();
        let left: Vec<u32> = paths(&lab).into_iter().map(|(peer, _)| peer).collect();
        assert_eq!(left, if replaced { vec![2] } else { vec![] });
        assert_eq!(lab.rib.explain(&other).paths.len(), 2);
    }
}

#[test]
fn a_peer_that_is_given_up_is_not_remembered_from_a_reflector_either() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::NonClient));
    lab.up(facts(2, PeerRole::Client));
    lab.say(1, &reflected(2), &[block()]);
    lab.say(2, &PathAttributes::default(), &[block()]);
    lab.restart(1).unwrap();
    lab.down(2);
    lab.converge();
    assert_eq!(paths(&lab), []);
}

/// The last words of reflectors stay when all are gone, in whatever way.
#[test]
fn a_lost_reflector_takes_nobody_s_memory_along() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::NonClient));
    lab.up(facts(2, PeerRole::NonClient));
    for n in [1, 2] {
        lab.say(n, &reflected(77), &[block()]);
    }
    lab.restart(1).unwrap();
    lab.down(2);
    lab.converge();
    assert_eq!(paths(&lab), [(1, PathState::Best)]);
}

/// What another originator announces is another route.
#[test]
fn news_of_one_originator_says_nothing_about_another() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::NonClient));
    lab.up(facts(2, PeerRole::NonClient));
    lab.say(1, &reflected(77), &[block()]);
    lab.say(2, &reflected(78), &[block()]);
    lab.restart(1).unwrap();
    lab.unsay(2, &[block()]);
    lab.converge();
    assert_eq!(paths(&lab), [(1, PathState::Best)]);
}
