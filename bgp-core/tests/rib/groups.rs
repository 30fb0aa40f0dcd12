//! Update groups against the per-peer slow path: whatever happens in whatever order, and however
//! slowly somebody reads, once all is quiet every reader believes what the slow path says.

use crate::support::*;
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use bgp_core::rib::{PeerFacts, PeerSlot, Reachability};
use bgp_core::rng::Rng;
use bgp_core::types::{Asn, PeerRole, RouterId};
use bgp_core::wire::{Community, MAX_EXTENDED_LEN, PathAttributes};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

/// Peers that may be there: some equal clients, and one of each other kind.
const PEERS: u32 = 7;
const PREFIXES: u32 = 40;
/// How many different things can be said about a prefix.
const WORDS: u32 = 12;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Up(u32),
    Down(u32),
    /// It goes, and its routes stay.
    Restart(u32),
    /// What stays of it longest goes.
    Forget(u32),
    Say {
        peer: u32,
        prefix: u32,
        count: u32,
        words: u32,
    },
    Unsay {
        peer: u32,
        prefix: u32,
        count: u32,
    },
    Originate {
        prefix: u32,
        words: u32,
    },
    Settle,
    Work(usize),
    Read {
        peer: u32,
        budget: usize,
    },
    ReadReady(usize),
    Refresh(u32),
    Hold(bool),
    NextHop {
        peer: u32,
        up: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (peer, prefix, words) = (0..PEERS, 0..PREFIXES, 0..WORDS);
    prop_oneof![
        3 => peer.clone().prop_map(Step::Up),
        2 => peer.clone().prop_map(Step::Down),
        1 => peer.clone().prop_map(Step::Restart),
        1 => peer.clone().prop_map(Step::Forget),
        12 => (peer.clone(), prefix.clone(), 1u32..6, words.clone()).prop_map(
            |(peer, prefix, count, words)| Step::Say { peer, prefix, count, words }
        ),
        6 => (peer.clone(), prefix.clone(), 1u32..6).prop_map(
            |(peer, prefix, count)| Step::Unsay { peer, prefix, count }
        ),
        1 => (prefix, words).prop_map(|(prefix, words)| Step::Originate { prefix, words }),
        6 => Just(Step::Settle),
        4 => (0usize..40).prop_map(Step::Work),
        12 => (peer.clone(), 0usize..12_000).prop_map(
            |(peer, budget)| Step::Read { peer, budget }
        ),
        3 => (0usize..20_000).prop_map(Step::ReadReady),
        2 => peer.clone().prop_map(Step::Refresh),
        1 => any::<bool>().prop_map(Step::Hold),
        1 => (peer, any::<bool>()).prop_map(|(peer, up)| Step::NextHop { peer, up }),
    ]
}

/// A router id that no other session has.
fn session_id(n: u32, time: u64) -> RouterId {
    RouterId(Ipv4Addr::from(0x3000_0000 + (n << 16) + time as u32))
}

/// The facts of peer `n`. What a session negotiates differs from time to time.
fn facts_of(n: u32, time: u64) -> PeerFacts {
    let role = match n {
        0..=3 => PeerRole::Client,
        4 | 5 => PeerRole::NonClient,
        _ => PeerRole::External,
    };
    let mut facts = facts(n, role);
    facts.router_id = session_id(n, time);
    facts.enhanced_refresh = n.is_multiple_of(2);
    if n == 3 {
        facts.send_limit = MAX_EXTENDED_LEN;
    }
    if time % 5 == 4 {
        facts.four_octet_as = false;
    }
    // Several paths: always, never, or from time to time.
    if n == 0 || n == 4 || (n == 2 && !time.is_multiple_of(3)) {
        facts.add_path_send = facts.families;
    }
    if time % 7 == 6 {
        facts.families = [Family::Ipv4Unicast].into_iter().collect();
    }
    facts
}

/// The `n`th thing that can be said. Many are long, so that chunks and messages are filled by a
/// few prefixes; some are so long that reflection makes them too long; some loop.
fn words(n: u32) -> PathAttributes {
    let mut attributes = PathAttributes {
        as_path: path(&[65_001 + n % 2, 70_000]),
        med: Some(n),
        ..PathAttributes::default()
    };
    let fill = match n {
        0..=3 => 0,
        4..=7 => 900,
        8 | 9 => 1_000,
        _ => 10,
    };
    attributes.communities = (0..fill).map(Community).collect();
    match n {
        1 => attributes.originator_id = Some(router_id(1)),
        10 => attributes.as_path = path(&[OUR_AS.0]),
        11 => attributes.communities = vec![Community::NO_EXPORT],
        _ => {}
    }
    attributes
}

/// The lab, and what the test itself remembers.
struct Run {
    lab: Lab,
    said: BTreeMap<u32, BTreeSet<IpNet>>,
    kept: BTreeMap<u32, VecDeque<PeerSlot>>,
    time: u64,
}

impl Run {
    fn new() -> Self {
        Self {
            lab: Lab::new(),
            said: BTreeMap::new(),
            kept: BTreeMap::new(),
            time: 0,
        }
    }

    fn prefixes(first: u32, count: u32) -> Vec<IpNet> {
        (first..first + count)
            .map(|n| match n % 4 {
                3 => nth_net(Family::Ipv6Unicast, n),
                _ => nth_net(Family::Ipv4Unicast, n),
            })
            .collect()
    }

    fn step(&mut self, step: Step) {
        self.time += 1;
        match step {
            Step::Up(n) => {
                self.lab.up(facts_of(n, self.time));
                self.said.insert(n, BTreeSet::new());
            }
            Step::Down(n) => {
                self.lab.down(n);
                self.said.remove(&n);
            }
            Step::Restart(n) => {
                self.kept.entry(n).or_default().extend(self.lab.restart(n));
                self.said.remove(&n);
            }
            Step::Forget(n) => {
                if let Some(slot) = self.kept.entry(n).or_default().pop_front() {
                    self.lab.forget(slot);
                }
            }
            Step::Say {
                peer,
                prefix,
                count,
                words: n,
            } => self.say(peer, prefix, count, n),
            Step::Unsay {
                peer,
                prefix,
                count,
            } => self.unsay(peer, &Self::prefixes(prefix, count)),
            Step::Originate { prefix, words: n } => {
                let prefix = Self::prefixes(prefix, 1)[0];
                let hop = next_hop(bgp_core::prefix::family_of(&prefix), 99);
                if n % 2 == 0 || !self.lab.rib.withdraw(prefix) {
                    self.lab.rib.originate(prefix, &words(n), hop);
                }
            }
            Step::Settle => self.lab.rib.settle(),
            Step::Work(budget) => {
                self.lab.rib.work(budget);
            }
            Step::Read { peer, budget } => {
                if let Some(client) = self.lab.clients.get_mut(&peer) {
                    client.read(&mut self.lab.rib, budget);
                }
            }
            Step::ReadReady(budget) => self.read_ready(budget),
            Step::Refresh(n) => {
                if let Some(client) = self.lab.clients.get(&n) {
                    for family in Family::ALL {
                        self.lab.rib.refresh(client.slot, family);
                    }
                }
            }
            Step::Hold(hold) => self.lab.rib.hold_end_of_rib(hold),
            Step::NextHop { peer, up } => {
                let reachability = if up {
                    Reachability::TRUSTED
                } else {
                    Reachability::Unreachable
                };
                let address = next_hop(Family::Ipv4Unicast, peer).address();
                self.lab.rib.set_next_hop(address, reachability);
            }
        }
    }

    fn unsay(&mut self, peer: u32, prefixes: &[IpNet]) {
        if let Some(said) = self.said.get_mut(&peer) {
            said.retain(|prefix| !prefixes.contains(prefix));
            self.lab.unsay(peer, prefixes);
        }
    }

    fn read_ready(&mut self, budget: usize) {
        if let Some(slot) = self.lab.rib.poll_ready() {
            let mut clients = self.lab.clients.values_mut();
            let client = clients.find(|client| client.slot == slot).unwrap();
            client.read(&mut self.lab.rib, budget);
        }
    }

    fn say(&mut self, peer: u32, prefix: u32, count: u32, n: u32) {
        let Some(client) = self.lab.clients.get(&peer) else {
            return;
        };
        let families = client.facts.families;
        let mut prefixes = Self::prefixes(prefix, count);
        prefixes.retain(|prefix| families.contains(bgp_core::prefix::family_of(prefix)));
        self.said.entry(peer).or_default().extend(&prefixes);
        let mut attributes = words(n);
        if client.facts.role == PeerRole::External {
            attributes.originator_id = None;
        }
        self.lab.say(peer, &attributes, &prefixes);
    }

    /// No session is ever told what it said itself.
    fn nothing_goes_back(&self) {
        for (n, client) in &self.lab.clients {
            let own = Some(client.facts.router_id);
            let told = client
                .routes
                .values()
                .chain(client.rivals.values())
                .any(|(told, _)| told.originator_id == own);
            assert!(!told, "peer {n} was told its own route");
        }
    }

    fn finish(mut self) {
        self.lab.rib.hold_end_of_rib(false);
        // Who was given by `poll_ready` once has to go on by itself.
        for client in self.lab.clients.values_mut() {
            client.read_all(&mut self.lab.rib);
        }
        self.lab.converge();
        for slot in std::mem::take(&mut self.kept).into_values().flatten() {
            self.lab.forget(slot);
        }
        self.lab.converge();
        for (n, client) in &self.lab.clients {
            for family in client.facts.families.iter() {
                assert_eq!(client.end_of_rib[family], 1, "peer {n}, {family}");
            }
            let received: BTreeSet<IpNet> = Family::ALL
                .into_iter()
                .flat_map(|family| adj_rib_in(&self.lab.rib, client.slot, family))
                .map(|path| path.prefix)
                .collect();
            assert_eq!(received, self.said[n], "what peer {n} said");
        }
        // Everybody leaves, and nothing is left.
        let peers: Vec<u32> = self.lab.clients.keys().copied().collect();
        peers.into_iter().for_each(|n| self.lab.down(n));
        for n in 0..PREFIXES + 6 {
            self.lab.rib.withdraw(Self::prefixes(n, 1)[0]);
        }
        self.lab.quiet();
        let counts = self.lab.rib.counts();
        let left = [counts.prefixes, counts.paths, counts.best].map(|map| map[V4] + map[V6]);
        assert_eq!((left, counts.attributes, counts.departed), ([0; 3], 0, 0));
        assert!(self.lab.rib.groups().is_empty());
    }
}

fn run(steps: impl IntoIterator<Item = Step>) {
    let mut run = Run::new();
    (0..PEERS).for_each(|n| run.step(Step::Up(n)));
    for step in steps {
        run.step(step);
        if let Err(what) = run.lab.rib.check() {
            panic!("{what} after {step:?}");
        }
        run.nothing_goes_back();
    }
    run.finish();
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Each runs hundreds of steps. For campaigns: PROPTEST_CASES=100000.
        cases: ProptestConfig::default().cases / 4,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_reader_ends_with_what_the_slow_path_says(
        steps in prop::collection::vec(step(), 1..250),
    ) {
        run(steps);
    }

    /// A source that moves between two readers, one of which reads late: the case in which a
    /// withdraw is most easily forgotten.
    #[test]
    fn sources_that_move_are_withdrawn_from(
        steps in prop::collection::vec(narrow_step(), 1..200),
    ) {
        run(steps);
    }
}

/// Steps about very few prefixes and three clients.
fn narrow_step() -> impl Strategy<Value = Step> {
    let (peer, prefix) = (0u32..3, 0u32..2);
    prop_oneof![
        1 => peer.clone().prop_map(Step::Up),
        1 => peer.clone().prop_map(Step::Down),
        1 => peer.clone().prop_map(Step::Restart),
        1 => peer.clone().prop_map(Step::Forget),
        6 => (peer.clone(), prefix.clone(), 0u32..4).prop_map(
            |(peer, prefix, words)| Step::Say { peer, prefix, count: 1, words }
        ),
        4 => (peer.clone(), prefix).prop_map(
            |(peer, prefix)| Step::Unsay { peer, prefix, count: 1 }
        ),
        4 => Just(Step::Settle),
        2 => (0usize..4).prop_map(Step::Work),
        6 => (peer.clone(), 0usize..200).prop_map(|(peer, budget)| Step::Read { peer, budget }),
        2 => peer.prop_map(Step::Refresh),
    ]
}

/// The same calls give the same octets, whatever the seed of the hash tables.
#[test]
fn the_same_calls_give_the_same_octets() {
    let octets = |hash_seed| {
        let mut lab = Lab::with(bgp_core::rib::RibSettings {
            hash_seed,
            ..settings()
        });
        (0..PEERS).for_each(|n| {
            lab.up(facts_of(n, 0));
        });
        let mut rng = Rng::new(7);
        let mut out = Vec::new();
        for round in 0..300 {
            let peer = rng.below(u64::from(PEERS)) as u32;
            let prefixes = Run::prefixes(rng.below(200) as u32, 1 + rng.below(9) as u32);
            let mut said = words(rng.below(u64::from(WORDS)) as u32);
            said.local_pref = Some(rng.below(3) as u32);
            lab.say(peer, &said, &prefixes);
            if round % 7 == 0 {
                lab.unsay(peer, &Run::prefixes(rng.below(200) as u32, 20));
            }
            if round % 5 == 0 {
                lab.work();
                while let Some(slot) = lab.rib.poll_ready() {
                    while lab.rib.transmit(slot, 5_000, &mut out) {}
                }
            }
        }
        out
    };
    let first = octets(1);
    assert!(first.len() > 500);
    assert_eq!(first, octets(1));
    assert_eq!(first, octets(0x5eed));
}

/// What all hear in the same words is encoded once: the same octets in memory, not equal ones.
#[test]
fn readers_in_sync_share_their_octets() {
    let mut lab = Lab::new();
    for n in 0..100 {
        lab.up(facts(n, PeerRole::Client));
    }
    lab.converge();
    let prefixes: Vec<IpNet> = (0..50).map(|n| nth_net(V4, n)).collect();
    lab.say(0, &words(0), &prefixes);
    lab.work();
    let mut heard: BTreeSet<*const u8> = BTreeSet::new();
    let mut readers = 0;
    while let Some(slot) = lab.rib.poll_ready() {
        let mut out = Vec::new();
        assert!(!lab.rib.transmit(slot, 1 << 20, &mut out));
        if slot == lab.clients[&0].slot {
            assert!(out.is_empty(), "nothing goes back to its source");
            continue;
        }
        assert_eq!(out.len(), 1, "50 prefixes with equal words are one message");
        heard.insert(out[0].as_ptr());
        readers += 1;
    }
    assert_eq!((heard.len(), readers), (1, 99));
}

#[test]
fn a_returning_peer_replaces_its_former_session_path_by_path() {
    let mut lab = Lab::new();
    for n in 0..3 {
        lab.up(facts(n, PeerRole::Client));
    }
    let prefixes: Vec<IpNet> = (0..100).map(|n| nth_net(V4, n)).collect();
    lab.say(0, &words(0), &prefixes);
    lab.converge();
    // The session is lost and comes back before anything has been cleared away.
    lab.up(facts(0, PeerRole::Client));
    assert_eq!(lab.rib.counts().departed, 1);
    lab.say(0, &words(2), &prefixes[..60]);
    assert_eq!(lab.rib.counts().paths[V4], 100, "60 replaced, 40 left");
    lab.converge();
    assert_eq!(lab.client(1).routes.len(), 60);
    assert!(
        lab.client(0)
            .heard
            .iter()
            .all(|heard| !matches!(heard, Heard::Announce(_)))
    );
    // What was said again was never withdrawn in between.
    let withdrawn = lab
        .client(1)
        .heard
        .iter()
        .filter(|h| matches!(h, Heard::Withdraw(_)));
    assert_eq!(withdrawn.count(), 40);
}

#[test]
fn a_lost_peer_is_withdrawn_in_slices() {
    let mut lab = Lab::new();
    for n in 0..2 {
        lab.up(facts(n, PeerRole::Client));
    }
    let prefixes: Vec<IpNet> = (0..1_000).map(|n| nth_net(V4, n)).collect();
    lab.say(0, &words(0), &prefixes);
    lab.converge();
    lab.down(0);
    let mut slices = 0;
    while lab.rib.work(10) {
        slices += 1;
        lab.rib.check().unwrap();
    }
    assert!(
        (99..=130).contains(&slices),
        "{slices} slices of 10 for 1000 paths"
    );
    lab.converge();
    assert!(lab.client(1).routes.is_empty());
    assert_eq!(lab.rib.counts().prefixes[V4], 0);
}

#[test]
fn as_numbers_of_the_source_do_not_matter_to_whom_it_goes() {
    // An external peer hears routes of its own AS from others; it is for it to see the loop.
    let mut lab = Lab::new();
    lab.up(facts(1, PeerRole::External));
    lab.up(facts(2, PeerRole::External));
    let own = PathAttributes {
        as_path: path(&[Asn(65_002).0]),
        ..PathAttributes::default()
    };
    lab.say(1, &own, &[nth_net(V4, 1)]);
    lab.converge();
    assert_eq!(lab.client(2).announced(), [nth_net(V4, 1)]);
}
