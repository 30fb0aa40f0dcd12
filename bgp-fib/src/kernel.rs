//! What the kernel is told and what it says, as plain values.
//!
//! These are the words between the reconciler (`Fib`), which is pure, and whoever speaks netlink
//! for it: a socket, or a kernel that a test made up. A [`Request`] is one netlink message; its
//! [`Answer`] bears the same [`Ticket`]. A [`Notice`] is what the kernel says by itself, and what
//! a dump consists of.
//!
//! Devices are numbers here ([`LinkIndex`]), as in the kernel; names are for people and
//! configuration (see [`crate::wanted`]). A device that is made anew gets another number.

use bgp_core::prefix::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// Number of a network device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkIndex(pub u32);

/// Name of a network device: 1 to 15 octets (IFNAMSIZ).
pub type LinkName = Arc<str>;

/// What the kernel tells routes apart by: RTM_NEWROUTE with NLM_F_REPLACE replaces whatever has
/// the same key. The type of service is always 0 in ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteKey {
    /// Routing table; 254 is `main`.
    pub table: u32,
    /// Destination, without host bits.
    pub prefix: IpNet,
    /// Metric (priority). The kernel turns 0 into 1024 for IPv6.
    pub metric: u32,
}

/// A route as it stands in the kernel.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Route {
    /// Its key.
    pub key: RouteKey,
    /// Who made it (`rtm_protocol`): 2 kernel, 3 boot, 4 static, 12 BIRD, 80 Felix, …
    pub protocol: u8,
    /// What happens to packets.
    pub target: Target,
    /// Preferred source address (RTA_PREFSRC).
    pub source: Option<IpAddr>,
}

/// What happens to packets that a route matches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// They leave through one of these hops: one, or several by weight (RTA_MULTIPATH).
    Unicast(Vec<Hop>),
    /// They leave through a nexthop object (RTA_NH_ID); the hops are what the kernel reports of it.
    Object(u32, Vec<Hop>),
    /// Dropped without a word.
    Blackhole,
    /// Answered with ICMP unreachable.
    Unreachable,
    /// Answered with ICMP prohibited.
    Prohibit,
    /// Any other `rtm_type` (local, broadcast, multicast, throw, nat …), kept as it is.
    Other(u8),
}

/// One way out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Hop {
    /// The next router; none where the destination is on the link. May be IPv6 in an IPv4 route
    /// (RTA_VIA).
    pub gateway: Option<IpAddr>,
    /// The device; `None` lets the kernel look (never in what it reports).
    pub link: Option<LinkIndex>,
    /// The gateway need not be on the link's network (RTNH_F_ONLINK).
    pub onlink: bool,
    /// Share of the traffic, 1 to 256; 1 where there is only one hop.
    pub weight: u16,
}

/// A nexthop object (RTM_NEWNEXTHOP).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NextHopObject {
    /// Its number.
    pub id: u32,
    /// Who made it.
    pub protocol: u8,
    /// What it is.
    pub kind: NextHopKind,
}

/// What a nexthop object is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum NextHopKind {
    /// A hop (its weight means nothing here).
    Hop(Hop),
    /// A group of others with their weights, 1 to 256. The kernel removes members whose device
    /// loses its carrier, silently.
    Group(Vec<(u32, u16)>),
    /// Drops.
    Blackhole,
}

/// A permanent neighbour entry (`ip neigh`, family of `address`) or, with `bridge`, a forwarding
/// entry of a VXLAN device (`bridge fdb … self`, PF_BRIDGE).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NeighbourKey {
    /// An address on a link.
    Neighbour(LinkIndex, IpAddr),
    /// A hardware address behind a VXLAN device.
    Forwarding(LinkIndex, Mac),
}

/// What a [`NeighbourKey`] leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NeighbourTarget {
    /// A neighbour's hardware address.
    Mac(Mac),
    /// The host to which a VXLAN device sends frames (NDA_DST).
    Host(IpAddr),
}

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mac(pub [u8; 6]);

/// A network device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number.
    pub index: LinkIndex,
    /// Its name.
    pub name: LinkName,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Has a carrier (IFF_LOWER_UP).
    pub carrier: bool,
    /// A loopback device.
    pub loopback: bool,
    /// `IFLA_INFO_KIND`: "vxlan", "ipip", "tun", "veth" …; empty for hardware.
    pub kind: Arc<str>,
    /// Its hardware address, where it has one of six octets.
    pub mac: Option<Mac>,
}

/// An address on a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// Which device.
    pub link: LinkIndex,
    /// The address with the length of its network.
    pub address: IpNet,
}

/// Something to tell the kernel; one netlink message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// RTM_NEWROUTE. `Create` never overwrites (NLM_F_CREATE|NLM_F_EXCL); `Replace` overwrites
    /// what has the key, in one step without a hole (NLM_F_CREATE|NLM_F_REPLACE).
    PutRoute(Route, How),
    /// RTM_DELROUTE by key and protocol, without gateway: never removes another's route.
    DeleteRoute(RouteKey, u8),
    /// RTM_NEWNEXTHOP, replacing.
    PutNextHop(NextHopObject),
    /// RTM_DELNEXTHOP.
    DeleteNextHop(u32),
    /// RTM_NEWNEIGH, permanent, replacing.
    PutNeighbour(NeighbourKey, NeighbourTarget),
    /// RTM_DELNEIGH.
    DeleteNeighbour(NeighbourKey),
}

/// How a route is put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// Only where nothing has the key.
    Create,
    /// Whatever has the key goes.
    Replace,
}

/// Number of a request; its answer bears the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// How a request ended.
pub type Answer = (Ticket, Result<(), KernelError>);

/// Why the kernel refused.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KernelError {
    /// The positive error number (`ENETUNREACH` …).
    pub errno: i32,
    /// The kernel's own words (NLMSGERR_ATTR_MSG); empty where it has none.
    pub text: Arc<str>,
}

/// What the kernel says by itself, or one entry of a dump.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A route is there now. `replaced` (NLM_F_REPLACE in the header) says that it took the place
    /// of what had its key.
    Route {
        /// The route.
        route: Route,
        /// Whether it took another's place.
        replaced: bool,
    },
    /// A route is gone.
    RouteGone(Route),
    /// A device is there, or has changed.
    Link(Link),
    /// A device is gone.
    LinkGone(LinkIndex),
    /// An address is there.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A nexthop object is there, or has changed.
    NextHop(NextHopObject),
    /// A nexthop object is gone.
    NextHopGone(u32),
    /// A permanent neighbour or forwarding entry is there.
    Neighbour(NeighbourKey, NeighbourTarget),
    /// A neighbour or forwarding entry is gone.
    NeighbourGone(NeighbourKey),
}

/// What can be asked for as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dump {
    /// All devices.
    Links,
    /// All addresses, both families.
    Addresses,
    /// All routes of all tables, both families.
    Routes,
    /// All nexthop objects.
    NextHops,
    /// All permanent neighbour and forwarding entries.
    Neighbours,
}
