//! Top-of-rack switches of other AS numbers beside the clients: BIRD and FRR.
//!
//! What crosses the border of the AS is compared attribute by attribute with RFC 4271 §5: the path
//! grows by our AS, the next hop is ours, LOCAL_PREF and the reflection attributes stay inside,
//! a MED goes no further than to us, and NO_EXPORT and NO_ADVERTISE (RFC 1997) are obeyed.

use bgp_core::family::Family;
use bgp_core::types::PeerRole;
use bgp_core::wire::Community;
use bgp_lab::daemons::Brand;
use bgp_lab::reflector::Make;
use bgp_lab::route::{Announcement, ReceivedRoute};
use bgp_lab::topology::{ASN, Member, REFLECTOR, Topology, Transport, address, reflected};
use bgp_lab::{Result, capability};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Who takes part: two switches, two clients and a non-client.
const MEMBERS: [Member; 5] = [
    member(Brand::Bird, PeerRole::External, 65_001, 21),
    member(Brand::Frr, PeerRole::External, 4_200_000_002, 22),
    member(Brand::Bird, PeerRole::Client, ASN, 31),
    member(Brand::GoBgp, PeerRole::Client, ASN, 32),
    member(Brand::Frr, PeerRole::NonClient, ASN, 33),
];

const fn member(brand: Brand, role: PeerRole, asn: u32, number: u8) -> Member {
    Member {
        brand,
        role,
        asn,
        number,
    }
}

#[test]
fn switches_and_clients() -> Result<()> {
    let make = Make::from_environment();
    let needs: Vec<_> = MEMBERS
        .iter()
        .flat_map(|member| member.brand.needs())
        .copied()
        .collect();
    let test = "ebgp::switches_and_clients";
    if !capability::need(test, make.needs()) || !capability::need(test, &needs) {
        return Ok(());
    }
    let mut topology = Topology::new(make, Transport::Separate, &MEMBERS)?;
    topology.wait_established(LIMIT)?;
    topology.announce(announcements)?;
    topology.wait_routes("announced", LIMIT, |receiver| {
        Some(expected(make, receiver, None))
    })?;

    let switch = MEMBERS[0];
    for (member, speaker) in &mut topology.speakers {
        if *member == switch {
            speaker.kill();
        }
    }
    topology.wait_routes("a switch is lost", LIMIT, |receiver| {
        (*receiver != switch).then(|| expected(make, receiver, Some(switch)))
    })?;
    for (member, speaker) in &mut topology.speakers {
        if *member == switch {
            speaker.start()?;
        }
    }
    topology.wait_routes("the switch is back", LIMIT, |receiver| {
        Some(expected(make, receiver, None))
    })
}

/// Per family: a route for everybody, one that may not leave the AS, one for nobody.
fn announcements(member: &Member) -> Vec<Announcement> {
    let mut routes = Vec::new();
    for family in Family::ALL {
        for (index, community) in (0..).zip([
            Community(ASN << 16 | u32::from(member.number)),
            Community::NO_EXPORT,
            Community::NO_ADVERTISE,
        ]) {
            let mut route = Announcement::plain(member.prefix(family, index));
            route.med = 10 + u32::from(index);
            route.local_pref = 200;
            route.as_path = vec![65_100];
            route.communities = vec![community];
            routes.push(route);
        }
    }
    routes
}

/// The table of `receiver` while `dead` is away.
fn expected(make: Make, receiver: &Member, dead: Option<Member>) -> Vec<ReceivedRoute> {
    let senders = MEMBERS
        .iter()
        .filter(|sender| *sender != receiver && Some(**sender) != dead);
    senders
        .flat_map(|sender| {
            announcements(sender)
                .into_iter()
                .filter_map(|route| crossing(make, sender, receiver, &route))
        })
        .collect()
}

/// What becomes of `route` on its way from `sender` to `receiver`.
fn crossing(
    make: Make,
    sender: &Member,
    receiver: &Member,
    route: &Announcement,
) -> Option<ReceivedRoute> {
    if route.communities.contains(&Community::NO_ADVERTISE) {
        return None;
    }
    let kept_inside = route.communities.contains(&Community::NO_EXPORT);
    let mut received = reflected(Transport::Separate, sender, route);
    match (sender.role, receiver.role) {
        (PeerRole::NonClient, PeerRole::NonClient) => return None,
        (PeerRole::Client, PeerRole::Client | PeerRole::NonClient)
        | (PeerRole::NonClient, PeerRole::Client) => return Some(received),
        (PeerRole::External, PeerRole::Client | PeerRole::NonClient) => {
            // A switch should not send us what may not leave its AS; BIRD does, and then the route
            // may go to all of our AS, which is where it arrived.
            if kept_inside && sender.brand != Brand::Bird {
                return None;
            }
            received.as_path.insert(0, sender.asn);
            received.local_pref = Some(100);
        }
        (_, PeerRole::External) => {
            if kept_inside {
                return None;
            }
            if sender.role == PeerRole::External {
                received.as_path.insert(0, sender.asn);
            }
            received.as_path.insert(0, ASN);
            received.local_pref = None;
            received.med = None;
            // On a common subnet BIRD leaves the next hop as it is, which §5.1.3 allows too.
            let third_party = make == Make::Bird && sender.role == PeerRole::External;
            if !third_party {
                received.next_hop = address(REFLECTOR, route.family());
            }
        }
    }
    received.originator_id = None;
    received.cluster_list.clear();
    Some(received)
}
