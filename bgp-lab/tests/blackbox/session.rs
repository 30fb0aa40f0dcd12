//! Sessions: what opens one, what ends one, and with which NOTIFICATION (RFC 4271 §6, §8).

use crate::scene::{ASN, CONFIGURED, EXTERNAL_ASN, FEW, LIMIT, ROUTER, STRANGER, play, prefix};
use bgp_core::types::PeerRole;
use bgp_lab::octets::{self, Open, capability, kind, tlv};
use bgp_lab::wire_peer::{Doorway, WirePeer};
use bgp_lab::{Result, check};
use std::net::Ipv4Addr;

/// What must come of an exchange.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The session becomes, or stays, Established.
    Established,
    /// A NOTIFICATION with this code and one of these subcodes, then the end.
    Refused(u8, &'static [u8]),
    /// A NOTIFICATION with this code, subcode and data, then the end.
    RefusedWith(u8, u8, &'static [u8]),
    /// The end, with or without a NOTIFICATION.
    Closed,
}

type Row = (&'static str, fn(Open) -> Vec<u8>, Outcome);

/// The first octets of a client, in the place of its OPEN.
#[rustfmt::skip] // a row is a line
const OPENS: &[Row] = &[
    ("plain", |open| open.encode(), Outcome::Established),
    ("marker", |open| with_octet(open.encode(), 3, 0), Outcome::Refused(1, &[1])),
    ("marker, all zero", |open| with_octets(open.encode(), 0, &[0; 16]), Outcome::Refused(1, &[1])),
    ("length 18", |open| with_octets(open.encode(), 16, &[0, 18]), Outcome::RefusedWith(1, 2, &[0, 18])),
    ("length 0", |open| with_octets(open.encode(), 16, &[0, 0]), Outcome::RefusedWith(1, 2, &[0, 0])),
    ("length 28 of an OPEN", |open| with_octets(open.encode(), 16, &[0, 28]), Outcome::RefusedWith(1, 2, &[0, 28])),
    ("length 4097", |open| with_octets(open.encode(), 16, &[0x10, 1]), Outcome::RefusedWith(1, 2, &[0x10, 1])),
    ("length 65535", |open| with_octets(open.encode(), 16, &[0xff, 0xff]), Outcome::RefusedWith(1, 2, &[0xff, 0xff])),
    ("type 0", |_| octets::message(0, &[]), Outcome::RefusedWith(1, 3, &[0])),
    ("type 6", |_| octets::message(6, &[]), Outcome::RefusedWith(1, 3, &[6])),
    ("type 255", |_| octets::message(255, &[1, 2, 3]), Outcome::RefusedWith(1, 3, &[255])),
    ("version 3", |mut open| { open.version = 3; open.encode() }, Outcome::RefusedWith(2, 1, &[0, 4])),
    ("version 5", |mut open| { open.version = 5; open.encode() }, Outcome::RefusedWith(2, 1, &[0, 4])),
    ("version 0", |mut open| { open.version = 0; open.encode() }, Outcome::RefusedWith(2, 1, &[0, 4])),
    ("another AS", |mut open| { open.asn = 64_999; open.encode() }, Outcome::Refused(2, &[2])),
    ("another AS of four octets", |mut open| { open.asn = 4_200_000_000; open.encode() }, Outcome::Refused(2, &[2])),
    ("AS 0", |mut open| { open.asn = 0; open.encode() }, Outcome::Refused(2, &[2])),
    ("right AS, AS 0 in the capability", |mut open| {
        open.two_octet = true;
        open.with(capability::FOUR_OCTET_AS, &[0; 4]).encode()
    }, Outcome::Refused(2, &[2])),
    ("identifier 0", |mut open| { open.router_id = Ipv4Addr::UNSPECIFIED; open.encode() }, Outcome::Refused(2, &[3])),
    ("our own identifier", |mut open| { open.router_id = ROUTER; open.encode() }, Outcome::Refused(2, &[3])),
    ("identifier of class E", |mut open| { open.router_id = Ipv4Addr::BROADCAST; open.encode() }, Outcome::Established),
    ("hold time 1", |mut open| { open.hold_time = 1; open.encode() }, Outcome::Refused(2, &[6])),
    ("hold time 2", |mut open| { open.hold_time = 2; open.encode() }, Outcome::Refused(2, &[6])),
    ("hold time 3", |mut open| { open.hold_time = 3; open.encode() }, Outcome::Established),
    ("hold time 0", |mut open| { open.hold_time = 0; open.encode() }, Outcome::Established),
    ("hold time 65535", |mut open| { open.hold_time = u16::MAX; open.encode() }, Outcome::Established),
    ("no optional parameters", |open| open.encode_with(&[]), Outcome::Established),
    ("parameter of authentication", |open| open.encode_with(&tlv(1, &[0])), Outcome::Refused(2, &[4, 5])),
    ("parameter 200", |open| open.encode_with(&tlv(200, &[1, 2])), Outcome::Refused(2, &[4])),
    ("parameter longer than the OPEN", |open| open.encode_with(&[2, 40, 2, 0]), Outcome::Refused(2, &[0])),
    ("parameter without length", |open| open.encode_with(&[2]), Outcome::Refused(2, &[0])),
    ("parameters longer than the OPEN", |open| with_octet(open.encode(), 28, 200), Outcome::Refused(2, &[0])),
    ("parameters shorter than the OPEN", |open| with_octet(open.encode(), 28, 0), Outcome::Refused(2, &[0])),
    ("capability longer than its parameter", |open| open.encode_with(&tlv(2, &[2, 9])), Outcome::Refused(2, &[0, 7])),
    ("capability without length", |open| open.encode_with(&tlv(2, &[2])), Outcome::Refused(2, &[0, 7])),
    ("empty capabilities parameter", |open| open.encode_with(&tlv(2, &[])), Outcome::Established),
    ("unknown capability", |open| open.with(200, &[1, 2, 3]).encode(), Outcome::Established),
    ("unknown capability without value", |open| open.with(255, &[]).encode(), Outcome::Established),
    ("capability 0", |open| open.with(0, &[]).encode(), Outcome::Established),
    ("multiprotocol, too short", |open| open.with(capability::MULTIPROTOCOL, &[0, 1]).encode(), Outcome::Established),
    ("multiprotocol, too long", |open| open.with(capability::MULTIPROTOCOL, &[0, 1, 0, 1, 0]).encode(), Outcome::Established),
    ("multiprotocol, unknown family", |open| open.with(capability::MULTIPROTOCOL, &[0x40, 4, 0, 71]).encode(), Outcome::Established),
    ("multiprotocol, twice", |open| open.with(capability::MULTIPROTOCOL, &[0, 1, 0, 1]).encode(), Outcome::Established),
    ("multiprotocol, reserved octet", |open| open.with(capability::MULTIPROTOCOL, &[0, 1, 7, 1]).encode(), Outcome::Established),
    ("route refresh with a value", |open| open.with(capability::ROUTE_REFRESH, &[1]).encode(), Outcome::Established),
    ("FQDN", |open| open.with(capability::FQDN, b"\x04host\x03dom").encode(), Outcome::Established),
    ("FQDN without value", |open| open.with(capability::FQDN, &[]).encode(), Outcome::Established),
    ("FQDN, host longer than the value", |open| open.with(capability::FQDN, b"\x40host").encode(), Outcome::Established),
    ("FQDN, domain longer than the value", |open| open.with(capability::FQDN, b"\x04host\xffd").encode(), Outcome::Established),
    ("FQDN without domain length", |open| open.with(capability::FQDN, b"\x04host").encode(), Outcome::Established),
    ("FQDN with octets left over", |open| open.with(capability::FQDN, b"\x01h\x01dxyz").encode(), Outcome::Established),
    ("FQDN, not UTF-8", |open| open.with(capability::FQDN, b"\x02\xff\xfe\x00").encode(), Outcome::Established),
    ("FQDN of 253 octets", |open| open.encode_with(&tlv(2, &tlv(capability::FQDN, &[&[250][..], &[b'h'; 250]].concat()))), Outcome::Established),
    ("software version", |open| open.with(capability::SOFTWARE_VERSION, b"\x03abc").encode(), Outcome::Established),
    ("software version, too short", |open| open.with(capability::SOFTWARE_VERSION, b"\x09abc").encode(), Outcome::Established),
    ("graceful restart", |open| open.with(capability::GRACEFUL_RESTART, &[0x80, 120, 0, 1, 1, 0x80]).encode(), Outcome::Established),
    ("graceful restart, too short", |open| open.with(capability::GRACEFUL_RESTART, &[0]).encode(), Outcome::Established),
    ("graceful restart, half a family", |open| open.with(capability::GRACEFUL_RESTART, &[0, 120, 0, 1]).encode(), Outcome::Established),
    ("four-octet AS, too short", |mut open| { open.two_octet = true; open.with(capability::FOUR_OCTET_AS, &[0, 1]).encode() }, Outcome::Established),
    ("extended next hop", |open| open.with(capability::EXTENDED_NEXT_HOP, &[0, 1, 0, 1, 0, 2]).encode(), Outcome::Established),
    ("extended next hop, too short", |open| open.with(capability::EXTENDED_NEXT_HOP, &[0, 1, 0]).encode(), Outcome::Established),
    ("add-path, send and receive", |open| open.with(capability::ADD_PATH, &[0, 2, 1, 1]).encode(), Outcome::Established),
    ("add-path, value 9", |open| open.with(capability::ADD_PATH, &[0, 2, 1, 9]).encode(), Outcome::Established),
    ("add-path, too short", |open| open.with(capability::ADD_PATH, &[0, 2, 1]).encode(), Outcome::Established),
    ("extended message", |open| open.with(capability::EXTENDED_MESSAGE, &[]).encode(), Outcome::Established),
    ("extended message with a value", |open| open.with(capability::EXTENDED_MESSAGE, &[1, 2]).encode(), Outcome::Established),
    ("enhanced refresh", |open| open.with(capability::ENHANCED_REFRESH, &[]).encode(), Outcome::Established),
    ("role without value", |open| open.with(capability::ROLE, &[]).encode(), Outcome::Established),
    ("each capability in a parameter of its own", |open| {
        let mut parameters: Vec<u8> = open.capabilities.iter().flat_map(|(code, value)| tlv(2, &tlv(*code, value))).collect();
        parameters.extend(tlv(2, &tlv(capability::FOUR_OCTET_AS, &ASN.to_be_bytes())));
        open.encode_with(&parameters)
    }, Outcome::Established),
    ("extended optional parameters (RFC 9072)", |open| {
        let capabilities = tlv(capability::FOUR_OCTET_AS, &ASN.to_be_bytes());
        open.encode_with_extended(&capabilities)
    }, Outcome::Established),
    ("forty capabilities", |mut open| {
        for code in 128..168 { open = open.with(code, &[code; 3]); }
        open.encode()
    }, Outcome::Established),
    ("KEEPALIVE in its place", |_| octets::keepalive(), Outcome::Refused(5, &[0, 1])),
    ("KEEPALIVE of 20 octets", |_| octets::message(kind::KEEPALIVE, &[0]), Outcome::RefusedWith(1, 2, &[0, 20])),
    ("UPDATE in its place", |_| octets::update(&[], &[], &[]), Outcome::Refused(5, &[0, 1])),
    ("UPDATE of 22 octets", |_| octets::message(kind::UPDATE, &[0; 3]), Outcome::RefusedWith(1, 2, &[0, 22])),
    ("ROUTE-REFRESH in its place", |_| octets::route_refresh(1, 0, 1), Outcome::Refused(5, &[0, 1])),
    ("NOTIFICATION in its place", |_| octets::notification(6, 2, &[]), Outcome::Closed),
    ("NOTIFICATION of 20 octets", |_| octets::message(kind::NOTIFICATION, &[6]), Outcome::Closed),
];

#[test]
fn opens() -> Result<()> {
    play(
        "session::opens",
        OPENS,
        |row| row.0.to_owned(),
        |scene, (_, first, outcome)| {
            let (mut wire, address) = scene.connect(1)?;
            wire.send(&first(Open::new(ASN, address)));
            if matches!(outcome, Outcome::Established) {
                wire.wait("an OPEN and a KEEPALIVE", LIMIT, |wire| {
                    let there = wire.count(kind::OPEN) == 1 && wire.count(kind::KEEPALIVE) == 1;
                    if there { Ok(()) } else { Err(wire.story()) }
                })?;
                wire.send(&octets::keepalive());
            }
            judge(&mut wire, *outcome)
        },
    )
}

/// What an external peer sends in the place of its OPEN.
#[rustfmt::skip] // a row is a line
const EXTERNAL_OPENS: &[Row] = &[

    ("plain", |open| open.encode(), Outcome::Established),
    ("our own AS", |mut open| { open.asn = ASN; open.encode() }, Outcome::Refused(2, &[2])),
    // RFC 6286: identifiers need to be unique within an AS only.
    ("our own identifier", |mut open| { open.router_id = ROUTER; open.encode() }, Outcome::Established),
    ("two-octet speaker", |mut open| { open.two_octet = true; open.encode() }, Outcome::Established),
];

#[test]
fn external_opens() -> Result<()> {
    play(
        "session::external_opens",
        EXTERNAL_OPENS,
        |row| row.0.to_owned(),
        |scene, (_, first, outcome)| {
            let (mut wire, address) = scene.connect(3)?;
            wire.send(&first(Open::new(EXTERNAL_ASN, address)));
            if matches!(outcome, Outcome::Established) {
                wire.wait("an OPEN", LIMIT, |wire| {
                    if wire.count(kind::OPEN) == 1 {
                        Ok(())
                    } else {
                        Err(wire.story())
                    }
                })?;
                wire.send(&octets::keepalive());
            }
            judge(&mut wire, *outcome)
        },
    )
}

type Later = (&'static str, fn() -> Vec<u8>, Outcome);

/// What the router says of itself (RFC 4271 §4.2).
#[test]
fn our_open() -> Result<()> {
    play(
        "session::our_open",
        &[()],
        |()| "its OPEN".to_owned(),
        |scene, ()| {
            let peer = scene.peer(PeerRole::Client)?;
            let open = peer
                .wire
                .heard()
                .iter()
                .find(|heard| heard.message.kind == kind::OPEN);
            let body = open
                .map(|open| open.message.body.as_slice())
                .unwrap_or_default();
            let mut fixed = vec![4];
            fixed.extend(u16::try_from(ASN).unwrap_or(0).to_be_bytes());
            fixed.extend(180_u16.to_be_bytes());
            fixed.extend(ROUTER.octets());
            check(body.starts_with(&fixed), || format!("{body:02x?}"))?;
            for (code, value) in [
                (capability::MULTIPROTOCOL, vec![0, 1, 0, 1]),
                (capability::MULTIPROTOCOL, vec![0, 2, 0, 1]),
                (capability::ROUTE_REFRESH, Vec::new()),
                (capability::ENHANCED_REFRESH, Vec::new()),
                (capability::FOUR_OCTET_AS, ASN.to_be_bytes().to_vec()),
            ] {
                let wanted = tlv(code, &value);
                let there = body.windows(wanted.len()).any(|part| part == wanted);
                check(there, || {
                    format!("no capability {code} {value:?} in {body:02x?}")
                })?;
            }
            Ok(())
        },
    )
}

/// What a peer sends where its KEEPALIVE is due.
#[rustfmt::skip] // a row is a line
const IN_OPEN_CONFIRM: &[Later] = &[
    ("a second OPEN", || Open::new(ASN, ROUTER_ABOVE).encode(), Outcome::Closed),
    ("UPDATE", early_update, Outcome::Refused(5, &[0, 2])),
    ("ROUTE-REFRESH", || octets::route_refresh(1, 0, 1), Outcome::Refused(5, &[0, 2])),
    ("NOTIFICATION", || octets::notification(6, 2, &[]), Outcome::Closed),
    ("type 77", || octets::message(77, &[]), Outcome::RefusedWith(1, 3, &[77])),
    ("marker", || with_octet(octets::keepalive(), 0, 0), Outcome::Refused(1, &[1])),
];

#[test]
fn in_open_confirm() -> Result<()> {
    play(
        "session::in_open_confirm",
        IN_OPEN_CONFIRM,
        |row| row.0.to_owned(),
        |scene, (_, then, outcome)| {
            let mut witness = scene.peer(PeerRole::Client)?;
            let (mut wire, address) = scene.connect(1)?;
            wire.send(&Open::new(ASN, address).encode());
            wire.wait("an OPEN", LIMIT, |wire| {
                if wire.count(kind::OPEN) == 1 {
                    Ok(())
                } else {
                    Err(wire.story())
                }
            })?;
            wire.send(&then());
            judge(&mut wire, *outcome)?;
            let mut other = scene.peer(PeerRole::Client)?;
            witness.settle(&mut other)?;
            check(witness.wire.route(&early()).is_none(), || {
                "an early UPDATE was taken".to_owned()
            })
        },
    )
}

/// What a peer sends when Established. That the session stays, or that its routes go, is seen
/// by another peer.
#[rustfmt::skip] // a row is a line
const WHEN_ESTABLISHED: &[Later] = &[
    ("KEEPALIVE", octets::keepalive, Outcome::Established),
    ("ten KEEPALIVEs", || octets::keepalive().repeat(10), Outcome::Established),
    ("an empty UPDATE", || octets::update(&[], &[], &[]), Outcome::Established),
    ("End-of-RIB for IPv6", || octets::update(&[], &octets::mp_unreach(2, &[]), &[]), Outcome::Established),
    ("withdraw of what was never there", || octets::update(&octets::nlri([&prefix("1.2.3.0/24")]), &[], &[]), Outcome::Established),
    ("ROUTE-REFRESH", || octets::route_refresh(1, 0, 1), Outcome::Established),
    ("ROUTE-REFRESH of an unknown family", || octets::route_refresh(99, 0, 99), Outcome::Established),
    ("ROUTE-REFRESH of subtype 9", || octets::route_refresh(1, 9, 1), Outcome::Established),
    ("a second OPEN", || Open::new(ASN, ROUTER_ABOVE).encode(), Outcome::Closed),
    ("marker", || with_octet(octets::keepalive(), 15, 0xfe), Outcome::Refused(1, &[1])),
    ("length 18", || with_octets(octets::keepalive(), 16, &[0, 18]), Outcome::RefusedWith(1, 2, &[0, 18])),
    ("KEEPALIVE of 20 octets", || octets::message(kind::KEEPALIVE, &[0]), Outcome::RefusedWith(1, 2, &[0, 20])),
    ("UPDATE of 22 octets", || octets::message(kind::UPDATE, &[0; 3]), Outcome::RefusedWith(1, 2, &[0, 22])),
    ("KEEPALIVE of 4097 octets", || octets::message(kind::KEEPALIVE, &[0; 4078]), Outcome::RefusedWith(1, 2, &[0x10, 1])),
    ("type 6", || octets::message(6, &[]), Outcome::RefusedWith(1, 3, &[6])),
    ("type 128", || octets::message(128, &[0; 40]), Outcome::RefusedWith(1, 3, &[128])),
    ("Cease", || octets::notification(6, 4, &[]), Outcome::Closed),
    ("Cease with words", || octets::notification(6, 2, b"\x07goodbye"), Outcome::Closed),
    ("Cease with words that are none", || octets::notification(6, 2, b"\x80\xff\xfe"), Outcome::Closed),
    ("NOTIFICATION of an unknown code", || octets::notification(200, 200, &[1; 60]), Outcome::Closed),
    ("NOTIFICATION of 20 octets", || octets::message(kind::NOTIFICATION, &[6]), Outcome::Closed),
];

#[test]
fn when_established() -> Result<()> {
    play(
        "session::when_established",
        WHEN_ESTABLISHED,
        |row| row.0.to_owned(),
        |scene, (_, then, outcome)| {
            let mut witness = scene.peer(PeerRole::Client)?;
            let mut peer = scene.peer(PeerRole::Client)?;
            let mine = prefix("10.200.0.0/24");
            peer.announce_plain(mine);
            witness.route(&mine)?;
            peer.wire.send(&then());
            if matches!(outcome, Outcome::Established) {
                witness.settle(&mut peer)?;
                return check(witness.wire.route(&mine).is_some(), || {
                    "its route is gone".to_owned()
                });
            }
            judge(&mut peer.wire, *outcome)?;
            witness.wire.wait_no_route(&mine, LIMIT)
        },
    )
}

/// An address above the router's, as an identifier.
const ROUTER_ABOVE: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);

#[test]
fn a_silent_peer_is_ended_and_its_routes_go_at_once() -> Result<()> {
    play(
        "session::a_silent_peer",
        &[3],
        |_| "hold time 3".to_owned(),
        |scene, hold_time| {
            let mut witness = scene.peer(PeerRole::Client)?;
            let mut peer = scene.peer_with(PeerRole::Client, |mut open| {
                open.hold_time = *hold_time;
                open
            })?;
            let mine = prefix("10.200.0.0/24");
            peer.announce_plain(mine);
            witness.route(&mine)?;
            judge(&mut peer.wire, Outcome::Refused(4, &[0]))?;
            check(peer.wire.count(kind::KEEPALIVE) >= 2, || {
                "it sent no KEEPALIVE itself".to_owned()
            })?;
            witness.wire.wait_no_route(&mine, LIMIT)
        },
    )
}

#[test]
fn a_peer_that_sends_keepalives_or_updates_stays() -> Result<()> {
    let rows = [
        ("KEEPALIVE", octets::keepalive()),
        ("UPDATE", octets::update(&[], &[], &[])),
    ];
    play(
        "session::a_peer_stays",
        &rows,
        |row| row.0.to_owned(),
        |scene, (_, sign_of_life)| {
            let mut peer = scene.peer_with(PeerRole::Client, |mut open| {
                open.hold_time = 3;
                open
            })?;
            // Four KEEPALIVEs from it mean at least one hold time; ours follow its rhythm.
            for count in 2..=5 {
                peer.wire.wait("another KEEPALIVE", LIMIT, |wire| {
                    if wire.count(kind::KEEPALIVE) >= count {
                        Ok(())
                    } else {
                        Err(wire.story())
                    }
                })?;
                peer.wire.send(sign_of_life);
            }
            check(!peer.wire.is_closed(), || peer.wire.story())
        },
    )
}

#[test]
fn messages_in_any_pieces() -> Result<()> {
    let rows = [
        ("one octet at a time", 1),
        ("seven octets", 7),
        ("all at once", 100_000),
    ];
    play(
        "session::messages_in_any_pieces",
        &rows,
        |row| row.0.to_owned(),
        |scene, (_, size)| {
            let mut witness = scene.peer(PeerRole::Client)?;
            let (mut wire, address) = scene.connect(1)?;
            let mine = prefix("10.200.0.0/24");
            let parts = crate::scene::Parts::new(PeerRole::Client, address);
            let mut all = Open::new(ASN, address).encode();
            all.extend(octets::keepalive());
            all.extend(octets::update(&[], &parts.encode(), &octets::nlri([&mine])));
            for piece in all.chunks(*size) {
                wire.send(piece);
            }
            witness.route(&mine).map(drop)
        },
    )
}

#[test]
fn a_lost_connection_takes_its_routes_along() -> Result<()> {
    type End = (&'static str, fn(WirePeer));
    let rows: &[End] = &[("reset", WirePeer::abort), ("closed", drop)];
    play(
        "session::a_lost_connection",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, end)| {
            let mut witness = scene.peer(PeerRole::Client)?;
            let mut peer = scene.peer(PeerRole::Client)?;
            let mine = prefix("10.200.0.0/24");
            peer.announce_plain(mine);
            witness.route(&mine)?;
            let address = peer.address;
            end(peer.wire);
            witness.wire.wait_no_route(&mine, LIMIT)?;
            // And it may come back at once.
            let mut again = scene.connect_from(address)?;
            again.establish(&Open::new(ASN, address), LIMIT)?;
            let parts = crate::scene::Parts::new(PeerRole::Client, address);
            again.send(&octets::update(
                &[],
                &parts.encode(),
                &octets::nlri([&mine]),
            ));
            witness.route(&mine).map(drop)
        },
    )
}

#[test]
fn strangers_and_too_many() -> Result<()> {
    play(
        "session::strangers_and_too_many",
        &[()],
        |()| "accepting".to_owned(),
        |scene, ()| {
            let (mut stranger, address) = scene.connect(STRANGER)?;
            stranger.send(&Open::new(ASN, address).encode());
            judge(&mut stranger, Outcome::Closed)?;
            let mut inside = Vec::new();
            for _ in 0..2 {
                let (mut wire, address) = scene.connect(FEW)?;
                wire.establish(&Open::new(ASN, address), LIMIT)?;
                inside.push(wire);
            }
            if scene.make == bgp_lab::reflector::Make::Bird {
                return Ok(()); // it has no limit per range
            }
            let (mut third, address) = scene.connect(FEW)?;
            third.send(&Open::new(ASN, address).encode());
            judge(&mut third, Outcome::Closed)?;
            // A place that was left can be taken again.
            inside.pop();
            bgp_lab::wait::until("a free place", LIMIT, || {
                let (mut wire, address) = scene.connect(FEW)?;
                wire.establish(&Open::new(ASN, address), LIMIT)
            })
        },
    )
}

/// RFC 4271 §6.8: of two connections, the one that the higher identifier opened stays.
#[test]
fn collision() -> Result<()> {
    let rows = [
        ("ours is lower", ROUTER_ABOVE, true),
        ("ours is higher", Ipv4Addr::new(9, 9, 9, 9), false),
    ];
    play(
        "session::collision",
        &rows,
        |row| row.0.to_owned(),
        |scene, (_, identifier, theirs_stays)| {
            let doorway = Doorway::open(&scene.namespace, CONFIGURED)?;
            let mut opened_by_router = doorway.accept(LIMIT)?;
            let mut opened_by_us = scene.connect_from(CONFIGURED)?;
            let open = Open::new(ASN, *identifier);
            for wire in [&mut opened_by_router, &mut opened_by_us] {
                wire.wait("its OPEN", LIMIT, |wire| {
                    if wire.count(kind::OPEN) == 1 {
                        Ok(())
                    } else {
                        Err(wire.story())
                    }
                })?;
                wire.send(&open.encode());
            }
            let (winner, loser) = if *theirs_stays {
                (&mut opened_by_us, &mut opened_by_router)
            } else {
                (&mut opened_by_router, &mut opened_by_us)
            };
            judge(loser, Outcome::Refused(6, &[7]))?;
            winner.send(&octets::keepalive());
            judge(winner, Outcome::Established)
        },
    )
}

/// A second connection from the address of an Established peer.
#[test]
fn a_second_connection_does_not_end_an_established_session() -> Result<()> {
    play(
        "session::a_second_connection",
        &[()],
        |()| "second".to_owned(),
        |scene, ()| {
            let mut witness = scene.peer(PeerRole::Client)?;
            let mut peer = scene.peer(PeerRole::Client)?;
            let mine = prefix("10.200.0.0/24");
            peer.announce_plain(mine);
            witness.route(&mine)?;
            let mut second = scene.connect_from(peer.address)?;
            second.send(&Open::new(ASN, peer.address).encode());
            judge(&mut second, Outcome::Closed)?;
            witness.settle(&mut peer)?;
            check(witness.wire.route(&mine).is_some(), || {
                "its route is gone".to_owned()
            })
        },
    )
}

/// Whether the session ended, or lives, as it must.
fn judge(wire: &mut WirePeer, outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Established => {
            // It has read our last message when it has sent its End-of-RIB.
            wire.wait("End-of-RIB", LIMIT, |wire| {
                if wire.ends_of_rib().is_empty() {
                    Err(wire.story())
                } else {
                    Ok(())
                }
            })?;
            check(!wire.is_closed() && wire.refusal().is_none(), || {
                wire.story()
            })
        }
        Outcome::Refused(code, subcodes) => {
            let refusal = wire.wait_refusal(LIMIT)?;
            let right = refusal.code == code && subcodes.contains(&refusal.subcode);
            check(right, || format!("{refusal:?}, not {code}/{subcodes:?}"))?;
            wire.wait_closed(LIMIT)
        }
        Outcome::RefusedWith(code, subcode, data) => {
            let refusal = wire.wait_refusal(LIMIT)?;
            let right =
                (refusal.code, refusal.subcode, refusal.data.as_slice()) == (code, subcode, data);
            check(right, || {
                format!("{refusal:?}, not {code}/{subcode} {data:?}")
            })?;
            wire.wait_closed(LIMIT)
        }
        Outcome::Closed => wire.wait_closed(LIMIT),
    }
}

/// The prefix of the UPDATE that came too early.
fn early() -> bgp_core::prefix::IpNet {
    prefix("10.201.0.0/24")
}

fn early_update() -> Vec<u8> {
    let parts = crate::scene::Parts::new(PeerRole::Client, ROUTER_ABOVE);
    octets::update(&[], &parts.encode(), &octets::nlri([&early()]))
}

fn with_octet(octets: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    with_octets(octets, at, &[value])
}

fn with_octets(mut octets: Vec<u8>, at: usize, values: &[u8]) -> Vec<u8> {
    octets.splice(at..at + values.len(), values.iter().copied());
    octets
}
