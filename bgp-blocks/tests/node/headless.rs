//! All reflectors are gone: the last routes stay.

use crate::world::{World, external, from, owning, reflected};
use bgp_blocks::DEFAULT_STALE_TIME;
use std::time::Duration;

#[test]
fn what_reflectors_told_stays_until_they_have_told_anew() {
    let mut world = World::new(owning(&[]));
    world.best("10.1.1.0/26", reflected("10.0.1.12"));
    world.best("10.3.2.0/26", reflected("10.0.2.13"));
    world.ordered();
    world.node.handle_headless(world.now);
    world.gone("10.1.1.0/26");
    world.gone("10.3.2.0/26");
    assert!(world.ordered().is_empty());
    assert_eq!(world.node.held(), 2);
    world.pass(Duration::from_secs(3_600));
    assert!(world.ordered().is_empty());
    // They are back: one route is told again, the other is not.
    world.best("10.1.1.0/26", reflected("10.0.1.12"));
    assert!(world.ordered().is_empty());
    world.node.handle_heard(world.now);
    world.run();
    assert_eq!(
        world.ordered(),
        ["uninstall 10.3.2.0/26", "remove end 10.0.2.13"]
    );
    assert_eq!((world.node.held(), world.node.poll_timeout()), (0, None));
    // From now on what is gone is gone.
    world.gone("10.1.1.0/26");
    assert_eq!(world.ordered(), ["uninstall 10.1.1.0/26"]);
}

#[test]
fn the_stale_time_ends_it() {
    let mut world = World::new(owning(&[]));
    world.best("10.1.1.0/26", reflected("10.0.1.12"));
    world.node.handle_headless(world.now);
    world.gone("10.1.1.0/26");
    // Said again that it is gone: the time does not begin anew.
    world.pass(DEFAULT_STALE_TIME / 2);
    world.gone("10.1.1.0/26");
    world.pass(DEFAULT_STALE_TIME / 2 - Duration::from_secs(1));
    assert_eq!(world.kernel.len(), 1);
    world.pass(Duration::from_secs(1));
    assert!(world.kernel.is_empty());
}

#[test]
fn what_a_node_or_an_external_router_told_of_itself_goes_with_it() {
    let mut world = World::new(owning(&[]));
    world.best("10.1.1.0/26", from("10.0.1.12"));
    world.best("0.0.0.0/0", external("10.0.1.1"));
    world.node.handle_headless(world.now);
    world.gone("10.1.1.0/26");
    world.gone("0.0.0.0/0");
    assert!(world.kernel.is_empty());
}

#[test]
fn a_held_route_gives_way_to_a_block_or_a_workload_of_ours() {
    let mut world = World::new(owning(&[]));
    world.best("10.1.1.0/26", reflected("10.0.1.12"));
    world.best("10.1.2.7/32", reflected("10.0.1.12"));
    world.node.handle_headless(world.now);
    world.gone("10.1.1.0/26");
    world.gone("10.1.2.7/32");
    world.ordered();
    world.add_block("10.1.1.0/26");
    let expected = ["install 10.1.1.0/26 blackhole", "announce 10.1.1.0/26"];
    assert_eq!(world.ordered(), expected);
    world.workload("10.1.2.7/32", "cali1", true);
    let expected = ["announce 10.1.2.7/32", "uninstall 10.1.2.7/32"];
    assert_eq!(world.ordered(), expected);
    world.workload("10.1.2.7/32", "cali1", false);
    world.pass(DEFAULT_STALE_TIME * 2);
    assert!(world.announced.len() == 1 && world.kernel.len() == 1);
}

#[test]
fn a_route_that_is_lost_while_somebody_is_there_goes_at_once() {
    let mut world = World::new(owning(&[]));
    world.best("10.1.1.0/26", reflected("10.0.1.12"));
    world.gone("10.1.1.0/26");
    assert!(world.kernel.is_empty());
}
