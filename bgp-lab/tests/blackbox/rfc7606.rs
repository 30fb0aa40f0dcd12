//! Faults in UPDATEs (RFC 7606, and the RFCs of the attributes), on internal and on external
//! sessions.
//!
//! Every row is played on both: the peer announces a route, the witness has it; the peer announces
//! it again with the fault; the witness keeps it, keeps it without one attribute, or loses it, and
//! the session stays or is reset. A second route of the peer, announced before, must survive
//! whatever is not a reset.

use crate::scene::{LIMIT, Parts, Peer, Scene, play, prefix};
use bgp_core::prefix::IpNet;
use bgp_core::types::PeerRole;
use bgp_lab::octets::{self, attribute, code, flag, kind, segment};
use bgp_lab::{Result, check};
use std::net::Ipv4Addr;

/// What a fault costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cost {
    /// Nothing: the route is as before.
    Nothing,
    /// The attribute with this code: the route stays without it.
    Attribute(u8),
    /// The route.
    Route,
    /// The session: NOTIFICATION 3 with one of these subcodes.
    Session(&'static [u8]),
}

use Cost::{Attribute, Nothing, Route, Session};

/// A name, what becomes of the attributes, and the costs on internal and on external sessions.
type Row = (&'static str, fn(Parts) -> Parts, Cost, Cost);

#[rustfmt::skip] // a row is a line
const ATTRIBUTES: &[Row] = &[
    ("no fault", |p| p, Nothing, Nothing),
    // ORIGIN: §7.1
    ("ORIGIN 3", |p| p.set(octets::origin(3)), Route, Route),
    ("ORIGIN 255", |p| p.set(octets::origin(255)), Route, Route),
    ("ORIGIN empty", |p| p.set(attribute(0x40, code::ORIGIN, &[])), Route, Route),
    ("ORIGIN of two octets", |p| p.set(attribute(0x40, code::ORIGIN, &[0, 0])), Route, Route),
    ("ORIGIN optional", |p| p.set(attribute(0xc0, code::ORIGIN, &[0])), Route, Route),
    ("ORIGIN not transitive", |p| p.set(attribute(0x00, code::ORIGIN, &[0])), Route, Route),
    ("ORIGIN missing", |p| p.without(code::ORIGIN), Route, Route),
    ("ORIGIN twice", |p| p.and(octets::origin(2)), Nothing, Nothing),
    ("ORIGIN with two octets of length", |p| p.set(attribute(0x50, code::ORIGIN, &[0])), Nothing, Nothing),
    ("ORIGIN with unused flags", |p| p.set(attribute(0x4f & !flag::EXTENDED, code::ORIGIN, &[0])), Nothing, Nothing),
    // AS_PATH: §7.2, RFC 7607
    ("AS_PATH missing", |p| p.without(code::AS_PATH), Route, Route),
    ("AS_PATH optional", |p| p.set(path(0xc0, &segment(2, &[65_001]))), Route, Route),
    ("AS_PATH of an unknown segment type", |p| p.set(path(0x40, &segment(9, &[65_001]))), Route, Route),
    ("AS_PATH of segment type 0", |p| p.set(path(0x40, &segment(0, &[65_001]))), Route, Route),
    ("AS_PATH with an empty segment", |p| p.set(path(0x40, &[2, 0])), Route, Route),
    ("AS_PATH with a segment too long", |p| p.set(path(0x40, &[2, 2, 0, 0, 0xfd, 0xe9])), Route, Route),
    ("AS_PATH with one octet left over", |p| p.set(path(0x40, &[&segment(2, &[65_001])[..], &[2]].concat())), Route, Route),
    ("AS_PATH of two-octet numbers", |p| p.set(path(0x40, &[2, 1, 0xfd, 0xe9])), Route, Route),
    ("AS_PATH with AS 0", |p| p.set(path(0x40, &segment(2, &[65_001, 0]))), Route, Route),
    ("AS_PATH twice", |p| p.and(octets::as_path(&[65_001, 1, 2, 3])), Nothing, Nothing),
    ("AS_PATH with a set", |p| p.set(path(0x40, &[segment(2, &[65_001]), segment(1, &[7, 8])].concat())), Nothing, Nothing),
    // NEXT_HOP: §7.3, RFC 4271 §6.3
    ("NEXT_HOP missing", |p| p.without(code::NEXT_HOP), Route, Route),
    ("NEXT_HOP of three octets", |p| p.set(attribute(0x40, code::NEXT_HOP, &[10, 0, 0])), Route, Route),
    ("NEXT_HOP of five octets", |p| p.set(attribute(0x40, code::NEXT_HOP, &[10, 0, 0, 1, 0])), Route, Route),
    ("NEXT_HOP of sixteen octets", |p| p.set(attribute(0x40, code::NEXT_HOP, &[0x20; 16])), Route, Route),
    ("NEXT_HOP empty", |p| p.set(attribute(0x40, code::NEXT_HOP, &[])), Route, Route),
    ("NEXT_HOP optional", |p| p.set(attribute(0xc0, code::NEXT_HOP, &[10, 1, 1, 1])), Route, Route),
    ("NEXT_HOP 0.0.0.0", |p| p.set(octets::next_hop(Ipv4Addr::UNSPECIFIED)), Route, Route),
    ("NEXT_HOP of a group", |p| p.set(octets::next_hop(Ipv4Addr::new(224, 0, 0, 5))), Route, Route),
    ("NEXT_HOP of class E", |p| p.set(octets::next_hop(Ipv4Addr::BROADCAST)), Route, Route),
    // MULTI_EXIT_DISC: §7.4
    ("MED of three octets", |p| p.and(attribute(0x80, code::MED, &[0; 3])), Route, Route),
    ("MED of five octets", |p| p.and(attribute(0x80, code::MED, &[0; 5])), Route, Route),
    ("MED empty", |p| p.and(attribute(0x80, code::MED, &[])), Route, Route),
    ("MED well-known", |p| p.and(attribute(0x40, code::MED, &[0; 4])), Route, Route),
    ("MED transitive", |p| p.and(attribute(0xc0, code::MED, &[0; 4])), Route, Route),
    ("MED twice", |p| p.and(octets::med(5)).and(octets::med(9)), Nothing, Nothing),
    // LOCAL_PREF: §7.5: discarded on external sessions, whatever it is
    ("LOCAL_PREF missing", |p| p.without(code::LOCAL_PREF), Route, Nothing),
    ("LOCAL_PREF of three octets", |p| p.set(attribute(0x40, code::LOCAL_PREF, &[0; 3])), Route, Nothing),
    ("LOCAL_PREF of five octets", |p| p.set(attribute(0x40, code::LOCAL_PREF, &[0; 5])), Route, Nothing),
    ("LOCAL_PREF empty", |p| p.set(attribute(0x40, code::LOCAL_PREF, &[])), Route, Nothing),
    ("LOCAL_PREF optional", |p| p.set(attribute(0xc0, code::LOCAL_PREF, &[0, 0, 0, 100])), Route, Nothing),
    // ATOMIC_AGGREGATE: §7.6
    ("ATOMIC_AGGREGATE", |p| p.and(attribute(0x40, code::ATOMIC_AGGREGATE, &[])), Nothing, Nothing),
    ("ATOMIC_AGGREGATE with a value", |p| p.and(attribute(0x40, code::ATOMIC_AGGREGATE, &[1])), Attribute(code::ATOMIC_AGGREGATE), Attribute(code::ATOMIC_AGGREGATE)),
    // AGGREGATOR: §7.7
    ("AGGREGATOR", |p| p.and(attribute(0xc0, code::AGGREGATOR, &[0, 0, 0xfd, 0xe9, 10, 0, 0, 9])), Nothing, Nothing),
    ("AGGREGATOR of six octets", |p| p.and(attribute(0xc0, code::AGGREGATOR, &[0xfd, 0xe9, 10, 0, 0, 9])), Attribute(code::AGGREGATOR), Attribute(code::AGGREGATOR)),
    ("AGGREGATOR of nine octets", |p| p.and(attribute(0xc0, code::AGGREGATOR, &[1; 9])), Attribute(code::AGGREGATOR), Attribute(code::AGGREGATOR)),
    ("AGGREGATOR empty", |p| p.and(attribute(0xc0, code::AGGREGATOR, &[])), Attribute(code::AGGREGATOR), Attribute(code::AGGREGATOR)),
    // COMMUNITIES: §7.8
    ("COMMUNITIES of three octets", |p| p.and(attribute(0xc0, code::COMMUNITIES, &[1; 3])), Route, Route),
    ("COMMUNITIES of six octets", |p| p.and(attribute(0xc0, code::COMMUNITIES, &[1; 6])), Route, Route),
    ("COMMUNITIES empty", |p| p.and(attribute(0xc0, code::COMMUNITIES, &[])), Route, Route),
    ("COMMUNITIES not transitive", |p| p.and(attribute(0x80, code::COMMUNITIES, &[1; 4])), Route, Route),
    ("COMMUNITIES well-known", |p| p.and(attribute(0x40, code::COMMUNITIES, &[1; 4])), Route, Route),
    ("COMMUNITIES twice", |p| p.and(octets::communities(&[7])).and(octets::communities(&[8])), Nothing, Nothing),
    ("COMMUNITIES partial", |p| p.and(attribute(0xe0, code::COMMUNITIES, &[1; 4])), Nothing, Nothing),
    // ORIGINATOR_ID: §7.9: discarded on external sessions
    ("ORIGINATOR_ID of three octets", |p| p.and(attribute(0x80, code::ORIGINATOR_ID, &[1; 3])), Route, Nothing),
    ("ORIGINATOR_ID of five octets", |p| p.and(attribute(0x80, code::ORIGINATOR_ID, &[1; 5])), Route, Nothing),
    ("ORIGINATOR_ID empty", |p| p.and(attribute(0x80, code::ORIGINATOR_ID, &[])), Route, Nothing),
    ("ORIGINATOR_ID transitive", |p| p.and(attribute(0xc0, code::ORIGINATOR_ID, &[1; 4])), Route, Nothing),
    ("ORIGINATOR_ID from outside", |p| p.and(octets::originator_id(Ipv4Addr::new(1, 2, 3, 4))), Nothing, Attribute(code::ORIGINATOR_ID)),
    // CLUSTER_LIST: §7.10: discarded on external sessions
    ("CLUSTER_LIST of three octets", |p| p.and(attribute(0x80, code::CLUSTER_LIST, &[1; 3])), Route, Nothing),
    ("CLUSTER_LIST of five octets", |p| p.and(attribute(0x80, code::CLUSTER_LIST, &[1; 5])), Route, Nothing),
    ("CLUSTER_LIST empty", |p| p.and(attribute(0x80, code::CLUSTER_LIST, &[])), Route, Nothing),
    ("CLUSTER_LIST transitive", |p| p.and(attribute(0xc0, code::CLUSTER_LIST, &[1; 4])), Route, Nothing),
    ("CLUSTER_LIST from outside", |p| p.and(octets::cluster_list(&[Ipv4Addr::new(1, 2, 3, 4)])), Nothing, Attribute(code::CLUSTER_LIST)),
    // EXTENDED COMMUNITIES: §7.14
    ("EXTENDED COMMUNITIES of seven octets", |p| p.and(attribute(0xc0, code::EXTENDED_COMMUNITIES, &[1; 7])), Route, Route),
    ("EXTENDED COMMUNITIES empty", |p| p.and(attribute(0xc0, code::EXTENDED_COMMUNITIES, &[])), Route, Route),
    ("EXTENDED COMMUNITIES well-known", |p| p.and(attribute(0x40, code::EXTENDED_COMMUNITIES, &[1; 8])), Route, Route),
    // AS4_PATH and AS4_AGGREGATOR from a four-octet speaker: RFC 6793 §6
    ("AS4_PATH", |p| p.and(attribute(0xc0, code::AS4_PATH, &segment(2, &[9]))), Attribute(code::AS4_PATH), Attribute(code::AS4_PATH)),
    ("AS4_PATH that is none", |p| p.and(attribute(0xc0, code::AS4_PATH, &[7, 7, 7])), Attribute(code::AS4_PATH), Attribute(code::AS4_PATH)),
    ("AS4_AGGREGATOR", |p| p.and(attribute(0xc0, code::AS4_AGGREGATOR, &[1; 8])), Attribute(code::AS4_AGGREGATOR), Attribute(code::AS4_AGGREGATOR)),
    ("AS4_AGGREGATOR of three octets", |p| p.and(attribute(0xc0, code::AS4_AGGREGATOR, &[1; 3])), Attribute(code::AS4_AGGREGATOR), Attribute(code::AS4_AGGREGATOR)),
    // LARGE_COMMUNITY: RFC 8092 §6
    ("LARGE_COMMUNITY of eleven octets", |p| p.and(attribute(0xc0, code::LARGE_COMMUNITIES, &[1; 11])), Route, Route),
    ("LARGE_COMMUNITY empty", |p| p.and(attribute(0xc0, code::LARGE_COMMUNITIES, &[])), Route, Route),
    ("LARGE_COMMUNITY not transitive", |p| p.and(attribute(0x80, code::LARGE_COMMUNITIES, &[1; 12])), Route, Route),
    // OTC: RFC 9234 §5
    ("OTC of three octets", |p| p.and(attribute(0xc0, code::OTC, &[1; 3])), Route, Route),
    // Attributes that nobody knows: RFC 4271 §5 and §6.3
    ("unknown, optional transitive", |p| p.and(attribute(0xc0, 222, &[1, 2, 3])), Nothing, Nothing),
    ("unknown, optional transitive, empty", |p| p.and(attribute(0xc0, 222, &[])), Nothing, Nothing),
    ("unknown, optional transitive, 300 octets", |p| p.and(attribute(0xc0, 222, &[9; 300])), Nothing, Nothing),
    ("unknown, optional", |p| p.and(attribute(0x80, 222, &[1, 2, 3])), Attribute(222), Attribute(222)),
    ("unknown, well-known", |p| p.and(attribute(0x40, 222, &[1, 2, 3])), Session(&[2]), Session(&[2])),
    ("attribute 0, optional", |p| p.and(attribute(0x80, 0, &[])), Attribute(0), Attribute(0)),
    // The list as a whole: §4
    ("an attribute longer than the list", |p| p.and(vec![0xc0, code::COMMUNITIES, 9, 0, 0]), Route, Route),
    ("a longer attribute of two octets of length", |p| p.and(vec![0xd0, code::COMMUNITIES, 1, 0, 0]), Route, Route),
    ("one octet after the list", |p| p.and(vec![0xc0]), Route, Route),
    ("two octets after the list", |p| p.and(vec![0xc0, 8]), Route, Route),
    ("any order", |p| p.reversed(), Nothing, Nothing),
    // MP attributes that concern other routes: §5, §7.11, §7.12
    ("MP_REACH_NLRI twice", |p| p.and(mp(&[0x20; 16])).and(mp(&[0x20; 16])), Session(&[1]), Session(&[1])),
    ("MP_UNREACH_NLRI twice", |p| p.and(octets::mp_unreach(2, &[])).and(octets::mp_unreach(2, &[])), Session(&[1]), Session(&[1])),
    ("MP_REACH_NLRI of three octets", |p| p.and(attribute(0x80, code::MP_REACH, &[0, 2, 1])), Session(&[1, 5, 9, 10]), Session(&[1, 5, 9, 10])),
    ("MP_REACH_NLRI empty", |p| p.and(attribute(0x80, code::MP_REACH, &[])), Session(&[1, 5, 9, 10]), Session(&[1, 5, 9, 10])),
    ("MP_REACH_NLRI, next hop of five octets", |p| p.and(mp(&[0x20; 5])), Session(&[1, 5, 8, 9, 10]), Session(&[1, 5, 8, 9, 10])),
    ("MP_REACH_NLRI, next hop longer than it", |p| p.and(attribute(0x80, code::MP_REACH, &[0, 2, 1, 40, 1, 2])), Session(&[1, 5, 8, 9, 10]), Session(&[1, 5, 8, 9, 10])),
    ("MP_REACH_NLRI, prefix of 129 bits", |p| p.and(octets::mp_reach(2, &[0x20; 16], &[&[129][..], &[0; 17]].concat())), Session(&[1, 9, 10]), Session(&[1, 9, 10])),
    ("MP_REACH_NLRI, prefix longer than it", |p| p.and(octets::mp_reach(2, &[0x20; 16], &[64, 0x20])), Session(&[1, 9, 10]), Session(&[1, 9, 10])),
    ("MP_UNREACH_NLRI of two octets", |p| p.and(attribute(0x80, code::MP_UNREACH, &[0, 2])), Session(&[1, 5, 9, 10]), Session(&[1, 5, 9, 10])),
    ("MP_UNREACH_NLRI, prefix of 129 bits", |p| p.and(octets::mp_unreach(2, &[&[129][..], &[0; 17]].concat())), Session(&[1, 9, 10]), Session(&[1, 9, 10])),
    ("MP_REACH_NLRI of an unknown family", |p| p.and(octets::mp_reach(77, &[1, 2, 3, 4], &[9, 9])), Nothing, Nothing),
    ("MP_UNREACH_NLRI of an unknown family", |p| p.and(octets::mp_unreach(77, &[200, 9])), Nothing, Nothing),
    ("good MP_REACH_NLRI, NEXT_HOP missing", |p| p.without(code::NEXT_HOP).and(mp(&[0x20; 16])), Route, Route),
];

#[test]
fn attributes_on_internal_sessions() -> Result<()> {
    let name = "rfc7606::attributes_on_internal_sessions";
    play(
        name,
        ATTRIBUTES,
        |row| row.0.to_owned(),
        |scene, row| attributes(scene, PeerRole::Client, row.1, row.2),
    )
}

#[test]
fn attributes_on_external_sessions() -> Result<()> {
    let name = "rfc7606::attributes_on_external_sessions";
    play(
        name,
        ATTRIBUTES,
        |row| row.0.to_owned(),
        |scene, row| attributes(scene, PeerRole::External, row.1, row.3),
    )
}

fn attributes(scene: &Scene, role: PeerRole, fault: fn(Parts) -> Parts, cost: Cost) -> Result<()> {
    let (mut witness, mut peer) = pair(scene, role)?;
    let parts = fault(peer.attributes());
    peer.announce(&parts, &[target()]);
    judge(&mut witness, &mut peer, cost)
}

/// Confederation segments from outside of one (RFC 5065 §5, RFC 7606 §7.2).
#[test]
fn confederation_segments_from_outside() -> Result<()> {
    let rows = [("sequence", 3), ("set", 4)];
    play(
        "rfc7606::confederation_segments",
        &rows,
        |row| row.0.to_owned(),
        |scene, (_, kind)| {
            attributes_with(scene, PeerRole::External, |parts| {
                let segments = [segment(*kind, &[65_001]), segment(2, &[65_001])].concat();
                parts.set(path(0x40, &segments))
            })
        },
    )
}

fn attributes_with(
    scene: &Scene,
    role: PeerRole,
    fault: impl FnOnce(Parts) -> Parts,
) -> Result<()> {
    let (mut witness, mut peer) = pair(scene, role)?;
    let parts = fault(peer.attributes());
    peer.announce(&parts, &[target()]);
    judge(&mut witness, &mut peer, Route)
}

/// A name, the whole body after the good attributes are known, and the cost.
type Whole = (&'static str, fn(&[u8], &[u8]) -> Vec<u8>, Cost);

/// UPDATEs whose parts do not fit (RFC 4271 §6.3, RFC 7606 §3 and §5.3). The arguments are good
/// attributes and the NLRI of the route.
#[rustfmt::skip] // a row is a line
const BODIES: &[Whole] = &[
    ("withdrawn routes longer than the message", |a, n| body(0xffff, &[], len(a), a, n), Session(&[1])),
    ("withdrawn routes one octet too long", |a, n| body(len(a) + len(n) + 3, &[], len(a), a, n), Session(&[1])),
    ("attributes longer than the message", |a, n| body(0, &[], 0xffff, a, n), Session(&[1])),
    ("attributes one octet too long", |a, n| body(0, &[], len(a) + len(n) + 1, a, n), Session(&[1])),
    ("prefix of 33 bits", |a, _| body(0, &[], len(a), a, &[33, 10, 0, 0, 0, 0]), Session(&[10])),
    ("prefix of 255 bits", |a, _| body(0, &[], len(a), a, &[255, 10, 0, 0, 0, 0]), Session(&[10])),
    ("prefix cut short", |a, _| body(0, &[], len(a), a, &[24, 10, 0]), Session(&[10])),
    ("a good prefix and one cut short", |a, n| body(0, &[], len(a), a, &[n, &[24]].concat()), Session(&[10])),
    ("withdrawn prefix of 33 bits", |a, n| body(6, &[33, 10, 0, 0, 0, 0], len(a), a, n), Session(&[1, 10])),
    ("withdrawn prefix cut short", |a, n| body(2, &[24, 10], len(a), a, n), Session(&[1, 10])),
    ("host bits in the prefix", |a, _| body(0, &[], len(a), a, &[23, 10, 200, 1]), Nothing),
    ("the same prefix twice", |a, n| body(0, &[], len(a), a, &[n, n].concat()), Nothing),
    ("withdrawn and announced", |a, n| body(len(n), n, len(a), a, n), Nothing),
    ("withdrawn alone", |_, n| body(len(n), n, 0, &[], &[]), Route),
    ("prefix without attributes", |_, n| body(0, &[], 0, &[], n), Route),
    ("attributes without prefix", |a, _| body(0, &[], len(a), a, &[]), Nothing),
];

#[test]
fn whole_updates_on_internal_sessions() -> Result<()> {
    whole(
        "rfc7606::whole_updates_on_internal_sessions",
        PeerRole::Client,
    )
}

#[test]
fn whole_updates_on_external_sessions() -> Result<()> {
    whole(
        "rfc7606::whole_updates_on_external_sessions",
        PeerRole::External,
    )
}

fn whole(test: &str, role: PeerRole) -> Result<()> {
    play(
        test,
        BODIES,
        |row| row.0.to_owned(),
        |scene, (_, make, cost)| {
            let (mut witness, mut peer) = pair(scene, role)?;
            let attributes = peer.attributes().encode();
            let body = make(&attributes, &octets::nlri([&target()]));
            peer.wire.send(&octets::message(kind::UPDATE, &body));
            judge(&mut witness, &mut peer, *cost)
        },
    )
}

/// An unknown transitive attribute arrives as it was sent, with the Partial bit (RFC 4271 §5).
#[test]
fn unknown_attributes_travel_with_the_partial_bit() -> Result<()> {
    let rows: &[(&str, u8, &[u8])] = &[
        ("partial already", 0xe0, &[1, 2, 3]),
        ("not yet", 0xc0, &[1, 2, 3]),
        ("empty", 0xc0, &[]),
    ];
    play(
        "rfc7606::unknown_attributes",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, flags, value)| {
            let (mut witness, mut peer) = pair(scene, PeerRole::Client)?;
            let parts = peer.attributes().and(attribute(*flags, 222, value));
            peer.announce(&parts, &[target()]);
            witness.settle(&mut peer)?;
            let route = witness.route(&target())?;
            let found = route
                .attribute(222)
                .map(|found| (found.flags & 0xe0, found.value.as_slice()));
            check(found == Some((0xe0, *value)), || format!("{found:02x?}"))
        },
    )
}

/// Of an attribute that is there twice, the first counts (§3 g).
#[test]
fn the_first_of_two_counts() -> Result<()> {
    let rows: &[(&str, Vec<u8>, Vec<u8>)] = &[
        ("MED", octets::med(5), octets::med(9)),
        (
            "COMMUNITIES",
            octets::communities(&[7]),
            octets::communities(&[8]),
        ),
        (
            "ORIGINATOR_ID",
            octets::originator_id(Ipv4Addr::new(1, 1, 1, 1)),
            octets::originator_id(Ipv4Addr::new(2, 2, 2, 2)),
        ),
        (
            "unknown",
            attribute(0xc0, 222, &[1]),
            attribute(0xc0, 222, &[2]),
        ),
    ];
    play(
        "rfc7606::the_first_of_two",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, first, second)| {
            let (mut witness, mut peer) = pair(scene, PeerRole::Client)?;
            let parts = peer.attributes().and(first.clone()).and(second.clone());
            peer.announce(&parts, &[target()]);
            witness.settle(&mut peer)?;
            let route = witness.route(&target())?;
            let value = route.value(first[1]);
            check(value == Some(&first[3..]), || format!("{value:02x?}"))
        },
    )
}

/// A witness and a peer that has announced the target and a bystander.
fn pair(scene: &Scene, role: PeerRole) -> Result<(Peer, Peer)> {
    let mut witness = scene.peer(PeerRole::Client)?;
    let mut peer = scene.peer(role)?;
    for prefix in [target(), bystander()] {
        peer.announce_plain(prefix);
        witness.route(&prefix)?;
    }
    Ok((witness, peer))
}

fn judge(witness: &mut Peer, peer: &mut Peer, cost: Cost) -> Result<()> {
    if let Session(subcodes) = cost {
        let refusal = peer.wire.wait_refusal(LIMIT)?;
        let right = refusal.code == 3 && subcodes.contains(&refusal.subcode);
        check(right, || format!("{refusal:?}, not 3/{subcodes:?}"))?;
        peer.wire.wait_closed(LIMIT)?;
        witness.wire.wait_no_route(&target(), LIMIT)?;
        return witness.wire.wait_no_route(&bystander(), LIMIT);
    }
    witness.settle(peer)?;
    check(witness.wire.route(&bystander()).is_some(), || {
        "the bystander is gone".to_owned()
    })?;
    let route = witness.wire.route(&target());
    match cost {
        Nothing => check(route.is_some(), || "the route is gone".to_owned()),
        Route | Session(_) => check(route.is_none(), || format!("it is there: {route:02x?}")),
        Attribute(code) => {
            let Some(route) = route else {
                return check(false, || "the route is gone".to_owned());
            };
            // The reflector writes those two itself.
            let ours: &[u8] = match code {
                code::ORIGINATOR_ID | code::CLUSTER_LIST => &[1, 2, 3, 4],
                _ => &[],
            };
            let value = route.value(code);
            let gone = value.is_none_or(|value| !ours.is_empty() && !value.ends_with(ours));
            check(gone, || format!("{value:02x?} is still there"))
        }
    }
}

fn target() -> IpNet {
    prefix("10.200.0.0/23")
}

fn bystander() -> IpNet {
    prefix("10.202.0.0/24")
}

fn path(flags: u8, segments: &[u8]) -> Vec<u8> {
    attribute(flags, code::AS_PATH, segments)
}

/// MP_REACH_NLRI with an IPv6 prefix of no concern here.
fn mp(next_hop: &[u8]) -> Vec<u8> {
    octets::mp_reach(2, next_hop, &[32, 0x20, 1, 0x0d, 0xb8])
}

fn len(octets: &[u8]) -> u16 {
    u16::try_from(octets.len()).unwrap_or(u16::MAX)
}

fn body(
    withdrawn_len: u16,
    withdrawn: &[u8],
    attributes_len: u16,
    attributes: &[u8],
    nlri: &[u8],
) -> Vec<u8> {
    let mut octets = withdrawn_len.to_be_bytes().to_vec();
    octets.extend(withdrawn);
    octets.extend(attributes_len.to_be_bytes());
    octets.extend(attributes);
    octets.extend(nlri);
    octets
}
