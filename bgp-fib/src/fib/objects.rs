//! Nexthop objects: hops that many routes share, so that one message moves them all.
//!
//! ```text
//!   route ──► group (the wanted hops as a list) ──► hop (gateway, device) ──► device
//!   route ─────────────────────────────────────────► hop, where there is only one
//! ```
//!
//! An object stands for what is *wanted*, not for what that is at the moment: when a gateway moves
//! to another device its object is replaced, when one of several gateways dies the group is, and
//! the routes stay as they are. (For the kernel to do that fast, `net.ipv4.nexthop_compat_mode`
//! has to be 0: else it tells every route.)
//!
//! # What Linux does to them
//!
//! It flushes the objects of a device that goes down **or loses its carrier**, in silence, with
//! all routes through them; groups shrink in silence and do not grow again. So we do the same to
//! what we believe, and put them again. An object on a device without a carrier is refused; then
//! routes bear their hops themselves until the carrier is back, as they do where the kernel has no
//! objects at all.
//!
//! # Ownership
//!
//! Ours have numbers from [`FIRST_OBJECT`] on and our protocol. Such that were there at the start
//! are taken into use where they say what is wanted, and else deleted after the sweep of all
//! families. A number in our range that another protocol uses is not given out. An object is
//! deleted only when no route of ours uses it: Linux would delete that too.

use super::fights::pause;
use super::requests::Sort;
use super::{Cause, Reason, Subject};
use crate::delta::{DeltaMap, Rank, Value};
use crate::errno::Meaning;
use crate::kernel::{Hop, KernelError, LinkIndex, NextHopKind, NextHopObject, Request};
use crate::wanted::WantedHop;
use bgp_core::rng::Rng;
use bgp_core::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// The first number of our objects ("BG" in its upper half).
pub const FIRST_OBJECT: u32 = 0x4247_0000;

/// So many numbers are ours. When all are in use, routes bear their hops themselves.
pub const MAX_OBJECTS: u32 = 0x1_0000;

/// An object that a route still uses is looked at again after so long.
const USED_PAUSE: Duration = Duration::from_secs(1);

/// What an object is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Body(pub(crate) NextHopKind);

impl Value for Body {
    fn satisfied_by(&self, found: &Self) -> bool {
        let felt = |hop: &Hop| Hop {
            onlink: false,
            weight: 1,
            ..*hop
        };
        let sorted = |members: &[(u32, u16)]| {
            let mut members = members.to_vec();
            members.sort_unstable();
            members
        };
        match (&self.0, &found.0) {
            (NextHopKind::Hop(one), NextHopKind::Hop(other)) => felt(one) == felt(other),
            (NextHopKind::Group(one), NextHopKind::Group(other)) => sorted(one) == sorted(other),
            (one, other) => one == other,
        }
    }

    /// Groups after their members; deleted before them.
    fn rank(&self) -> Rank {
        match self.0 {
            NextHopKind::Group(_) => Rank::Last,
            NextHopKind::Hop(_) | NextHopKind::Blackhole => Rank::First,
        }
    }
}

/// The number of what is wanted, once it has one, and how many wanted routes use it.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    id: Option<u32>,
    uses: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Objects {
    on: bool,
    protocol: u8,
    hops: BTreeMap<WantedHop, Shape>,
    groups: BTreeMap<Vec<WantedHop>, Shape>,
    entries: DeltaMap<u32, Body, Reason>,
    /// Numbers of our range that others use.
    strangers: BTreeSet<u32>,
    next: u32,
}

/// A member of a group: its weight is the group's affair.
fn member(hop: &WantedHop) -> WantedHop {
    WantedHop {
        weight: 1,
        ..hop.clone()
    }
}

/// What is wanted.
impl Objects {
    pub(crate) fn new(on: bool, protocol: u8) -> Self {
        Self {
            on,
            protocol,
            hops: BTreeMap::new(),
            groups: BTreeMap::new(),
            entries: DeltaMap::new(),
            strangers: BTreeSet::new(),
            next: 0,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// A route through `hops` is wanted.
    pub(crate) fn hold(&mut self, hops: &[WantedHop]) {
        if !self.on || hops.is_empty() {
            return;
        }
        for hop in hops {
            self.hops.entry(member(hop)).or_default().uses += 1;
        }
        if hops.len() > 1 {
            self.groups.entry(hops.to_vec()).or_default().uses += 1;
        }
    }

    /// Undoes [`Objects::hold`].
    pub(crate) fn release(&mut self, hops: &[WantedHop]) {
        let mut gone = Vec::new();
        for hop in hops {
            gone.extend(drop_use(&mut self.hops, &member(hop)));
        }
        gone.extend(drop_use(&mut self.groups, &hops.to_vec()));
        for id in gone {
            self.entries.unset(&id, false);
        }
    }

    /// The number of the object for `hops`, which is put as `concrete` says; `None` when the route
    /// has to bear its hops itself.
    pub(crate) fn lower(&mut self, hops: &[WantedHop], concrete: &[Option<Hop>]) -> Option<u32> {
        if !self.on {
            return None;
        }
        let mut members = Vec::with_capacity(hops.len());
        for (wanted, hop) in hops.iter().zip(concrete) {
            let key = member(wanted);
            let shape = self.hops.get(&key).copied()?;
            let Some(hop) = hop else {
                if let Some(id) = shape.id {
                    self.entries.unset(&id, false);
                }
                continue;
            };
            let body = Body(NextHopKind::Hop(Hop { weight: 1, ..*hop }));
            let id = self.put(shape.id, body)?;
            self.hops.entry(key).and_modify(|shape| shape.id = Some(id));
            members.push((id, wanted.weight.clamp(1, 256)));
        }
        if hops.len() == 1 {
            return members.first().map(|(id, _)| *id);
        }
        let shape = self.groups.get(hops).copied()?;
        if members.is_empty() {
            if let Some(id) = shape.id {
                self.entries.unset(&id, false);
            }
            return None;
        }
        // Two ways to one gateway are one member with the weight of both.
        members.sort_unstable();
        members.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 = first.1.saturating_add(later.1).min(256);
            }
            same
        });
        let id = self.put(shape.id, Body(NextHopKind::Group(members)))?;
        let group = self.groups.get_mut(hops)?;
        group.id = Some(id);
        Some(id)
    }

    fn put(&mut self, id: Option<u32>, body: Body) -> Option<u32> {
        let id = id
            .or_else(|| self.leftover(&body))
            .or_else(|| self.number())?;
        self.entries.set(id, body);
        Some(id)
    }

    /// One of a former life that says the same.
    fn leftover(&self, body: &Body) -> Option<u32> {
        if self.entries.stale_len() == 0 {
            return None;
        }
        let mut there = self.entries.actuals();
        there
            .find(|(id, found)| self.entries.desired(id).is_none() && body.satisfied_by(found))
            .map(|(id, _)| *id)
    }

    /// A number that nobody uses.
    fn number(&mut self) -> Option<u32> {
        for _ in 0..MAX_OBJECTS {
            let id = FIRST_OBJECT + self.next;
            self.next = (self.next + 1) % MAX_OBJECTS;
            if self.entries.view(&id).is_none() && !self.strangers.contains(&id) {
                return Some(id);
            }
        }
        None
    }

    /// The kernel has no objects.
    pub(crate) fn give_up(&mut self) {
        *self = Self::new(false, self.protocol);
    }

    pub(crate) fn sweep(&mut self) {
        self.entries.sweep(|_, _| true);
    }
}

fn drop_use<K: Ord>(shapes: &mut BTreeMap<K, Shape>, key: &K) -> Option<u32> {
    let shape = shapes.get_mut(key)?;
    shape.uses = shape.uses.saturating_sub(1);
    if shape.uses > 0 {
        return None;
    }
    shapes.remove(key)?.id
}

/// Work.
impl Objects {
    pub(crate) fn next_put(&mut self) -> Option<(Sort, Request)> {
        let id = *self.entries.next().filter(|_| self.entries.next_is_put())?;
        let (Some(Body(kind)), _) = self.entries.send(&id)? else {
            return None;
        };
        let object = NextHopObject {
            id,
            protocol: self.protocol,
            kind,
        };
        Some((Sort::Object(id, true), Request::PutNextHop(object)))
    }

    /// The next delete, unless `used` says that a route uses the object.
    pub(crate) fn next_delete(
        &mut self,
        now: Instant,
        used: impl Fn(u32) -> bool,
    ) -> Option<(Sort, Request)> {
        while let Some(id) = self.entries.next().copied() {
            if self.entries.next_is_put() {
                return None;
            }
            if used(id) {
                let reason = Reason {
                    cause: Cause::Object,
                    error: None,
                };
                self.entries.park(&id, reason, now, now + USED_PAUSE);
                continue;
            }
            self.entries.send(&id)?;
            return Some((Sort::Object(id, false), Request::DeleteNextHop(id)));
        }
        None
    }

    pub(crate) fn obeyed(&mut self, id: u32, echo: bool) {
        self.entries.obeyed(&id, echo);
    }

    /// Answers whether the owner should hear of it.
    pub(crate) fn refused(
        &mut self,
        id: u32,
        error: &KernelError,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        let before = self.entries.trouble(&id).cloned();
        let tries = before.as_ref().map_or(0, |trouble| trouble.tries);
        let reason = Reason {
            cause: match Meaning::of(error) {
                Meaning::Link | Meaning::Network => Cause::Network,
                Meaning::Object => Cause::Object,
                Meaning::Exists
                | Meaning::Absent
                | Meaning::Everything
                | Meaning::Unsupported
                | Meaning::Other => Cause::Time,
            },
            error: Some(error.clone()),
        };
        let until = now + pause(tries.saturating_add(1), rng);
        let repeated = before.is_some_and(|trouble| trouble.cause == reason);
        self.entries.refused(&id, reason, now, until) && !repeated
    }

    pub(crate) fn forgotten(&mut self, id: u32) {
        self.entries.forgotten(&id);
    }

    pub(crate) fn release_parked(&mut self, now: Instant) {
        self.entries.release(now, |_, reason| {
            matches!(reason.cause, Cause::Network | Cause::Object) && reason.error.is_some()
        });
    }

    pub(crate) fn release_due(&mut self, now: Instant) {
        self.entries.release_due(now);
    }

    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.entries.next_retry()
    }

    pub(crate) fn pending_len(&self) -> usize {
        self.entries.pending_len()
    }

    pub(crate) fn parked_len(&self) -> usize {
        self.entries.parked_len()
    }

    pub(crate) fn there_len(&self) -> usize {
        self.entries.actual_len()
    }

    pub(crate) fn doubtful(&self) -> bool {
        self.entries.doubtful()
    }

    pub(crate) fn subject(id: u32) -> Subject {
        Subject::NextHop(id)
    }
}

/// What the kernel says.
impl Objects {
    fn is_ours(&mut self, object: &NextHopObject) -> bool {
        let range = FIRST_OBJECT..FIRST_OBJECT + MAX_OBJECTS;
        if !self.on || !range.contains(&object.id) {
            return false;
        }
        let ours = object.protocol == self.protocol || self.entries.view(&object.id).is_some();
        if !ours {
            self.strangers.insert(object.id);
        }
        ours
    }

    pub(crate) fn heard(&mut self, object: NextHopObject, keep: bool) {
        if self.is_ours(&object) {
            self.entries
                .heard(&object.id, Some(Body(object.kind)), keep);
        }
    }

    /// An object is gone; answers those that went with it.
    pub(crate) fn gone(&mut self, id: u32) -> BTreeSet<u32> {
        self.strangers.remove(&id);
        if self.entries.view(&id).is_none() {
            return BTreeSet::new();
        }
        self.entries.heard(&id, None, false);
        if self.entries.actual(&id).is_some() {
            return BTreeSet::new();
        }
        self.shrink_groups(BTreeSet::from([id]))
    }

    /// A device is down, gone or without a carrier; answers the objects that went with it.
    pub(crate) fn lost(&mut self, link: LinkIndex) -> BTreeSet<u32> {
        let on_it =
            |body: &Body| matches!(&body.0, NextHopKind::Hop(hop) if hop.link == Some(link));
        let lost: BTreeSet<u32> = self
            .entries
            .actuals()
            .filter(|(_, body)| on_it(body))
            .map(|(id, _)| *id)
            .collect();
        for id in &lost {
            self.entries.lost(id);
        }
        self.shrink_groups(lost)
    }

    fn shrink_groups(&mut self, mut gone: BTreeSet<u32>) -> BTreeSet<u32> {
        let mut shrunk = Vec::new();
        for (id, body) in self.entries.actuals() {
            if let NextHopKind::Group(members) = &body.0 {
                let keep = |(member, _): &&(u32, u16)| !gone.contains(member);
                let left: Vec<(u32, u16)> = members.iter().filter(keep).copied().collect();
                if left.len() < members.len() {
                    shrunk.push((*id, left));
                }
            }
        }
        for (id, left) in shrunk {
            if left.is_empty() {
                self.entries.lost(&id);
                gone.insert(id);
            } else {
                let body = Body(NextHopKind::Group(left));
                self.entries.heard(&id, Some(body), false);
            }
        }
        gone
    }

    pub(crate) fn begin_dump(&mut self) {
        self.entries.begin_dump();
        self.strangers.clear();
    }

    pub(crate) fn dumped(&mut self, object: NextHopObject, keep: bool) {
        if self.is_ours(&object) {
            self.entries.dumped(&object.id, Body(object.kind), keep);
        }
    }

    pub(crate) fn end_dump(&mut self, complete: bool) {
        self.entries.end_dump(complete);
    }
}
