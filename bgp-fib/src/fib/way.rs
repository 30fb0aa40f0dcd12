//! What a route of ours is made of beside its key, and when two of them are the same.

use crate::delta::{Rank, Value};
use crate::kernel::{Hop, Route, RouteKey, Target};
use bgp_core::prefix::IpNet;
use smallvec::SmallVec;
use std::net::IpAddr;

/// A route without its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Way {
    pub(crate) protocol: u8,
    pub(crate) target: Target,
    pub(crate) source: Option<IpAddr>,
}

impl Way {
    pub(crate) fn of(route: Route) -> Self {
        Self {
            protocol: route.protocol,
            target: route.target,
            source: route.source,
        }
    }

    pub(crate) fn route(self, key: RouteKey) -> Route {
        Route {
            key,
            protocol: self.protocol,
            target: self.target,
            source: self.source,
        }
    }

    pub(crate) fn hops(&self) -> &[Hop] {
        match &self.target {
            Target::Unicast(hops) | Target::Object(_, hops) => hops,
            Target::Blackhole | Target::Unreachable | Target::Prohibit | Target::Other(_) => &[],
        }
    }
}

/// The metric as the kernel stores it: IPv6 turns 0 into 1024 (IP6_RT_PRIO_USER).
pub(crate) fn stored_metric(prefix: &IpNet, metric: u32) -> u32 {
    match (prefix, metric) {
        (IpNet::V6(_), 0) => 1024,
        (IpNet::V4(_) | IpNet::V6(_), metric) => metric,
    }
}

/// A hop as far as packets feel it. Whether it was put with `onlink` only matters when it is put,
/// and not every kernel reports it back.
fn felt(hop: &Hop, alone: bool) -> Hop {
    Hop {
        onlink: false,
        weight: if alone { 1 } else { hop.weight.max(1) },
        ..*hop
    }
}

/// Whether two lists of hops send packets the same ways; the order does not matter.
fn same_hops(one: &[Hop], other: &[Hop]) -> bool {
    match (one, other) {
        ([one], [other]) => felt(one, true) == felt(other, true),
        _ if one.len() != other.len() => false,
        _ => {
            let sorted = |hops: &[Hop]| {
                let mut felt: SmallVec<[Hop; 8]> =
                    hops.iter().map(|hop| felt(hop, false)).collect();
                felt.sort_unstable();
                felt
            };
            sorted(one) == sorted(other)
        }
    }
}

impl Value for Way {
    fn satisfied_by(&self, found: &Self) -> bool {
        let target = match (&self.target, &found.target) {
            (Target::Unicast(one), Target::Unicast(other)) => same_hops(one, other),
            // The kernel reports the hops of an object beside its number; they are its affair.
            (Target::Object(one, _), Target::Object(other, _)) => one == other,
            (one, other) => one == other,
        };
        target && self.protocol == found.protocol && self.source == found.source
    }

    /// A discard must never stand before the more specific routes that it is to hide from its
    /// fall are put, nor after those that it covered are gone.
    fn rank(&self) -> Rank {
        match self.target {
            Target::Unicast(_) | Target::Object(..) | Target::Other(_) => Rank::First,
            Target::Blackhole | Target::Unreachable | Target::Prohibit => Rank::Last,
        }
    }
}
