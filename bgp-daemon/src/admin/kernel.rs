//! From the reconciler's values to those of the API ([`node_view`](super::node_view)): for the
//! conductor of a node, which asks its `Fib` and answers with what these make of it.

use super::node_view::{Audit, Difference, KernelCounts, KernelRoute, NextHopLine};
use bgp_core::time::Instant;
use bgp_fib::fib::{self, Counts, RouteState, RouteStatus};
use bgp_fib::kernel::RouteKey;
use bgp_fib::wanted::{Place, Wanted, WantedHop};
use bgp_fib::{Fib, Resolution};
use std::net::IpAddr;

/// How a route stands, at `now`.
pub fn kernel_route(status: &RouteStatus, now: Instant) -> KernelRoute {
    KernelRoute {
        prefix: status.place.prefix.to_string(),
        table: status.place.table,
        metric: status.metric,
        wanted: status.wanted.as_ref().map(wanted),
        device: status.wanted.as_ref().and_then(device),
        state: state(status).to_owned(),
        since: status.since.map(|since| now.since(since).as_secs()),
        error: status.error.clone(),
        tries: status.tries,
    }
}

fn state(status: &RouteStatus) -> &'static str {
    match &status.state {
        RouteState::Installed => "installed",
        RouteState::Pending if status.wanted.is_some() => "pending",
        RouteState::Pending => "leaving",
        RouteState::Waiting(fib::Cause::Conflict(_)) => "conflict",
        RouteState::Waiting(fib::Cause::Time) => "refused",
        RouteState::Waiting(
            fib::Cause::FirstLook
            | fib::Cause::Link(_)
            | fib::Cause::NextHop(_)
            | fib::Cause::Network
            | fib::Cause::Object
            | fib::Cause::Fight,
        ) => "waiting",
        RouteState::Invalid => "invalid",
        RouteState::Stale => "stale",
    }
}

/// A route in the words of `ip route`.
pub fn wanted(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Via { hops, source } => {
            let ways: Vec<String> = match hops.as_slice() {
                [hop] => vec![way(hop)],
                hops => hops
                    .iter()
                    .map(|hop| format!("nexthop {} weight {}", way(hop), hop.weight))
                    .collect(),
            };
            let source = source.map(|source| format!(" src {source}"));
            format!("{}{}", ways.join(" "), source.unwrap_or_default())
        }
        Wanted::Blackhole => "blackhole".to_owned(),
        Wanted::Unreachable => "unreachable".to_owned(),
        Wanted::Prohibit => "prohibit".to_owned(),
    }
}

fn way(hop: &WantedHop) -> String {
    let device = hop.device.as_ref().map(|device| format!(" dev {device}"));
    let onlink = if hop.onlink { " onlink" } else { "" };
    format!("via {}{}{onlink}", hop.gateway, device.unwrap_or_default())
}

fn device(wanted: &Wanted) -> Option<String> {
    match wanted {
        Wanted::Via { hops, .. } => hops
            .iter()
            .find_map(|hop| hop.device.as_ref())
            .map(ToString::to_string),
        Wanted::Blackhole | Wanted::Unreachable | Wanted::Prohibit => None,
    }
}

/// Where a next hop is.
pub fn next_hop(address: IpAddr, resolution: &Resolution) -> NextHopLine {
    let mark = |carrier: &bool| if *carrier { "" } else { " (no carrier)" };
    let way = match resolution {
        Resolution::Connected { device, carrier } => format!("dev {device}{}", mark(carrier)),
        Resolution::Via {
            gateway,
            device,
            metric,
            carrier,
        } => format!(
            "via {gateway} dev {device} metric {metric}{}",
            mark(carrier)
        ),
        Resolution::Unreachable => "the kernel has no route there but ours".to_owned(),
    };
    NextHopLine {
        address,
        reachable: *resolution != Resolution::Unreachable,
        way,
    }
}

/// Routes by what has become of them.
pub fn counts(counts: &Counts) -> KernelCounts {
    let waiting = |cause: &str| counts.waiting.get(cause).copied().unwrap_or_default();
    let all: usize = counts.waiting.values().sum();
    let (conflicts, refused) = (waiting("conflict"), waiting("time"));
    KernelCounts {
        wanted: counts.wanted,
        installed: counts.installed,
        pending: counts.pending + counts.in_flight,
        waiting: all - conflicts - refused,
        refused: refused + counts.invalid,
        conflicts,
        stale: counts.stale,
        tunnel_ends: counts.tunnel_ends,
        overruns: counts.overruns,
        healed: counts.healed,
    }
}

/// The last comparison of `fib` with the kernel; `None` before the first.
pub fn audit(fib: &Fib) -> Option<Audit> {
    let audit = fib.last_audit()?;
    let differences: Vec<Difference> = audit
        .differences
        .iter()
        .map(|one| difference(fib, one))
        .collect();
    Some(Audit {
        equal: audit.complete && audit.differing == 0,
        complete: audit.complete,
        checked: audit.compared,
        more: audit.differing.saturating_sub(differences.len()),
        differences,
    })
}

fn difference(fib: &Fib, difference: &fib::Difference) -> Difference {
    let (key, what) = match difference {
        fib::Difference::Missing(key) => (key, "missing"),
        fib::Difference::Differs(key) => (key, "differs"),
        fib::Difference::Extra(key) => (key, "extra"),
    };
    let RouteKey { table, prefix, .. } = *key;
    let status = fib.status(Place { table, prefix });
    Difference {
        prefix: prefix.to_string(),
        table,
        what: what.to_owned(),
        wanted: status
            .as_ref()
            .and_then(|status| status.wanted.as_ref().map(wanted)),
        error: status.and_then(|status| status.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(gateway: &str, device: Option<&str>, onlink: bool) -> WantedHop {
        WantedHop {
            gateway: gateway.parse().unwrap(),
            device: device.map(Into::into),
            onlink,
            weight: 1,
        }
    }

    #[test]
    fn routes_are_told_as_ip_route_does() {
        let via = |hops: Vec<WantedHop>, source: Option<&str>| Wanted::Via {
            hops,
            source: source.map(|source| source.parse().unwrap()),
        };
        let tunnel = hop("10.0.2.21", Some("tunl0"), true);
        let plain = hop("10.0.1.12", None, false);
        let cases = [
            (
                via(vec![tunnel.clone()], None),
                "via 10.0.2.21 dev tunl0 onlink",
            ),
            (
                via(vec![plain.clone()], Some("10.0.1.11")),
                "via 10.0.1.12 src 10.0.1.11",
            ),
            (
                via(vec![plain, tunnel], None),
                "nexthop via 10.0.1.12 weight 1 nexthop via 10.0.2.21 dev tunl0 onlink weight 1",
            ),
            (Wanted::Blackhole, "blackhole"),
        ];
        for (route, text) in cases {
            assert_eq!(wanted(&route), text);
        }
    }
}
