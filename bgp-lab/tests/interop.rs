//! Real daemons exchange routes through the reflector, in every combination of sender and receiver.
//!
//! Ten speakers stand around it at once: each of the five daemons as a client and as a non-client.
//! Every one announces IPv4 and IPv6 routes with attributes of its own; what each of the others
//! receives is compared attribute by attribute with RFC 4456: routes of a client go to all others
//! (§6), routes of a non-client to clients only, with ORIGINATOR_ID and CLUSTER_LIST added (§8)
//! and all else unchanged (§10); nobody gets a route of its own back.

use bgp_core::family::Family;
use bgp_core::types::PeerRole;
use bgp_core::wire::{Community, LargeCommunity, Origin};
use bgp_lab::daemons::Brand;
use bgp_lab::reflector::Make;
use bgp_lab::route::{Announcement, ReceivedRoute};
use bgp_lab::topology::{ASN, Member, Topology, Transport, reflected};
use bgp_lab::{Result, capability};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a session or a table may take to be right. GoBGP takes 6 s to connect again.
const LIMIT: Duration = Duration::from_secs(60);

/// How many routes of each family a speaker announces.
const ROUTES: u8 = 2;

#[test]
fn both_families_over_ipv4() -> Result<()> {
    exchange("interop::both_families_over_ipv4", Transport::Shared)
}

#[test]
fn each_family_over_its_own() -> Result<()> {
    exchange("interop::each_family_over_its_own", Transport::Separate)
}

fn exchange(test: &str, transport: Transport) -> Result<()> {
    let make = Make::from_environment();
    if !capability::need(test, make.needs()) {
        return Ok(());
    }
    let mut scene = Scene::new(make, transport, &Brand::available(test))?;
    scene.announce(0..ROUTES, 0)?;
    scene.wait("first announcement")?;
    scene.withdraw(0)?;
    scene.wait("withdrawn")?;
    scene.announce(0..ROUTES, 1)?;
    scene.wait("announced again with other attributes")?;
    for role in [PeerRole::Client, PeerRole::NonClient] {
        scene.kill(role);
        scene.wait("killed")?;
        scene.restart(role)?;
        scene.wait("started again")?;
    }
    scene.topology.reflector.kill();
    scene.topology.reflector.start()?;
    scene.wait("the reflector started again")
}

/// The ten speakers and what they have announced.
struct Scene {
    topology: Topology,
    transport: Transport,
    announced: BTreeMap<u8, BTreeMap<bgp_core::prefix::IpNet, Announcement>>,
    /// The role that is dead at present.
    dead: Option<PeerRole>,
}

impl Scene {
    fn new(make: Make, transport: Transport, brands: &[Brand]) -> Result<Self> {
        let roles = [PeerRole::Client, PeerRole::NonClient].into_iter();
        let pairs = roles.flat_map(|role| brands.iter().map(move |brand| (*brand, role)));
        let members: Vec<Member> = (11..)
            .zip(pairs)
            .map(|(number, (brand, role))| Member {
                brand,
                role,
                asn: ASN,
                number,
            })
            .collect();
        let mut topology = Topology::new(make, transport, &members)?;
        topology.wait_established(LIMIT)?;
        Ok(Self {
            topology,
            transport,
            announced: BTreeMap::new(),
            dead: None,
        })
    }

    fn announce(&mut self, indices: std::ops::Range<u8>, version: u32) -> Result<()> {
        for (member, speaker) in &mut self.topology.speakers {
            for family in Family::ALL {
                for index in indices.clone() {
                    let route = announcement(member, family, index, version);
                    speaker.announce(&route)?;
                    let routes = self.announced.entry(member.number).or_default();
                    routes.insert(route.prefix, route);
                }
            }
        }
        Ok(())
    }

    fn withdraw(&mut self, index: u8) -> Result<()> {
        for (member, speaker) in &mut self.topology.speakers {
            for family in Family::ALL {
                let prefix = member.prefix(family, index);
                speaker.withdraw(prefix)?;
                self.announced
                    .entry(member.number)
                    .or_default()
                    .remove(&prefix);
            }
        }
        Ok(())
    }

    fn kill(&mut self, role: PeerRole) {
        self.dead = Some(role);
        for (member, speaker) in &mut self.topology.speakers {
            if member.role == role {
                speaker.kill();
            }
        }
    }

    fn restart(&mut self, role: PeerRole) -> Result<()> {
        self.dead = None;
        for (member, speaker) in &mut self.topology.speakers {
            if member.role == role {
                speaker.start()?;
            }
        }
        self.topology.wait_established(LIMIT)
    }

    /// Waits until every living speaker has exactly what RFC 4456 demands.
    fn wait(&mut self, step: &str) -> Result<()> {
        let members: Vec<Member> = self
            .topology
            .speakers
            .iter()
            .map(|(member, _)| *member)
            .collect();
        let (transport, dead, announced) = (self.transport, self.dead, &self.announced);
        let alive = |member: &Member| dead != Some(member.role);
        self.topology.wait_routes(step, LIMIT, |receiver| {
            if !alive(receiver) {
                return None;
            }
            let mut expected: Vec<ReceivedRoute> = Vec::new();
            for sender in members.iter().filter(|sender| alive(sender)) {
                let between_non_clients =
                    sender.role == PeerRole::NonClient && receiver.role == PeerRole::NonClient;
                if sender.number == receiver.number || between_non_clients {
                    continue;
                }
                for route in announced
                    .get(&sender.number)
                    .into_iter()
                    .flat_map(BTreeMap::values)
                {
                    expected.push(reflected(transport, sender, route));
                }
            }
            Some(expected)
        })
    }
}

/// Attributes that name the sender, the route and the version, so that no mix-up goes unseen.
fn announcement(member: &Member, family: Family, index: u8, version: u32) -> Announcement {
    let number = u32::from(member.number);
    let mut route = Announcement::plain(member.prefix(family, index));
    route.med = number * 10 + u32::from(index) + 1000 * version;
    route.local_pref = 100 + number + version;
    if index == 0 {
        return route;
    }
    route.origin = Origin::Incomplete;
    route.communities = vec![Community(ASN << 16 | number), Community::NO_EXPORT];
    route.large_communities = vec![
        LargeCommunity {
            global: ASN,
            local1: number,
            local2: version,
        },
        LargeCommunity {
            global: 4_200_000_000,
            local1: 1,
            local2: u32::MAX,
        },
    ];
    route.route_targets = vec![(64_512, number + version)];
    // OpenBGPD cannot announce a network of its own with a path.
    if member.brand != Brand::OpenBgpd {
        route.as_path = vec![65_000 + number, 4_200_000_000];
    }
    route
}
