//! Small names that every room uses: AS numbers, identifiers and handles.
//!
//! Each is a newtype so that an AS number cannot be passed where a router id is meant. Handles
//! ([`PeerId`], [`ConnectionId`]) are dense or monotonic numbers given out by the speaker; they
//! mean nothing outside the process.

use std::fmt;
use std::net::Ipv4Addr;

/// An autonomous system number (RFC 6793): four octets; 0 is never valid on the wire (RFC 7607).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS (RFC 6793 §9): stands in two-octet fields for a number that does not fit.
    pub const TRANS: Self = Self(23_456);

    /// The two-octet form: the number itself, or [`Asn::TRANS`] when it does not fit.
    pub fn two_octet(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23_456)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// A BGP Identifier (RFC 6286): any four octets but all zero, unique within an AS.
///
/// Ordered as the unsigned number that collision detection and the decision process compare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub Ipv4Addr);

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identifier of a cluster of route reflectors and their clients (RFC 4456 §7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub Ipv4Addr);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A peer known to one speaker, configured or dynamic. Numbers of departed dynamic peers are
/// reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u32);

/// One transport connection. Never reused within the life of a speaker, so that a late message
/// from the edge about a closed connection cannot meet its successor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// What a peer is to us. It decides reflection (RFC 4456) and the eBGP rules.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerRole {
    /// iBGP, a client of this reflector (RFC 4456 §6).
    Client,
    /// iBGP, a non-client: another reflector or a fully meshed speaker.
    NonClient,
    /// eBGP: another AS.
    External,
}

impl PeerRole {
    /// Whether the session is internal (both ends in one AS).
    pub fn is_internal(self) -> bool {
        match self {
            Self::Client | Self::NonClient => true,
            Self::External => false,
        }
    }
}

impl fmt::Display for PeerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::NonClient => "non-client",
            Self::External => "external",
        })
    }
}
