//! The kernel's routes that are not ours: what next hops resolve over, what our keys may collide
//! with, and the host routes of workloads.
//!
//! They are kept by table and prefix, each prefix with its routes by metric. A lookup by address
//! asks for one prefix of each length that occurs, longest first.
//!
//! # How a route leaves
//!
//! By its notification; with its device, because the kernel drops IPv4 routes of a device that
//! goes down without a word; or by absence from dumps. Linux gives no consistent dump of IPv4
//! routes while they change, and does not say so; therefore one absence only raises a doubt
//! ([`DumpEnd::doubt`]: please ask again), and the second one in a row takes the route away. A next
//! hop must not be lost because a dump skipped a line.

use crate::kernel::{LinkIndex, Route, RouteKey, Target};
use crate::marks::Marks;
use bgp_core::prefix::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// At most so many foreign routes are kept, about 200 octets each. Those that come when it is full
/// are counted and dropped: a next hop that only they lead to counts as unreachable, or resolves
/// less specifically; a conflict with one of them is still noticed, by the kernel's refusal.
pub const MAX_FOREIGN: usize = 262_144;

/// The routing table that the kernel fills with this host's own addresses.
pub const LOCAL_TABLE: u32 = 255;

/// A table and a prefix.
pub type Spot = (u32, IpNet);

/// Routes of others.
#[derive(Clone, Debug)]
pub struct Foreign {
    routes: BTreeMap<Spot, Vec<Known>>,
    /// How many prefixes there are of each table, family (v6) and length.
    lengths: BTreeMap<(u32, bool, u8), usize>,
    by_link: BTreeMap<LinkIndex, usize>,
    len: usize,
    limit: usize,
    dropped: u64,
    marks: Marks<RouteKey>,
}

#[derive(Clone, Debug)]
struct Known {
    route: Route,
    missed: bool,
}

/// What a dump changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DumpEnd {
    /// Where routes went.
    pub changed: BTreeSet<Spot>,
    /// Something was missing for the first time: ask again.
    pub doubt: bool,
}

fn spot(route: &Route) -> Spot {
    (route.key.table, route.key.prefix)
}

fn length(spot: &Spot) -> (u32, bool, u8) {
    let v6 = matches!(spot.1, IpNet::V6(_));
    (spot.0, v6, spot.1.prefix_len())
}

/// The devices of a route, each once.
fn links_of(route: &Route) -> BTreeSet<LinkIndex> {
    match &route.target {
        Target::Unicast(hops) | Target::Object(_, hops) => {
            hops.iter().filter_map(|hop| hop.link).collect()
        }
        Target::Blackhole | Target::Unreachable | Target::Prohibit | Target::Other(_) => {
            BTreeSet::new()
        }
    }
}

impl Default for Foreign {
    fn default() -> Self {
        Self::new()
    }
}

impl Foreign {
    /// None.
    pub fn new() -> Self {
        Self::with_limit(MAX_FOREIGN)
    }

    /// None, and never more than `limit`.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            routes: BTreeMap::new(),
            lengths: BTreeMap::new(),
            by_link: BTreeMap::new(),
            len: 0,
            limit,
            dropped: 0,
            marks: Marks::new(),
        }
    }

    /// A route is there; with `replaced` in the place of all that had its key. Answers whether
    /// anything is new.
    pub fn insert(&mut self, route: Route, replaced: bool) -> bool {
        self.marks.touch(route.key);
        if self.confirm(&route) {
            return false;
        }
        if replaced {
            self.take_key(&route.key);
        }
        self.store(route);
        true
    }

    /// A route is gone. When it is not known as it is named, one of its key and protocol goes.
    /// Answers whether one went.
    pub fn remove(&mut self, route: &Route) -> bool {
        self.marks.touch(route.key);
        let Some(known) = self.routes.get_mut(&spot(route)) else {
            return false;
        };
        let same = |other: &Known| other.route == *route;
        let like =
            |other: &Known| other.route.key == route.key && other.route.protocol == route.protocol;
        let found = known
            .iter()
            .position(same)
            .or_else(|| known.iter().position(like));
        let Some(found) = found else {
            return false;
        };
        let gone = known.remove(found).route;
        self.forgotten(&gone);
        true
    }

    /// Ours took the place of all that had `key`; answers how many there were.
    pub fn take_key(&mut self, key: &RouteKey) -> usize {
        self.marks.touch(*key);
        self.take_if(&(key.table, key.prefix), |known| known.route.key == *key)
            .len()
    }

    /// `link` is down or gone, and with it every route all of whose hops leave through it.
    /// Answers where routes went.
    pub fn drop_link(&mut self, link: LinkIndex) -> BTreeSet<Spot> {
        if !self.by_link.contains_key(&link) {
            return BTreeSet::new();
        }
        let only = |known: &Known| {
            let links = links_of(&known.route);
            links.len() == 1 && links.contains(&link)
        };
        let spots: BTreeSet<Spot> = self
            .routes
            .iter()
            .filter(|(_, known)| known.iter().any(only))
            .map(|(spot, _)| *spot)
            .collect();
        for spot in &spots {
            for gone in self.take_if(spot, only) {
                self.marks.touch(gone.key);
            }
        }
        spots
    }

    /// A dump of the routes begins.
    pub fn begin_dump(&mut self) {
        self.marks.begin();
    }

    /// The dump names a route; answers whether it is new.
    pub fn dumped(&mut self, route: Route) -> bool {
        if !self.marks.name(route.key) || self.confirm(&route) {
            return false;
        }
        self.store(route);
        true
    }

    /// The dump ends.
    pub fn end_dump(&mut self, complete: bool) -> DumpEnd {
        let mut end = DumpEnd::default();
        if !self.marks.end(complete) {
            return end;
        }
        let mut going: Vec<(Spot, RouteKey)> = Vec::new();
        for (spot, known) in &mut self.routes {
            for known in known {
                if !self.marks.is_missing(&known.route.key) {
                    continue;
                }
                if known.missed {
                    going.push((*spot, known.route.key));
                } else {
                    known.missed = true;
                    end.doubt = true;
                }
            }
        }
        for (spot, key) in going {
            self.take_if(&spot, |known| known.missed && known.route.key == key);
            end.changed.insert(spot);
        }
        end
    }

    /// A route with `key`.
    pub fn at(&self, key: &RouteKey) -> Option<&Route> {
        let known = self.routes.get(&(key.table, key.prefix))?;
        known
            .iter()
            .map(|known| &known.route)
            .find(|route| route.key == *key)
    }

    /// The routes of a table and prefix, by metric.
    pub fn at_spot(&self, spot: Spot) -> impl Iterator<Item = &Route> {
        let known = self.routes.get(&spot);
        known.into_iter().flatten().map(|known| &known.route)
    }

    /// All routes whose prefix lies within `prefix`, in order, of every table.
    pub fn within(&self, prefix: IpNet) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(move |((_, inner), _)| prefix.contains(inner))
            .flat_map(|(_, known)| known)
            .map(|known| &known.route)
    }

    /// The routes of `table` whose prefix holds `address`, longest prefix first, each prefix by
    /// metric.
    pub fn holding(&self, table: u32, address: IpAddr) -> impl Iterator<Item = (IpNet, &Route)> {
        let v6 = address.is_ipv6();
        self.lengths
            .range((table, v6, 0)..=(table, v6, 128))
            .rev()
            .filter_map(move |((_, _, length), _)| IpNet::new(address, *length).ok())
            .map(|net| net.trunc())
            .flat_map(move |net| self.at_spot((table, net)).map(move |route| (net, route)))
    }

    /// The tables and prefixes that have routes, in order.
    pub fn spots(&self) -> impl Iterator<Item = &Spot> {
        self.routes.keys()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many were dropped because there was no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Known already, exactly so: it is there, and not missed any more.
    fn confirm(&mut self, route: &Route) -> bool {
        let known = self.routes.get_mut(&spot(route)).into_iter().flatten();
        let mut same = known.filter(|known| known.route == *route);
        match same.next() {
            Some(known) => {
                known.missed = false;
                true
            }
            None => false,
        }
    }

    fn store(&mut self, route: Route) {
        if self.len >= self.limit {
            self.dropped += 1;
            return;
        }
        self.len += 1;
        for link in links_of(&route) {
            *self.by_link.entry(link).or_default() += 1;
        }
        let spot = spot(&route);
        let known = self.routes.entry(spot).or_default();
        if known.is_empty() {
            *self.lengths.entry(length(&spot)).or_default() += 1;
        }
        let place = known.partition_point(|other| other.route.key.metric <= route.key.metric);
        known.insert(
            place,
            Known {
                route,
                missed: false,
            },
        );
    }

    fn take_if(&mut self, spot: &Spot, mut which: impl FnMut(&Known) -> bool) -> Vec<Route> {
        let Some(known) = self.routes.get_mut(spot) else {
            return Vec::new();
        };
        let gone: Vec<Route> = known
            .extract_if(.., |known| which(known))
            .map(|known| known.route)
            .collect();
        for route in &gone {
            self.forgotten(route);
        }
        gone
    }

    /// Bookkeeping after `route` left its list.
    fn forgotten(&mut self, route: &Route) {
        self.len -= 1;
        for link in links_of(route) {
            decrement(&mut self.by_link, &link);
        }
        let spot = spot(route);
        if self.routes.get(&spot).is_some_and(Vec::is_empty) {
            self.routes.remove(&spot);
            decrement(&mut self.lengths, &length(&spot));
        }
    }
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
