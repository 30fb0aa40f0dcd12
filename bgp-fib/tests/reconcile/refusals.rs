//! What the kernel refuses, and when it is asked again.

use crate::scene::{Scene, place, via};
use bgp_core::time::Duration;
use bgp_fib::errno::{EEXIST, EINVAL, ENOBUFS, ENOMEM, EPERM};
use bgp_fib::fib::Cause;
use bgp_fib::kernel::KernelError;
use bgp_fib::wanted::Wanted;
use bgp_fib::{FibEvent, RouteState, Subject};

fn error(errno: i32, text: &str) -> KernelError {
    KernelError {
        errno,
        text: text.into(),
    }
}

fn refusals(scene: &Scene) -> usize {
    scene.heard(|event| matches!(event, FibEvent::Refused { .. }))
}

#[test]
fn a_refused_route_shows_the_kernels_words_and_is_tried_ever_more_slowly() {
    let mut scene = Scene::new();
    let words = "Invalid prefix for given prefix length";
    scene
        .kernel
        .refuse(std::iter::repeat_n(error(EINVAL, words), 8));
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    scene.set("10.2.0.0/26", Wanted::Blackhole);
    let status = scene.fib.status(place("10.1.0.0/26")).unwrap();
    assert_eq!(status.state, RouteState::Waiting(Cause::Time));
    assert_eq!(status.error.unwrap(), format!("{words} (error 22)"));
    assert_eq!(status.tries, 1);
    let tries = scene.requests(|scene| scene.pass(Duration::from_millis(700)));
    assert!((4..=6).contains(&tries), "{tries} in 0.7 s for two routes");
    scene.pass(Duration::from_secs(5));
    assert!(scene.fib.in_sync());
    // One word each, not one per try.
    assert_eq!(refusals(&scene), 2);
    assert_eq!(scene.fib.counts().failed[&EINVAL], 8);
    let status = scene.fib.status(place("10.1.0.0/26")).unwrap();
    assert_eq!((status.error, status.tries), (None, 0));
}

#[test]
fn a_kernel_without_memory_is_left_alone_for_a_while() {
    for errno in [ENOMEM, ENOBUFS, EPERM] {
        let mut scene = Scene::new();
        scene
            .kernel
            .refuse(std::iter::repeat_n(error(errno, ""), 64));
        for number in 0..64 {
            scene
                .fib
                .set(place(&format!("10.1.{number}.0/26")), Wanted::Blackhole);
        }
        let tries = scene.requests(|scene| {
            scene.pump();
            scene.pass(Duration::from_millis(70));
        });
        assert_eq!(tries, 64);
        assert_eq!(refusals(&scene), 1);
        scene.pass(Duration::from_millis(40));
        assert!(scene.fib.in_sync(), "error {errno}");
        assert_eq!(scene.fib.counts().installed, 64);
    }
}

#[test]
fn one_bad_route_does_not_hold_up_the_others() {
    let mut scene = Scene::new();
    scene
        .fib
        .set(place("10.1.0.0/26"), via("10.33.0.9", "eth0"));
    scene.fib.set(place("10.2.0.0/26"), via("10.0.0.2", "eth0"));
    scene.pump();
    assert_eq!(
        scene.state("10.1.0.0/26"),
        Some(RouteState::Waiting(Cause::Network))
    );
    assert_eq!(scene.state("10.2.0.0/26"), Some(RouteState::Installed));
    let refused = FibEvent::Refused {
        subject: Subject::Route(place("10.1.0.0/26")),
        error: error(101, "Nexthop has invalid gateway"),
    };
    assert!(scene.events.contains(&refused));
    assert_eq!(scene.fib.counts().waiting["network"], 1);
}

#[test]
fn a_delete_of_what_is_gone_is_done() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    scene
        .kernel
        .delete_route(&crate::scene::key("10.1.0.0/26"), 201)
        .unwrap();
    while scene.kernel.next_notice().is_some() {}
    scene.fib.remove(place("10.1.0.0/26"));
    scene.pump();
    assert!(scene.fib.in_sync());
    assert_eq!(refusals(&scene), 0);
    assert!(scene.fib.counts().failed.is_empty());
}

#[test]
fn a_key_that_is_taken_by_nobody_we_can_see_becomes_a_conflict_after_a_look() {
    let mut scene = Scene::new();
    scene
        .kernel
        .refuse(std::iter::repeat_n(error(EEXIST, ""), 2));
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    assert_eq!(
        scene.heard(|event| matches!(event, FibEvent::Conflict { .. })),
        0
    );
    scene.pass(Duration::from_secs(2));
    assert_eq!(
        scene.heard(|event| matches!(event, FibEvent::Conflict { .. })),
        1
    );
    scene.pass(Duration::from_secs(65));
    assert!(scene.fib.in_sync());
    assert_eq!(
        scene.heard(|event| matches!(event, FibEvent::ConflictOver { .. })),
        1
    );
}
