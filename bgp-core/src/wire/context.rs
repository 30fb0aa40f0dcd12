//! What a session negotiated, as far as bytes are concerned.

use crate::family::FamilySet;

/// Octets of the header (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;
/// The longest message without the Extended Message capability (RFC 4271 §4).
pub const MAX_LEN: usize = 4096;
/// The longest message with it (RFC 8654).
pub const MAX_EXTENDED_LEN: usize = 65_535;

/// How to read what the peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Context {
    /// An internal session: LOCAL_PREF and the attributes of reflection count.
    pub internal: bool,
    /// AS numbers take four octets (RFC 6793).
    pub four_octet_as: bool,
    /// Families that were negotiated; routes of others are ignored.
    pub families: FamilySet,
    /// Families whose NLRI carry a path identifier (RFC 7911).
    pub add_path: FamilySet,
    /// Families whose next hop may be of the other family (RFC 8950).
    pub extended_next_hop: FamilySet,
    /// The longest message accepted: [`MAX_LEN`] or [`MAX_EXTENDED_LEN`].
    pub max_len: usize,
}

/// How to write what the peer is to read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EncodeContext {
    /// AS numbers take four octets (RFC 6793).
    pub four_octet_as: bool,
    /// Families whose NLRI carry a path identifier (RFC 7911).
    pub add_path: FamilySet,
    /// The longest message that the peer accepts: [`MAX_LEN`] or [`MAX_EXTENDED_LEN`].
    pub max_len: usize,
}
