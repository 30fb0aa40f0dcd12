//! How routes travel: packing, families, markers, refresh, and the width of AS numbers.

use crate::scene::{LIMIT, Parts, Peer, play, prefix};
use bgp_core::prefix::{IpNet, Ipv4Net};
use bgp_core::types::PeerRole::{Client, NonClient};
use bgp_lab::octets::{self, ParsedUpdate, attribute, capability, code, kind, segment};
use bgp_lab::{Result, check};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Routes with the same attributes share UPDATEs, when they are reflected, when a peer comes late,
/// and when they are withdrawn.
#[test]
fn one_update_for_many_routes() -> Result<()> {
    play(
        "exchange::one_update_for_many",
        &[700_u16, 3_000],
        |count| format!("{count} routes"),
        |scene, count| {
            let mut early = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            let routes: Vec<IpNet> = (0..*count).map(many).collect();
            let parts = sender.attributes();
            for some in routes.chunks(700) {
                sender.announce(&parts, some);
            }
            wait_count(&mut early, routes.len())?;
            // 4,096 octets hold about 900 of them.
            let enough = usize::from(*count) / 700 + 2;
            check(announcing(&early) <= enough, || {
                format!("{} UPDATEs", announcing(&early))
            })?;
            let mut late = scene.peer(NonClient)?;
            wait_count(&mut late, routes.len())?;
            check(announcing(&late) <= enough, || {
                format!("{} UPDATEs to a late peer", announcing(&late))
            })?;
            check_lengths(&late, 4096)?;
            let before = early.updates();
            drop(sender);
            wait_count(&mut early, 0)?;
            let withdrawing = early.updates() - before;
            check(withdrawing <= enough, || {
                format!("{withdrawing} UPDATEs to withdraw")
            })
        },
    )
}

/// The last of many changes to one route is what remains, whatever was left out on the way.
#[test]
fn the_last_change_remains() -> Result<()> {
    play(
        "exchange::the_last_change",
        &[2_u32, 500],
        |count| format!("{count} changes"),
        |scene, count| {
            let mut witness = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            for med in 1..=*count {
                let parts = sender.attributes().and(octets::med(med));
                sender.announce(&parts, &[target()]);
                if med % 7 == 0 {
                    sender.withdraw(target());
                    sender.announce(&parts, &[target()]);
                }
            }
            witness.settle(&mut sender)?;
            let route = witness.route(&target())?;
            let med = route.value(code::MED);
            check(med == Some(&count.to_be_bytes()), || format!("{med:?}"))
        },
    )
}

/// End-of-RIB of each family comes once, after the routes that were there (RFC 4724 §2).
#[test]
fn end_of_rib_follows_the_table() -> Result<()> {
    type Row = (&'static str, &'static [(u8, &'static [u8])], &'static [u16]);
    #[rustfmt::skip] // a row is a line
    let rows: &[Row] = &[
        ("both families", &[(capability::MULTIPROTOCOL, &[0, 1, 0, 1]), (capability::MULTIPROTOCOL, &[0, 2, 0, 1])], &[1, 2]),
        ("IPv4", &[(capability::MULTIPROTOCOL, &[0, 1, 0, 1])], &[1]),
        ("IPv6", &[(capability::MULTIPROTOCOL, &[0, 2, 0, 1])], &[2]),
        ("no capability", &[], &[1]),
    ];
    play(
        "exchange::end_of_rib",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, capabilities, families)| {
            let mut sender = scene.peer(Client)?;
            let mut witness = scene.peer(Client)?;
            sender.announce(&sender.attributes(), &[target()]);
            sender
                .wire
                .send(&v6_update(&sender.attributes(), &[0x20; 16]));
            for prefix in [target(), six()] {
                witness.route(&prefix)?;
            }
            let mut late = scene.peer_with(Client, |mut open| {
                open.capabilities = capabilities
                    .iter()
                    .map(|(code, value)| (*code, value.to_vec()))
                    .collect();
                open
            })?;
            late.wire.wait("End-of-RIB", LIMIT, |wire| {
                let found: BTreeSet<u16> = wire.ends_of_rib().iter().copied().collect();
                if found == families.iter().copied().collect() {
                    Ok(())
                } else {
                    Err(wire.story())
                }
            })?;
            for (prefix, family) in [(target(), 1), (six(), 2)] {
                let there = late.wire.route(&prefix).is_some();
                check(there == families.contains(&family), || {
                    format!("{prefix}: {there}")
                })?;
            }
            check(late.wire.ends_of_rib().len() == families.len(), || {
                "a marker came twice".to_owned()
            })
        },
    )
}

/// IPv6 next hops of 16 and of 32 octets, and of an IPv4 route (RFC 2545, RFC 8950), are reflected
/// as they are, with MP_REACH_NLRI first.
#[test]
fn next_hops_of_ipv6() -> Result<()> {
    let link_local: &[u8] = &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let global: &[u8] = &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let rows = [
        ("global", global.to_vec()),
        ("global and link-local", [global, link_local].concat()),
    ];
    play(
        "exchange::next_hops_of_ipv6",
        &rows,
        |row| row.0.to_owned(),
        |scene, (_, next_hop)| {
            let mut witness = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            sender.wire.send(&v6_update(&sender.attributes(), next_hop));
            let route = witness.route(&six())?;
            check(route.next_hop == *next_hop, || format!("{route:02x?}"))?;
            check(route.value(code::NEXT_HOP).is_none(), || {
                "NEXT_HOP beside MP_REACH_NLRI".to_owned()
            })?;
            let first = first_attribute_of_last_update(&witness);
            check(first == Some(code::MP_REACH), || {
                format!("attribute {first:?} came first")
            })?;
            sender.wire.send(&octets::update(
                &[],
                &octets::mp_unreach(2, &octets::nlri([&six()])),
                &[],
            ));
            witness.wire.wait_no_route(&six(), LIMIT)
        },
    )
}

#[test]
fn ipv4_routes_with_next_hops_of_ipv6() -> Result<()> {
    play(
        "exchange::rfc8950",
        &[()],
        |()| "RFC 8950".to_owned(),
        |scene, ()| {
            let extended =
                |open: octets::Open| open.with(capability::EXTENDED_NEXT_HOP, &[0, 1, 0, 1, 0, 2]);
            let mut able = scene.peer_with(Client, extended)?;
            let mut unable = scene.peer(Client)?;
            let mut sender = scene.peer_with(Client, extended)?;
            sender.announce_plain(target());
            unable.route(&target())?;
            let attributes = sender.attributes().without(code::NEXT_HOP).encode();
            let reach = octets::mp_reach(1, &[0x20; 16], &octets::nlri([&target()]));
            sender
                .wire
                .send(&octets::update(&[], &[reach, attributes].concat(), &[]));
            able.wire.wait("the IPv6 next hop", LIMIT, |wire| {
                match wire.route(&target()) {
                    Some(route) if route.next_hop == [0x20; 16] => Ok(()),
                    other => Err(format!("{other:02x?}")),
                }
            })?;
            // It cannot be told to the other one, which must not keep the old route either.
            unable.wire.wait_no_route(&target(), LIMIT)
        },
    )
}

/// ROUTE-REFRESH (RFC 2918) brings everything again; with RFC 7313 between two markers.
#[test]
fn refresh() -> Result<()> {
    let rows: &[(&str, bool, u16)] = &[
        ("plain, IPv4", false, 1),
        ("plain, IPv6", false, 2),
        ("enhanced, IPv4", true, 1),
        ("enhanced, IPv6", true, 2),
    ];
    play(
        "exchange::refresh",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, enhanced, afi)| {
            let mut sender = scene.peer(Client)?;
            let mut peer = scene.peer_with(Client, |open| {
                if *enhanced {
                    open.with(capability::ENHANCED_REFRESH, &[])
                } else {
                    open
                }
            })?;
            let mut idle = scene.peer(Client)?;
            sender.announce(&sender.attributes(), &[target()]);
            sender
                .wire
                .send(&v6_update(&sender.attributes(), &[0x20; 16]));
            for prefix in [target(), six()] {
                peer.route(&prefix)?;
                idle.route(&prefix)?;
            }
            let (before, idle_before) = (peer.wire.heard().len(), idle.updates());
            peer.wire.send(&octets::route_refresh(*afi, 0, 1));
            let wanted = if *afi == 1 { target() } else { six() };
            peer.wire.wait("the routes again", LIMIT, |wire| {
                let again = wire.heard().get(before..).unwrap_or_default();
                let mut story: Vec<String> = again
                    .iter()
                    .filter_map(|heard| tell(&heard.message))
                    .collect();
                story.retain(|word| !word.starts_with("end"));
                let expected = if *enhanced {
                    vec![
                        format!("begin {afi}"),
                        wanted.to_string(),
                        format!("finish {afi}"),
                    ]
                } else {
                    vec![wanted.to_string()]
                };
                if story == expected {
                    Ok(())
                } else {
                    Err(format!("{story:?}"))
                }
            })?;
            idle.settle(&mut sender)?;
            let barrier = 2;
            check(idle.updates() <= idle_before + barrier, || {
                "the refresh went to others too".to_owned()
            })
        },
    )
}

/// One word for a message that a refresh may bring.
fn tell(message: &octets::Message) -> Option<String> {
    match (message.kind, message.body.as_slice()) {
        (kind::ROUTE_REFRESH, [high, low, subtype, _]) => {
            let afi = u16::from_be_bytes([*high, *low]);
            let word = if *subtype == 1 { "begin" } else { "finish" };
            Some(format!("{word} {afi}"))
        }
        (kind::UPDATE, body) => {
            let update = ParsedUpdate::parse(body).ok()?;
            match (update.end_of_rib, update.reach.first()) {
                (Some(afi), _) => Some(format!("end {afi}")),
                (None, Some((prefix, _))) => Some(prefix.to_string()),
                (None, None) => Some("withdrawn".to_owned()),
            }
        }
        _ => None,
    }
}

/// Paths between speakers of two and of four octets (RFC 6793 §4.2).
#[test]
fn the_width_of_as_numbers() -> Result<()> {
    type Row = (
        &'static str,
        &'static [u32],
        &'static [u16],
        Option<&'static [u32]>,
    );
    let rows: &[Row] = &[
        ("all fit", &[7, 65_001], &[7, 65_001], None),
        (
            "one does not",
            &[4_200_000_000, 7],
            &[23_456, 7],
            Some(&[4_200_000_000, 7]),
        ),
        ("none", &[], &[], None),
    ];
    play(
        "exchange::the_width_of_as_numbers",
        rows,
        |row| row.0.to_owned(),
        |scene, (_, wide, narrow, as4)| {
            let mut old = scene.peer_with(Client, two_octet)?;
            let mut new = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            sender.announce(&sender.attributes().set(octets::as_path(wide)), &[target()]);
            let route = old.route(&target())?;
            let path = narrow_segment(narrow);
            check(route.value(code::AS_PATH) == Some(&path), || {
                format!("{route:02x?}")
            })?;
            let as4 = as4.map(|as4| segment(2, as4));
            check(route.value(code::AS4_PATH) == as4.as_deref(), || {
                format!("{route:02x?}")
            })?;
            // And back: what the old speaker announces reaches the new one in full.
            let other = prefix("10.205.0.0/24");
            let mut parts = old.attributes().set(attribute(0x40, code::AS_PATH, &path));
            if let Some(as4) = &as4 {
                parts = parts.and(attribute(0xc0, code::AS4_PATH, as4));
            }
            old.announce(&parts, &[other]);
            let route = new.route(&other)?;
            let wide = segment(2, wide);
            check(route.value(code::AS_PATH) == Some(&wide), || {
                format!("{route:02x?}")
            })?;
            check(route.value(code::AS4_PATH).is_none(), || {
                "AS4_PATH to a new speaker".to_owned()
            })
        },
    )
}

fn two_octet(mut open: octets::Open) -> octets::Open {
    open.two_octet = true;
    open
}

fn narrow_segment(asns: &[u16]) -> Vec<u8> {
    if asns.is_empty() {
        return Vec::new();
    }
    let mut octets = vec![2, u8::try_from(asns.len()).unwrap_or(u8::MAX)];
    octets.extend(asns.iter().flat_map(|asn| asn.to_be_bytes()));
    octets
}

/// Messages of more than 4,096 octets between those that negotiated them (RFC 8654).
#[test]
fn extended_messages() -> Result<()> {
    play(
        "exchange::extended_messages",
        &[5_000_usize, 60_000],
        |len| format!("{len} octets"),
        |scene, len| {
            if scene.make == bgp_lab::reflector::Make::Bird {
                return Ok(()); // needs a line in its configuration
            }
            let able = |open: octets::Open| open.with(capability::EXTENDED_MESSAGE, &[]);
            let mut sender = scene.peer_with(Client, able)?;
            let mut receiver = scene.peer_with(Client, able)?;
            let parts = sender
                .attributes()
                .and(attribute(0xc0, 222, &vec![7; *len]));
            sender.announce(&parts, &[target()]);
            let route = receiver.route(&target())?;
            check(route.value(222).map(<[u8]>::len) == Some(*len), || {
                "it was cut".to_owned()
            })
        },
    )
}

fn target() -> IpNet {
    prefix("10.200.0.0/24")
}

fn six() -> IpNet {
    prefix("2001:db8:7::/48")
}

/// An UPDATE for the IPv6 route with the attributes of an IPv4 one.
fn v6_update(parts: &Parts, next_hop: &[u8]) -> Vec<u8> {
    let reach = octets::mp_reach(2, next_hop, &octets::nlri([&six()]));
    let rest = parts.clone().without(code::NEXT_HOP).encode();
    octets::update(&[], &[reach, rest].concat(), &[])
}

/// The `index`th of many prefixes.
fn many(index: u16) -> IpNet {
    let [high, low] = index.to_be_bytes();
    Ipv4Net::new_assert(Ipv4Addr::new(10, 220 + high, low, 0), 24).into()
}

fn wait_count(peer: &mut Peer, count: usize) -> Result<()> {
    peer.wire.wait(&format!("{count} routes"), LIMIT, |wire| {
        let found = wire.table().len();
        if found == count {
            Ok(())
        } else {
            Err(format!("{found} routes"))
        }
    })
}

/// How many UPDATEs announced something to `peer`.
fn announcing(peer: &Peer) -> usize {
    let updates = peer
        .wire
        .heard()
        .iter()
        .filter(|heard| heard.message.kind == kind::UPDATE);
    updates
        .filter_map(|heard| ParsedUpdate::parse(&heard.message.body).ok())
        .filter(|update| !update.reach.is_empty())
        .count()
}

fn check_lengths(peer: &Peer, max: usize) -> Result<()> {
    let longest = peer
        .wire
        .heard()
        .iter()
        .map(|heard| heard.message.body.len())
        .max();
    let longest = longest.unwrap_or(0) + octets::HEADER_LEN;
    check(longest <= max, || format!("a message of {longest} octets"))
}

/// The type code of the first attribute of the last UPDATE with a route.
fn first_attribute_of_last_update(peer: &Peer) -> Option<u8> {
    let updates = peer.wire.heard().iter().rev();
    let last = updates.map(|heard| &heard.message).find(|message| {
        message.kind == kind::UPDATE
            && ParsedUpdate::parse(&message.body).is_ok_and(|update| !update.reach.is_empty())
    })?;
    last.body.get(5).copied()
}
