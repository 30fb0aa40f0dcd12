//! What is wanted, what is there, and the difference: the heart of every reconciliation here.
//!
//! ```text
//!            desired                  actual
//!        ╭───────────────╮       ╭───────────────╮
//!       │    to put   ╭───┼─────┼───╮   to delete │
//!       │             │  equal: no  │   (unless    │
//!       │             │  work       │    stale)    │
//!       │             ╰───┼─────┼───╯              │
//!        ╰───────────────╯       ╰───────────────╯
//!                    differs: to put over
//!
//!        pending = desired xor actual, one entry per key, in the order of a pass
//! ```
//!
//! A [`DeltaMap`] knows for every key what its owner wants (`desired`) and what the other side,
//! for us the kernel, has (`actual`). Only answers, notifications and dumps change `actual`; only
//! the owner changes `desired`. The work that is left is their difference and is never stored as a
//! list of commands: a key that flaps a hundred times between two passes costs one message or none.
//!
//! # A key's stage
//!
//! ```text
//!   at rest ──differs──► queued ──send──► sent ──answer──► at rest (or queued again)
//!                          ▲                └──refused──► parked ──cause gone, or time──┐
//!                          └────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Which word is newer?
//!
//! Answers, notifications and dumps come through different sockets, so they overtake each other.
//!
//! - Every change of `actual` that we cause gets the next *generation*, once when it is sent and
//!   once when it is answered. A dump remembers the generation at which it began: for a key with a
//!   later one the dump says nothing new, whether it lists the key or not. A key that is on its way
//!   is left alone by dumps. (Linux does not mark IPv4 route dumps as inconsistent.)
//! - A notification of our own change, its *echo*, tells where in the stream of notifications our
//!   change took place. Until it has come, other notifications about the key are older than our
//!   change and say nothing; after it, they are newer, even if our answer is still to come. Should
//!   the echo never come (Linux says nothing about a replace that changes nothing), the key is
//!   *doubtful* and its owner should ask for a dump.
//!
//! # Invariants
//!
//! - A key is queued at most once; its place in the queue is what it needs now, not what it needed
//!   when it was queued.
//! - An entry without desired, actual and work is removed, except while a dump runs that may still
//!   name it (a tombstone, removed when the dump ends).
//! - A *stale* entry was found, not asked for, and is kept until it is swept or asked for.
//!
//! Nothing here is bounded by itself: `desired` is as large as its owner makes it, `actual` as
//! large as what bears our mark in the kernel.

use bgp_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

/// What a [`DeltaMap`] holds.
pub trait Value: Clone {
    /// Whether `found` is what `self` asks for, after what the other side does to values.
    fn satisfied_by(&self, found: &Self) -> bool;

    /// When it is put: 0 first, then 1. Deleted the other way round.
    fn rank(&self) -> Rank {
        Rank::First
    }
}

/// Order of puts; deletes go the other way round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// Put before all others, deleted after them.
    First,
    /// Put after all others, deleted before them.
    Last,
}

/// The order of a pass: all puts before all deletes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    PutFirst,
    PutLast,
    DeleteFirst,
    DeleteLast,
}

/// Desired, actual and the work between them. `P` says why a key is parked.
#[derive(Clone, Debug)]
pub struct DeltaMap<K, V, P> {
    entries: BTreeMap<K, Entry<V, P>>,
    queue: BTreeMap<(Phase, u64), K>,
    retries: BTreeSet<(Instant, K)>,
    doubts: BTreeSet<K>,
    turn: u64,
    generation: u64,
    dump: Option<u64>,
    in_flight: usize,
    stale: usize,
    present: usize,
}

#[derive(Clone, Debug)]
struct Entry<V, P> {
    desired: Option<V>,
    actual: Option<V>,
    /// Generation of our last word about it.
    changed: u64,
    /// The dump (by the generation of its beginning) that named it last.
    marked: u64,
    stale: bool,
    awaits_echo: bool,
    stage: Stage<V>,
    trouble: Option<Box<Trouble<P>>>,
}

#[derive(Clone, Debug)]
enum Stage<V> {
    Rest,
    Queued(Phase, u64),
    Sent(Box<Sent<V>>),
    Parked(Instant),
}

#[derive(Clone, Debug)]
struct Sent<V> {
    /// What was put; `None` for a delete.
    value: Option<V>,
    /// Its echo has come.
    echoed: bool,
    /// Something newer than its echo has come.
    overtaken: bool,
}

/// Why a key is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble<P> {
    /// What it waits for.
    pub cause: P,
    /// How often in a row it has failed.
    pub tries: u32,
    /// When it began.
    pub since: Instant,
}

/// What a notification or a line of a dump did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing new, or an echo of ours.
    Known,
    /// Older than what we did, or so it seems.
    Older,
    /// The other side has changed; what was as wanted is so no more.
    Drift,
    /// The other side has changed.
    News,
}

/// How a key stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// As wanted.
    Settled,
    /// Work is queued.
    Queued,
    /// An answer is awaited.
    InFlight,
    /// Refused; waits.
    Parked,
    /// There, not asked for, kept until swept.
    Stale,
}

/// A key's whole state, to look at.
#[derive(Debug)]
pub struct View<'a, V, P> {
    /// What is wanted.
    pub desired: Option<&'a V>,
    /// What is there.
    pub actual: Option<&'a V>,
    /// How it stands.
    pub standing: Standing,
    /// Its trouble, until it is as wanted.
    pub trouble: Option<&'a Trouble<P>>,
}

impl<V, P> Clone for View<'_, V, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, P> Copy for View<'_, V, P> {}

impl<V, P> Default for Entry<V, P> {
    fn default() -> Self {
        Self {
            desired: None,
            actual: None,
            changed: 0,
            marked: 0,
            stale: false,
            awaits_echo: false,
            stage: Stage::Rest,
            trouble: None,
        }
    }
}

impl<V: Value, P> Entry<V, P> {
    /// What the key needs now.
    fn need(&self) -> Option<Phase> {
        match (&self.desired, &self.actual) {
            (Some(desired), Some(actual)) if desired.satisfied_by(actual) => None,
            (Some(desired), _) => Some(match desired.rank() {
                Rank::First => Phase::PutFirst,
                Rank::Last => Phase::PutLast,
            }),
            (None, Some(_)) if self.stale => None,
            (None, Some(actual)) => Some(match actual.rank() {
                Rank::Last => Phase::DeleteFirst,
                Rank::First => Phase::DeleteLast,
            }),
            (None, None) => None,
        }
    }
}

fn alike<V: Value>(one: Option<&V>, found: Option<&V>) -> bool {
    match (one, found) {
        (Some(one), Some(found)) => one.satisfied_by(found),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl<K: Ord + Clone, V: Value, P> Default for DeltaMap<K, V, P> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the owner says.
impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    /// Nothing wanted, nothing there.
    pub fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            queue: BTreeMap::new(),
            retries: BTreeSet::new(),
            doubts: BTreeSet::new(),
            turn: 0,
            generation: 0,
            dump: None,
            in_flight: 0,
            stale: 0,
            present: 0,
        }
    }

    /// From now on `key` should be `value`. A key that was parked is tried again at once if the
    /// value is another one.
    pub fn set(&mut self, key: K, value: V) {
        let entry = self.entries.entry(key.clone()).or_default();
        let same = entry
            .desired
            .as_ref()
            .is_some_and(|desired| desired.satisfied_by(&value) && value.satisfied_by(desired));
        entry.desired = Some(value);
        if std::mem::take(&mut entry.stale) {
            self.stale -= 1;
        }
        if !same {
            self.unpark(&key);
        }
        self.review(&key);
    }

    /// From now on `key` should not be. With `keep`, what is there may stay as stale.
    pub fn unset(&mut self, key: &K, keep: bool) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let keep = keep && entry.actual.is_some();
        let wanted = entry.desired.take().is_some();
        if entry.stale != keep {
            entry.stale = keep;
            self.stale = if keep { self.stale + 1 } else { self.stale - 1 };
        }
        if wanted {
            self.unpark(key);
        }
        self.review(key);
    }

    /// Stale keys for which `which` holds may go now; answers how many.
    pub fn sweep(&mut self, mut which: impl FnMut(&K, &V) -> bool) -> usize {
        let going: Vec<K> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.stale)
            .filter(|(key, entry)| entry.actual.as_ref().is_none_or(|value| which(key, value)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &going {
            self.unset(key, false);
        }
        going.len()
    }
}

/// Work.
impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    /// The key whose turn it is. It keeps its turn until it is sent, parked or settled.
    pub fn next(&self) -> Option<&K> {
        self.queue.first_key_value().map(|(_, key)| key)
    }

    /// Whether the next key is one to put.
    pub fn next_is_put(&self) -> bool {
        self.queue
            .first_key_value()
            .is_some_and(|((phase, _), _)| *phase < Phase::DeleteFirst)
    }

    /// The message for a queued `key` is on its way. Answers what it says (`None`: delete) and what
    /// is there as far as we know; `None` when the key has no work.
    pub fn send(&mut self, key: &K) -> Option<(Option<V>, Option<V>)> {
        let entry = self.entries.get_mut(key)?;
        let Stage::Queued(phase, turn) = entry.stage else {
            return None;
        };
        self.queue.remove(&(phase, turn));
        self.generation += 1;
        entry.changed = self.generation;
        entry.awaits_echo = false;
        self.doubts.remove(key);
        let value = entry.desired.clone();
        entry.stage = Stage::Sent(Box::new(Sent {
            value: value.clone(),
            echoed: false,
            overtaken: false,
        }));
        self.in_flight += 1;
        Some((value, entry.actual.clone()))
    }

    /// The message for `key` was obeyed, or what it asked for was so already: then no `echo` is to
    /// be expected.
    pub fn obeyed(&mut self, key: &K, echo: bool) {
        let Some((entry, sent)) = self.take_sent(key) else {
            return;
        };
        if !sent.overtaken {
            let was = entry.actual.is_some();
            entry.awaits_echo = echo && !sent.echoed;
            entry.actual = sent.value;
            let is = entry.actual.is_some();
            self.count_present(was, is);
        }
        self.review(key);
    }

    /// The message for `key` was refused. If what it asked for is still wanted, the key is parked
    /// for `cause` until `until`; answers whether it is.
    pub fn refused(&mut self, key: &K, cause: P, now: Instant, until: Instant) -> bool {
        let Some((entry, sent)) = self.take_sent(key) else {
            return false;
        };
        let same = alike(entry.desired.as_ref(), sent.value.as_ref())
            && alike(sent.value.as_ref(), entry.desired.as_ref());
        self.review(key);
        same && self.park(key, cause, now, until)
    }

    /// Nobody knows what became of the message for `key`; it may be sent again.
    pub fn forgotten(&mut self, key: &K) {
        if self.take_sent(key).is_some() {
            self.review(key);
        }
    }

    /// Parks a queued `key` for `cause` until `until`; answers whether there was work to park.
    pub fn park(&mut self, key: &K, cause: P, now: Instant, until: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let Stage::Queued(phase, turn) = entry.stage else {
            return false;
        };
        self.queue.remove(&(phase, turn));
        entry.stage = Stage::Parked(until);
        self.retries.insert((until, key.clone()));
        let (tries, since) = entry
            .trouble
            .as_ref()
            .map_or((0, now), |trouble| (trouble.tries, trouble.since));
        entry.trouble = Some(Box::new(Trouble {
            cause,
            tries: tries.saturating_add(1),
            since,
        }));
        true
    }

    /// Parked keys whose time has come, or for which `which` holds, get another turn.
    pub fn release(&mut self, now: Instant, mut which: impl FnMut(&K, &P) -> bool) -> usize {
        let free: Vec<K> = self
            .retries
            .iter()
            .filter(|(until, key)| {
                *until <= now
                    || self
                        .trouble(key)
                        .is_some_and(|trouble| which(key, &trouble.cause))
            })
            .map(|(_, key)| key.clone())
            .collect();
        for key in &free {
            self.unpark(key);
            self.review(key);
        }
        free.len()
    }

    /// A parked `key` gets another turn.
    pub fn wake(&mut self, key: &K) {
        self.unpark(key);
        self.review(key);
    }

    /// Only what is due by time: see [`DeltaMap::release`].
    pub fn release_due(&mut self, now: Instant) -> usize {
        let mut freed = 0;
        while let Some((until, key)) = self.retries.first().cloned() {
            if until > now {
                break;
            }
            self.unpark(&key);
            self.review(&key);
            freed += 1;
        }
        freed
    }

    /// When the next parked key is due.
    pub fn next_retry(&self) -> Option<Instant> {
        self.retries.first().map(|(until, _)| *until)
    }
}

/// What the other side says.
impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    /// A notification: `key` is `value` now, or is gone. `keep` makes what nobody asked for stale.
    pub fn heard(&mut self, key: &K, value: Option<V>, keep: bool) -> Heard {
        if value.is_none() && !self.entries.contains_key(key) {
            return Heard::Known;
        }
        let entry = self.entries.entry(key.clone()).or_default();
        if let Stage::Sent(sent) = &mut entry.stage {
            if alike(sent.value.as_ref(), value.as_ref()) {
                sent.echoed = true;
                sent.overtaken = false;
            } else if sent.echoed {
                sent.overtaken = true;
            }
            let (was, is) = (entry.actual.is_some(), value.is_some());
            entry.actual = value;
            self.count_present(was, is);
            return Heard::Known;
        }
        if entry.awaits_echo {
            if alike(entry.actual.as_ref(), value.as_ref()) {
                entry.awaits_echo = false;
                entry.actual = value;
                self.doubts.remove(key);
                self.review(key);
                return Heard::Known;
            }
            self.doubts.insert(key.clone());
            return Heard::Older;
        }
        self.generation += 1;
        entry.changed = self.generation;
        self.take_word(key, value, keep)
    }

    /// What the other side has is not known any more to be there, for a reason that it does not
    /// tell (a device is gone, or down).
    pub fn lost(&mut self, key: &K) -> Heard {
        let Some(entry) = self.entries.get_mut(key) else {
            return Heard::Known;
        };
        entry.awaits_echo = false;
        self.doubts.remove(key);
        self.heard(key, None, false)
    }

    /// A dump begins.
    pub fn begin_dump(&mut self) {
        self.generation += 1;
        self.dump = Some(self.generation);
    }

    /// A dump names `key`.
    pub fn dumped(&mut self, key: &K, value: V, keep: bool) -> Heard {
        let Some(begin) = self.dump else {
            return Heard::Older;
        };
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.changed > begin || matches!(entry.stage, Stage::Sent(_)) {
            return Heard::Older;
        }
        entry.marked = begin;
        entry.awaits_echo = false;
        self.doubts.remove(key);
        self.take_word(key, Some(value), keep)
    }

    /// The dump ends. If it was complete, keys that it did not name are gone, except those of which
    /// we know better; answers those that were as wanted and are gone.
    pub fn end_dump(&mut self, complete: bool) -> Vec<K> {
        let Some(begin) = self.dump.take() else {
            return Vec::new();
        };
        let mut missing = Vec::new();
        let mut empty = Vec::new();
        for (key, entry) in &mut self.entries {
            if matches!(entry.stage, Stage::Sent(_)) {
                continue;
            }
            let known = entry.changed > begin || entry.marked == begin;
            if complete && !known {
                entry.awaits_echo = false;
                if entry.actual.is_some() {
                    missing.push(key.clone());
                }
            }
            if entry.desired.is_none() && entry.actual.is_none() {
                empty.push(key.clone());
            }
        }
        let mut drifted = Vec::new();
        for key in missing {
            self.doubts.remove(&key);
            if self.take_word(&key, None, false) == Heard::Drift {
                drifted.push(key);
            }
        }
        for key in empty {
            self.review(&key);
        }
        drifted
    }

    /// Whether a dump runs.
    pub fn dumping(&self) -> bool {
        self.dump.is_some()
    }

    fn take_word(&mut self, key: &K, value: Option<V>, keep: bool) -> Heard {
        let Some(entry) = self.entries.get_mut(key) else {
            return Heard::Known;
        };
        let known = match (&value, &entry.actual) {
            (Some(value), Some(actual)) => actual.satisfied_by(value) && value.satisfied_by(actual),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let settled = entry.need().is_none();
        let (was, is) = (entry.actual.is_some(), value.is_some());
        entry.actual = value;
        let stale = is && entry.desired.is_none() && (keep || (was && entry.stale));
        if stale != entry.stale {
            entry.stale = stale;
            self.stale = if stale {
                self.stale + 1
            } else {
                self.stale - 1
            };
        }
        let drift = settled && entry.desired.is_some() && entry.need().is_some();
        self.count_present(was, is);
        self.review(key);
        match (known, drift) {
            (_, true) => Heard::Drift,
            (true, false) => Heard::Known,
            (false, false) => Heard::News,
        }
    }
}

/// Questions.
impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    /// Everything about `key`.
    pub fn view(&self, key: &K) -> Option<View<'_, V, P>> {
        self.entries.get(key).map(view_of)
    }

    /// Everything about the keys in `range`, in order.
    pub fn range(
        &self,
        range: impl RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, View<'_, V, P>)> {
        self.entries
            .range(range)
            .map(|(key, entry)| (key, view_of(entry)))
    }

    /// What is wanted at `key`.
    pub fn desired(&self, key: &K) -> Option<&V> {
        self.entries.get(key)?.desired.as_ref()
    }

    /// What is there at `key`, as far as we know.
    pub fn actual(&self, key: &K) -> Option<&V> {
        self.entries.get(key)?.actual.as_ref()
    }

    /// Everything that is there, in order.
    pub fn actuals(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| entry.actual.as_ref().map(|value| (key, value)))
    }

    /// Why `key` is not as it should be.
    pub fn trouble(&self, key: &K) -> Option<&Trouble<P>> {
        self.entries.get(key)?.trouble.as_deref()
    }

    /// Parked keys with their troubles, those that are due first.
    pub fn parked(&self) -> impl Iterator<Item = (&K, &Trouble<P>)> {
        self.retries
            .iter()
            .filter_map(|(_, key)| Some((key, self.trouble(key)?)))
    }

    /// How many keys wait for their turn.
    pub fn pending_len(&self) -> usize {
        self.queue.len()
    }

    /// How many answers are awaited.
    pub fn in_flight_len(&self) -> usize {
        self.in_flight
    }

    /// How many keys are parked.
    pub fn parked_len(&self) -> usize {
        self.retries.len()
    }

    /// How many keys are there though nobody asked for them.
    pub fn stale_len(&self) -> usize {
        self.stale
    }

    /// How many keys are there.
    pub fn actual_len(&self) -> usize {
        self.present
    }

    /// Whether a notification contradicted what an answer said, and no echo has come since.
    pub fn doubtful(&self) -> bool {
        !self.doubts.is_empty()
    }
}

/// Inside.
impl<K: Ord + Clone, V: Value, P> DeltaMap<K, V, P> {
    fn take_sent(&mut self, key: &K) -> Option<(&mut Entry<V, P>, Sent<V>)> {
        let entry = self.entries.get_mut(key)?;
        match std::mem::replace(&mut entry.stage, Stage::Rest) {
            Stage::Sent(sent) => {
                self.generation += 1;
                entry.changed = self.generation;
                self.in_flight -= 1;
                Some((entry, *sent))
            }
            other @ (Stage::Rest | Stage::Queued(..) | Stage::Parked(_)) => {
                entry.stage = other;
                None
            }
        }
    }

    fn count_present(&mut self, was: bool, is: bool) {
        match (was, is) {
            (false, true) => self.present += 1,
            (true, false) => self.present -= 1,
            (true, true) | (false, false) => {}
        }
    }

    fn unpark(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key)
            && let Stage::Parked(until) = entry.stage
        {
            self.retries.remove(&(until, key.clone()));
            entry.stage = Stage::Rest;
        }
    }

    /// Puts `key` where it belongs: queued for what it needs, at rest, or out of the map.
    fn review(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let need = entry.need();
        match (&entry.stage, need) {
            (Stage::Sent(_), _) | (Stage::Parked(_), Some(_)) => return,
            (Stage::Queued(phase, _), Some(need)) if *phase == need => return,
            (Stage::Queued(phase, turn), _) => {
                self.queue.remove(&(*phase, *turn));
            }
            (Stage::Parked(until), None) => {
                self.retries.remove(&(*until, key.clone()));
            }
            (Stage::Rest, _) => {}
        }
        entry.stage = Stage::Rest;
        if let Some(phase) = need {
            self.turn += 1;
            entry.stage = Stage::Queued(phase, self.turn);
            self.queue.insert((phase, self.turn), key.clone());
            return;
        }
        entry.trouble = None;
        let empty = entry.desired.is_none() && entry.actual.is_none() && !entry.awaits_echo;
        if empty && self.dump.is_none() {
            if entry.stale {
                self.stale -= 1;
            }
            self.entries.remove(key);
        }
    }
}

fn view_of<V: Value, P>(entry: &Entry<V, P>) -> View<'_, V, P> {
    View {
        desired: entry.desired.as_ref(),
        actual: entry.actual.as_ref(),
        standing: match entry.stage {
            Stage::Rest if entry.stale => Standing::Stale,
            Stage::Rest => Standing::Settled,
            Stage::Queued(..) => Standing::Queued,
            Stage::Sent(_) => Standing::InFlight,
            Stage::Parked(_) => Standing::Parked,
        },
        trouble: entry.trouble.as_deref(),
    }
}
