//! The speaker as a whole, in virtual time: a reflector and some clients, joined by lossless
//! pipes.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use bgp_core::config::Peer;
use bgp_core::config::{Config, DynamicGroup, PeerSettings, Router};
use bgp_core::family::{Family, FamilySet};
use bgp_core::session::{State, Stop};
use bgp_core::speaker::{DEFERRAL, Event, Output, QUIET, Refused, Speaker};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::{Asn, ConnectionId, PeerId, RouterId};
use bgp_core::wire::{NextHop, PathAttributes};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

const AS: Asn = Asn(64_512);

/// Some speakers, by the last octet of their address, and the pipes between them.
struct Net {
    now: Instant,
    speakers: BTreeMap<u8, Speaker>,
    pipes: BTreeMap<(u8, ConnectionId), (u8, ConnectionId)>,
    events: Vec<(u8, Event)>,
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}

fn router(host: u8) -> Router {
    Router::new(AS, RouterId(Ipv4Addr::new(10, 0, 0, host)))
}

/// Host 1: accepts clients from 10.0.0.0/24.
fn reflector(limit: usize) -> Config {
    let mut group = DynamicGroup::new(
        "nodes",
        vec!["10.0.0.0/24".parse().unwrap()],
        PeerSettings::client(AS),
    );
    group.limit = limit;
    Config::new(router(1)).with_dynamic(group)
}

/// Any other host: a peer of the reflector.
fn node(host: u8) -> Config {
    let settings = PeerSettings::non_client(AS);
    Config::new(router(host)).with_peer(Peer::new("rr", address(1), settings))
}

impl Net {
    fn new(reflector: Config) -> Self {
        let mut net = Self {
            now: Instant::ZERO,
            speakers: BTreeMap::new(),
            pipes: BTreeMap::new(),
            events: Vec::new(),
        };
        net.start(1, reflector);
        net
    }

    fn start(&mut self, host: u8, config: Config) {
        let speaker = Speaker::new(config, self.now, u64::from(host)).unwrap();
        self.speakers.insert(host, speaker);
    }

    fn originate(&mut self, host: u8, prefix: &str) {
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
    fn run(&mut self, span: Duration) {
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
    fn kill(&mut self, host: u8) {
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

    /// The prefixes in the Loc-RIB of `host`.
    fn routes(&self, host: u8) -> Vec<String> {
        let page = self.speakers[&host].loc_rib(Family::Ipv4Unicast, None, 100);
        let mut prefixes: Vec<String> = page
            .items
            .iter()
            .map(|route| route.prefix.to_string())
            .collect();
        prefixes.sort();
        prefixes
    }

    fn established(&self, host: u8) -> usize {
        let peers = self.speakers[&host].peers(self.now);
        peers
            .iter()
            .filter(|peer| peer.state == State::Established)
            .count()
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// A reflector and two nodes, each with a block.
fn two_nodes() -> Net {
    let mut net = Net::new(reflector(10));
    for host in [2, 3] {
        net.start(host, node(host));
        net.originate(host, &format!("10.244.{host}.0/26"));
    }
    net.run(SECOND);
    net
}

#[test]
fn blocks_of_one_client_reach_the_other() {
    let net = two_nodes();
    assert_eq!(net.routes(2), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.routes(3), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.established(1), 2);
}

#[test]
fn a_client_that_stops_for_good_takes_its_routes_with_it_and_is_forgotten() {
    let mut net = two_nodes();
    let now = net.now;
    let how = Stop::AdministrativeShutdown("going home".into());
    net.speakers.get_mut(&2).unwrap().stop(now, &how);
    net.run(SECOND);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
    assert_eq!(net.speakers[&1].peers(net.now).len(), 1);
}

#[test]
fn routes_of_a_client_that_restarts_stay_and_what_it_does_not_say_again_goes() {
    let mut net = two_nodes();
    net.originate(2, "10.244.20.0/26");
    net.run(SECOND);
    net.kill(2);
    net.run(SECOND);
    assert_eq!(net.routes(3).len(), 3, "kept while it is away");
    net.start(2, node(2));
    net.originate(2, "10.244.2.0/26");
    net.run(SECOND * 2);
    assert_eq!(net.routes(3), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.established(1), 2);
}

#[test]
fn routes_of_a_client_that_does_not_come_back_go_after_its_restart_time() {
    let mut net = two_nodes();
    net.kill(2);
    let restart_time = router(2).restart_time;
    net.run(restart_time - SECOND * 2);
    assert_eq!(net.routes(3).len(), 2);
    net.run(SECOND * 4);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
    assert_eq!(
        net.speakers[&1].peers(net.now).len(),
        1,
        "and it is forgotten"
    );
}

#[test]
fn a_family_that_was_not_negotiated_is_not_kept() {
    let mut config = reflector(10);
    let settings = Arc::make_mut(&mut config.dynamic[0].settings);
    settings.families = FamilySet::from_iter([Family::Ipv4Unicast]);
    let mut net = Net::new(config);
    net.start(2, node(2));
    net.run(SECOND);
    net.kill(2);
    net.run(SECOND);
    let keeps = |net: &Net| net.speakers[&1].peers(net.now)[0].keeps;
    let (families, _) = keeps(&net).unwrap();
    assert_eq!(families, FamilySet::from_iter([Family::Ipv4Unicast]));
    net.start(2, node(2));
    net.run(DEFERRAL * 2);
    assert_eq!(net.established(1), 1);
    assert_eq!(keeps(&net), None);
}

#[test]
fn a_reflector_that_stops_silently_takes_no_route_with_it() {
    let mut net = two_nodes();
    let now = net.now;
    net.speakers.get_mut(&1).unwrap().stop(now, &Stop::Silent);
    net.run(SECOND);
    net.speakers.remove(&1);
    net.run(SECOND);
    assert_eq!(net.routes(2).len(), 2, "kept while the reflector is away");
    let mut config = reflector(10);
    config.router.restarting = true;
    net.start(1, config);
    net.run(QUIET + SECOND * 20);
    assert_eq!(net.routes(2), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.established(1), 2);
}

#[test]
fn end_of_rib_waits_for_configured_peers_only_so_long() {
    let mut config = reflector(10);
    config.router.restarting = true;
    config = config.with_peer(Peer::new("dead", address(99), PeerSettings::non_client(AS)));
    let mut net = Net::new(config);
    net.start(2, node(2));
    let said = |net: &Net| {
        net.events
            .iter()
            .any(|(host, event)| *host == 2 && matches!(event, Event::EndOfRib { .. }))
    };
    net.run(DEFERRAL - SECOND);
    assert!(!said(&net), "the dead peer is still waited for");
    net.run(SECOND * 2);
    assert!(said(&net));
}

#[test]
fn one_client_more_than_the_limit_is_refused() {
    let mut net = Net::new(reflector(2));
    for host in 2..=4 {
        net.start(host, node(host));
    }
    net.run(SECOND);
    assert_eq!(net.established(1), 2);
    let refused = net.events.iter().any(|(host, event)| {
        let full = Refused::GroupFull { limit: 2 };
        *host == 1 && matches!(event, Event::Refused { why, .. } if *why == full)
    });
    assert!(refused);
}

#[test]
fn connections_from_elsewhere_are_refused() {
    let mut net = Net::new(reflector(2));
    let local = SocketAddr::new(address(1), 179);
    let remote = SocketAddr::new("192.0.2.1".parse().unwrap(), 4_000);
    let speaker = net.speakers.get_mut(&1).unwrap();
    assert_eq!(
        speaker.handle_accepted(Instant::ZERO, local, remote),
        Err(Refused::UnknownPeer)
    );
    assert_eq!(speaker.peers(Instant::ZERO).len(), 0);
}

#[test]
fn a_disabled_client_stays_away_until_it_is_enabled() {
    let mut config = reflector(10);
    config = config.with_peer(Peer::new("two", address(2), PeerSettings::client(AS)));
    let mut net = Net::new(config);
    net.start(2, node(2));
    net.run(SECOND);
    let now = net.now;
    let how = Stop::AdministrativeShutdown(String::new());
    net.speakers
        .get_mut(&1)
        .unwrap()
        .disable_peer(now, "two", how)
        .unwrap();
    net.run(SECOND * 60);
    assert_eq!(net.established(1), 0);
    let now = net.now;
    net.speakers
        .get_mut(&1)
        .unwrap()
        .enable_peer(now, "10.0.0.2")
        .unwrap();
    net.run(SECOND * 60);
    assert_eq!(net.established(1), 1);
}

#[test]
fn peers_come_in_pages_and_are_counted() {
    let net = two_nodes();
    let reflector = &net.speakers[&1];
    let all: Vec<PeerId> = reflector
        .peers(net.now)
        .iter()
        .map(|peer| peer.id)
        .collect();
    let (mut paged, mut from) = (Vec::new(), PeerId(0));
    while let Some(peer) = reflector.peers_from(net.now, from, 1).first() {
        paged.push(peer.id);
        from = PeerId(peer.id.0 + 1);
    }
    assert_eq!(paged, all);
    assert_eq!(reflector.peer_counts(), (2, 2));
    // Both nodes offer graceful restart.
    assert_eq!(reflector.kept_by(), 2);
}

#[test]
fn what_a_peer_is_told_of_one_prefix_is_what_its_table_says() {
    let net = two_nodes();
    let reflector = &net.speakers[&1];
    let told = |peer: &str, prefix: &str| {
        let told = reflector.announced_to(peer, &prefix.parse().unwrap());
        told.map(|view| view.map(|view| view.prefix.to_string()))
    };
    let table = reflector.adj_rib_out("10.0.0.2", Family::Ipv4Unicast, None, 10);
    let table: Vec<String> = table
        .unwrap()
        .items
        .iter()
        .map(|view| view.prefix.to_string())
        .collect();
    assert_eq!(table, ["10.244.3.0/26"]);
    assert_eq!(
        told("10.0.0.2", "10.244.3.0/26"),
        Ok(Some(table[0].clone()))
    );
    // Its own, and one that is not there.
    assert_eq!(told("10.0.0.2", "10.244.2.0/26"), Ok(None));
    assert_eq!(told("10.0.0.2", "192.0.2.0/24"), Ok(None));
    assert!(told("nobody", "10.244.3.0/26").is_err());
}
