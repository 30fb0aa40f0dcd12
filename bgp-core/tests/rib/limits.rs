//! Every limit is reached, and what happens there is what is promised.

use crate::support::*;
use bgp_core::family::FamilySet;
use bgp_core::prefix::{IpNet, Nlri};
use bgp_core::rib::{
    MAX_CACHE_BYTES, MAX_CHUNK_BYTES, MAX_CHUNKS_PER_READ, MAX_PATHS_OF_PEER, MAX_SESSIONS,
    MAX_TOMBSTONES, PeerFacts, Refusal, Rib, Verdict,
};
use bgp_core::types::{PeerId, PeerRole};
use bgp_core::wire::{Community, MAX_EXTENDED_LEN, MAX_LEN, PathAttributes, Reach, Update};

/// Attributes that take about `octets` octets; at least 40.
fn long(octets: usize, med: u32) -> PathAttributes {
    PathAttributes {
        med: Some(med),
        communities: (0..octets as u32 / 4).map(Community).collect(),
        ..PathAttributes::default()
    }
}

fn v4_only(n: u32) -> PeerFacts {
    PeerFacts {
        families: [V4].into_iter().collect(),
        ..facts(n, PeerRole::Client)
    }
}

#[test]
fn a_route_that_outgrows_a_message_is_left_out_alone() {
    let mut lab = Lab::new();
    lab.up(v4_only(1));
    lab.up(v4_only(2));
    let mut extended = v4_only(3);
    extended.send_limit = MAX_EXTENDED_LEN;
    lab.up(extended);
    let (small, other) = (long(100, 1), nth_net(V4, 2));
    lab.say(1, &small, &[nth_net(V4, 1), other]);
    lab.converge();
    assert_eq!(lab.client(2).routes.len(), 2);

    // It fits into 4096 octets as it comes in, and no more with what reflection adds.
    let grown = long(MAX_LEN - 60, 2);
    lab.say(1, &grown, &[nth_net(V4, 1)]);
    lab.converge();
    assert_eq!(
        lab.client(2).announced(),
        [other],
        "withdrawn, and it alone"
    );
    assert_eq!(
        lab.client(3).routes.len(),
        2,
        "who takes longer messages has it"
    );
    let group = |lab: &Lab, n: u32| {
        let summary = lab.rib.summary(lab.clients[&n].slot).unwrap();
        summary.tables[V4].unwrap().group
    };
    let explained = lab.rib.explain(&nth_net(V4, 1)).groups;
    for (id, verdict) in explained {
        let expected = matches!(verdict, Verdict::Refused(Refusal::TooLong { len, limit: MAX_LEN }) if len > MAX_LEN);
        assert_eq!(expected, id == group(&lab, 2), "{verdict:?}");
    }
    let counted: Vec<u64> = lab
        .rib
        .groups()
        .iter()
        .map(|group| group.too_long)
        .collect();
    assert_eq!(counted.iter().sum::<u64>(), 1);

    lab.say(1, &small, &[nth_net(V4, 1)]);
    lab.converge();
    assert_eq!(lab.client(2).routes.len(), 2);
}

#[test]
fn the_longest_route_that_fits_is_sent() {
    // Every length around the limit: what is announced fits, and nothing that fits is left out.
    let mut sent = Vec::new();
    for extra in 0..20u32 {
        let mut lab = Lab::new();
        lab.up(v4_only(1));
        lab.up(v4_only(2));
        let mut attributes = long(MAX_LEN - 108, 1);
        attributes.unknown = vec![bgp_core::wire::UnknownAttribute {
            code: 200,
            value: vec![0; 20 + extra as usize].into(),
        }];
        lab.say(1, &attributes, &[nth_net(V4, 1)]);
        let before = lab.client(2).octets;
        lab.converge();
        if !lab.client(2).routes.is_empty() {
            sent.push(lab.client(2).octets - before);
        }
    }
    assert!(!sent.is_empty() && sent.len() < 20);
    // The End-of-RIB marker beside it has 23 octets.
    assert_eq!(sent.last(), Some(&(MAX_LEN + 23)));
}

#[test]
fn more_prefixes_than_allowed_are_not_kept() {
    let mut lab = Lab::new();
    lab.up(with_settings(v4_only(1), |settings| {
        settings.max_prefixes = Some(10)
    }));
    let nets: Vec<IpNet> = (0..30).map(|n| nth_net(V4, n)).collect();
    let summary = lab.say(1, &long(40, 1), &nets[..10]);
    assert!(!summary.over_limit, "as many as are allowed");
    let summary = lab.say(1, &long(40, 2), &nets[..10]);
    assert!(!summary.over_limit, "replacements are no more");
    let summary = lab.say(1, &long(40, 3), &nets);
    assert!(summary.over_limit);
    assert_eq!(summary.accepted, 10);
    assert_eq!(lab.rib.counts().paths[V4], 10);
    assert_eq!(lab.rib.counts().prefixes[V4], 10);
    lab.unsay(1, &nets[..5]);
    assert!(!lab.say(1, &long(40, 3), &nets[25..]).over_limit);
    lab.converge();
}

/// An UPDATE with one prefix under many path identifiers.
fn many_paths(prefix: IpNet, first: u32, count: u32, med: u32) -> Update {
    let nlri = (first..first + count).map(|path_id| Nlri { prefix, path_id });
    Update {
        attributes: long(40, med),
        reach: vec![Reach {
            family: V4,
            next_hop: next_hop(V4, 1),
            nlri: nlri.collect(),
        }],
        ..Update::default()
    }
}

#[test]
fn one_peer_has_a_bounded_number_of_paths_to_a_prefix() {
    let mut lab = Lab::new();
    lab.up(v4_only(1));
    lab.up(v4_only(2));
    let limit = MAX_PATHS_OF_PEER as u32;
    let summary = lab.update(1, &many_paths(nth_net(V4, 1), 1, limit + 7, 1));
    assert_eq!((summary.accepted, summary.refused), (limit, 7));
    // Those that are there can be replaced and taken back.
    let summary = lab.update(1, &many_paths(nth_net(V4, 1), 1, limit, 2));
    assert_eq!((summary.accepted, summary.refused), (limit, 0));
    lab.converge();
    assert_eq!(lab.client(2).routes.len(), 1);
    let paths = lab.rib.explain(&nth_net(V4, 1)).paths;
    let best = paths
        .iter()
        .find(|path| path.state == bgp_core::rib::PathState::Best);
    assert_eq!(
        best.unwrap().path_id,
        1,
        "the lowest path identifier decides"
    );
    let gone = Update {
        unreach: vec![bgp_core::wire::Unreach {
            family: V4,
            nlri: many_paths(nth_net(V4, 1), 1, limit, 0).reach[0]
                .nlri
                .clone(),
        }],
        ..Update::default()
    };
    assert_eq!(lab.update(1, &gone).withdrawn, limit);
    lab.converge();
    assert!(lab.client(2).routes.is_empty());
}

#[test]
fn sessions_beyond_the_limit_are_refused() {
    let mut rib = Rib::new(settings());
    let mut facts = v4_only(0);
    facts.families = FamilySet::EMPTY;
    let mut last = None;
    for n in 0..MAX_SESSIONS as u32 {
        facts.peer = PeerId(n);
        last = rib.peer_up(facts.clone());
        assert!(last.is_some(), "session {n}");
    }
    facts.peer = PeerId(u32::MAX);
    assert_eq!(rib.peer_up(facts.clone()), None);
    rib.peer_down(last.unwrap(), FamilySet::EMPTY);
    assert_eq!(
        rib.peer_up(facts.clone()),
        None,
        "not before it has been cleared away"
    );
    assert!(!rib.work(1));
    assert!(rib.peer_up(facts).is_some());
}

/// One peer announces and takes back ever new prefixes, another one does not read: the prefixes
/// that it would have to be told about are remembered up to a limit, and then it is given up.
#[test]
fn a_reader_that_holds_back_too_many_tombstones_is_given_up() {
    const BURST: u32 = 1 << 14;
    let mut lab = Lab::new();
    for n in 1..=3 {
        lab.up(v4_only(n));
    }
    lab.say(1, &long(40, 1), &[nth_net(V4, 0)]);
    lab.converge();
    let mut laggard = None;
    let mut first = 1;
    while laggard.is_none() {
        assert!((first as usize) < MAX_TOMBSTONES + 3 * BURST as usize);
        let nets: Vec<IpNet> = (first..first + BURST).map(|n| nth_net(V4, n)).collect();
        lab.say(1, &long(40, 2), &nets);
        lab.unsay(1, &nets);
        lab.work();
        for n in [1, 2] {
            let reader = lab.clients.get_mut(&n).unwrap();
            reader.read_all(&mut lab.rib);
            reader.heard.clear();
        }
        laggard = lab.rib.poll_laggard();
        first += BURST;
    }
    assert_eq!(laggard, Some(lab.clients[&3].slot));
    assert!(first as usize > MAX_TOMBSTONES);
    assert!(!lab.clients.get_mut(&3).unwrap().read(&mut lab.rib, 10_000));
    lab.down(3);
    lab.converge();
    assert_eq!(lab.rib.poll_laggard(), None);
    assert_eq!(
        lab.rib.groups()[0].tombstones,
        0,
        "nobody needs them any more"
    );
    assert_eq!(lab.rib.counts().prefixes[V4], 1);
}

#[test]
fn encoded_chunks_are_kept_up_to_a_limit() {
    let mut lab = Lab::new();
    lab.up(v4_only(1));
    let mut extended = v4_only(2);
    extended.send_limit = MAX_EXTENDED_LEN;
    lab.up(extended);
    lab.converge();
    let each = 60_000;
    for n in 0..(MAX_CACHE_BYTES / each) as u32 + 20 {
        lab.say(1, &long(each, n), &[nth_net(V4, n)]);
        lab.work();
        lab.clients.get_mut(&2).unwrap().read_all(&mut lab.rib);
        assert!(
            lab.rib
                .groups()
                .iter()
                .all(|group| group.cached_bytes <= MAX_CACHE_BYTES)
        );
    }
    lab.rib.check().unwrap();
    let kept: usize = lab
        .rib
        .groups()
        .iter()
        .map(|group| group.cached_bytes)
        .max()
        .unwrap();
    assert!(kept > MAX_CACHE_BYTES - 2 * each, "the limit was reached");
    // Who comes later and finds them gone gets them encoded anew.
    let mut late = v4_only(3);
    late.send_limit = MAX_EXTENDED_LEN;
    lab.up(late);
    lab.converge();
}

#[test]
fn one_read_has_an_end_whatever_its_budget() {
    let mut lab = Lab::new();
    lab.up(v4_only(1));
    // Each of these nearly fills a chunk with one message for everybody but its source.
    for n in 0..40 {
        lab.say(1, &long(4_000, n), &[nth_net(V4, n)]);
    }
    lab.converge();
    // The source itself skips all of them, and is not kept busy with that.
    let slot = lab.client(1).slot;
    lab.rib.refresh(slot, V4);
    lab.work();
    let mut out = Vec::new();
    let mut calls = 1;
    while lab.rib.transmit(slot, usize::MAX, &mut out) {
        calls += 1;
    }
    assert!(out.is_empty());
    assert_eq!(
        calls, 1,
        "40 messages are less than {MAX_CHUNKS_PER_READ} chunks"
    );

    lab.up(v4_only(2));
    let octets = |lab: &mut Lab, budget| {
        let before = lab.client(2).octets;
        let more = lab.clients.get_mut(&2).unwrap().read(&mut lab.rib, budget);
        (lab.client(2).octets - before, more)
    };
    let (first, more) = octets(&mut lab, 10_000);
    assert!((10_000..10_000 + MAX_LEN).contains(&first) && more);
    let (none, more) = octets(&mut lab, 0);
    assert!(none == 0 && more);
    for n in 40..400 {
        lab.say(1, &long(4_000, n), &[nth_net(V4, n)]);
    }
    lab.work();
    let (most, more) = octets(&mut lab, usize::MAX);
    assert!(most <= (MAX_CHUNKS_PER_READ + 1) * (MAX_CHUNK_BYTES + MAX_LEN) && more);
    lab.clients.get_mut(&2).unwrap().read_all(&mut lab.rib);
    lab.converge();
}
