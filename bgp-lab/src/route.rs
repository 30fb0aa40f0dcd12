//! What a speaker announces, and what another one says it has received.
//!
//! Both are plain values in which lists have an order of their own, so that the answers of five
//! daemons can be compared with `==`: communities are sorted, since each daemon sorts them as it
//! likes, while AS_PATH and CLUSTER_LIST keep theirs.

use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::wire::{Community, LargeCommunity, Origin};
use std::net::{IpAddr, Ipv4Addr};

/// The two-octet-AS route target `AS:NUMBER` (RFC 4360 §4).
pub type RouteTarget = (u16, u32);

/// A route that a daemon is told to announce, with itself as next hop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// Its destination.
    pub prefix: IpNet,
    /// ORIGIN.
    pub origin: Origin,
    /// AS numbers already in the path, the nearest first; empty for a route of our own.
    pub as_path: Vec<u32>,
    /// LOCAL_PREF; not sent on external sessions.
    pub local_pref: u32,
    /// MULTI_EXIT_DISC.
    pub med: u32,
    /// COMMUNITIES.
    pub communities: Vec<Community>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<LargeCommunity>,
    /// Route targets among the EXTENDED COMMUNITIES.
    pub route_targets: Vec<RouteTarget>,
}

impl Announcement {
    /// A route to `prefix` without any optional attribute but MED 0.
    pub fn plain(prefix: IpNet) -> Self {
        Self {
            prefix,
            origin: Origin::Igp,
            as_path: Vec::new(),
            local_pref: 100,
            med: 0,
            communities: Vec::new(),
            large_communities: Vec::new(),
            route_targets: Vec::new(),
        }
    }

    /// The family of the destination.
    pub fn family(&self) -> Family {
        family_of(&self.prefix)
    }
}

/// A route as a daemon says it has received it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReceivedRoute {
    /// Its destination.
    pub prefix: IpNet,
    /// From whom.
    pub from: IpAddr,
    /// NEXT_HOP, or the global address of MP_REACH_NLRI.
    pub next_hop: IpAddr,
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH, the nearest first.
    pub as_path: Vec<u32>,
    /// LOCAL_PREF; `None` where the daemon shows none, as for external routes.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// COMMUNITIES, sorted.
    pub communities: Vec<Community>,
    /// LARGE_COMMUNITY, sorted.
    pub large_communities: Vec<LargeCommunity>,
    /// Route targets, sorted.
    pub route_targets: Vec<RouteTarget>,
    /// ORIGINATOR_ID.
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST, the nearest first.
    pub cluster_list: Vec<Ipv4Addr>,
}

impl ReceivedRoute {
    /// A route of which only destination, sender and next hop are known yet.
    pub fn new(prefix: IpNet, from: IpAddr, next_hop: IpAddr) -> Self {
        Self {
            prefix,
            from,
            next_hop,
            origin: Origin::Igp,
            as_path: Vec::new(),
            local_pref: None,
            med: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
            route_targets: Vec::new(),
            originator_id: None,
            cluster_list: Vec::new(),
        }
    }

    /// Puts the lists that have no order of their own into ascending order.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.communities.sort_unstable();
        self.large_communities.sort_unstable();
        self.route_targets.sort_unstable();
        self
    }
}

/// What is between two tables, line by line: what is missing, what is too much, what differs.
/// Empty when they are equal.
pub fn difference(expected: &[ReceivedRoute], found: &[ReceivedRoute]) -> String {
    let mut lines = Vec::new();
    for route in expected {
        match found.iter().find(|other| other.prefix == route.prefix) {
            None => lines.push(format!("missing {}", route.prefix)),
            Some(other) if other == route => {}
            Some(other) => lines.push(format!("expected {route:?}\n     got {other:?}")),
        }
    }
    for route in found {
        if !expected.iter().any(|other| other.prefix == route.prefix) {
            lines.push(format!("too much {route:?}"));
        }
    }
    let twice = found.len() > expected.len() && lines.is_empty();
    if twice {
        lines.push("a prefix is there more than once".to_owned());
    }
    lines.join("\n")
}

/// `A:B`, as all daemons read communities.
pub(crate) fn community_text(community: Community) -> String {
    format!("{}:{}", community.0 >> 16, community.0 & 0xffff)
}

/// `A:B:C`, as all daemons read large communities.
pub(crate) fn large_text(large: &LargeCommunity) -> String {
    format!("{}:{}:{}", large.global, large.local1, large.local2)
}

/// Reads `A:B`, or a well-known community in the spelling of any of the daemons.
pub(crate) fn read_community(text: &str) -> Option<Community> {
    let spelled: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match spelled.as_str() {
        "noexport" => return Some(Community::NO_EXPORT),
        "noadvertise" => return Some(Community::NO_ADVERTISE),
        "noexportsubconfed" | "localas" => return Some(Community::NO_EXPORT_SUBCONFED),
        _ => {}
    }
    let [high, low] = numbers::<2>(text)?;
    let (high, low) = (u16::try_from(high).ok()?, u16::try_from(low).ok()?);
    Some(Community(u32::from(high) << 16 | u32::from(low)))
}

/// Reads `A:B:C`.
pub(crate) fn read_large(text: &str) -> Option<LargeCommunity> {
    let [global, local1, local2] = numbers::<3>(text)?;
    Some(LargeCommunity {
        global,
        local1,
        local2,
    })
}

/// Reads `AS:NUMBER`, after the daemon's word for "route target" has been cut off.
pub(crate) fn read_route_target(text: &str) -> Option<RouteTarget> {
    let [asn, number] = numbers::<2>(text)?;
    Some((u16::try_from(asn).ok()?, number))
}

/// Reads ORIGIN in the spelling of any of the daemons.
pub(crate) fn read_origin(text: &str) -> Option<Origin> {
    match text.to_ascii_lowercase().as_str() {
        "igp" => Some(Origin::Igp),
        "egp" => Some(Origin::Egp),
        "incomplete" => Some(Origin::Incomplete),
        _ => None,
    }
}

/// ORIGIN in lower case, as most daemons read it.
pub(crate) fn origin_text(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "igp",
        Origin::Egp => "egp",
        Origin::Incomplete => "incomplete",
    }
}

/// Exactly `N` numbers between colons.
fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    let parsed: Vec<u32> = text
        .split(':')
        .map(|part| part.trim().parse().ok())
        .collect::<Option<_>>()?;
    parsed.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_in_every_spelling() {
        let table = [
            ("64512:7", Some(Community(0xfc00_0007))),
            ("no-export", Some(Community::NO_EXPORT)),
            ("noExport", Some(Community::NO_EXPORT)),
            ("NO_ADVERTISE", Some(Community::NO_ADVERTISE)),
            ("localAs", Some(Community::NO_EXPORT_SUBCONFED)),
            ("65536:7", None),
            ("7", None),
        ];
        for (text, expected) in table {
            assert_eq!(read_community(text), expected, "{text}");
        }
    }

    #[test]
    fn difference_names_each_kind() {
        let route = |prefix: &str, med| {
            let mut route = ReceivedRoute::new(
                prefix.parse().unwrap(),
                Ipv4Addr::LOCALHOST.into(),
                Ipv4Addr::LOCALHOST.into(),
            );
            route.med = med;
            route
        };
        let expected = [route("10.0.0.0/8", None), route("11.0.0.0/8", None)];
        assert_eq!(difference(&expected, &expected), "");
        let found = [route("11.0.0.0/8", Some(1)), route("12.0.0.0/8", None)];
        let text = difference(&expected, &found);
        assert!(text.contains("missing 10.0.0.0/8"), "{text}");
        assert!(
            text.contains("expected") && text.contains("too much"),
            "{text}"
        );
        let twice = [
            expected[0].clone(),
            expected[0].clone(),
            expected[1].clone(),
        ];
        assert!(difference(&expected, &twice).contains("more than once"));
    }
}
