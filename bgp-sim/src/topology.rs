//! Who is there and who talks to whom: a cluster as a value, drawn from a seed.
//!
//! Nodes are plain internal speakers that announce their own blocks; reflectors serve them as
//! clients, in one cluster or in two; an external router of another AS may peer with a
//! reflector. Hosts are numbered: reflectors first, then the external router, then the nodes.
//!
//! A session is described once, with the settings of both ends, because the model reads it too.
//! An end that is not configured by address is accepted by a dynamic group of the same settings.

use bgp_core::config::{Config, DynamicGroup, Peer, PeerSettings, Router};
use bgp_core::family::{Family, FamilySet};
use bgp_core::policy::{Action, Policy, PrefixRange, Rule};
use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net};
use bgp_core::rng::Rng;
use bgp_core::time::Duration;
use bgp_core::types::{Asn, ClusterId, PeerRole, RouterId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// How long some hosts keep long-lived stale routes, and ask others to.
const LONG_LIVED: Duration = Duration::from_secs(20);

/// The AS of nodes and reflectors.
pub const CLUSTER_AS: Asn = Asn(64_512);
/// The AS of the external router: one that needs four octets.
pub const EXTERNAL_AS: Asn = Asn(4_200_065_001);
/// The reflectors are the hosts below this number.
pub const REFLECTORS: usize = 2;
/// How many classes of clients a reflector tells apart by their addresses.
pub const CLASSES: usize = 3;

/// A cluster.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Everyone, by number.
    pub hosts: Vec<Host>,
    /// Who talks to whom.
    pub sessions: Vec<Session>,
    /// By host, its sessions.
    sessions_of: Vec<Vec<usize>>,
}

/// What a host is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Reflects routes.
    Reflector,
    /// A router of another AS.
    External,
    /// Announces its own blocks and wants everyone else's.
    Node,
}

/// One machine with one speaker.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name in traces: `r1`, `tor`, `n7`.
    pub name: String,
    /// What it is there for.
    pub kind: Kind,
    /// Its speaker.
    pub router: Router,
    /// Its addresses.
    pub v4: Ipv4Addr,
    /// Its addresses.
    pub v6: Ipv6Addr,
    /// Which settings a reflector has for it.
    pub class: usize,
    /// The groups that accept what is not configured.
    pub dynamic: Vec<DynamicGroup>,
}

/// A session between two hosts.
#[derive(Clone, Debug)]
pub struct Session {
    /// Both ends; the first is never the dynamic one.
    pub ends: [End; 2],
}

/// One end of a session.
#[derive(Clone, Debug)]
pub struct End {
    /// The host.
    pub host: usize,
    /// Its address in this session.
    pub address: IpAddr,
    /// What it has configured about the other end.
    pub settings: Arc<PeerSettings>,
    /// Whether the other end is configured by address.
    pub configured: bool,
}

/// What a run may draw from.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fewest nodes.
    pub min_nodes: usize,
    /// Most nodes.
    pub max_nodes: usize,
    /// Whether the network and the hosts may fail.
    pub faults: bool,
}

impl Host {
    /// The address of the same family as `like`.
    pub fn address_like(&self, like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => self.v4.into(),
            IpAddr::V6(_) => self.v6.into(),
        }
    }
}

impl Session {
    /// The families that both ends carry.
    pub fn families(&self) -> FamilySet {
        let [left, right] = &self.ends;
        left.settings.families.intersection(right.settings.families)
    }

    /// Whether `host` is told two paths to a prefix here (RFC 7911).
    pub fn has_two_paths_to(&self, host: usize) -> bool {
        let [left, right] = &self.ends;
        let (reader, writer) = match left.host == host {
            true => (left, right),
            false => (right, left),
        };
        reader.settings.add_path_receive && writer.settings.add_path_send
    }

    /// The side on which `host` is.
    pub fn side_of(&self, host: usize) -> Option<usize> {
        self.ends.iter().position(|end| end.host == host)
    }
}

impl Topology {
    /// The configuration of a host. Configured peers are named by their host.
    pub fn config(&self, host: usize) -> Config {
        let plan = &self.hosts[host];
        let mut config = Config::new(plan.router.clone());
        config.dynamic.clone_from(&plan.dynamic);
        for session in &self.sessions {
            let Some(side) = session.side_of(host) else {
                continue;
            };
            let (own, other) = (&session.ends[side], &session.ends[1 - side]);
            if own.configured {
                let name = self.hosts[other.host].name.clone();
                let peer = Peer::new(name, other.address, Arc::clone(&own.settings));
                config = config.with_peer(peer);
            }
        }
        config
    }

    /// The host that has `address`.
    pub fn host_at(&self, address: IpAddr) -> Option<usize> {
        self.hosts
            .iter()
            .position(|host| host.address_like(address) == address)
    }

    /// The sessions of a host.
    pub fn sessions_of(&self, host: usize) -> impl Iterator<Item = (usize, &Session)> {
        let numbers = self.sessions_of[host].iter();
        numbers.map(|number| (*number, &self.sessions[*number]))
    }

    fn new(hosts: Vec<Host>, sessions: Vec<Session>) -> Self {
        let mut sessions_of = vec![Vec::new(); hosts.len()];
        for (number, session) in sessions.iter().enumerate() {
            for end in &session.ends {
                sessions_of[end.host].push(number);
            }
        }
        Self {
            hosts,
            sessions,
            sessions_of,
        }
    }

    /// Draws a cluster.
    pub fn draw(rng: &mut Rng, limits: &Limits) -> Self {
        Draw::new(rng, limits).topology()
    }
}

/// What holds for a whole drawn cluster.
struct Draw<'a> {
    rng: &'a mut Rng,
    nodes: usize,
    one_cluster: bool,
    hold_time: Duration,
    connect_retry: Duration,
    router_ids: Vec<RouterId>,
    /// By class, what a reflector has for its clients.
    class_settings: Vec<PeerSettings>,
}

impl<'a> Draw<'a> {
    fn new(rng: &'a mut Rng, limits: &Limits) -> Self {
        let spread = (limits.max_nodes - limits.min_nodes + 1) as u64;
        let nodes = limits.min_nodes + rng.below(spread) as usize;
        let hosts = REFLECTORS + 1 + nodes;
        // Without faults a session needs no hold timer; with them it would never notice a peer
        // that vanished.
        let holds: &[u64] = if limits.faults {
            &[9, 30, 90]
        } else {
            &[0, 9, 30, 90]
        };
        let hold_time = Duration::from_secs(*pick(rng, holds));
        let connect_retry = Duration::from_millis(*pick(rng, &[1_000, 3_000, 10_000]));
        let router_ids = router_ids(rng, hosts);
        let mut draw = Self {
            rng,
            nodes,
            one_cluster: false,
            hold_time,
            connect_retry,
            router_ids,
            class_settings: Vec::new(),
        };
        draw.one_cluster = draw.chance(2);
        draw.class_settings = (0..CLASSES).map(|class| draw.class(class)).collect();
        draw
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    /// What reflectors have configured for clients of a class: everything, IPv4 alone, or
    /// policies.
    fn class(&mut self, class: usize) -> PeerSettings {
        let mut settings = self.settings(CLUSTER_AS, PeerRole::Client);
        match class {
            0 => {}
            1 => settings.families = FamilySet::from_iter([Family::Ipv4Unicast]),
            _ => {
                settings.import = self.chance(2).then(|| Arc::new(policy("from-node", 1)));
                settings.export = self.chance(2).then(|| Arc::new(policy("to-node", 2)));
            }
        }
        settings
    }

    fn settings(&mut self, remote_as: Asn, role: PeerRole) -> PeerSettings {
        let mut settings = PeerSettings::new(remote_as, role);
        settings.hold_time = self.hold_time;
        settings.connect_retry = self.connect_retry;
        settings.extended_messages = self.chance(2);
        settings.add_path_receive = self.chance(4);
        // No draws of their own: earlier seeds mean what they did.
        settings.keep_when_silent = settings.add_path_receive;
        let long_lived = match settings.extended_messages {
            true => LONG_LIVED,
            false => Duration::ZERO,
        };
        settings.long_lived_stale_time = long_lived;
        settings.long_lived_restart_time = long_lived;
        settings
    }

    fn topology(mut self) -> Topology {
        let mut hosts: Vec<Host> = (0..REFLECTORS).map(|index| self.reflector(index)).collect();
        hosts.push(self.host(REFLECTORS, Kind::External));
        for index in 0..self.nodes {
            hosts.push(self.host(REFLECTORS + 1 + index, Kind::Node));
        }
        let mut sessions = vec![self.between_reflectors(&hosts)];
        if self.chance(2) {
            self.external_sessions(&hosts, &mut sessions);
        }
        for node in REFLECTORS + 1..hosts.len() {
            self.node_sessions(&hosts, node, &mut sessions);
        }
        Topology::new(hosts, sessions)
    }

    fn host(&mut self, number: usize, kind: Kind) -> Host {
        let class = self.rng.below(CLASSES as u64) as usize;
        let index = u16::try_from(number).unwrap_or(u16::MAX);
        let [high, low] = index.to_be_bytes();
        let (name, asn, net) = match kind {
            Kind::Reflector => (format!("r{}", number + 1), CLUSTER_AS, 100),
            Kind::External => ("tor".to_owned(), EXTERNAL_AS, 101),
            Kind::Node => (format!("n{}", number - REFLECTORS), CLUSTER_AS, class as u8),
        };
        let router_id = self.router_ids[number];
        let mut router = Router::new(asn, router_id);
        router.host_name.clone_from(&name);
        router.settle = Duration::from_millis(*pick(self.rng, &[0, 5, 50]));
        router.restart_time = Duration::from_secs(*pick(self.rng, &[0, 120]));
        install(&mut router);
        Host {
            name,
            kind,
            router,
            // A hundred times class, then the number: addresses of a class are one prefix.
            v4: Ipv4Addr::new(10, net, high, low),
            v6: Ipv6Addr::new(0xfd00, u16::from(net), 0, 0, 0, 0, 0, index),
            class,
            dynamic: Vec::new(),
        }
    }

    fn reflector(&mut self, number: usize) -> Host {
        let mut host = self.host(number, Kind::Reflector);
        let cluster = if self.one_cluster {
            self.router_ids[0]
        } else {
            host.router.router_id
        };
        host.router.cluster_id = ClusterId(cluster.0);
        host.router.client_to_client = !self.chance(10);
        host.dynamic = (0..CLASSES).map(|class| self.group(class)).collect();
        host
    }

    fn group(&self, class: usize) -> DynamicGroup {
        let net = class as u8;
        let v4 = Ipv4Net::new_assert(Ipv4Addr::new(10, net, 0, 0), 16);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, u16::from(net), 0, 0, 0, 0, 0, 0), 32);
        let accept = vec![IpNet::V4(v4), IpNet::V6(v6)];
        let settings = self.class_settings[class].clone();
        DynamicGroup::new(format!("class{class}"), accept, settings)
    }

    fn between_reflectors(&mut self, hosts: &[Host]) -> Session {
        let role = if self.chance(4) {
            PeerRole::Client
        } else {
            PeerRole::NonClient
        };
        let mut settings = self.settings(CLUSTER_AS, role);
        settings.next_hop_self = self.chance(3);
        let v6 = self.chance(4);
        Session {
            ends: [0, 1].map(|host| End {
                host,
                address: transport(&hosts[host], v6),
                settings: Arc::new(settings.clone()),
                configured: true,
            }),
        }
    }

    /// The external router peers with one reflector or with both, in the family of its transport.
    fn external_sessions(&mut self, hosts: &[Host], sessions: &mut Vec<Session>) {
        let both = self.chance(2);
        let first = self.rng.below(REFLECTORS as u64) as usize;
        let v6 = self.chance(3);
        let family = if v6 {
            Family::Ipv6Unicast
        } else {
            Family::Ipv4Unicast
        };
        for reflector in (0..REFLECTORS).filter(|index| both || *index == first) {
            let inside = self.external_end(&hosts[reflector], reflector, (EXTERNAL_AS, family));
            let outside = self.external_end(&hosts[REFLECTORS], REFLECTORS, (CLUSTER_AS, family));
            sessions.push(Session {
                ends: [inside, outside],
            });
        }
    }

    fn external_end(&mut self, host: &Host, number: usize, (asn, family): (Asn, Family)) -> End {
        let mut settings = self.settings(asn, PeerRole::External);
        settings.families = FamilySet::from_iter([family]);
        // Without a policy nothing passes (RFC 8212): that must be seen too.
        settings.import = (!self.chance(8)).then(|| Arc::new(policy("from-outside", 3)));
        settings.export = (!self.chance(8)).then(|| Arc::new(policy("to-outside", 2)));
        End {
            host: number,
            address: transport(host, family == Family::Ipv6Unicast),
            settings: Arc::new(settings),
            configured: true,
        }
    }

    fn node_sessions(&mut self, hosts: &[Host], node: usize, sessions: &mut Vec<Session>) {
        let plan = &hosts[node];
        let mut own = self.settings(CLUSTER_AS, PeerRole::NonClient);
        if self.chance(8) {
            own.families = FamilySet::from_iter([Family::Ipv4Unicast]);
        }
        let only = self.rng.below(6);
        let v6 = self.chance(4);
        for reflector in (0..REFLECTORS).filter(|index| only >= 2 || only == *index as u64) {
            // A dynamic client must call; a configured one may wait to be called.
            let configured = self.chance(3);
            let mut own = own.clone();
            let mut theirs = self.class_settings[plan.class].clone();
            if configured {
                match self.rng.below(3) {
                    0 => own.passive = true,
                    1 => theirs.passive = true,
                    _ => {}
                }
            }
            sessions.push(Session {
                ends: [
                    End {
                        host: node,
                        address: transport(plan, v6),
                        settings: Arc::new(own),
                        configured: true,
                    },
                    End {
                        host: reflector,
                        address: transport(&hosts[reflector], v6),
                        settings: Arc::new(theirs),
                        configured,
                    },
                ],
            });
        }
    }
}

/// One of `choices`; there must be one.
pub fn pick<'c, T>(rng: &mut Rng, choices: &'c [T]) -> &'c T {
    &choices[rng.below(choices.len() as u64) as usize]
}

fn transport(host: &Host, v6: bool) -> IpAddr {
    if v6 { host.v6.into() } else { host.v4.into() }
}

/// Identifiers in an order of their own, so that they do not rank hosts as addresses do.
fn router_ids(rng: &mut Rng, hosts: usize) -> Vec<RouterId> {
    let mut ids: Vec<RouterId> = (1..=hosts)
        .map(|low| RouterId(Ipv4Addr::from(0x0a0a_0000 + low as u32)))
        .collect();
    for place in (1..ids.len()).rev() {
        ids.swap(place, rng.below(place as u64 + 1) as usize);
    }
    ids
}

/// A policy that refuses the prefixes of a residue modulo 5, which cuts through all that hosts
/// announce (see [`crate::scenario`]).
fn policy(name: &str, residue: u8) -> Policy {
    let refused = (0..8)
        .map(|step| residue + 5 * step)
        .flat_map(|low| {
            let v4 = Ipv4Net::new_assert(Ipv4Addr::new(172, 16, low, 0), 24);
            let segment = u16::from(low) << 8;
            let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, segment, 0, 0, 0, 0, 0), 40);
            [IpNet::V4(v4), IpNet::V6(v6)]
        })
        .map(|prefix| PrefixRange {
            min_len: prefix.prefix_len(),
            max_len: prefix.max_prefix_len(),
            prefix,
        })
        .collect();
    Policy {
        name: name.to_owned(),
        rules: vec![Rule {
            prefixes: refused,
            action: Action::Reject,
        }],
        default: Action::Accept,
    }
}

/// Whether and how the routes of a host are installed: a property of its router id.
fn install(router: &mut Router) {
    let mut rng = Rng::new(u64::from(u32::from(router.router_id.0)));
    router.install = rng.below(2) == 0;
    router.multipath = *pick(&mut rng, &[1, 2, 4]);
    router.track_next_hops = rng.below(3) == 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_configurations_are_valid() {
        let limits = Limits {
            min_nodes: 1,
            max_nodes: 50,
            faults: true,
        };
        for seed in 0..200 {
            let topology = Topology::draw(&mut Rng::new(seed), &limits);
            for host in 0..topology.hosts.len() {
                assert_eq!(topology.config(host).check(), []);
            }
        }
    }
}
