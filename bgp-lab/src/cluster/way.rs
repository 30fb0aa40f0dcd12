//! The shape that each kernel's route to a block must have, by encapsulation and subnet, and the
//! check that it has it.

use super::kernel::{KernelRoute, Kind};
use super::plan::{Encapsulation, NodeNumber, Site};
use super::wiring::{vxlan_address, vxlan_device};
use super::{Cluster, Node, tunnel};
use crate::{Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use std::time::Duration;

impl Cluster {
    /// Waits until every kernel has every block in the shape that the encapsulation demands.
    ///
    /// # Errors
    /// [`Error::Timeout`] with what is missing or has another shape.
    pub fn wait_routes(&mut self, limit: Duration) -> Result<()> {
        wait::until("the blocks in every kernel", limit, || {
            let missing = self.missing_routes().map_err(|error| error.to_string())?;
            if missing.is_empty() {
                Ok(())
            } else {
                Err(missing.join("\n"))
            }
        })
    }

    /// What is missing in the kernels or has another shape, a line for each.
    ///
    /// # Errors
    /// When a kernel does not answer.
    pub fn missing_routes(&mut self) -> Result<Vec<String>> {
        let blocks: Vec<(NodeNumber, IpNet)> = self
            .nodes
            .iter()
            .flat_map(|node| {
                let blocks = node.speaker.terms().blocks.iter();
                blocks.map(|block| (node.number, *block))
            })
            .collect();
        let encapsulation = self.settings.encapsulation;
        let mut missing = Vec::new();
        for node in &mut self.nodes {
            for family in self.settings.families.clone() {
                let routes = node.routes(family)?;
                for (owner, block) in &blocks {
                    if family_of(block) != family {
                        continue;
                    }
                    let expected = Way::expected(encapsulation, node.number, *owner, family);
                    let found = routes.iter().find(|route| route.prefix == *block);
                    let found = found.map(|route| Way::of(route, node));
                    if found.as_ref() != Some(&expected) {
                        let found =
                            found.map_or_else(|| "missing".to_owned(), |way| way.to_string());
                        let name = node.number.name();
                        missing.push(format!("{name}: {block}: {found}, not {expected}"));
                    }
                }
            }
        }
        Ok(missing)
    }
}

/// Where a kernel sends packets to a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// Nowhere: the block is the node's own.
    Blackhole,
    /// To a router on a device's subnet.
    Plain(String),
    /// Into a tunnel, whatever the device's addresses say.
    Tunnel(String),
    /// Another kind of route.
    Other(String),
}

impl Way {
    /// What `node` should have for a block of `owner`.
    pub(super) fn expected(
        encapsulation: Encapsulation,
        node: NodeNumber,
        owner: NodeNumber,
        family: Family,
    ) -> Self {
        if node == owner {
            return Self::Blackhole;
        }
        let (own, other) = (node.site(), owner.site());
        let same = own.rack == other.rack;
        let plain = match encapsulation {
            Encapsulation::None => true,
            // IPIP carries IPv4 alone; IPv6 goes plainly.
            Encapsulation::Ipip => family == Family::Ipv6Unicast,
            Encapsulation::CrossSubnet => same || family == Family::Ipv6Unicast,
            Encapsulation::Vxlan => false,
        };
        let hop = if plain && !same {
            Site::router(own.rack)
        } else {
            other
        };
        let hop = hop.address(family);
        if !plain && encapsulation == Encapsulation::Vxlan {
            let (hop, device) = (vxlan_address(hop), vxlan_device(family));
            Self::Tunnel(format!("{hop} {device}"))
        } else if plain {
            Self::Plain(format!("{hop} eth0"))
        } else {
            Self::Tunnel(format!("{hop} {}", tunnel::DEVICE))
        }
    }

    pub(super) fn of(route: &KernelRoute, node: &mut Node) -> Self {
        match (route.kind, route.gateway, route.device) {
            (Kind::Blackhole, _, _) => Self::Blackhole,
            (Kind::Unicast, Some(gateway), Some(device)) => {
                let device = node.device_name(device);
                if route.onlink {
                    Self::Tunnel(format!("{gateway} {device}"))
                } else {
                    Self::Plain(format!("{gateway} {device}"))
                }
            }
            _ => Self::Other(format!("{route:?}")),
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blackhole => f.write_str("blackhole"),
            Self::Plain(way) | Self::Tunnel(way) | Self::Other(way) => f.write_str(way),
        }
    }
}
