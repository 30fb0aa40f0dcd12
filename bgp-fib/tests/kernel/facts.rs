//! What the kernel does, without a reconciler in between: that it takes and tells everything as
//! our codec says, and the behaviour on which the reconciler's rules rest.

use crate::stage::{METRIC, OURS, Stage, create, key, link_of, replace, route, route_of, via};
use bgp_fib::kernel::{
    Address, Dump, Hop, LinkIndex, Mac, NeighbourKey, NeighbourTarget, NextHopKind, NextHopObject,
    Notice, Request, Route, RouteKey, Target,
};
use bgp_fib::netlink::Inbox;
use std::io;

/// Routes of every kind, none of which the kernel has a reason to refuse.
fn every_kind(up0: LinkIndex, up1: LinkIndex) -> Vec<Route> {
    let gateway = via("10.0.0.2", up0);
    let gateway6 = via("fd00:0::2", up0);
    let mixed = |weights: [u16; 2], second: &str| {
        let second = via(second, up1);
        vec![
            Hop {
                weight: weights[0],
                ..gateway
            },
            Hop {
                weight: weights[1],
                ..second
            },
        ]
    };
    let onlink = Hop {
        onlink: true,
        ..via("192.0.2.9", up0)
    };
    let direct = Hop {
        gateway: None,
        ..gateway
    };
    let with_source = Route {
        source: Some("10.0.1.1".parse().unwrap()),
        ..route("192.168.5.0/26", Target::Unicast(vec![gateway]))
    };
    let far_table = Route {
        key: RouteKey {
            table: 100_000,
            ..key("192.168.6.0/26")
        },
        ..route("192.168.6.0/26", Target::Blackhole)
    };
    vec![
        route("192.168.0.0/26", Target::Unicast(vec![gateway])),
        route("192.168.0.64/26", Target::Unicast(vec![onlink])),
        route("192.168.0.128/26", Target::Unicast(vec![direct])),
        route(
            "192.168.1.0/26",
            Target::Unicast(mixed([1, 256], "10.0.1.2")),
        ),
        route("192.168.2.0/26", Target::Blackhole),
        route("192.168.2.64/26", Target::Unreachable),
        route("192.168.2.128/26", Target::Prohibit),
        route("192.168.3.0/26", Target::Unicast(vec![gateway6])),
        route(
            "192.168.4.0/26",
            Target::Unicast(mixed([3, 5], "fd00:1::2")),
        ),
        with_source,
        far_table,
        route("0.0.0.0/0", Target::Unicast(vec![gateway])),
        route("2001:db8::/122", Target::Unicast(vec![gateway6])),
        route("2001:db8:2::/122", Target::Blackhole),
        route("2001:db8:3::/122", Target::Unreachable),
        route("::/0", Target::Unicast(vec![gateway6])),
    ]
}

#[test]
fn every_kind_of_route_is_told_as_it_was_put() {
    let Some(stage) = Stage::new("facts::every_kind_of_route") else {
        return;
    };
    let mut wire = stage.wire();
    let mut routes = every_kind(stage.index("up0"), stage.index("up1"));
    // IPv6 takes several hops only where they are like each other; and their weights.
    let hops = vec![
        via("fd00:0::2", stage.index("up0")),
        via("fd00:1::2", stage.index("up1")),
    ];
    routes.push(route("2001:db8:4::/122", Target::Unicast(hops)));
    wire.heard();
    for route in &routes {
        wire.put(create(route));
    }
    let told: Vec<Route> = wire.heard().into_iter().filter_map(route_of).collect();
    assert_eq!(told, routes);
    routes.sort_by_key(|route| route.key);
    assert_eq!(wire.routes(OURS), routes);
    for route in &routes {
        wire.put(Request::DeleteRoute(route.key, OURS));
    }
    assert_eq!(wire.routes(OURS), []);
    let gone = wire
        .heard()
        .into_iter()
        .filter(|notice| matches!(notice, Notice::RouteGone(_)));
    assert!(gone.count() >= routes.len());
}

#[test]
fn objects_are_told_as_they_were_put() {
    let Some(stage) = Stage::new("facts::objects") else {
        return;
    };
    let mut wire = stage.wire();
    let (up0, up1) = (stage.index("up0"), stage.index("up1"));
    let object = |id, kind| NextHopObject {
        id,
        protocol: OURS,
        kind,
    };
    let onlink = Hop {
        onlink: true,
        ..via("192.0.2.9", up1)
    };
    let objects = [
        object(10, NextHopKind::Hop(via("10.0.0.2", up0))),
        object(11, NextHopKind::Hop(onlink)),
        object(12, NextHopKind::Hop(via("fd00:1::2", up1))),
        object(13, NextHopKind::Blackhole),
        object(14, NextHopKind::Group(vec![(10, 1), (11, 255)])),
    ];
    for object in &objects {
        wire.put(Request::PutNextHop(object.clone()));
    }
    let told = wire.dump(Dump::NextHops);
    assert_eq!(told, objects.clone().map(Notice::NextHop));
    let heard = wire.heard();
    assert_eq!(heard, told);

    // A route through an object is told with the object's hops.
    let through = route("192.168.0.0/26", Target::Object(14, Vec::new()));
    wire.put(create(&through));
    let hops = vec![
        via("10.0.0.2", up0),
        Hop {
            weight: 255,
            ..onlink
        },
    ];
    let expected = Route {
        target: Target::Object(14, hops),
        ..through
    };
    assert_eq!(wire.routes(OURS), [expected]);
    wire.put(Request::DeleteNextHop(14));
    assert_eq!(wire.routes(OURS), [], "they go with their object");
}

#[test]
fn neighbours_and_links_are_told_as_they_were_put() {
    let Some(stage) = Stage::new("facts::neighbours_and_links") else {
        return;
    };
    stage
        .host
        .ip("link add vx type vxlan id 7 dstport 4789 dev up0\nlink set vx up")
        .unwrap();
    let mut wire = stage.wire();
    let (up0, up1, vx) = (stage.index("up0"), stage.index("up1"), stage.index("vx"));
    let entries = [
        (
            NeighbourKey::Neighbour(up0, "10.0.0.77".parse().unwrap()),
            NeighbourTarget::Mac(Mac([2, 0, 0, 0, 0, 1])),
        ),
        (
            NeighbourKey::Neighbour(vx, "fd00:7::7".parse().unwrap()),
            NeighbourTarget::Mac(Mac([2, 0, 0, 0, 0, 2])),
        ),
        (
            NeighbourKey::Forwarding(vx, Mac([2, 0, 0, 0, 0, 3])),
            NeighbourTarget::Host("10.0.0.2".parse().unwrap()),
        ),
    ];
    wire.heard();
    for (key, target) in entries {
        wire.put(Request::PutNeighbour(key, target));
    }
    let expected = entries.map(|(key, target)| Notice::Neighbour(key, target));
    assert_eq!(wire.heard(), expected);
    let told = wire.dump(Dump::Neighbours);
    for notice in &expected {
        assert!(told.contains(notice), "{notice:?} in {told:?}");
    }
    for (key, _) in entries {
        wire.put(Request::DeleteNeighbour(key));
    }
    let told = wire.dump(Dump::Neighbours);
    for notice in &expected {
        assert!(!told.contains(notice), "{notice:?} in {told:?}");
    }

    let links = wire.dump(Dump::Links);
    let kinds: Vec<(&str, &str, bool)> = links
        .iter()
        .filter_map(link_of)
        .map(|link| (&*link.name, &*link.kind, link.up && link.carrier))
        .collect();
    let expected = [
        ("lo", "", true),
        ("up0", "veth", true),
        ("up1", "veth", true),
        ("vx", "vxlan", true),
    ];
    assert_eq!(kinds, expected);
    let address = Notice::Address(Address {
        link: up1,
        address: "10.0.1.1/24".parse().unwrap(),
    });
    assert!(wire.dump(Dump::Addresses).contains(&address));
}

#[test]
fn a_port_that_leaves_its_bridge_is_not_a_link_that_goes() {
    let Some(stage) = Stage::new("facts::a_port_that_leaves") else {
        return;
    };
    stage
        .host
        .ip("link add bridge0 type bridge\nlink set up0 master bridge0")
        .unwrap();
    let mut wire = stage.wire();
    stage.host.ip("link set up0 nomaster").unwrap();
    let gone = wire
        .heard()
        .into_iter()
        .filter(|notice| matches!(notice, Notice::LinkGone(_)));
    assert_eq!(gone.count(), 0);
    let (br, up0) = (stage.index("bridge0"), stage.index("up0"));
    stage.host.ip("link del bridge0").unwrap();
    let heard = wire.heard();
    assert!(heard.contains(&Notice::LinkGone(br)), "{heard:?}");
    assert!(!heard.contains(&Notice::LinkGone(up0)));
}

/// A route that IPv4 loses with its device says nothing when it goes.
#[test]
fn a_link_that_goes_down_takes_its_routes_in_silence() {
    let Some(stage) = Stage::new("facts::a_link_that_goes_down") else {
        return;
    };
    let mut wire = stage.wire();
    let up0 = stage.index("up0");
    let hole = route("192.168.1.0/26", Target::Blackhole);
    let object = NextHopObject {
        id: 10,
        protocol: OURS,
        kind: NextHopKind::Hop(via("10.0.0.2", up0)),
    };
    wire.put(create(&route(
        "192.168.0.0/26",
        Target::Unicast(vec![via("10.0.0.2", up0)]),
    )));
    wire.put(create(&hole));
    wire.put(Request::PutNextHop(object));
    wire.heard();
    stage.host.ip("link set up0 down").unwrap();
    assert_eq!(wire.routes(OURS), std::slice::from_ref(&hole));
    assert_eq!(wire.dump(Dump::NextHops), []);
    let heard = wire.heard();
    let told = heard.iter().filter(|notice| {
        matches!(notice, Notice::NextHopGone(_))
            || matches!(notice, Notice::RouteGone(route) if route.protocol == OURS)
    });
    assert_eq!(told.count(), 0, "{heard:?}");
    assert!(
        heard
            .iter()
            .any(|notice| matches!(notice, Notice::Link(link) if !link.up))
    );
    stage.host.ip("link set up0 up").unwrap();
    assert_eq!(wire.routes(OURS), [hole], "nor do they come back");
}

#[test]
fn a_carrier_lost_leaves_routes_but_no_objects() {
    let Some(stage) = Stage::new("facts::a_carrier_lost") else {
        return;
    };
    let mut wire = stage.wire();
    let (up0, up1) = (stage.index("up0"), stage.index("up1"));
    let plain = route(
        "192.168.0.0/26",
        Target::Unicast(vec![via("10.0.0.2", up0)]),
    );
    let object = |id, kind| {
        Request::PutNextHop(NextHopObject {
            id,
            protocol: OURS,
            kind,
        })
    };
    wire.put(create(&plain));
    wire.put(object(10, NextHopKind::Hop(via("10.0.0.2", up0))));
    wire.put(object(11, NextHopKind::Hop(via("10.0.1.2", up1))));
    wire.put(object(12, NextHopKind::Group(vec![(10, 1), (11, 1)])));
    wire.heard();
    stage.far.ip("link set up0 down").unwrap();
    // The kernel looks at carriers a little later, in a queue of its own.
    crate::stage::until("the carrier's loss", || {
        wire.heard()
            .iter()
            .any(|notice| matches!(notice, Notice::Link(link) if link.up && !link.carrier))
    });
    assert_eq!(wire.routes(OURS), std::slice::from_ref(&plain));
    let shrunk = NextHopObject {
        id: 12,
        protocol: OURS,
        kind: NextHopKind::Group(vec![(11, 1)]),
    };
    let left = wire.dump(Dump::NextHops);
    assert!(left.contains(&Notice::NextHop(shrunk.clone())), "{left:?}");
    assert_eq!(left.len(), 2);
    stage.far.ip("link set up0 up").unwrap();
    crate::stage::until("the carrier's return", || {
        wire.heard()
            .iter()
            .any(|notice| matches!(notice, Notice::Link(link) if link.carrier))
    });
    let left = wire.dump(Dump::NextHops);
    assert!(
        left.contains(&Notice::NextHop(shrunk)),
        "it does not grow again: {left:?}"
    );
}

#[test]
fn replace_takes_any_route_of_its_key_and_delete_only_ours() {
    let Some(stage) = Stage::new("facts::replace_and_delete") else {
        return;
    };
    let mut wire = stage.wire();
    let up0 = stage.index("up0");
    let ours = route(
        "192.168.0.0/26",
        Target::Unicast(vec![via("10.0.0.2", up0)]),
    );
    let foreign = "route add 192.168.0.0/26 via 10.0.0.3 proto static metric 32";
    stage.host.ip(foreign).unwrap();
    let (errno, _) = wire.refused(create(&ours));
    assert_eq!(errno, 17, "EEXIST");
    let (errno, _) = wire.refused(Request::DeleteRoute(ours.key, OURS));
    assert_eq!(errno, 3, "ESRCH: it is not ours");
    wire.heard();
    wire.put(replace(&ours));
    assert_eq!(wire.routes(4), [], "static is gone");
    let notice = Notice::Route {
        route: ours.clone(),
        replaced: true,
    };
    assert_eq!(wire.heard(), [notice]);
    // Another metric is another key.
    stage
        .host
        .ip("route add 192.168.0.0/26 via 10.0.0.3 proto static metric 33")
        .unwrap();
    wire.put(Request::DeleteRoute(ours.key, OURS));
    assert_eq!(wire.routes(4).len(), 1);
}

/// IPv6 keeps the legs of a multipath route apart, and hop and discard in different places; a
/// replace must still be one.
#[test]
fn an_ipv6_route_is_replaced_by_any_other_kind() {
    let Some(stage) = Stage::new("facts::an_ipv6_route_is_replaced") else {
        return;
    };
    let mut wire = stage.wire();
    let (up0, up1) = (stage.index("up0"), stage.index("up1"));
    let one = Target::Unicast(vec![via("fd00:0::2", up0)]);
    let two = Target::Unicast(vec![via("fd00:0::2", up0), via("fd00:1::2", up1)]);
    let other = Target::Unicast(vec![via("fd00:1::3", up1)]);
    let steps = [
        one.clone(),
        Target::Blackhole,
        two.clone(),
        other.clone(),
        Target::Unreachable,
        Target::Blackhole,
        one,
        two.clone(),
        Target::Blackhole,
        other,
        two,
    ];
    for step in steps {
        let route = route("2001:db8::/122", step);
        wire.put(replace(&route));
        assert_eq!(wire.routes(OURS), [route]);
    }
}

#[test]
fn refusals_come_with_the_kernels_words_and_do_not_stop_a_batch() {
    let Some(stage) = Stage::new("facts::refusals") else {
        return;
    };
    let mut wire = stage.wire();
    let up0 = stage.index("up0");
    let good = |number: u8| {
        let prefix = format!("192.168.{number}.0/26");
        create(&route(&prefix, Target::Unicast(vec![via("10.0.0.2", up0)])))
    };
    let bad_gateway = create(&route(
        "192.168.200.0/26",
        Target::Unicast(vec![via("203.0.113.1", up0)]),
    ));
    let bad_source = create(&Route {
        source: Some("203.0.113.1".parse().unwrap()),
        ..route(
            "192.168.201.0/26",
            Target::Unicast(vec![via("10.0.0.2", up0)]),
        )
    });
    let bad_object = create(&route("192.168.202.0/26", Target::Object(999, Vec::new())));
    let mut requests: Vec<Request> = (0..100).map(good).collect();
    requests[10] = bad_gateway;
    requests[63] = bad_source;
    requests[64] = bad_object;
    requests[99] = good(98);
    let results = wire.tell(requests);
    let failed: Vec<(usize, i32, &str)> = results
        .iter()
        .enumerate()
        .filter_map(|(number, result)| {
            let error = result.as_ref().err()?;
            Some((number, error.errno, &*error.text))
        })
        .collect();
    let expected = [
        (10, 101, "Nexthop has invalid gateway"),
        (63, 22, "Invalid prefsrc address"),
        (64, 22, "Nexthop id does not exist"),
        (99, 17, ""),
    ];
    assert_eq!(failed, expected);
    assert_eq!(wire.routes(OURS).len(), 96);
}

#[test]
fn a_monitor_that_does_not_read_is_told_so_and_goes_on() {
    let Some(stage) = Stage::new("facts::a_monitor_that_does_not_read") else {
        return;
    };
    let mut wire = stage.wire_with_buffer(256 * 1024);
    let holes = (0..3_000_u32).map(|number| {
        let [_, a, b, c] = (number << 6).to_be_bytes();
        create(&route(&format!("16.{a}.{b}.{c}/26"), Target::Blackhole))
    });
    let results = wire.tell(holes.collect());
    assert!(results.iter().all(Result::is_ok));
    let mut inbox = Inbox::new(32);
    let mut read = 0;
    let mut lost = 0;
    loop {
        match wire.monitor.receive(&mut inbox) {
            Ok(()) => read += inbox.datagrams().count(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(105), "ENOBUFS");
                lost += 1;
            }
        }
    }
    assert!(lost >= 1 && read < 3_000, "{lost} times lost, {read} read");
    wire.put(create(&route("17.0.0.0/26", Target::Blackhole)));
    assert_eq!(wire.heard().len(), 1);
    assert_eq!(wire.routes(OURS).len(), 3_001);
    assert_eq!(wire.routes(OURS)[0].key.metric, METRIC);
}
