//! Whoever installs what it is told holds, in the end, what the slow path says.

use crate::changes::{installing, lab, prefer, tracking};
use crate::support::*;
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::rib::{
    MAX_RIVALS, PathState, PathView, PeerSlot, Reachability, Reason, Rib, RibSettings, RouteChange,
};
use bgp_core::rng::Rng;
use bgp_core::types::{PeerRole, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

const PEERS: u64 = 5;
const PREFIXES: u64 = 6;

/// A kernel that installs what it is told.
#[derive(Default)]
struct Kernel {
    routes: BTreeMap<IpNet, RouteChange>,
    watched: BTreeSet<IpAddr>,
}

impl Kernel {
    /// Takes one thing of each kind; says whether there was any.
    fn take(&mut self, rib: &mut Rib) -> bool {
        let interest = rib.poll_next_hop();
        if let Some(interest) = interest {
            let news = match interest.wanted {
                true => self.watched.insert(interest.address),
                false => self.watched.remove(&interest.address),
            };
            assert!(news, "{interest:?} is no news");
        }
        let Some(change) = rib.poll_route_change() else {
            return interest.is_some();
        };
        match change.best {
            Some(_) => drop(self.routes.insert(change.prefix, change)),
            None => assert!(self.routes.remove(&change.prefix).is_some()),
        }
        true
    }
}

/// What is installed for a prefix: the originator, the ways, and the originators of rivals.
type Held = (RouterId, Vec<IpAddr>, BTreeSet<RouterId>);

fn originator(path: &PathView) -> RouterId {
    let said = path.attributes.path.originator_id;
    said.unwrap_or_else(|| path.peer.map_or(OUR_ID, |peer| router_id(peer.0)))
}

fn should_hold(rib: &Rib, prefix: IpNet, ways: usize) -> Option<Held> {
    let paths = rib.explain(&prefix).paths;
    let best = paths.iter().find(|path| path.state == PathState::Best)?;
    let next_hop = |path: &PathView| path.attributes.next_hop.address();
    let equal: BTreeSet<IpAddr> = paths
        .iter()
        .filter(|path| matches!(path.state, PathState::Lost(reason) if reason >= Reason::RouterId))
        .map(next_hop)
        .filter(|other| *other != next_hop(best))
        .collect();
    let mut hops: Vec<IpAddr> = equal.into_iter().take(ways - 1).collect();
    hops.push(next_hop(best));
    hops.sort_unstable();
    let usable = paths.iter().filter(|path| match path.state {
        PathState::Best => true,
        PathState::Lost(reason) => reason != Reason::NextHopUnreachable,
        PathState::Ineligible(_) => false,
    });
    let mut rivals: BTreeSet<RouterId> = usable.map(originator).collect();
    rivals.remove(&originator(best));
    Some((originator(best), hops, rivals))
}

fn nets(n: u64) -> [IpNet; 2] {
    [nth_net(V4, n as u32), nth_net(V6, n as u32)]
}

/// Peers that say and do this and that, and a kernel that listens when it pleases.
struct Walk {
    lab: Lab,
    rng: Rng,
    kernel: Kernel,
    kept: Vec<PeerSlot>,
}

impl Walk {
    fn new(seed: u64, settings: RibSettings) -> Self {
        Self {
            lab: lab(settings, PEERS as u32),
            rng: Rng::new(seed),
            kernel: Kernel::default(),
            kept: Vec::new(),
        }
    }

    fn one_of(&mut self, bound: u32) -> u32 {
        self.rng.below(u64::from(bound)) as u32
    }

    fn step(&mut self) {
        let n = 1 + self.one_of(PEERS as u32);
        let prefixes = nets(self.rng.below(PREFIXES));
        let is_up = self.lab.clients.contains_key(&n);
        match self.rng.below(12) {
            0..=3 if is_up => self.say(n, prefixes),
            4 | 5 if is_up => drop(self.lab.unsay(n, &prefixes)),
            6 if is_up => match self.rng.below(3) {
                0 => self.lab.down(n),
                _ => self.kept.extend(self.lab.restart(n)),
            },
            0..=6 => {
                self.lab.up(facts(n, PeerRole::NonClient));
            }
            7 => {
                let lab = &mut self.lab;
                self.kept.drain(..).for_each(|slot| lab.forget(slot));
            }
            8 => self.move_next_hop(),
            9 => {
                let ours = NextHop::V4(OUR_ADDRESS);
                let said = PathAttributes::default();
                self.lab.rib.originate(prefixes[0], &said, ours);
            }
            10 => drop(self.lab.rib.withdraw(prefixes[0])),
            _ => {
                let budget = self.rng.below(9) as usize;
                self.lab.rib.work(budget);
            }
        }
        if self.rng.below(3) == 0 {
            self.kernel.take(&mut self.lab.rib);
        }
        self.lab.rib.check().unwrap();
    }

    fn say(&mut self, n: u32, prefixes: [IpNet; 2]) {
        let from = 1 + self.one_of(4);
        let mut said = prefer(self.one_of(2));
        said.originator_id = (self.one_of(2) == 0).then_some(router_id(from));
        said.med = Some(self.one_of(2));
        for prefix in prefixes {
            let hop = next_hop(family_of(&prefix), from);
            self.lab.update(n, &announce(&said, hop, &[prefix]));
        }
    }

    fn move_next_hop(&mut self) {
        let family = Family::ALL[self.one_of(2) as usize];
        let reachability = match self.one_of(3) {
            0 => Reachability::Unreachable,
            metric => Reachability::Reachable { metric },
        };
        let address = next_hop(family, 1 + self.one_of(4)).address();
        self.lab.rib.set_next_hop(address, reachability);
    }

    /// Lets everything come to rest; says how many routes the kernel holds then.
    fn finish(mut self, settings: &RibSettings) -> usize {
        let (lab, kernel) = (&mut self.lab, &mut self.kernel);
        lab.quiet();
        while kernel.take(&mut lab.rib) {}
        lab.quiet();
        let held: BTreeMap<IpNet, Held> = std::mem::take(&mut kernel.routes)
            .into_iter()
            .map(|(prefix, change)| {
                let best = change.best.unwrap();
                assert!(change.rivals.len() <= MAX_RIVALS);
                let rivals = change.rivals.iter().map(|rival| rival.router_id);
                let held = (
                    best.origin.router_id,
                    best.next_hops.to_vec(),
                    rivals.collect(),
                );
                (prefix, held)
            })
            .collect();
        let ways = usize::from(settings.multipath);
        let expected: BTreeMap<IpNet, Held> = (0..PREFIXES)
            .flat_map(nets)
            .filter_map(|prefix| Some((prefix, should_hold(&lab.rib, prefix, ways)?)))
            .collect();
        assert_eq!(held, expected);
        self.check_watched(settings.track_next_hops);
        held.len()
    }

    /// What is watched is what usable paths of peers have, and nothing where nothing is tracked.
    fn check_watched(&self, tracked: bool) {
        let paths = (0..PREFIXES)
            .flat_map(nets)
            .flat_map(|prefix| self.lab.rib.explain(&prefix).paths);
        let of_peers = paths.filter(|path| path.peer.is_some() && tracked);
        let usable = of_peers.filter(|path| !matches!(path.state, PathState::Ineligible(_)));
        let in_use: BTreeSet<IpAddr> = usable
            .map(|path| path.attributes.next_hop.address())
            .collect();
        assert_eq!(self.kernel.watched, in_use);
    }
}

#[test]
fn a_kernel_ends_with_what_the_slow_path_says() {
    let mut compared = 0;
    for seed in 0..60 {
        let settings = if seed % 2 == 0 {
            installing()
        } else {
            tracking()
        };
        let mut walk = Walk::new(seed, settings.clone());
        (0..400).for_each(|_| walk.step());
        compared += walk.finish(&settings);
    }
    assert!(compared > 200, "{compared} routes");
}
