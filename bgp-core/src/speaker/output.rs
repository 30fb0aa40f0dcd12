//! What a speaker wants done, as data: the edge does it, a simulation records it.

use crate::family::{Family, FamilySet};
use crate::session::{DownReason, Note, State};
use crate::time::Duration;
use crate::types::{Asn, ConnectionId, PeerId, RouterId};
use crate::wire::AttributeFault;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Something for the caller to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Open a connection; answer with `handle_connected` or `handle_connect_failed`.
    Connect {
        /// The name of the attempt.
        connection: ConnectionId,
        /// Where to.
        remote: SocketAddr,
        /// From which address, when it matters.
        local: Option<IpAddr>,
    },
    /// The connection has something to say: call `poll_transmit` as soon as its transport takes
    /// bytes.
    Transmit(ConnectionId),
    /// Write these last bytes after those already handed out, then close. The speaker has
    /// forgotten the connection and must hear nothing of it any more.
    Close {
        /// Which connection.
        connection: ConnectionId,
        /// Usually one NOTIFICATION, or nothing.
        last: Vec<Bytes>,
    },
    /// Something an operator may want to know.
    Event(Event),
}

/// Who an event is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerName {
    /// The handle.
    pub id: PeerId,
    /// Its configured name, or `group:address`.
    pub name: Arc<str>,
    /// Its address.
    pub address: IpAddr,
}

/// Something an operator may want to know. Text is made at the edge only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A session is up.
    Established {
        /// With whom.
        peer: PeerName,
        /// Their AS.
        remote_as: Asn,
        /// Their BGP Identifier.
        router_id: RouterId,
        /// Families that both sides carry.
        families: FamilySet,
    },
    /// A session that was up has ended.
    Down {
        /// With whom.
        peer: PeerName,
        /// Why.
        reason: DownReason,
        /// The families whose routes stay for now, because the peer may be restarting.
        keeps: FamilySet,
    },
    /// A peer has not come back within its restart time. Its routes stay as the least preferred
    /// ones, for so long at most (RFC 9494).
    LongLivedStale {
        /// Which peer.
        peer: PeerName,
        /// In which families.
        families: FamilySet,
        /// For how long.
        span: Duration,
    },
    /// The state of a session has changed.
    StateChanged {
        /// With whom.
        peer: PeerName,
        /// What it was.
        from: State,
        /// What it is.
        to: State,
    },
    /// Something about a session that needs no action.
    Note {
        /// With whom.
        peer: PeerName,
        /// What.
        note: Note,
    },
    /// A connection was turned away before it became a session.
    Refused {
        /// From where.
        remote: SocketAddr,
        /// Why.
        why: Refused,
    },
    /// An UPDATE had a faulty attribute. Told once per kind of fault and session.
    AttributeFault {
        /// Who sent it.
        peer: PeerName,
        /// What was wrong.
        fault: AttributeFault,
    },
    /// The peer announced more prefixes than it may; its session is being ended.
    TooManyPrefixes {
        /// Who.
        peer: PeerName,
        /// The configured limit.
        limit: u32,
    },
    /// The peer has told everything it knew when the session came up (RFC 4724 §2).
    EndOfRib {
        /// Who.
        peer: PeerName,
        /// In which family.
        family: Family,
    },
}

/// Why a connection was turned away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    /// No peer has this address and no group accepts it.
    UnknownPeer,
    /// The group that accepts this address is full.
    GroupFull {
        /// Its limit.
        limit: usize,
    },
    /// The peer is administratively down.
    Shutdown,
    /// The speaker is stopping.
    Stopping,
}
