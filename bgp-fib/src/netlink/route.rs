//! Routes: `struct rtmsg` and its attributes.

use super::number::*;
use super::octets::{Reader, Writer, address, family, number};
use crate::kernel::{Hop, LinkIndex, Notice, Route, RouteKey, Target};
use bgp_core::prefix::IpNet;
use std::net::IpAddr;

/// The route as RTM_NEWROUTE has it.
pub(super) fn put(writer: &mut Writer<'_>, route: &Route) {
    let (kind, hops): (u8, &[Hop]) = match &route.target {
        Target::Unicast(hops) => (RTN_UNICAST, hops),
        Target::Object(..) => (RTN_UNICAST, &[]),
        Target::Blackhole => (RTN_BLACKHOLE, &[]),
        Target::Unreachable => (RTN_UNREACHABLE, &[]),
        Target::Prohibit => (RTN_PROHIBIT, &[]),
        Target::Other(kind) => (*kind, &[]),
    };
    // Only IPv4 looks at it: a route without gateways leads to the link itself.
    let on_link = !hops.is_empty() && hops.iter().all(|hop| hop.gateway.is_none());
    let scope = if on_link {
        RT_SCOPE_LINK
    } else {
        RT_SCOPE_UNIVERSE
    };
    let flags = match hops {
        [hop] => hop_flags(hop),
        _ => 0,
    };
    header(writer, &route.key, route.protocol, scope, kind, flags);
    if let Some(source) = route.source {
        writer.attribute_address(RTA_PREFSRC, source);
    }
    if let Target::Object(id, _) = &route.target {
        writer.attribute_u32(RTA_NH_ID, *id);
    }
    let family = family(route.key.prefix.addr());
    match hops {
        [] => {}
        [hop] => {
            gateway(writer, family, hop);
            if let Some(LinkIndex(link)) = hop.link {
                writer.attribute_u32(RTA_OIF, link);
            }
        }
        hops => writer.attribute(RTA_MULTIPATH, |writer| {
            for hop in hops {
                leg(writer, family, hop);
            }
        }),
    }
}

/// The route as RTM_DELROUTE has it: what the kernel finds it by, and whose it must be. Of
/// whatever type and scope, and through whatever gateway.
pub(super) fn delete(writer: &mut Writer<'_>, key: &RouteKey, protocol: u8) {
    header(writer, key, protocol, RT_SCOPE_NOWHERE, 0, 0);
}

fn header(writer: &mut Writer<'_>, key: &RouteKey, protocol: u8, scope: u8, kind: u8, flags: u8) {
    let address = key.prefix.addr();
    let short_table = u8::try_from(key.table).ok();
    writer.octets(&[family(address), key.prefix.prefix_len(), 0, 0]);
    writer.octets(&[short_table.unwrap_or(0), protocol, scope, kind]);
    writer.u32(u32::from(flags));
    if short_table.is_none() {
        writer.attribute_u32(RTA_TABLE, key.table);
    }
    writer.attribute_address(RTA_DST, address);
    if key.metric != 0 {
        writer.attribute_u32(RTA_PRIORITY, key.metric);
    }
}

fn hop_flags(hop: &Hop) -> u8 {
    if hop.onlink { RTNH_F_ONLINK } else { 0 }
}

/// One way of several: `struct rtnexthop`.
fn leg(writer: &mut Writer<'_>, family: u8, hop: &Hop) {
    let weight = hop.weight.clamp(1, 256) - 1;
    let weight = u8::try_from(weight).unwrap_or(u8::MAX);
    writer.counted(|writer| {
        writer.octets(&[hop_flags(hop), weight]);
        writer.u32(hop.link.map_or(0, |LinkIndex(link)| link));
        gateway(writer, family, hop);
    });
}

/// The gateway; where it is of another family than the route, in the form that says which.
fn gateway(writer: &mut Writer<'_>, route_family: u8, hop: &Hop) {
    let Some(gateway) = hop.gateway else {
        return;
    };
    let family = family(gateway);
    if family == route_family {
        writer.attribute_address(RTA_GATEWAY, gateway);
    } else {
        writer.attribute(RTA_VIA, |writer| {
            writer.u16(u16::from(family));
            writer.address(gateway);
        });
    }
}

/// Attributes of a route or of one of its legs.
#[derive(Default)]
struct Found {
    destination: Option<IpAddr>,
    link: Option<LinkIndex>,
    gateway: Option<IpAddr>,
    metric: u32,
    source: Option<IpAddr>,
    table: Option<u32>,
    object: Option<u32>,
    legs: Option<Vec<Hop>>,
}

impl Found {
    fn read(family: u8, reader: Reader<'_>) -> Option<Self> {
        let mut found = Self::default();
        for attribute in reader.attributes() {
            let (kind, value) = attribute?;
            match kind {
                RTA_DST => found.destination = Some(address(family, value)?),
                RTA_OIF => found.link = Some(LinkIndex(number(value)?)),
                RTA_GATEWAY => found.gateway = Some(address(family, value)?),
                RTA_VIA => found.gateway = Some(via(value)?),
                RTA_PRIORITY => found.metric = number(value)?,
                RTA_PREFSRC => found.source = Some(address(family, value)?),
                RTA_TABLE => found.table = Some(number(value)?),
                RTA_NH_ID => found.object = Some(number(value)?),
                RTA_MULTIPATH => found.legs = Some(legs(family, value)?),
                _ => {}
            }
        }
        Some(found)
    }
}

fn via(value: &[u8]) -> Option<IpAddr> {
    let mut reader = Reader::new(value);
    let family = u8::try_from(reader.u16()?).ok()?;
    address(family, reader.rest())
}

fn legs(family: u8, value: &[u8]) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut reader = Reader::new(value);
    while !reader.is_empty() {
        let mut leg = reader.counted()?;
        let [flags, weight] = leg.array()?;
        let link = leg.u32()?;
        let found = Found::read(family, leg)?;
        hops.push(Hop {
            gateway: found.gateway,
            link: (link != 0).then_some(LinkIndex(link)),
            onlink: flags & RTNH_F_ONLINK != 0,
            weight: u16::from(weight) + 1,
        });
    }
    Some(hops)
}

/// The route that a message tells of; `None` for what can never have the key of one of ours: an
/// entry of a cache, a route for one type of service or for some sources only, or of another
/// family.
fn get(payload: &[u8]) -> Option<Route> {
    let mut reader = Reader::new(payload);
    let [family, length, source_length, service] = reader.array()?;
    let [table, protocol, _scope, kind] = reader.array()?;
    let flags = reader.u32()?;
    if service != 0 || source_length != 0 || flags & RTM_F_CLONED != 0 {
        return None;
    }
    let found = Found::read(family, reader)?;
    let destination = match (family, found.destination) {
        (AF_INET | AF_INET6, Some(destination)) => destination,
        (AF_INET, None) => IpAddr::from([0; 4]),
        (AF_INET6, None) => IpAddr::from([0; 16]),
        _ => return None,
    };
    let key = RouteKey {
        table: found.table.unwrap_or(u32::from(table)),
        prefix: IpNet::new(destination, length).ok()?.trunc(),
        metric: found.metric,
    };
    let single = Hop {
        gateway: found.gateway,
        link: found.link,
        onlink: flags & u32::from(RTNH_F_ONLINK) != 0,
        weight: 1,
    };
    let hops = || found.legs.unwrap_or_else(|| vec![single]);
    let target = match (kind, found.object) {
        (RTN_UNICAST, Some(id)) => Target::Object(id, hops()),
        (RTN_UNICAST, None) => Target::Unicast(hops()),
        (RTN_BLACKHOLE, _) => Target::Blackhole,
        (RTN_UNREACHABLE, _) => Target::Unreachable,
        (RTN_PROHIBIT, _) => Target::Prohibit,
        (other, _) => Target::Other(other),
    };
    Some(Route {
        key,
        protocol,
        target,
        source: found.source,
    })
}

/// RTM_NEWROUTE.
pub(super) fn is_there(payload: &[u8], flags: u16) -> Option<Notice> {
    let route = get(payload)?;
    let replaced = flags & NLM_F_REPLACE != 0;
    Some(Notice::Route { route, replaced })
}

/// RTM_DELROUTE.
pub(super) fn is_gone(payload: &[u8]) -> Option<Notice> {
    get(payload).map(Notice::RouteGone)
}

/// Asks for all routes of a family.
pub(super) fn ask(writer: &mut Writer<'_>, family: u8) {
    writer.octets(&[family, 0, 0, 0, 0, 0, 0, 0]);
    writer.u32(0);
}
