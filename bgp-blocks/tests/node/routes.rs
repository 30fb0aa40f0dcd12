//! Routes of other nodes: by pool, by subnet, by class.

use crate::world::{World, external, from, ip, net, owning, settings, through};
use bgp_blocks::{End, MAX_NOTICES, NodeSettings, OtherRoutes, tunnel_address, tunnel_mac};
use bgp_fib::kernel::Mac;

#[test]
fn each_encapsulation_has_its_shape_near_and_far() {
    let near = "10.0.1.12";
    let far = "10.0.2.13";
    let device = tunnel_address(ip("fd00::12"));
    let through_six = format!("via {device} dev vxlan-v6.calico onlink");
    let cases = [
        ("10.244.9.0/26", near, "via 10.0.1.12"),
        ("10.244.9.0/26", far, "via 10.0.2.13"),
        ("10.1.9.0/26", near, "via 10.0.1.12 dev tunl0 onlink"),
        ("10.1.9.0/26", far, "via 10.0.2.13 dev tunl0 onlink"),
        ("10.2.9.0/26", near, "via 10.0.1.12"),
        ("10.2.9.0/26", far, "via 10.0.2.13 dev tunl0 onlink"),
        ("10.3.9.0/26", near, "via 10.0.1.12 dev vxlan.calico onlink"),
        ("10.3.9.0/26", far, "via 10.0.2.13 dev vxlan.calico onlink"),
        ("10.4.9.0/26", near, "via 10.0.1.12"),
        ("10.4.9.0/26", far, "via 10.0.2.13 dev vxlan.calico onlink"),
        ("fd10::900/122", "fd00::12", "via fd00::12"),
        ("fd13::900/122", "fd00::12", &through_six),
    ];
    for (prefix, next_hop, expected) in cases {
        let mut world = World::new(owning(&[]));
        world.best(prefix, from(next_hop));
        assert_eq!(world.route(prefix).as_deref(), Some(expected), "{prefix}");
        world.gone(prefix);
        assert!(world.kernel.is_empty() && world.ends.is_empty());
    }
}

#[test]
fn several_next_hops_are_taken_together_near_and_far() {
    let mut world = World::new(owning(&[]));
    world.best("10.2.9.0/26", through(&["10.0.1.12", "10.0.2.13"]));
    let expected = "via 10.0.1.12 via 10.0.2.13 dev tunl0 onlink";
    assert_eq!(world.route("10.2.9.0/26").as_deref(), Some(expected));
    world.best("10.4.9.0/26", through(&["10.0.1.12", "10.0.2.13"]));
    assert_eq!(world.ends.len(), 1);
}

#[test]
fn a_tunnel_end_lives_as_long_as_a_route_uses_it() {
    let mut world = World::new(owning(&[]));
    world.best("10.3.1.0/26", from("10.0.2.13"));
    world.best("10.3.2.0/26", from("10.0.2.13"));
    let expected = [
        "put end 10.0.2.13",
        "install 10.3.1.0/26 via 10.0.2.13 dev vxlan.calico onlink",
        "install 10.3.2.0/26 via 10.0.2.13 dev vxlan.calico onlink",
    ];
    assert_eq!(world.ordered(), expected);
    let end = world.ends.values().next().unwrap();
    assert_eq!(
        (end.address, end.mac),
        (ip("10.0.2.13"), tunnel_mac(ip("10.0.2.13")))
    );
    world.gone("10.3.1.0/26");
    assert_eq!(world.ordered(), ["uninstall 10.3.1.0/26"]);
    world.best("10.3.2.0/26", from("10.0.2.14"));
    let expected = [
        "put end 10.0.2.14",
        "install 10.3.2.0/26 via 10.0.2.14 dev vxlan.calico onlink",
        "remove end 10.0.2.13",
    ];
    assert_eq!(world.ordered(), expected);
    world.gone("10.3.2.0/26");
    assert_eq!(
        world.ordered(),
        ["uninstall 10.3.2.0/26", "remove end 10.0.2.14"]
    );
}

#[test]
fn a_tunnel_end_that_was_configured_goes_before_the_rule() {
    let end = End {
        host: ip("10.0.2.13"),
        address: ip("10.3.200.1"),
        mac: Mac([0x66, 1, 2, 3, 4, 5]),
    };
    let mut world = World::new(NodeSettings {
        ends: vec![end],
        ..settings()
    });
    world.best("10.3.1.0/26", from("10.0.2.13"));
    let route = world.route("10.3.1.0/26").unwrap();
    assert_eq!(route, "via 10.3.200.1 dev vxlan.calico onlink");
    assert_eq!(world.ends.values().next().unwrap().mac, end.mac);
}

#[test]
fn routes_outside_pools_are_for_external_peers_to_bring() {
    let verdicts = [
        (OtherRoutes::None, false, false),
        (OtherRoutes::External, true, false),
        (OtherRoutes::All, true, true),
    ];
    for (other_routes, from_outside, from_inside) in verdicts {
        let mut world = World::new(NodeSettings {
            other_routes,
            ..settings()
        });
        world.best("0.0.0.0/0", external("10.0.1.1"));
        world.best("192.0.2.0/24", from("10.0.1.12"));
        // Wider than a pool is not inside it.
        world.best("10.0.0.0/8", external("10.0.1.1"));
        assert_eq!(world.route("0.0.0.0/0").is_some(), from_outside);
        assert_eq!(world.route("10.0.0.0/8").is_some(), from_outside);
        assert_eq!(world.route("192.0.2.0/24").is_some(), from_inside);
    }
}

#[test]
fn next_hops_that_lead_nowhere_are_told_and_left_out() {
    let mut world = World::new(owning(&[]));
    world.best("10.244.9.0/26", from("10.0.1.11"));
    world.best("fd10::900/122", from("fe80::1"));
    world.best("10.1.9.0/26", from("fd00::12"));
    assert!(world.kernel.is_empty());
    let expected = [
        "10.244.9.0/26 is not in the kernel as announced: its next hop 10.0.1.11 is our own \
         address",
        "fd10::900/122 is not in the kernel as announced: its next hop fe80::1 is link-local, \
         and nothing says on which device",
        "10.1.9.0/26 is not in the kernel as announced: its next hop fd00::12 is not of the \
         family of its tunnel",
    ];
    assert_eq!(world.notices, expected);
    // Said once, and the good ones of several are used.
    world.best("10.244.9.0/26", through(&["10.0.1.11", "10.0.1.12"]));
    assert_eq!(
        world.route("10.244.9.0/26").as_deref(),
        Some("via 10.0.1.12")
    );
    assert_eq!(world.notices.len(), 3);
    world.best("10.244.9.0/26", from("10.0.1.12"));
    assert_eq!(world.notices.len(), 4, "{:?}", world.notices);
    assert!(world.notices[3].contains("no refused next hop any more"));
}

#[test]
fn notices_that_nobody_reads_are_counted() {
    let mut world = World::new(owning(&[]));
    let blocks = net("10.244.0.0/16").subnets(30).unwrap();
    for prefix in blocks.take(MAX_NOTICES + 7) {
        let change = crate::world::change(&prefix.to_string(), Some(from("10.0.1.11")), &[]);
        world.node.handle_route_change(world.now, &change);
    }
    world.run();
    assert_eq!(world.notices.len(), MAX_NOTICES + 1);
    assert_eq!(
        world.notices.last().unwrap(),
        "7 notices were not told: too many"
    );
}
