//! Peers that restart (RFC 4724 §4.2, RFC 8538): what stays while they are away, and what goes
//! when they come back.
//!
//! In each row a peer announces two routes and leaves; the row says how, with which capability,
//! and which of its routes others still have then.

use crate::scene::{ASN, LIMIT, Peer, Scene, play};
use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net};
use bgp_core::types::PeerRole::Client;
use bgp_lab::octets::{self, Open, ParsedUpdate, capability, kind};
use bgp_lab::wire_peer::WirePeer;
use bgp_lab::{Error, Result, check, wait};
use std::net::{Ipv4Addr, Ipv6Addr};

/// IPv4 with the F bit, 120 s.
const KEEPS_IPV4: &[u8] = &[0x00, 120, 0, 1, 1, 0x80];
/// The same with the N bit (RFC 8538).
const KEEPS_ON_NOTIFICATION: &[u8] = &[0x40, 120, 0, 1, 1, 0x80];
/// IPv4 with the F bit, after a restart (R bit).
const RESTARTED: &[u8] = &[0x80, 120, 0, 1, 1, 0x80];

/// How a peer leaves.
type Leave = fn(WirePeer);

/// A name, the value of the capability, how the peer leaves, and whether its IPv4 routes stay.
type Row = (&'static str, Option<&'static [u8]>, Leave, bool);

#[rustfmt::skip] // a row is a line
const LEAVING: &[Row] = &[
    ("no capability, lost", None, WirePeer::abort, false),
    ("no capability, closed", None, drop, false),
    ("no family, lost", Some(&[0, 120]), WirePeer::abort, false),
    ("time 0, lost", Some(&[0, 0, 0, 1, 1, 0x80]), WirePeer::abort, false),
    ("another family, lost", Some(&[0, 120, 0, 2, 1, 0x80]), WirePeer::abort, false),
    ("IPv4, lost", Some(KEEPS_IPV4), WirePeer::abort, true),
    ("IPv4, closed", Some(KEEPS_IPV4), drop, true),
    ("IPv4 without F bit, lost", Some(&[0, 120, 0, 1, 1, 0]), WirePeer::abort, true),
    ("IPv4, Cease", Some(KEEPS_IPV4), |wire| leave_with(wire, 6, 4), false),
    ("IPv4, Cease, administrative shutdown", Some(KEEPS_IPV4), |wire| leave_with(wire, 6, 2), false),
    ("IPv4, N bit, lost", Some(KEEPS_ON_NOTIFICATION), WirePeer::abort, true),
    ("IPv4, N bit, Cease", Some(KEEPS_ON_NOTIFICATION), |wire| leave_with(wire, 6, 4), true),
    ("IPv4, N bit, hold timer expired", Some(KEEPS_ON_NOTIFICATION), |wire| leave_with(wire, 4, 0), true),
    ("IPv4, N bit, hard reset", Some(KEEPS_ON_NOTIFICATION), |wire| leave_with(wire, 6, 9), false),
];

#[test]
fn what_stays_when_a_peer_leaves() -> Result<()> {
    let name = "restart::what_stays_when_a_peer_leaves";
    play(
        name,
        LEAVING,
        |row| row.0.to_owned(),
        |scene, (_, value, leave, stays)| {
            let mut witness = scene.peer(Client)?;
            let peer = scene.peer_with(Client, |open| with_restart(open, *value))?;
            let (wire, address) = announced(&mut witness, peer)?;
            leave(wire);
            if !*stays {
                return [first(address), second(address)]
                    .iter()
                    .try_for_each(|prefix| witness.wire.wait_no_route(prefix, LIMIT));
            }
            // It has been noticed when a route that may not stay is gone.
            witness.wire.wait_no_route(&six(address), LIMIT)?;
            let mut other = scene.peer(Client)?;
            witness.settle(&mut other)?;
            for prefix in [first(address), second(address)] {
                check(witness.wire.route(&prefix).is_some(), || {
                    format!("{prefix} is gone")
                })?;
            }
            Ok(())
        },
    )
}

/// A name, the capability at the return, whether the first route is announced again, and which
/// of the two remain after End-of-RIB.
type Return = (&'static str, Option<&'static [u8]>, bool, [bool; 2]);

#[rustfmt::skip] // a row is a line
const RETURNS: &[Return] = &[
    ("with one route", Some(RESTARTED), true, [true, false]),
    ("with no route", Some(RESTARTED), false, [false, false]),
    ("without R bit", Some(KEEPS_IPV4), true, [true, false]),
    ("forwarding lost", Some(&[0x80, 120, 0, 1, 1, 0]), true, [true, false]),
    ("without the family", Some(&[0x80, 120]), true, [true, false]),
    ("without the capability", None, true, [true, false]),
];

#[test]
fn what_stays_when_it_returns() -> Result<()> {
    let name = "restart::what_stays_when_it_returns";
    play(
        name,
        RETURNS,
        |row| row.0.to_owned(),
        |scene, (_, value, again, remain)| {
            let mut witness = scene.peer(Client)?;
            let peer = scene.peer_with(Client, |open| with_restart(open, Some(KEEPS_IPV4)))?;
            let (wire, address) = announced(&mut witness, peer)?;
            wire.abort();
            witness.wire.wait_no_route(&six(address), LIMIT)?;
            let mut peer = come_back(scene, address, *value)?;
            if *again {
                peer.announce_plain(first(address));
            }
            peer.wire.send(&octets::update(&[], &[], &[]));
            for (prefix, remains) in [first(address), second(address)].iter().zip(remain) {
                if !remains {
                    witness.wire.wait_no_route(prefix, LIMIT)?;
                }
            }
            witness.settle(&mut peer)?;
            let found = [first(address), second(address)]
                .map(|prefix| witness.wire.route(&prefix).is_some());
            check(found == *remain, || format!("{found:?}, not {remain:?}"))?;
            // A route that stayed all the time was never withdrawn in between.
            let steady = matches!(value, Some([_, _, _, _, _, 0x80])) && *again;
            let withdrawn = withdrawals(&witness, &first(address));
            check(!steady || withdrawn == 0, || {
                format!("withdrawn {withdrawn} times")
            })
        },
    )
}

/// Who does not come back in its own time loses its routes.
#[test]
fn who_does_not_come_back() -> Result<()> {
    play(
        "restart::who_does_not_come_back",
        &[1_u8],
        |time| format!("{time} s"),
        |scene, time| {
            let mut witness = scene.peer(Client)?;
            let value = [0, *time, 0, 1, 1, 0x80];
            let peer = scene.peer_with(Client, |open| with_restart(open, Some(&value)))?;
            let (wire, address) = announced(&mut witness, peer)?;
            wire.abort();
            witness.wire.wait_no_route(&first(address), LIMIT)?;
            witness.wire.wait_no_route(&second(address), LIMIT)
        },
    )
}

/// Announces both routes and an IPv6 one, whose family never stays.
fn announced(witness: &mut Peer, mut peer: Peer) -> Result<(WirePeer, Ipv4Addr)> {
    let address = peer.address;
    let parts = peer.attributes();
    peer.announce(&parts, &[first(address), second(address)]);
    let reach = octets::mp_reach(2, &[0x20; 16], &octets::nlri([&six(address)]));
    let rest = parts.without(octets::code::NEXT_HOP).encode();
    peer.wire
        .send(&octets::update(&[], &[reach, rest].concat(), &[]));
    for prefix in [first(address), second(address), six(address)] {
        witness.route(&prefix)?;
    }
    Ok((peer.wire, address))
}

fn come_back(scene: &Scene, address: Ipv4Addr, value: Option<&[u8]>) -> Result<Peer> {
    let wire = wait::until("its return", LIMIT, || {
        let mut wire = scene.connect_from(address)?;
        wire.establish(&with_restart(Open::new(ASN, address), value), LIMIT)?;
        Ok::<_, Error>(wire)
    })?;
    Ok(Peer {
        wire,
        address,
        role: Client,
    })
}

fn with_restart(open: Open, value: Option<&[u8]>) -> Open {
    match value {
        Some(value) => open.with(capability::GRACEFUL_RESTART, value),
        None => open,
    }
}

fn leave_with(mut wire: WirePeer, code: u8, subcode: u8) {
    wire.send(&octets::notification(code, subcode, &[]));
}

/// How often `peer` was told that `prefix` is gone.
fn withdrawals(peer: &Peer, prefix: &IpNet) -> usize {
    let updates = peer
        .wire
        .heard()
        .iter()
        .filter(|heard| heard.message.kind == kind::UPDATE);
    updates
        .filter_map(|heard| ParsedUpdate::parse(&heard.message.body).ok())
        .filter(|update| update.unreach.contains(prefix))
        .count()
}

/// Routes that stayed in one row must not be mistaken for those of the next: each peer has its
/// own prefixes.
fn first(address: Ipv4Addr) -> IpNet {
    let [_, _, third, fourth] = address.octets();
    Ipv4Net::new_assert(Ipv4Addr::new(10, 200, third, fourth), 32).into()
}

fn second(address: Ipv4Addr) -> IpNet {
    let [_, _, third, fourth] = address.octets();
    Ipv4Net::new_assert(Ipv4Addr::new(10, 201, third, fourth), 32).into()
}

fn six(address: Ipv4Addr) -> IpNet {
    let [_, _, third, fourth] = address.octets().map(u16::from);
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, third, fourth, 0, 0, 0, 0);
    Ipv6Net::new_assert(prefix, 64).into()
}
