//! What the owner of kernel routes wants, in words that outlive a device: by name, not number.

use crate::kernel::{LinkName, Mac};
use bgp_core::prefix::IpNet;
use std::net::IpAddr;

/// Where packets to a prefix should go.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Wanted {
    /// Through these routers; at least one.
    Via {
        /// The ways, at least one.
        hops: Vec<WantedHop>,
        /// Preferred source address of packets that this host sends itself.
        source: Option<IpAddr>,
    },
    /// Dropped without a word.
    Blackhole,
    /// Answered with ICMP unreachable.
    Unreachable,
    /// Answered with ICMP prohibited.
    Prohibit,
}

/// One way out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WantedHop {
    /// The next router, or the far end of a tunnel.
    pub gateway: IpAddr,
    /// The device. `None`: the one on whose network the gateway lies, or, where that is not so,
    /// the gateway and device of the route that leads there (never one of ours).
    pub device: Option<LinkName>,
    /// The gateway is reached through the device whatever its addresses say: tunnels.
    pub onlink: bool,
    /// Share of the traffic, 1 to 256.
    pub weight: u16,
}

/// An entry that a VXLAN device needs for a remote host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TunnelEnd {
    /// The VXLAN device.
    pub device: LinkName,
    /// The remote host's address on the device: its neighbour entry.
    pub address: IpAddr,
    /// The remote device's hardware address.
    pub mac: Mac,
    /// The remote host: its forwarding entry.
    pub host: IpAddr,
}

/// A prefix of a routing table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// Routing table; 254 is `main`.
    pub table: u32,
    /// The prefix, without host bits.
    pub prefix: IpNet,
}
