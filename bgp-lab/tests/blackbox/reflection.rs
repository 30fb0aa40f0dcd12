//! Reflection (RFC 4456) and the borders of the AS (RFC 4271 §5, RFC 1997), attribute by attribute.

use crate::scene::{ASN, CLUSTER, EXTERNAL_ASN, LIMIT, Parts, Peer, ROUTER, play, prefix};
use bgp_core::prefix::IpNet;
use bgp_core::types::PeerRole;
use bgp_lab::octets::{self, attribute, capability, code, kind};
use bgp_lab::wire_peer::Route;
use bgp_lab::{Result, check};
use std::net::Ipv4Addr;

use PeerRole::{Client, External, NonClient};

/// Who hears of whose routes (RFC 4456 §6).
const WAYS: &[(PeerRole, PeerRole, bool)] = &[
    (Client, Client, true),
    (Client, NonClient, true),
    (Client, External, true),
    (NonClient, Client, true),
    (NonClient, NonClient, false),
    (NonClient, External, true),
    (External, Client, true),
    (External, NonClient, true),
    (External, External, true),
];

#[test]
fn who_hears_of_whose_routes() -> Result<()> {
    let name = |(from, to, _): &(PeerRole, PeerRole, bool)| format!("{from:?} to {to:?}");
    play(
        "reflection::who_hears",
        WAYS,
        name,
        |scene, (from, to, heard)| {
            let mut sender = scene.peer(*from)?;
            let mut receiver = scene.peer(*to)?;
            let mut client = scene.peer(Client)?;
            sender.announce_plain(target());
            client.settle(&mut sender)?;
            receiver.settle(&mut client)?;
            let found = receiver.wire.route(&target());
            check(found.is_some() == *heard, || format!("{found:?}"))?;
            if let Some(route) = found {
                compare(route, &carried(*from, *to, &sender, &sender.attributes()))?;
            }
            sender.withdraw(target());
            receiver.wire.wait_no_route(&target(), LIMIT)
        },
    )
}

/// What must leave a route's own attributes as they are, on all ways between internal peers.
type Extra = (&'static str, fn(Parts) -> Parts);

#[rustfmt::skip] // a row is a line
const EXTRAS: &[Extra] = &[
    ("nothing", |p| p),
    ("ORIGIN INCOMPLETE", |p| p.set(octets::origin(2))),
    ("a path", |p| p.set(octets::as_path(&[65_010, 4_200_000_000, 65_010]))),
    ("a path with a set", |p| p.set(attribute(0x40, code::AS_PATH, &[octets::segment(2, &[1]), octets::segment(1, &[2, 3])].concat()))),
    ("a next hop elsewhere", |p| p.set(octets::next_hop(Ipv4Addr::new(198, 51, 100, 7)))),
    ("MED 0", |p| p.and(octets::med(0))),
    ("MED", |p| p.and(octets::med(u32::MAX))),
    ("LOCAL_PREF 0", |p| p.set(octets::local_pref(0))),
    ("LOCAL_PREF", |p| p.set(octets::local_pref(u32::MAX))),
    ("ATOMIC_AGGREGATE and AGGREGATOR", |p| p.and(attribute(0x40, code::ATOMIC_AGGREGATE, &[])).and(attribute(0xc0, code::AGGREGATOR, &[0, 0, 0xfd, 0xe9, 10, 0, 0, 9]))),
    ("communities, in no order", |p| p.and(octets::communities(&[9, 7, 0xfc00_0001]))),
    ("NO_EXPORT", |p| p.and(octets::communities(&[0xffff_ff01]))),
    ("NO_EXPORT_SUBCONFED", |p| p.and(octets::communities(&[0xffff_ff03]))),
    ("extended communities", |p| p.and(attribute(0xc0, code::EXTENDED_COMMUNITIES, &[0, 2, 0xfc, 0, 0, 0, 0, 9, 0x40, 6, 0, 0, 0, 0, 0, 1]))),
    ("large communities", |p| p.and(attribute(0xc0, code::LARGE_COMMUNITIES, &[&[7; 12][..], &[5; 12]].concat()))),
    ("OTC", |p| p.and(attribute(0xc0, code::OTC, &[0, 0, 0xfd, 0xe9]))),
    ("seventy communities", |p| p.and(octets::communities(&[5; 70]))),
    ("an unknown attribute of 280 octets", |p| p.and(attribute(0xe0, 250, &[3; 280]))),
];

#[test]
fn attributes_pass_unchanged() -> Result<()> {
    play(
        "reflection::attributes_pass_unchanged",
        EXTRAS,
        |row| row.0.to_owned(),
        |scene, (_, extra)| {
            let mut client = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            let mut non_client = scene.peer(NonClient)?;
            let parts = extra(sender.attributes());
            sender.announce(&parts, &[target()]);
            for receiver in [&mut client, &mut non_client] {
                let route = receiver.route(&target())?;
                compare(&route, &carried(Client, receiver.role, &sender, &parts))?;
            }
            Ok(())
        },
    )
}

/// ORIGINATOR_ID and CLUSTER_LIST that a route already has (RFC 4456 §8).
#[test]
fn what_another_reflector_added() -> Result<()> {
    let id = |last| Ipv4Addr::new(203, 0, 113, last);
    let rows: Vec<(&str, Option<Ipv4Addr>, Vec<Ipv4Addr>)> = vec![
        ("originator alone", Some(id(1)), vec![]),
        ("one cluster", Some(id(1)), vec![id(9)]),
        ("three clusters", Some(id(1)), vec![id(9), id(8), id(7)]),
        ("clusters alone", None, vec![id(9)]),
        ("62 clusters: 252 octets", Some(id(1)), vec![id(9); 62]),
        (
            "63 clusters: more than 255 octets",
            Some(id(1)),
            vec![id(9); 63],
        ),
        ("300 clusters", Some(id(1)), vec![id(9); 300]),
    ];
    play(
        "reflection::what_another_added",
        &rows,
        |row| row.0.to_owned(),
        |scene, (_, originator, clusters)| {
            for (from, to) in [(Client, NonClient), (NonClient, Client)] {
                let mut sender = scene.peer(from)?;
                let mut receiver = scene.peer(to)?;
                let mut parts = sender.attributes();
                if let Some(originator) = originator {
                    parts = parts.and(octets::originator_id(*originator));
                }
                if !clusters.is_empty() {
                    parts = parts.and(octets::cluster_list(clusters));
                }
                sender.announce(&parts, &[target()]);
                let route = receiver.route(&target())?;
                let wanted = originator.unwrap_or(sender.address).octets();
                check(route.value(code::ORIGINATOR_ID) == Some(&wanted), || {
                    format!("{route:02x?}")
                })?;
                let list: Vec<u8> = [&[CLUSTER][..], clusters]
                    .concat()
                    .iter()
                    .flat_map(Ipv4Addr::octets)
                    .collect();
                check(route.value(code::CLUSTER_LIST) == Some(&list), || {
                    format!("{route:02x?}")
                })?;
            }
            Ok(())
        },
    )
}

/// Routes that have been here before are not taken (RFC 4456 §8, RFC 4271 §9.1.2), and an older
/// route to the same prefix goes (RFC 4271 §3.1: the newer replaces it).
#[test]
fn loops() -> Result<()> {
    type Row = (&'static str, PeerRole, fn(Parts) -> Parts);
    #[rustfmt::skip] // a row is a line
    let rows: &[Row] = &[
        ("our cluster", Client, |p| p.and(octets::cluster_list(&[CLUSTER]))),
        ("our cluster, last of three", Client, |p| p.and(octets::cluster_list(&[ROUTER, Ipv4Addr::LOCALHOST, CLUSTER]))),
        ("our cluster from a non-client", NonClient, |p| p.and(octets::cluster_list(&[CLUSTER]))),
        ("our identifier", Client, |p| p.and(octets::originator_id(ROUTER))),
        ("our identifier from a non-client", NonClient, |p| p.and(octets::originator_id(ROUTER))),
        ("our AS", External, |p| p.set(octets::as_path(&[EXTERNAL_ASN, ASN, 7]))),
        ("our AS in a set", External, |p| p.set(attribute(0x40, code::AS_PATH, &[octets::segment(2, &[EXTERNAL_ASN]), octets::segment(1, &[7, ASN])].concat()))),
        ("our AS from a client", Client, |p| p.set(octets::as_path(&[7, ASN]))),
    ];
    play(
        "reflection::loops",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, role, looped)| {
            let mut witness = scene.peer(Client)?;
            let mut sender = scene.peer(*role)?;
            let parts = looped(sender.attributes());
            let fresh = prefix("10.203.0.0/24");
            sender.announce_plain(target());
            witness.route(&target())?;
            sender.announce(&parts, &[target(), fresh]);
            witness.settle(&mut sender)?;
            check(witness.wire.route(&fresh).is_none(), || {
                "a looped route was taken".to_owned()
            })?;
            let old = witness.wire.route(&target());
            check(old.is_none(), || {
                format!("the old route was kept: {old:02x?}")
            })
        },
    )
}

/// The values of CLUSTER_LIST that are no loop.
#[test]
fn no_loops() -> Result<()> {
    let rows: &[Extra] = &[
        ("our identifier in CLUSTER_LIST", |p| {
            p.and(octets::cluster_list(&[ROUTER]))
        }),
        ("our cluster as ORIGINATOR_ID", |p| {
            p.and(octets::originator_id(CLUSTER))
        }),
        ("the same AS twice", |p| p.set(octets::as_path(&[7, 7, 7]))),
    ];
    play(
        "reflection::no_loops",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, change)| {
            let mut witness = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            let parts = change(sender.attributes());
            sender.announce(&parts, &[target()]);
            witness.route(&target()).map(drop)
        },
    )
}

/// Where routes with well-known communities may go (RFC 1997).
#[test]
fn well_known_communities() -> Result<()> {
    let rows: &[(&str, u32, bool, bool)] = &[
        ("NO_EXPORT", 0xffff_ff01, true, false),
        ("NO_ADVERTISE", 0xffff_ff02, false, false),
        ("NO_EXPORT_SUBCONFED", 0xffff_ff03, true, false),
        ("none of them", 0xffff_ff77, true, true),
    ];
    play(
        "reflection::well_known_communities",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, community, inside, outside)| {
            for from in [Client, NonClient, External] {
                let mut sender = scene.peer(from)?;
                let mut client = scene.peer(Client)?;
                let mut external = scene.peer(External)?;
                sender.announce_plain(target());
                client.route(&target())?;
                external.route(&target())?;
                let parts = sender
                    .attributes()
                    .and(octets::communities(&[7, *community]));
                sender.announce(&parts, &[target()]);
                for (receiver, wanted) in [(&mut client, *inside), (&mut external, *outside)] {
                    receiver.settle(&mut sender)?;
                    let found = receiver.wire.route(&target());
                    check(found.is_some() == wanted, || {
                        format!("from {from:?}: {found:02x?}")
                    })?;
                }
                sender.withdraw(target());
                client.wire.wait_no_route(&target(), LIMIT)?;
            }
            Ok(())
        },
    )
}

/// Nobody is sent a route of its own, not even as a withdraw (RFC 4456 §6, RFC 4271 §9.2).
#[test]
fn nothing_goes_back_to_its_source() -> Result<()> {
    play(
        "reflection::nothing_goes_back",
        &[Client, NonClient, External],
        |role| format!("{role:?}"),
        |scene, role| {
            let mut sender = scene.peer(*role)?;
            let mut witness = scene.peer(Client)?;
            let mut other = scene.peer(Client)?;
            let before = said(&sender, &target());
            for med in [1, 2, 3] {
                let parts = sender.attributes().and(octets::med(med));
                sender.announce(&parts, &[target()]);
                witness.settle(&mut sender)?;
            }
            sender.withdraw(target());
            witness.wire.wait_no_route(&target(), LIMIT)?;
            sender.settle(&mut other)?;
            let after = said(&sender, &target());
            check((before, after) == (0, 0), || format!("{after} times"))
        },
    )
}

/// How often `peer` was told anything about `prefix`.
fn said(peer: &Peer, prefix: &IpNet) -> usize {
    let updates = peer
        .wire
        .heard()
        .iter()
        .filter(|heard| heard.message.kind == kind::UPDATE);
    updates
        .filter_map(|heard| octets::ParsedUpdate::parse(&heard.message.body).ok())
        .filter(|update| {
            update.unreach.contains(prefix) || update.reach.iter().any(|(other, _)| other == prefix)
        })
        .count()
}

/// When the best route changes hands, its new source loses it and its old source gets it.
#[test]
fn the_best_route_changes_hands() -> Result<()> {
    play(
        "reflection::changes_hands",
        &[()],
        |()| "two sources".to_owned(),
        |scene, ()| {
            let mut first = scene.peer(Client)?;
            let mut second = scene.peer(Client)?;
            let mut witness = scene.peer(Client)?;
            first.announce_plain(target());
            second.route(&target())?;
            let better = second.attributes().set(octets::local_pref(200));
            second.announce(&better, &[target()]);
            let route = first.route(&target())?;
            compare(&route, &carried(Client, Client, &second, &better))?;
            second.wire.wait_no_route(&target(), LIMIT)?;
            let next_hop = second.address.octets().to_vec();
            witness.wire.wait("the better route", LIMIT, |wire| {
                match wire.route(&target()) {
                    Some(route) if route.next_hop == next_hop => Ok(()),
                    other => Err(format!("{other:02x?}")),
                }
            })?;
            second.withdraw(target());
            first.wire.wait_no_route(&target(), LIMIT)?;
            second.route(&target()).map(drop)
        },
    )
}

/// A route that outgrows 4,096 octets by reflection goes to nobody without extended messages
/// (RFC 8654), is withdrawn there if it was there, and hurts nobody else.
#[test]
fn a_route_that_outgrows_a_message() -> Result<()> {
    play(
        "reflection::outgrows",
        &[()],
        |()| "4096 octets".to_owned(),
        |scene, ()| {
            let mut plain = scene.peer(Client)?;
            let mut extended =
                scene.peer_with(Client, |open| open.with(capability::EXTENDED_MESSAGE, &[]))?;
            let mut sender = scene.peer(Client)?;
            sender.announce_plain(target());
            plain.route(&target())?;
            let parts = sender.attributes();
            // What is left of 4,096 octets after header, lengths, NLRI and the attribute's own header.
            let room = 4096 - 19 - 4 - 4 - 4 - parts.encode().len();
            let large = parts.and(attribute(0xc0, 222, &vec![7; room]));
            sender.announce(&large, &[target()]);
            plain.settle(&mut sender)?;
            let found = plain.wire.route(&target());
            check(found.is_none(), || {
                "the old route is still there".to_owned()
            })?;
            if offers(&extended, capability::EXTENDED_MESSAGE) {
                extended.wire.wait("the large route", LIMIT, |wire| {
                    let value = wire.route(&target()).and_then(|route| route.value(222));
                    if value.map(<[u8]>::len) == Some(room) {
                        Ok(())
                    } else {
                        Err(wire.story())
                    }
                })?;
            }
            // And it comes back when it has shrunk.
            sender.announce_plain(target());
            plain.route(&target()).map(drop)
        },
    )
}

/// Whether the router's OPEN has the capability with `code`.
fn offers(peer: &Peer, code: u8) -> bool {
    let open = peer
        .wire
        .heard()
        .iter()
        .find(|heard| heard.message.kind == kind::OPEN);
    let Some(parameters) = open.and_then(|open| open.message.body.get(10..)) else {
        return false;
    };
    let mut rest = parameters;
    while let [2, length, after @ ..] = rest {
        let Some((mut capabilities, next)) = after.split_at_checked(usize::from(*length)) else {
            return false;
        };
        while let [found, length, after @ ..] = capabilities {
            if *found == code {
                return true;
            }
            capabilities = after.get(usize::from(*length)..).unwrap_or_default();
        }
        rest = next;
    }
    false
}

/// What the attributes of a route must be at its receiver, as code and value.
fn carried(from: PeerRole, to: PeerRole, sender: &Peer, parts: &Parts) -> Vec<(u8, Vec<u8>)> {
    let update = octets::update(&[], &parts.encode(), &[]);
    let sent = octets::ParsedUpdate::parse(&update[octets::HEADER_LEN..]).unwrap_or_default();
    let mut wanted: Vec<(u8, Vec<u8>)> = sent
        .attributes
        .into_iter()
        .map(|attribute| (attribute.code, attribute.value))
        .collect();
    match (from, to) {
        (Client | NonClient, Client | NonClient) => {
            wanted.push((code::ORIGINATOR_ID, sender.address.octets().to_vec()));
            wanted.push((code::CLUSTER_LIST, CLUSTER.octets().to_vec()));
        }
        (External, Client | NonClient) => {
            wanted.push((code::LOCAL_PREF, 100_u32.to_be_bytes().to_vec()));
        }
        (_, External) => {
            wanted.retain(|(code, _)| ![code::LOCAL_PREF, code::MED].contains(code));
            for (code, value) in &mut wanted {
                match *code {
                    code::AS_PATH if from == External => {
                        *value = octets::segment(2, &[ASN, EXTERNAL_ASN])
                    }
                    code::AS_PATH => *value = octets::segment(2, &[ASN]),
                    code::NEXT_HOP => *value = ROUTER.octets().to_vec(),
                    _ => {}
                }
            }
        }
    }
    wanted.sort();
    wanted
}

/// Compares codes and values, and wants ascending codes (RFC 4271 §5 advises them) and right flags.
fn compare(route: &Route, wanted: &[(u8, Vec<u8>)]) -> Result<()> {
    let found: Vec<(u8, Vec<u8>)> = route
        .attributes
        .iter()
        .map(|attribute| (attribute.code, attribute.value.clone()))
        .collect();
    check(found == wanted, || {
        format!("got {found:02x?}\n  not {wanted:02x?}")
    })?;
    for attribute in &route.attributes {
        let flags = attribute.flags & 0xe0;
        let right: &[u8] = match attribute.code {
            code::ORIGIN
            | code::AS_PATH
            | code::NEXT_HOP
            | code::LOCAL_PREF
            | code::ATOMIC_AGGREGATE => &[0x40],
            code::MED | code::ORIGINATOR_ID | code::CLUSTER_LIST => &[0x80],
            250.. => &[0xe0],
            _ => &[0xc0],
        };
        check(right.contains(&flags), || {
            format!("flags of {attribute:02x?}")
        })?;
    }
    Ok(())
}

/// The route that every row is about.
fn target() -> IpNet {
    prefix("10.200.0.0/24")
}
