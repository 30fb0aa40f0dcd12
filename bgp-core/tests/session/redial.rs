//! How a peer that was there a moment ago is found again.

use crate::protocol::SECOND;
use crate::settings;
use crate::world::{LEFT, RIGHT, World};
use bgp_core::session::redial::{FIRST_REDIAL, REDIAL, REDIAL_FOR};
use bgp_core::session::{DownReason, Note, SessionEvent, SessionSettings, Stop};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::RouterId;
use std::net::Ipv4Addr;

const HALF: Duration = Duration::from_millis(500);

fn router(last: u8) -> SessionSettings {
    SessionSettings {
        router_id: RouterId(Ipv4Addr::new(10, 0, 0, last)),
        hold_time: SECOND * 9,
        ..settings()
    }
}

fn passive(last: u8) -> SessionSettings {
    SessionSettings {
        passive: true,
        ..router(last)
    }
}

/// Left dials, right waits, and both are up.
fn established(seed: u64) -> World {
    let mut world = World::new(seed, router(1), passive(2));
    world.start_both();
    world.establish();
    world.take_events(LEFT);
    world
}

/// When left wanted to connect since the last look.
fn attempts(world: &mut World) -> Vec<Instant> {
    let events = std::mem::take(&mut world.ends[LEFT].events);
    let attempts = events.into_iter();
    attempts
        .filter(|(_, event)| *event == SessionEvent::Connect)
        .map(|(at, _)| at)
        .collect()
}

fn spans(attempts: &[Instant]) -> impl Iterator<Item = Duration> {
    attempts.windows(2).map(|two| two[1].since(two[0]))
}

#[test]
fn a_lost_peer_is_looked_for_at_once_and_four_times_a_second_for_a_minute() {
    for answers in [true, false] {
        let mut world = established(1);
        // Refused at once, or swallowed by the network.
        world.ends[RIGHT].listens = false;
        world.dark = !answers;
        let lost = world.now;
        world.cut();
        world.run(REDIAL_FOR);
        let tried = attempts(&mut world);
        assert!(tried[0].since(lost) <= FIRST_REDIAL);
        for span in spans(&tried) {
            // Where a refusal comes, it takes the way there and back.
            let most = REDIAL + Duration::from_millis(4);
            assert!((REDIAL * 3 / 4..=most).contains(&span), "{span:?}");
        }
        assert!(tried.len() >= 236, "{}", tried.len());
        world.run(SECOND * 100);
        let later = attempts(&mut world).len();
        assert!((20..=28).contains(&later), "{later} in 100 s of 5 s each");
    }
}

#[test]
fn a_partition_that_heals_is_followed_by_a_session() {
    for seed in 0..200 {
        let right = if seed % 2 == 0 { router(2) } else { passive(2) };
        let mut world = World::new(seed, router(1), right);
        world.jitter = 3_000;
        world.start_both();
        world.establish();
        world.partition(true);
        world.run(SECOND * 15);
        assert!(!world.both_established());
        world.partition(false);
        world.run(HALF);
        assert!(world.both_established(), "seed {seed}");
    }
}

#[test]
fn a_peer_that_restarts_is_followed_by_a_session() {
    for seed in 0..50 {
        let mut world = established(seed);
        world.crash(RIGHT, true);
        world.ends[RIGHT].listens = false;
        world.run(SECOND * 3);
        world.ends[RIGHT].listens = true;
        world.start(RIGHT);
        world.run(HALF);
        assert!(world.both_established(), "seed {seed}");
    }
}

#[test]
fn a_peer_that_said_cease_is_asked_no_more_than_once_a_second() {
    let mut world = established(3);
    let now = world.now;
    let why = Stop::AdministrativeShutdown(String::new());
    world.act(RIGHT, |session| session.handle_stop(now, why));
    world.run(REDIAL_FOR);
    let tried = attempts(&mut world);
    assert!((45..=60).contains(&tried.len()), "{}", tried.len());
    assert!(tried[0].since(now) >= SECOND);
    assert!(spans(&tried).all(|span| span >= SECOND));
    world.start(RIGHT);
    world.establish();
}

/// An attempt is not given up before an answer could have come.
#[test]
fn a_way_that_takes_long_is_waited_for() {
    let mut world = World::new(4, router(1), passive(2));
    world.delay = Duration::from_millis(300);
    world.start_both();
    world.run(SECOND * 3);
    assert!(world.both_established());
    world.cut();
    world.run(SECOND * 3);
    assert!(world.both_established());
}

#[test]
fn a_search_tells_each_kind_of_failure_once() {
    let mut world = established(5);
    world.ends[RIGHT].listens = false;
    world.cut();
    world.run(SECOND * 10);
    world.dark = true;
    world.run(SECOND * 10);
    let told = world.take_events(LEFT).into_iter();
    let told: Vec<DownReason> = told
        .filter_map(|event| match event {
            SessionEvent::Note(Note::AttemptEnded { reason, .. }) => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [DownReason::ConnectFailed, DownReason::ConnectTimedOut]
    );
}

/// A peer with which something is wrong is not asked for it four times a second.
#[test]
fn a_fault_of_the_protocol_ends_the_search() {
    let mut world = established(6);
    world.inject(LEFT, &[0x47; 64]);
    let lost = world.now;
    world.run(SECOND * 2);
    let tried = attempts(&mut world);
    assert!(tried[0].since(lost) >= SECOND * 3 / 4);
}

#[test]
fn a_stopped_session_looks_for_nobody() {
    let mut world = established(7);
    world.ends[RIGHT].listens = false;
    world.cut();
    world.run(SECOND);
    attempts(&mut world);
    let now = world.now;
    world.act(LEFT, |session| session.handle_stop(now, Stop::Silent));
    world.run(REDIAL_FOR);
    assert_eq!(attempts(&mut world), []);
}
