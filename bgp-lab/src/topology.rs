//! One reflector and the daemons around it on one LAN: what the interoperability tests share.
//!
//! The reflector is host 1. Every speaker has a number, from which its addresses, its router id
//! and its prefixes follow, so that a route says by itself where it comes from.

use crate::daemons::{self, Brand, Daemon, Host};
use crate::netns::{Lan, Namespace};
use crate::reflector::{self, Make, Reflector, Terms};
use crate::route::{Announcement, ReceivedRoute, difference};
use crate::{During, Error, Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net};
use bgp_core::types::PeerRole;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The reflector's number on the LAN.
pub const REFLECTOR: u16 = 1;
/// The AS of the reflector and of all internal speakers.
pub const ASN: u32 = 64_512;
/// The reflector's cluster: not its router id, so that they cannot be mixed up.
pub const CLUSTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// How sessions are carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// One IPv4 session for both families.
    Shared,
    /// An IPv4 session for IPv4 routes and an IPv6 session for IPv6 routes.
    Separate,
}

impl Transport {
    fn sessions(self, number: u16) -> Vec<(IpAddr, Vec<Family>)> {
        match self {
            Self::Shared => vec![(Lan::v4(number).into(), Family::ALL.to_vec())],
            Self::Separate => vec![
                (Lan::v4(number).into(), vec![Family::Ipv4Unicast]),
                (Lan::v6(number).into(), vec![Family::Ipv6Unicast]),
            ],
        }
    }
}

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The daemon.
    pub brand: Brand,
    /// What it is to the reflector.
    pub role: PeerRole,
    /// Its AS.
    pub asn: u32,
    /// Its number on the LAN, 2 to 255.
    pub number: u8,
}

impl Member {
    /// A name for files and messages.
    pub fn name(&self) -> String {
        let role = match self.role {
            PeerRole::Client => "client",
            PeerRole::NonClient => "nonclient",
            PeerRole::External => "external",
        };
        format!("{}-{role}", self.brand.word())
    }

    /// Its BGP Identifier.
    pub fn router_id(&self) -> Ipv4Addr {
        Lan::v4(self.number.into())
    }

    /// Its `index`th prefix of `family`.
    pub fn prefix(&self, family: Family, index: u8) -> IpNet {
        match family {
            Family::Ipv4Unicast => {
                let address = Ipv4Addr::new(10, self.number, index, 64);
                Ipv4Net::new_assert(address, 26).into()
            }
            Family::Ipv6Unicast => {
                let pair = u16::from_be_bytes([self.number, index]);
                let address = Ipv6Addr::new(0xfd10, pair, 0, 0, 0, 0, 0, 0);
                Ipv6Net::new_assert(address, 64).into()
            }
        }
    }
}

/// A reflector and its speakers, running.
pub struct Topology {
    /// The router in the middle.
    pub reflector: Box<dyn Reflector>,
    /// The speakers, as the members were listed.
    pub speakers: Vec<(Member, Box<dyn Daemon>)>,
    // After the processes, so that their files outlive them.
    _dir: TempDir,
}

impl Topology {
    /// Builds and starts everything, without any route yet.
    ///
    /// # Errors
    /// When something cannot be built or started.
    pub fn new(make: Make, transport: Transport, members: &[Member]) -> Result<Self> {
        let dir = TempDir::with_prefix("bgp-lab-").during(|| "making a folder".to_owned())?;
        // FRR leaves the superuser behind, and must still reach its files.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711))
            .during(|| "opening the folder".to_owned())?;
        let hub = Arc::new(Namespace::new("reflector")?);
        let lan = Lan::new(&hub, REFLECTOR)?;
        let setup = reflector_setup(transport, members);
        let mut reflector = make.install(setup, Arc::clone(&hub), dir.path())?;
        reflector.start()?;
        let mut speakers = Vec::new();
        for member in members {
            let namespace = Arc::new(Namespace::new(&member.name())?);
            lan.attach(&namespace, member.number.into())?;
            let host = Host::new(speaker_setup(transport, member), namespace, dir.path())?;
            speakers.push((*member, member.brand.install(host)));
        }
        for (_, speaker) in &mut speakers {
            speaker.start()?;
        }
        Ok(Self {
            reflector,
            speakers,
            _dir: dir,
        })
    }

    /// Waits until every session is Established.
    ///
    /// # Errors
    /// [`Error::Timeout`], and when the reflector has ended.
    pub fn wait_established(&mut self, limit: Duration) -> Result<()> {
        for (_, speaker) in &self.speakers {
            speaker
                .wait_established(limit)
                .map_err(|error| self.explain(&error))?;
        }
        self.reflector.check_alive()
    }

    /// Waits until every running speaker has received exactly what `expected` says for it.
    ///
    /// # Errors
    /// [`Error::Timeout`] with what is missing, too much or different, and when the reflector has
    /// ended.
    pub fn wait_routes(
        &mut self,
        step: &str,
        limit: Duration,
        expected: impl Fn(&Member) -> Option<Vec<ReceivedRoute>>,
    ) -> Result<()> {
        for (member, speaker) in &self.speakers {
            let Some(mut expected) = expected(member) else {
                continue;
            };
            expected.sort();
            let what = format!("the routes of {} ({step})", member.name());
            wait::until(&what, limit, || {
                let mut found = speaker.routes().map_err(|error| error.to_string())?;
                if member.role == PeerRole::External {
                    // Never on the wire there; some daemons show a default of their own.
                    found.iter_mut().for_each(|route| route.local_pref = None);
                }
                match difference(&expected, &found) {
                    empty if empty.is_empty() => Ok(()),
                    text => Err(text),
                }
            })
            .map_err(|error| self.explain(&error))?;
        }
        self.reflector.check_alive()
    }

    /// Makes every speaker announce what `routes` says for it.
    ///
    /// # Errors
    /// When a speaker refuses.
    pub fn announce(&mut self, routes: impl Fn(&Member) -> Vec<Announcement>) -> Result<()> {
        for (member, speaker) in &mut self.speakers {
            for route in routes(member) {
                speaker.announce(&route)?;
            }
        }
        Ok(())
    }

    /// Adds what the reflector has said last.
    fn explain(&self, error: &Error) -> Error {
        Error::Check(format!("{error}\nreflector:\n{}", self.reflector.tail()))
    }
}

fn reflector_setup(transport: Transport, members: &[Member]) -> reflector::Setup {
    let mut peers = Vec::new();
    for member in members {
        for (address, families) in transport.sessions(member.number.into()) {
            let version = if address.is_ipv4() { 4 } else { 6 };
            peers.push(reflector::Peer {
                name: format!("{}-{version}", member.name()),
                address,
                passive: false,
                terms: Terms {
                    asn: member.asn,
                    role: member.role,
                    families,
                },
            });
        }
    }
    reflector::Setup {
        asn: ASN,
        router_id: Lan::v4(REFLECTOR),
        cluster_id: CLUSTER,
        listen: vec![Lan::v4(REFLECTOR).into(), Lan::v6(REFLECTOR).into()],
        hold_time: 90,
        peers,
        ranges: Vec::new(),
    }
}

fn speaker_setup(transport: Transport, member: &Member) -> daemons::Setup {
    let sessions = transport.sessions(REFLECTOR);
    daemons::Setup {
        name: member.name(),
        asn: member.asn,
        router_id: member.router_id(),
        v4: Lan::v4(member.number.into()),
        v6: Lan::v6(member.number.into()),
        peers: sessions
            .into_iter()
            .map(|(address, families)| daemons::Peer {
                name: format!("reflector{}", if address.is_ipv4() { 4 } else { 6 }),
                address,
                asn: ASN,
                families,
            })
            .collect(),
    }
}

/// The address of host `number` in a family.
pub fn address(number: u16, family: Family) -> IpAddr {
    match family {
        Family::Ipv4Unicast => Lan::v4(number).into(),
        Family::Ipv6Unicast => Lan::v6(number).into(),
    }
}

/// What RFC 4456 demands that a route announced by `sender` looks like at an internal peer of the
/// reflector: ORIGINATOR_ID and CLUSTER_LIST added (§8), all else as it was sent (§10).
pub fn reflected(transport: Transport, sender: &Member, route: &Announcement) -> ReceivedRoute {
    let next_hop = address(sender.number.into(), route.family());
    let from = match transport {
        Transport::Shared => Lan::v4(REFLECTOR).into(),
        Transport::Separate => address(REFLECTOR, route.family()),
    };
    let mut received = ReceivedRoute::new(route.prefix, from, next_hop);
    received.origin = route.origin;
    received.as_path = route.as_path.clone();
    received.local_pref = Some(route.local_pref);
    received.med = Some(route.med);
    received.communities = route.communities.clone();
    received.large_communities = route.large_communities.clone();
    received.route_targets = route.route_targets.clone();
    received.originator_id = Some(sender.router_id());
    received.cluster_list = vec![CLUSTER];
    received.sorted()
}
