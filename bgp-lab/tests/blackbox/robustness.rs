//! What must not hurt anybody else: nonsense, silence, floods, slow readers and flapping peers.

use crate::scene::{ASN, LIMIT, Peer, Scene, play, prefix};
use bgp_core::prefix::{IpNet, Ipv4Net};
use bgp_core::rng::Rng;
use bgp_core::types::PeerRole::Client;
use bgp_lab::octets::{self, Open, attribute, code};
use bgp_lab::wire_peer::WirePeer;
use bgp_lab::{Error, Result, check, wait};
use std::net::Ipv4Addr;

/// UPDATEs with a few octets changed at random: whatever that costs their sender, the others go on.
#[test]
fn damaged_updates() -> Result<()> {
    let seeds: Vec<u64> = (0..200).collect();
    let name = |seed: &u64| format!("seed {seed}");
    play_with_witness(
        "robustness::damaged_updates",
        &seeds,
        name,
        |scene, seed| {
            let mut rng = Rng::new(*seed);
            let mut sender = scene.peer(Client)?;
            let parts = sender
                .attributes()
                .and(octets::med(7))
                .and(octets::communities(&[1, 2, 3]))
                .and(octets::cluster_list(&[Ipv4Addr::new(9, 9, 9, 9)]))
                .and(attribute(0xc0, code::LARGE_COMMUNITIES, &[3; 12]))
                .and(octets::mp_reach(2, &[0x20; 16], &[32, 0x20, 1, 0x0d, 0xb8]));
            let mut update = octets::update(&[], &parts.encode(), &octets::nlri([&target()]));
            for _ in 0..=rng.below(3) {
                damage(&mut update, octets::HEADER_LEN, &mut rng);
            }
            sender.wire.send(&update);
            end(sender)
        },
    )
}

/// The same for OPENs.
#[test]
fn damaged_opens() -> Result<()> {
    let seeds: Vec<u64> = (0..200).collect();
    let name = |seed: &u64| format!("seed {seed}");
    play_with_witness("robustness::damaged_opens", &seeds, name, |scene, seed| {
        let mut rng = Rng::new(*seed);
        let (mut wire, address) = scene.connect(1)?;
        let mut open = Open::new(ASN, address)
            .with(64, &[0, 120, 0, 1, 1, 0])
            .with(69, &[0, 1, 1, 3])
            .with(73, b"\x04host\x03dom")
            .encode();
        for _ in 0..=rng.below(3) {
            damage(&mut open, 0, &mut rng);
        }
        wire.send(&open);
        wire.send(&octets::keepalive());
        wire.send(&octets::notification(6, 2, &[]));
        wire.finish()?; // the damage may make it wait for more
        wire.wait_closed(LIMIT)
    })
}

/// Octets that are no BGP at all.
#[test]
fn nonsense() -> Result<()> {
    let seeds: Vec<u64> = (0..50).collect();
    let name = |seed: &u64| format!("seed {seed}");
    play_with_witness("robustness::nonsense", &seeds, name, |scene, seed| {
        let mut rng = Rng::new(*seed);
        let (mut wire, _) = scene.connect(1)?;
        let octets: Vec<u8> = (0..64).flat_map(|_| rng.next_u64().to_be_bytes()).collect();
        wire.send(&octets);
        wire.wait_closed(LIMIT)
    })
}

/// A message that stops in the middle, and then the end.
#[test]
fn messages_cut_short() -> Result<()> {
    let lengths: Vec<usize> = (0..64).collect();
    let name = |length: &usize| format!("{length} octets");
    play_with_witness(
        "robustness::messages_cut_short",
        &lengths,
        name,
        |scene, length| {
            let mut sender = scene.peer(Client)?;
            let parts = sender.attributes();
            let update = octets::update(&[], &parts.encode(), &octets::nlri([&target()]));
            sender.wire.send(update.get(..*length).unwrap_or(&update));
            end(sender)
        },
    )
}

/// Connections on which nobody speaks leave room for others.
#[test]
fn silent_connections() -> Result<()> {
    play(
        "robustness::silent_connections",
        &[300],
        |count| format!("{count}"),
        |scene, count| {
            let silent: Vec<WirePeer> = (0..*count)
                .map(|_| scene.connect(1).map(|(wire, _)| wire))
                .collect::<Result<_>>()?;
            let mut witness = scene.peer(Client)?;
            let mut peer = scene.peer(Client)?;
            witness.settle(&mut peer)?;
            drop(silent);
            witness.settle(&mut peer)
        },
    )
}

/// A peer that comes, announces and goes, over and over, leaves nothing behind.
#[test]
fn a_flapping_peer() -> Result<()> {
    play(
        "robustness::a_flapping_peer",
        &[50],
        |count| format!("{count} times"),
        |scene, count| {
            let mut witness = scene.peer(Client)?;
            let (first, address) = scene.connect(1)?;
            first.abort();
            for _ in 0..*count {
                // Until it has noticed the last reset, it may refuse a second connection.
                let mut wire = wait::until("a session", LIMIT, || {
                    let mut wire = scene.connect_from(address)?;
                    wire.establish(&Open::new(ASN, address), LIMIT)?;
                    Ok::<_, Error>(wire)
                })?;
                let parts = crate::scene::Parts::new(Client, address);
                wire.send(&octets::update(
                    &[],
                    &parts.encode(),
                    &octets::nlri([&target()]),
                ));
                wire.abort();
            }
            let mut other = scene.peer(Client)?;
            witness.settle(&mut other)?;
            witness.wire.wait_no_route(&target(), LIMIT)
        },
    )
}

/// A peer that does not read: the others hear everything, and when it reads again it has the last
/// state of every route.
#[test]
fn a_peer_that_does_not_read() -> Result<()> {
    const ROUTES: u16 = 256;
    play(
        "robustness::does_not_read",
        &[100_u32],
        |count| format!("{count} rounds"),
        |scene, rounds| {
            let mut slow = scene.peer(Client)?;
            let mut witness = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            // Each route alone in its UPDATE of 1,100 octets, changed in every round: 28 MB in all,
            // more than the buffers of a connection hold.
            for round in 1..=*rounds {
                for index in 0..ROUTES {
                    let parts = sender
                        .attributes()
                        .set(octets::as_path(&[u32::from(index) + 1]))
                        .and(octets::med(round))
                        .and(attribute(0xc0, 222, &[7; 1000]));
                    sender.announce(&parts, &[many(index)]);
                }
                witness.settle(&mut sender)?;
            }
            for peer in [&mut witness, &mut slow] {
                peer.wire
                    .wait("the last state of every route", LIMIT, |wire| {
                        let last = |index| {
                            let med = wire
                                .route(&many(index))
                                .and_then(|route| route.value(code::MED));
                            med == Some(&rounds.to_be_bytes())
                        };
                        let right = (0..ROUTES).filter(|index| last(*index)).count();
                        if right == usize::from(ROUTES) {
                            Ok(())
                        } else {
                            Err(format!(
                                "{right} of {ROUTES}; {} messages",
                                wire.heard().len()
                            ))
                        }
                    })?;
            }
            check(slow.updates() < witness.updates(), || {
                format!(
                    "{} UPDATEs to the slow one, {} to the other",
                    slow.updates(),
                    witness.updates()
                )
            })
        },
    )
}

/// Routes at the edges of what is allowed.
#[test]
fn edges() -> Result<()> {
    let long_path: Vec<u32> = (1..=250).collect();
    let rows: Vec<(&str, IpNet, Vec<u8>)> = vec![
        ("default route", prefix("0.0.0.0/0"), Vec::new()),
        ("host route", prefix("203.0.113.77/32"), Vec::new()),
        ("a path of 750 numbers", target(), {
            let segments = octets::segment(2, &long_path).repeat(3);
            attribute(0x40, code::AS_PATH, &segments)
        }),
        ("a path of one set of 255", target(), {
            let set: Vec<u32> = (1..=255).collect();
            attribute(0x40, code::AS_PATH, &octets::segment(1, &set))
        }),
        ("900 communities", target(), octets::communities(&[3; 900])),
    ];
    play(
        "robustness::edges",
        &rows,
        |row| row.0.to_owned(),
        |scene, (_, prefix, extra)| {
            let mut witness = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            let mut parts = sender.attributes();
            if !extra.is_empty() {
                parts = parts.set(extra.clone());
            }
            sender.announce(&parts, &[*prefix]);
            let route = witness.route(prefix)?;
            if let [flags, code, rest @ ..] = extra.as_slice() {
                let header = if flags & octets::flag::EXTENDED == 0 {
                    1
                } else {
                    2
                };
                let value = route.value(*code);
                check(value == rest.get(header..), || format!("{value:02x?}"))?;
            }
            Ok(())
        },
    )
}

/// Two hundred attributes that nobody knows, in one UPDATE.
#[test]
fn many_unknown_attributes() -> Result<()> {
    play(
        "robustness::many_unknown",
        &[100_u8],
        |count| format!("{count}"),
        |scene, count| {
            let mut witness = scene.peer(Client)?;
            let mut sender = scene.peer(Client)?;
            let mut parts = sender.attributes();
            for code in 150..150 + *count {
                parts = parts.and(attribute(0xc0, code, &[code; 8]));
            }
            sender.announce(&parts, &[target()]);
            let route = witness.route(&target())?;
            let unknown = route
                .attributes
                .iter()
                .filter(|attribute| attribute.code >= 150);
            check(unknown.count() == usize::from(*count), || {
                format!("{route:02x?}")
            })
        },
    )
}

/// Plays rows beside a pair of peers that must never notice.
fn play_with_witness<T>(
    test: &str,
    rows: &[T],
    name: impl Fn(&T) -> String,
    row: impl Fn(&Scene, &T) -> Result<()>,
) -> Result<()> {
    let pair = std::cell::RefCell::new(None);
    play(test, rows, name, |scene, one| {
        if pair.borrow().is_none() {
            *pair.borrow_mut() = Some((scene.peer(Client)?, scene.peer(Client)?));
        }
        row(scene, one)?;
        match &mut *pair.borrow_mut() {
            Some((witness, peer)) => witness.settle(peer),
            None => Ok(()),
        }
    })
}

/// Ends a session, whatever state it is in, and waits until the router has noticed.
fn end(mut peer: Peer) -> Result<()> {
    peer.wire.finish()?;
    peer.wire.wait_closed(LIMIT)
}

/// Changes one octet at or after `from`.
fn damage(octets: &mut [u8], from: usize, rng: &mut Rng) {
    let choices = u64::try_from(octets.len().saturating_sub(from)).unwrap_or(0);
    let at = from + usize::try_from(rng.below(choices)).unwrap_or(0);
    if let Some(octet) = octets.get_mut(at) {
        *octet = u8::try_from(rng.below(256)).unwrap_or(0);
    }
}

fn target() -> IpNet {
    prefix("10.200.0.0/24")
}

/// The `index`th of many prefixes.
fn many(index: u16) -> IpNet {
    let [high, low] = index.to_be_bytes();
    Ipv4Net::new_assert(Ipv4Addr::new(10, 220 + high, low, 0), 24).into()
}
