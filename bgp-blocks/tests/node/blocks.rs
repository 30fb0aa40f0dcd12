//! Blocks of ours: announced, dropped where nobody takes it, given and taken at run time.

use crate::world::{World, from, net, own, owning, reflected};
use bgp_blocks::{BlockFault, LEAVE, MAX_BLOCKS, NodeSettings, Pool};
use std::time::Duration;

#[test]
fn a_block_is_dropped_before_it_is_announced() {
    let mut world = World::new(owning(&["10.1.3.64/26", "fd10::40/122"]));
    let expected = [
        "install 10.1.3.64/26 blackhole",
        "announce 10.1.3.64/26",
        "install fd10::40/122 blackhole",
        "announce fd10::40/122",
    ];
    assert_eq!(world.ordered(), expected);
    world.own("10.1.3.64/26");
    assert!(world.ordered().is_empty());
}

#[test]
fn the_block_of_a_single_address_has_no_blackhole() {
    let mut settings = owning(&[]);
    settings.pools[0].block_size = 32;
    settings.blocks = vec![net("10.244.0.7/32")];
    let world = World::new(settings);
    assert!(world.announced.contains(&net("10.244.0.7/32")));
    assert!(world.kernel.is_empty());
}

#[test]
fn nothing_of_a_pool_is_installed_where_somebody_else_does() {
    let mut settings = owning(&["10.244.0.0/26"]);
    settings.pools[0].install = false;
    let mut world = World::new(settings);
    world.best("10.244.9.0/26", from("10.0.1.12"));
    world.best("10.1.9.0/26", from("10.0.1.12"));
    assert!(world.announced.contains(&net("10.244.0.0/26")));
    let routes: Vec<_> = world.kernel.keys().copied().collect();
    assert_eq!(routes, [net("10.1.9.0/26")]);
}

#[test]
fn service_prefixes_are_announced_and_never_installed() {
    let services = vec![net("10.96.0.0/12"), net("192.0.2.7/32")];
    let settings = NodeSettings {
        services,
        ..owning(&[])
    };
    let silent = NodeSettings {
        announce_services: false,
        ..settings.clone()
    };
    let mut world = World::new(settings);
    assert_eq!(
        world.ordered(),
        ["announce 10.96.0.0/12", "announce 192.0.2.7/32"]
    );
    world.best("10.96.0.10/32", from("10.0.1.12"));
    assert!(world.kernel.is_empty());
    assert!(World::new(silent).announced.is_empty());
}

#[test]
fn a_block_that_comes_here_replaces_the_route_to_where_it_was() {
    let mut world = World::new(owning(&[]));
    world.best("10.1.3.64/26", from("10.0.1.12"));
    assert_eq!(
        world.ordered(),
        ["install 10.1.3.64/26 via 10.0.1.12 dev tunl0 onlink"]
    );
    world.add_block("10.1.3.64/26");
    let expected = ["install 10.1.3.64/26 blackhole", "announce 10.1.3.64/26"];
    assert_eq!(world.ordered(), expected);
    // An answer of the engine that was on its way does not undo it.
    world.best("10.1.3.64/26", from("10.0.1.12"));
    world.own("10.1.3.64/26");
    assert!(world.ordered().is_empty());
}

#[test]
fn a_block_that_goes_keeps_its_blackhole_until_the_next_owners_route_replaces_it() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.own("10.1.3.64/26");
    world.ordered();
    world.remove_block("10.1.3.64/26");
    assert_eq!(world.ordered(), ["withdraw 10.1.3.64/26"]);
    // What the engine says first may be from before, or that there is nobody yet.
    world.own("10.1.3.64/26");
    world.gone("10.1.3.64/26");
    assert!(world.ordered().is_empty());
    world.best("10.1.3.64/26", reflected("10.0.2.13"));
    assert_eq!(
        world.ordered(),
        ["install 10.1.3.64/26 via 10.0.2.13 dev tunl0 onlink"]
    );
    world.pass(LEAVE * 2);
    assert!(world.ordered().is_empty());
}

#[test]
fn a_block_that_goes_to_nobody_leaves_nothing_behind() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.own("10.1.3.64/26");
    world.remove_block("10.1.3.64/26");
    world.gone("10.1.3.64/26");
    world.pass(LEAVE - Duration::from_millis(1));
    assert_eq!(world.route("10.1.3.64/26").as_deref(), Some("blackhole"));
    world.pass(Duration::from_millis(1));
    assert!(world.kernel.is_empty() && world.announced.is_empty());
    assert_eq!(world.node.poll_timeout(), None);
}

#[test]
fn a_block_that_returns_at_once_is_announced_again_and_never_uninstalled() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.own("10.1.3.64/26");
    world.ordered();
    world.remove_block("10.1.3.64/26");
    world.add_block("10.1.3.64/26");
    assert_eq!(
        world.ordered(),
        ["withdraw 10.1.3.64/26", "announce 10.1.3.64/26"]
    );
    world.pass(LEAVE * 3);
    assert!(world.ordered().is_empty());
    let block = world.node.blocks().next().unwrap();
    assert!(block.announced && block.blackholed && block.rivals.is_empty());
    assert_eq!(block.pool, net("10.1.0.0/16"));
}

#[test]
fn blocks_that_cannot_be_ours_are_refused() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.ordered();
    let cases = [
        ("10.1.3.65/26", "has host bits"),
        ("10.9.0.0/26", "lies in no pool"),
        ("10.1.3.0/24", "blocks of length 26"),
        ("10.1.3.64/26", "a second time"),
    ];
    for (block, words) in cases {
        let fault = world.node.add_block(world.now, net(block)).unwrap_err();
        assert!(fault.to_string().contains(words), "{fault}");
    }
    let fault = world.node.remove_block(world.now, net("10.1.0.0/26"));
    assert_eq!(fault, Err(BlockFault::NotOurs(net("10.1.0.0/26"))));
    world.run();
    assert!(world.ordered().is_empty());
}

#[test]
fn one_block_too_many_is_refused() {
    let mut settings = owning(&[]);
    settings.pools = vec![Pool::new(net("10.240.0.0/12"))];
    let mut world = World::new(settings);
    let blocks: Vec<_> = net("10.240.0.0/12").subnets(26).unwrap().collect();
    for block in blocks.iter().take(MAX_BLOCKS) {
        world.node.add_block(world.now, *block).unwrap();
    }
    let fault = world.node.add_block(world.now, blocks[MAX_BLOCKS]);
    assert_eq!(fault, Err(BlockFault::TooMany(MAX_BLOCKS + 1)));
}

#[test]
fn what_holds_for_a_block_survives_any_news_about_it() {
    let mut world = World::new(owning(&["10.1.3.64/26"]));
    world.ordered();
    for best in [Some(own()), None, Some(from("10.0.2.13")), Some(own())] {
        world.tell(&crate::world::change("10.1.3.64/26", best, &[]));
    }
    assert!(world.ordered().is_empty());
}
