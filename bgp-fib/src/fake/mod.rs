//! A kernel that is a value: routes, devices, addresses, nexthop objects and neighbour entries
//! with the habits of Linux that a reconciler must live with. For tests and simulations.
//!
//! What is modelled, each measured on Linux 6.18:
//!
//! - `Create` refuses a key that is taken (EEXIST). `Replace` overwrites the first route of its
//!   key, whosever it is, and says `replaced`; one that changes nothing says nothing. `Delete` by
//!   key and protocol takes only that protocol's route, else ESRCH. Appended routes may share a
//!   key.
//! - A hop needs its device (ENODEV), up (ENETDOWN), and a gateway on a network of that device
//!   unless `onlink` (ENETUNREACH); a preferred source must be an own address (EINVAL); a nexthop
//!   object must exist (EINVAL). With the kernel's texts.
//! - A device that goes down takes its routes with it, IPv4 in silence, IPv6 with notifications,
//!   its nexthop objects and its neighbour entries; nothing comes back with it. Addresses stay and
//!   bring their connected routes back. Discards survive. Of a route with several hops only the
//!   loss of all of them counts.
//! - A lost carrier leaves routes where they are but flushes nexthop objects of the device, with
//!   the routes through them, in silence; groups shrink and do not grow again.
//! - An address that goes takes routes with that source (told) and IPv4 gateway routes over its
//!   network (in silence).
//! - It accepts martian destinations.
//!
//! Not modelled: policy rules, the local table, MTU, scopes beyond "has a gateway".
//!
//! Faults on demand: refusals ([`FakeKernel::refuse`]), a bounded notification queue that overruns
//! ([`FakeKernel::set_queue`]). Delays, reordering and torn dumps are the caller's to play; see
//! [`FakeKernel::dump`].

mod objects;
mod pump;
mod routes;

pub use pump::pump;

use crate::errno;
use crate::kernel::{
    Address, Dump, Hop, KernelError, Link, LinkIndex, NeighbourKey, NeighbourTarget, NextHopObject,
    Notice, Request, Route, RouteKey, Target,
};
use bgp_core::prefix::IpNet;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// `rtm_protocol` of connected routes (RTPROT_KERNEL).
pub const KERNEL: u8 = 2;

/// A kernel made up.
#[derive(Clone, Debug)]
pub struct FakeKernel {
    links: BTreeMap<LinkIndex, Link>,
    addresses: BTreeSet<Address>,
    routes: BTreeMap<(u32, IpNet), Vec<Route>>,
    objects: BTreeMap<u32, NextHopObject>,
    neighbours: BTreeMap<NeighbourKey, NeighbourTarget>,
    next_index: u32,
    notices: VecDeque<Notice>,
    queue: usize,
    overrun: bool,
    refusals: VecDeque<KernelError>,
    has_objects: bool,
    requests: u64,
}

impl Default for FakeKernel {
    fn default() -> Self {
        Self::new()
    }
}

/// An error with the kernel's words.
pub(crate) fn error(errno: i32, text: &str) -> KernelError {
    KernelError {
        errno,
        text: text.into(),
    }
}

/// Devices and addresses.
impl FakeKernel {
    /// A kernel without devices.
    pub fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            addresses: BTreeSet::new(),
            routes: BTreeMap::new(),
            objects: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            next_index: 1,
            notices: VecDeque::new(),
            queue: usize::MAX,
            overrun: false,
            refusals: VecDeque::new(),
            has_objects: true,
            requests: 0,
        }
    }

    /// Makes a device, up and with a carrier.
    pub fn add_link(&mut self, name: &str) -> LinkIndex {
        let index = LinkIndex(self.next_index);
        self.next_index += 1;
        let link = Link {
            index,
            name: name.into(),
            up: true,
            carrier: true,
            loopback: false,
            kind: "veth".into(),
            mac: None,
        };
        self.links.insert(index, link.clone());
        self.tell(Notice::Link(link));
        index
    }

    /// The device called `name`.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| &*link.name == name)
    }

    /// All devices.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// Unmakes a device with all that hangs on it.
    pub fn remove_link(&mut self, index: LinkIndex) {
        self.set_up(index, false);
        self.addresses.retain(|address| address.link != index);
        if self.links.remove(&index).is_some() {
            self.tell(Notice::LinkGone(index));
        }
    }

    /// Gives a device another name.
    pub fn rename_link(&mut self, index: LinkIndex, name: &str) {
        self.change_link(index, |link| link.name = name.into());
    }

    /// Admin up or down. A device that is up has a carrier.
    pub fn set_up(&mut self, index: LinkIndex, up: bool) {
        let changed = self.change_link(index, |link| {
            link.up = up;
            link.carrier = up;
        });
        if !changed {
            return;
        }
        if up {
            let addresses = self.addresses.iter();
            let own: Vec<Address> = addresses.filter(|own| own.link == index).copied().collect();
            for address in own {
                self.add_connected(&address);
            }
        } else {
            self.flush_link(index);
        }
    }

    /// The carrier comes or goes; the device stays up.
    pub fn set_carrier(&mut self, index: LinkIndex, carrier: bool) {
        let up = self.links.get(&index).is_some_and(|link| link.up);
        if up && self.change_link(index, |link| link.carrier = carrier) && !carrier {
            self.flush_objects(index);
        }
    }

    fn change_link(&mut self, index: LinkIndex, change: impl FnOnce(&mut Link)) -> bool {
        let Some(link) = self.links.get_mut(&index) else {
            return false;
        };
        let before = link.clone();
        change(link);
        let after = link.clone();
        let changed = before != after;
        if changed {
            self.tell(Notice::Link(after));
        }
        changed
    }

    /// Adds an address and the route to its network.
    pub fn add_address(&mut self, link: LinkIndex, address: IpNet) {
        let address = Address { link, address };
        if self.addresses.insert(address) {
            self.tell(Notice::Address(address));
            self.add_connected(&address);
        }
    }

    /// Removes an address, its connected route, routes with it as source, and, silently, IPv4
    /// gateway routes over its network.
    pub fn remove_address(&mut self, link: LinkIndex, address: IpNet) {
        let gone = Address { link, address };
        if !self.addresses.remove(&gone) {
            return;
        }
        self.tell(Notice::AddressGone(gone));
        if let Some(key) = connected_key(&gone) {
            self.take_routes(true, |route| route.key == key && route.protocol == KERNEL);
        }
        let source = Some(address.addr());
        self.take_routes(true, |route| route.source == source);
        let view = self.clone();
        self.take_routes(false, |route| {
            matches!(route.key.prefix, IpNet::V4(_))
                && !view.hops_of(route).is_empty()
                && view
                    .hops_of(route)
                    .iter()
                    .all(|hop| hop.link == Some(link) && !hop.onlink && !view.reaches(hop))
        });
    }

    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter()
    }

    fn add_connected(&mut self, address: &Address) {
        let up = self.links.get(&address.link).is_some_and(|link| link.up);
        let Some(key) = connected_key(address).filter(|_| up) else {
            return;
        };
        let route = Route {
            key,
            protocol: KERNEL,
            target: Target::Unicast(vec![Hop {
                gateway: None,
                link: Some(address.link),
                onlink: false,
                weight: 1,
            }]),
            source: None,
        };
        if self.at(&key).all(|other| *other != route) {
            self.insert(route.clone());
            self.tell(Notice::Route {
                route,
                replaced: false,
            });
        }
    }

    /// What happens when a device goes down.
    fn flush_link(&mut self, index: LinkIndex) {
        self.flush_objects(index);
        let dead = |route: &Route| {
            let hops = match &route.target {
                Target::Unicast(hops) => hops.as_slice(),
                Target::Object(..)
                | Target::Blackhole
                | Target::Unreachable
                | Target::Prohibit
                | Target::Other(_) => &[],
            };
            !hops.is_empty() && hops.iter().all(|hop| hop.link == Some(index))
        };
        let v6 = |route: &Route| matches!(route.key.prefix, IpNet::V6(_));
        self.take_routes(false, |route| dead(route) && !v6(route));
        self.take_routes(true, |route| dead(route) && v6(route));
        self.flush_neighbours(index);
    }
}

/// What a reconciler's edge does.
impl FakeKernel {
    /// Obeys one request, or refuses it.
    ///
    /// # Errors
    ///
    /// As Linux would.
    pub fn request(&mut self, request: &Request) -> Result<(), KernelError> {
        self.requests += 1;
        if let Some(error) = self.refusals.pop_front() {
            return Err(error);
        }
        match request {
            Request::PutRoute(route, how) => self.put_route(route.clone(), *how),
            Request::DeleteRoute(key, protocol) => self.delete_route(key, *protocol),
            Request::PutNextHop(object) => self.put_object(object.clone()),
            Request::DeleteNextHop(id) => self.delete_object(*id),
            Request::PutNeighbour(key, target) => self.put_neighbour(*key, *target),
            Request::DeleteNeighbour(key) => self.delete_neighbour(key),
        }
    }

    /// How many requests there have been.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The next requests are refused with these errors, one each.
    pub fn refuse(&mut self, errors: impl IntoIterator<Item = KernelError>) {
        self.refusals.extend(errors);
    }

    /// At most `len` notifications wait; then the rest is lost and an overrun is told.
    pub fn set_queue(&mut self, len: usize) {
        self.queue = len;
    }

    /// Whether the kernel knows nexthop objects at all (EOPNOTSUPP otherwise).
    pub fn set_has_objects(&mut self, has: bool) {
        self.has_objects = has;
    }

    /// The oldest notification.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Whether notifications were lost since this was asked last.
    pub fn take_overrun(&mut self) -> bool {
        std::mem::take(&mut self.overrun)
    }

    /// Loses all notifications that wait.
    pub fn lose_notices(&mut self) {
        self.overrun |= !self.notices.is_empty();
        self.notices.clear();
    }

    fn tell(&mut self, notice: Notice) {
        if self.notices.len() >= self.queue {
            self.overrun = true;
        } else {
            self.notices.push_back(notice);
        }
    }

    /// Everything of one sort, as it is now. A real dump of IPv4 routes is not of one moment: take
    /// two and mix them to play that.
    pub fn dump(&self, dump: Dump) -> Vec<Notice> {
        match dump {
            Dump::Links => self.links.values().cloned().map(Notice::Link).collect(),
            Dump::Addresses => self
                .addresses
                .iter()
                .copied()
                .map(Notice::Address)
                .collect(),
            Dump::Routes => self
                .routes()
                .map(|route| Notice::Route {
                    route: self.reported(route),
                    replaced: false,
                })
                .collect(),
            Dump::NextHops => self
                .objects
                .values()
                .cloned()
                .map(Notice::NextHop)
                .collect(),
            Dump::Neighbours => self
                .neighbours
                .iter()
                .map(|(key, target)| Notice::Neighbour(*key, *target))
                .collect(),
        }
    }
}

/// The key of the route to an address's own network; none for host addresses.
fn connected_key(address: &Address) -> Option<RouteKey> {
    let net = address.address.trunc();
    let host = net.prefix_len() == net.max_prefix_len();
    let metric = match net {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => 256,
    };
    (!host).then_some(RouteKey {
        table: 254,
        prefix: net,
        metric,
    })
}

impl FakeKernel {
    /// Whether the kernel takes `hop` as it is.
    fn check_hop(&self, hop: &Hop) -> Result<(), KernelError> {
        let link = hop.link.and_then(|link| self.links.get(&link));
        let link = link.ok_or_else(|| error(errno::ENODEV, ""))?;
        if !link.up {
            return Err(error(errno::ENETDOWN, "Nexthop device is not up"));
        }
        let Some(gateway) = hop.gateway else {
            return Ok(());
        };
        if self.is_own(gateway) {
            return Err(error(errno::EINVAL, "Nexthop has invalid gateway"));
        }
        if hop.onlink || self.reaches(hop) {
            return Ok(());
        }
        Err(error(errno::ENETUNREACH, "Nexthop has invalid gateway"))
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|own| own.address.addr() == address)
    }

    /// Whether the gateway of `hop` is on a network of its device.
    fn reaches(&self, hop: &Hop) -> bool {
        let Some(gateway) = hop.gateway else {
            return true;
        };
        let link_local = matches!(gateway, IpAddr::V6(address) if address.is_unicast_link_local());
        link_local
            || self
                .addresses
                .iter()
                .filter(|own| Some(own.link) == hop.link)
                .any(|own| own.address.contains(&gateway))
    }
}
