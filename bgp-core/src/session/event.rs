//! What a session tells the speaker: events, and why a session ended, each in one sentence.
//!
//! Everything is typed; text is made here and only when somebody asks for it. A sentence does not
//! name the peer: whoever prints it puts `peer NAME (ADDRESS): ` in front.

use super::fsm::State;
use super::negotiate::OpenRefusal;
use super::notice;
use super::settings::Stop;
use super::timers::Retry;
use crate::time::Duration;
use crate::types::ConnectionId;
use crate::wire::{
    Cease, DecodeError, MessageKind, Notification, NotificationError, OpenError, RouteRefresh,
    Update,
};
use std::fmt;

/// What a session wants the speaker to know or to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "UPDATEs are the bulk of all events; a box would cost each an allocation"
)]
pub enum SessionEvent {
    /// Connect to the peer and say under which id ([`Session::dialing`](super::Session::dialing)).
    Connect,
    /// Send what [`Session::poll_control`](super::Session::poll_control) still has for this
    /// connection, then close it. Also ends an attempt to connect.
    Close(ConnectionId),
    /// The session is up on this connection.
    Established(ConnectionId),
    /// An UPDATE of the established connection.
    Update(Update),
    /// They want a family again that we carry (RFC 2918).
    RefreshRequest(RouteRefresh),
    /// Their answer to a refresh of a family that we carry begins or ends (RFC 7313 §4).
    RefreshMarker(RouteRefresh),
    /// The session that was up is down.
    Down(DownReason),
    /// [`Session::state`](super::Session::state) has changed.
    StateChanged {
        /// What it was.
        from: State,
        /// What it is.
        to: State,
    },
    /// Worth a line in the log, and nothing to do.
    Note(Note),
}

/// Something that an operator may want to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A connection or an attempt to connect ended before the session was up.
    AttemptEnded {
        /// Which one, when it had an id already.
        connection: Option<ConnectionId>,
        /// Why.
        reason: DownReason,
    },
    /// A connection of the peer was refused because the session is stopped, or because both
    /// places are taken.
    ConnectionRefused(ConnectionId),
    /// The next OPEN goes without optional capabilities, because the peer refused them.
    OfferReduced,
    /// A ROUTE-REFRESH was ignored: a family that was not negotiated (RFC 2918 §4), an unassigned
    /// subtype (RFC 7313 §5), or a marker without the capability.
    RefreshIgnored(RouteRefresh),
    /// A message of ours was not sent, because the control queue is full or the message does not
    /// fit.
    ControlDropped,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttemptEnded {
                connection: Some(connection),
                reason,
            } => write!(
                f,
                "connection {connection} ended before the session was up: {reason}"
            ),
            Self::AttemptEnded {
                connection: None,
                reason,
            } => write!(f, "no connection: {reason}"),
            Self::ConnectionRefused(connection) => write!(
                f,
                "connection {connection} refused: the session is stopped or both its places are \
                 taken (RFC 4486, code 6/5)"
            ),
            Self::OfferReduced => f.write_str(
                "they refused our capabilities, the next OPEN goes without the optional ones \
                 (RFC 5492 §3)",
            ),
            Self::RefreshIgnored(refresh) => write!(
                f,
                "ROUTE-REFRESH for {:?} ignored, it was not negotiated (RFC 2918 §4)",
                refresh.family
            ),
            Self::ControlDropped => f.write_str(
                "a message of ours was dropped: the peer reads too slowly, or it is too long",
            ),
        }
    }
}

/// Why a session or a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DownReason {
    /// We were told to stop it.
    Stopped(Stop),
    /// The engine ended it and told them this, for instance too many prefixes.
    Reset(Notification),
    /// The peer's other connection was chosen (RFC 4271 §6.8).
    Collision,
    /// The peer opened yet another connection before it said anything on this one.
    Superseded,
    /// The peer has restarted and is back on a new connection (RFC 4724 §4.2).
    PeerRestarted,
    /// The connection was closed or broke.
    ConnectionClosed,
    /// Our attempt to connect failed.
    ConnectFailed,
    /// Our attempt to connect took longer than the connect retry time.
    ConnectTimedOut,
    /// They were silent for this long.
    HoldTimerExpired(Duration),
    /// Their transport took nothing from us for this long (RFC 9687).
    SendHoldTimerExpired(Duration),
    /// Their OPEN could be read and was refused.
    OpenRefused(OpenRefusal),
    /// Their message could not be read.
    MessageError(DecodeError),
    /// Their message had no place in this state (RFC 6608).
    UnexpectedMessage {
        /// The state.
        state: State,
        /// The message.
        kind: MessageKind,
    },
    /// They ended it and told us this.
    NotificationReceived(Notification),
    /// They ended it with a NOTIFICATION that could not be read.
    NotificationUnreadable,
}

impl DownReason {
    /// What this means for the next automatic start; `was_up` says whether the session was
    /// established.
    pub fn retry(&self, was_up: bool) -> Retry {
        match self {
            Self::Stopped(_) | Self::Collision | Self::Superseded | Self::PeerRestarted => {
                Retry::Soon
            }
            Self::ConnectionClosed
            | Self::HoldTimerExpired(_)
            | Self::SendHoldTimerExpired(_)
            | Self::NotificationUnreadable => match was_up {
                true => Retry::Soon,
                false => Retry::Later,
            },
            Self::ConnectFailed | Self::ConnectTimedOut => Retry::Later,
            Self::NotificationReceived(notification) => match notification.error {
                NotificationError::Cease(Cease::ConnectionCollisionResolution) => Retry::Soon,
                NotificationError::Cease(_) => Retry::Later,
                // The way between us was down; nobody is wrong.
                NotificationError::HoldTimerExpired | NotificationError::SendHoldTimerExpired => {
                    match was_up {
                        true => Retry::Soon,
                        false => Retry::Later,
                    }
                }
                NotificationError::MessageHeader(_)
                | NotificationError::OpenMessage(_)
                | NotificationError::UpdateMessage(_)
                | NotificationError::FiniteStateMachine(_)
                | NotificationError::RouteRefresh(_)
                | NotificationError::Unknown { .. } => Retry::Backoff,
            },
            Self::Reset(_)
            | Self::OpenRefused(_)
            | Self::MessageError(_)
            | Self::UnexpectedMessage { .. } => Retry::Backoff,
        }
    }

    /// Whether a peer with graceful restart may be about to come back, so that its routes are kept
    /// (RFC 4724 §4.2): its connection broke, or, when both sides said so with the N bit
    /// (`notification`), the session ended in a NOTIFICATION that is no hard reset (RFC 8538 §4).
    /// Of a peer that has fallen silent nothing is known, its kernel included: its routes are kept
    /// only where `when_silent` says so. What we end ourselves and begin again is kept as the
    /// peer keeps ours.
    pub fn keeps_routes(&self, notification: bool, when_silent: bool) -> bool {
        match self {
            Self::ConnectionClosed | Self::PeerRestarted => true,
            Self::HoldTimerExpired(_) | Self::SendHoldTimerExpired(_) => {
                notification && when_silent
            }
            Self::MessageError(_) | Self::UnexpectedMessage { .. } => notification,
            Self::NotificationReceived(received) => {
                notification && received.error != NotificationError::Cease(Cease::HardReset)
            }
            Self::Stopped(stop) => notification && stop.comes_back(),
            Self::Reset(_)
            | Self::Collision
            | Self::Superseded
            | Self::ConnectFailed
            | Self::ConnectTimedOut
            | Self::OpenRefused(_)
            | Self::NotificationUnreadable => false,
        }
    }

    /// Whether they refused our OPEN for its capabilities (RFC 5492 §3).
    pub(super) fn refuses_capabilities(&self) -> bool {
        let Self::NotificationReceived(notification) = self else {
            return false;
        };
        matches!(
            notification.error,
            NotificationError::OpenMessage(
                OpenError::UnsupportedOptionalParameter | OpenError::UnsupportedCapability
            )
        )
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(stop) => write!(f, "{stop}"),
            Self::Reset(notification) => write!(
                f,
                "we ended it, {notification}: it comes back after a pause (RFC 4486)"
            ),
            Self::Collision => f.write_str(
                "closed in favour of the peer's other connection, nothing to do \
                 (RFC 4271 §6.8, code 6/7)",
            ),
            Self::Superseded => f.write_str(
                "closed in favour of a newer connection of the peer, nothing to do \
                 (RFC 4271 §6.8, code 6/7)",
            ),
            Self::PeerRestarted => f.write_str(
                "the peer has restarted and is back on a new connection, nothing to do \
                 (RFC 4724 §4.2)",
            ),
            Self::ConnectionClosed => f.write_str(
                "the connection was closed without a NOTIFICATION: look for a crash, a restart \
                 or a firewall on the way (RFC 4271 §8.2.2, event 18)",
            ),
            Self::ConnectFailed => f.write_str(
                "our attempt to connect failed: is the peer up, and does it listen for us? \
                 (RFC 4271 §8.2.2, event 18)",
            ),
            Self::ConnectTimedOut => f.write_str(
                "our attempt to connect got no answer in time: is there a firewall on the way? \
                 (RFC 4271 §8.2.2, event 9)",
            ),
            Self::HoldTimerExpired(after) => write!(
                f,
                "they were silent for {} s: the peer or the way to it is down \
                 (RFC 4271 §6.5, code 4)",
                after.as_secs()
            ),
            Self::SendHoldTimerExpired(after) => write!(
                f,
                "they took nothing from us for {} s, although the connection is up: the peer \
                 hangs (RFC 9687, code 8)",
                after.as_secs()
            ),
            Self::OpenRefused(refusal) => write!(f, "OPEN refused: {refusal}"),
            Self::MessageError(error) => write!(
                f,
                "their message is malformed, we told them: {error}; report it to them \
                 (RFC 4271 §6)"
            ),
            Self::UnexpectedMessage { state, kind } => write!(
                f,
                "they sent {kind} in {state}, where it has no place: report it to them \
                 (RFC 6608 §4, code 5)"
            ),
            Self::NotificationReceived(notification) => {
                write!(f, "they ended it: {}", notice::unwrapped(notification))?;
                f.write_str(advice(notification.error))
            }
            Self::NotificationUnreadable => f.write_str(
                "they ended it with a NOTIFICATION that could not be read: look into their log \
                 (RFC 4271 §6.4)",
            ),
        }
    }
}

/// What to do about a NOTIFICATION of theirs.
fn advice(error: NotificationError) -> &'static str {
    match error {
        NotificationError::Cease(Cease::HardReset) => {
            "; they want no graceful restart, ask their operator (RFC 8538, code 6/9)"
        }
        NotificationError::Cease(_) => "; ask their operator (RFC 4486)",
        NotificationError::HoldTimerExpired => {
            "; they did not hear us: look at the way there and at our load (RFC 4271 §6.5)"
        }
        NotificationError::MessageHeader(_)
        | NotificationError::OpenMessage(_)
        | NotificationError::UpdateMessage(_)
        | NotificationError::FiniteStateMachine(_)
        | NotificationError::RouteRefresh(_)
        | NotificationError::SendHoldTimerExpired
        | NotificationError::Unknown { .. } => {
            "; compare both configurations and logs (RFC 4271 §6)"
        }
    }
}
