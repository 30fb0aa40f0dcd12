//! What a former life, a predecessor and others left.

use crate::scene::{METRIC, OURS, Scene, key, place, route, through, via};
use bgp_core::family::{Family, FamilySet};
use bgp_core::time::Duration;
use bgp_fib::kernel::{How, Target};
use bgp_fib::wanted::{Place, Wanted};
use bgp_fib::{FibEvent, RouteState, Settings};

const BIRD: u8 = 12;

fn restarted(adopt: &[u8], leftovers: &[(&str, u32, u8)]) -> Scene {
    let mut scene = Scene::cold(Settings {
        adopt: adopt.to_vec(),
        ..Settings::default()
    });
    for (prefix, metric, protocol) in leftovers {
        let target = through("10.0.0.2", scene.eth0);
        scene.other(prefix, *metric, *protocol, target);
    }
    // Nobody listened when they were put.
    while scene.kernel.next_notice().is_some() {}
    scene
}

#[test]
fn leftovers_forward_and_cost_nothing_when_asked_for_again() {
    let mut scene = restarted(
        &[],
        &[("10.1.0.0/26", METRIC, OURS), ("10.2.0.0/26", METRIC, OURS)],
    );
    assert!(scene.fib.forwarding().is_empty());
    let first = scene.requests(Scene::pump);
    assert_eq!(first, 0);
    assert_eq!(scene.state("10.1.0.0/26"), Some(RouteState::Stale));
    assert_eq!(scene.fib.counts().stale, 2);
    let v4: FamilySet = [Family::Ipv4Unicast].into_iter().collect();
    assert_eq!(scene.fib.forwarding(), v4);

    let again = scene.requests(|scene| scene.set("10.1.0.0/26", via("10.0.0.2", "eth0")));
    assert_eq!(again, 0);
    assert_eq!(scene.state("10.1.0.0/26"), Some(RouteState::Installed));

    let mut v6 = FamilySet::EMPTY;
    v6.insert(Family::Ipv6Unicast);
    let other_family = scene.requests(|scene| {
        scene.fib.sweep(v6);
        scene.pump();
    });
    assert_eq!(other_family, 0);
    let sweep = scene.requests(|scene| {
        scene.fib.sweep(FamilySet::ALL);
        scene.pump();
    });
    assert_eq!(sweep, 1);
    assert!(scene.there("10.1.0.0/26").is_some());
    assert_eq!(scene.there("10.2.0.0/26"), None);
}

#[test]
fn what_was_asked_for_before_the_first_look_is_adopted_too() {
    let mut scene = restarted(&[], &[("10.1.0.0/26", METRIC, OURS)]);
    scene.fib.set(place("10.1.0.0/26"), via("10.0.0.2", "eth0"));
    scene.fib.sweep(FamilySet::ALL);
    assert_eq!(scene.requests(Scene::pump), 0);
    assert!(scene.fib.in_sync());
}

#[test]
fn ours_that_appear_after_the_sweep_go() {
    let mut scene = Scene::new();
    scene.fib.sweep(FamilySet::ALL);
    let target = through("10.0.0.2", scene.eth0);
    scene.other("10.1.0.0/26", METRIC, OURS, target);
    scene.pump();
    assert_eq!(scene.there("10.1.0.0/26"), None);
}

#[test]
fn a_predecessors_route_of_our_key_is_taken_over_in_one_step() {
    let mut scene = restarted(&[BIRD], &[("10.1.0.0/26", METRIC, BIRD)]);
    scene.pump();
    assert_eq!(scene.state("10.1.0.0/26"), Some(RouteState::Stale));
    let taken = scene.requests(|scene| scene.set("10.1.0.0/26", via("10.0.0.2", "eth0")));
    assert_eq!(taken, 1);
    assert_eq!(scene.there("10.1.0.0/26").unwrap().protocol, OURS);
    assert_eq!(
        scene.heard(|event| matches!(event, FibEvent::Conflict { .. })),
        0
    );
}

#[test]
fn a_predecessors_route_of_another_metric_goes_when_ours_stands_or_at_the_sweep() {
    let leftovers = [("10.1.0.0/26", 0, BIRD), ("10.2.0.0/26", 1024, BIRD)];
    let mut scene = restarted(&[BIRD], &leftovers);
    scene.pump();
    assert_eq!(scene.fib.counts().stale, 2);
    scene.set("10.1.0.0/26", via("10.0.0.3", "eth0"));
    let left: Vec<(u8, u32)> = scene
        .kernel
        .routes()
        .filter(|route| route.protocol != 2)
        .map(|route| (route.protocol, route.key.metric))
        .collect();
    assert_eq!(left, [(OURS, METRIC), (BIRD, 1024)]);
    scene.fib.sweep(FamilySet::ALL);
    scene.pump();
    assert!(scene.kernel.routes().all(|route| route.protocol != BIRD));
    assert!(scene.there("10.1.0.0/26").is_some());
}

#[test]
fn a_living_predecessor_is_a_stranger() {
    let mut scene = restarted(&[BIRD], &[]);
    scene.pump();
    let target = through("10.0.0.2", scene.eth0);
    scene.other("10.1.0.0/26", METRIC, BIRD, target);
    scene.pass(Duration::from_secs(130));
    scene.fib.sweep(FamilySet::ALL);
    scene.pass(Duration::from_secs(130));
    assert_eq!(scene.there("10.1.0.0/26").unwrap().protocol, BIRD);
}

#[test]
fn without_adoption_nothing_of_others_is_touched() {
    let leftovers = [
        ("10.1.0.0/26", METRIC, BIRD),
        ("10.2.0.0/26", 0, 4),
        ("10.3.0.0/26", 99, OURS),
    ];
    let mut scene = restarted(&[], &leftovers);
    scene.pump();
    scene.fib.sweep(FamilySet::ALL);
    scene.pass(Duration::from_secs(200));
    for (prefix, metric, protocol) in leftovers {
        let target = through("10.0.0.2", scene.eth0);
        let left = route(prefix, metric, protocol, target);
        assert!(
            scene.kernel.routes().any(|route| *route == left),
            "{prefix}"
        );
    }
    assert_eq!(scene.kernel.requests(), 0);
}

#[test]
fn a_table_named_later_is_ours_too() {
    let mut scene = Scene::cold(Settings::default());
    let mut old = route("10.1.0.0/26", METRIC, OURS, Target::Blackhole);
    old.key.table = 100;
    scene.kernel.put_route(old, How::Create).unwrap();
    scene.pump();
    let there = Place {
        table: 100,
        ..place("10.1.0.0/26")
    };
    scene.fib.set(there, Wanted::Unreachable);
    scene.pass(Duration::from_secs(2));
    let mut at = key("10.1.0.0/26");
    at.table = 100;
    let found: Vec<Target> = scene
        .kernel
        .at(&at)
        .map(|route| route.target.clone())
        .collect();
    assert_eq!(found, [Target::Unreachable]);
    assert!(scene.fib.in_sync());
    assert_eq!(
        scene.heard(|event| matches!(event, FibEvent::Conflict { .. })),
        0
    );
}

#[test]
fn a_leftover_is_kept_while_what_is_asked_for_cannot_be_put() {
    let mut scene = restarted(&[], &[("10.1.0.0/26", METRIC, OURS)]);
    scene.pump();
    scene.set("10.1.0.0/26", via("10.0.0.9", "missing0"));
    assert!(scene.there("10.1.0.0/26").is_some());
    scene.fib.sweep(FamilySet::ALL);
    scene.pump();
    assert_eq!(scene.there("10.1.0.0/26"), None);
}
