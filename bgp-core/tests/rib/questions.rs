//! Questions and their answers.

use crate::support::*;
use bgp_core::rib::{Cursor, PathState, Reason};
use bgp_core::types::{PeerId, PeerRole};
use bgp_core::wire::PathAttributes;
use std::collections::BTreeSet;

fn attributes(local_pref: u32) -> PathAttributes {
    PathAttributes {
        local_pref: Some(local_pref),
        ..PathAttributes::default()
    }
}

#[test]
fn explain_says_who_lost_by_what() {
    let mut lab = Lab::new();
    for n in 1..=3 {
        lab.up(facts(n, PeerRole::Client));
    }
    let prefix = net("10.1.0.0/24");
    lab.say(1, &attributes(100), &[prefix]);
    lab.say(2, &attributes(200), &[prefix]);
    lab.say(3, &attributes(200), &[prefix]);
    let mut states: Vec<_> = lab
        .rib
        .explain(&prefix)
        .paths
        .into_iter()
        .map(|path| (path.peer.unwrap().0, path.state))
        .collect();
    states.sort_by_key(|(peer, _)| *peer);
    let expected = [
        (1, PathState::Lost(Reason::LocalPref)),
        (2, PathState::Best),
        (3, PathState::Lost(Reason::RouterId)),
    ];
    assert_eq!(states, expected);
    assert!(lab.rib.explain(&net("10.2.0.0/24")).groups.is_empty());
}

#[test]
fn pages_have_everything_once() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    let nets: Vec<_> = (0..9_000).map(|n| nth_net(V6, n)).collect();
    lab.say(1, &attributes(1), &nets);
    lab.say(2, &attributes(1), &nets[8_990..]);
    let (mut seen, mut from, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = lab.rib.loc_rib(V6, from, 1_000);
        assert!(page.items.len() <= 1_000);
        assert!(page.items.iter().all(|path| path.state == PathState::Best));
        seen.extend(page.items.iter().map(|path| path.prefix));
        pages += 1;
        // A cursor may be kept as a number between two questions.
        from = page.next.map(u32::from).map(Cursor::from);
        if from.is_none() {
            break;
        }
    }
    assert_eq!((pages, seen.len()), (9, 9_000));
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 9_000);
    // A small peer in a large table: some pages are empty, and none looks at the whole table.
    let page = lab.rib.adj_rib_in(lab.clients[&2].slot, V6, None, 10);
    assert!(page.items.is_empty() && page.next.is_some());
    assert_eq!(adj_rib_in(&lab.rib, lab.clients[&2].slot, V6).len(), 10);
    assert_eq!(adj_rib_out(&lab.rib, lab.clients[&2].slot, V6).len(), 9_000);
    assert_eq!(adj_rib_out(&lab.rib, lab.clients[&1].slot, V6).len(), 0);
}

#[test]
fn summaries_count() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    let mut other = facts(2, PeerRole::Client);
    other.families = [V4].into_iter().collect();
    lab.up(other);
    let nets: Vec<_> = (0..10).map(|n| nth_net(V4, n)).collect();
    lab.say(1, &attributes(100), &nets);
    lab.say(2, &attributes(200), &nets[..4]);
    let looped = PathAttributes {
        as_path: path(&[OUR_AS.0]),
        ..attributes(300)
    };
    lab.say(2, &looped, &nets[9..]);
    let table = |lab: &Lab, n: u32| lab.rib.summary(lab.clients[&n].slot).unwrap().tables[V4];
    let (one, two) = (table(&lab, 1).unwrap(), table(&lab, 2).unwrap());
    assert_eq!((one.received, one.accepted, one.best), (10, 10, 6));
    assert_eq!((two.received, two.accepted, two.best), (5, 4, 4));
    assert_eq!(one.group, two.group);
    assert!(two.behind > 0 && !two.end_of_rib);
    lab.converge();
    let two = table(&lab, 2).unwrap();
    assert_eq!((two.behind, two.end_of_rib, two.announced), (0, true, 10));
    let of_two = lab.rib.summary(lab.clients[&2].slot).unwrap();
    assert_eq!(of_two.tables[V6], None);

    let counts = lab.rib.counts();
    assert_eq!(
        (counts.prefixes[V4], counts.paths[V4], counts.best[V4]),
        (10, 15, 10)
    );
    assert_eq!(counts.attributes, 3);
    let slot = lab.clients[&2].slot;
    lab.down(2);
    assert_eq!(lab.rib.summary(slot), None);
    assert_eq!(lab.rib.counts().departed, 1);
}

#[test]
fn lookup_finds_the_longest_match() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    let nets = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "fd00::/64"].map(net);
    lab.say(1, &attributes(1), &nets);
    for (asked, found) in [
        ("10.1.2.3/32", Some("10.1.0.0/16")),
        ("10.1.0.0/16", Some("10.1.0.0/16")),
        ("10.1.0.0/15", Some("10.0.0.0/8")),
        ("10.2.0.0/16", Some("10.0.0.0/8")),
        ("11.0.0.0/32", Some("0.0.0.0/0")),
        ("fd00::1/128", Some("fd00::/64")),
        ("fd00::/63", None),
    ] {
        assert_eq!(lab.rib.lookup(&net(asked)), found.map(net), "{asked}");
    }
}

#[test]
fn what_is_announced_names_its_source() {
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::Client));
    lab.up(facts(2, PeerRole::Client));
    lab.say(1, &attributes(1), &[nth_net(V4, 1)]);
    lab.rib
        .originate(nth_net(V4, 2), &attributes(1), next_hop(V4, 9));
    let out = adj_rib_out(&lab.rib, lab.clients[&2].slot, V4);
    let sources: Vec<_> = out.iter().map(|view| (view.prefix, view.peer)).collect();
    assert_eq!(
        sources,
        [(nth_net(V4, 1), Some(PeerId(1))), (nth_net(V4, 2), None)]
    );
}
