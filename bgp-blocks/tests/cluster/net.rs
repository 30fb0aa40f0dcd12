//! Engines, each with the rules of a node and a kernel that is a map, and pipes with latency
//! between them.

use bgp_blocks::{Node, NodeSettings, Order, Pool};
use bgp_core::config::{Config, DynamicGroup, Peer, PeerSettings, Router};
use bgp_core::prefix::IpNet;
use bgp_core::session::State;
use bgp_core::speaker::{Output, Speaker};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::{Asn, ConnectionId, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use bgp_fib::wanted::Wanted;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(crate) const AS: Asn = Asn(64_512);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Where a packet ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// At its workload, on this host.
    Arrived(u8),
    /// In the blackhole of a block, on this host.
    Dropped(u8),
    /// This host has no route.
    NoRoute(u8),
    /// It came back to a host where it had been.
    Loop,
}

pub(crate) struct Host {
    pub(crate) speaker: Speaker,
    /// Not on a reflector.
    pub(crate) node: Option<Node>,
    kernel: BTreeMap<IpNet, Wanted>,
    workloads: BTreeSet<IpNet>,
    pub(crate) notices: Vec<String>,
}

/// What is on its way: what it is, from whom, to whom.
struct Parcel {
    to: (u8, ConnectionId),
    what: Freight,
}

enum Freight {
    Octets(Vec<u8>),
    End,
}

/// Hosts by the last octet of their address.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) hosts: BTreeMap<u8, Host>,
    pipes: BTreeMap<(u8, ConnectionId), (u8, ConnectionId)>,
    road: BTreeMap<(Instant, u64), Parcel>,
    parcels: u64,
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}

fn router(host: u8) -> Router {
    Router {
        settle: Duration::ZERO,
        ..Router::new(AS, RouterId(Ipv4Addr::new(10, 0, 0, host)))
    }
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            now: Instant::from_micros(1_000_000),
            hosts: BTreeMap::new(),
            pipes: BTreeMap::new(),
            road: BTreeMap::new(),
            parcels: 0,
        }
    }

    pub(crate) fn start_reflector(&mut self, host: u8) {
        let accept = vec![net("10.0.0.0/24")];
        let group = DynamicGroup::new("nodes", accept, PeerSettings::client(AS));
        let config = Config::new(router(host)).with_dynamic(group);
        self.start(host, config, None);
    }

    /// A node that speaks with `peers`; of two nodes the one with the higher number connects.
    pub(crate) fn start_node(&mut self, host: u8, peers: &[u8], blocks: &[&str]) {
        let mut config = Config::new(Router {
            install: true,
            ..router(host)
        });
        for peer in peers.iter().filter(|peer| **peer != host) {
            let settings = PeerSettings {
                passive: *peer > host,
                keep_when_silent: *peer < 10,
                ..PeerSettings::non_client(AS)
            };
            config = config.with_peer(Peer::new(format!("n{peer}"), address(*peer), settings));
        }
        let id = RouterId(Ipv4Addr::new(10, 0, 0, host));
        let mut settings = NodeSettings::new(format!("node-{host}"), id);
        settings.addresses = vec![IpNet::new(address(host), 24).unwrap()];
        settings.pools = vec![Pool::new(net("10.244.0.0/16"))];
        settings.blocks = blocks.iter().map(|block| net(block)).collect();
        settings.names = (1..100)
            .map(|n| (address(n), format!("node-{n}")))
            .collect();
        self.start(host, config, Some(Node::new(settings).unwrap()));
    }

    fn start(&mut self, host: u8, config: Config, node: Option<Node>) {
        let speaker = Speaker::new(config, self.now, u64::from(host)).unwrap();
        let before = self.hosts.remove(&host);
        // What stands in the kernel survives its speaker.
        let (kernel, workloads) = before.map_or_else(Default::default, |h| (h.kernel, h.workloads));
        let started = Host {
            speaker,
            node,
            kernel,
            workloads,
            notices: Vec::new(),
        };
        self.hosts.insert(host, started);
    }

    pub(crate) fn node(&mut self, host: u8) -> &mut Node {
        self.host(host).node.as_mut().unwrap()
    }

    fn host(&mut self, host: u8) -> &mut Host {
        self.hosts.get_mut(&host).unwrap()
    }

    pub(crate) fn workload(&mut self, host: u8, address: &str, present: bool) {
        let prefix = net(&format!("{address}/32"));
        let (now, device) = (self.now, "cali1".into());
        let host = self.host(host);
        if present {
            host.workloads.insert(prefix);
        } else {
            host.workloads.remove(&prefix);
        }
        let node = host.node.as_mut().unwrap();
        node.handle_host_route(now, prefix, &device, present);
    }

    pub(crate) fn add_block(&mut self, host: u8, block: &str) {
        let now = self.now;
        self.node(host).add_block(now, net(block)).unwrap();
    }

    pub(crate) fn remove_block(&mut self, host: u8, block: &str) {
        let now = self.now;
        self.node(host).remove_block(now, net(block)).unwrap();
    }

    /// Runs for `span`; `look` sees the network after every millisecond.
    pub(crate) fn watch(&mut self, span: Duration, mut look: impl FnMut(&Self)) {
        let end = self.now + span;
        while self.now < end {
            self.run(MILLISECOND);
            look(self);
        }
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while self.step() {}
            let timers = self.hosts.values().flat_map(|host| {
                let node = host.node.as_ref().and_then(Node::poll_timeout);
                let speaker = host.speaker.poll_timeout().map(|(at, _)| at);
                [node, speaker]
            });
            let parcel = self.road.keys().next().map(|(at, _)| *at);
            match timers.chain([parcel]).flatten().min() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            self.arrive();
            for host in self.hosts.values_mut() {
                host.speaker.handle_timeout(self.now);
                if let Some(node) = &mut host.node {
                    node.handle_timeout(self.now);
                }
            }
        }
        self.now = end;
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.road.first_entry().filter(|e| e.key().0 <= self.now) {
            let Parcel {
                to: (host, connection),
                what,
            } = entry.remove();
            let Some(host) = self.hosts.get_mut(&host) else {
                continue;
            };
            match what {
                Freight::Octets(octets) => {
                    host.speaker.handle_received(self.now, connection, &octets);
                }
                Freight::End => host.speaker.handle_closed(self.now, connection),
            }
        }
    }

    /// Carries out what engines and rules want; says whether there was anything.
    fn step(&mut self) -> bool {
        let hosts: Vec<u8> = self.hosts.keys().copied().collect();
        let mut any = false;
        for host in hosts {
            any |= self.conduct(host);
            while let Some(output) = self.host(host).speaker.poll_output() {
                any = true;
                self.carry_out(host, output);
            }
        }
        any
    }

    /// What the conductor of a node does.
    fn conduct(&mut self, number: u8) -> bool {
        let now = self.now;
        let own = NextHop::V4(Ipv4Addr::new(10, 0, 0, number));
        let host = self.host(number);
        let Some(node) = &mut host.node else {
            return false;
        };
        let mut any = false;
        while let Some(change) = host.speaker.poll_route_change() {
            node.handle_route_change(now, &change);
            any = true;
        }
        while let Some(order) = node.poll_order() {
            any = true;
            let none = PathAttributes::default();
            match order {
                Order::Announce(prefix) => host.speaker.originate(now, prefix, own, &none),
                Order::Withdraw(prefix) => host.speaker.withdraw(now, prefix),
                Order::Install(place, wanted) => drop(host.kernel.insert(place.prefix, wanted)),
                Order::Uninstall(place) => drop(host.kernel.remove(&place.prefix)),
                Order::PutTunnelEnd(_) | Order::RemoveTunnelEnd { .. } => unreachable!(),
            }
        }
        while let Some(notice) = node.poll_notice() {
            host.notices.push(notice.to_string());
        }
        any
    }

    fn carry_out(&mut self, host: u8, output: Output) {
        match output {
            Output::Connect {
                connection, remote, ..
            } => self.connect(host, connection, remote),
            Output::Transmit(connection) => {
                let mut messages = Vec::new();
                let now = self.now;
                let speaker = &mut self.host(host).speaker;
                while speaker.poll_transmit(now, connection, 4096, &mut messages) {}
                self.send(host, connection, Freight::Octets(messages.concat()));
            }
            Output::Close { connection, last } => {
                self.send(host, connection, Freight::Octets(last.concat()));
                self.send(host, connection, Freight::End);
                if let Some(other) = self.pipes.remove(&(host, connection)) {
                    self.pipes.remove(&other);
                }
            }
            Output::Event(_) => {}
        }
    }

    fn connect(&mut self, host: u8, connection: ConnectionId, remote: SocketAddr) {
        let IpAddr::V4(to) = remote.ip() else {
            unreachable!()
        };
        let local = SocketAddr::new(address(host), 40_000);
        let (now, to) = (self.now, to.octets()[3]);
        let other = self.hosts.get_mut(&to);
        let accepted = other.and_then(|o| o.speaker.handle_accepted(now, remote, local).ok());
        let speaker = &mut self.host(host).speaker;
        match accepted {
            Some(there) => {
                speaker.handle_connected(now, connection, local);
                self.pipes.insert((host, connection), (to, there));
                self.pipes.insert((to, there), (host, connection));
            }
            None => speaker.handle_connect_failed(now, connection),
        }
    }

    /// The way between two hosts takes 1 to 4 ms, always the same.
    fn send(&mut self, host: u8, connection: ConnectionId, what: Freight) {
        if let Some(to) = self.pipes.get(&(host, connection)).copied() {
            let latency = 1 + (host ^ to.0) % 4;
            let at = self.now + MILLISECOND * u32::from(latency);
            self.parcels += 1;
            self.road.insert((at, self.parcels), Parcel { to, what });
        }
    }

    /// The process dies: its connections break, nothing is said. Its kernel stays.
    pub(crate) fn kill(&mut self, host: u8) {
        let broken = self.pipes.keys().filter(|(from, _)| *from == host);
        for (host, connection) in broken.copied().collect::<Vec<_>>() {
            self.send(host, connection, Freight::End);
            if let Some(other) = self.pipes.remove(&(host, connection)) {
                self.pipes.remove(&other);
            }
        }
        self.hosts.remove(&host);
    }

    /// Those reflectors that are there have told `host` all they know.
    pub(crate) fn heard(&mut self, host: u8) {
        let now = self.now;
        let host = self.host(host);
        host.speaker.forget_absent_reflectors(now);
        host.node.as_mut().unwrap().handle_heard(now);
    }

    pub(crate) fn established(&self, host: u8) -> usize {
        let peers = self.hosts[&host].speaker.peers(self.now);
        let up = peers.iter().filter(|p| p.state == State::Established);
        up.count()
    }

    /// Where a packet from `host` to `to` ends now.
    pub(crate) fn trace(&self, host: u8, to: &str) -> End {
        let to = net(&format!("{to}/32"));
        let mut at = host;
        let mut seen = BTreeSet::new();
        while seen.insert(at) {
            let here = &self.hosts[&at];
            if here.workloads.contains(&to) {
                return End::Arrived(at);
            }
            let routes = here
                .kernel
                .iter()
                .filter(|(prefix, _)| prefix.contains(&to));
            match routes.max_by_key(|(prefix, _)| prefix.prefix_len()) {
                None => return End::NoRoute(at),
                Some((_, Wanted::Via { hops, .. })) => {
                    let IpAddr::V4(next) = hops[0].gateway else {
                        unreachable!()
                    };
                    at = next.octets()[3];
                }
                Some((_, Wanted::Blackhole | Wanted::Unreachable | Wanted::Prohibit)) => {
                    return End::Dropped(at);
                }
            }
        }
        End::Loop
    }

    /// The routes in the kernel of `host`.
    pub(crate) fn kernel(&self, host: u8) -> Vec<String> {
        let routes = self.hosts[&host].kernel.iter();
        let words = |(prefix, wanted): (&IpNet, &Wanted)| match wanted {
            Wanted::Via { hops, .. } => format!("{prefix} via {}", hops[0].gateway),
            Wanted::Blackhole | Wanted::Unreachable | Wanted::Prohibit => {
                format!("{prefix} blackhole")
            }
        };
        routes.map(words).collect()
    }
}
