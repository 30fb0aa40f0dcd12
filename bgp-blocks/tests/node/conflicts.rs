//! Who claims what, and in which words it is said.

use crate::world::{World, change, external, from, net, origin, own, owning, reflected};
use std::time::Duration;

#[test]
fn our_block_announced_by_another_is_told_with_both_names() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.own("10.1.3.64/26");
    let rival = [origin("10.0.2.13", "10.0.0.1")];
    world.tell(&change("10.1.3.64/26", Some(own()), &rival));
    let expected = "conflict: block 10.1.3.64/26 of node-11 (10.0.1.11, router id 10.0.1.11) is \
                    also announced by node-13 (10.0.2.13, router id 10.0.2.13), heard from \
                    10.0.0.1; we keep it, and nodes that hear both follow the lowest router id, \
                    node-11 (10.0.1.11, router id 10.0.1.11): take it away from one of them";
    assert_eq!(world.notices, [expected]);
    let since = world.now;
    world.pass(Duration::from_secs(7));
    // The same once more, and through another reflector, is no news.
    let other_way = [origin("10.0.2.13", "10.0.0.2")];
    world.tell(&change("10.1.3.64/26", Some(own()), &other_way));
    assert_eq!(world.notices.len(), 1);
    let conflict = world.node.conflicts().next().unwrap();
    assert_eq!(
        (conflict.since, conflict.block),
        (since, Some(net("10.1.3.64/26")))
    );
    assert_eq!(world.node.blocks().next().unwrap().rivals, conflict.others);
    // We keep forwarding for it.
    assert_eq!(world.route("10.1.3.64/26").as_deref(), Some("blackhole"));
    world.own("10.1.3.64/26");
    assert_eq!(world.notices.len(), 2);
    assert!(world.notices[1].ends_with("claimed once again only, after 7.0 s"));
    assert_eq!(world.node.conflicts().count(), 0);
}

#[test]
fn the_lowest_router_id_is_named_as_the_winner_elsewhere() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    let rival = [origin("10.0.1.2", "10.0.1.2")];
    world.tell(&change("10.1.3.64/26", Some(own()), &rival));
    let conflict = world.node.conflicts().next().unwrap();
    assert_eq!(conflict.winner_elsewhere(), &conflict.others[0]);
    assert_eq!(conflict.others[0].heard_from, None);
}

#[test]
fn a_third_claimant_is_news() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    let one = origin("10.0.1.12", "10.0.1.12");
    let two = origin("10.0.2.13", "10.0.2.13");
    world.tell(&change("10.1.3.64/26", Some(own()), &[one]));
    world.tell(&change("10.1.3.64/26", Some(own()), &[one, two]));
    assert_eq!(world.notices.len(), 2);
    // One of three goes: still a conflict, and nothing new.
    world.tell(&change("10.1.3.64/26", Some(own()), &[two]));
    assert_eq!(world.notices.len(), 2);
    assert_eq!(world.node.conflicts().count(), 1);
}

#[test]
fn a_block_that_is_taken_over_is_a_conflict_until_one_lets_go() {
    let mut world = World::new(owning(&[]));
    world.best("10.1.3.64/26", from("10.0.1.12"));
    world.add_block("10.1.3.64/26");
    assert_eq!(world.notices.len(), 1);
    world.remove_block("10.1.3.64/26");
    assert_eq!(world.notices.len(), 2);
    assert_eq!(world.node.conflicts().count(), 0);
    let route = world.route("10.1.3.64/26").unwrap();
    assert_eq!(route, "via 10.0.1.12 dev tunl0 onlink");
}

#[test]
fn who_looks_on_says_it_too() {
    let mut world = World::new(owning(&[]));
    let rival = [origin("10.0.2.13", "10.0.0.1")];
    let best = || Some(reflected("10.0.1.12"));
    world.tell(&change("10.1.3.64/26", best(), &rival));
    let expected = "conflict: block 10.1.3.64/26 is announced by node-12 (10.0.1.12, router id \
                    10.0.1.12), heard from 10.0.0.1 and by node-13 (10.0.2.13, router id \
                    10.0.2.13), heard from 10.0.0.1; the first is used: take it away from one of \
                    them";
    assert_eq!(world.notices, [expected]);
    // An address that moves, and a prefix outside the pools, are nobody's block.
    world.tell(&change("10.1.3.70/32", best(), &rival));
    world.tell(&change("192.0.2.0/26", best(), &rival));
    world.tell(&change("10.1.0.0/20", best(), &rival));
    assert_eq!(world.notices.len(), 1);
}

/// The engine prefers the nearer owner, which is another one in every rack.
#[test]
fn all_follow_the_lowest_router_id() {
    let rival = |address| [origin(address, "10.0.0.1")];
    for (best, other) in [("10.0.1.12", "10.0.2.13"), ("10.0.2.13", "10.0.1.12")] {
        let mut world = World::new(owning(&[]));
        let change = change("10.1.3.64/26", Some(reflected(best)), &rival(other));
        world.tell(&change);
        let route = world.route("10.1.3.64/26").unwrap();
        assert_eq!(route, "via 10.0.1.12 dev tunl0 onlink");
        assert!(world.notices[0].contains("is announced by node-12"));
    }
}

#[test]
fn two_routers_above_the_rack_may_say_the_same() {
    let mut world = World::new(owning(&[]));
    let mut rival = origin("10.0.1.2", "10.0.1.2");
    rival.external = true;
    world.tell(&change(
        "10.1.3.64/26",
        Some(external("10.0.1.1")),
        &[rival],
    ));
    world.tell(&change("10.1.4.64/26", Some(from("10.0.1.12")), &[rival]));
    assert!(world.notices.is_empty());
}

#[test]
fn prefixes_that_share_addresses_with_our_block_are_told() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.best("10.1.3.0/24", from("10.0.1.12"));
    world.best("10.1.3.64/27", from("10.0.1.12"));
    assert_eq!(world.notices.len(), 2);
    assert!(world.notices[0].contains("10.1.3.0/24 is announced by node-12"));
    assert!(world.notices[0].contains("shares addresses with block 10.1.3.64/26 of node-11"));
    // The pool as a whole, or what comes from outside, sums up many blocks.
    world.best("10.1.0.0/16", from("10.0.1.12"));
    world.best("10.1.2.0/23", external("10.0.1.1"));
    assert_eq!(world.notices.len(), 2);
    world.remove_block("10.1.3.64/26");
    assert_eq!(world.node.conflicts().count(), 0);
    world.add_block("10.1.3.64/26");
    assert_eq!(world.node.conflicts().count(), 2);
}
