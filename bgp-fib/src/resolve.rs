//! Where an address is: next-hop tracking over the kernel's routes that are not ours.
//!
//! The longest prefix of the main table that holds the address decides, as it does in the kernel,
//! and of its routes the one with the lowest metric. A next hop never resolves through a route of
//! ours: two routes that hold each other up would never fall. Policy rules and other tables are
//! not asked; whoever steers with them names the device of a hop.
//!
//! A route through a device that is down is not there (the kernel drops it). One through a device
//! without a carrier *is* there and still wins (`ignore_routes_with_linkdown` is off by default),
//! whatever shorter prefixes say: the address is found, with the remark that there is no carrier.

use crate::foreign::Foreign;
use crate::kernel::{Hop, Link, LinkIndex, LinkName, Target};
use crate::links::Links;
use bgp_core::prefix::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// The table in which next hops are looked up: `main`.
pub const MAIN_TABLE: u32 = 254;

/// `rtm_type` of a route that sends the search on (RTN_THROW).
const THROW: u8 = 9;

/// Where an address is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// On the network of a device.
    Connected {
        /// Which.
        device: LinkName,
        /// Whether it has a carrier; without one nothing passes until it is back.
        carrier: bool,
    },
    /// Behind a router.
    Via {
        /// The router.
        gateway: IpAddr,
        /// Its device.
        device: LinkName,
        /// Metric of the route that says so.
        metric: u32,
        /// Whether the device has a carrier; without one nothing passes until it is back.
        carrier: bool,
    },
    /// Nowhere: no route, a route that drops, a device that is down, or the address is this host's
    /// own.
    Unreachable,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let no_carrier = |carrier: &bool| if *carrier { "" } else { " (no carrier)" };
        match self {
            Self::Connected { device, carrier } => {
                write!(f, "dev {device}{}", no_carrier(carrier))
            }
            Self::Via {
                gateway,
                device,
                carrier,
                ..
            } => write!(f, "via {gateway} dev {device}{}", no_carrier(carrier)),
            Self::Unreachable => f.write_str("no route"),
        }
    }
}

/// A resolution with what a route needs of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) resolution: Resolution,
    pub(crate) hop: Option<Hop>,
}

impl Found {
    fn nowhere() -> Self {
        Self {
            resolution: Resolution::Unreachable,
            hop: None,
        }
    }

    pub(crate) fn link(&self) -> Option<LinkIndex> {
        self.hop.and_then(|hop| hop.link)
    }
}

/// Where `address` is now.
pub fn resolve(address: IpAddr, foreign: &Foreign, links: &Links) -> Resolution {
    find(address, foreign, links).resolution
}

pub(crate) fn find(address: IpAddr, foreign: &Foreign, links: &Links) -> Found {
    if links.is_own(address) {
        return Found::nowhere();
    }
    for (_, route) in foreign.holding(MAIN_TABLE, address) {
        match &route.target {
            Target::Other(THROW) => {}
            Target::Unicast(hops) | Target::Object(_, hops) => {
                let ways = hops.iter().filter_map(|hop| {
                    let link = links.get(hop.link?)?;
                    link.up.then_some((hop, link))
                });
                // The first of the best: with a carrier, if one has it.
                if let Some((hop, link)) = ways.min_by_key(|(_, link)| !link.carrier) {
                    return through(address, route.key.metric, hop, link);
                }
            }
            Target::Blackhole | Target::Unreachable | Target::Prohibit | Target::Other(_) => {
                return Found::nowhere();
            }
        }
    }
    Found::nowhere()
}

fn through(address: IpAddr, metric: u32, hop: &Hop, link: &Link) -> Found {
    let device = link.name.clone();
    let carrier = link.carrier;
    Found {
        resolution: match hop.gateway {
            None => Resolution::Connected { device, carrier },
            Some(gateway) => Resolution::Via {
                gateway,
                device,
                metric,
                carrier,
            },
        },
        hop: Some(Hop {
            gateway: hop.gateway.or(Some(address)),
            weight: 1,
            ..*hop
        }),
    }
}

/// Addresses that somebody cares about, with where they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    tracked: BTreeMap<IpAddr, Tracked>,
    dirty: BTreeSet<IpAddr>,
    /// Those that are elsewhere since [`Tracker::refresh`] was asked last.
    moved: BTreeSet<IpAddr>,
    news: BTreeSet<IpAddr>,
}

#[derive(Clone, Debug)]
struct Tracked {
    /// The owner asked to be told.
    watched: bool,
    /// So many wanted hops resolve through it.
    uses: usize,
    /// The last look; `None` before the first one.
    found: Option<Found>,
    /// What the owner was told last.
    told: Option<Resolution>,
}

impl Tracker {
    fn entry(&mut self, address: IpAddr) -> &mut Tracked {
        let dirty = &mut self.dirty;
        self.tracked.entry(address).or_insert_with(|| {
            dirty.insert(address);
            Tracked {
                watched: false,
                uses: 0,
                found: None,
                told: None,
            }
        })
    }

    pub(crate) fn watch(&mut self, address: IpAddr) {
        self.entry(address).watched = true;
        self.news.insert(address);
    }

    pub(crate) fn unwatch(&mut self, address: IpAddr) {
        if let Some(tracked) = self.tracked.get_mut(&address) {
            tracked.watched = false;
            tracked.told = None;
        }
        self.news.remove(&address);
        self.drop_unused(address);
    }

    pub(crate) fn hold(&mut self, address: IpAddr) {
        self.entry(address).uses += 1;
    }

    pub(crate) fn release(&mut self, address: IpAddr) {
        if let Some(tracked) = self.tracked.get_mut(&address) {
            tracked.uses = tracked.uses.saturating_sub(1);
        }
        self.drop_unused(address);
    }

    fn drop_unused(&mut self, address: IpAddr) {
        let unused = |tracked: &Tracked| !tracked.watched && tracked.uses == 0;
        if self.tracked.get(&address).is_some_and(unused) {
            self.tracked.remove(&address);
            self.dirty.remove(&address);
            self.moved.remove(&address);
        }
    }

    /// Routes of `prefix` changed.
    pub(crate) fn touch(&mut self, prefix: &IpNet) {
        let range = prefix.network()..=prefix.broadcast();
        self.dirty
            .extend(self.tracked.range(range).map(|(address, _)| *address));
    }

    /// Devices or addresses changed.
    pub(crate) fn touch_all(&mut self) {
        self.dirty.extend(self.tracked.keys());
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.moved.is_empty()
    }

    /// Looks again at what may have changed; answers the addresses that are elsewhere than when
    /// this was asked last.
    pub(crate) fn refresh(&mut self, foreign: &Foreign, links: &Links) -> BTreeSet<IpAddr> {
        while let Some(address) = self.dirty.first().copied() {
            self.look(address, foreign, links);
        }
        std::mem::take(&mut self.moved)
    }

    /// Looks again at `address` if something about it may have changed.
    pub(crate) fn look(&mut self, address: IpAddr, foreign: &Foreign, links: &Links) {
        if !self.dirty.remove(&address) {
            return;
        }
        let Some(tracked) = self.tracked.get_mut(&address) else {
            return;
        };
        let found = find(address, foreign, links);
        let before = tracked.found.replace(found.clone());
        if before.as_ref() == Some(&found) {
            return;
        }
        // The carrier counts too: nexthop objects need one.
        if before.is_some() && tracked.uses > 0 {
            self.moved.insert(address);
        }
        if tracked.watched {
            self.news.insert(address);
        }
    }

    /// The hop to `address` when it was looked at last; `None` when there is none.
    pub(crate) fn hop(&self, address: IpAddr) -> Option<Hop> {
        self.tracked.get(&address)?.found.as_ref()?.hop
    }

    /// A watched address whose resolution is not what was told last.
    pub(crate) fn poll_news(&mut self) -> Option<(IpAddr, Resolution)> {
        if !self.dirty.is_empty() {
            return None;
        }
        while let Some(address) = self.news.pop_first() {
            let Some(tracked) = self.tracked.get_mut(&address) else {
                continue;
            };
            let Some(now) = tracked.found.as_ref().map(|found| found.resolution.clone()) else {
                continue;
            };
            if tracked.watched && tracked.told.as_ref() != Some(&now) {
                tracked.told = Some(now.clone());
                return Some((address, now));
            }
        }
        None
    }

    /// Whether an address that somebody cares about is reached through `link`.
    pub(crate) fn uses_link(&self, link: LinkIndex) -> bool {
        self.tracked
            .values()
            .filter_map(|tracked| tracked.found.as_ref())
            .any(|found| found.link() == Some(link))
    }

    pub(crate) fn watched_len(&self) -> usize {
        self.tracked
            .values()
            .filter(|tracked| tracked.watched)
            .count()
    }
}
