//! What the reconciler is told to be, what it tells, and how it answers questions: plain values.

use crate::kernel::{KernelError, LinkName, RouteKey};
use crate::resolve::Resolution;
use crate::wanted::{Place, Wanted};
use bgp_core::prefix::IpNet;
use bgp_core::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// What a [`crate::Fib`] is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The owner mark of our routes (`rtm_protocol`), 1 to 255. 200 to 250 are private by custom.
    pub protocol: u8,
    /// The metric of our routes. 0 means 1024 for IPv6, as in the kernel.
    pub metric: u32,
    /// Protocols of predecessors, alive no more, whose routes in our table we take over: see
    /// [`crate::fib`], "Adoption".
    pub adopt: Vec<u8>,
    /// The routing table in which leftovers are looked for; 254 is `main`. Places in other tables
    /// make those ours too.
    pub table: u32,
    /// Put routes through nexthop objects, so that a dead gateway moves all its routes at once.
    pub next_hop_objects: bool,
    /// How often everything is compared when nothing gives a reason; shortened by up to a quarter.
    pub resync: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protocol: 201,
            metric: 32,
            adopt: Vec::new(),
            table: 254,
            next_hop_objects: false,
            resync: Duration::from_secs(60),
        }
    }
}

/// What an event or a request is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// A route.
    Route(Place),
    /// An entry of a VXLAN device for a host.
    TunnelEnd(LinkName, IpAddr),
    /// A nexthop object, by number.
    NextHop(u32),
}

/// What the owner may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FibEvent {
    /// A watched address is somewhere else now. Only the last state is told.
    NextHop(IpAddr, Resolution),
    /// A route of a host on a watched device, not ours, came or went. Only the last state is told.
    HostRoute {
        /// The host.
        prefix: IpNet,
        /// The device.
        device: LinkName,
        /// Whether it is there.
        present: bool,
    },
    /// A comparison with the whole kernel is done. After the first one requests begin.
    Synced {
        /// The first one since the start.
        first: bool,
        /// So many of our routes were not as they should be, though nobody had said so.
        drifted: usize,
    },
    /// A route of another has our key; it is left alone.
    Conflict {
        /// Where.
        place: Place,
        /// Whose it is (`rtm_protocol`), if we have seen it.
        protocol: Option<u8>,
    },
    /// Our key is free again, or ours, or not wanted any more.
    ConflictOver {
        /// Where.
        place: Place,
    },
    /// The kernel refuses; tried again when its cause changes, and now and then.
    Refused {
        /// What.
        subject: Subject,
        /// Why.
        error: KernelError,
    },
    /// Somebody had deleted or changed a route of ours; it is as wanted again.
    Healed {
        /// Where.
        place: Place,
    },
    /// Somebody changes a route of ours again and again; we put it back ever more slowly.
    Fight {
        /// Where.
        place: Place,
        /// How often in a row.
        times: u32,
        /// When it is put back next.
        until: Instant,
    },
    /// Notifications were lost; a comparison follows.
    Overrun,
    /// There are more routes of others than are kept ([`crate::foreign::MAX_FOREIGN`]).
    ForeignFull,
    /// The kernel has no nexthop objects; routes bear their hops themselves from now on.
    NoNextHopObjects {
        /// Why.
        error: KernelError,
    },
    /// So many events were dropped because nobody took them.
    EventsLost(u64),
}

/// What something waits for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// The first look at the kernel is not done.
    FirstLook,
    /// A device that is missing, or down.
    Link(LinkName),
    /// A gateway to which no route leads.
    NextHop(IpAddr),
    /// Addresses or routes that would make the gateway or the source valid.
    Network,
    /// A nexthop object.
    Object,
    /// Another's route has the key; its protocol, if we have seen it.
    Conflict(Option<u8>),
    /// The other who changes it too; we wait in order not to fight.
    Fight,
    /// Only time: the kernel refused for a reason that nothing announces the end of.
    Time,
}

impl Cause {
    /// One word for it, as in [`Counts::waiting`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::FirstLook => "first-look",
            Self::Link(_) => "link",
            Self::NextHop(_) => "next-hop",
            Self::Network => "network",
            Self::Object => "object",
            Self::Conflict(_) => "conflict",
            Self::Fight => "fight",
            Self::Time => "time",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstLook => f.write_str("the first look at the kernel is not done"),
            Self::Link(name) => write!(f, "device {name} is missing or down"),
            Self::NextHop(address) => write!(f, "no route to {address}"),
            Self::Network => f.write_str("no address or route makes its gateway or source valid"),
            Self::Object => f.write_str("its nexthop object is missing"),
            Self::Conflict(Some(protocol)) => {
                write!(f, "a route of protocol {protocol} has its key")
            }
            Self::Conflict(None) => f.write_str("a route of another has its key"),
            Self::Fight => f.write_str("somebody changes it again and again"),
            Self::Time => f.write_str("refused by the kernel"),
        }
    }
}

/// Why a key is parked: what it waits for and what the kernel said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// What it waits for.
    pub cause: Cause,
    /// The kernel's refusal, if it was asked.
    pub error: Option<KernelError>,
}

/// How a route stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteState {
    /// In the kernel as wanted.
    Installed,
    /// On its way, into the kernel or out of it.
    Pending,
    /// Waits, and for what.
    Waiting(Cause),
    /// Never put, because of what it says; the text of the status says why.
    Invalid,
    /// Found in the kernel, ours or adopted, and not asked for yet; kept until the sweep.
    Stale,
}

/// A route, wanted or found, and how it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteStatus {
    /// Where.
    pub place: Place,
    /// The metric it has or would have: that of an adopted one may be another than ours.
    pub metric: u32,
    /// What is wanted; `None` for leftovers and for those on their way out.
    pub wanted: Option<Wanted>,
    /// How it stands.
    pub state: RouteState,
    /// Since when it is wanted; `None` when it is not.
    pub since: Option<Instant>,
    /// The kernel's last refusal, or why we do not even ask.
    pub error: Option<String>,
    /// How often in a row the kernel has refused.
    pub tries: u32,
}

/// A part of a long answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Where the next part begins: give it as `after`; `None` at the end.
    pub next: Option<RouteKey>,
}

/// At most so many items are in one [`Page`], however many are asked for.
pub const MAX_PAGE: usize = 4_096;

/// Numbers about everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Routes that are wanted.
    pub wanted: usize,
    /// Of those, in the kernel as wanted.
    pub installed: usize,
    /// Requests that wait for their turn, of all kinds.
    pub pending: usize,
    /// Requests whose answer is awaited.
    pub in_flight: usize,
    /// Leftovers that nobody asked for yet.
    pub stale: usize,
    /// Wanted routes that wait, by what they wait for ([`Cause::name`]).
    pub waiting: BTreeMap<&'static str, usize>,
    /// Routes that are refused by us.
    pub invalid: usize,
    /// Refusals by the kernel since the start, by error number.
    pub failed: BTreeMap<i32, u64>,
    /// Requests sent since the start.
    pub requests: u64,
    /// Times that notifications were lost.
    pub overruns: u64,
    /// Comparisons with the whole kernel since the start.
    pub resyncs: u64,
    /// Times that a route of ours was put back after somebody had changed or deleted it.
    pub healed: u64,
    /// Routes of ours whose key another has now.
    pub conflicts: usize,
    /// Routes of others that are kept.
    pub foreign: usize,
    /// Routes of others that were not kept for want of room.
    pub foreign_dropped: u64,
    /// Tunnel ends that are wanted.
    pub tunnel_ends: usize,
    /// Nexthop objects of ours in the kernel.
    pub objects: usize,
    /// Watched addresses.
    pub watched: usize,
}

/// How one route differed from the kernel when everything was compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// Wanted, and not there.
    Missing(RouteKey),
    /// There, but not as wanted.
    Differs(RouteKey),
    /// There with our mark, but not wanted.
    Extra(RouteKey),
}

/// The outcome of the last comparison with all routes of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// When it ended.
    pub at: Instant,
    /// How many such comparisons there have been: a later one has a larger number.
    pub number: u64,
    /// Whether the kernel's list was complete.
    pub complete: bool,
    /// How many routes of ours were compared.
    pub compared: usize,
    /// How many differed. Routes with a request on its way, or changed after the list was begun,
    /// are not judged; those that wait for something count as missing.
    pub differing: usize,
    /// The first of them, at most [`MAX_DIFFERENCES`].
    pub differences: Vec<Difference>,
}

/// At most so many differences are named by an [`Audit`]; the rest is only counted.
pub const MAX_DIFFERENCES: usize = 1_000;
