//! The engine's verdicts in words: exhaustive, so that a new verdict cannot go without.

use bgp_core::family::{AfiSafi, FamilySet};
use bgp_core::rib::{Ineligible, Reason, Refusal, Verdict};
use bgp_core::wire::{BgpRole, Capability, GracefulRestart, NextHop, Origin};

/// By which step of the decision process a path lost.
pub(super) fn reason(reason: Reason) -> String {
    let words = match reason {
        Reason::NextHopUnreachable => "its next hop cannot be reached",
        Reason::LocallyOriginated => "the best one is our own",
        Reason::LongLivedStale => "long-lived stale: its source has been away for long (RFC 9494)",
        Reason::LocalPref => "lower LOCAL_PREF",
        Reason::AsPathLength => "longer AS_PATH",
        Reason::Origin => "higher ORIGIN",
        Reason::Med => "higher MULTI_EXIT_DISC than another path from the same neighbouring AS",
        Reason::External => "internal, the best one is external",
        Reason::NextHopMetric => "its next hop is further away",
        Reason::RouterId => "higher BGP Identifier or ORIGINATOR_ID",
        Reason::ClusterListLength => "longer CLUSTER_LIST",
        Reason::PeerAddress => "higher peer address",
        Reason::PathId => "higher path identifier",
    };
    format!("step {}, {words}", reason.step())
}

/// Why a path may not be used at all.
pub(super) fn ineligible(why: Ineligible) -> &'static str {
    match why {
        Ineligible::AsPathLoop => "may not be used: our AS is in its AS_PATH (RFC 4271 §9.1.2)",
        Ineligible::OriginatorIsUs => {
            "may not be used: its ORIGINATOR_ID is our router id (RFC 4456 §8)"
        }
        Ineligible::ClusterLoop => {
            "may not be used: our cluster id is in its CLUSTER_LIST (RFC 4456 §8)"
        }
        Ineligible::NextHopIsUs => {
            "may not be used: its next hop is our own address (RFC 4271 §6.3)"
        }
        Ineligible::LoopbackNextHop => {
            "may not be used: its next hop is a loopback address and the peer is elsewhere \
             (RFC 4271 §6.3)"
        }
        Ineligible::ImportPolicy => "may not be used: refused by the import policy",
        Ineligible::NoImportPolicy => {
            "may not be used: the peer is external and has no import policy (RFC 8212)"
        }
    }
}

/// Why a peer of a group is not told of a prefix.
pub(super) fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::NoRoute => "no path to it may be used".to_owned(),
        Verdict::Announced => "the best path came from this very peer".to_owned(),
        Verdict::Refused(refusal) => self::refusal(refusal),
    }
}

fn refusal(refusal: Refusal) -> String {
    let words = match refusal {
        Refusal::NotReflected => {
            "not reflected: from a non-client to a non-client, or between clients where that is \
             switched off (RFC 4456 §6)"
        }
        Refusal::NoAdvertise => "it carries the community no-advertise (RFC 1997)",
        Refusal::NoExport => "it carries the community no-export or no-export-subconfed (RFC 1997)",
        Refusal::LongLivedStale => {
            "it is long-lived stale, and the peer does not know what that means (RFC 9494)"
        }
        Refusal::ExportPolicy => "refused by the export policy",
        Refusal::NoExportPolicy => "the peer is external and has no export policy (RFC 8212)",
        Refusal::NextHopFamily => {
            "the peer cannot take its next hop: extended next hops (RFC 8950) were not negotiated"
        }
        Refusal::TooLong { len, limit } => {
            return format!(
                "its message would have {len} octets and the peer takes {limit} (RFC 8654)"
            );
        }
    };
    words.to_owned()
}

/// ORIGIN by its name.
pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "igp",
        Origin::Egp => "egp",
        Origin::Incomplete => "incomplete",
    }
}

/// A next hop; two addresses where a link-local one comes with it.
pub(super) fn next_hop(next_hop: &NextHop) -> String {
    format!("{next_hop:?}")
}

/// The names of the families of a set.
pub(super) fn families(set: FamilySet) -> Vec<String> {
    set.iter().map(|family| family.to_string()).collect()
}

/// Octets in hexadecimal.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A capability in a word or two.
pub(super) fn capability(capability: &Capability) -> String {
    match capability {
        Capability::Multiprotocol(family) => format!("multiprotocol {}", afi_safi(*family)),
        Capability::RouteRefresh => "route-refresh".to_owned(),
        Capability::ExtendedNextHop(entries) => {
            let entries = entries.iter().map(|entry| afi_safi(entry.nlri));
            format!("extended-next-hop {}", join(entries))
        }
        Capability::ExtendedMessage => "extended-message".to_owned(),
        Capability::Role(role) => format!("role {}", bgp_role(*role)),
        Capability::GracefulRestart(restart) => graceful_restart(restart),
        Capability::FourOctetAs(asn) => format!("four-octet-as {asn}"),
        Capability::AddPath(entries) => {
            let entry = |entry: &bgp_core::wire::AddPath| {
                let way = match (entry.receive, entry.send) {
                    (true, true) => "both",
                    (true, false) => "receive",
                    (false, true) => "send",
                    (false, false) => "neither",
                };
                format!("{} {way}", afi_safi(entry.family))
            };
            format!("add-path {}", join(entries.iter().map(entry)))
        }
        Capability::EnhancedRouteRefresh => "enhanced-route-refresh".to_owned(),
        Capability::LongLivedGracefulRestart(entries) => {
            let entry = |entry: &bgp_core::wire::LongLivedFamily| {
                format!("{} {} s", afi_safi(entry.family), entry.stale_time)
            };
            format!(
                "long-lived-graceful-restart {}",
                join(entries.iter().map(entry))
            )
        }
        Capability::Fqdn { host, domain } => {
            format!("fqdn {:?} {:?}", lossy(host), lossy(domain))
        }
        Capability::SoftwareVersion(version) => format!("software-version {:?}", lossy(version)),
        Capability::Unknown { code, value } => format!("{code} {}", hex(value)),
    }
}

fn graceful_restart(restart: &GracefulRestart) -> String {
    let flags = match (restart.restarting, restart.notification) {
        (false, false) => "",
        (true, false) => " R",
        (false, true) => " N",
        (true, true) => " RN",
    };
    let families = restart.families.iter().map(|entry| {
        let forwarding = if entry.forwarding { " F" } else { "" };
        format!("{}{forwarding}", afi_safi(entry.family))
    });
    let time = restart.restart_time;
    format!("graceful-restart {time} s{flags} {}", join(families))
}

fn bgp_role(role: BgpRole) -> String {
    match role {
        BgpRole::Provider => "provider".to_owned(),
        BgpRole::RouteServer => "route-server".to_owned(),
        BgpRole::RouteServerClient => "route-server-client".to_owned(),
        BgpRole::Customer => "customer".to_owned(),
        BgpRole::Peer => "peer".to_owned(),
        BgpRole::Unknown(number) => number.to_string(),
    }
}

fn afi_safi(pair: AfiSafi) -> String {
    match pair.family() {
        Some(family) => family.to_string(),
        None => format!("{pair:?}"),
    }
}

fn join(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    format!("({})", words.join(", "))
}

/// What another router sent as text: kept printable.
fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
