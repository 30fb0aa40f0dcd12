//! Addresses of workloads: inside our blocks nothing, outside announced by themselves.

use crate::world::{World, change, from, net, origin, own, owning, reflected};
use bgp_blocks::LINGER;
use std::time::Duration;

#[test]
fn a_borrowed_address_is_announced_while_its_route_is_there() {
    let mut world = World::new(owning(&["10.244.3.64/26"]));
    world.ordered();
    world.workload("10.244.9.5/32", "cali1", true);
    assert_eq!(world.ordered(), ["announce 10.244.9.5/32"]);
    assert_eq!(
        world.node.borrowed().collect::<Vec<_>>(),
        [net("10.244.9.5/32")]
    );
    // A second device, and then the first one goes: somebody still has it.
    world.workload("10.244.9.5/32", "cali2", true);
    world.workload("10.244.9.5/32", "cali1", false);
    world.workload("10.244.9.5/32", "cali7", false);
    assert!(world.ordered().is_empty());
    world.workload("10.244.9.5/32", "cali2", false);
    assert_eq!(world.ordered(), ["withdraw 10.244.9.5/32"]);
    world.workload("fd10::9:5/128", "cali1", true);
    assert_eq!(world.ordered(), ["announce fd10::9:5/128"]);
}

#[test]
fn what_is_not_in_a_new_list_of_all_host_routes_is_gone() {
    let mut world = World::new(owning(&[]));
    for address in ["10.244.9.5/32", "10.244.9.6/32"] {
        world.workload(address, "cali1", true);
    }
    world.ordered();
    let all = ["10.244.9.6/32", "10.244.9.7/32"].map(|address| (net(address), "cali1".into()));
    world.node.replace_host_routes(world.now, all);
    world.run();
    let mut ordered = world.ordered();
    ordered.sort();
    assert_eq!(
        ordered,
        ["announce 10.244.9.7/32", "withdraw 10.244.9.5/32"]
    );
}

#[test]
fn nothing_else_is_announced() {
    let mut world = World::new(owning(&["10.244.3.64/26"]));
    world.ordered();
    world.workload("10.244.3.70/32", "cali1", true); // inside our block
    world.workload("10.244.9.5/32", "eth0", true); // not a workload's device
    world.workload("192.0.2.5/32", "cali1", true); // in no pool
    world.workload("10.244.10.0/24", "cali1", true); // more than one address
    assert!(world.ordered().is_empty());
}

#[test]
fn a_flap_that_nobody_saw_orders_nothing() {
    let mut world = World::new(owning(&[]));
    let device = "cali1".into();
    for present in [true, false, true, false] {
        let prefix = net("10.244.9.5/32");
        world
            .node
            .handle_host_route(world.now, prefix, &device, present);
    }
    world.run();
    assert!(world.ordered().is_empty());
}

#[test]
fn a_workload_that_is_here_is_not_sought_elsewhere() {
    let mut world = World::new(owning(&["10.244.3.64/26"]));
    world.ordered();
    world.best("10.244.3.70/32", from("10.0.1.12"));
    assert_eq!(world.ordered(), ["install 10.244.3.70/32 via 10.0.1.12"]);
    world.workload("10.244.3.70/32", "cali1", true);
    assert_eq!(world.ordered(), ["uninstall 10.244.3.70/32"]);
    world.workload("10.244.3.70/32", "cali1", false);
    assert_eq!(world.ordered(), ["install 10.244.3.70/32 via 10.0.1.12"]);
}

#[test]
fn the_block_follows_its_workload_and_the_address_lingers_until_all_follow_the_block() {
    let mut world = World::new(owning(&[]));
    world.best("10.244.3.64/26", reflected("10.0.1.12"));
    world.workload("10.244.3.70/32", "cali1", true);
    world.own("10.244.3.70/32");
    world.ordered();
    world.add_block("10.244.3.64/26");
    let expected = [
        "install 10.244.3.64/26 blackhole",
        "announce 10.244.3.64/26",
    ];
    assert_eq!(world.ordered(), expected);
    // The old owner still claims it: some nodes may follow the old one.
    let rival = [origin("10.0.1.12", "10.0.0.1")];
    world.tell(&change("10.244.3.64/26", Some(own()), &rival));
    world.pass(LINGER * 5);
    assert!(world.ordered().is_empty());
    world.own("10.244.3.64/26");
    world.pass(LINGER - Duration::from_millis(1));
    assert!(world.ordered().is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.ordered(), ["withdraw 10.244.3.70/32"]);
    // Whoever comes now was never announced.
    world.workload("10.244.3.71/32", "cali2", true);
    assert!(world.ordered().is_empty());
}

#[test]
fn a_block_that_goes_leaves_its_workloads_announced_first() {
    let mut world = World::new(owning(&["10.244.3.64/26"]));
    world.own("10.244.3.64/26");
    world.workload("10.244.3.70/32", "cali1", true);
    world.workload("10.244.3.71/32", "cali2", true);
    world.ordered();
    world.remove_block("10.244.3.64/26");
    let expected = [
        "announce 10.244.3.70/32",
        "announce 10.244.3.71/32",
        "withdraw 10.244.3.64/26",
    ];
    assert_eq!(world.ordered(), expected);
}

#[test]
fn a_block_that_returns_takes_its_addresses_back_without_any_news() {
    let mut world = World::new(owning(&["10.244.3.64/26"]));
    world.own("10.244.3.64/26");
    world.workload("10.244.3.70/32", "cali1", true);
    world.remove_block("10.244.3.64/26");
    world.add_block("10.244.3.64/26");
    world.ordered();
    world.pass(LINGER);
    assert_eq!(world.ordered(), ["withdraw 10.244.3.70/32"]);
}

#[test]
fn an_address_of_our_block_that_lives_elsewhere_is_installed() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.ordered();
    world.best("10.1.3.70/32", from("10.0.1.12"));
    assert_eq!(
        world.ordered(),
        ["install 10.1.3.70/32 via 10.0.1.12 dev tunl0 onlink"]
    );
    assert!(world.notices.is_empty(), "{:?}", world.notices);
}
