//! Which of several routes wins (RFC 4271 §9.1.2.2, RFC 4456 §9), in every order of arrival.
//!
//! Contenders get ascending addresses, which are their identifiers too, so the first one listed
//! wins all that is not decided before.

use crate::scene::{LIMIT, Parts, Peer, Scene, play};
use bgp_core::prefix::{IpNet, Ipv4Net};
use bgp_core::types::PeerRole;
use bgp_lab::octets::{self, attribute, code, segment};
use bgp_lab::{Result, check};
use std::net::Ipv4Addr;

use PeerRole::{Client, External, NonClient};

/// A contender: its role, and what it changes in its route.
type Contender = (PeerRole, fn(Parts) -> Parts);

/// A name, the contenders, and which of them wins.
type Row = (&'static str, &'static [Contender], usize);

#[rustfmt::skip] // a row is a line
const ROWS: &[Row] = &[
    ("LOCAL_PREF before all", &[(Client, |p| p), (Client, |p| p.set(octets::local_pref(101)).set(octets::as_path(&[1, 2, 3])).set(octets::origin(2))), (Client, |p| p.set(octets::local_pref(99)))], 1),
    ("LOCAL_PREF is unsigned", &[(Client, |p| p), (Client, |p| p.set(octets::local_pref(u32::MAX)))], 1),
    ("shorter AS_PATH", &[(Client, |p| p.set(octets::as_path(&[1, 2]))), (Client, |p| p.set(octets::as_path(&[9])).set(octets::origin(2)))], 1),
    ("empty AS_PATH", &[(Client, |p| p.set(octets::as_path(&[1]))), (Client, |p| p.set(octets::origin(2)))], 1),
    ("a set counts as one", &[(Client, |p| p.set(octets::as_path(&[1, 2, 3]))), (Client, |p| p.set(path_with_set())), (Client, |p| p.set(octets::as_path(&[1, 2, 3])))], 1),
    ("ORIGIN: IGP before EGP", &[(Client, |p| p.set(octets::origin(1))), (Client, |p| p.and(octets::med(7)))], 1),
    ("ORIGIN: EGP before INCOMPLETE", &[(Client, |p| p.set(octets::origin(2))), (Client, |p| p.set(octets::origin(1)))], 1),
    ("lower MED", &[(Client, |p| p.and(octets::med(20))), (Client, |p| p.and(octets::med(10)))], 1),
    ("lower MED of one neighbouring AS", &[(Client, |p| p.set(octets::as_path(&[7])).and(octets::med(20))), (Client, |p| p.set(octets::as_path(&[7])).and(octets::med(10)))], 1),
    ("no MED is the lowest", &[(Client, |p| p.and(octets::med(1))), (Client, |p| p)], 1),
    ("MED is unsigned", &[(Client, |p| p.and(octets::med(u32::MAX))), (Client, |p| p.and(octets::med(1)))], 1),
    ("MED of different neighbouring AS does not count", &[(Client, |p| p.set(octets::as_path(&[7])).and(octets::med(20))), (Client, |p| p.set(octets::as_path(&[8])).and(octets::med(10)))], 0),
    ("external before internal", &[(Client, |p| p.set(octets::as_path(&[7]))), (External, |p| p)], 1),
    ("external before internal, whatever the client", &[(NonClient, |p| p.set(octets::as_path(&[7]))), (Client, |p| p.set(octets::as_path(&[7]))), (External, |p| p)], 2),
    ("lower identifier", &[(Client, |p| p), (Client, |p| p), (Client, |p| p)], 0),
    ("lower ORIGINATOR_ID in the place of the identifier", &[(Client, |p| p), (Client, |p| p.and(octets::originator_id(Ipv4Addr::new(1, 1, 1, 1))))], 1),
    ("identifiers are unsigned", &[(Client, |p| p.and(octets::originator_id(Ipv4Addr::new(200, 1, 1, 1)))), (Client, |p| p)], 1),
    ("shorter CLUSTER_LIST", &[(Client, |p| originated(p, 2)), (Client, |p| originated(p, 1))], 1),
    ("no CLUSTER_LIST is the shortest", &[(Client, |p| originated(p, 1)), (Client, |p| originated(p, 0))], 1),
    ("identifier before CLUSTER_LIST", &[(Client, |p| p.and(octets::cluster_list(&[Ipv4Addr::new(9, 9, 9, 9); 3]))), (Client, |p| p)], 0),
    ("lower address", &[(Client, |p| originated(p, 1)), (Client, |p| originated(p, 1))], 0),
    // The first loses to the third by MED, the third to the second by identifier; the first would
    // win against the second, but is out of the race.
    ("MED groups", &[
        (Client, |p| p.set(octets::as_path(&[7])).and(octets::med(20))),
        (Client, |p| p.set(octets::as_path(&[8])).and(octets::med(15))),
        (Client, |p| p.set(octets::as_path(&[7])).and(octets::med(10))),
    ], 1),
    ("two MED groups", &[
        (Client, |p| p.set(octets::as_path(&[7])).and(octets::med(20))),
        (Client, |p| p.set(octets::as_path(&[8])).and(octets::med(20))),
        (Client, |p| p.set(octets::as_path(&[7])).and(octets::med(10))),
        (Client, |p| p.set(octets::as_path(&[8])).and(octets::med(10))),
    ], 2),
];

#[test]
fn the_best_of_several_in_every_order() -> Result<()> {
    play(
        "decision::the_best_of_several",
        ROWS,
        |row| row.0.to_owned(),
        row,
    )
}

fn row(scene: &Scene, (_, contenders, winner): &Row) -> Result<()> {
    let mut witness = scene.peer(Client)?;
    let mut peers: Vec<Peer> = Vec::new();
    for (role, _) in *contenders {
        peers.push(scene.peer(*role)?);
    }
    for (number, order) in (0..).zip(permutations(contenders.len())) {
        let target: IpNet = Ipv4Net::new_assert(Ipv4Addr::new(10, 210, number, 0), 24).into();
        for index in &order {
            let peer = &mut peers[*index];
            let parts = contenders[*index].1(peer.attributes());
            peer.announce(&parts, &[target]);
            witness.settle(peer)?;
        }
        let next_hop = peers[*winner].address.octets();
        witness
            .wire
            .wait(&format!("the winner in order {order:?}"), LIMIT, |wire| {
                let found = wire.route(&target).map(|route| route.next_hop.as_slice());
                if found == Some(&next_hop) {
                    Ok(())
                } else {
                    Err(format!("{found:?} won"))
                }
            })?;
    }
    Ok(())
}

/// When the winner goes, the best of the others is announced; when all are gone, nothing is.
#[test]
fn the_next_best_follows() -> Result<()> {
    play(
        "decision::the_next_best_follows",
        &[()],
        |()| "three".to_owned(),
        |scene, ()| {
            let target: IpNet = Ipv4Net::new_assert(Ipv4Addr::new(10, 210, 0, 0), 24).into();
            let mut witness = scene.peer(NonClient)?;
            let mut peers = [
                scene.peer(Client)?,
                scene.peer(Client)?,
                scene.peer(Client)?,
            ];
            for (peer, preference) in peers.iter_mut().zip([1, 2, 3]) {
                let parts = peer.attributes().set(octets::local_pref(preference));
                peer.announce(&parts, &[target]);
                witness.settle(peer)?;
            }
            for peer in peers.iter_mut().rev() {
                let next_hop = peer.address.octets();
                let found = witness.route(&target)?;
                check(found.next_hop == next_hop, || format!("{found:02x?}"))?;
                peer.withdraw(target);
                witness.settle(peer)?;
            }
            check(witness.wire.route(&target).is_none(), || {
                "it is still there".to_owned()
            })
        },
    )
}

fn path_with_set() -> Vec<u8> {
    let segments = [segment(2, &[1]), segment(1, &[2, 3, 4, 5])].concat();
    attribute(0x40, code::AS_PATH, &segments)
}

/// One originator for all, and so many clusters.
fn originated(parts: Parts, clusters: usize) -> Parts {
    let parts = parts.and(octets::originator_id(Ipv4Addr::new(1, 1, 1, 1)));
    if clusters == 0 {
        return parts;
    }
    parts.and(octets::cluster_list(&vec![
        Ipv4Addr::new(9, 9, 9, 9);
        clusters
    ]))
}

/// All orders of `0..count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for index in 0..count {
        orders = orders
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, index);
                    longer
                })
            })
            .collect();
    }
    orders
}
