//! Random campaigns: an owner that changes its mind, a kernel that refuses, forgets and is edited
//! by others, an edge that is slow, loses answers and mixes up the order. When quiet returns, the
//! kernel has what is wanted, and nobody else's route was touched.
//!
//! `SEED=17 cargo nextest run -p bgp-fib campaign` repeats one; `TIMES=100` runs a hundred times as
//! many.

use crate::scene::{METRIC, OURS, hop, net, ways};
use bgp_core::family::FamilySet;
use bgp_core::prefix::IpNet;
use bgp_core::rng::Rng;
use bgp_core::time::{Duration, Instant};
use bgp_fib::errno;
use bgp_fib::fake::FakeKernel;
use bgp_fib::kernel::{
    Answer, Dump, Hop, How, KernelError, LinkIndex, NextHopKind, Notice, Request, Route, RouteKey,
    Target, Ticket,
};
use bgp_fib::wanted::{Place, Wanted, WantedHop};
use bgp_fib::{Fib, FibEvent, Resolution, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

const STEPS: usize = 200;
const STATIC: u8 = 4;
const BOOT: u8 = 3;
const WATCHED: [&str; 4] = ["10.0.0.7", "10.9.0.7", "10.50.1.1", "192.0.2.1"];

struct World {
    rng: Rng,
    fib: Fib,
    kernel: FakeKernel,
    now: Instant,
    wanted: BTreeMap<Place, Wanted>,
    answers: Vec<(Instant, Answer)>,
    /// A dump on its way: what it listed in its first half, and when it ends.
    dump: Option<(Dump, Vec<Notice>, Instant)>,
    /// Keys that others took, with how many words of it the reconciler has not heard.
    unseen: BTreeMap<RouteKey, u32>,
    told: BTreeMap<IpAddr, Resolution>,
    hosts: BTreeMap<IpNet, String>,
    refusals: Vec<i32>,
}

fn prefixes() -> Vec<IpNet> {
    let v4 = (0..10).map(|number| net(&format!("10.1.{number}.0/26")));
    let host = (0..3).map(|number| net(&format!("10.1.0.{number}/32")));
    let v6 = (0..4).map(|number| net(&format!("fd01::{number}:0/122")));
    v4.chain(host).chain(v6).collect()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let settings = Settings {
            metric: if rng.below(4) == 0 { 0 } else { METRIC },
            next_hop_objects: rng.below(3) == 0,
            ..Settings::default()
        };
        let mut world = Self {
            fib: Fib::new(settings, Instant::ZERO, seed),
            rng,
            kernel: FakeKernel::new(),
            now: Instant::ZERO,
            wanted: BTreeMap::new(),
            answers: Vec::new(),
            dump: None,
            unseen: BTreeMap::new(),
            told: BTreeMap::new(),
            hosts: BTreeMap::new(),
            refusals: Vec::new(),
        };
        for name in ["eth0", "eth1", "tunl0", "cali0", "cali1"] {
            world.make_link(name);
        }
        for _ in 0..world.rng.below(5) {
            let leftover = world.random_key();
            world.others(leftover, OURS);
        }
        while world.kernel.next_notice().is_some() {}
        for address in WATCHED {
            world.fib.watch(address.parse().unwrap());
        }
        // The other table is ours from the start.
        let claim = Place {
            table: 100,
            prefix: net("10.99.0.0/26"),
        };
        world.fib.set(claim, Wanted::Blackhole);
        world.fib.remove(claim);
        world.fib.watch_devices(vec!["cali*".parse().unwrap()]);
        world
    }

    fn make_link(&mut self, name: &str) -> LinkIndex {
        let index = self.kernel.add_link(name);
        for address in addresses_of(name) {
            self.kernel.add_address(index, net(address));
        }
        index
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let count = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.rng.below(count)).unwrap()].clone()
    }

    fn random_place(&mut self) -> Place {
        Place {
            table: if self.chance(10) { 100 } else { 254 },
            prefix: self.pick(&prefixes()),
        }
    }

    fn random_key(&mut self) -> RouteKey {
        let place = self.random_place();
        self.fib.key(place)
    }

    fn random_wanted(&mut self, prefix: &IpNet) -> Wanted {
        let number = self.rng.below(3) + 2;
        if matches!(prefix, IpNet::V6(_)) {
            let gateway = format!("fd00::{number}");
            let device = if self.chance(50) { Some("eth0") } else { None };
            return match self.rng.below(3) {
                0 => Wanted::Blackhole,
                _ => ways(vec![hop(&gateway, device)]),
            };
        }
        let eth0 = hop(&format!("10.0.0.{number}"), Some("eth0"));
        let eth1 = hop(&format!("10.9.0.{number}"), Some("eth1"));
        match self.rng.below(9) {
            0 => Wanted::Blackhole,
            1 => Wanted::Unreachable,
            2 => ways(vec![eth1]),
            3 => ways(vec![eth0, eth1]),
            4 => ways(vec![hop(&format!("10.77.0.{number}"), Some("tunl0"))]),
            5 => ways(vec![hop(&format!("10.0.0.{number}"), None)]),
            6 => ways(vec![hop("10.50.0.1", None)]),
            7 => Wanted::Via {
                hops: vec![eth0],
                source: Some("10.0.0.1".parse().unwrap()),
            },
            _ => ways(vec![eth0]),
        }
    }

    fn link(&self, name: &str) -> Option<LinkIndex> {
        self.kernel.link(name).map(|link| link.index)
    }

    /// Somebody puts a route over whatever has the key.
    fn others(&mut self, key: RouteKey, protocol: u8) {
        let target = match self.link("eth0") {
            Some(link) if self.chance(60) && matches!(key.prefix, IpNet::V4(_)) => {
                crate::scene::through("10.0.0.9", link)
            }
            _ => Target::Prohibit,
        };
        let route = Route {
            key,
            protocol,
            target,
            source: None,
        };
        if self.kernel.put_route(route, How::Replace).is_ok() && protocol != OURS {
            *self.unseen.entry(key).or_default() += 1;
        }
    }

    fn owner(&mut self) {
        let place = self.random_place();
        if self.chance(70) {
            let wanted = self.random_wanted(&place.prefix);
            self.wanted.insert(place, wanted.clone());
            self.fib.set(place, wanted);
        } else {
            self.wanted.remove(&place);
            self.fib.remove(place);
        }
    }

    fn somebody(&mut self) {
        let key = self.random_key();
        let there: Vec<Route> = self.kernel.at(&key).cloned().collect();
        match self.rng.below(7) {
            0 | 1 => {
                let _ = self.kernel.delete_route(&key, OURS);
            }
            2 => self.others(key, STATIC),
            3 => self.others(key, OURS),
            4 | 5 => {
                for route in there.iter().filter(|route| route.protocol != OURS) {
                    let _ = self.kernel.delete_route(&key, route.protocol);
                }
            }
            _ => self.static_route(),
        }
    }

    /// The route over which 10.50.0.1 resolves, and workloads.
    fn static_route(&mut self) {
        let on = |prefix: &str, gateway: Option<&str>, link| Route {
            key: RouteKey {
                table: 254,
                prefix: net(prefix),
                metric: 5,
            },
            protocol: BOOT,
            target: Target::Unicast(vec![Hop {
                gateway: gateway.map(|gateway| gateway.parse().unwrap()),
                link,
                onlink: false,
                weight: 1,
            }]),
            source: None,
        };
        let route = match self.rng.below(4) {
            0 => on("10.50.0.0/16", Some("10.0.0.8"), self.link("eth0")),
            1 => on("10.50.0.0/24", Some("10.9.0.8"), self.link("eth1")),
            2 => on("10.60.0.1/32", None, self.link("cali0")),
            _ => on("10.60.0.2/32", None, self.link("cali1")),
        };
        if self.kernel.put_route(route.clone(), How::Create).is_err() {
            let _ = self.kernel.delete_route(&route.key, BOOT);
        }
    }

    fn devices(&mut self) {
        let name = self.pick(&["eth0", "eth1", "tunl0", "cali0", "cali1"]);
        let Some(index) = self.link(name) else {
            self.make_link(name);
            return;
        };
        match self.rng.below(8) {
            0 => self.kernel.set_up(index, false),
            1..=3 => self.kernel.set_up(index, true),
            4 => {
                let carrier = self.chance(50);
                self.kernel.set_carrier(index, carrier);
            }
            5 => self.kernel.remove_link(index),
            6 => {
                for address in addresses_of(name) {
                    self.kernel.remove_address(index, net(address));
                }
            }
            _ => {
                for address in addresses_of(name) {
                    self.kernel.add_address(index, net(address));
                }
            }
        }
    }

    fn trouble(&mut self) {
        match self.rng.below(3) {
            0 => self.kernel.lose_notices(),
            1 => {
                let errors = [
                    errno::ENOMEM,
                    errno::ENOBUFS,
                    errno::EINVAL,
                    errno::ENETUNREACH,
                ];
                let errno = self.pick(&errors);
                self.refusals.push(errno);
                let text = "".into();
                self.kernel.refuse([KernelError { errno, text }]);
            }
            _ => {
                // An answer is lost.
                if !self.answers.is_empty() {
                    drop(self.answers.swap_remove(0));
                }
            }
        }
    }

    fn read_notices(&mut self, most: u64) {
        for _ in 0..most {
            let Some(notice) = self.kernel.next_notice() else {
                break;
            };
            if let Notice::Route { route, .. } = &notice
                && route.protocol != OURS
                && let Some(unseen) = self.unseen.get_mut(&route.key)
            {
                *unseen = unseen.saturating_sub(1);
            }
            self.fib.handle_notice(self.now, notice);
        }
        if self.kernel.take_overrun() {
            self.fib.handle_overrun(self.now);
        }
    }

    fn others_routes(&self) -> Vec<Route> {
        let others = self.kernel.routes();
        others
            .filter(|route| route.protocol != OURS)
            .cloned()
            .collect()
    }

    fn send(&mut self, most: usize, slow: bool) {
        let mut batch = Vec::new();
        self.fib.poll_batch(self.now, most, &mut batch);
        for (ticket, request) in batch {
            self.obey(ticket, &request, slow);
        }
    }

    fn obey(&mut self, ticket: Ticket, request: &Request, slow: bool) {
        let before = self.others_routes();
        let answer = self.kernel.request(request);
        if self.others_routes() != before {
            let Request::PutRoute(route, How::Replace) = request else {
                panic!("{request:?} touched another's route");
            };
            let unseen = self.unseen.get(&route.key).copied();
            assert!(
                unseen.is_some_and(|unseen| unseen > 0),
                "{request:?} overwrote"
            );
        }
        let delay = if slow { self.rng.below(300_000) } else { 0 };
        let due = self.now + Duration::from_micros(delay);
        self.answers.push((due, (ticket, answer)));
    }

    fn deliver(&mut self) {
        let now = self.now;
        let due: Vec<Answer> = self
            .answers
            .extract_if(.., |(due, _)| *due <= now)
            .map(|(_, answer)| answer)
            .collect();
        let mut due = due;
        if self.chance(50) {
            due.reverse();
        }
        self.fib.handle_answers(now, &due);
    }

    fn dump(&mut self, slow: bool) {
        if self.dump.is_none()
            && let Some(dump) = self.fib.poll_dump(self.now)
        {
            let delay = if slow { self.rng.below(200_000) } else { 0 };
            let end = self.now + Duration::from_micros(delay);
            self.dump = Some((dump, self.kernel.dump(dump), end));
        }
        if self.dump.as_ref().is_none_or(|(_, _, end)| *end > self.now) {
            return;
        }
        let Some((dump, early, _)) = self.dump.take() else {
            return;
        };
        let late = self.kernel.dump(dump);
        let complete = !slow || !self.chance(20);
        let lines = if slow { self.torn(early, late) } else { late };
        self.fib.handle_dump(self.now, dump, lines, complete);
    }

    /// The first lines are of the beginning, the others of the end, and some are missing though the
    /// kernel does not say so.
    fn torn(&mut self, early: Vec<Notice>, late: Vec<Notice>) -> Vec<Notice> {
        let routes = matches!(early.first(), Some(Notice::Route { .. }));
        if !routes {
            return early;
        }
        let half = usize::try_from(self.rng.below(20)).unwrap();
        let lines = early
            .into_iter()
            .take(half)
            .chain(late.into_iter().skip(half));
        let lines: Vec<Notice> = lines.collect();
        lines
            .into_iter()
            .filter(|_| self.rng.below(100) >= 3)
            .collect()
    }

    fn listen(&mut self) {
        while let Some(event) = self.fib.poll_event() {
            match event {
                FibEvent::NextHop(address, found) => {
                    self.told.insert(address, found);
                }
                FibEvent::HostRoute {
                    prefix,
                    device,
                    present: true,
                } => {
                    self.hosts.insert(prefix, device.to_string());
                }
                FibEvent::HostRoute { prefix, .. } => {
                    self.hosts.remove(&prefix);
                }
                FibEvent::Refused { error, .. } => self.explain(&error),
                _ => {}
            }
        }
    }

    /// Devices and addresses come and go, so their errors are to be expected.
    fn explain(&self, error: &KernelError) {
        let expected = [
            errno::ENODEV,
            errno::ENETDOWN,
            errno::ENETUNREACH,
            errno::EINVAL,
        ];
        assert!(
            expected.contains(&error.errno) || self.refusals.contains(&error.errno),
            "{error:?}"
        );
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0..=5 => self.owner(),
            6..=8 => self.somebody(),
            9 | 10 => self.devices(),
            11 => self.trouble(),
            12 if self.chance(20) => self.fib.sweep(FamilySet::ALL),
            _ => {}
        }
        if self.chance(60) {
            let most = self.rng.below(12);
            self.read_notices(most);
        }
        if self.chance(60) {
            self.dump(true);
        }
        if self.chance(70) {
            let most = usize::try_from(self.rng.below(8)).unwrap();
            self.send(most, true);
        }
        self.deliver();
        self.listen();
        let span = Duration::from_micros(self.rng.below(200_000));
        self.now = self.now + span;
    }

    /// Everything comes back, and there is time.
    fn quiet(&mut self) {
        for name in ["eth0", "eth1", "tunl0", "cali0", "cali1"] {
            let index = self.link(name).unwrap_or_else(|| self.make_link(name));
            self.kernel.set_up(index, true);
            self.kernel.set_carrier(index, true);
            for address in addresses_of(name) {
                self.kernel.add_address(index, net(address));
            }
        }
        self.fib.sweep(FamilySet::ALL);
        let end = self.now + Duration::from_secs(200);
        while self.now < end {
            for _ in 0..20 {
                self.read_notices(u64::MAX);
                self.dump(false);
                self.send(64, false);
                self.deliver();
                self.listen();
            }
            let next = self.fib.poll_timeout().unwrap_or(end);
            let late = self.answers.iter().map(|(due, _)| *due).min();
            let next = next.min(late.unwrap_or(end)).min(end);
            self.now = next.max(self.now + Duration::from_millis(1));
            self.fib.handle_timeout(self.now);
        }
    }

    fn expected_hop(&self, wanted: &WantedHop) -> Option<Hop> {
        let gateway = wanted.gateway;
        if let Some(device) = &wanted.device {
            return Some(Hop {
                gateway: Some(gateway),
                link: Some(self.link(device)?),
                onlink: wanted.onlink,
                weight: 1,
            });
        }
        let hop = self.holding(gateway)?;
        Some(Hop {
            gateway: hop.gateway.or(Some(gateway)),
            ..hop
        })
    }

    /// The longest match among the others' routes, the slow way.
    fn holding(&self, address: IpAddr) -> Option<Hop> {
        let others = self.kernel.routes();
        let best = others
            .filter(|route| route.protocol != OURS && route.key.table == 254)
            .filter(|route| route.key.prefix.contains(&address))
            .max_by_key(|route| {
                let metric = u32::MAX - route.key.metric;
                (route.key.prefix.prefix_len(), metric)
            })?;
        match &best.target {
            Target::Unicast(hops) => hops.first().copied(),
            _ => None,
        }
    }

    /// What a route does, whether through objects or not.
    fn felt(&self, route: &Route) -> Target {
        let lines = self.kernel.dump(Dump::Routes);
        let reported = lines.into_iter().find_map(|line| match line {
            Notice::Route { route: line, .. } if line.key == route.key => Some(line.target),
            _ => None,
        });
        match reported.unwrap() {
            Target::Object(_, mut hops) => {
                hops.sort_unstable();
                Target::Unicast(hops)
            }
            other => other,
        }
    }

    fn expected(&self, wanted: &Wanted) -> Option<Target> {
        match wanted {
            Wanted::Blackhole => Some(Target::Blackhole),
            Wanted::Unreachable => Some(Target::Unreachable),
            Wanted::Prohibit => Some(Target::Prohibit),
            Wanted::Via { hops, .. } => {
                let hops = hops.iter().filter_map(|hop| self.expected_hop(hop));
                let hops: Vec<Hop> = hops.collect();
                (!hops.is_empty()).then_some(Target::Unicast(hops))
            }
        }
    }

    fn check(&mut self, seed: u64) {
        let mut expected: BTreeSet<RouteKey> = BTreeSet::new();
        for (place, wanted) in &self.wanted {
            let key = self.fib.key(*place);
            let at: Vec<&Route> = self.kernel.at(&key).collect();
            let other = at.iter().any(|route| route.protocol != OURS);
            let ours = at.iter().find(|route| route.protocol == OURS);
            let conflict = self.fib.conflicts().iter().any(|(told, ..)| told == place);
            if other {
                let wants = self.expected(wanted).is_some();
                assert_eq!(conflict, wants, "seed {seed}: {place:?} is another's");
                continue;
            }
            assert!(!conflict, "seed {seed}: {place:?} is told to be another's");
            let target = ours.map(|route| self.felt(route));
            let status = self.fib.status(*place);
            assert_eq!(
                target,
                self.expected(wanted),
                "seed {seed}: {place:?} {status:?}"
            );
            expected.insert(key);
        }
        for route in self.kernel.routes() {
            let known = route.protocol != OURS || expected.contains(&route.key);
            assert!(known, "seed {seed}: {route:?} is not wanted");
        }
        for object in self.kernel.objects() {
            let member = |other: &NextHopKind| {
                matches!(other, NextHopKind::Group(members)
                    if members.iter().any(|(id, _)| *id == object.id))
            };
            let used = self.kernel.objects().any(|other| member(&other.kind))
                || self
                    .kernel
                    .routes()
                    .any(|route| matches!(route.target, Target::Object(id, _) if id == object.id));
            // One for a route whose key another has waits with it.
            let waits = !self.fib.conflicts().is_empty();
            assert!(used || waits, "seed {seed}: {object:?} is used by nobody");
        }
        assert!(self.fib.is_idle(), "seed {seed}: not idle");
        for address in WATCHED {
            let address = address.parse().unwrap();
            let told = self.told.get(&address);
            assert_eq!(told, Some(&self.fib.resolution(address)), "seed {seed}");
            let found = self.holding(address).is_some();
            assert_eq!(found, told != Some(&Resolution::Unreachable), "seed {seed}");
        }
        let hosts: BTreeMap<IpNet, String> = self
            .kernel
            .routes()
            .filter(|route| route.protocol == BOOT)
            .filter(|route| route.key.prefix.prefix_len() == 32)
            .map(|route| {
                let second = route.key.prefix == net("10.60.0.2/32");
                let device = if second { "cali1" } else { "cali0" };
                (route.key.prefix, device.to_owned())
            })
            .collect();
        assert_eq!(self.hosts, hosts, "seed {seed}");
    }
}

fn addresses_of(name: &str) -> &'static [&'static str] {
    match name {
        "eth0" => &["10.0.0.1/24", "fd00::1/64"],
        "eth1" => &["10.9.0.1/24"],
        _ => &[],
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.quiet();
    world.check(seed);
}

fn campaign(seeds: Range<u64>) {
    let times: u64 = std::env::var("TIMES").map_or(1, |times| times.parse().unwrap());
    match std::env::var("SEED") {
        Ok(seed) => run(seed.parse().unwrap()),
        Err(_) => (seeds.start * times..seeds.end * times).for_each(run),
    }
}

#[test]
fn campaign_one() {
    campaign(0..300);
}

#[test]
fn campaign_two() {
    campaign(300..600);
}

#[test]
fn campaign_three() {
    campaign(600..900);
}

#[test]
fn campaign_four() {
    campaign(900..1_200);
}
