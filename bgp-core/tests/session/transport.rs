//! What one session does with its transport, its timers and its own end.

use crate::lone::{Lone, open, open_of};
use crate::protocol::{SECOND, cease, end_of_rib, open_with, raw, request};
use crate::settings;
use bgp_core::session::{
    DownReason, MAX_CONNECTIONS, MAX_CONTROL, MAX_FAREWELLS, Note, Session, SessionEvent,
    SessionSettings, State, Stop, TimerName,
};
use bgp_core::time::Duration;
use bgp_core::types::ConnectionId;
use bgp_core::wire::{Cease, HeaderError, Message, NotificationError, Open};

#[test]
fn a_transport_that_takes_nothing_ends_the_session_without_a_word() {
    let (mut lone, id) = Lone::established();
    lone.session.handle_blocked(lone.now, id);
    for _ in 0..15 {
        lone.wait(SECOND * 30);
        lone.say(id, &Message::Keepalive);
        lone.session.handle_blocked(lone.now, id);
    }
    assert!(lone.lives(id), "450 s are less than eight minutes");
    lone.wait(SECOND * 31);
    assert!(!lone.lives(id));
    assert!(lone.told(id).is_none());
    assert_eq!(
        lone.ended(),
        [DownReason::SendHoldTimerExpired(SECOND * 480)]
    );
}

/// RFC 9687 §6: twice the hold time, where that is more than eight minutes.
#[test]
fn a_long_hold_time_gives_the_transport_more_time() {
    let mut lone = Lone::new(SessionSettings {
        passive: true,
        hold_time: SECOND * 600,
        ..settings()
    });
    let id = lone.accept();
    lone.say(id, &Message::Open(open_with(|open| open.hold_time = 600)));
    lone.say(id, &Message::Keepalive);
    lone.session.handle_blocked(lone.now, id);
    for _ in 0..11 {
        lone.wait(SECOND * 100);
        lone.say(id, &Message::Keepalive);
    }
    assert!(lone.lives(id));
    lone.events();
    lone.wait(SECOND * 100);
    assert_eq!(
        lone.ended(),
        [DownReason::SendHoldTimerExpired(SECOND * 1_200)]
    );
}

#[test]
fn a_transport_that_takes_a_little_keeps_the_session() {
    let (mut lone, id) = Lone::established();
    lone.session.handle_blocked(lone.now, id);
    for _ in 0..100 {
        lone.wait(SECOND * 30);
        lone.say(id, &Message::Keepalive);
        lone.session.handle_written(lone.now, id);
    }
    assert!(lone.lives(id));
}

/// Without keepalives a session may have nothing to say for ever.
#[test]
fn without_a_hold_time_what_was_written_stops_the_send_hold_timer() {
    let mut lone = Lone::new(SessionSettings {
        passive: true,
        hold_time: Duration::ZERO,
        ..settings()
    });
    let id = lone.accept();
    lone.open(id);
    lone.say(id, &Message::Keepalive);
    lone.session.handle_blocked(lone.now, id);
    let armed = lone.session.poll_timeout().map(|(_, timer)| timer);
    assert_eq!(armed, Some(TimerName::SendHold));
    lone.session.handle_written(lone.now, id);
    assert_eq!(lone.session.poll_timeout(), None);
}

#[test]
fn keepalives_that_wait_are_one() {
    let (mut lone, id) = Lone::established();
    for _ in 0..20 {
        lone.wait(SECOND * 30);
        lone.say(id, &Message::Keepalive);
    }
    assert_eq!(lone.heard(id), [Message::Keepalive]);
}

#[test]
fn a_full_control_queue_drops_and_counts_refreshes_but_not_the_notification() {
    let (mut lone, id) = Lone::established();
    for _ in 0..MAX_CONTROL + 3 {
        lone.session.send(&request());
    }
    assert_eq!(lone.session.counters().control_dropped, 3);
    let notes = lone.events();
    assert_eq!(notes, vec![SessionEvent::Note(Note::ControlDropped); 3]);
    lone.wait(SECOND * 30);
    lone.session.handle_stop(lone.now, Stop::PeerDeconfigured);
    let heard = lone.heard(id);
    assert_eq!(heard.len(), MAX_CONTROL + 2);
    assert_eq!(heard[MAX_CONTROL], Message::Keepalive);
    assert!(matches!(heard[MAX_CONTROL + 1], Message::Notification(_)));
}

#[test]
fn nothing_is_sent_before_the_session_is_up() {
    let mut lone = Lone::passive();
    let id = lone.accept();
    lone.heard(id);
    lone.session.send(&request());
    assert_eq!(lone.heard(id), []);
}

#[test]
fn a_message_longer_than_negotiated_is_refused_by_its_header() {
    let mut lone = Lone::passive();
    let id = lone.accept();
    let mut octets = vec![0xff; 16];
    octets.extend(4_097_u16.to_be_bytes());
    octets.push(1);
    lone.octets(id, &octets);
    let told = lone.told(id).unwrap();
    let length = NotificationError::MessageHeader(HeaderError::BadMessageLength);
    assert_eq!((told.error, told.data), (length, vec![0x10, 0x01]));
}

// Two connections.

#[test]
fn a_second_connection_while_established_loses_when_it_says_open() {
    let (mut lone, first) = Lone::established_without_restart();
    let second = lone.accept();
    lone.wait(SECOND);
    assert!(
        lone.lives(first) && lone.lives(second),
        "nothing is judged before the OPEN"
    );
    lone.open(second);
    let collision = cease(Cease::ConnectionCollisionResolution);
    assert_eq!(lone.told(second), Some(collision));
    assert!(lone.lives(first));
    assert_eq!(lone.session.state(), State::Established);
}

/// RFC 4271 §6.8 to the letter: of two connections that the peer opened, the newer one stays when
/// the peer's identifier is the greater, the older one otherwise.
#[test]
fn two_connections_of_the_peer() {
    for (theirs, newer_stays) in [(2, true), (0, false)] {
        let mut lone = Lone::passive();
        let [older, newer] = [lone.accept(), lone.accept()];
        lone.say(older, &Message::Open(open_of(theirs)));
        lone.say(newer, &Message::Open(open_of(theirs)));
        assert_eq!(
            (lone.lives(older), lone.lives(newer)),
            (!newer_stays, newer_stays)
        );
        let loser = if newer_stays { older } else { newer };
        let collision = cease(Cease::ConnectionCollisionResolution);
        assert_eq!(lone.told(loser), Some(collision));
        let winner = if newer_stays { newer } else { older };
        lone.say(winner, &Message::Keepalive);
        assert_eq!(lone.session.established().unwrap().0, winner);
    }
}

/// A connection opened before the session was up is no sign of a restart.
#[test]
fn a_connection_from_before_does_not_replace_an_established_session() {
    let mut lone = Lone::passive();
    let [first, second] = [lone.accept(), lone.accept()];
    lone.open(first);
    lone.say(first, &Message::Keepalive);
    lone.open(second);
    assert!(lone.lives(first) && !lone.lives(second));
}

/// A peer that restarted is believed when its OPEN is good, not when it merely connects.
#[test]
fn a_bad_open_does_not_replace_an_established_session() {
    let (mut lone, first) = Lone::established();
    let second = lone.accept();
    let wrong = Open {
        my_as: 1,
        capabilities: Vec::new(),
        ..open()
    };
    lone.say(second, &Message::Open(wrong));
    assert!(lone.lives(first) && !lone.lives(second));
    let third = lone.accept();
    lone.open(third);
    assert!(!lone.lives(first) && lone.lives(third));
    assert_eq!(
        lone.heard(first),
        [],
        "no NOTIFICATION on the lost connection"
    );
}

#[test]
fn a_third_connection_takes_the_place_of_a_silent_one() {
    let (mut lone, up) = Lone::established();
    let mut previous = lone.accept();
    for _ in 0..10 {
        let next = lone.accept();
        assert!(lone.lives(up) && lone.lives(next) && !lone.lives(previous));
        let collision = cease(Cease::ConnectionCollisionResolution);
        assert_eq!(lone.told(previous), Some(collision));
        assert!(lone.session.connections().count() <= MAX_CONNECTIONS);
        previous = next;
    }
}

/// Of two silent connections the peer's goes first: it has just opened another one.
#[test]
fn a_third_connection_spares_ours() {
    let mut lone = Lone::new(settings());
    let ours = lone.connect();
    let theirs = lone.accept();
    let third = lone.accept();
    assert_eq!(
        [ours, theirs, third].map(|id| lone.lives(id)),
        [true, false, true]
    );
    // That a connection was one too many is no failure of the session.
    assert_eq!(lone.session.last_error(), None);
}

#[test]
fn our_own_attempt_ends_when_the_peer_s_connection_gets_its_open() {
    let mut lone = Lone::new(settings());
    let attempt = lone.new_id();
    lone.session.dialing(attempt);
    lone.events();
    let theirs = lone.accept();
    lone.open(theirs);
    assert!(lone.events().contains(&SessionEvent::Close(attempt)));
    // It worked in the same moment: too late.
    lone.session.handle_connected(lone.now, attempt);
    assert!(!lone.lives(attempt));
    lone.say(theirs, &Message::Keepalive);
    lone.wait(SECOND * 20);
    assert!(!lone.events().contains(&SessionEvent::Connect));
}

/// While a session is up, the end of another connection is no reason to dial.
#[test]
fn the_end_of_a_second_connection_starts_no_attempt() {
    let mut lone = Lone::new(settings());
    let up = lone.accept();
    lone.open(up);
    lone.say(up, &Message::Keepalive);
    let second = lone.accept();
    lone.session.handle_closed(lone.now, second);
    lone.events();
    for _ in 0..20 {
        lone.wait(SECOND * 30);
        lone.say(up, &Message::Keepalive);
    }
    assert!(!lone.events().contains(&SessionEvent::Connect));
    assert!(lone.lives(up));
}

/// Connections that the peer opens and drops do not put off our own attempt.
#[test]
fn a_pause_is_not_made_longer_by_connections_that_fail() {
    let mut lone = Lone::new(settings());
    let attempt = lone.new_id();
    lone.session.dialing(attempt);
    lone.session.handle_connect_failed(lone.now, attempt);
    lone.events();
    for _ in 0..6 {
        let id = lone.accept();
        lone.session.handle_closed(lone.now, id);
        lone.wait(SECOND);
    }
    assert!(lone.events().contains(&SessionEvent::Connect));
}

#[test]
fn nothing_is_sent_on_a_connection_that_the_peer_closed() {
    let (mut lone, id) = Lone::established();
    lone.session.send(&request());
    lone.session.handle_closed(lone.now, id);
    assert_eq!(lone.heard(id), []);
    let (mut lone, id) = Lone::established();
    lone.session.handle_stop(lone.now, Stop::PeerDeconfigured);
    lone.session.handle_closed(lone.now, id);
    assert_eq!(lone.heard(id), []);
}

#[test]
fn an_attempt_that_nobody_wants_any_more_is_closed() {
    let mut lone = Lone::new(settings());
    assert_eq!(lone.session.poll_event(), Some(SessionEvent::Connect));
    lone.session.handle_stop(lone.now, Stop::Silent);
    lone.events();
    let late = lone.new_id();
    lone.session.dialing(late);
    assert_eq!(lone.events(), [SessionEvent::Close(late)]);
}

/// The answer to an attempt that was given up is not taken for the answer to the next one.
#[test]
fn a_late_answer_is_ignored() {
    let mut lone = Lone::new(settings());
    let late = lone.new_id();
    lone.session.dialing(late);
    lone.wait(SECOND * 5);
    let next = lone.new_id();
    lone.session.dialing(next);
    lone.session.handle_connected(lone.now, late);
    assert!(!lone.lives(late));
    lone.session.handle_connect_failed(lone.now, late);
    lone.session.handle_connected(lone.now, next);
    assert!(lone.lives(next));
}

#[test]
fn an_attempt_without_an_answer_is_repeated() {
    let mut lone = Lone::new(settings());
    let attempt = lone.new_id();
    lone.session.dialing(attempt);
    lone.events();
    lone.wait(SECOND * 5);
    let events = lone.events();
    assert!(events.contains(&SessionEvent::Close(attempt)));
    assert!(events.contains(&SessionEvent::Connect));
}

// Limits and sizes.

#[test]
fn last_words_of_many_refused_connections_are_bounded() {
    let mut session = Session::new(settings(), bgp_core::rng::Rng::new(1));
    let ids: Vec<ConnectionId> = (0..10).map(ConnectionId).collect();
    for id in &ids {
        session.handle_accepted(bgp_core::time::Instant::ZERO, *id);
    }
    let told = ids.iter().filter(|id| session.poll_control(**id).is_some());
    assert_eq!(told.count(), MAX_FAREWELLS);
}

/// The longest message there is, octet by octet, and one that nobody negotiated.
#[test]
fn the_longest_message_octet_by_octet() {
    let (mut lone, id) = Lone::established();
    let octets = long_update(65_535);
    for octet in &octets {
        lone.octets(id, std::slice::from_ref(octet));
    }
    let events = lone.events();
    assert!(
        matches!(events[..], [SessionEvent::Update(_)]),
        "{events:?}"
    );
    // What follows is read from where the message ends.
    lone.say(id, &end_of_rib());
    assert!(matches!(lone.events()[..], [SessionEvent::Update(_)]));
}

#[test]
fn a_long_update_that_was_not_negotiated_is_refused_by_its_header() {
    let mut lone = Lone::new(SessionSettings {
        passive: true,
        extended_messages: false,
        ..settings()
    });
    let id = lone.accept();
    lone.open(id);
    lone.say(id, &Message::Keepalive);
    lone.say(id, &end_of_rib());
    lone.octets(id, &long_update(4_096));
    assert!(lone.lives(id));
    lone.octets(id, &long_update(4_097)[..19]);
    let told = lone.told(id).unwrap();
    let length = NotificationError::MessageHeader(HeaderError::BadMessageLength);
    assert_eq!((told.error, told.data), (length, vec![0x10, 0x01]));
}

/// An UPDATE of `len` octets with one long attribute that nobody knows.
fn long_update(len: u16) -> Vec<u8> {
    let value = len - 19 - 4 - 4;
    let mut body = vec![0, 0];
    body.extend((value + 4).to_be_bytes());
    body.extend([0xd0, 200]);
    body.extend(value.to_be_bytes());
    body.resize(usize::from(len) - 19, 0);
    raw(2, &body)
}
