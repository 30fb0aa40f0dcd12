//! Log lines about a node and its kernel, and kernel routes in the words of `ip route`.

use super::Conductor;
use bgp_fib::wanted::{Wanted, WantedHop};
use bgp_fib::{FibEvent, RouteState, Subject};
use std::fmt;

impl Conductor {
    /// Logs what the rules have to say.
    pub(super) fn tell_notices(&mut self) {
        while let Some(notice) = self.node.poll_notice() {
            if notice.is_trouble() {
                tracing::error!("{notice}");
            } else {
                tracing::info!("{notice}");
            }
        }
    }
}

/// Logs an event of the kernel, if it is one that a person has to hear of.
pub(super) fn log(event: &FibEvent) {
    match event {
        FibEvent::NextHop(address, resolution) => {
            tracing::debug!(%address, ?resolution, "next hop");
        }
        FibEvent::HostRoute {
            prefix,
            device,
            present,
        } => tracing::debug!(%prefix, %device, present, "workload"),
        FibEvent::Synced { first: true, .. } => tracing::info!("the kernel's tables are read"),
        FibEvent::Synced { drifted: 0, .. } => tracing::debug!("the kernel is as it should be"),
        FibEvent::Synced { drifted, .. } => tracing::warn!(
            drifted,
            "kernel routes were not as they should be, and nobody had said so: they are put right"
        ),
        FibEvent::Conflict { place, protocol } => {
            let whose = protocol.map_or("another program's".to_owned(), |number| {
                format!("a route of protocol {number}")
            });
            tracing::error!(
                prefix = %place.prefix,
                table = place.table,
                "{whose} has the place of ours: it is left alone, and ours is put when it goes"
            );
        }
        FibEvent::ConflictOver { place } => {
            tracing::info!(prefix = %place.prefix, "the place of our route is free again");
        }
        FibEvent::Refused { subject, error } => {
            tracing::warn!("the kernel refuses {}: {error}", SubjectWords(subject));
        }
        FibEvent::Healed { place } => tracing::warn!(
            prefix = %place.prefix,
            "somebody had changed or deleted our kernel route: it is put back"
        ),
        FibEvent::Fight { place, times, .. } => tracing::error!(
            prefix = %place.prefix,
            times,
            "somebody changes our kernel route again and again: it is put back more slowly"
        ),
        FibEvent::Overrun => {
            tracing::warn!("the kernel's notifications were lost: its tables are read again");
        }
        FibEvent::ForeignFull => tracing::warn!(
            "the kernel has more routes of others than are kept here: next hops behind them \
             cannot be told"
        ),
        FibEvent::NoNextHopObjects { error } => {
            tracing::warn!("the kernel has no nexthop objects ({error}): routes go without");
        }
        FibEvent::EventsLost(count) => tracing::debug!(count, "events of the kernel were missed"),
    }
}

struct SubjectWords<'a>(&'a Subject);

impl fmt::Display for SubjectWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Subject::Route(place) => write!(f, "the route to {}", place.prefix),
            Subject::TunnelEnd(device, host) => write!(f, "the entries of {host} on {device}"),
            Subject::NextHop(id) => write!(f, "nexthop object {id}"),
        }
    }
}

/// What is wanted, in the words of `ip route`.
pub(super) fn wanted(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Blackhole => "blackhole".to_owned(),
        Wanted::Unreachable => "unreachable".to_owned(),
        Wanted::Prohibit => "prohibit".to_owned(),
        Wanted::Via { hops, source } => {
            let hops: Vec<String> = match hops.as_slice() {
                [only] => vec![hop(only)],
                several => several
                    .iter()
                    .map(|one| format!("nexthop {} weight {}", hop(one), one.weight))
                    .collect(),
            };
            let source = source.map(|address| format!(" src {address}"));
            hops.join(" ") + &source.unwrap_or_default()
        }
    }
}

fn hop(hop: &WantedHop) -> String {
    let device = hop.device.as_ref();
    let device = device
        .map(|name| format!(" dev {name}"))
        .unwrap_or_default();
    let onlink = if hop.onlink { " onlink" } else { "" };
    format!("via {}{device}{onlink}", hop.gateway)
}

/// The devices that are named in what is wanted.
pub(super) fn device(wanted: &Wanted) -> Option<String> {
    match wanted {
        Wanted::Via { hops, .. } => {
            let named: Vec<&str> = hops
                .iter()
                .filter_map(|hop| hop.device.as_deref())
                .collect();
            (!named.is_empty()).then(|| named.join(","))
        }
        Wanted::Blackhole | Wanted::Unreachable | Wanted::Prohibit => None,
    }
}

/// A route's state in one word.
pub(super) fn state(state: &RouteState, is_wanted: bool) -> &'static str {
    use bgp_fib::Cause;
    match state {
        RouteState::Installed => "installed",
        RouteState::Pending if is_wanted => "pending",
        RouteState::Pending => "leaving",
        RouteState::Waiting(Cause::Conflict(_)) => "conflict",
        RouteState::Waiting(Cause::Time | Cause::Fight) | RouteState::Invalid => "refused",
        RouteState::Waiting(
            Cause::FirstLook | Cause::Link(_) | Cause::NextHop(_) | Cause::Network | Cause::Object,
        ) => "waiting",
        RouteState::Stale => "stale",
    }
}
