//! Arbitrary values of what the kernel can be told.

use bgp_core::prefix::IpNet;
use bgp_fib::kernel::{Hop, How, LinkIndex, Mac, NeighbourKey, NeighbourTarget};
use bgp_fib::kernel::{NextHopKind, NextHopObject, Request, Route, RouteKey, Target};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::IpAddr;

pub(crate) fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

pub(crate) fn prefix() -> impl Strategy<Value = IpNet> {
    (address(), any::<u8>()).prop_map(|(address, length)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length % (most + 1)).unwrap().trunc()
    })
}

pub(crate) fn hop() -> impl Strategy<Value = Hop> {
    let link = (1..u32::MAX).prop_map(LinkIndex);
    (option::of(address()), link, any::<bool>(), 1..=256_u16).prop_map(
        |(gateway, link, onlink, weight)| Hop {
            gateway,
            link: Some(link),
            onlink,
            weight,
        },
    )
}

/// One hop, whose weight means nothing, or several.
pub(crate) fn hops() -> impl Strategy<Value = Vec<Hop>> {
    prop_oneof![
        hop().prop_map(|hop| vec![Hop { weight: 1, ..hop }]),
        vec(hop(), 2..20),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        hops().prop_map(Target::Unicast),
        (1..u32::MAX, hops()).prop_map(|(id, hops)| Target::Object(id, hops)),
        Just(Target::Blackhole),
        Just(Target::Unreachable),
        Just(Target::Prohibit),
    ]
}

pub(crate) fn key() -> impl Strategy<Value = RouteKey> {
    let table = prop_oneof![1..256_u32, 256..u32::MAX];
    (table, prefix(), any::<u32>()).prop_map(|(table, prefix, metric)| RouteKey {
        table,
        prefix,
        metric,
    })
}

pub(crate) fn route() -> impl Strategy<Value = Route> {
    let source = option::of(any::<[u8; 16]>());
    (key(), any::<u8>(), target(), source).prop_map(|(key, protocol, target, source)| {
        let source = source.map(|octets| match key.prefix {
            IpNet::V4(_) => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
            IpNet::V6(_) => IpAddr::from(octets),
        });
        Route {
            key,
            protocol,
            target,
            source,
        }
    })
}

pub(crate) fn neighbour() -> impl Strategy<Value = (NeighbourKey, NeighbourTarget)> {
    let mac = || any::<[u8; 6]>().prop_map(Mac);
    let link = || any::<u32>().prop_map(LinkIndex);
    prop_oneof![
        (link(), address(), mac()).prop_map(|(link, address, mac)| (
            NeighbourKey::Neighbour(link, address),
            NeighbourTarget::Mac(mac)
        )),
        (link(), mac(), address()).prop_map(|(link, mac, host)| (
            NeighbourKey::Forwarding(link, mac),
            NeighbourTarget::Host(host)
        )),
    ]
}

pub(crate) fn object() -> impl Strategy<Value = NextHopObject> {
    let hop = hop().prop_map(|hop| NextHopKind::Hop(Hop { weight: 1, ..hop }));
    let group = vec((any::<u32>(), 1..=256_u16), 1..20).prop_map(NextHopKind::Group);
    let kind = prop_oneof![hop, group, Just(NextHopKind::Blackhole)];
    (any::<u32>(), any::<u8>(), kind).prop_map(|(id, protocol, kind)| NextHopObject {
        id,
        protocol,
        kind,
    })
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let how = prop_oneof![Just(How::Create), Just(How::Replace)];
    prop_oneof![
        (route(), how).prop_map(|(route, how)| Request::PutRoute(route, how)),
        (key(), any::<u8>()).prop_map(|(key, protocol)| Request::DeleteRoute(key, protocol)),
        object().prop_map(Request::PutNextHop),
        any::<u32>().prop_map(Request::DeleteNextHop),
        neighbour().prop_map(|(key, target)| Request::PutNeighbour(key, target)),
        neighbour().prop_map(|(key, _)| Request::DeleteNeighbour(key)),
    ]
}
