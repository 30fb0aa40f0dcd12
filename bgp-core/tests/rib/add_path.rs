//! Peers that take several paths to a prefix (RFC 7911) hear two: the best one, and the best of
//! another originator.

use crate::support::*;
use bgp_core::family::FamilySet;
use bgp_core::prefix::IpNet;
use bgp_core::rib::{PeerFacts, Plane};
use bgp_core::types::{PeerRole, RouterId};
use bgp_core::wire::{PathAttributes, RefreshSubtype};
use bytes::Bytes;

fn several(facts: PeerFacts) -> PeerFacts {
    PeerFacts {
        add_path_send: FamilySet::ALL,
        ..facts
    }
}

fn client(n: u32) -> PeerFacts {
    facts(n, PeerRole::Client)
}

fn prefer(local_pref: u32) -> PathAttributes {
    PathAttributes {
        local_pref: Some(local_pref),
        ..PathAttributes::default()
    }
}

/// Who originated what a peer believes: the best route and the second one.
fn believed(lab: &Lab, n: u32, prefix: &IpNet) -> [Option<RouterId>; 2] {
    let client = &lab.clients[&n];
    [&client.routes, &client.rivals].map(|plane| plane.get(prefix)?.0.originator_id)
}

#[test]
fn the_second_path_is_the_best_of_another_originator() {
    let mut lab = Lab::new();
    let prefix = nth_net(V4, 1);
    lab.up(several(client(1)));
    lab.up(client(2));
    lab.up(client(3));
    lab.up(facts(4, PeerRole::NonClient));
    lab.say(2, &prefer(300), &[prefix]);
    // The same route through another reflector, next in the order, is no second owner.
    let mut again = prefer(200);
    again.originator_id = Some(router_id(2));
    lab.say(4, &again, &[prefix]);
    lab.converge();
    assert_eq!(believed(&lab, 1, &prefix), [Some(router_id(2)), None]);
    lab.say(3, &prefer(100), &[prefix]);
    lab.converge();
    let two = [Some(router_id(2)), Some(router_id(3))];
    assert_eq!(believed(&lab, 1, &prefix), two);
    // They change places, and the second goes.
    lab.say(3, &prefer(400), &[prefix]);
    lab.converge();
    let turned = [Some(router_id(3)), Some(router_id(2))];
    assert_eq!(believed(&lab, 1, &prefix), turned);
    lab.unsay(2, &[prefix]);
    lab.converge();
    // What the other reflector still says of it is its second path now.
    assert_eq!(believed(&lab, 1, &prefix), turned);
    lab.unsay(4, &[prefix]);
    lab.converge();
    assert_eq!(believed(&lab, 1, &prefix), [Some(router_id(3)), None]);
    lab.unsay(3, &[prefix]);
    lab.converge();
    assert_eq!(believed(&lab, 1, &prefix), [None, None]);
}

#[test]
fn each_owner_hears_of_the_other() {
    let mut lab = Lab::new();
    let prefix = nth_net(V6, 1);
    for n in [1, 2, 3] {
        lab.up(several(client(n)));
    }
    for n in [1, 2, 3] {
        lab.say(n, &prefer(400 - n), &[prefix]);
    }
    lab.converge();
    assert_eq!(believed(&lab, 1, &prefix), [None, Some(router_id(2))]);
    assert_eq!(believed(&lab, 2, &prefix), [Some(router_id(1)), None]);
    let two = [Some(router_id(1)), Some(router_id(2))];
    assert_eq!(believed(&lab, 3, &prefix), two);
}

#[test]
fn a_rival_of_our_own_route_is_passed_on() {
    let mut lab = Lab::new();
    let prefix = nth_net(V4, 1);
    lab.up(several(client(1)));
    lab.up(client(2));
    let ours = next_hop(V4, 77);
    lab.rib.originate(prefix, &prefer(100), ours);
    lab.say(2, &prefer(500), &[prefix]);
    lab.converge();
    let client = lab.client(1);
    assert_eq!(client.routes[&prefix].1, ours);
    assert_eq!(client.rivals[&prefix].1, next_hop(V4, 2));
    lab.rib.withdraw(prefix);
    lab.converge();
    assert_eq!(believed(&lab, 1, &prefix), [Some(router_id(2)), None]);
}

#[test]
fn rivals_follow_next_hops() {
    use bgp_core::rib::Reachability;
    let mut lab = Lab::new();
    let prefix = nth_net(V4, 1);
    lab.up(several(client(1)));
    for n in [2, 3, 4] {
        lab.up(client(n));
        lab.say(n, &prefer(400 - n), &[prefix]);
    }
    lab.converge();
    let two = [Some(router_id(2)), Some(router_id(3))];
    assert_eq!(believed(&lab, 1, &prefix), two);
    let third = next_hop(V4, 3).address();
    lab.rib.set_next_hop(third, Reachability::Unreachable);
    lab.converge();
    let other = [Some(router_id(2)), Some(router_id(4))];
    assert_eq!(believed(&lab, 1, &prefix), other);
    lab.rib.set_next_hop(third, Reachability::TRUSTED);
    lab.converge();
    assert_eq!(believed(&lab, 1, &prefix), two);
}

#[test]
fn end_of_rib_is_said_once_and_after_both_planes() {
    let mut lab = Lab::new();
    let nets: Vec<IpNet> = (0..300).map(|n| nth_net(V4, n)).collect();
    for n in [1, 2] {
        lab.up(client(n));
        lab.say(n, &prefer(400 - n), &nets);
    }
    lab.converge();
    lab.rib.hold_end_of_rib(true);
    lab.up(several(client(3)));
    // It reads slowly, and one plane comes after the other.
    lab.work();
    let mut reader = lab.clients.remove(&3).unwrap();
    while reader.read(&mut lab.rib, 1) {}
    assert_eq!((reader.routes.len(), reader.rivals.len()), (300, 300));
    assert_eq!(reader.end_of_rib[V4], 0, "it is held back");
    lab.rib.hold_end_of_rib(false);
    lab.work();
    while reader.read(&mut lab.rib, 1) {}
    let announced = reader
        .heard
        .iter()
        .rposition(|heard| matches!(heard, Heard::Announce(_)));
    let end = reader
        .heard
        .iter()
        .position(|heard| *heard == Heard::EndOfRib(V4));
    assert!(announced < end, "{announced:?} {end:?}");
    assert_eq!((reader.end_of_rib[V4], reader.end_of_rib[V6]), (1, 1));
}

#[test]
fn a_repeated_table_is_framed_once_around_both_planes() {
    let mut lab = Lab::new();
    let nets: Vec<IpNet> = (0..10).map(|n| nth_net(V4, n)).collect();
    for n in [1, 2] {
        lab.up(client(n));
        lab.say(n, &prefer(400 - n), &nets);
    }
    let mut reader = several(client(3));
    reader.enhanced_refresh = true;
    lab.up(reader);
    lab.converge();
    lab.client(3).heard.clear();
    let slot = lab.clients[&3].slot;
    // Asked again while it is repeated: repeated again, and again framed.
    lab.rib.refresh(slot, V4);
    lab.work();
    let mut out = Vec::new();
    lab.rib.transmit(slot, 1, &mut out);
    lab.rib.refresh(slot, V4);
    let client = lab.client(3);
    out.iter().for_each(|bytes| client.take(bytes));
    lab.converge();
    let heard = &lab.clients[&3].heard;
    let count = |wanted: RefreshSubtype| {
        let is_wanted = |heard: &&Heard| **heard == Heard::Refresh(V4, wanted);
        heard.iter().filter(is_wanted).count()
    };
    assert_eq!(heard[0], Heard::Refresh(V4, RefreshSubtype::Begin));
    assert_eq!(heard.last(), Some(&Heard::Refresh(V4, RefreshSubtype::End)));
    assert!(count(RefreshSubtype::End) >= 1);
    assert!(count(RefreshSubtype::Begin) >= count(RefreshSubtype::End));
    let last = heard
        .iter()
        .rposition(|heard| *heard == Heard::Refresh(V4, RefreshSubtype::Begin))
        .unwrap();
    let repeated = heard[last..]
        .iter()
        .filter(|heard| matches!(heard, Heard::Announce(_)));
    assert_eq!(repeated.count(), 20, "both planes since the last beginning");
}

/// All octets that peer 2 is sent in a small history, beside another one of this kind.
fn octets_beside(other: PeerFacts) -> Vec<Bytes> {
    let mut lab = Lab::new();
    lab.up(other);
    lab.up(client(2));
    lab.up(client(3));
    lab.up(client(4));
    let mut out = Vec::new();
    for round in 0..20 {
        let nets: Vec<IpNet> = (round..round + 5).map(|n| nth_net(V4, n)).collect();
        lab.say(3 + round % 2, &prefer(round % 7), &nets);
        lab.unsay(4 - round % 2, &nets[..2]);
        lab.work();
        let slot = lab.clients[&2].slot;
        while lab.rib.transmit(slot, 10_000, &mut out) {}
    }
    assert!(out.len() > 20);
    out
}

#[test]
fn who_takes_one_path_hears_what_it_always_heard() {
    assert_eq!(octets_beside(client(1)), octets_beside(several(client(1))));
}

#[test]
fn a_session_that_takes_two_paths_reads_two_groups() {
    let mut lab = Lab::new();
    let mut only_v4 = client(1);
    only_v4.add_path_send = FamilySet::from_iter([V4]);
    lab.up(only_v4);
    lab.up(client(2));
    lab.say(2, &prefer(1), &[nth_net(V4, 1), nth_net(V6, 1)]);
    lab.converge();
    let summary = lab.rib.summary(lab.clients[&1].slot).unwrap();
    let plane = |id| {
        let groups = lab.rib.groups();
        groups
            .into_iter()
            .find(|group| group.id == id)
            .unwrap()
            .profile
            .plane
    };
    let v4 = summary.tables[V4].unwrap();
    assert_eq!(plane(v4.group), Plane::Best);
    assert_eq!(v4.rivals.map(plane), Some(Plane::Rival));
    assert!(v4.end_of_rib && v4.behind == 0 && v4.announced == 1);
    let v6 = summary.tables[V6].unwrap();
    assert_eq!((plane(v6.group), v6.rivals), (Plane::Single, None));
    lab.down(1);
    lab.down(2);
    lab.quiet();
    assert!(lab.rib.groups().is_empty());
}
