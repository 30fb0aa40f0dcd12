//! Who is who in the cluster: names, addresses and prefixes, all computed from small numbers.
//!
//! Rack 1 and rack 2 are subnets. A node's number is the third octet of its block, so that every
//! route says by itself where it should lead.

use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The AS of nodes and reflectors.
pub const ASN: u32 = 64_512;
/// The AS of the top-of-rack router.
pub const TOR_ASN: u32 = 65_001;
/// The cluster of both reflectors: the router id of neither.
pub const CLUSTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// What every session proposes, in seconds.
pub const HOLD_TIME: u16 = 9;
/// How many nodes a cluster may have: their numbers are host numbers too.
pub const MAX_NODES: u8 = 100;
/// Workloads behind each node.
pub const WORKLOADS: u8 = 2;
/// The subnets.
pub const RACKS: [u8; 2] = [1, 2];
/// The router's host number in each rack.
pub const ROUTER_HOST: u8 = 1;
/// The reflectors' host number: one in each rack.
const REFLECTOR_HOST: u8 = 2;
/// Node 1 has this host number and one more.
const NODE_HOSTS: u8 = 10;
/// Workload 0 has this place in its block and one more.
const WORKLOAD_PLACES: u8 = 10;
/// A place in every block that no workload has.
const UNUSED_PLACE: u8 = 50;

/// How packets between nodes are wrapped, as in Calico's pools.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encapsulation {
    /// Not at all; the router must know the blocks.
    None,
    /// IPIP between all nodes.
    Ipip,
    /// IPIP between nodes of different subnets.
    CrossSubnet,
    /// VXLAN between all nodes.
    Vxlan,
}

impl Encapsulation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Ipip, Self::CrossSubnet, Self::Vxlan];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ipip => "ipip",
            Self::CrossSubnet => "cross-subnet",
            Self::Vxlan => "vxlan",
        }
    }

    /// Whether IPIP is used between some nodes.
    pub fn uses_ipip(self) -> bool {
        match self {
            Self::Ipip | Self::CrossSubnet => true,
            Self::None | Self::Vxlan => false,
        }
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Encapsulation {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.word() == word)
            .ok_or_else(|| format!("`{word}` is none of none, ipip, cross-subnet, vxlan"))
    }
}

/// A place on the underlay: a rack and a host number in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Site {
    /// 1 or 2.
    pub rack: u8,
    /// The last number of its addresses.
    pub host: u8,
}

impl Site {
    /// The router's place in `rack`.
    pub fn router(rack: u8) -> Self {
        Self {
            rack,
            host: ROUTER_HOST,
        }
    }

    /// The place of the reflector of `rack`.
    pub fn reflector(rack: u8) -> Self {
        Self {
            rack,
            host: REFLECTOR_HOST,
        }
    }

    /// Its address.
    pub fn address(self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4Unicast => Ipv4Addr::new(10, 99, self.rack, self.host).into(),
            Family::Ipv6Unicast => {
                let (rack, host) = (u16::from(self.rack), decimal(self.host));
                Ipv6Addr::new(0xfd99, 0, 0, rack, 0, 0, 0, host).into()
            }
        }
    }

    /// Its BGP Identifier.
    pub fn router_id(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.rack, self.host)
    }

    /// Its address with the length of its subnet.
    pub fn with_subnet(self, family: Family) -> IpNet {
        match self.address(family) {
            IpAddr::V4(address) => Ipv4Net::new_assert(address, 24).into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).into(),
        }
    }
}

/// The underlay of both racks: from where peers are accepted.
pub fn underlay(family: Family) -> IpNet {
    match family {
        Family::Ipv4Unicast => Ipv4Net::new_assert(Ipv4Addr::new(10, 99, 0, 0), 16).into(),
        Family::Ipv6Unicast => {
            Ipv6Net::new_assert(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 0), 32).into()
        }
    }
}

/// The pool that all blocks come from.
pub fn pool(family: Family) -> IpNet {
    match family {
        Family::Ipv4Unicast => Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16).into(),
        Family::Ipv6Unicast => {
            Ipv6Net::new_assert(Ipv6Addr::new(0xfd10, 0x244, 0, 0, 0, 0, 0, 0), 48).into()
        }
    }
}

/// The length of a block: Calico's defaults.
pub fn block_length(family: Family) -> u8 {
    match family {
        Family::Ipv4Unicast => 26,
        Family::Ipv6Unicast => 122,
    }
}

/// The number of a node, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeNumber(pub u8);

impl NodeNumber {
    /// Its name.
    pub fn name(self) -> String {
        format!("node-{}", self.0)
    }

    /// Where it stands: odd numbers in rack 1, even ones in rack 2.
    pub fn site(self) -> Site {
        Site {
            rack: if self.0 % 2 == 1 { 1 } else { 2 },
            host: NODE_HOSTS + self.0,
        }
    }

    /// Block `index` of those that belong to its number; it starts with number 0.
    pub fn block(self, family: Family, index: u8) -> IpNet {
        let length = block_length(family);
        match place(self, index, 0, family) {
            IpAddr::V4(first) => Ipv4Net::new_assert(first, length).into(),
            IpAddr::V6(first) => Ipv6Net::new_assert(first, length).into(),
        }
    }

    /// An address of its block 0 that nobody has.
    pub fn unused(self, family: Family) -> IpAddr {
        place(self, 0, UNUSED_PLACE, family)
    }
}

/// A workload, by the node at which it started and its number there, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkloadNumber {
    /// The node of its address.
    pub node: NodeNumber,
    /// Which of that node's workloads.
    pub index: u8,
}

impl WorkloadNumber {
    /// Its name.
    pub fn name(self) -> String {
        let letter = char::from(b'a' + self.index % 26);
        format!("w{}{letter}", self.node.0)
    }

    /// Its address.
    pub fn address(self, family: Family) -> IpAddr {
        place(self.node, 0, WORKLOAD_PLACES + self.index, family)
    }

    /// The device on the node's side, as Calico names it.
    pub fn device(self) -> String {
        let (node, index) = (self.node.0, self.index);
        format!("cali{node:04}{index:07}")
    }
}

/// Number `place` in block `block` of `node`.
fn place(node: NodeNumber, block: u8, place: u8, family: Family) -> IpAddr {
    match family {
        Family::Ipv4Unicast => {
            Ipv4Addr::new(10, 244, node.0, block.wrapping_mul(64) + place).into()
        }
        Family::Ipv6Unicast => {
            let last = u16::from(block) * 64 + u16::from(place);
            Ipv6Addr::new(0xfd10, 0x244, 0, node.0.into(), 0, 0, 0, last).into()
        }
    }
}

/// A number whose hexadecimal digits read like `number` in decimal: host 11 is `::11`.
fn decimal(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 256 + number / 10 % 10 * 16 + number % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_addresses() {
        let node = NodeNumber(4);
        assert_eq!(
            node.site().address(Family::Ipv4Unicast).to_string(),
            "10.99.2.14"
        );
        assert_eq!(
            node.site().address(Family::Ipv6Unicast).to_string(),
            "fd99:0:0:2::14"
        );
        assert_eq!(
            node.block(Family::Ipv4Unicast, 1).to_string(),
            "10.244.4.64/26"
        );
        assert_eq!(
            node.block(Family::Ipv6Unicast, 1).to_string(),
            "fd10:244:0:4::40/122"
        );
        let workload = WorkloadNumber { node, index: 1 };
        assert_eq!(
            workload.address(Family::Ipv4Unicast).to_string(),
            "10.244.4.11"
        );
        assert_eq!(workload.device().len(), 15, "the kernel's limit");
        assert_eq!(workload.name(), "w4b");
    }

    #[test]
    fn every_word_is_read_back() {
        for one in Encapsulation::ALL {
            assert_eq!(one.word().parse(), Ok(one));
        }
        assert!(
            "gre"
                .parse::<Encapsulation>()
                .unwrap_err()
                .contains("vxlan")
        );
    }
}
