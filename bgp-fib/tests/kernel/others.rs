//! Other people who edit the same kernel.

use crate::keeper::{Keeper, blocks, place, settings, through};
use crate::stage::{OURS, Stage, Wire, until};
use bgp_fib::FibEvent;
use bgp_fib::fib::{Cause, RouteState, Subject};
use bgp_fib::kernel::Dump;
use bgp_fib::wanted::{Place, Wanted};
use std::time::{Duration, Instant};

/// Static routes, for others' edits.
const STATIC: u8 = 4;

/// 1,000 routes through up0.
fn fill(keeper: &Keeper) -> usize {
    keeper.set(
        blocks(1_000)
            .map(|block| (block, through("10.0.0.2")))
            .collect(),
    );
    1_000
}

#[test]
fn a_route_deleted_by_another_comes_back() {
    let Some(stage) = Stage::new("others::a_route_deleted") else {
        return;
    };
    let mut wire = stage.wire();
    let mut keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    keeper.check(&mut wire, count);
    stage.host.ip("route del 16.0.1.0/26 metric 32").unwrap();
    let place = place("16.0.1.0/26");
    keeper.event("the healing", |event| *event == FibEvent::Healed { place });
    keeper.check(&mut wire, count);
}

/// What we put ourselves a moment ago, and have not seen in any dump, heals by the notification
/// alone.
#[test]
fn what_another_does_to_a_fresh_route_needs_no_second_look() {
    let Some(stage) = Stage::new("others::a_fresh_route") else {
        return;
    };
    let mut wire = stage.wire();
    let mut keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    keeper.settle();
    let looks = keeper.stats().dumps;
    stage.host.ip("route del 16.0.1.0/26 metric 32").unwrap();
    let place = place("16.0.1.0/26");
    keeper.event("the healing", |event| *event == FibEvent::Healed { place });
    assert_eq!(keeper.stats().dumps, looks);
    keeper.check(&mut wire, count);
}

#[test]
fn a_route_replaced_by_another_is_a_conflict_until_it_goes() {
    let Some(stage) = Stage::new("others::a_route_replaced") else {
        return;
    };
    let mut wire = stage.wire();
    let mut keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    keeper.check(&mut wire, count);
    stage
        .host
        .ip("route replace 16.0.1.0/26 via 10.0.1.2 metric 32 proto static")
        .unwrap();
    let place = place("16.0.1.0/26");
    let protocol = Some(STATIC);
    let conflict = FibEvent::Conflict { place, protocol };
    keeper.event("the conflict", |event| *event == conflict);
    let status = keeper.status("16.0.1.0/26");
    assert_eq!(status.state, RouteState::Waiting(Cause::Conflict(protocol)));
    // Not even a comparison of everything makes us overwrite it.
    keeper.audit();
    assert_eq!(wire.routes(STATIC).len(), 1);
    assert_eq!(wire.routes(OURS).len(), count - 1);
    // A change of mind does not either.
    keeper.want("16.0.1.0/26", Wanted::Blackhole);
    keeper.until("nothing to do", |fib| fib.is_idle());
    assert_eq!(wire.routes(STATIC).len(), 1);
    stage.host.ip("route del 16.0.1.0/26 metric 32").unwrap();
    keeper.event("its end", |event| {
        *event == FibEvent::ConflictOver { place }
    });
    keeper.check(&mut wire, count);
}

#[test]
fn a_route_that_was_there_before_is_left_alone() {
    let Some(stage) = Stage::new("others::a_route_that_was_there_before") else {
        return;
    };
    let mut wire = stage.wire();
    stage
        .host
        .ip(
            "route add 16.0.1.0/26 via 10.0.1.2 metric 32 proto static\n\
             route add 16.0.2.0/26 via 10.0.1.2 metric 31 proto static",
        )
        .unwrap();
    let foreign = wire.routes(STATIC);
    let mut keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    let place = place("16.0.1.0/26");
    let protocol = Some(STATIC);
    let conflict = FibEvent::Conflict { place, protocol };
    keeper.event("the conflict", |event| *event == conflict);
    keeper.until("the others", move |fib| fib.counts().installed == count - 1);
    assert_eq!(wire.routes(STATIC), foreign);
    keeper.ask(move |fib, _| fib.remove(place));
    assert_eq!(keeper.check(&mut wire, count - 1).len(), count - 1);
    assert_eq!(
        wire.routes(STATIC),
        foreign,
        "removing ours removes nobody else's"
    );
}

#[test]
fn a_route_that_is_refused_says_why_and_hinders_no_other() {
    let Some(stage) = Stage::new("others::a_route_that_is_refused") else {
        return;
    };
    let mut wire = stage.wire();
    let mut keeper = Keeper::start(&stage, settings());
    let mut bad = through("10.0.0.2");
    if let Wanted::Via { source, .. } = &mut bad {
        *source = Some("203.0.113.1".parse().unwrap());
    }
    let mut routes: Vec<(Place, Wanted)> = blocks(200)
        .map(|block| (block, through("10.0.0.2")))
        .collect();
    routes[77].1 = bad;
    let bad = routes[77].0;
    keeper.set(routes);
    let refused = keeper.event("the refusal", |event| {
        matches!(event, FibEvent::Refused { subject, .. } if *subject == Subject::Route(bad))
    });
    let FibEvent::Refused { error, .. } = refused else {
        unreachable!("it was matched above");
    };
    assert_eq!((error.errno, &*error.text), (22, "Invalid prefsrc address"));
    keeper.until("the others", |fib| fib.counts().installed == 199);
    let status = keeper.ask(move |fib, _| fib.status(bad)).unwrap();
    assert_eq!(
        status.error.as_deref(),
        Some("Invalid prefsrc address (error 22)")
    );
    assert_eq!(wire.routes(OURS).len(), 199);
    // Its cause goes away.
    stage.host.ip("addr add 203.0.113.1/32 dev up1").unwrap();
    keeper.check(&mut wire, 200);
}

/// 5,000 notifications at once; whether or not the socket holds them all, everything comes back.
#[test]
fn everything_flushed_by_another_comes_back() {
    let Some(stage) = Stage::new("others::everything_flushed") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let count = 5_000;
    let all: Vec<Place> = blocks(count).collect();
    for part in all.chunks(4_000) {
        let part = part
            .iter()
            .map(|place| (*place, through("10.0.0.2")))
            .collect();
        keeper.set(part);
    }
    let count = all.len();
    keeper.check(&mut wire, count);
    stage.host.ip(&format!("route flush proto {OURS}")).unwrap();
    keeper.until("the news", |fib| fib.counts().healed > 0);
    keeper.check(&mut wire, count);
    println!("healed {}, {:?}", keeper.counts().healed, keeper.stats());
}

/// The monitor's buffer overflows while the edge is kept from reading it.
#[test]
fn lost_notifications_are_made_up_for() {
    let Some(stage) = Stage::new("others::lost_notifications") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::with_buffer(&stage, settings(), 256 * 1024);
    let count = fill(&keeper);
    keeper.check(&mut wire, count);
    std::thread::scope(|scope| {
        // The edge's task does nothing else while it answers.
        let (finished, wait) = std::sync::mpsc::channel::<()>();
        scope.spawn(|| keeper.ask(move |_, _| wait.recv().is_err()));
        let holes: String = (0..2_000_u32)
            .map(|number| {
                let [_, a, b, c] = (number << 6).to_be_bytes();
                format!("route add blackhole 32.{a}.{b}.{c}/26 proto static\n")
            })
            .collect();
        stage.host.ip(&holes).unwrap();
        stage.host.ip(&format!("route flush proto {OURS}")).unwrap();
        assert_eq!(wire.routes(OURS).len(), 0);
        drop(finished);
    });
    keeper.until("the overrun", |fib| fib.counts().overruns > 0);
    keeper.check(&mut wire, count);
    assert_eq!(wire.routes(STATIC).len(), 2_000);
}

/// What a dump shows is not one moment: nothing that changed meanwhile is judged by it.
#[test]
fn dumps_during_changes_change_nothing() {
    let Some(stage) = Stage::new("others::dumps_during_changes") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    keeper.check(&mut wire, count);
    let edits: String = (0..4_000_u32)
        .map(|number| {
            let [_, _, b, c] = ((number % 1_000) << 6).to_be_bytes();
            let verb = if number / 1_000 % 2 == 0 {
                "add"
            } else {
                "del"
            };
            format!("route {verb} blackhole 32.0.{b}.{c}/26 proto static\n")
        })
        .collect();
    let mut flips = 0;
    std::thread::scope(|scope| {
        let editing = scope.spawn(|| stage.host.ip(&edits).unwrap());
        // Often enough that some lists are torn, however fast the edits are.
        while !editing.is_finished() || flips < 3 {
            // Every route changes while the dump is read.
            let gateway = if flips % 2 == 0 {
                "10.0.1.2"
            } else {
                "10.0.0.2"
            };
            keeper.ask(|fib, _| fib.ask_resync());
            keeper.set(
                blocks(1_000)
                    .map(|block| (block, through(gateway)))
                    .collect(),
            );
            std::thread::sleep(Duration::from_millis(50));
            flips += 1;
        }
    });
    keeper.check(&mut wire, count);
    let counts = keeper.counts();
    assert_eq!((counts.healed, counts.conflicts), (0, 0), "{counts:?}");
    assert_eq!(wire.dump(Dump::Links).len(), 3);
}

/// How long a single route stays away, seen from outside.
fn time_to_heal(stage: &Stage, wire: &mut Wire, prefix: &str) -> Duration {
    stage
        .host
        .ip(&format!("route del {prefix} metric 32"))
        .unwrap();
    let began = Instant::now();
    until("the route", || {
        let shown = wire.routes(OURS);
        shown
            .iter()
            .any(|route| route.key.prefix == prefix.parse().unwrap())
    });
    began.elapsed()
}

#[test]
fn deletions_now_and_then_are_healed_at_once() {
    let Some(stage) = Stage::new("others::deletions_now_and_then") else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::start(&stage, settings());
    let count = fill(&keeper);
    keeper.check(&mut wire, count);
    let mut times: Vec<Duration> = (0..20)
        .map(|number| time_to_heal(&stage, &mut wire, &format!("16.0.{number}.0/26")))
        .collect();
    times.sort();
    println!(
        "healed after {:?} (median), {:?} (most)",
        times[10], times[19]
    );
    keeper.check(&mut wire, count);
}
