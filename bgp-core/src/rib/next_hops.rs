//! Next hops: what can be reached, and how far away it is (RFC 4271 §9.1.2.1).
//!
//! Whoever knows the host's routes tells us through [`Rib::set_next_hop`](super::Rib); a pure
//! reflector is told nothing and trusts every next hop at cost 0, because the traffic does not
//! pass through it. The map is written by our own side only, never by a peer.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::net::IpAddr;

/// What is known about a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reachability {
    /// There is no way to it: its routes are no candidates.
    Unreachable,
    /// It can be reached at this interior cost; lower is better.
    Reachable {
        /// The interior cost.
        metric: u32,
    },
}

impl Reachability {
    /// What holds for a next hop of which we have been told nothing.
    pub const TRUSTED: Self = Self::Reachable { metric: 0 };

    /// Whether there is a way.
    pub fn is_reachable(self) -> bool {
        match self {
            Self::Unreachable => false,
            Self::Reachable { .. } => true,
        }
    }

    /// The interior cost; the highest there is when there is no way.
    pub fn metric(self) -> u32 {
        match self {
            Self::Unreachable => u32::MAX,
            Self::Reachable { metric } => metric,
        }
    }
}

/// The next hops of which we have been told something else than [`Reachability::TRUSTED`].
#[derive(Default)]
pub(super) struct NextHops {
    told: HashMap<IpAddr, Reachability, FixedState>,
}

impl NextHops {
    /// What holds for `address`.
    pub(super) fn get(&self, address: IpAddr) -> Reachability {
        if self.told.is_empty() {
            return Reachability::TRUSTED;
        }
        let told = self.told.get(&address).copied();
        told.unwrap_or(Reachability::TRUSTED)
    }

    /// Notes what holds for `address` from now on; says whether that is news.
    pub(super) fn set(&mut self, address: IpAddr, reachability: Reachability) -> bool {
        let before = self.get(address);
        if reachability == Reachability::TRUSTED {
            self.told.remove(&address);
        } else {
            self.told.insert(address, reachability);
        }
        before != reachability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_the_default_and_can_be_given_back() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let mut hops = NextHops::default();
        assert_eq!(hops.get(address), Reachability::TRUSTED);
        assert!(hops.set(address, Reachability::Unreachable));
        assert!(!hops.set(address, Reachability::Unreachable));
        assert_eq!(hops.get(address), Reachability::Unreachable);
        assert!(hops.set(address, Reachability::TRUSTED));
        assert!(hops.told.is_empty());
    }
}
