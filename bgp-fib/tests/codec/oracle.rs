//! The same values through netlink-packet-route: it must read what we write, and we what it
//! writes. It does not know nexthop objects; for those see `golden.rs`, and the kernel itself.

use crate::values;
use bgp_core::prefix::IpNet;
use bgp_fib::kernel::{
    Address, Hop, How, Link, LinkIndex, Mac, NeighbourKey, NeighbourTarget, Notice, Request, Route,
    RouteKey, Target,
};
use bgp_fib::netlink::{Message, Messages, encode, notice};
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use proptest::prelude::*;
use std::net::IpAddr;
use std::sync::Arc;

const REPLACE: u16 = 0x100;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

/// What the other implementation reads in our octets.
fn theirs(request: &Request) -> (NetlinkHeader, RouteNetlinkMessage) {
    let mut octets = Vec::new();
    encode(request, 7, &mut octets).unwrap();
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&octets).unwrap();
    assert_eq!(message.header.length as usize, octets.len());
    assert_eq!(message.header.sequence_number, 7);
    let NetlinkPayload::InnerMessage(inner) = message.payload else {
        panic!("{:?}", message.payload);
    };
    (message.header, inner)
}

/// What we read in the other's octets.
fn ours(message: RouteNetlinkMessage, flags: u16) -> Option<Notice> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    let messages: Vec<Message<'_>> = Messages::new(&octets).map(Result::unwrap).collect();
    assert_eq!(messages.len(), 1);
    notice(&messages[0])
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn gateway(route: &Route, hop: &Hop) -> Option<RouteAttribute> {
    let gateway = hop.gateway?;
    Some(if family(gateway) == family(route.key.prefix.addr()) {
        RouteAttribute::Gateway(route_address(gateway))
    } else {
        RouteAttribute::Via(RouteVia::from(gateway))
    })
}

fn sorted(mut attributes: Vec<RouteAttribute>) -> Vec<RouteAttribute> {
    attributes.sort_by_key(Nla::kind);
    attributes
}

fn header(message: &mut RouteMessage, key: &RouteKey, protocol: u8) {
    let address = key.prefix.addr();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = key.prefix.prefix_len();
    message.header.protocol = RouteProtocol::from(protocol);
    message
        .attributes
        .push(RouteAttribute::Destination(route_address(address)));
    match u8::try_from(key.table) {
        Ok(table) => message.header.table = table,
        Err(_) => message.attributes.push(RouteAttribute::Table(key.table)),
    }
    if key.metric != 0 {
        message
            .attributes
            .push(RouteAttribute::Priority(key.metric));
    }
}

fn ways(message: &mut RouteMessage, route: &Route, hops: &[Hop]) {
    match hops {
        [] => {}
        [hop] => {
            if hop.onlink {
                message.header.flags = RouteFlags::from_bits_retain(4);
            }
            message.attributes.extend(gateway(route, hop));
            message
                .attributes
                .extend(hop.link.map(|link| RouteAttribute::Oif(link.0)));
        }
        hops => {
            let legs = hops.iter().map(|hop| {
                let mut leg = RouteNextHop::default();
                leg.hops = u8::try_from(hop.weight - 1).unwrap();
                leg.interface_index = hop.link.unwrap().0;
                if hop.onlink {
                    leg.flags = RouteNextHopFlags::Onlink;
                }
                leg.attributes.extend(gateway(route, hop));
                leg
            });
            let legs = legs.collect();
            message.attributes.push(RouteAttribute::MultiPath(legs));
        }
    }
}

/// The route in the other's words: as a request, or (`reported`) as the kernel tells of it.
fn translated(route: &Route, reported: bool) -> RouteMessage {
    let mut message = RouteMessage::default();
    header(&mut message, &route.key, route.protocol);
    if let Some(source) = route.source {
        message
            .attributes
            .push(RouteAttribute::PrefSource(route_address(source)));
    }
    message.header.kind = RouteType::Unicast;
    match &route.target {
        Target::Unicast(hops) => {
            ways(&mut message, route, hops);
            if hops.iter().all(|hop| hop.gateway.is_none()) {
                message.header.scope = 253.into();
            }
        }
        Target::Object(id, hops) => {
            message.attributes.push(RouteAttribute::NhId(*id));
            if reported {
                ways(&mut message, route, hops);
            }
        }
        Target::Blackhole => message.header.kind = RouteType::BlackHole,
        Target::Unreachable => message.header.kind = RouteType::Unreachable,
        Target::Prohibit => message.header.kind = RouteType::Prohibit,
        Target::Other(kind) => message.header.kind = RouteType::from(*kind),
    }
    message.attributes = sorted(message.attributes);
    message
}

proptest! {
    #[test]
    fn they_read_the_routes_that_we_put(route in values::route(), replace: bool) {
        let how = if replace { How::Replace } else { How::Create };
        let (header, message) = theirs(&Request::PutRoute(route.clone(), how));
        let exclusive = if replace { REPLACE } else { EXCLUSIVE };
        prop_assert_eq!(header.flags, 1 | CREATE | exclusive);
        let RouteNetlinkMessage::NewRoute(mut message) = message else {
            panic!("{message:?}");
        };
        message.attributes = sorted(message.attributes);
        prop_assert_eq!(message, translated(&route, false));
    }

    #[test]
    fn they_read_the_routes_that_we_delete(key in values::key(), protocol: u8) {
        let (header_, message) = theirs(&Request::DeleteRoute(key, protocol));
        prop_assert_eq!(header_.flags, 1);
        let RouteNetlinkMessage::DelRoute(mut message) = message else {
            panic!("{message:?}");
        };
        let mut expected = RouteMessage::default();
        header(&mut expected, &key, protocol);
        expected.header.scope = 255.into();
        expected.header.kind = RouteType::Unspec;
        expected.attributes = sorted(expected.attributes);
        message.attributes = sorted(message.attributes);
        prop_assert_eq!(message, expected);
    }

    #[test]
    fn we_read_the_routes_that_they_write(route in values::route(), replaced: bool) {
        let flags = if replaced { REPLACE } else { 0 };
        let told = ours(RouteNetlinkMessage::NewRoute(translated(&route, true)), flags);
        let is_there = Notice::Route { route: route.clone(), replaced };
        prop_assert_eq!(told, Some(is_there));
        let told = ours(RouteNetlinkMessage::DelRoute(translated(&route, true)), 0);
        prop_assert_eq!(told, Some(Notice::RouteGone(route)));
    }

    #[test]
    fn routes_that_can_never_be_ours_are_passed_over(route in values::route(), service in 1..=255u8) {
        let mut message = translated(&route, true);
        message.header.tos = service;
        prop_assert_eq!(ours(RouteNetlinkMessage::NewRoute(message), 0), None);
        let mut message = translated(&route, true);
        message.header.source_prefix_length = service;
        prop_assert_eq!(ours(RouteNetlinkMessage::NewRoute(message), 0), None);
        let mut message = translated(&route, true);
        message.header.flags |= RouteFlags::Cloned;
        prop_assert_eq!(ours(RouteNetlinkMessage::NewRoute(message), 0), None);
    }

    #[test]
    fn neighbours_mean_the_same_to_them_and_us(
        (key, target) in values::neighbour(),
        reachable: bool,
    ) {
        let mut expected = NeighbourMessage::default();
        expected.header.state = NeighbourState::Permanent;
        let destination = |address| NeighbourAttribute::Destination(match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        });
        let hardware = |mac: Mac| NeighbourAttribute::LinkLayerAddress(mac.0.to_vec());
        match (key, target) {
            (NeighbourKey::Neighbour(link, address), NeighbourTarget::Mac(mac)) => {
                expected.header.ifindex = link.0;
                expected.header.family = family(address);
                expected.attributes = vec![destination(address), hardware(mac)];
            }
            (NeighbourKey::Forwarding(link, mac), NeighbourTarget::Host(host)) => {
                expected.header.ifindex = link.0;
                expected.header.family = AddressFamily::Bridge;
                expected.header.flags = NeighbourFlags::Own;
                expected.attributes = vec![hardware(mac), destination(host)];
            }
            other => panic!("{other:?}"),
        }
        let (header, message) = theirs(&Request::PutNeighbour(key, target));
        prop_assert_eq!(header.flags, 1 | CREATE | REPLACE);
        let RouteNetlinkMessage::NewNeighbour(message) = message else {
            panic!("{message:?}");
        };
        // The other reads the destination of a forwarding entry as octets: it has no family.
        prop_assert_eq!(&message.header, &expected.header);
        prop_assert_eq!(message.attributes.len(), 2);
        if expected.header.family != AddressFamily::Bridge {
            prop_assert_eq!(&message.attributes, &expected.attributes);
        }

        let (header, message) = theirs(&Request::DeleteNeighbour(key));
        prop_assert_eq!(header.flags, 1);
        let RouteNetlinkMessage::DelNeighbour(message) = message else {
            panic!("{message:?}");
        };
        prop_assert_eq!(&message.header, &expected.header);
        prop_assert_eq!(message.attributes.len(), 1);

        let told = ours(RouteNetlinkMessage::NewNeighbour(expected.clone()), 0);
        prop_assert_eq!(told, Some(Notice::Neighbour(key, target)));
        let told = ours(RouteNetlinkMessage::DelNeighbour(expected.clone()), 0);
        prop_assert_eq!(told, Some(Notice::NeighbourGone(key)));
        // What is not permanent is not what we put there.
        expected.header.state = if reachable {
            NeighbourState::Reachable
        } else {
            NeighbourState::Stale
        };
        let told = ours(RouteNetlinkMessage::NewNeighbour(expected), 0);
        prop_assert_eq!(told, Some(Notice::NeighbourGone(key)));
    }

    #[test]
    fn we_read_the_addresses_that_they_write(
        address in values::address(),
        peer in proptest::option::of(any::<[u8; 4]>()),
        link: u32,
        length in 0..=32u8,
    ) {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = length;
        message.header.index = link;
        let expected = match (address, peer) {
            (IpAddr::V4(_), Some(peer)) => {
                message.attributes.push(AddressAttribute::Local(address));
                message.attributes.push(AddressAttribute::Address(IpAddr::from(peer)));
                IpNet::from(address)
            }
            (IpAddr::V4(_), None) => {
                message.attributes.push(AddressAttribute::Address(address));
                message.attributes.push(AddressAttribute::Local(address));
                IpNet::new(address, length).unwrap()
            }
            (IpAddr::V6(_), _) => {
                message.attributes.push(AddressAttribute::Address(address));
                IpNet::new(address, length).unwrap()
            }
        };
        message.attributes.push(AddressAttribute::Label("eth0".to_owned()));
        let expected = Address { link: LinkIndex(link), address: expected };
        let told = ours(RouteNetlinkMessage::NewAddress(message.clone()), 0);
        prop_assert_eq!(told, Some(Notice::Address(expected)));
        let told = ours(RouteNetlinkMessage::DelAddress(message), 0);
        prop_assert_eq!(told, Some(Notice::AddressGone(expected)));
    }

    #[test]
    fn we_read_the_links_that_they_write(
        index: u32,
        name in "[a-z0-9.]{1,15}",
        up: bool,
        carrier: bool,
        mac in proptest::option::of(any::<[u8; 6]>()),
    ) {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags.set(LinkFlags::Up, up);
        message.header.flags.set(LinkFlags::LowerUp, carrier);
        message.attributes.push(LinkAttribute::Mtu(1500));
        message.attributes.push(LinkAttribute::IfName(name.clone()));
        message.attributes.extend(mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        let info = vec![LinkInfo::Kind(InfoKind::Vxlan)];
        message.attributes.push(LinkAttribute::LinkInfo(info));
        let expected = Link {
            index: LinkIndex(index),
            name: Arc::from(name.as_str()),
            up,
            carrier,
            loopback: false,
            kind: Arc::from("vxlan"),
            mac: mac.map(Mac),
        };
        let told = ours(RouteNetlinkMessage::NewLink(message.clone()), 0);
        prop_assert_eq!(told, Some(Notice::Link(expected)));
        let told = ours(RouteNetlinkMessage::DelLink(message.clone()), 0);
        prop_assert_eq!(told, Some(Notice::LinkGone(LinkIndex(index))));
        // A port that leaves its bridge is not a device that goes.
        message.header.interface_family = AddressFamily::Bridge;
        prop_assert_eq!(ours(RouteNetlinkMessage::NewLink(message.clone()), 0), None);
        prop_assert_eq!(ours(RouteNetlinkMessage::DelLink(message), 0), None);
    }
}

#[test]
fn other_kinds_of_routes_are_kept_as_they_are() {
    let key = RouteKey {
        table: 255,
        prefix: "10.0.0.1/32".parse().unwrap(),
        metric: 0,
    };
    let route = Route {
        key,
        protocol: 2,
        target: Target::Other(2),
        source: None,
    };
    let mut message = translated(&route, true);
    message.attributes.push(RouteAttribute::Oif(1));
    let told = ours(RouteNetlinkMessage::NewRoute(message), 0);
    let replaced = false;
    assert_eq!(told, Some(Notice::Route { route, replaced }));
}
