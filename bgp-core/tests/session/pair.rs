//! Two whole sessions against each other, in virtual time.

use crate::settings;
use crate::world::{LEFT, RIGHT, World};
use bgp_core::session::{DownReason, SessionEvent, SessionSettings, State, Stop};
use bgp_core::time::Duration;
use bgp_core::types::RouterId;
use bgp_core::wire::{Cease, HeaderError, Notification, NotificationError};
use std::net::Ipv4Addr;

const SECOND: Duration = Duration::from_secs(1);

fn router(last: u8) -> SessionSettings {
    SessionSettings {
        router_id: RouterId(Ipv4Addr::new(10, 0, 0, last)),
        ..settings()
    }
}

fn passive(last: u8) -> SessionSettings {
    SessionSettings {
        passive: true,
        ..router(last)
    }
}

fn world(seed: u64) -> World {
    World::new(seed, router(1), passive(2))
}

fn established(seed: u64) -> World {
    let mut world = world(seed);
    world.start_both();
    world.establish();
    world.take_events(LEFT);
    world.take_events(RIGHT);
    world
}

#[test]
fn a_session_comes_up_and_says_how() {
    let mut world = world(1);
    world.start_both();
    world.establish();
    let states: Vec<_> = world
        .take_events(LEFT)
        .into_iter()
        .filter_map(|event| match event {
            SessionEvent::StateChanged { from, to } => Some((from, to)),
            _ => None,
        })
        .collect();
    assert_eq!(
        states,
        [
            (State::Idle, State::Connect),
            (State::Connect, State::OpenSent),
            (State::OpenSent, State::OpenConfirm),
            (State::OpenConfirm, State::Established),
        ]
    );
    let (_, negotiated) = world.ends[LEFT].session.established().unwrap();
    assert_eq!(negotiated.remote_id, router(2).router_id);
    assert_eq!(negotiated.hold_time, SECOND * 90);
    assert_eq!(world.links(), 1);
}

/// Whatever the sizes in which octets arrive, the same comes out.
#[test]
fn octet_by_octet() {
    let mut world = world(2);
    world.chunk = 1;
    world.start_both();
    world.establish();
    world.run(SECOND * 300);
    assert!(world.both_established());
    let counters = world.ends[LEFT].session.counters();
    assert_eq!((counters.received.open, counters.established), (1, 1));
}

/// Both dial in the same moment: RFC 4271 §6.8 leaves one connection, that of the greater
/// identifier, whatever the sizes of the pieces.
#[test]
fn both_dial_at_once() {
    for seed in 0..100 {
        let mut world = World::new(seed, router(1), router(2));
        world.start_both();
        world.establish();
        world.run(SECOND * 30);
        assert!(world.both_established(), "seed {seed}");
        assert_eq!(world.links(), 1, "seed {seed}");
        let [left, right] = [LEFT, RIGHT].map(|side| world.ends[side].session.counters());
        assert_eq!((left.established, right.established), (1, 1), "seed {seed}");
        let (id, direction, _) = world.ends[RIGHT].session.connections().next().unwrap();
        assert_eq!(
            direction,
            bgp_core::session::Direction::Dialed,
            "seed {seed} {id}"
        );
    }
}

/// However the two connections race, one session is up in the end. At times both are closed, each
/// by another end, because an OPEN was overtaken by a KEEPALIVE on the other connection; then the
/// pauses differ and the next attempt works.
#[test]
fn both_dial_at_once_through_a_network_that_varies() {
    let mut twice = 0;
    for seed in 0..1_000 {
        let mut world = World::new(seed, router(1), router(2));
        world.jitter = 20_000;
        world.start_both();
        world.run(SECOND * 10);
        assert!(world.both_established(), "seed {seed}");
        assert_eq!(world.links(), 1, "seed {seed}");
        twice += world.ends[LEFT].session.counters().established - 1;
    }
    assert!(twice < 100, "{twice} of 1,000 sessions came up twice");
}

/// Keepalives go out at three quarters to the whole of a third of the hold time (RFC 4271 §10).
#[test]
fn keepalive_rate() {
    let mut world = established(3);
    let before = world.ends[LEFT].session.counters().received.keepalive;
    world.run(SECOND * 3_000);
    assert!(world.both_established());
    let heard = world.ends[LEFT].session.counters().received.keepalive - before;
    assert!(
        (100..=134).contains(&heard),
        "{heard} keepalives in 3,000 s"
    );
}

#[test]
fn without_a_hold_time_nothing_is_said_and_nothing_expires() {
    let mut quiet = router(1);
    quiet.hold_time = Duration::ZERO;
    let mut world = World::new(4, quiet, passive(2));
    world.start_both();
    world.establish();
    let before = *world.ends[RIGHT].session.counters();
    world.run(SECOND * 100_000);
    assert!(world.both_established());
    assert_eq!(*world.ends[RIGHT].session.counters(), before);
    assert_eq!(world.ends[RIGHT].session.poll_timeout(), None);
}

/// The way from right to left goes dark: left hears nothing for the hold time, says so, and the
/// NOTIFICATION and the Down come in the moment of the expiry.
#[test]
fn hold_timer_expires() {
    let mut world = established(5);
    world.mute(RIGHT);
    let dark = world.now;
    while world.state(LEFT) == State::Established {
        world.run(Duration::from_millis(100));
    }
    let waited = world.now.since(dark);
    assert!(waited <= SECOND * 91, "{waited:?}");
    assert!(waited >= SECOND * 60, "{waited:?}");
    let events = world.take_events(LEFT);
    let reason = DownReason::HoldTimerExpired(SECOND * 90);
    assert!(events.contains(&SessionEvent::Down(reason)));
    world.run(SECOND);
    let told = DownReason::NotificationReceived(Notification {
        error: NotificationError::HoldTimerExpired,
        data: Vec::new(),
    });
    assert_eq!(world.take_downs(RIGHT), [told]);
}

/// Octets that are here already count before the timer is judged.
#[test]
fn the_hold_timer_is_judged_after_what_has_arrived() {
    let mut world = established(6);
    world.mute(RIGHT);
    world.run(SECOND * 59);
    let (expiry, _) = world.ends[LEFT].session.poll_timeout().unwrap();
    assert!(expiry > world.now);
    world.now = world.now + SECOND * 40;
    world.inject(LEFT, &keepalive());
    let now = world.now;
    world.act(LEFT, |session| session.handle_timeout(now));
    assert_eq!(world.state(LEFT), State::Established);
}

#[test]
fn garbage_ends_the_session_with_a_header_error_and_it_comes_back() {
    let mut world = established(7);
    world.inject(LEFT, &[0x47; 64]);
    assert_eq!(world.state(LEFT), State::Idle);
    world.run(SECOND);
    let downs = world.take_downs(RIGHT);
    let header = NotificationError::MessageHeader(HeaderError::ConnectionNotSynchronized);
    assert!(
        matches!(&downs[..], [DownReason::NotificationReceived(told)] if told.error == header),
        "{downs:?}"
    );
    world.establish();
}

#[test]
fn a_lost_connection_comes_back_within_two_seconds() {
    let mut world = established(8);
    world.cut();
    assert!(!world.both_established());
    assert_eq!(world.take_downs(LEFT), [DownReason::ConnectionClosed]);
    world.run(SECOND * 2);
    assert!(world.both_established());
}

#[test]
fn an_attempt_that_fails_is_repeated_at_the_connect_retry_time() {
    let mut world = world(9);
    world.ends[RIGHT].listens = false;
    world.start(LEFT);
    world.run(SECOND * 100);
    let attempts = world.ends[LEFT].session.counters().attempts;
    assert!(
        (20..=27).contains(&attempts),
        "{attempts} attempts in 100 s of 5 s each"
    );
    assert_eq!(world.take_ended(LEFT)[0], DownReason::ConnectFailed);
    world.ends[RIGHT].listens = true;
    world.start(RIGHT);
    world.run(SECOND * 6);
    assert!(world.both_established());
}

#[test]
fn a_passive_peer_never_dials() {
    let mut world = World::new(10, passive(1), passive(2));
    world.start_both();
    world.run(SECOND * 1_000);
    for side in [LEFT, RIGHT] {
        assert_eq!(world.state(side), State::Active);
        assert_eq!(world.ends[side].session.counters().attempts, 0);
        assert_eq!(world.ends[side].session.poll_timeout(), None);
    }
}

#[test]
fn a_stopped_peer_refuses_with_connection_rejected() {
    let mut world = world(11);
    world.start(LEFT);
    world.run(SECOND);
    let rejected = DownReason::NotificationReceived(Notification {
        error: NotificationError::Cease(Cease::ConnectionRejected),
        data: Vec::new(),
    });
    assert!(world.take_ended(LEFT).contains(&rejected));
    assert_eq!(world.ends[RIGHT].session.counters().accepted, 0);
}

#[test]
fn a_shutdown_stays_down_and_its_words_arrive() {
    let mut world = established(12);
    let now = world.now;
    let why = Stop::AdministrativeShutdown("cable work until 7".to_owned());
    world.act(LEFT, |session| session.handle_stop(now, why.clone()));
    world.run(SECOND * 200);
    assert_eq!(world.take_downs(LEFT), [DownReason::Stopped(why)]);
    assert_eq!(world.state(LEFT), State::Idle);
    assert_eq!(world.ends[LEFT].session.poll_timeout(), None);
    // Both announce the N bit, so the end of the routes has to be said (RFC 8538).
    let told = world.ends[RIGHT].session.last_notification().unwrap();
    assert_eq!(told.error, NotificationError::Cease(Cease::HardReset));
    assert_eq!(told.data[..3], [6, 2, 18]);
    assert_eq!(&told.data[3..], b"cable work until 7");
    let words = world.ends[RIGHT].session.last_shutdown_communication();
    assert_eq!(words.as_deref(), Some("cable work until 7"));
    world.start(LEFT);
    world.establish();
}

#[test]
fn a_shutdown_without_graceful_restart_is_plain() {
    let mut plain = router(1);
    plain.restart_time = Duration::ZERO;
    let mut world = World::new(13, plain, passive(2));
    world.start_both();
    world.establish();
    let now = world.now;
    world.act(LEFT, |session| {
        session.handle_stop(now, Stop::PeerDeconfigured)
    });
    world.run(SECOND);
    let told = world.ends[RIGHT].session.last_notification().unwrap();
    assert_eq!(
        told.error,
        NotificationError::Cease(Cease::PeerDeconfigured)
    );
    assert_eq!(told.data, []);
}

#[test]
fn a_reset_comes_back_by_itself() {
    let mut world = established(14);
    let now = world.now;
    let why = Stop::AdministrativeReset("new keys".to_owned());
    world.act(LEFT, |session| session.handle_stop(now, why));
    assert_eq!(world.state(LEFT), State::Idle);
    world.run(SECOND * 2);
    assert!(world.both_established());
    let told = world.ends[RIGHT].session.last_notification().unwrap();
    let reset = NotificationError::Cease(Cease::AdministrativeReset);
    assert_eq!(told.error, reset, "the routes may stay: no Hard Reset");
}

#[test]
fn a_silent_stop_sends_no_notification() {
    let mut world = established(15);
    let now = world.now;
    world.act(LEFT, |session| session.handle_stop(now, Stop::Silent));
    world.run(SECOND);
    assert_eq!(world.take_downs(RIGHT), [DownReason::ConnectionClosed]);
    assert_eq!(
        world.ends[RIGHT].session.counters().received.notification,
        0
    );
    assert!(!world.ends[LEFT].session.is_started());
}

/// The peer crashed and is back before we noticed: with graceful restart its new connection
/// replaces the old one without a NOTIFICATION (RFC 4724 §4.2).
#[test]
fn a_restarted_peer_replaces_its_session() {
    let mut world = World::new(16, passive(1), router(2));
    world.start_both();
    world.establish();
    world.take_events(LEFT);
    world.crash(RIGHT, false);
    assert_eq!(world.state(LEFT), State::Established, "nobody told it");
    world.start(RIGHT);
    world.run(SECOND);
    assert!(world.both_established());
    assert_eq!(world.take_downs(LEFT), [DownReason::PeerRestarted]);
    assert_eq!(
        world.ends[RIGHT].session.counters().received.notification,
        0
    );
}

/// Without it the old session stays until its hold timer says otherwise (RFC 4271 §6.8).
#[test]
fn without_graceful_restart_an_established_session_stays() {
    let mut restarted = router(2);
    restarted.restart_time = Duration::ZERO;
    let mut world = World::new(17, passive(1), restarted);
    world.start_both();
    world.establish();
    world.take_events(LEFT);
    world.crash(RIGHT, false);
    world.start(RIGHT);
    world.run(SECOND * 10);
    assert_eq!(world.state(LEFT), State::Established);
    let collision = NotificationError::Cease(Cease::ConnectionCollisionResolution);
    let told = world.ends[RIGHT].session.last_notification().unwrap();
    assert_eq!(told.error, collision);
    world.run(SECOND * 90);
    assert_eq!(
        world.take_downs(LEFT),
        [DownReason::HoldTimerExpired(SECOND * 90)]
    );
    assert!(world.both_established());
}

/// A wrong AS number is a lasting error: the attempts get rarer, up to one a minute, and neither
/// side is ever up.
#[test]
fn lasting_errors_back_off() {
    let mut wrong = router(2);
    wrong.local_as = bgp_core::types::Asn(64_513);
    wrong.passive = true;
    let mut world = World::new(18, router(1), wrong);
    world.start_both();
    world.run(SECOND * 60);
    let first = world.ends[LEFT].session.counters().attempts;
    assert!(
        (5..=8).contains(&first),
        "{first} attempts in the first minute"
    );
    world.run(SECOND * 600);
    let before = world.ends[LEFT].session.counters().attempts;
    world.run(SECOND * 600);
    let later = world.ends[LEFT].session.counters().attempts - before;
    assert!(
        (10..=14).contains(&later),
        "{later} attempts in ten minutes"
    );
    assert_eq!(world.ends[LEFT].session.counters().established, 0);
}

/// The first message of a session that came up again is heard: nothing of the old one is left.
#[test]
fn a_hundred_losses_leave_nothing_behind() {
    let mut world = established(19);
    for _ in 0..100 {
        world.cut();
        world.establish();
        world.run(SECOND);
        assert_eq!(world.links(), 1);
    }
    assert_eq!(world.ends[LEFT].session.counters().established, 101);
}

/// The same seed gives the same events at the same times.
#[test]
fn a_seed_reproduces_a_run() {
    let run = || {
        let mut world = World::new(20, router(1), router(2));
        world.start_both();
        world.run(SECOND * 100);
        world.cut();
        world.run(SECOND * 100);
        std::mem::take(&mut world.ends[LEFT].events)
    };
    assert_eq!(run(), run());
}

fn keepalive() -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend([0, 19, 4]);
    message
}
