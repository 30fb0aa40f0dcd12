//! What can be wrong with [`NodeSettings`](crate::NodeSettings) and with a block, and how it is
//! said.

use crate::settings::{Encapsulation, MAX_BLOCKS, MAX_POOLS, MAX_SERVICES, MAX_STALE_TIME};
use bgp_core::complaint::Complaint;
use bgp_core::policy::PrefixFault;
use bgp_core::prefix::{IpNet, family_of};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// One thing that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsFault {
    /// The element at fault.
    pub element: Element,
    /// What is wrong with it.
    pub fault: Fault,
}

/// A part of [`NodeSettings`](crate::NodeSettings).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Element {
    /// The node itself.
    Node,
    /// `NodeSettings::pools[index]`.
    Pool {
        /// Its place.
        index: usize,
        /// Its prefix.
        prefix: IpNet,
    },
    /// `NodeSettings::blocks[index]`.
    Block {
        /// Its place.
        index: usize,
        /// Its prefix.
        prefix: IpNet,
    },
    /// `NodeSettings::ends[index]`.
    End {
        /// Its place.
        index: usize,
        /// Its host.
        host: IpAddr,
    },
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Of the node itself.
    Node(NodeFault),
    /// Of the service prefix at `item`; `None` is all of them.
    Service(Option<usize>, ServiceFault),
    /// Of a pool.
    Pool(PoolFault),
    /// Of a block.
    Block(BlockFault),
    /// Of the far end of a tunnel.
    End(EndFault),
}

/// What is wrong with the node itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeFault {
    /// A name that is empty, too long, or has more than printable ASCII.
    Name(String),
    /// An own address that no host can have.
    Address {
        /// Its place in `addresses`.
        item: usize,
        /// The address.
        address: IpNet,
    },
    /// A second own address of a family.
    SecondAddress {
        /// Its place in `addresses`.
        item: usize,
        /// The address.
        address: IpNet,
        /// The place of the other.
        first: usize,
        /// The other.
        other: IpNet,
    },
    /// No own address at all.
    NoAddress,
    /// A pattern of workload devices that a tunnel device fits.
    WorkloadDevice {
        /// Its place in `workload_devices`.
        item: usize,
        /// The pattern.
        pattern: String,
        /// The device.
        device: String,
    },
    /// A routing table that is not for routes like ours.
    Table(u32),
    /// A time above [`MAX_STALE_TIME`].
    StaleTime(Duration),
}

/// What is wrong with service prefixes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServiceFault {
    /// Host bits.
    HostBits(IpNet),
    /// The same prefix twice.
    Twice {
        /// The prefix.
        prefix: IpNet,
        /// The place of the other.
        first: usize,
    },
    /// It shares addresses with a pool.
    InPool {
        /// The prefix.
        prefix: IpNet,
        /// The place of the pool.
        pool: usize,
        /// The pool's prefix.
        other: IpNet,
    },
    /// Its family is one of which we have no address.
    NoAddress(IpNet),
    /// More than [`MAX_SERVICES`].
    TooMany(usize),
}

/// What is wrong with a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PoolFault {
    /// More than [`MAX_POOLS`].
    TooMany(usize),
    /// Host bits.
    HostBits(IpNet),
    /// It shares addresses with an earlier one.
    Overlap {
        /// The pool.
        prefix: IpNet,
        /// The place of the other.
        first: usize,
        /// The other.
        other: IpNet,
    },
    /// A block size that no block of the pool can have.
    BlockSize {
        /// The pool.
        prefix: IpNet,
        /// The size.
        size: u8,
    },
    /// Its family is one of which we have no address.
    NoAddress(IpNet),
    /// A tunnel without a device.
    NoDevice {
        /// The encapsulation.
        encapsulation: Encapsulation,
        /// What the device is called in a Calico cluster.
        usual: &'static str,
    },
    /// A device without a tunnel.
    NoTunnel(String),
    /// A device name that no device can have.
    DeviceName(String),
    /// IPIP in a pool of IPv6.
    IpipFamily(IpNet),
}

/// Why a block cannot be ours, or cannot be given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlockFault {
    /// It has host bits.
    HostBits(IpNet),
    /// It lies in no pool.
    OutsidePools {
        /// The block.
        prefix: IpNet,
        /// The pools of its family.
        pools: Vec<IpNet>,
    },
    /// It is not as long as the blocks of its pool are.
    Length {
        /// The block.
        prefix: IpNet,
        /// Its pool.
        pool: IpNet,
        /// The length that they have.
        size: u8,
    },
    /// It is ours already.
    Twice {
        /// The block.
        prefix: IpNet,
        /// The place of the other in `NodeSettings::blocks`.
        first: usize,
    },
    /// It holds one of our own addresses.
    HoldsOwnAddress {
        /// The block.
        prefix: IpNet,
        /// The address.
        address: IpAddr,
    },
    /// More than [`MAX_BLOCKS`].
    TooMany(usize),
    /// It is not ours.
    NotOurs(IpNet),
}

/// What is wrong with the far end of a tunnel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndFault {
    /// Its host has one already.
    Twice {
        /// The host.
        host: IpAddr,
        /// The place of the other.
        first: usize,
    },
    /// The address on the device is of another family than the host's.
    Family {
        /// The host.
        host: IpAddr,
        /// The address.
        address: IpAddr,
    },
    /// A hardware address that is not one of a single device.
    Mac(String),
}

impl SettingsFault {
    /// The key at fault, as it is spelt in configuration files; empty where it is the element as
    /// a whole.
    pub fn key(&self) -> &'static str {
        match &self.fault {
            Fault::Node(fault) => fault.key(),
            Fault::Service(..) => "services",
            Fault::Pool(fault) => fault.key(),
            Fault::Block(BlockFault::TooMany(_)) => "",
            Fault::Block(_) => "prefix",
            Fault::End(fault) => fault.key(),
        }
    }

    /// The place of the item at fault, where the key holds a list.
    pub fn item(&self) -> Option<usize> {
        match &self.fault {
            Fault::Node(
                NodeFault::Address { item, .. }
                | NodeFault::SecondAddress { item, .. }
                | NodeFault::WorkloadDevice { item, .. },
            ) => Some(*item),
            Fault::Service(item, _) => *item,
            Fault::Node(_) | Fault::Pool(_) | Fault::Block(_) | Fault::End(_) => None,
        }
    }

    /// The earlier place that this one clashes with, if it clashes: an element, a key of it, and
    /// the place of the item where the key holds a list.
    pub fn clashes_with(&self) -> Option<(Element, &'static str, Option<usize>)> {
        match &self.fault {
            Fault::Node(NodeFault::SecondAddress { first, .. }) => {
                Some((Element::Node, "addresses", Some(*first)))
            }
            Fault::Service(_, ServiceFault::Twice { first, .. }) => {
                Some((Element::Node, "services", Some(*first)))
            }
            Fault::Service(_, ServiceFault::InPool { pool, other, .. }) => {
                Some((Element::pool(*pool, *other), "prefix", None))
            }
            Fault::Pool(PoolFault::Overlap { first, other, .. }) => {
                Some((Element::pool(*first, *other), "prefix", None))
            }
            Fault::Block(BlockFault::Twice { prefix, first }) => {
                Some((Element::block(*first, *prefix), "prefix", None))
            }
            Fault::End(EndFault::Twice { host, first }) => {
                Some((Element::end(*first, *host), "host", None))
            }
            Fault::Node(_)
            | Fault::Service(..)
            | Fault::Pool(_)
            | Fault::Block(_)
            | Fault::End(_) => None,
        }
    }

    /// What to tell the operator.
    pub fn complaint(&self) -> Complaint {
        match &self.fault {
            Fault::Node(fault) => fault.complaint(),
            Fault::Service(_, fault) => fault.complaint(),
            Fault::Pool(fault) => fault.complaint(),
            Fault::Block(fault) => fault.complaint(),
            Fault::End(fault) => fault.complaint(),
        }
    }
}

impl Element {
    pub(crate) fn pool(index: usize, prefix: IpNet) -> Self {
        Self::Pool { index, prefix }
    }

    pub(crate) fn block(index: usize, prefix: IpNet) -> Self {
        Self::Block { index, prefix }
    }

    pub(crate) fn end(index: usize, host: IpAddr) -> Self {
        Self::End { index, host }
    }
}

impl NodeFault {
    fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Address { .. } | Self::SecondAddress { .. } | Self::NoAddress => "addresses",
            Self::WorkloadDevice { .. } => "workload-devices",
            Self::Table(_) => "table",
            Self::StaleTime(_) => "stale-time",
        }
    }

    fn complaint(&self) -> Complaint {
        match self {
            Self::Name(name) => Complaint::new(
                format!("node name {name:?}"),
                "1 to 253 printable ASCII characters without blanks",
                "take the name that the cluster knows the node by",
            ),
            Self::Address { address, .. } => Complaint::new(
                format!("own address {address}"),
                "one host's unicast address with the length of its network, as 10.0.1.11/24",
                "take what `ip address` shows on the device that leads to the other nodes",
            ),
            Self::SecondAddress { address, other, .. } => Complaint::new(
                format!("{address} is a second own address beside {other}"),
                "one address of a family",
                "keep the one that other nodes reach us at",
            ),
            Self::NoAddress => Complaint::new(
                "no own address",
                "one address of IPv4, of IPv6, or of both, as 10.0.1.11/24",
                "it is the next hop of all that the node announces",
            ),
            Self::WorkloadDevice {
                pattern, device, ..
            } => Complaint::new(
                format!("{pattern:?} also matches the tunnel device {device}"),
                "patterns that match devices of workloads alone",
                "make it longer, as \"cali*\"",
            ),
            Self::Table(table) => Complaint::new(
                format!("routing table {table}"),
                "1 to 252, 254 (main), or 256 and above",
                "leave it out for main",
            ),
            Self::StaleTime(span) => Complaint::new(
                format!("a stale time of {span:?}"),
                format!("at most {MAX_STALE_TIME:?}"),
                "a day is long enough to mend a reflector",
            ),
        }
    }
}

impl ServiceFault {
    fn complaint(&self) -> Complaint {
        match self {
            Self::HostBits(prefix) => PrefixFault::HostBits(*prefix).complaint(),
            Self::Twice { prefix, .. } => Complaint::new(
                format!("{prefix} a second time"),
                "each service prefix once",
                "remove one of the two",
            ),
            Self::InPool { prefix, other, .. } => Complaint::new(
                format!("service prefix {prefix} shares addresses with pool {other}"),
                "ranges that are apart",
                "addresses of services and of workloads are never the same: mend one of the two",
            ),
            Self::NoAddress(prefix) => no_address("service prefix", prefix),
            Self::TooMany(count) => Complaint::new(
                format!("{count} service prefixes"),
                format!("at most {MAX_SERVICES}"),
                "name the ranges that services get their addresses from, not the services",
            ),
        }
    }
}

impl PoolFault {
    fn key(&self) -> &'static str {
        match self {
            Self::TooMany(_) => "",
            Self::HostBits(_) | Self::Overlap { .. } | Self::NoAddress(_) => "prefix",
            Self::BlockSize { .. } => "block-size",
            Self::NoDevice { .. } | Self::NoTunnel(_) | Self::DeviceName(_) => "device",
            Self::IpipFamily(_) => "encapsulation",
        }
    }

    fn complaint(&self) -> Complaint {
        match self {
            Self::TooMany(count) => Complaint::new(
                format!("{count} pools"),
                format!("at most {MAX_POOLS}"),
                "join neighbouring pools of one kind",
            ),
            Self::HostBits(prefix) => PrefixFault::HostBits(*prefix).complaint(),
            Self::Overlap { prefix, other, .. } => Complaint::new(
                format!("pool {prefix} shares addresses with pool {other}"),
                "each address in one pool",
                "divide the range, or remove one of the two",
            ),
            Self::BlockSize { prefix, size } => {
                let shortest = prefix.prefix_len();
                let longest = family_of(prefix).max_prefix_len();
                Complaint::new(
                    format!("blocks of length {size} in pool {prefix}"),
                    format!("{shortest} to {longest}"),
                    "26 (IPv4) and 122 (IPv6) give each block 64 addresses",
                )
            }
            Self::NoAddress(prefix) => no_address("pool", prefix),
            Self::NoDevice {
                encapsulation,
                usual,
            } => Complaint::new(
                format!("encapsulation {encapsulation} without a device"),
                "the name of the tunnel device",
                format!("in a Calico cluster it is \"{usual}\""),
            ),
            Self::NoTunnel(device) => Complaint::new(
                format!("device {device:?}, and the encapsulation is none"),
                "no device, or an encapsulation with a tunnel",
                "remove one of the two",
            ),
            Self::DeviceName(name) => Complaint::new(
                format!("{name:?} is not the name of a device"),
                "1 to 15 printable characters without '/'",
                "`ip link` shows the names",
            ),
            Self::IpipFamily(prefix) => Complaint::new(
                format!("ipip for {prefix}"),
                "none, vxlan or vxlan-cross-subnet in a pool of IPv6",
                "IPIP carries IPv4 alone (RFC 2003)",
            ),
        }
    }
}

impl BlockFault {
    /// What to tell the operator.
    pub fn complaint(&self) -> Complaint {
        match self {
            Self::HostBits(prefix) => PrefixFault::HostBits(*prefix).complaint(),
            Self::OutsidePools { prefix, pools } => {
                let allowed = if pools.is_empty() {
                    format!("none: there is no pool of {}", family_of(prefix))
                } else {
                    format!("blocks inside {}", listed(pools))
                };
                let advice = "mend the block, or add its pool first";
                Complaint::new(format!("block {prefix} lies in no pool"), allowed, advice)
            }
            Self::Length { prefix, pool, size } => Complaint::new(
                format!("block {prefix} in pool {pool}"),
                format!("blocks of length {size} in this pool"),
                "mend the block, or the block-size of the pool",
            ),
            Self::Twice { prefix, .. } => Complaint::new(
                format!("block {prefix} a second time"),
                "each block once",
                "remove one of the two",
            ),
            Self::HoldsOwnAddress { prefix, address } => Complaint::new(
                format!("block {prefix} holds our own address {address}"),
                "blocks of workloads alone",
                "keep the addresses of nodes out of the pools",
            ),
            Self::TooMany(count) => Complaint::new(
                format!("{count} blocks of one node"),
                format!("at most {MAX_BLOCKS}"),
                "give the pool larger blocks",
            ),
            Self::NotOurs(prefix) => Complaint::new(
                format!("block {prefix} is not ours"),
                "a block that this node owns",
                "`bgpctl block` lists them",
            ),
        }
    }
}

impl EndFault {
    fn key(&self) -> &'static str {
        match self {
            Self::Twice { .. } => "host",
            Self::Family { .. } => "address",
            Self::Mac(_) => "mac",
        }
    }

    fn complaint(&self) -> Complaint {
        match self {
            Self::Twice { host, .. } => Complaint::new(
                format!("a second tunnel end of host {host}"),
                "one end of a host",
                "remove one of the two",
            ),
            Self::Family { host, address } => Complaint::new(
                format!("address {address} on the tunnel device of host {host}"),
                "two addresses of one family",
                "take the address of the remote node's VXLAN device of the host's family",
            ),
            Self::Mac(mac) => Complaint::new(
                format!("hardware address {mac}"),
                "the address of one device: not zero, and the first octet even",
                "`ip link show` on the remote node shows it",
            ),
        }
    }
}

fn no_address(what: &str, prefix: &IpNet) -> Complaint {
    let family = family_of(prefix);
    Complaint::new(
        format!("{what} {prefix}, and the node has no address of {family}"),
        "families of which the node has an address",
        "add one to addresses: it is the next hop of what the node announces",
    )
}

/// Prefixes in a sentence: the first few, and how many more there are.
fn listed(prefixes: &[IpNet]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = prefixes.iter().take(SHOWN).map(IpNet::to_string).collect();
    let more = prefixes.len().saturating_sub(SHOWN);
    let rest = if more > 0 {
        format!(" and {more} more pools")
    } else {
        String::new()
    };
    format!("{}{rest}", shown.join(", "))
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Pool { prefix, .. } => write!(f, "pool {prefix}"),
            Self::Block { prefix, .. } => write!(f, "block {prefix}"),
            Self::End { host, .. } => write!(f, "end {host}"),
        }
    }
}

impl fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.element, self.complaint())
    }
}

impl std::error::Error for SettingsFault {}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.complaint().fmt(f)
    }
}

impl std::error::Error for BlockFault {}
