//! Our side of a session, and the ways to end it on purpose.

use crate::config::{PeerSettings, Router};
use crate::family::FamilySet;
use crate::time::Duration;
use crate::types::{Asn, PeerRole, RouterId};
use crate::wire::{Cease, MAX_SHUTDOWN_COMMUNICATION, Notification, NotificationError};
use std::fmt;
use std::sync::Arc;

/// What a session needs to know about us and about what was configured for the peer.
///
/// Small: a dynamic peer gets one before its OPEN has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionSettings {
    /// Our AS.
    pub local_as: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// The AS that their OPEN must show.
    pub remote_as: Asn,
    /// What they are to us.
    pub role: PeerRole,
    /// Families that we offer.
    pub families: FamilySet,
    /// Hold time that we propose: zero (none), or 3 to 65,535 s.
    pub hold_time: Duration,
    /// Pause between attempts to connect.
    pub connect_retry: Duration,
    /// Never connect, only accept. Dynamic peers are always passive.
    pub passive: bool,
    /// Offer to receive several paths per prefix (RFC 7911).
    pub add_path_receive: bool,
    /// Offer to send several paths per prefix.
    pub add_path_send: bool,
    /// Offer to receive messages of up to 65,535 octets (RFC 8654).
    pub extended_messages: bool,
    /// Restart Time of our graceful restart capability; zero sends none.
    pub restart_time: Duration,
    /// How long peers may keep our routes after the Restart Time (RFC 9494); `None` sends no
    /// long-lived graceful restart capability, zero one without that wish.
    pub long_lived_restart_time: Option<Duration>,
    /// The R bit of that capability: we have restarted.
    pub restarting: bool,
    /// The F bits: families in which forwarding survives our restart.
    pub forwarding: FamilySet,
    /// Sent in the FQDN capability; empty sends neither that nor the software version.
    pub host_name: Arc<str>,
}

impl SessionSettings {
    /// The settings of a peer with these `peer` settings at this `router`.
    pub fn new(router: &Router, peer: &PeerSettings) -> Self {
        Self {
            local_as: router.asn,
            router_id: router.router_id,
            remote_as: peer.remote_as,
            role: peer.role,
            families: peer.families,
            hold_time: peer.hold_time,
            connect_retry: peer.connect_retry,
            passive: peer.passive,
            add_path_receive: peer.add_path_receive,
            add_path_send: peer.add_path_send,
            extended_messages: peer.extended_messages,
            restart_time: router.restart_time,
            long_lived_restart_time: peer
                .knows_long_lived()
                .then_some(peer.long_lived_restart_time),
            restarting: router.restarting,
            forwarding: router.forwarding,
            host_name: router.host_name.as_str().into(),
        }
    }
}

/// Why we stop a session on purpose: what the peer is told, and whether we come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Cease, subcode 2, with a message to the other operator (RFC 9003; may be empty). Stays
    /// down until started.
    AdministrativeShutdown(String),
    /// Cease, subcode 4, with a message to the other operator. Comes back by itself.
    AdministrativeReset(String),
    /// Cease, subcode 3: the peer was removed from the configuration. Stays down.
    PeerDeconfigured,
    /// Cease, subcode 6: something changed that needs a new session. Comes back by itself.
    OtherConfigurationChange,
    /// No NOTIFICATION at all, only a closed connection, so that a peer with graceful restart
    /// keeps our routes (RFC 4724 §4). Stays down.
    Silent,
}

impl Stop {
    /// Whether the session starts again by itself.
    pub fn comes_back(&self) -> bool {
        match self {
            Self::AdministrativeReset(_) | Self::OtherConfigurationChange => true,
            Self::AdministrativeShutdown(_) | Self::PeerDeconfigured | Self::Silent => false,
        }
    }

    /// What the peer is told; `None` for a silent stop.
    pub(super) fn notification(&self) -> Option<Notification> {
        let (cease, data) = match self {
            Self::AdministrativeShutdown(text) => {
                (Cease::AdministrativeShutdown, shutdown_communication(text))
            }
            Self::AdministrativeReset(text) => {
                (Cease::AdministrativeReset, shutdown_communication(text))
            }
            Self::PeerDeconfigured => (Cease::PeerDeconfigured, Vec::new()),
            Self::OtherConfigurationChange => (Cease::OtherConfigurationChange, Vec::new()),
            Self::Silent => return None,
        };
        Some(Notification {
            error: NotificationError::Cease(cease),
            data,
        })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AdministrativeShutdown(text) => write!(
                f,
                "shut down here, \"{text}\": enable the peer to bring it back (RFC 9003, code 6/2)"
            ),
            Self::AdministrativeReset(text) => write!(
                f,
                "reset here, \"{text}\": it comes back by itself (RFC 9003, code 6/4)"
            ),
            Self::PeerDeconfigured => {
                f.write_str("removed from the configuration here (RFC 4486, code 6/3)")
            }
            Self::OtherConfigurationChange => f.write_str(
                "the configuration changed here: it comes back by itself (RFC 4486, code 6/6)",
            ),
            Self::Silent => f.write_str(
                "closed here without a NOTIFICATION, so that they keep our routes while we \
                 restart (RFC 4724 §4)",
            ),
        }
    }
}

/// The Data field with `text` as a shutdown communication (RFC 9003 §2): its length, then UTF-8.
/// Text that is too long is cut between characters.
fn shutdown_communication(text: &str) -> Vec<u8> {
    let text = truncated(text, MAX_SHUTDOWN_COMMUNICATION);
    let length = u8::try_from(text.len()).unwrap_or(0);
    std::iter::once(length).chain(text.bytes()).collect()
}

/// The longest beginning of `text` that has at most `max` octets and ends between characters.
pub(super) fn truncated(text: &str, max: usize) -> &str {
    let end = text.floor_char_boundary(max);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdown_communication_is_cut_between_characters() {
        let data = shutdown_communication(&"ü".repeat(200));
        assert_eq!(data.len(), 1 + 254);
        assert_eq!(data[0], 254);
        assert!(std::str::from_utf8(&data[1..]).is_ok());
    }

    #[test]
    fn an_empty_shutdown_communication_is_its_length_alone() {
        assert_eq!(shutdown_communication(""), [0]);
    }
}
