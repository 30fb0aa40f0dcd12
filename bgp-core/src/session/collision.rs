//! Which of a peer's two connections stays: one pure function (RFC 4271 §6.8, RFC 6286 §2.3).
//!
//! It is asked when a valid OPEN arrives on one connection (the newcomer) while another one has
//! had its OPEN already (the existing one). A connection in OpenSent is not judged: nobody has
//! spoken on it yet.

use super::fsm::State;
use crate::types::{Asn, RouterId};

/// Who opened a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// We did.
    Dialed,
    /// The peer did.
    Accepted,
}

/// What decides who is dominant: the BGP Identifier, then the AS number (RFC 6286 §2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Identity {
    /// BGP Identifier, compared first, as an unsigned number.
    pub router_id: RouterId,
    /// AS number, compared when the identifiers are equal.
    pub asn: Asn,
}

/// The connection that had its OPEN first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Existing {
    /// Its state: OpenConfirm or Established; anything less never wins.
    pub state: State,
    /// Whether the newcomer was opened after this one was up, on a session with graceful restart:
    /// the peer has restarted (RFC 4724 §4.2).
    pub peer_restarted: bool,
}

/// The verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// The connection that had its OPEN first stays.
    Existing,
    /// The connection on which the OPEN has just arrived stays.
    Newcomer,
}

/// The connection that stays.
///
/// 1. Established stays (RFC 4271 §6.8), unless graceful restart tells us that the peer lost it
///    (RFC 4724 §4.2).
/// 2. In OpenConfirm, the connection that the dominant speaker opened stays. For two connections
///    that the peer opened, this is the text of RFC 4271 §6.8 taken literally: the newer one
///    stays when the peer's identifier is the greater.
pub fn winner(local: Identity, remote: Identity, existing: Existing, newcomer: Direction) -> Keep {
    match existing.state {
        State::Established if existing.peer_restarted => Keep::Newcomer,
        State::Established => Keep::Existing,
        State::OpenConfirm => {
            let remote_is_dominant = remote > local;
            if remote_is_dominant == (newcomer == Direction::Accepted) {
                Keep::Newcomer
            } else {
                Keep::Existing
            }
        }
        State::Idle | State::Connect | State::Active | State::OpenSent => Keep::Newcomer,
    }
}
