//! What an operator reads when a session ends: every reason, against `sentences.txt`.
//! `UPDATE_GOLDEN=1` writes that file anew; the difference is for people to read.

use bgp_core::family::{Family, FamilySet};
use bgp_core::session::{DownReason, Note, OpenRefusal, State, Stop};
use bgp_core::time::Duration;
use bgp_core::types::{Asn, ConnectionId, RouterId};
use bgp_core::wire::{
    Cease, DecodeError, MessageKind, Notification, NotificationError, OpenError, RefreshSubtype,
    RouteRefresh, UpdateError,
};
use std::net::Ipv4Addr;

const GOLDEN: &str = include_str!("sentences.txt");

fn notification(error: NotificationError, data: &[u8]) -> Notification {
    Notification {
        error,
        data: data.to_vec(),
    }
}

fn cease(cease: Cease, data: &[u8]) -> Notification {
    notification(NotificationError::Cease(cease), data)
}

fn reasons() -> Vec<DownReason> {
    let ninety = Duration::from_secs(90);
    vec![
        DownReason::Stopped(Stop::AdministrativeShutdown("cable work".to_owned())),
        DownReason::Stopped(Stop::AdministrativeReset("new keys".to_owned())),
        DownReason::Stopped(Stop::PeerDeconfigured),
        DownReason::Stopped(Stop::OtherConfigurationChange),
        DownReason::Stopped(Stop::Silent),
        DownReason::Reset(cease(Cease::MaximumPrefixes, &[])),
        DownReason::Collision,
        DownReason::Superseded,
        DownReason::PeerRestarted,
        DownReason::ConnectionClosed,
        DownReason::ConnectFailed,
        DownReason::ConnectTimedOut,
        DownReason::HoldTimerExpired(ninety),
        DownReason::SendHoldTimerExpired(Duration::from_secs(480)),
        DownReason::OpenRefused(OpenRefusal::BadPeerAs {
            theirs: Asn(64_513),
            expected: Asn(64_512),
        }),
        DownReason::OpenRefused(OpenRefusal::BadBgpIdentifier(RouterId(Ipv4Addr::new(
            10, 0, 0, 1,
        )))),
        DownReason::OpenRefused(OpenRefusal::NoCommonFamily {
            ours: FamilySet::from_iter([Family::Ipv6Unicast]),
        }),
        DownReason::MessageError(DecodeError::Marker),
        DownReason::MessageError(DecodeError::Type(9)),
        DownReason::MessageError(DecodeError::Open(
            OpenError::UnacceptableHoldTime,
            vec![0, 2],
        )),
        DownReason::MessageError(DecodeError::Update(
            UpdateError::MalformedAttributeList,
            Vec::new(),
        )),
        DownReason::UnexpectedMessage {
            state: State::OpenSent,
            kind: MessageKind::Update,
        },
        DownReason::NotificationReceived(cease(Cease::AdministrativeShutdown, b"\x04bye!")),
        DownReason::NotificationReceived(cease(Cease::HardReset, b"\x06\x02\x04bye!")),
        DownReason::NotificationReceived(notification(NotificationError::HoldTimerExpired, &[])),
        DownReason::NotificationReceived(notification(
            NotificationError::OpenMessage(OpenError::BadPeerAs),
            &[],
        )),
        DownReason::NotificationReceived(notification(
            NotificationError::Unknown {
                code: 99,
                subcode: 1,
            },
            &[1, 2, 3],
        )),
        DownReason::NotificationUnreadable,
    ]
}

fn notes() -> Vec<Note> {
    let connection = ConnectionId(7);
    vec![
        Note::AttemptEnded {
            connection: Some(connection),
            reason: DownReason::ConnectionClosed,
        },
        Note::AttemptEnded {
            connection: None,
            reason: DownReason::ConnectFailed,
        },
        Note::ConnectionRefused(connection),
        Note::OfferReduced,
        Note::RefreshIgnored(RouteRefresh {
            family: bgp_core::family::AfiSafi { afi: 25, safi: 70 },
            subtype: RefreshSubtype::Request,
        }),
        Note::ControlDropped,
    ]
}

#[test]
fn every_reason_is_one_sentence() {
    let reasons = reasons().into_iter().map(|reason| reason.to_string());
    let notes = notes().into_iter().map(|note| note.to_string());
    let text: String = reasons.chain(notes).map(|line| line + "\n").collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/session/sentences.txt");
        std::fs::write(path, &text).unwrap();
        return;
    }
    assert_eq!(text, GOLDEN, "UPDATE_GOLDEN=1 writes it anew");
}
