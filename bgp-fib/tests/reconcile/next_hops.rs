//! Where addresses are, and routes that follow.

use crate::scene::{METRIC, OURS, Scene, hop, net, route, through, via, ways};
use bgp_core::time::Duration;
use bgp_fib::fib::Cause;
use bgp_fib::foreign::Foreign;
use bgp_fib::kernel::{Hop, LinkIndex, Target};
use bgp_fib::wanted::Wanted;
use bgp_fib::{FibEvent, Resolution, RouteState};
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn connected(device: &str) -> Resolution {
    Resolution::Connected {
        device: device.into(),
        carrier: true,
    }
}

/// What was told about `text` last.
fn told(scene: &Scene, text: &str) -> Option<Resolution> {
    let mut told = None;
    for event in &scene.events {
        match event {
            FibEvent::NextHop(about, found) if *about == address(text) => {
                told = Some(found.clone());
            }
            _ => {}
        }
    }
    told
}

fn on(link: LinkIndex) -> Target {
    Target::Unicast(vec![Hop {
        gateway: None,
        link: Some(link),
        onlink: false,
        weight: 1,
    }])
}

#[test]
fn connected_behind_a_router_and_nowhere() {
    let mut scene = Scene::new();
    for watched in ["10.0.0.7", "192.0.2.1", "10.0.0.1"] {
        scene.fib.watch(address(watched));
    }
    scene.pump();
    assert_eq!(told(&scene, "10.0.0.7"), Some(connected("eth0")));
    assert_eq!(told(&scene, "192.0.2.1"), Some(Resolution::Unreachable));
    // Our own address is no next hop.
    assert_eq!(told(&scene, "10.0.0.1"), Some(Resolution::Unreachable));
    let target = through("10.0.0.254", scene.eth0);
    scene.other("0.0.0.0/0", 100, 4, target);
    scene.pump();
    let behind = Resolution::Via {
        gateway: address("10.0.0.254"),
        device: "eth0".into(),
        metric: 100,
        carrier: true,
    };
    assert_eq!(told(&scene, "192.0.2.1"), Some(behind.clone()));
    assert_eq!(behind.to_string(), "via 10.0.0.254 dev eth0");
    scene.other("192.0.2.0/24", 100, 4, Target::Blackhole);
    scene.pump();
    assert_eq!(told(&scene, "192.0.2.1"), Some(Resolution::Unreachable));
    let heard = scene.events.len();
    scene.fib.unwatch(address("192.0.2.1"));
    scene
        .kernel
        .delete_route(&route("192.0.2.0/24", 100, 4, Target::Blackhole).key, 4)
        .unwrap();
    scene.pump();
    assert_eq!(scene.events.len(), heard);
}

#[test]
fn never_through_a_route_of_ours() {
    let mut scene = Scene::new();
    scene.fib.watch(address("10.1.0.5"));
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    scene.pass(Duration::from_secs(70));
    assert_eq!(told(&scene, "10.1.0.5"), Some(Resolution::Unreachable));
    scene.set("10.2.0.0/26", ways(vec![hop("10.1.0.5", None)]));
    let waiting = RouteState::Waiting(Cause::NextHop(address("10.1.0.5")));
    assert_eq!(scene.state("10.2.0.0/26"), Some(waiting));
}

#[test]
fn the_longest_prefix_and_the_lowest_metric_decide() {
    let mut scene = Scene::new();
    let eth1 = scene.kernel.add_link("eth1");
    let first = through("10.0.0.8", scene.eth0);
    scene.other("10.50.0.0/16", 10, 4, first);
    scene.other("10.50.0.0/16", 5, 4, on(eth1));
    scene.pump();
    assert_eq!(
        scene.fib.resolution(address("10.50.1.1")),
        connected("eth1")
    );
    let longer = through("10.0.0.9", scene.eth0);
    scene.other("10.50.1.0/24", 99, 4, longer);
    scene.pump();
    let found = scene.fib.resolution(address("10.50.1.1"));
    assert!(
        matches!(found, Resolution::Via { metric: 99, .. }),
        "{found}"
    );
}

#[test]
fn a_device_without_carrier_is_found_with_the_remark() {
    let mut scene = Scene::new();
    scene.fib.watch(address("10.0.0.7"));
    scene.pump();
    scene.kernel.set_carrier(scene.eth0, false);
    scene.pump();
    let dark = Resolution::Connected {
        device: "eth0".into(),
        carrier: false,
    };
    assert_eq!(told(&scene, "10.0.0.7"), Some(dark));
    scene.kernel.set_up(scene.eth0, false);
    scene.pump();
    assert_eq!(told(&scene, "10.0.0.7"), Some(Resolution::Unreachable));
    scene.kernel.set_up(scene.eth0, true);
    scene.pump();
    assert_eq!(told(&scene, "10.0.0.7"), Some(connected("eth0")));
}

#[test]
fn a_route_without_device_follows_its_gateway() {
    let mut scene = Scene::new();
    let eth1 = scene.kernel.add_link("eth1");
    scene.kernel.add_address(eth1, net("10.9.0.1/24"));
    scene.set("10.1.0.0/26", ways(vec![hop("10.50.0.1", None)]));
    assert_eq!(scene.there("10.1.0.0/26"), None);
    let first = through("10.0.0.8", scene.eth0);
    scene.other("10.50.0.0/16", 10, 4, first.clone());
    scene.pump();
    assert_eq!(scene.there("10.1.0.0/26").unwrap().target, first);
    let second = through("10.9.0.8", eth1);
    scene.other("10.50.0.0/24", 10, 4, second.clone());
    let moved = scene.requests(Scene::pump);
    assert_eq!(moved, 1);
    assert_eq!(scene.there("10.1.0.0/26").unwrap().target, second);
    scene.kernel.set_up(eth1, false);
    scene.pump();
    assert_eq!(scene.there("10.1.0.0/26").unwrap().target, first);
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    assert_eq!(
        scene.there("10.1.0.0/26").unwrap().target,
        Target::Blackhole
    );
}

#[test]
fn nothing_is_told_before_the_first_look() {
    let mut scene = Scene::cold(bgp_fib::Settings::default());
    scene.fib.watch(address("10.0.0.7"));
    assert_eq!(scene.fib.poll_event(), None);
    scene.pump();
    let news = scene.heard(|event| matches!(event, FibEvent::NextHop(..)));
    assert_eq!(news, 1);
    assert_eq!(told(&scene, "10.0.0.7"), Some(connected("eth0")));
}

#[test]
fn one_skipped_line_of_a_dump_loses_no_next_hop() {
    let mut scene = Scene::new();
    scene.fib.watch(address("10.0.0.7"));
    scene.pump();
    for whole in [false, true, false, false] {
        scene.fib.ask_resync();
        scene.now = scene.now + Duration::from_secs(2);
        while let Some(dump) = scene.fib.poll_dump(scene.now) {
            let mut lines = scene.kernel.dump(dump);
            if !whole {
                lines.retain(|line| {
                    !matches!(line, bgp_fib::kernel::Notice::Route { route, .. }
                    if route.key.prefix == net("10.0.0.0/24"))
                });
            }
            scene.fib.handle_dump(scene.now, dump, lines, true);
        }
        while let Some(event) = scene.fib.poll_event() {
            scene.events.push(event);
        }
        if whole {
            assert_eq!(told(&scene, "10.0.0.7"), Some(connected("eth0")));
        }
    }
    // Two in a row is a fact.
    assert_eq!(told(&scene, "10.0.0.7"), Some(Resolution::Unreachable));
}

#[test]
fn host_routes_of_workloads_are_told() {
    let mut scene = Scene::new();
    scene.fib.watch_devices(vec!["cali*".parse().unwrap()]);
    let cali = scene.kernel.add_link("cali1");
    scene.other("10.60.0.1/32", 0, 3, on(cali));
    scene.other("10.60.0.0/26", 0, 3, on(cali));
    scene.other("10.60.0.2/32", 0, 3, on(scene.eth0));
    scene.other("10.60.0.3/32", METRIC, OURS, on(cali));
    scene.kernel.add_address(cali, net("10.60.0.9/31"));
    scene.pump();
    let hosts: Vec<String> = scene
        .fib
        .host_routes()
        .map(|(prefix, device)| format!("{prefix} {device}"))
        .collect();
    assert_eq!(hosts, ["10.60.0.1/32 cali1"]);
    scene.kernel.remove_link(cali);
    scene.pump();
    let news: Vec<bool> = scene
        .events
        .iter()
        .filter_map(|event| match event {
            FibEvent::HostRoute { present, .. } => Some(*present),
            _ => None,
        })
        .collect();
    assert_eq!(news, [true, false]);
    assert_eq!(scene.fib.host_routes().count(), 0);
}

#[test]
fn a_host_route_that_moves_is_told_from_where_to_where() {
    let mut scene = Scene::new();
    let one = scene.kernel.add_link("cali1");
    let two = scene.kernel.add_link("cali2");
    scene.other("10.60.0.1/32", 0, 3, on(one));
    scene.pump();
    scene.fib.watch_devices(vec!["cali*".parse().unwrap()]);
    scene.pump();
    scene.other("10.60.0.1/32", 0, 3, on(two));
    scene.pump();
    let news: Vec<(String, bool)> = scene
        .events
        .iter()
        .filter_map(|event| match event {
            FibEvent::HostRoute {
                device, present, ..
            } => Some((device.to_string(), *present)),
            _ => None,
        })
        .collect();
    let expected = [("cali1", true), ("cali1", false), ("cali2", true)];
    assert_eq!(
        news,
        expected.map(|(device, present)| (device.to_owned(), present))
    );
}

#[test]
fn the_others_routes_have_a_bound() {
    let mut foreign = Foreign::with_limit(2);
    let of = |prefix: &str| route(prefix, 0, 4, Target::Blackhole);
    assert!(foreign.insert(of("10.1.0.0/16"), false));
    assert!(foreign.insert(of("10.2.0.0/16"), false));
    foreign.insert(of("10.3.0.0/16"), false);
    assert_eq!((foreign.len(), foreign.dropped()), (2, 1));
    assert!(foreign.remove(&of("10.1.0.0/16")));
    foreign.insert(of("10.3.0.0/16"), false);
    assert_eq!((foreign.len(), foreign.dropped()), (2, 1));
}
