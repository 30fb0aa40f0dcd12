//! Some speakers and lossless pipes between them, in virtual time.

use bgp_core::config::Peer;
use bgp_core::config::{Config, DynamicGroup, PeerSettings, Router};
use bgp_core::family::Family;
use bgp_core::session::State;
use bgp_core::speaker::{Event, Output, Speaker};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::{Asn, ConnectionId, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(crate) const AS: Asn = Asn(64_512);

/// Some speakers, by the last octet of their address, and the pipes between them.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) speakers: BTreeMap<u8, Speaker>,
    pipes: BTreeMap<(u8, ConnectionId), (u8, ConnectionId)>,
    pub(crate) events: Vec<(u8, Event)>,
}

pub(crate) fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}

pub(crate) fn router(host: u8) -> Router {
    Router::new(AS, RouterId(Ipv4Addr::new(10, 0, 0, host)))
}

/// Host 1: accepts clients from 10.0.0.0/24.
pub(crate) fn reflector(limit: usize) -> Config {
    let mut group = DynamicGroup::new(
        "nodes",
        vec!["10.0.0.0/24".parse().unwrap()],
        PeerSettings::client(AS),
    );
    group.limit = limit;
    Config::new(router(1)).with_dynamic(group)
}

/// Any other host: a peer of the reflector.
pub(crate) fn node(host: u8) -> Config {
    let settings = PeerSettings::non_client(AS);
    Config::new(router(host)).with_peer(Peer::new("rr", address(1), settings))
}

impl Net {
    pub(crate) fn new(reflector: Config) -> Self {
        let mut net = Self {
            now: Instant::ZERO,
            speakers: BTreeMap::new(),
            pipes: BTreeMap::new(),
            events: Vec::new(),
        };
        net.start(1, reflector);
        net
    }

    pub(crate) fn start(&mut self, host: u8, config: Config) {
        let speaker = Speaker::new(config, self.now, u64::from(host)).unwrap();
        self.speakers.insert(host, speaker);
    }

    pub(crate) fn originate(&mut self, host: u8, prefix: &str) {
        let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 0, host));
        let now = self.now;
        let speaker = self.speakers.get_mut(&host).unwrap();
        speaker.originate(
            now,
            prefix.parse().unwrap(),
            next_hop,
            &PathAttributes::default(),
        );
    }

    /// Runs for a span of virtual time.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while self.step() {}
            let next = self
                .speakers
                .values()
                .filter_map(Speaker::poll_timeout)
                .map(|(at, _)| at);
            match next.min() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            for speaker in self.speakers.values_mut() {
                speaker.handle_timeout(self.now);
                speaker.check().unwrap();
            }
        }
        self.now = end;
    }

    /// Carries out what the speakers want; says whether there was anything.
    fn step(&mut self) -> bool {
        let hosts: Vec<u8> = self.speakers.keys().copied().collect();
        let mut any = false;
        for host in hosts {
            while let Some(output) = self.speakers.get_mut(&host).unwrap().poll_output() {
                any = true;
                self.carry_out(host, output);
            }
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
                let speaker = self.speakers.get_mut(&host).unwrap();
                while speaker.poll_transmit(self.now, connection, 4096, &mut messages) {}
                self.deliver(host, connection, &messages.concat());
            }
            Output::Close { connection, last } => {
                self.deliver(host, connection, &last.concat());
                if let Some((other, there)) = self.cut(host, connection)
                    && let Some(speaker) = self.speakers.get_mut(&other)
                {
                    speaker.handle_closed(self.now, there);
                }
            }
            Output::Event(event) => self.events.push((host, event)),
        }
    }

    fn connect(&mut self, host: u8, connection: ConnectionId, remote: SocketAddr) {
        let IpAddr::V4(to) = remote.ip() else {
            unreachable!()
        };
        let local = SocketAddr::new(address(host), 40_000);
        let accepted = self
            .speakers
            .get_mut(&to.octets()[3])
            .and_then(|speaker| speaker.handle_accepted(self.now, remote, local).ok());
        let speaker = self.speakers.get_mut(&host).unwrap();
        match accepted {
            Some(there) => {
                self.pipes
                    .insert((host, connection), (to.octets()[3], there));
                self.pipes
                    .insert((to.octets()[3], there), (host, connection));
                speaker.handle_connected(self.now, connection, local);
            }
            None => speaker.handle_connect_failed(self.now, connection),
        }
    }

    fn deliver(&mut self, host: u8, connection: ConnectionId, bytes: &[u8]) {
        if let Some((other, there)) = self.pipes.get(&(host, connection))
            && let Some(speaker) = self.speakers.get_mut(other)
        {
            speaker.handle_received(self.now, *there, bytes);
        }
    }

    fn cut(&mut self, host: u8, connection: ConnectionId) -> Option<(u8, ConnectionId)> {
        let other = self.pipes.remove(&(host, connection))?;
        self.pipes.remove(&other);
        Some(other)
    }

    /// The process dies: its connections break, nothing is said.
    pub(crate) fn kill(&mut self, host: u8) {
        self.speakers.remove(&host);
        let broken: Vec<_> = self
            .pipes
            .keys()
            .filter(|(from, _)| *from == host)
            .copied()
            .collect();
        for (host, connection) in broken {
            if let Some((other, there)) = self.cut(host, connection) {
                self.speakers
                    .get_mut(&other)
                    .unwrap()
                    .handle_closed(self.now, there);
            }
        }
    }

    /// The host goes dark: nobody is told, and what is sent to it vanishes.
    pub(crate) fn lose_power(&mut self, host: u8) {
        self.speakers.remove(&host);
    }

    /// The prefixes in the Loc-RIB of `host`.
    pub(crate) fn routes(&self, host: u8) -> Vec<String> {
        let page = self.speakers[&host].loc_rib(Family::Ipv4Unicast, None, 100);
        let mut prefixes: Vec<String> = page
            .items
            .iter()
            .map(|route| route.prefix.to_string())
            .collect();
        prefixes.sort();
        prefixes
    }

    pub(crate) fn established(&self, host: u8) -> usize {
        let peers = self.speakers[&host].peers(self.now);
        peers
            .iter()
            .filter(|peer| peer.state == State::Established)
            .count()
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A reflector and two nodes, each with a block.
pub(crate) fn two_nodes() -> Net {
    let mut net = Net::new(reflector(10));
    for host in [2, 3] {
        net.start(host, node(host));
        net.originate(host, &format!("10.244.{host}.0/26"));
    }
    net.run(SECOND);
    net
}
