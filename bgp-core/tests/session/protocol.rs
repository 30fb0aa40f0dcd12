//! What one session does with a peer that keeps to the rules, and with one that does not.

use crate::lone::{Lone, encoded, open, open_of};
use crate::settings;
use bgp_core::family::{AfiSafi, Family};
use bgp_core::session::timers::LARGE_HOLD;
use bgp_core::session::{
    DownReason, MAX_CONNECTIONS, MAX_CONTROL, MAX_FAREWELLS, Note, OpenRefusal, Session,
    SessionEvent, SessionSettings, State, Stop, TimerName,
};
use bgp_core::time::Duration;
use bgp_core::types::{Asn, ConnectionId, RouterId};
use bgp_core::wire::{
    Capability, Cease, FsmError, HeaderError, MAX_LEN, Message, Notification, NotificationError,
    Open, OpenError, RefreshError, RefreshSubtype, RouteRefresh, Update,
};
use std::net::Ipv4Addr;

const SECOND: Duration = Duration::from_secs(1);
const IPV4: AfiSafi = AfiSafi { afi: 1, safi: 1 };

fn end_of_rib() -> Message {
    Message::Update(Update {
        end_of_rib: Some(Family::Ipv4Unicast),
        ..Update::default()
    })
}

fn refresh(family: AfiSafi, subtype: RefreshSubtype) -> RouteRefresh {
    RouteRefresh { family, subtype }
}

fn request() -> Message {
    Message::RouteRefresh(refresh(IPV4, RefreshSubtype::Request))
}

fn raw(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    octets.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

fn cease(cease: Cease) -> Notification {
    Notification::bare(NotificationError::Cease(cease))
}

// Messages out of place (RFC 6608).

#[test]
fn unexpected_messages_get_the_subcode_of_the_state_and_their_type() {
    let keepalive = Message::Keepalive;
    let again = Message::Open(open());
    // how far the handshake goes first, what comes then, its type, subcode
    let rows: [(usize, &Message, u8, FsmError); 7] = [
        (0, &keepalive, 4, FsmError::UnexpectedInOpenSent),
        (0, &end_of_rib(), 2, FsmError::UnexpectedInOpenSent),
        (0, &request(), 5, FsmError::UnexpectedInOpenSent),
        (1, &again, 1, FsmError::UnexpectedInOpenConfirm),
        (1, &end_of_rib(), 2, FsmError::UnexpectedInOpenConfirm),
        (1, &request(), 5, FsmError::UnexpectedInOpenConfirm),
        (2, &again, 1, FsmError::UnexpectedInEstablished),
    ];
    for (steps, message, kind, subcode) in rows {
        let mut lone = Lone::passive();
        let id = lone.accept();
        let handshake = [again.clone(), keepalive.clone()];
        handshake[..steps]
            .iter()
            .for_each(|step| lone.say(id, step));
        lone.events();
        lone.say(id, message);
        let told = lone.told(id).unwrap();
        assert_eq!(told.error, NotificationError::FiniteStateMachine(subcode));
        assert_eq!(told.data, [kind]);
        let updates = |event: &SessionEvent| matches!(event, SessionEvent::Update(_));
        assert!(!lone.events().iter().any(updates));
        assert!(!lone.lives(id));
    }
}

/// An UPDATE before Established is not even read: one that would be malformed is out of place
/// all the same.
#[test]
fn an_early_update_is_not_decoded() {
    let mut lone = Lone::passive();
    let id = lone.accept();
    lone.octets(id, &raw(2, &[0xff; 40]));
    let told = lone.told(id).unwrap();
    let unexpected = NotificationError::FiniteStateMachine(FsmError::UnexpectedInOpenSent);
    assert_eq!(told.error, unexpected);
}

#[test]
fn an_unknown_message_type_is_a_header_error_in_every_state() {
    for steps in 0..=2 {
        let mut lone = Lone::passive();
        let id = lone.accept();
        let handshake = [Message::Open(open()), Message::Keepalive];
        handshake[..steps]
            .iter()
            .for_each(|step| lone.say(id, step));
        lone.octets(id, &raw(77, &[]));
        let told = lone.told(id).unwrap();
        let bad_type = NotificationError::MessageHeader(HeaderError::BadMessageType);
        assert_eq!((told.error, told.data), (bad_type, vec![77]));
    }
}

#[test]
fn a_notification_is_never_answered() {
    let readable = encoded(&Message::Notification(cease(Cease::AdministrativeShutdown)));
    let too_short = raw(3, &[6]);
    for octets in [readable, too_short] {
        for steps in 0..=2 {
            let mut lone = Lone::passive();
            let id = lone.accept();
            let handshake = [Message::Open(open()), Message::Keepalive];
            handshake[..steps]
                .iter()
                .for_each(|step| lone.say(id, step));
            lone.heard(id);
            lone.octets(id, &octets);
            assert_eq!(lone.heard(id), []);
            assert!(!lone.lives(id));
        }
    }
}

#[test]
fn what_follows_an_error_in_the_same_octets_is_not_read() {
    let (mut lone, id) = Lone::established();
    let mut octets = raw(77, &[]);
    octets.extend(encoded(&end_of_rib()));
    lone.octets(id, &octets);
    let updates = |event: &SessionEvent| matches!(event, SessionEvent::Update(_));
    assert!(!lone.events().iter().any(updates));
}

// OPEN.

#[test]
fn a_refused_open_says_why() {
    let mut lone = Lone::passive();
    let id = lone.accept();
    let theirs = Open {
        my_as: 64_513,
        capabilities: Vec::new(),
        ..open()
    };
    lone.say(id, &Message::Open(theirs));
    let told = lone.told(id).unwrap();
    assert_eq!(
        told.error,
        NotificationError::OpenMessage(OpenError::BadPeerAs)
    );
    let refusal = OpenRefusal::BadPeerAs {
        theirs: Asn(64_513),
        expected: Asn(64_512),
    };
    assert_eq!(lone.ended(), [DownReason::OpenRefused(refusal)]);
    let last = lone.session.last_error().unwrap();
    assert_eq!((last.at, last.was_up), (lone.now, false));
}

#[test]
fn another_version_is_an_open_error() {
    let mut lone = Lone::passive();
    let id = lone.accept();
    let mut octets = encoded(&Message::Open(open()));
    octets[19] = 3;
    lone.octets(id, &octets);
    let told = lone.told(id).unwrap();
    let version = NotificationError::OpenMessage(OpenError::UnsupportedVersionNumber);
    assert_eq!((told.error, told.data), (version, vec![0, 4]));
}

/// What the codec refuses to read in an OPEN ends the connection with the right subcode.
#[test]
fn an_open_that_no_session_may_have() {
    let rows = [
        (
            open_with(|open| open.hold_time = 1),
            OpenError::UnacceptableHoldTime,
        ),
        (
            open_with(|open| open.hold_time = 2),
            OpenError::UnacceptableHoldTime,
        ),
        (open_with(|open| open.my_as = 0), OpenError::BadPeerAs),
        (
            open_with(|open| open.router_id = RouterId(Ipv4Addr::UNSPECIFIED)),
            OpenError::BadBgpIdentifier,
        ),
    ];
    for (theirs, error) in rows {
        let mut lone = Lone::passive();
        let id = lone.accept();
        lone.say(id, &Message::Open(theirs));
        let told = lone.told(id).unwrap();
        assert_eq!(told.error, NotificationError::OpenMessage(error));
        assert!(!lone.lives(id));
    }
}

fn open_with(change: impl FnOnce(&mut Open)) -> Open {
    let mut theirs = open();
    change(&mut theirs);
    theirs
}

/// RFC 5492 §3: the next OPEN goes without optional capabilities, once.
#[test]
fn a_peer_that_refuses_capabilities_gets_an_open_without_them() {
    for error in [
        OpenError::UnsupportedOptionalParameter,
        OpenError::UnsupportedCapability,
    ] {
        let mut lone = Lone::new(settings());
        let refusal =
            Message::Notification(Notification::bare(NotificationError::OpenMessage(error)));
        let capabilities = [false, true, false];
        for reduced in capabilities {
            let id = lone.connect();
            let heard = lone.heard(id);
            let Some(Message::Open(open)) = heard.first() else {
                panic!("no OPEN: {heard:?}");
            };
            assert_eq!(open.capabilities.is_empty(), reduced);
            lone.say(id, &refusal);
            let note = SessionEvent::Note(Note::OfferReduced);
            assert_eq!(lone.events().contains(&note), !reduced);
            lone.wait(SECOND * 60);
        }
    }
}

/// A peer that has been up with the reduced offer may have learned something since.
#[test]
fn after_a_session_the_whole_offer_is_made_again() {
    let mut lone = Lone::new(settings());
    let id = lone.connect();
    let error = NotificationError::OpenMessage(OpenError::UnsupportedCapability);
    lone.say(id, &Message::Notification(Notification::bare(error)));
    lone.wait(SECOND * 2);
    let reduced = lone.connect();
    lone.open(reduced);
    lone.say(reduced, &Message::Keepalive);
    assert!(lone.session.established().is_some());
    lone.session.handle_closed(lone.now, reduced);
    lone.wait(SECOND * 2);
    let id = lone.connect();
    let heard = lone.heard(id);
    assert!(
        matches!(&heard[..], [Message::Open(open)] if !open.capabilities.is_empty()),
        "{heard:?}"
    );
}

#[test]
fn an_open_after_the_restart_does_not_say_restarting() {
    let mut lone = Lone::new(SessionSettings {
        restarting: true,
        passive: true,
        ..settings()
    });
    for restarting in [true, false] {
        lone.session.set_restarting(restarting);
        let id = lone.accept();
        let heard = lone.heard(id);
        let Some(Message::Open(open)) = heard.first() else {
            panic!("no OPEN: {heard:?}");
        };
        let said = open
            .capabilities
            .iter()
            .find_map(|capability| match capability {
                Capability::GracefulRestart(restart) => Some(restart.restarting),
                _ => None,
            });
        assert_eq!(said, Some(restarting));
    }
}

#[test]
fn an_open_that_does_not_come_is_awaited_for_four_minutes() {
    let mut lone = Lone::passive();
    let id = lone.accept();
    lone.wait(LARGE_HOLD - SECOND);
    assert!(lone.lives(id));
    lone.wait(SECOND);
    let told = lone.told(id).unwrap();
    assert_eq!(
        told,
        Notification::bare(NotificationError::HoldTimerExpired)
    );
    assert_eq!(lone.ended(), [DownReason::HoldTimerExpired(LARGE_HOLD)]);
}

// Established.

#[test]
fn updates_are_handed_on_in_order() {
    let (mut lone, id) = Lone::established();
    let octets: Vec<u8> = (0..3).flat_map(|_| encoded(&end_of_rib())).collect();
    lone.octets(id, &octets);
    let Message::Update(update) = end_of_rib() else {
        unreachable!()
    };
    assert_eq!(lone.events(), vec![SessionEvent::Update(update); 3]);
    assert_eq!(lone.session.counters().received.update, 3);
}

#[test]
fn a_malformed_update_ends_the_session() {
    let (mut lone, id) = Lone::established();
    // Withdrawn Routes Length points beyond the end.
    lone.octets(id, &raw(2, &[0xff, 0xff, 0, 0]));
    let told = lone.told(id).unwrap();
    assert!(
        matches!(told.error, NotificationError::UpdateMessage(_)),
        "{told:?}"
    );
    assert!(matches!(lone.ended()[..], [DownReason::MessageError(_)]));
}

#[test]
fn refreshes_are_sorted() {
    let (mut lone, id) = Lone::established();
    let other = AfiSafi { afi: 25, safi: 70 };
    let rows = [
        (IPV4, RefreshSubtype::Request, 0),
        (IPV4, RefreshSubtype::Begin, 1),
        (IPV4, RefreshSubtype::End, 1),
        (IPV4, RefreshSubtype::Unknown(9), 2),
        (other, RefreshSubtype::Request, 2),
    ];
    for (family, subtype, kind) in rows {
        let asked = refresh(family, subtype);
        lone.say(id, &Message::RouteRefresh(asked));
        let wanted = match kind {
            0 => SessionEvent::RefreshRequest(asked),
            1 => SessionEvent::RefreshMarker(asked),
            _ => SessionEvent::Note(Note::RefreshIgnored(asked)),
        };
        assert_eq!(lone.events(), [wanted]);
    }
}

#[test]
fn markers_without_the_capability_are_ignored() {
    let mut lone = Lone::passive();
    let id = lone.accept();
    let mut theirs = open();
    theirs
        .capabilities
        .retain(|capability| *capability != Capability::EnhancedRouteRefresh);
    lone.say(id, &Message::Open(theirs));
    lone.say(id, &Message::Keepalive);
    lone.events();
    let begin = refresh(IPV4, RefreshSubtype::Begin);
    lone.say(id, &Message::RouteRefresh(begin));
    let ignored = SessionEvent::Note(Note::RefreshIgnored(begin));
    assert_eq!(lone.events(), [ignored]);
}

#[test]
fn too_many_prefixes_end_the_session_with_a_hard_reset() {
    let (mut lone, id) = Lone::established();
    lone.session.reset(lone.now, cease(Cease::MaximumPrefixes));
    let told = lone.told(id).unwrap();
    assert_eq!(told.error, NotificationError::Cease(Cease::HardReset));
    assert_eq!(told.data, [6, 1]);
    let reason = DownReason::Reset(cease(Cease::MaximumPrefixes));
    assert_eq!(lone.ended(), [reason]);
    assert!(lone.session.is_started(), "it comes back");
}

/// What is quoted in a NOTIFICATION is cut so that everybody can read it.
#[test]
fn a_long_malformed_message_is_quoted_in_part() {
    let (mut lone, id) = Lone::established();
    lone.octets(id, &raw(5, &[1; 5_000]));
    let told = lone.told(id).unwrap();
    let length = NotificationError::RouteRefresh(RefreshError::InvalidMessageLength);
    assert_eq!(told.error, length);
    assert_eq!(told.data.len(), MAX_LEN - 21);
}

// The transport.

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
