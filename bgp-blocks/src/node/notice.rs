//! What a person has to hear, and its words.

use bgp_core::prefix::IpNet;
use bgp_core::rib::RouteOrigin;
use bgp_core::time::Instant;
use bgp_core::types::RouterId;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Something that a person has to hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeNotice {
    /// A prefix is claimed by more than one node, or by another one more than before.
    Conflict(Conflict),
    /// It is claimed by one again.
    ConflictOver {
        /// What it was at the end.
        conflict: Conflict,
        /// How long it was.
        lasted: Duration,
    },
    /// A route is not in the kernel, or not with all its next hops.
    NotInstalled {
        /// The prefix.
        prefix: IpNet,
        /// Why.
        why: Refusal,
    },
    /// A next hop that was refused before is gone, or has become good.
    InstalledAfterAll {
        /// The prefix.
        prefix: IpNet,
    },
    /// So many notices were lost because nobody read them.
    Missed(u64),
}

/// Why a next hop of a route is not used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// It is our own address.
    #[error("its next hop {0} is our own address")]
    OwnNextHop(IpAddr),
    /// It is an IPv6 link-local address, and nothing says on which device.
    #[error("its next hop {0} is link-local, and nothing says on which device")]
    LinkLocalNextHop(IpAddr),
    /// It is of another family than the tunnel carries.
    #[error("its next hop {0} is not of the family of its tunnel")]
    TunnelFamily(IpAddr),
}

/// A prefix that more than one node claims.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The prefix that is claimed.
    pub prefix: IpNet,
    /// Our block that it is, or shares addresses with; `None` where we only look on.
    pub block: Option<IpNet>,
    /// Who has it here: ourselves, or the best path's originator.
    pub used: Claim,
    /// Who else claims it, in the order in which the engine would follow them.
    pub others: Vec<Claim>,
    /// Since when.
    pub since: Instant,
}

/// Who claims a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The node's name, where it is known.
    pub name: Option<String>,
    /// Its address: the next hop.
    pub address: IpAddr,
    /// Its BGP Identifier.
    pub router_id: RouterId,
    /// Who told us, where that was not the node itself.
    pub heard_from: Option<IpAddr>,
}

impl NodeNotice {
    /// Whether something is wrong, rather than well again.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Conflict(_) | Self::NotInstalled { .. } | Self::Missed(_) => true,
            Self::ConflictOver { .. } | Self::InstalledAfterAll { .. } => false,
        }
    }
}

impl Conflict {
    /// Whom nodes follow that hear all of them: the one with the lowest BGP Identifier, because
    /// all announce alike (RFC 4271 §9.1.2.2 f).
    pub fn winner_elsewhere(&self) -> &Claim {
        let others = self.others.iter();
        others.fold(&self.used, |lowest, other| {
            if other.router_id < lowest.router_id {
                other
            } else {
                lowest
            }
        })
    }

    /// Whether `other` is known to claim it.
    pub(super) fn names(&self, other: &Claim) -> bool {
        let claims = self.others.iter().chain([&self.used]);
        claims.into_iter().any(|claim| claim.is_same_node(other))
    }
}

impl Claim {
    pub(super) fn of(origin: &RouteOrigin, names: &BTreeMap<IpAddr, String>) -> Self {
        let direct = origin.next_hop == origin.peer_address;
        Self {
            name: names.get(&origin.next_hop).cloned(),
            address: origin.next_hop,
            router_id: origin.router_id,
            heard_from: (!direct).then_some(origin.peer_address),
        }
    }

    fn is_same_node(&self, other: &Self) -> bool {
        (self.address, self.router_id) == (other.address, other.router_id)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({}, router id {})", self.address, self.router_id)?,
            None => write!(f, "{} (router id {})", self.address, self.router_id)?,
        }
        match self.heard_from {
            Some(peer) => write!(f, ", heard from {peer}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<String> = self.others.iter().map(Claim::to_string).collect();
        let others = others.join(" and ");
        match self.block {
            Some(block) if block == self.prefix => write!(
                f,
                "block {block} of {} is also announced by {others}; we keep it, and nodes that \
                 hear both follow the lowest router id, {}: take it away from one of them",
                self.used,
                self.winner_elsewhere()
            ),
            Some(block) => write!(
                f,
                "{} is announced by {others} and shares addresses with block {block} of {}: \
                 mend the one that is wrong",
                self.prefix, self.used
            ),
            None => write!(
                f,
                "block {} is announced by {} and by {others}; the first is used: take it away \
                 from one of them",
                self.prefix, self.used
            ),
        }
    }
}

impl fmt::Display for NodeNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => write!(f, "conflict: {conflict}"),
            Self::ConflictOver { conflict, lasted } => write!(
                f,
                "conflict over: {} is claimed once again only, after {:.1} s",
                conflict.prefix,
                lasted.as_secs_f64()
            ),
            Self::NotInstalled { prefix, why } => {
                write!(f, "{prefix} is not in the kernel as announced: {why}")
            }
            Self::InstalledAfterAll { prefix } => {
                write!(f, "{prefix} has no refused next hop any more")
            }
            Self::Missed(count) => write!(f, "{count} notices were not told: too many"),
        }
    }
}
