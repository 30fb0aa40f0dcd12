//! [`Fib`]: keeps the routes of one owner in a kernel as they are wanted.
//!
//! It is a value. Its owner says what is wanted ([`Fib::set`]); its edge tells it what the kernel
//! says ([`Fib::handle_notice`], [`Fib::handle_answers`], [`Fib::handle_dump`]) and asks what to
//! do next ([`Fib::poll_dump`], [`Fib::poll_batch`], [`Fib::poll_timeout`]).
//!
//! ```text
//!  wanted (names) ──lower──► desired ┐                      ┌► requests, in the order of a pass
//!    ▲ devices, next hops            ├─ DeltaMap: the work ─┤
//!  links, foreign routes ◄── kernel ─┘ actual               └► parked, by cause and time
//! ```
//!
//! # Turns
//!
//! After every call that may have changed something the edge asks, in this order, until nothing
//! more comes: `poll_dump`, `poll_batch`, `poll_event`; then it sleeps until `poll_timeout` and
//! calls `handle_timeout`. What is derived from devices and next hops is looked at again once per
//! turn, however many notices came.
//!
//! # Ownership
//!
//! A route is *ours* if its table is one we use, and its protocol and metric are ours. It is known
//! by that alone, so what a former life of ours left is ours too.
//!
//! - At the start, and until [`Fib::sweep`], ours that nobody asked for are *stale*: kept, and
//!   forwarding. A route that is then asked for with an equal value costs no message.
//! - After the sweep, ours that nobody asked for are deleted.
//! - New keys are put with `Create`, which never overwrites; `Replace` only where we know that ours
//!   (or an adopted one) is there. Where another has our key, it keeps it: a *conflict*, reported,
//!   and healed when the other goes. Linux has no compare-and-swap for routes, so a route that
//!   another put over ours in the instant before our `Replace` is lost.
//!
//! # Adoption
//!
//! Routes of the protocols in [`Settings::adopt`] that stand in our table at the first look (or in
//! any dump until the sweep, if no notification showed that somebody alive put them) are taken for
//! leftovers of a predecessor, **with any metric**. A leftover with our metric has our key and is
//! replaced in one step. One with another metric would stay beside ours, and with a smaller one it
//! would even win, with old news; so it is deleted as soon as ours of the same prefix stands. All
//! others go at the sweep. Ours with another metric, from an earlier configuration, are only
//! touched if our own protocol is in `adopt` as well.
//!
//! # The order of a pass
//!
//! 1. tunnel ends and nexthop objects are put, 2. routes are put, those that discard last,
//! 3. routes are deleted, those that discard first, 4. objects and tunnel ends are deleted.
//!
//! Adds come before deletes, so that a prefix that changes hands is never without a route; a change
//! between unicast and discard of the same key is one `Replace`. A discard is put after the more
//! specific routes and deleted before them: at no moment does it hide one that works, nor what
//! lies below it.
//!
//! # What goes wrong, and what we do
//!
//! | what | then |
//! |---|---|
//! | refused: device, gateway, address, object missing | parked by cause; tried when the cause changes, and by time |
//! | refused: anything else | parked; 100 ms, doubled up to 30 s, jittered |
//! | refused: out of memory, no permission | the whole queue waits likewise |
//! | deleted or changed by somebody | put back at once; from the ninth time within 10 s later and later |
//! | device down or gone | its routes are dropped by Linux in silence: we take them for gone |
//! | notification lost, contradiction, device or address event | a dump of everything, at most one a second |
//!
//! # Bounds
//!
//! [`MAX_BATCH`] requests per batch, [`MAX_IN_FLIGHT`] without answer, [`MAX_EVENTS`] events that
//! nobody took, [`crate::foreign::MAX_FOREIGN`] routes of others. Wanted routes are the owner's to
//! bound: about 500 octets each.

mod answers;
mod dumps;
mod events;
mod fights;
mod hosts;
mod lower;
mod martians;
mod notices;
mod objects;
mod questions;
mod requests;
mod resync;
mod tunnels;
mod way;
mod words;

pub use events::MAX_EVENTS;
pub use martians::martian;
pub use objects::{FIRST_OBJECT, MAX_OBJECTS};
pub use requests::{ANSWER_TIME, MAX_BATCH, MAX_IN_FLIGHT};
pub use words::{
    Audit, Cause, Counts, Difference, FibEvent, MAX_DIFFERENCES, MAX_PAGE, Page, Reason,
    RouteState, RouteStatus, Settings, Subject,
};

use crate::delta::DeltaMap;
use crate::foreign::Foreign;
use crate::kernel::{LinkName, RouteKey};
use crate::links::Links;
use crate::pattern::Pattern;
use crate::resolve::Tracker;
use crate::wanted::{Place, TunnelEnd, Wanted};
use bgp_core::family::FamilySet;
use bgp_core::prefix::family_of;
use bgp_core::rng::Rng;
use bgp_core::time::Instant;
use events::Events;
use fights::Fights;
use hosts::Hosts;
use lower::Hold;
use objects::Objects;
use requests::Flights;
use resync::Resync;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use tunnels::Tunnels;
use way::{Way, stored_metric};

/// The reconciler. See the module's text.
#[derive(Debug)]
pub struct Fib {
    settings: Settings,
    rng: Rng,
    /// The last time we were told.
    now: Instant,
    wanted: BTreeMap<RouteKey, Asked>,
    /// How many of them are held.
    held: usize,
    routes: DeltaMap<RouteKey, Way, Reason>,
    tunnels: Tunnels,
    objects: Objects,
    links: Links,
    foreign: Foreign,
    tracker: Tracker,
    hosts: Hosts,
    resync: Resync,
    flights: Flights,
    fights: Fights,
    events: Events,
    tables: BTreeSet<u32>,
    /// Families whose leftovers may go.
    swept: FamilySet,
    /// How many wanted hops name each device.
    devices: BTreeMap<LinkName, usize>,
    dirty: Dirty,
    /// Conflicts that were told, with the other's protocol and since when.
    conflicts: BTreeMap<RouteKey, (Option<u8>, Instant)>,
    tally: Tally,
    last_audit: Option<Audit>,
    /// So many routes of ours had drifted when a dump of this round found it.
    drifted: usize,
}

#[derive(Clone, Debug)]
struct Asked {
    wanted: Wanted,
    since: Instant,
    /// Why it cannot even be put.
    hold: Option<Hold>,
}

/// What has to be looked at again in the next turn.
#[derive(Clone, Debug, Default)]
struct Dirty {
    everything: bool,
    devices: BTreeSet<LinkName>,
    keys: BTreeSet<RouteKey>,
    /// Something changed for which parked keys may wait.
    network: bool,
    /// When parked keys were last set free for that.
    released: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    failed: BTreeMap<i32, u64>,
    requests: u64,
    overruns: u64,
    healed: u64,
    foreign_dropped: u64,
}

/// For the owner.
impl Fib {
    /// A reconciler that knows nothing yet: it wants a first look at the kernel before it puts
    /// anything. `seed` only feeds jitter.
    pub fn new(settings: Settings, now: Instant, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let tables = BTreeSet::from([settings.table]);
        Self {
            resync: Resync::new(settings.resync, rng.fork()),
            objects: Objects::new(settings.next_hop_objects, settings.protocol),
            settings,
            rng,
            now,
            wanted: BTreeMap::new(),
            held: 0,
            routes: DeltaMap::new(),
            tunnels: Tunnels::default(),
            links: Links::new(),
            foreign: Foreign::new(),
            tracker: Tracker::default(),
            hosts: Hosts::default(),
            flights: Flights::default(),
            fights: Fights::default(),
            events: Events::default(),
            tables,
            swept: FamilySet::EMPTY,
            devices: BTreeMap::new(),
            dirty: Dirty::default(),
            conflicts: BTreeMap::new(),
            tally: Tally::default(),
            last_audit: None,
            drifted: 0,
        }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From now on the route to `place` should be `wanted`. Saying it again costs nothing. A prefix
    /// that must not be a destination ([`martian`]) is kept as `Invalid` and never put.
    pub fn set(&mut self, place: Place, wanted: Wanted) {
        let key = self.key(place);
        let since = match self.wanted.get(&key) {
            Some(asked) if asked.wanted == wanted => return,
            Some(asked) => asked.since,
            None => self.now,
        };
        if self.tables.insert(place.table) {
            self.claim_table(place.table);
        }
        self.hold_names(&wanted);
        let asked = Asked {
            wanted,
            since,
            hold: None,
        };
        if let Some(before) = self.wanted.insert(key, asked) {
            self.held -= usize::from(before.hold.is_some());
            self.release_names(&before.wanted);
        }
        self.lower(&key);
    }

    /// From now on there should be no route of ours to `place`.
    pub fn remove(&mut self, place: Place) {
        let key = self.key(place);
        if let Some(asked) = self.wanted.remove(&key) {
            self.held -= usize::from(asked.hold.is_some());
            self.release_names(&asked.wanted);
            self.routes.unset(&key, false);
            self.fights.forget(&key);
            self.conflict_over(&key);
        }
    }

    /// Nothing is wanted any more: every route of ours goes, leftovers of a former life and of
    /// adopted predecessors included, and every tunnel end.
    pub fn remove_all(&mut self) {
        let places: Vec<Place> = self.wanted.keys().map(place_of).collect();
        for place in places {
            self.remove(place);
        }
        self.tunnels.remove_all(&self.links);
        self.sweep(FamilySet::ALL);
    }

    /// Leftovers in `families` that nobody has asked for may go now.
    pub fn sweep(&mut self, families: FamilySet) {
        for family in families.iter() {
            self.swept.insert(family);
        }
        self.routes
            .sweep(|key, _| families.contains(family_of(&key.prefix)));
        if self.swept == FamilySet::ALL {
            self.objects.sweep();
        }
    }

    /// A VXLAN device should have the entries of a remote host. Entries of the device that nobody
    /// asked for are left alone: nothing in the kernel says whose they are.
    pub fn set_tunnel_end(&mut self, end: TunnelEnd) {
        self.tunnels.set(end, &self.links);
    }

    /// The entries of `host` on `device` should go; only those that we put, or that were as we
    /// wanted them.
    pub fn remove_tunnel_end(&mut self, device: &LinkName, host: IpAddr) {
        self.tunnels.remove(device, host, &self.links);
    }

    /// Tell where `address` is, now and when it changes ([`FibEvent::NextHop`]).
    pub fn watch(&mut self, address: IpAddr) {
        self.tracker.watch(address);
    }

    /// Tell no more about `address`.
    pub fn unwatch(&mut self, address: IpAddr) {
        self.tracker.unwatch(address);
    }

    /// Tell about host routes (/32, /128) of others on devices whose name matches one of
    /// `patterns` ([`FibEvent::HostRoute`]); replaces earlier patterns.
    pub fn watch_devices(&mut self, patterns: Vec<Pattern>) {
        self.hosts.watch(patterns);
    }

    /// Compare everything with the kernel as soon as may be.
    pub fn ask_resync(&mut self) {
        self.resync.ask();
    }

    /// The key of our route to `place`.
    pub fn key(&self, place: Place) -> RouteKey {
        RouteKey {
            table: place.table,
            prefix: place.prefix,
            metric: stored_metric(&place.prefix, self.settings.metric),
        }
    }

    /// Whether the devices, addresses and routes of the kernel are known.
    pub fn has_looked(&self) -> bool {
        self.resync.has_looked()
    }
}

fn place_of(key: &RouteKey) -> Place {
    Place {
        table: key.table,
        prefix: key.prefix,
    }
}
