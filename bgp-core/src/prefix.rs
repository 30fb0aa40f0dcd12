//! Prefixes: [`ipnet::IpNet`], always without host bits, and the NLRI that names one on the wire.

use crate::family::Family;
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;

/// The family to which a prefix belongs.
pub fn family_of(prefix: &IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::Ipv4Unicast,
        IpNet::V6(_) => Family::Ipv6Unicast,
    }
}

/// Network Layer Reachability Information: a prefix and, with add-path (RFC 7911), the path's
/// identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri {
    /// The prefix, without host bits.
    pub prefix: IpNet,
    /// The path identifier; 0 where add-path was not negotiated.
    pub path_id: u32,
}

impl Nlri {
    /// The NLRI of `prefix` without a path identifier.
    pub fn plain(prefix: IpNet) -> Self {
        Self { prefix, path_id: 0 }
    }
}

impl fmt::Debug for Nlri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path_id {
            0 => write!(f, "{}", self.prefix),
            id => write!(f, "{}#{id}", self.prefix),
        }
    }
}
