//! Devices and addresses that come and go, and what the kernel does not say then.

use crate::scene::{Scene, hop, net, place, route, through, via, ways};
use bgp_core::time::Duration;
use bgp_fib::fib::Cause;
use bgp_fib::kernel::Target;
use bgp_fib::wanted::{Wanted, WantedHop};
use bgp_fib::{FibEvent, RouteState};

fn installed(scene: &Scene, prefix: &str) -> bool {
    scene.state(prefix) == Some(RouteState::Installed) && scene.there(prefix).is_some()
}

#[test]
fn routes_lost_in_silence_with_their_device_are_back_with_it() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    scene.set("10.2.0.0/26", Wanted::Blackhole);
    scene.set("fd01::/122", via("fd00::2", "eth0"));
    scene.kernel.set_up(scene.eth0, false);
    assert_eq!(scene.there("10.1.0.0/26"), None);
    scene.pump();
    let waiting = RouteState::Waiting(Cause::Link("eth0".into()));
    assert_eq!(scene.state("10.1.0.0/26"), Some(waiting.clone()));
    assert_eq!(scene.state("fd01::/122"), Some(waiting));
    assert!(installed(&scene, "10.2.0.0/26"));
    scene.kernel.set_up(scene.eth0, true);
    scene.pump();
    for prefix in ["10.1.0.0/26", "10.2.0.0/26", "fd01::/122"] {
        assert!(installed(&scene, prefix), "{prefix}");
    }
    // That was the device, not somebody.
    assert_eq!(
        scene.heard(|event| matches!(event, FibEvent::Healed { .. })),
        0
    );
    assert!(scene.fib.in_sync());
}

#[test]
fn a_device_that_returns_with_another_number_is_found_by_name() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.77.0.2", "tunl0"));
    scene.kernel.remove_link(scene.tunl0);
    scene.pump();
    let waiting = RouteState::Waiting(Cause::Link("tunl0".into()));
    assert_eq!(scene.state("10.1.0.0/26"), Some(waiting));
    let index = scene.kernel.add_link("tunl0");
    scene.pump();
    assert!(installed(&scene, "10.1.0.0/26"));
    let Target::Unicast(hops) = scene.there("10.1.0.0/26").unwrap().target else {
        panic!("not unicast");
    };
    assert_eq!(hops[0].link, Some(index));
}

#[test]
fn a_renamed_device_is_another_one() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.77.0.2", "tunl0"));
    scene.kernel.rename_link(scene.tunl0, "old0");
    scene.pump();
    assert_eq!(scene.there("10.1.0.0/26"), None);
    scene.kernel.rename_link(scene.tunl0, "tunl0");
    scene.pump();
    assert!(installed(&scene, "10.1.0.0/26"));
}

#[test]
fn a_lost_carrier_leaves_routes_where_they_are() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    let quiet = scene.requests(|scene| {
        scene.kernel.set_carrier(scene.eth0, false);
        scene.pass(Duration::from_secs(5));
        scene.kernel.set_carrier(scene.eth0, true);
        scene.pass(Duration::from_secs(5));
    });
    assert_eq!(quiet, 0);
    assert!(installed(&scene, "10.1.0.0/26"));
}

#[test]
fn of_several_ways_those_that_work_are_used() {
    let mut scene = Scene::new();
    let onlink = |gateway| WantedHop {
        onlink: true,
        ..hop(gateway, Some("tunl0"))
    };
    let wanted = ways(vec![hop("10.0.0.2", Some("eth0")), onlink("10.77.0.2")]);
    scene.set("10.1.0.0/26", wanted);
    let ways_of = |scene: &Scene| match scene.there("10.1.0.0/26").unwrap().target {
        Target::Unicast(hops) => hops.len(),
        _ => 0,
    };
    assert_eq!(ways_of(&scene), 2);
    scene.kernel.set_up(scene.tunl0, false);
    scene.pump();
    assert_eq!(ways_of(&scene), 1);
    scene.kernel.set_up(scene.tunl0, true);
    scene.pump();
    assert_eq!(ways_of(&scene), 2);
}

#[test]
fn routes_lost_in_silence_with_an_address_are_found_and_put_when_it_is_back() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    scene.kernel.remove_address(scene.eth0, net("10.0.0.1/24"));
    assert_eq!(scene.there("10.1.0.0/26"), None);
    scene.pass(Duration::from_secs(2));
    let waiting = RouteState::Waiting(Cause::Network);
    assert_eq!(scene.state("10.1.0.0/26"), Some(waiting));
    assert!(scene.heard(|event| matches!(event, FibEvent::Refused { .. })) >= 1);
    scene.kernel.add_address(scene.eth0, net("10.0.0.1/24"));
    scene.pump();
    assert!(installed(&scene, "10.1.0.0/26"));
}

#[test]
fn a_source_that_is_no_address_of_ours_waits_for_it() {
    let mut scene = Scene::new();
    let wanted = Wanted::Via {
        hops: vec![hop("10.0.0.2", Some("eth0"))],
        source: Some("10.0.0.33".parse().unwrap()),
    };
    scene.set("10.1.0.0/26", wanted);
    let status = scene.fib.status(place("10.1.0.0/26")).unwrap();
    assert_eq!(status.state, RouteState::Waiting(Cause::Network));
    assert_eq!(status.error.unwrap(), "Invalid prefsrc address (error 22)");
    // The next try by time is seconds away; the address comes first.
    scene.pass(Duration::from_secs(20));
    scene.kernel.add_address(scene.eth0, net("10.0.0.33/32"));
    scene.pump();
    assert!(installed(&scene, "10.1.0.0/26"));
}

#[test]
fn our_own_address_is_never_a_destination() {
    let mut scene = Scene::new();
    scene.set("10.0.0.44/32", via("10.0.0.2", "eth0"));
    assert!(installed(&scene, "10.0.0.44/32"));
    scene.kernel.add_address(scene.eth0, net("10.0.0.44/32"));
    scene.pump();
    assert_eq!(scene.state("10.0.0.44/32"), Some(RouteState::Invalid));
    assert_eq!(scene.there("10.0.0.44/32"), None);
    scene.kernel.remove_address(scene.eth0, net("10.0.0.44/32"));
    scene.pump();
    assert!(installed(&scene, "10.0.0.44/32"));
}

#[test]
fn what_was_lost_in_silence_is_found_by_the_slow_timer() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    scene
        .kernel
        .delete_route(&crate::scene::key("10.1.0.0/26"), 201)
        .unwrap();
    while scene.kernel.next_notice().is_some() {}
    scene.pass(Duration::from_secs(61));
    assert!(installed(&scene, "10.1.0.0/26"));
    let drifted = |event: &FibEvent| matches!(event, FibEvent::Synced { drifted: 1, .. });
    assert_eq!(scene.heard(drifted), 1);
}

#[test]
fn an_overrun_leads_to_a_look() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    scene.kernel.set_queue(0);
    scene
        .kernel
        .delete_route(&crate::scene::key("10.1.0.0/26"), 201)
        .unwrap();
    scene.kernel.set_queue(usize::MAX);
    scene.pass(Duration::from_secs(1));
    assert!(installed(&scene, "10.1.0.0/26"));
    assert_eq!(scene.fib.counts().overruns, 1);
    assert_eq!(scene.heard(|event| *event == FibEvent::Overrun), 1);
}

#[test]
fn looks_are_at_least_a_second_apart() {
    let mut scene = Scene::new();
    let before = scene.fib.counts().resyncs;
    for _ in 0..1_000 {
        scene.fib.handle_overrun(scene.now);
        scene.pass(Duration::from_millis(10));
    }
    let looks = scene.fib.counts().resyncs - before;
    assert!((9..=11).contains(&looks), "{looks} in ten seconds");
}

#[test]
fn devices_that_carry_nothing_of_ours_cause_no_look() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    let before = scene.fib.counts().resyncs;
    for number in 0..50 {
        let cali = scene.kernel.add_link(&format!("cali{number}"));
        let workload = Target::Unicast(vec![bgp_fib::kernel::Hop {
            gateway: None,
            link: Some(cali),
            onlink: false,
            weight: 1,
        }]);
        scene.other(&format!("10.60.0.{number}/32"), 0, 3, workload);
        scene.pump();
        scene.kernel.remove_link(cali);
        scene.pump();
    }
    assert_eq!(scene.fib.counts().resyncs, before);
    assert!(scene.fib.foreign(net("10.60.0.0/24")).is_empty());
}

#[test]
fn a_discard_survives_its_devices_and_a_foreign_route_is_forgotten_with_its_own() {
    let mut scene = Scene::new();
    let target = through("10.0.0.9", scene.eth0);
    scene.other("10.9.0.0/16", 7, 4, target);
    scene.pump();
    assert_eq!(scene.fib.foreign(net("10.9.0.0/16")).len(), 1);
    scene.kernel.set_up(scene.eth0, false);
    scene.pump();
    assert!(scene.fib.foreign(net("10.9.0.0/16")).is_empty());
    let left = route("10.9.0.0/16", 7, 4, Target::Blackhole);
    assert!(scene.kernel.routes().all(|route| route.key != left.key));
}
