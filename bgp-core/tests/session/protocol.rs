//! What one session does with a peer that keeps to the rules, and with one that does not.

use crate::lone::{Lone, encoded, open};
use crate::settings;
use bgp_core::family::{AfiSafi, Family};
use bgp_core::session::timers::LARGE_HOLD;
use bgp_core::session::{DownReason, Note, OpenRefusal, SessionEvent, SessionSettings};
use bgp_core::time::Duration;
use bgp_core::types::{Asn, RouterId};
use bgp_core::wire::{
    Capability, Cease, FsmError, HeaderError, MAX_LEN, Message, Notification, NotificationError,
    Open, OpenError, RefreshError, RefreshSubtype, RouteRefresh, Update,
};
use std::net::Ipv4Addr;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const IPV4: AfiSafi = AfiSafi { afi: 1, safi: 1 };

pub(super) fn end_of_rib() -> Message {
    Message::Update(Update {
        end_of_rib: Some(Family::Ipv4Unicast),
        ..Update::default()
    })
}

pub(super) fn refresh(family: AfiSafi, subtype: RefreshSubtype) -> RouteRefresh {
    RouteRefresh { family, subtype }
}

pub(super) fn request() -> Message {
    Message::RouteRefresh(refresh(IPV4, RefreshSubtype::Request))
}

pub(super) fn raw(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    octets.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

pub(super) fn cease(cease: Cease) -> Notification {
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

pub(super) fn open_with(change: impl FnOnce(&mut Open)) -> Open {
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
