//! Nexthop objects: one message moves all routes of a gateway.

use crate::scene::{METRIC, OURS, Scene, hop, net, place, route, through, via, ways};
use bgp_core::family::FamilySet;
use bgp_core::time::Duration;
use bgp_fib::fib::FIRST_OBJECT;
use bgp_fib::kernel::{Hop, How, NextHopKind, NextHopObject, Target};
use bgp_fib::wanted::Wanted;
use bgp_fib::{FibEvent, Settings};

fn settings() -> Settings {
    Settings {
        next_hop_objects: true,
        ..Settings::default()
    }
}

fn scene() -> Scene {
    let mut scene = Scene::cold(settings());
    scene.pump();
    scene.events.clear();
    scene
}

fn prefixes() -> impl Iterator<Item = String> {
    (0..100).map(|number| format!("10.1.{number}.0/26"))
}

fn all(scene: &mut Scene, wanted: &Wanted) {
    for prefix in prefixes() {
        scene.fib.set(place(&prefix), wanted.clone());
    }
    scene.pump();
}

fn objects(scene: &Scene) -> usize {
    scene.kernel.objects().count()
}

fn through_objects(scene: &Scene) -> usize {
    let routes = scene.kernel.routes();
    routes
        .filter(|route| matches!(route.target, Target::Object(..)))
        .count()
}

#[test]
fn a_gateway_that_moves_takes_all_its_routes_along_with_one_message() {
    let mut scene = scene();
    let eth1 = scene.kernel.add_link("eth1");
    scene.kernel.add_address(eth1, net("10.9.0.1/24"));
    let target = through("10.0.0.8", scene.eth0);
    scene.other("10.50.0.0/16", 10, 4, target);
    scene.pump();
    all(&mut scene, &ways(vec![hop("10.50.0.1", None)]));
    assert_eq!((objects(&scene), through_objects(&scene)), (1, 100));
    scene.other("10.50.0.0/24", 10, 4, through("10.9.0.8", eth1));
    let moved = scene.requests(Scene::pump);
    assert_eq!(moved, 1);
    let kind = &scene.kernel.objects().next().unwrap().kind;
    assert!(matches!(kind, NextHopKind::Hop(hop) if hop.link == Some(eth1)));
    assert!(scene.fib.in_sync());
}

#[test]
fn a_dead_gateway_of_a_group_costs_a_message_and_its_return_two() {
    let mut scene = scene();
    let eth1 = scene.kernel.add_link("eth1");
    scene.kernel.add_address(eth1, net("10.9.0.1/24"));
    scene.pump();
    let two = ways(vec![
        hop("10.0.0.2", Some("eth0")),
        hop("10.9.0.2", Some("eth1")),
    ]);
    all(&mut scene, &two);
    assert_eq!((objects(&scene), through_objects(&scene)), (3, 100));
    // The kernel has shrunk the group itself: nothing is to be said at all.
    let lost = scene.requests(|scene| {
        scene.kernel.set_carrier(eth1, false);
        scene.pump();
    });
    assert_eq!((lost, through_objects(&scene)), (0, 100));
    let back = scene.requests(|scene| {
        scene.kernel.set_carrier(eth1, true);
        scene.pump();
    });
    assert_eq!(back, 2);
    let grown = scene
        .kernel
        .objects()
        .any(|object| matches!(&object.kind, NextHopKind::Group(members) if members.len() == 2));
    assert!(grown);
    assert!(scene.fib.in_sync());
}

#[test]
fn routes_flushed_with_a_carrier_are_put_as_plain_ones_and_become_objects_again() {
    let mut scene = scene();
    all(&mut scene, &via("10.0.0.2", "eth0"));
    scene.kernel.set_carrier(scene.eth0, false);
    assert_eq!(
        scene
            .kernel
            .routes()
            .filter(|route| route.protocol == OURS)
            .count(),
        0
    );
    scene.pump();
    assert_eq!((objects(&scene), through_objects(&scene)), (0, 0));
    assert_eq!(scene.fib.counts().installed, 100);
    assert!(scene.there("10.1.0.0/26").is_some());
    scene.kernel.set_carrier(scene.eth0, true);
    scene.pump();
    assert_eq!((objects(&scene), through_objects(&scene)), (1, 100));
    assert!(scene.fib.in_sync());
}

#[test]
fn an_object_that_somebody_deletes_is_back_with_its_routes() {
    let mut scene = scene();
    all(&mut scene, &via("10.0.0.2", "eth0"));
    let id = scene.kernel.objects().next().unwrap().id;
    assert!(id >= FIRST_OBJECT);
    scene.kernel.delete_object(id).unwrap();
    scene.pump();
    assert_eq!((objects(&scene), through_objects(&scene)), (1, 100));
    // Unheard, too.
    scene.kernel.delete_object(id).unwrap();
    while scene.kernel.next_notice().is_some() {}
    scene.pass(Duration::from_secs(65));
    assert_eq!((objects(&scene), through_objects(&scene)), (1, 100));
}

#[test]
fn an_object_goes_after_the_last_route_through_it() {
    let mut scene = scene();
    all(&mut scene, &via("10.0.0.2", "eth0"));
    all(&mut scene, &Wanted::Blackhole);
    assert_eq!(objects(&scene), 0);
    for prefix in prefixes() {
        let there = scene.there(&prefix).unwrap();
        assert_eq!(there.target, Target::Blackhole, "{prefix}");
    }
    all(&mut scene, &via("10.0.0.3", "eth0"));
    scene.fib.remove_all();
    scene.pass(Duration::from_secs(3));
    assert_eq!(objects(&scene), 0);
    assert!(scene.fib.in_sync());
}

#[test]
fn objects_of_a_former_life_are_used_again_and_the_rest_is_swept() {
    let mut scene = Scene::cold(settings());
    let hop_to = |gateway: &str, link| Hop {
        gateway: Some(gateway.parse().unwrap()),
        link: Some(link),
        onlink: false,
        weight: 1,
    };
    for (number, gateway) in ["10.0.0.2", "10.0.0.3"].into_iter().enumerate() {
        let id = FIRST_OBJECT + u32::try_from(number).unwrap();
        let kind = NextHopKind::Hop(hop_to(gateway, scene.eth0));
        let object = NextHopObject {
            id,
            protocol: OURS,
            kind,
        };
        scene.kernel.put_object(object).unwrap();
        let target = Target::Object(id, Vec::new());
        let left = route(&format!("10.1.{number}.0/26"), METRIC, OURS, target);
        scene.kernel.put_route(left, How::Create).unwrap();
    }
    let stranger = NextHopObject {
        id: FIRST_OBJECT + 2,
        protocol: 4,
        kind: NextHopKind::Blackhole,
    };
    scene.kernel.put_object(stranger.clone()).unwrap();
    while scene.kernel.next_notice().is_some() {}
    scene.pump();
    let again = scene.requests(|scene| scene.set("10.1.0.0/26", via("10.0.0.2", "eth0")));
    assert_eq!(again, 0);
    scene.fib.sweep(FamilySet::ALL);
    scene.pass(Duration::from_secs(3));
    scene.set("10.2.0.0/26", via("10.0.0.4", "eth0"));
    let ids: Vec<u32> = scene
        .kernel
        .objects()
        .map(|object| object.id - FIRST_OBJECT)
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(scene.kernel.objects().any(|object| *object == stranger));
    assert!(scene.there("10.1.0.0/26").is_some());
    assert_eq!(scene.there("10.1.1.0/26"), None);
}

#[test]
fn a_kernel_without_objects_gets_plain_routes() {
    let mut scene = scene();
    scene.kernel.set_has_objects(false);
    all(&mut scene, &via("10.0.0.2", "eth0"));
    scene.pass(Duration::from_secs(1));
    let told = |event: &FibEvent| matches!(event, FibEvent::NoNextHopObjects { .. });
    assert_eq!(scene.heard(told), 1);
    assert_eq!(scene.fib.counts().installed, 100);
    assert_eq!(through_objects(&scene), 0);
    assert!(scene.fib.in_sync());
}
