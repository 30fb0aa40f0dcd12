//! A node as a value: told what is, asked what to do.
//!
//! # Told, and asked
//!
//! [`Node::handle_route_change`], [`Node::handle_host_route`], [`Node::add_block`],
//! [`Node::remove_block`], [`Node::handle_headless`], [`Node::handle_heard`] and
//! [`Node::handle_timeout`] note what holds and which prefixes that concerns. [`Node::poll_order`]
//! looks at one such prefix after the other, compares what should be with what was ordered, and
//! gives the difference. So a prefix that changes ten times before anybody asks is ordered once.
//!
//! # What should be
//!
//! | prefix | announced | in the kernel |
//! |---|---|---|
//! | a block of ours | yes | blackhole; nothing for a single address |
//! | a workload's address, outside our blocks, in a pool | yes | nothing: the host route is there |
//! | a workload's address inside a block of ours | no | nothing |
//! | a service prefix | if asked for | nothing |
//! | anybody else's | no | as its pool says (`shape.rs`) |
//!
//! # Nothing is lost on the way
//!
//! - **A block comes.** The blackhole goes in before the block is announced; where the block was
//!   another node's, it has the place of the route there, and replaces it. Addresses inside that
//!   we announced as borrowed stay announced until nobody else has claimed the block for
//!   [`LINGER`]: other nodes follow the address until all of them follow the block.
//! - **A block goes.** Addresses of workloads inside are announced first, then the block is
//!   withdrawn. The blackhole stays until the route to the next owner replaces it, at most
//!   [`LEAVE`]: without it, packets would take the default route and come back.
//! - **Tunnel ends** are put before the first route that needs them and removed after the last.
//! - **All reflectors are gone** ([`Node::handle_headless`]): what one of them told us about
//!   others stays in the kernel, until somebody has told us anew or the stale time has passed.
//!   What a node told us about itself does not: it goes with the node.
//!
//! # Invariants
//!
//! - Nothing is kept for a prefix of which nothing is known and nothing ordered, so all maps are
//!   bounded by the engine's table, the kernel's host routes and [`MAX_BLOCKS`].
//! - What waits to be asked for: each prefix once, the few orders of one prefix, and at most
//!   [`MAX_NOTICES`] notices.

mod conflicts;
mod notice;
mod seat;
mod shape;

use crate::fault::{BlockFault, SettingsFault};
use crate::settings::{MAX_BLOCKS, NodeSettings};
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::rib::{BestRoute, RouteChange};
use bgp_core::time::Instant;
use bgp_fib::kernel::LinkName;
use bgp_fib::wanted::{Place, TunnelEnd, Wanted};
pub use notice::{Claim, Conflict, NodeNotice, Refusal};
use seat::{Ordered, Seat};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long a block must have been ours alone before addresses inside, announced before, are
/// withdrawn.
pub const LINGER: Duration = Duration::from_secs(2);
/// How long the blackhole of a block that is not ours any more waits for the next owner's route.
pub const LEAVE: Duration = Duration::from_secs(1);
/// Most notices that wait to be read. Further ones are counted.
pub const MAX_NOTICES: usize = 1_024;

/// Something to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Announce a prefix as ours, with our own address as next hop.
    Announce(IpNet),
    /// Take that back.
    Withdraw(IpNet),
    /// Put a route into the kernel, or another one in its place.
    Install(Place, Wanted),
    /// Take it out.
    Uninstall(Place),
    /// Put a neighbour and a forwarding entry for a remote node.
    PutTunnelEnd(TunnelEnd),
    /// Take them out.
    RemoveTunnelEnd {
        /// The device.
        device: LinkName,
        /// The remote node.
        host: IpAddr,
    },
}

/// How one of our blocks stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockStatus {
    /// The block.
    pub prefix: IpNet,
    /// Its pool.
    pub pool: IpNet,
    /// Whether it has been announced.
    pub announced: bool,
    /// Whether its blackhole has been ordered.
    pub blackholed: bool,
    /// Who else claims it.
    pub rivals: Vec<Claim>,
}

/// The rules of one node.
#[derive(Clone, Debug)]
pub struct Node {
    settings: NodeSettings,
    blocks: BTreeSet<IpNet>,
    seats: BTreeMap<IpNet, Seat>,
    /// Addresses of workloads: single addresses, each with its devices.
    workloads: BTreeMap<IpNet, BTreeSet<LinkName>>,
    /// Tunnel ends that are put, with how many prefixes use each.
    ends: BTreeMap<(LinkName, IpAddr), (TunnelEnd, usize)>,
    conflicts: BTreeMap<IpNet, Conflict>,
    /// Prefixes to look at, in this order, each once.
    queue: VecDeque<IpNet>,
    queued: BTreeSet<IpNet>,
    orders: VecDeque<Order>,
    notices: VecDeque<NodeNotice>,
    missed: u64,
    /// When to look at a prefix again.
    deadlines: BTreeSet<(Instant, IpNet)>,
    headless: bool,
    now: Instant,
}

impl Node {
    /// A node that has ordered nothing yet.
    ///
    /// # Errors
    ///
    /// All that [`NodeSettings::check`] finds.
    pub fn new(settings: NodeSettings) -> Result<Self, Vec<SettingsFault>> {
        let faults = settings.check();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut node = Self {
            blocks: settings.blocks.iter().copied().collect(),
            settings,
            seats: BTreeMap::new(),
            workloads: BTreeMap::new(),
            ends: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            orders: VecDeque::new(),
            notices: VecDeque::new(),
            missed: 0,
            deadlines: BTreeSet::new(),
            headless: false,
            now: Instant::ZERO,
        };
        let services = if node.settings.announce_services {
            node.settings.services.clone()
        } else {
            Vec::new()
        };
        for prefix in node.settings.blocks.clone().into_iter().chain(services) {
            node.look_at(prefix);
        }
        Ok(node)
    }

    /// What it was made with; its blocks may have changed since.
    pub fn settings(&self) -> &NodeSettings {
        &self.settings
    }

    /// Our blocks, in their order.
    pub fn blocks(&self) -> impl Iterator<Item = BlockStatus> + '_ {
        self.blocks.iter().map(|prefix| {
            let ordered = self.seats.get(prefix).map(|seat| &seat.ordered);
            let pool = self.settings.pool_of(prefix);
            let conflict = self.conflicts.get(prefix);
            BlockStatus {
                prefix: *prefix,
                pool: pool.map_or(*prefix, |pool| pool.prefix),
                announced: ordered.is_some_and(|ordered| ordered.announced),
                blackholed: ordered.is_some_and(|o| o.route == Some(Wanted::Blackhole)),
                rivals: conflict.map_or(Vec::new(), |conflict| conflict.others.clone()),
            }
        })
    }

    /// Addresses of workloads that are announced by themselves, in their order.
    pub fn borrowed(&self) -> impl Iterator<Item = IpNet> + '_ {
        let announced = |prefix: &&IpNet| {
            let seat = self.seats.get(prefix);
            seat.is_some_and(|seat| seat.ordered.announced)
        };
        self.workloads.keys().filter(announced).copied()
    }

    /// The engine has another best path, or other rivals, of a prefix.
    pub fn handle_route_change(&mut self, now: Instant, change: &RouteChange) {
        self.now = now;
        let prefix = change.prefix;
        let stale_until = now + self.settings.stale_time;
        let headless = self.headless;
        let seat = self.seats.entry(prefix).or_default();
        let was_hearsay = seat.foreign().is_some_and(is_hearsay);
        seat.best.clone_from(&change.best);
        seat.rivals = change.rivals.to_vec();
        if seat.best.is_some() {
            seat.held = None;
        } else if headless && was_hearsay && seat.ordered.route.is_some() {
            seat.held = Some(stale_until);
        }
        if seat.foreign().is_some() {
            seat.leaves = None;
        }
        self.note_alone(prefix);
        self.schedule(prefix);
        self.look_at(prefix);
        self.judge(prefix);
    }

    /// The kernel has, or has no more, a host route through `device`.
    pub fn handle_host_route(
        &mut self,
        now: Instant,
        prefix: IpNet,
        device: &LinkName,
        present: bool,
    ) {
        self.now = now;
        let single = prefix.prefix_len() == family_of(&prefix).max_prefix_len();
        if !single || !self.settings.is_workload_device(device) {
            return;
        }
        if present {
            let devices = self.workloads.entry(prefix).or_default();
            devices.insert(LinkName::clone(device));
        } else if let Some(devices) = self.workloads.get_mut(&prefix) {
            devices.remove(device);
            if devices.is_empty() {
                self.workloads.remove(&prefix);
            }
        }
        self.look_at(prefix);
    }

    /// These are all host routes that the kernel has, each with its device; what was known of
    /// others is forgotten.
    pub fn replace_host_routes(
        &mut self,
        now: Instant,
        routes: impl IntoIterator<Item = (IpNet, LinkName)>,
    ) {
        let before = std::mem::take(&mut self.workloads);
        for (prefix, device) in routes {
            self.handle_host_route(now, prefix, &device, true);
        }
        for prefix in before.into_keys() {
            self.look_at(prefix);
        }
    }

    /// The node, or reflector, at `address` is called `name` in notices from now on.
    pub fn set_name(&mut self, address: IpAddr, name: String) {
        self.settings.names.insert(address, name);
    }

    /// A block is ours from now on.
    ///
    /// # Errors
    ///
    /// It cannot be; nothing has changed.
    pub fn add_block(&mut self, now: Instant, prefix: IpNet) -> Result<(), BlockFault> {
        self.now = now;
        if let Some(fault) = self.settings.block_fault(prefix) {
            return Err(fault);
        }
        if self.blocks.contains(&prefix) {
            let first = self.settings.blocks.iter().position(|own| *own == prefix);
            let first = first.unwrap_or_default();
            return Err(BlockFault::Twice { prefix, first });
        }
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(BlockFault::TooMany(self.blocks.len() + 1));
        }
        self.blocks.insert(prefix);
        if let Some(seat) = self.seats.get_mut(&prefix) {
            seat.leaves = None;
            seat.held = None;
        }
        self.note_alone(prefix);
        self.schedule(prefix);
        // First the block, then what it makes superfluous.
        self.look_at(prefix);
        self.look_inside(prefix);
        self.judge_around(prefix);
        Ok(())
    }

    /// A block is not ours any more.
    ///
    /// # Errors
    ///
    /// It was not; nothing has changed.
    pub fn remove_block(&mut self, now: Instant, prefix: IpNet) -> Result<(), BlockFault> {
        self.now = now;
        if !self.blocks.remove(&prefix) {
            return Err(BlockFault::NotOurs(prefix));
        }
        if let Some(seat) = self.seats.get_mut(&prefix) {
            let waits = seat.foreign().is_none() && seat.ordered.route.is_some();
            seat.leaves = waits.then(|| now + LEAVE);
        }
        self.note_alone(prefix);
        self.schedule(prefix);
        // First what must be announced without it, then the block.
        self.look_inside(prefix);
        self.look_at(prefix);
        self.judge_around(prefix);
        Ok(())
    }

    /// Nobody is left who could tell us about other nodes: what is lost from now on stays.
    pub fn handle_headless(&mut self, now: Instant) {
        self.now = now;
        self.headless = true;
    }

    /// Those who tell us about other nodes have told all they know: what they did not name goes.
    pub fn handle_heard(&mut self, now: Instant) {
        self.now = now;
        self.headless = false;
        let held = self.seats.iter().filter(|(_, seat)| seat.held.is_some());
        let held: Vec<IpNet> = held.map(|(prefix, _)| *prefix).collect();
        for prefix in held {
            self.let_go(prefix);
        }
    }

    /// How many routes stay in the kernel because nobody is left who could confirm them.
    pub fn held(&self) -> usize {
        let held = self.seats.values().filter(|seat| seat.held.is_some());
        held.count()
    }

    /// When [`Node::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(when, _)| *when)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some((when, prefix)) = self.deadlines.first().copied() {
            if when > now {
                return;
            }
            self.deadlines.pop_first();
            if let Some(seat) = self.seats.get_mut(&prefix) {
                seat.deadline = None;
            }
            self.look_inside(prefix);
            self.let_go(prefix);
        }
    }

    /// The next thing to do. Orders must be carried out in this order.
    pub fn poll_order(&mut self) -> Option<Order> {
        loop {
            if let Some(order) = self.orders.pop_front() {
                return Some(order);
            }
            let prefix = self.queue.pop_front()?;
            self.queued.remove(&prefix);
            self.settle(prefix);
        }
    }

    /// The next thing that a person has to hear.
    pub fn poll_notice(&mut self) -> Option<NodeNotice> {
        if let Some(notice) = self.notices.pop_front() {
            return Some(notice);
        }
        let missed = std::mem::take(&mut self.missed);
        (missed > 0).then_some(NodeNotice::Missed(missed))
    }

    fn tell(&mut self, notice: NodeNotice) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push_back(notice);
        } else {
            self.missed += 1;
        }
    }

    fn look_at(&mut self, prefix: IpNet) {
        if self.queued.insert(prefix) {
            self.queue.push_back(prefix);
        }
    }

    /// Looks at what lies inside `block`, apart from itself.
    fn look_inside(&mut self, block: IpNet) {
        let workloads = self.workloads.range(range_inside(block));
        let inside: Vec<IpNet> = workloads.map(|(prefix, _)| *prefix).collect();
        for prefix in inside.into_iter().filter(|prefix| *prefix != block) {
            self.look_at(prefix);
        }
    }

    /// Ends what kept a route beyond its time, if that time has come.
    fn let_go(&mut self, prefix: IpNet) {
        let (now, headless) = (self.now, self.headless);
        if let Some(seat) = self.seats.get_mut(&prefix) {
            seat.leaves = seat.leaves.filter(|until| *until > now);
            seat.held = seat.held.filter(|until| headless && *until > now);
            self.schedule(prefix);
            self.look_at(prefix);
        }
    }

    /// Notes since when `prefix`, if it is a block of ours, is claimed by nobody else.
    fn note_alone(&mut self, prefix: IpNet) {
        let is_block = self.blocks.contains(&prefix);
        let now = self.now;
        if let Some(seat) = self.seats.get_mut(&prefix) {
            let is_alone = is_block && seat.is_ours_alone();
            seat.alone = is_alone.then(|| seat.alone.unwrap_or(now));
        }
    }

    /// Puts down when to look at `prefix` again.
    fn schedule(&mut self, prefix: IpNet) {
        let Some(seat) = self.seats.get_mut(&prefix) else {
            return;
        };
        let settled = seat.alone.map(|since| since + LINGER);
        let settled = settled.filter(|when| *when > self.now);
        let times = [seat.leaves, seat.held, settled];
        let next = times.into_iter().flatten().min();
        let before = std::mem::replace(&mut seat.deadline, next);
        if before != next {
            if let Some(when) = before {
                self.deadlines.remove(&(when, prefix));
            }
            self.deadlines.extend(next.map(|when| (when, prefix)));
        }
    }

    /// The block of ours around `prefix`.
    fn block_around(&self, prefix: IpNet) -> Option<IpNet> {
        let size = self.settings.pool_of(&prefix)?.block_size;
        let block = IpNet::new(prefix.addr(), size).ok()?.trunc();
        let is_inside = size <= prefix.prefix_len();
        (is_inside && self.blocks.contains(&block)).then_some(block)
    }

    /// Orders what is different from what should be.
    fn settle(&mut self, prefix: IpNet) {
        let mut seat = self.seats.remove(&prefix).unwrap_or_default();
        let (wanted, refusal) = self.wanted(prefix, &seat);
        let before = std::mem::replace(&mut seat.ordered, wanted);
        let had = std::mem::replace(&mut seat.refusal, refusal);
        self.order(prefix, &before, &seat.ordered);
        match (had, refusal) {
            (None, Some(why)) => self.tell(NodeNotice::NotInstalled { prefix, why }),
            (Some(_), None) if seat.best.is_some() => {
                self.tell(NodeNotice::InstalledAfterAll { prefix });
            }
            (Some(_), _) | (None, None) => {}
        }
        if !seat.is_empty() {
            self.seats.insert(prefix, seat);
        }
    }

    fn order(&mut self, prefix: IpNet, before: &Ordered, after: &Ordered) {
        let table = self.settings.table;
        let place = Place { table, prefix };
        for end in &after.ends {
            self.use_end(end);
        }
        if let Some(route) = &after.route
            && before.route != after.route
        {
            self.orders.push_back(Order::Install(place, route.clone()));
        }
        match (before.announced, after.announced) {
            (false, true) => self.orders.push_back(Order::Announce(prefix)),
            (true, false) => self.orders.push_back(Order::Withdraw(prefix)),
            (true, true) | (false, false) => {}
        }
        if before.route.is_some() && after.route.is_none() {
            self.orders.push_back(Order::Uninstall(place));
        }
        for end in &before.ends {
            self.leave_end(end);
        }
    }

    fn use_end(&mut self, end: &TunnelEnd) {
        let key = (LinkName::clone(&end.device), end.host);
        let (_, users) = self.ends.entry(key).or_insert_with(|| {
            self.orders.push_back(Order::PutTunnelEnd(end.clone()));
            (end.clone(), 0)
        });
        *users += 1;
    }

    fn leave_end(&mut self, end: &TunnelEnd) {
        let key = (LinkName::clone(&end.device), end.host);
        let Some((_, users)) = self.ends.get_mut(&key) else {
            return;
        };
        *users -= 1;
        if *users == 0 {
            self.ends.remove(&key);
            let (device, host) = key;
            self.orders
                .push_back(Order::RemoveTunnelEnd { device, host });
        }
    }

    /// What should be ordered for `prefix`, and why not more.
    fn wanted(&self, prefix: IpNet, seat: &Seat) -> (Ordered, Option<Refusal>) {
        let announced = self.is_announced(prefix, seat);
        if self.blocks.contains(&prefix) {
            let pool = self.settings.pool_of(&prefix);
            let single = prefix.prefix_len() == family_of(&prefix).max_prefix_len();
            let installs = !single && pool.is_some_and(|pool| pool.install);
            let ordered = Ordered {
                announced,
                route: installs.then_some(Wanted::Blackhole),
                ends: Vec::new(),
            };
            return (ordered, None);
        }
        // Where the workload is here, the kernel knows better than any other node.
        let here = self.workloads.contains_key(&prefix);
        if !here && (seat.leaves.is_some() || seat.held.is_some()) {
            let ordered = Ordered {
                announced,
                ..seat.ordered.clone()
            };
            return (ordered, None);
        }
        let Some(best) = seat.foreign().filter(|_| !here) else {
            let ordered = Ordered {
                announced,
                ..Ordered::default()
            };
            return (ordered, None);
        };
        let shape = shape::shape(&self.settings, &prefix, best, &seat.rivals);
        let ordered = Ordered {
            announced,
            route: shape.route,
            ends: shape.ends,
        };
        (ordered, shape.refusal)
    }

    fn is_announced(&self, prefix: IpNet, seat: &Seat) -> bool {
        let is_service = || {
            let announces = self.settings.announce_services;
            announces && self.settings.services.contains(&prefix)
        };
        if self.blocks.contains(&prefix) || is_service() {
            return true;
        }
        let here = self.workloads.contains_key(&prefix);
        if !here || self.settings.pool_of(&prefix).is_none() {
            return false;
        }
        match self.block_around(prefix) {
            None => true,
            Some(block) => seat.ordered.announced && !self.is_settled(block),
        }
    }

    /// Whether nobody else has claimed `block` for long enough.
    fn is_settled(&self, block: IpNet) -> bool {
        let alone = self.seats.get(&block).and_then(|seat| seat.alone);
        alone.is_some_and(|since| self.now >= since + LINGER)
    }
}

/// Whether somebody told us about another node: such a route is not lost when who told it is.
fn is_hearsay(best: &BestRoute) -> bool {
    !best.origin.external && best.origin.next_hop != best.origin.peer_address
}

/// All prefixes inside `outer`, itself included, in the order of a map by prefix.
fn range_inside(outer: IpNet) -> RangeInclusive<IpNet> {
    let longest = family_of(&outer).max_prefix_len();
    let last = IpNet::new(outer.broadcast(), longest).unwrap_or(outer);
    outer..=last
}
