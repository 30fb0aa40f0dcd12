//! What an operator asked of a node: typed, complete, and judged by `check.rs`.

use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::types::RouterId;
use bgp_fib::kernel::{LinkName, Mac};
use bgp_fib::pattern::Pattern;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The routing table `main`.
pub const MAIN_TABLE: u32 = 254;
/// Devices of workloads, where nothing else is said.
pub const DEFAULT_WORKLOAD_DEVICES: &str = "cali*";
/// Block size of a pool, where nothing else is said: 64 addresses of either family.
pub const DEFAULT_BLOCK_SIZES: [(Family, u8); 2] =
    [(Family::Ipv4Unicast, 26), (Family::Ipv6Unicast, 122)];
/// How long routes stay when nobody is left who could tell us about them.
pub const DEFAULT_STALE_TIME: Duration = Duration::from_secs(24 * 3_600);
/// Longest time that routes may stay then. A longer one is refused.
pub const MAX_STALE_TIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Most pools. One more is refused.
pub const MAX_POOLS: usize = 1_024;
/// Most blocks of one node. One more is refused: a node that owns so many has no use for them.
pub const MAX_BLOCKS: usize = 4_096;
/// Most service prefixes. One more is refused: every route is compared with all of them.
pub const MAX_SERVICES: usize = 1_024;

/// What a node is and owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSettings {
    /// The node's name, in notices and for [`router_id_of`](crate::router_id_of): 1 to 253
    /// printable ASCII characters without blanks.
    pub name: String,
    /// Our BGP Identifier, as peers see it: says who wins when two nodes claim a block.
    pub router_id: RouterId,
    /// Our own addresses, at most one of each family, with the length of the network that they lie
    /// in: `10.0.1.11/24`. They are the next hops of what we announce, and the network is the
    /// "own subnet" of the cross-subnet encapsulations.
    pub addresses: Vec<IpNet>,
    /// The pools; they do not overlap.
    pub pools: Vec<Pool>,
    /// The blocks that we own, each inside a pool and of its block size.
    pub blocks: Vec<IpNet>,
    /// Prefixes of services; none shares addresses with a pool.
    pub services: Vec<IpNet>,
    /// Whether we announce the service prefixes, as every node of a Calico cluster does.
    pub announce_services: bool,
    /// Which devices lead to workloads: host routes through them are addresses of workloads.
    pub workload_devices: Vec<Pattern>,
    /// Far ends of VXLAN tunnels that do not follow the rule of
    /// [`tunnel_mac`](crate::tunnel_mac).
    pub ends: Vec<End>,
    /// Which routes outside pools and services we put into the kernel.
    pub other_routes: OtherRoutes,
    /// Routing table that we write: 1 to 252, or 254 (`main`).
    pub table: u32,
    /// How long routes that we know from reflectors stay in the kernel when all reflectors are
    /// gone; at most [`MAX_STALE_TIME`].
    pub stale_time: Duration,
    /// Names of other nodes and reflectors by address, for notices.
    pub names: BTreeMap<IpAddr, String>,
}

/// A range of addresses for workloads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    /// The range, without host bits.
    pub prefix: IpNet,
    /// Length of the prefixes of its blocks: at least that of the pool.
    pub block_size: u8,
    /// How packets get to other nodes.
    pub encapsulation: Encapsulation,
    /// The tunnel device; exactly where the encapsulation has one.
    pub device: Option<LinkName>,
    /// Whether we put routes of this pool into the kernel. Off where somebody else does (Felix).
    pub install: bool,
}

/// How packets get from node to node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Encapsulation {
    /// As they are: the network between the nodes knows the way.
    None,
    /// In IPv4 (RFC 2003), always.
    Ipip,
    /// In IPv4 to nodes outside our own subnet, as they are inside it.
    IpipCrossSubnet,
    /// In VXLAN (RFC 7348), always.
    Vxlan,
    /// In VXLAN to nodes outside our own subnet, as they are inside it.
    VxlanCrossSubnet,
}

/// The far end of a VXLAN tunnel, where it is not what the rule says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// The remote node's own address: the next hop of its routes.
    pub host: IpAddr,
    /// Its address on the VXLAN device, of the same family.
    pub address: IpAddr,
    /// Its VXLAN device's hardware address.
    pub mac: Mac,
}

/// Which routes outside pools and services go into the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OtherRoutes {
    /// None.
    None,
    /// Those that we heard from external peers, such as a default route from a router above the
    /// rack: nothing comes in from them without an explicit policy (RFC 8212).
    External,
    /// All that import policies let in.
    All,
}

impl NodeSettings {
    /// A node that owns nothing yet, with every default.
    pub fn new(name: impl Into<String>, router_id: RouterId) -> Self {
        Self {
            name: name.into(),
            router_id,
            addresses: Vec::new(),
            pools: Vec::new(),
            blocks: Vec::new(),
            services: Vec::new(),
            announce_services: true,
            workload_devices: DEFAULT_WORKLOAD_DEVICES.parse().into_iter().collect(),
            ends: Vec::new(),
            other_routes: OtherRoutes::External,
            table: MAIN_TABLE,
            stale_time: DEFAULT_STALE_TIME,
            names: BTreeMap::new(),
        }
    }

    /// Our own address of `family`: the next hop of what we announce there.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.network(family).map(|network| network.addr())
    }

    /// Whether `address` lies in our own subnet.
    pub fn is_in_own_subnet(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.contains(&address))
    }

    /// Whether `address` is ours.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.addr() == address)
    }

    /// The pool in which all of `prefix` lies.
    pub fn pool_of(&self, prefix: &IpNet) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.prefix.contains(prefix))
    }

    /// Whether all of `prefix` lies in a service prefix.
    pub fn is_service(&self, prefix: &IpNet) -> bool {
        self.services.iter().any(|service| service.contains(prefix))
    }

    /// Whether `device` leads to a workload.
    pub fn is_workload_device(&self, device: &str) -> bool {
        self.workload_devices
            .iter()
            .any(|pattern| pattern.matches(device))
    }

    fn network(&self, family: Family) -> Option<&IpNet> {
        self.addresses.iter().find(|own| family_of(own) == family)
    }
}

impl Pool {
    /// A pool with the default block size of its family whose packets travel as they are.
    pub fn new(prefix: IpNet) -> Self {
        let family = family_of(&prefix);
        let sizes = DEFAULT_BLOCK_SIZES;
        let size = sizes.iter().find(|(of, _)| *of == family);
        let default = size.map_or(family.max_prefix_len(), |(_, size)| *size);
        Self {
            prefix,
            block_size: default.max(prefix.prefix_len()),
            encapsulation: Encapsulation::None,
            device: None,
            install: true,
        }
    }

    /// The same with a tunnel.
    #[must_use]
    pub fn through(self, encapsulation: Encapsulation, device: &str) -> Self {
        Self {
            encapsulation,
            device: Some(device.into()),
            ..self
        }
    }
}

impl Encapsulation {
    /// Every one, in the order in which documents name them.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Ipip,
        Self::IpipCrossSubnet,
        Self::Vxlan,
        Self::VxlanCrossSubnet,
    ];

    /// How it is spelt in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ipip => "ipip",
            Self::IpipCrossSubnet => "ipip-cross-subnet",
            Self::Vxlan => "vxlan",
            Self::VxlanCrossSubnet => "vxlan-cross-subnet",
        }
    }

    /// The tunnel device that Calico makes for pools of `family`, if there is a tunnel.
    pub fn default_device(self, family: Family) -> Option<&'static str> {
        match (self, family) {
            (Self::None, _) => None,
            (Self::Ipip | Self::IpipCrossSubnet, _) => Some("tunl0"),
            (Self::Vxlan | Self::VxlanCrossSubnet, Family::Ipv4Unicast) => Some("vxlan.calico"),
            (Self::Vxlan | Self::VxlanCrossSubnet, Family::Ipv6Unicast) => Some("vxlan-v6.calico"),
        }
    }

    /// Whether packets stay as they are inside our own subnet.
    pub fn is_cross_subnet(self) -> bool {
        match self {
            Self::IpipCrossSubnet | Self::VxlanCrossSubnet => true,
            Self::None | Self::Ipip | Self::Vxlan => false,
        }
    }

    /// Whether it is VXLAN, in every case or across subnets.
    pub fn is_vxlan(self) -> bool {
        match self {
            Self::Vxlan | Self::VxlanCrossSubnet => true,
            Self::None | Self::Ipip | Self::IpipCrossSubnet => false,
        }
    }
}

impl OtherRoutes {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::None, Self::External, Self::All];

    /// How it is spelt in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::External => "external",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for OtherRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_pattern_is_one() {
        let settings = NodeSettings::new("a", RouterId([10, 0, 0, 1].into()));
        assert!(settings.is_workload_device("cali12") && settings.workload_devices.len() == 1);
    }

    #[test]
    fn default_block_sizes_fit_into_small_pools() {
        assert_eq!(Pool::new("10.0.0.0/16".parse().unwrap()).block_size, 26);
        assert_eq!(Pool::new("10.0.0.0/28".parse().unwrap()).block_size, 28);
        assert_eq!(Pool::new("fd00::/64".parse().unwrap()).block_size, 122);
    }
}
