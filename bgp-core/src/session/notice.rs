//! What the peer is told when a connection ends: the one place that makes NOTIFICATIONs.
//!
//! A step of the machine says *that* something is to be sent and of which code ([`Notice`]); the
//! reason for which the connection ends fills in the rest.

use super::event::DownReason;
use super::fsm::Notice;
use crate::wire::{self, Cease, Notification, NotificationError};

/// Most octets of data in a NOTIFICATION of ours: whatever was negotiated, everybody can read a
/// message of 4,096 octets. What is quoted from the peer beyond that is cut off.
const MAX_DATA: usize = wire::MAX_LEN - wire::HEADER_LEN - 2;

/// The NOTIFICATION about `notice` on a connection that ends for `reason`; `hard` when the peer
/// would keep our routes over any NOTIFICATION that is no Hard Reset (RFC 8538).
pub(super) fn told(notice: Notice, reason: &DownReason, hard: bool) -> Notification {
    let told = match notice {
        Notice::Cease => cease(reason),
        Notice::HoldTimerExpired => Notification::bare(NotificationError::HoldTimerExpired),
        Notice::MessageError => message_error(reason),
        Notice::FsmError(subcode) => Notification {
            error: NotificationError::FiniteStateMachine(subcode),
            data: unexpected_kind(reason).into_iter().collect(),
        },
    };
    let mut told = match hard && drops_routes(&told.error) {
        true => hard_reset(told),
        false => told,
    };
    told.data.truncate(MAX_DATA);
    told
}

fn cease(reason: &DownReason) -> Notification {
    let subcode = match reason {
        DownReason::Reset(notification) => return notification.clone(),
        DownReason::Stopped(stop) => match stop.notification() {
            Some(notification) => return notification,
            None => Cease::Unknown(0),
        },
        DownReason::Collision | DownReason::Superseded | DownReason::PeerRestarted => {
            Cease::ConnectionCollisionResolution
        }
        DownReason::ConnectionClosed
        | DownReason::ConnectFailed
        | DownReason::ConnectTimedOut
        | DownReason::HoldTimerExpired(_)
        | DownReason::SendHoldTimerExpired(_)
        | DownReason::OpenRefused(_)
        | DownReason::MessageError(_)
        | DownReason::UnexpectedMessage { .. }
        | DownReason::NotificationReceived(_)
        | DownReason::NotificationUnreadable => Cease::Unknown(0),
    };
    Notification::bare(NotificationError::Cease(subcode))
}

fn message_error(reason: &DownReason) -> Notification {
    match reason {
        DownReason::OpenRefused(refusal) => refusal.into(),
        DownReason::MessageError(error) => error.into(),
        DownReason::Stopped(_)
        | DownReason::Reset(_)
        | DownReason::Collision
        | DownReason::Superseded
        | DownReason::PeerRestarted
        | DownReason::ConnectionClosed
        | DownReason::ConnectFailed
        | DownReason::ConnectTimedOut
        | DownReason::HoldTimerExpired(_)
        | DownReason::SendHoldTimerExpired(_)
        | DownReason::UnexpectedMessage { .. }
        | DownReason::NotificationReceived(_)
        | DownReason::NotificationUnreadable => cease(reason),
    }
}

/// RFC 6608 §4: the Data field is the type of the message that had no place.
fn unexpected_kind(reason: &DownReason) -> Option<u8> {
    let DownReason::UnexpectedMessage { kind, .. } = reason else {
        return None;
    };
    Some(kind.code())
}

/// The same NOTIFICATION wrapped in a Hard Reset (RFC 8538 §3).
fn hard_reset(notification: Notification) -> Notification {
    let (code, subcode) = notification.error.codes();
    let data = [code, subcode].into_iter().chain(notification.data);
    Notification {
        error: NotificationError::Cease(Cease::HardReset),
        data: data.collect(),
    }
}

/// Whether a session that ends so is over for good, so that its routes are to go (RFC 8538 §5.1).
fn drops_routes(error: &NotificationError) -> bool {
    match error {
        NotificationError::Cease(cease) => match cease {
            Cease::MaximumPrefixes
            | Cease::AdministrativeShutdown
            | Cease::PeerDeconfigured
            | Cease::BfdDown => true,
            Cease::AdministrativeReset
            | Cease::ConnectionRejected
            | Cease::OtherConfigurationChange
            | Cease::ConnectionCollisionResolution
            | Cease::OutOfResources
            | Cease::HardReset
            | Cease::Unknown(_) => false,
        },
        NotificationError::MessageHeader(_)
        | NotificationError::OpenMessage(_)
        | NotificationError::UpdateMessage(_)
        | NotificationError::HoldTimerExpired
        | NotificationError::FiniteStateMachine(_)
        | NotificationError::RouteRefresh(_)
        | NotificationError::SendHoldTimerExpired
        | NotificationError::Unknown { .. } => false,
    }
}

/// What a Hard Reset wraps (RFC 8538 §3), or the notification itself.
pub(super) fn unwrapped(notification: &Notification) -> Notification {
    if notification.error == NotificationError::Cease(Cease::HardReset)
        && let [code, subcode, data @ ..] = &notification.data[..]
    {
        return Notification {
            error: NotificationError::from_codes(*code, *subcode),
            data: data.to_vec(),
        };
    }
    notification.clone()
}
