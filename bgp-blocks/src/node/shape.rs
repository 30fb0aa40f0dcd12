//! From a best path to a kernel route: by class, pool and subnet.

use super::Refusal;
use crate::identity::{tunnel_address, tunnel_mac};
use crate::settings::{Encapsulation, NodeSettings, OtherRoutes, Pool};
use bgp_core::prefix::IpNet;
use bgp_core::rib::{BestRoute, RouteOrigin};
use bgp_fib::kernel::LinkName;
use bgp_fib::wanted::{TunnelEnd, Wanted, WantedHop};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a route of somebody else looks like in our kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Shape {
    /// The route; `None` where there shall be none.
    pub(super) route: Option<Wanted>,
    /// The tunnel ends that it uses.
    pub(super) ends: Vec<TunnelEnd>,
    /// The first thing that is wrong with it.
    pub(super) refusal: Option<Refusal>,
}

/// How packets go to the hosts of one class of routes.
#[derive(Clone, Copy)]
enum Way<'a> {
    Plain,
    Through(&'a Pool),
}

/// The kernel route for `best`, which is not our own, beside `rivals`.
pub(super) fn shape(
    settings: &NodeSettings,
    prefix: &IpNet,
    best: &BestRoute,
    rivals: &[RouteOrigin],
) -> Shape {
    let way = match settings.pool_of(prefix) {
        Some(pool) if !pool.install => return Shape::default(),
        Some(pool) => Way::Through(pool),
        // Packets to a service are rewritten before they are routed; a route for those that are
        // not would send them in circles (calico-felix calls it service loop prevention).
        None if settings.is_service(prefix) => return Shape::default(),
        None if settings.installs_other(best) => Way::Plain,
        None => return Shape::default(),
    };
    let mut shape = Shape::default();
    let mut hops = BTreeSet::new();
    let mut ends = BTreeSet::new();
    for address in next_hops(prefix, way, best, rivals) {
        match hop(settings, prefix, way, address) {
            Ok((hop, end)) => {
                hops.insert(hop);
                ends.extend(end);
            }
            Err(refusal) => shape.refusal = shape.refusal.or(Some(refusal)),
        }
    }
    if !hops.is_empty() {
        let hops = hops.into_iter().collect();
        shape.route = Some(Wanted::Via { hops, source: None });
        shape.ends = ends.into_iter().collect();
    }
    shape
}

impl NodeSettings {
    /// Whether a route outside pools and services belongs into the kernel.
    fn installs_other(&self, best: &BestRoute) -> bool {
        match self.other_routes {
            OtherRoutes::None => false,
            OtherRoutes::External => best.origin.external,
            OtherRoutes::All => true,
        }
    }
}

/// The next hops that may be used together. A prefix of a pool belongs to one node: where two
/// announce it, equal as they are, half of the packets would go to the wrong one. Routers outside
/// the AS may well lead to the same node.
fn next_hops(
    prefix: &IpNet,
    way: Way<'_>,
    best: &BestRoute,
    rivals: &[RouteOrigin],
) -> Vec<IpAddr> {
    match way {
        Way::Through(pool) if !best.origin.external => vec![owner(pool, prefix, best, rivals)],
        Way::Through(_) | Way::Plain => best.next_hops.to_vec(),
    }
}

/// The node that has `prefix`. Of several that announce a block, it is the one with the lowest
/// router id, so that all nodes that hear the same follow the same: the decision process alone
/// would send each to the nearest.
fn owner(pool: &Pool, prefix: &IpNet, best: &BestRoute, rivals: &[RouteOrigin]) -> IpAddr {
    let is_block = prefix.prefix_len() == pool.block_size;
    let rivals = rivals.iter().filter(|rival| is_block && !rival.external);
    let first = rivals
        .chain([&best.origin])
        .min_by_key(|one| (one.router_id, one.next_hop));
    first.map_or(best.origin.next_hop, |one| one.next_hop)
}

fn hop(
    settings: &NodeSettings,
    prefix: &IpNet,
    way: Way<'_>,
    address: IpAddr,
) -> Result<(WantedHop, Option<TunnelEnd>), Refusal> {
    if settings.is_own(address) {
        return Err(Refusal::OwnNextHop(address));
    }
    if is_link_local(address) {
        return Err(Refusal::LinkLocalNextHop(address));
    }
    let Some((pool, device)) = tunnel(settings, way, address) else {
        return Ok((straight(address), None));
    };
    if address.is_ipv4() != matches!(prefix, IpNet::V4(_)) {
        return Err(Refusal::TunnelFamily(address));
    }
    if !pool.encapsulation.is_vxlan() {
        return Ok((onlink(address, device), None));
    }
    let end = tunnel_end(settings, device, address);
    Ok((onlink(end.address, device), Some(end)))
}

/// The pool and its device, where packets to `address` need a tunnel.
fn tunnel<'a>(
    settings: &NodeSettings,
    way: Way<'a>,
    address: IpAddr,
) -> Option<(&'a Pool, &'a LinkName)> {
    let Way::Through(pool) = way else { return None };
    let needed = match pool.encapsulation {
        Encapsulation::None => false,
        Encapsulation::Ipip | Encapsulation::Vxlan => true,
        Encapsulation::IpipCrossSubnet | Encapsulation::VxlanCrossSubnet => {
            !settings.is_in_own_subnet(address)
        }
    };
    let device = pool.device.as_ref().filter(|_| needed)?;
    Some((pool, device))
}

fn straight(gateway: IpAddr) -> WantedHop {
    WantedHop {
        gateway,
        device: None,
        onlink: false,
        weight: 1,
    }
}

fn onlink(gateway: IpAddr, device: &LinkName) -> WantedHop {
    WantedHop {
        gateway,
        device: Some(LinkName::clone(device)),
        onlink: true,
        weight: 1,
    }
}

/// The far end at `host`: as the settings say, or by the rule that needs no datastore. The
/// neighbour entry then maps the host's own address (in IPv6 the device's link-local one), on the
/// tunnel device alone, to the hardware address that follows from it.
fn tunnel_end(settings: &NodeSettings, device: &LinkName, host: IpAddr) -> TunnelEnd {
    let said = settings.ends.iter().find(|end| end.host == host);
    let (address, mac) = said.map_or_else(
        || (tunnel_address(host), tunnel_mac(host)),
        |end| (end.address, end.mac),
    );
    TunnelEnd {
        device: LinkName::clone(device),
        address,
        mac,
        host,
    }
}

/// Whether `address` means nothing without a device.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
