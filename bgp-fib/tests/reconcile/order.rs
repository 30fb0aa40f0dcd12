//! What is sent, how often and in which order.

use crate::scene::{METRIC, OURS, Scene, hop, net, place, route, through, via, ways};
use bgp_core::time::Duration;
use bgp_fib::fib::{MAX_BATCH, MAX_IN_FLIGHT};
use bgp_fib::kernel::{How, Request, Target};
use bgp_fib::wanted::{Place, Wanted};
use bgp_fib::{RouteState, Settings};

#[test]
fn a_route_is_put_changed_and_removed_with_one_message_each() {
    let mut scene = Scene::new();
    let put = scene.requests(|scene| scene.set("10.1.0.0/26", via("10.0.0.2", "eth0")));
    assert_eq!(put, 1);
    let there = scene.there("10.1.0.0/26").unwrap();
    assert_eq!((there.protocol, there.key.metric), (OURS, METRIC));
    assert_eq!(there.target, through("10.0.0.2", scene.eth0));
    assert_eq!(scene.state("10.1.0.0/26"), Some(RouteState::Installed));
    assert!(scene.fib.in_sync());

    let same = scene.requests(|scene| scene.set("10.1.0.0/26", via("10.0.0.2", "eth0")));
    assert_eq!(same, 0);
    let change = scene.requests(|scene| scene.set("10.1.0.0/26", Wanted::Blackhole));
    assert_eq!(change, 1);
    assert_eq!(
        scene.there("10.1.0.0/26").unwrap().target,
        Target::Blackhole
    );
    let gone = scene.requests(|scene| {
        scene.fib.remove(place("10.1.0.0/26"));
        scene.pump();
    });
    assert_eq!(gone, 1);
    assert_eq!(scene.there("10.1.0.0/26"), None);
    assert_eq!(scene.state("10.1.0.0/26"), None);
}

#[test]
fn a_flap_between_two_passes_costs_one_message_or_none() {
    let mut scene = Scene::new();
    let flap = scene.requests(|scene| {
        for _ in 0..100 {
            scene.fib.set(place("10.1.0.0/26"), via("10.0.0.2", "eth0"));
            scene.fib.set(place("10.1.0.0/26"), via("10.0.0.3", "eth0"));
        }
        scene.pump();
    });
    assert_eq!(flap, 1);
    let none = scene.requests(|scene| {
        scene.fib.remove(place("10.1.0.0/26"));
        scene.fib.set(place("10.1.0.0/26"), via("10.0.0.3", "eth0"));
        scene.pump();
    });
    assert_eq!(none, 0);
}

#[test]
fn nothing_is_said_before_the_first_look() {
    let mut scene = Scene::cold(Settings::default());
    scene.fib.set(place("10.1.0.0/26"), Wanted::Blackhole);
    let mut batch = Vec::new();
    scene.fib.poll_batch(scene.now, 64, &mut batch);
    assert!(batch.is_empty());
    assert!(matches!(
        scene.state("10.1.0.0/26"),
        Some(RouteState::Waiting(_))
    ));
    scene.pump();
    assert_eq!(scene.state("10.1.0.0/26"), Some(RouteState::Installed));
}

fn batch_of(scene: &mut Scene) -> Vec<Request> {
    let mut batch = Vec::new();
    scene.fib.poll_batch(scene.now, MAX_BATCH, &mut batch);
    batch.into_iter().map(|(_, request)| request).collect()
}

/// Short words for requests.
fn words(requests: &[Request]) -> Vec<String> {
    let word = |request: &Request| match request {
        Request::PutRoute(route, how) => {
            let kind = match route.target {
                Target::Blackhole => "blackhole",
                _ => "unicast",
            };
            format!("{how:?} {kind} {}", route.key.prefix)
        }
        Request::DeleteRoute(key, protocol) => format!("delete {} of {protocol}", key.prefix),
        other => format!("{other:?}"),
    };
    requests.iter().map(word).collect()
}

#[test]
fn adds_come_before_deletes_and_discards_last_in_and_first_out() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    scene.set("10.1.0.1/32", via("10.0.0.2", "eth0"));
    scene.set("10.2.0.0/26", via("10.0.0.2", "eth0"));
    scene.fib.remove(place("10.1.0.1/32"));
    scene.fib.remove(place("10.1.0.0/26"));
    scene.fib.set(place("10.2.0.0/26"), Wanted::Blackhole);
    scene.fib.set(place("10.2.0.1/32"), via("10.0.0.3", "eth0"));
    assert_eq!(
        words(&batch_of(&mut scene)),
        [
            "Create unicast 10.2.0.1/32",
            "Replace blackhole 10.2.0.0/26",
            "delete 10.1.0.0/26 of 201",
            "delete 10.1.0.1/32 of 201",
        ]
    );
}

#[test]
fn a_batch_has_a_bound_and_so_have_the_unanswered() {
    let mut scene = Scene::new();
    for number in 0..2_000_u32 {
        let prefix = bgp_core::prefix::Ipv4Net::new((0x0b00_0000 + number * 64).into(), 26);
        let place = Place {
            table: 254,
            prefix: prefix.unwrap().into(),
        };
        scene.fib.set(place, Wanted::Blackhole);
    }
    let mut sent = 0;
    loop {
        let mut batch = Vec::new();
        scene.fib.poll_batch(scene.now, usize::MAX, &mut batch);
        assert!(batch.len() <= MAX_BATCH);
        if batch.is_empty() {
            break;
        }
        sent += batch.len();
    }
    assert_eq!(sent, MAX_IN_FLIGHT);
    // The answers never come: the requests are forgotten, a look tells, and all is put again.
    scene.pass(Duration::from_secs(10));
    assert!(scene.fib.in_sync());
    assert_eq!(scene.fib.counts().installed, 2_000);
}

#[test]
fn several_ways_several_kinds_and_other_tables() {
    let mut scene = Scene::new();
    let two = ways(vec![
        hop("10.0.0.2", Some("eth0")),
        hop("10.0.0.3", Some("eth0")),
    ]);
    scene.set("10.1.0.0/26", two);
    scene.set("10.2.0.0/26", Wanted::Unreachable);
    scene.set("10.3.0.0/26", Wanted::Prohibit);
    scene.set("10.4.0.0/26", via("fd00::9", "eth0"));
    scene.set("fd01::/122", via("fd00::9", "eth0"));
    let elsewhere = Place {
        table: 1_000,
        prefix: net("10.1.0.0/26"),
    };
    scene.fib.set(elsewhere, via("10.0.0.9", "tunl0"));
    scene.pump();
    assert!(scene.fib.in_sync(), "{:?}", scene.events);
    assert_eq!(scene.fib.counts().installed, 6);
    // The kernel reports hops in another order, without the onlink flag: that is the same route.
    let quiet = scene.requests(|scene| {
        let mut turned = scene.there("10.1.0.0/26").unwrap();
        let Target::Unicast(hops) = &mut turned.target else {
            unreachable!("put with two hops");
        };
        hops.reverse();
        scene.kernel.put_route(turned, How::Replace).unwrap();
        scene
            .kernel
            .put_route(
                bgp_fib::kernel::Route {
                    key: bgp_fib::kernel::RouteKey {
                        table: 1_000,
                        ..crate::scene::key("10.1.0.0/26")
                    },
                    ..route("10.1.0.0/26", METRIC, OURS, {
                        let mut target = through("10.0.0.9", scene.tunl0);
                        if let Target::Unicast(hops) = &mut target {
                            hops.iter_mut().for_each(|hop| hop.onlink = true);
                        }
                        target
                    })
                },
                How::Replace,
            )
            .unwrap();
    });
    assert_eq!(quiet, 0);
    let after = scene.requests(Scene::pump);
    assert_eq!(after, 0);
}

#[test]
fn metric_zero_means_1024_for_ipv6() {
    let mut scene = Scene::cold(Settings {
        metric: 0,
        ..Settings::default()
    });
    scene.pump();
    scene.set("fd01::/122", Wanted::Blackhole);
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    let metrics: Vec<u32> = scene
        .kernel
        .routes()
        .filter(|route| route.protocol == OURS)
        .map(|route| route.key.metric)
        .collect();
    assert_eq!(metrics, [0, 1024]);
    let quiet = scene.requests(|scene| {
        scene.fib.ask_resync();
        scene.pass(Duration::from_secs(2));
    });
    assert_eq!(quiet, 0);
    assert!(scene.fib.in_sync());
}

#[test]
fn statuses_are_paged_in_order() {
    let mut scene = Scene::new();
    let prefixes = ["10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26", "224.1.0.0/16"];
    for prefix in prefixes {
        scene.set(prefix, Wanted::Blackhole);
    }
    let first = scene.fib.statuses(None, 3);
    assert_eq!(first.items.len(), 3);
    let rest = scene.fib.statuses(first.next, 3);
    let all: Vec<String> = first
        .items
        .iter()
        .chain(&rest.items)
        .map(|status| status.place.prefix.to_string())
        .collect();
    assert_eq!(all, prefixes);
    assert_eq!(rest.next, None);
    let martian = rest.items.last().unwrap();
    assert_eq!(martian.state, RouteState::Invalid);
    assert!(martian.error.as_ref().unwrap().contains("multicast"));
    assert_eq!(scene.there("224.1.0.0/16"), None);
}

#[test]
fn flushing_takes_everything_of_ours_and_nothing_else() {
    let mut scene = Scene::new();
    scene.set("10.1.0.0/26", Wanted::Blackhole);
    scene.other("10.9.0.0/26", METRIC, 4, Target::Blackhole);
    scene.other("10.8.0.0/26", METRIC, OURS, Target::Blackhole);
    scene.pump();
    assert_eq!(scene.state("10.8.0.0/26"), Some(RouteState::Stale));
    scene.fib.remove_all();
    scene.pump();
    assert!(scene.kernel.routes().all(|route| route.protocol != OURS));
    assert!(scene.there("10.9.0.0/26").is_some());
    assert!(scene.fib.in_sync());
}
