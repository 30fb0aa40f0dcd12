//! Others at our keys.

use crate::scene::{METRIC, OURS, Scene, net, place, route, through, via};
use bgp_core::time::Duration;
use bgp_fib::fib::{Cause, Difference};
use bgp_fib::kernel::{How, Target};
use bgp_fib::wanted::Wanted;
use bgp_fib::{FibEvent, RouteState};

const STATIC: u8 = 4;

fn conflicts(scene: &Scene) -> (usize, usize) {
    (
        scene.heard(|event| matches!(event, FibEvent::Conflict { .. })),
        scene.heard(|event| matches!(event, FibEvent::ConflictOver { .. })),
    )
}

#[test]
fn a_route_of_another_at_our_key_is_kept_and_reported_and_ours_comes_when_it_goes() {
    let mut scene = Scene::new();
    let target = through("10.0.0.5", scene.eth0);
    scene.other("10.1.0.0/26", METRIC, STATIC, target);
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    let waiting = RouteState::Waiting(Cause::Conflict(Some(STATIC)));
    assert_eq!(scene.state("10.1.0.0/26"), Some(waiting));
    scene.pass(Duration::from_secs(300));
    assert_eq!(scene.there("10.1.0.0/26").unwrap().protocol, STATIC);
    assert_eq!(conflicts(&scene), (1, 0));
    assert_eq!(scene.fib.conflicts().len(), 1);
    assert!(!scene.fib.in_sync());

    scene
        .kernel
        .delete_route(&crate::scene::key("10.1.0.0/26"), STATIC)
        .unwrap();
    scene.pump();
    assert_eq!(scene.there("10.1.0.0/26").unwrap().protocol, OURS);
    assert_eq!(conflicts(&scene), (1, 1));
    assert!(scene.fib.in_sync());
}

#[test]
fn a_route_that_replaces_ours_is_kept_and_reported() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    let target = through("10.0.0.5", scene.eth0);
    scene.other("10.1.0.0/26", METRIC, STATIC, target);
    scene.pass(Duration::from_secs(100));
    assert_eq!(scene.there("10.1.0.0/26").unwrap().protocol, STATIC);
    assert_eq!(conflicts(&scene), (1, 0));
    scene.fib.remove(place("10.1.0.0/26"));
    scene.pump();
    assert_eq!(scene.there("10.1.0.0/26").unwrap().protocol, STATIC);
    assert_eq!(conflicts(&scene), (1, 1));
}

#[test]
fn a_conflict_whose_notification_was_lost_is_found() {
    let mut scene = Scene::new();
    let target = through("10.0.0.5", scene.eth0);
    scene.other("10.1.0.0/26", METRIC, STATIC, target);
    while scene.kernel.next_notice().is_some() {}
    scene.fib.set(place("10.1.0.0/26"), via("10.0.0.2", "eth0"));
    scene.pass(Duration::from_secs(3));
    let waiting = RouteState::Waiting(Cause::Conflict(Some(STATIC)));
    assert_eq!(scene.state("10.1.0.0/26"), Some(waiting));
    assert_eq!(conflicts(&scene), (1, 0));
}

#[test]
fn ours_of_which_we_lost_track_is_no_conflict() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    // A lie: it is still there, so Create is refused; the look at the kernel puts that right.
    let lie = scene.there("10.1.0.0/26").unwrap();
    scene
        .fib
        .handle_notice(scene.now, bgp_fib::kernel::Notice::RouteGone(lie));
    scene.pass(Duration::from_secs(3));
    assert_eq!(scene.state("10.1.0.0/26"), Some(RouteState::Installed));
    assert_eq!(conflicts(&scene), (0, 0));
}

#[test]
fn what_somebody_deletes_or_changes_is_put_back_at_once() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    scene.set("10.2.0.0/26", Wanted::Blackhole);
    scene
        .kernel
        .delete_route(&crate::scene::key("10.1.0.0/26"), OURS)
        .unwrap();
    let target = through("10.0.0.7", scene.eth0);
    scene.other("10.2.0.0/26", METRIC, OURS, target);
    scene.pump();
    assert_eq!(
        scene.there("10.1.0.0/26").unwrap().target,
        through("10.0.0.2", scene.eth0)
    );
    assert_eq!(
        scene.there("10.2.0.0/26").unwrap().target,
        Target::Blackhole
    );
    assert_eq!(
        scene.heard(|event| matches!(event, FibEvent::Healed { .. })),
        2
    );
    assert_eq!(scene.fib.counts().healed, 2);
}

#[test]
fn a_fight_is_told_and_slows_down() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    let mut deleted = 0;
    for _ in 0..60_000 {
        if scene.there("10.1.0.0/26").is_some() {
            scene
                .kernel
                .delete_route(&crate::scene::key("10.1.0.0/26"), OURS)
                .unwrap();
            deleted += 1;
            scene.fib.ask_resync();
        }
        scene.pass(Duration::from_millis(1));
    }
    assert!(
        (14..=20).contains(&deleted),
        "{deleted} repairs in a minute"
    );
    assert!(scene.heard(|event| matches!(event, FibEvent::Fight { .. })) >= 2);
    // Each was heard of: the looks in between found nothing that nobody had said.
    let silent =
        |event: &FibEvent| matches!(event, FibEvent::Synced { drifted, .. } if *drifted > 0);
    assert_eq!(scene.heard(silent), 0);
    scene.pass(Duration::from_secs(60));
    assert!(scene.there("10.1.0.0/26").is_some());
}

#[test]
fn an_appended_twin_is_never_overwritten() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", via("10.0.0.2", "eth0"));
    let twin = route(
        "10.1.0.0/26",
        METRIC,
        STATIC,
        through("10.0.0.5", scene.eth0),
    );
    scene.kernel.append_route(twin.clone()).unwrap();
    scene.pump();
    scene.set("10.1.0.0/26", via("10.0.0.3", "eth0"));
    scene.pass(Duration::from_secs(100));
    assert!(scene.kernel.routes().any(|route| *route == twin));
    scene.kernel.delete_route(&twin.key, STATIC).unwrap();
    scene.pump();
    assert_eq!(
        scene.there("10.1.0.0/26").unwrap().target,
        through("10.0.0.3", scene.eth0)
    );
    assert!(scene.fib.in_sync());
}

#[test]
fn a_comparison_names_what_differs() {
    let mut scene = Scene::new();
    scene.fib.sweep(bgp_core::family::FamilySet::ALL);
    for prefix in ["10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26"] {
        scene.set(prefix, Wanted::Blackhole);
    }
    scene.set("224.0.0.0/24", Wanted::Blackhole);
    let before = scene.fib.last_audit().unwrap().number;
    let key = crate::scene::key;
    scene
        .kernel
        .delete_route(&key("10.1.0.0/26"), OURS)
        .unwrap();
    scene.other("10.2.0.0/26", METRIC, OURS, Target::Prohibit);
    scene.other("10.9.0.0/26", METRIC, OURS, Target::Prohibit);
    while scene.kernel.next_notice().is_some() {}
    scene.fib.ask_resync();
    scene.pass(Duration::from_millis(1_500));
    let audit = scene.fib.last_audit().unwrap().clone();
    assert_eq!(audit.number, before + 1);
    let mut found = audit.differences;
    found.sort_by_key(|difference| format!("{difference:?}"));
    assert_eq!(
        found,
        [
            Difference::Differs(key("10.2.0.0/26")),
            Difference::Extra(key("10.9.0.0/26")),
            Difference::Missing(key("10.1.0.0/26")),
            Difference::Missing(key("224.0.0.0/24")),
        ]
    );
    scene.fib.remove(place("224.0.0.0/24"));
    scene.fib.ask_resync();
    scene.pass(Duration::from_millis(1_500));
    let audit = scene.fib.last_audit().unwrap();
    assert_eq!((audit.differing, audit.compared), (0, 3));
    assert_eq!(scene.there("10.9.0.0/26"), None);
    assert!(
        scene
            .fib
            .foreign(net("10.0.0.0/8"))
            .iter()
            .all(|route| route.protocol == 2)
    );
}

#[test]
fn a_replace_by_ours_in_the_kernel_forgets_the_other() {
    let mut scene = Scene::new();
    scene.other("10.1.0.0/26", METRIC, STATIC, Target::Blackhole);
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    // A former life of ours, or an operator with our mark, takes the key.
    let ours = route("10.1.0.0/26", METRIC, OURS, Target::Blackhole);
    scene.kernel.put_route(ours, How::Replace).unwrap();
    scene.pump();
    assert_eq!(scene.state("10.1.0.0/26"), Some(RouteState::Installed));
    assert_eq!(conflicts(&scene), (1, 1));
}
