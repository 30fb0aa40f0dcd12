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
//!   *doubtful* and its owner should ask for a dump. Where notifications are sorted before they
//!   come here, [`DeltaMap::obeyed`] is told that no echo will come.
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

mod questions;
mod truth;
mod work;

use bgp_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

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
