//! The readers of a group: a cursor for each peer, and how far back tombstones must be kept.

use super::chunk::Chunk;
use super::ids::Serial;
use super::peers::PeerSlot;
use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cursor of a reader that has been told nothing: it needs no withdraws.
pub(super) const FROM_NOTHING: u64 = 0;

/// The cursor of a reader that begins again (route refresh): it reads everything, withdraws too.
pub(super) const FROM_REFRESH: u64 = 1;

/// Where the log of a group begins: the first change gets the number after this one.
pub(super) const LOG_START: u64 = 2;

/// One peer's place in a group.
pub(super) struct Reader {
    pub(super) slot: PeerSlot,
    /// The session: what came from it is not sent back to it.
    pub(super) serial: Serial,
    /// The session that the same peer had before, if something of that is left: what it announced
    /// is not told back either.
    pub(super) former: Option<Serial>,
    /// Whether a repeated table is framed by markers (RFC 7313).
    pub(super) enhanced_refresh: bool,
    /// Everything up to here has been delivered.
    pub(super) cursor: u64,
    /// All that this reader has been told was true here or later: it takes no older chunk, and
    /// needs no older tombstone. Where the last route refresh found it, or where its former
    /// session left.
    pub(super) floor: u64,
    /// What is being delivered, and the next message in it. Pins at most one chunk.
    pub(super) chunk: Option<(Arc<Chunk>, usize)>,
    pub(super) end_of_rib: EndOfRib,
    pub(super) refresh: Refresh,
    /// Set when the reader has fallen so far behind that tombstones it needs were dropped. It
    /// reads no more; its session has to end.
    pub(super) lost: bool,
}

/// Where End-of-RIB stands (RFC 4724 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EndOfRib {
    /// Its place is known once the group has been built.
    AfterBuild,
    /// It follows when the goal has been reached.
    At(Goal),
    /// It has been sent.
    Sent,
}

/// Where a route refresh stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refresh {
    /// There is none.
    Idle,
    /// It begins as soon as the reader is in sync.
    Wanted,
    /// The table is being repeated.
    Running {
        /// When this is reached, it is over.
        goal: Goal,
        /// Another one was asked for meanwhile. However many are asked for, one follows.
        again: bool,
    },
}

/// What a reader may do now. A session that reads two groups says its markers once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// End-of-RIB may not be said yet.
    pub(super) end_of_rib_held: bool,
    /// No refresh may begin yet.
    pub(super) refresh_held: bool,
}

/// A place in the log by which a whole table has been delivered.
///
/// Reaching the place where the log ended when the table began is not enough: a prefix that
/// changed meanwhile has moved beyond it, and may not have been told at all. So the goal moves
/// once more, to the end of the log at the moment when it is first reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Goal {
    at: u64,
    closing: bool,
}

impl Goal {
    /// The goal of a table that begins to be delivered while the log ends at `tail`.
    pub(super) fn new(tail: u64) -> Self {
        Self {
            at: tail,
            closing: false,
        }
    }

    /// A goal that moves no more.
    pub(super) fn last(tail: u64) -> Self {
        Self {
            at: tail,
            closing: true,
        }
    }

    /// Whether a reader at `cursor` has reached it; moves it when it is due to move.
    fn reached(&mut self, cursor: u64, tail: u64) -> bool {
        if cursor >= self.at && !self.closing {
            *self = Self::last(tail);
        }
        cursor >= self.at
    }

    /// Whether [`Goal::reached`] would do or say something.
    fn is_due(self, cursor: u64) -> bool {
        cursor >= self.at
    }
}

/// A marker that stands between routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Marker {
    /// End-of-RIB (RFC 4724 §2).
    EndOfRib,
    /// Beginning of Route Refresh (RFC 7313 §3.2).
    RefreshBegin,
    /// End of Route Refresh.
    RefreshEnd,
}

impl Reader {
    /// Up to where everything has been or is being delivered.
    pub(super) fn progress(&self) -> u64 {
        self.chunk
            .as_ref()
            .map_or(self.cursor, |(chunk, _)| chunk.end)
    }

    /// Tombstones after this place are still needed; `None` when the reader needs none at all.
    pub(super) fn hold(&self) -> Option<u64> {
        let told_nothing = self.progress() == FROM_NOTHING;
        (!told_nothing && !self.lost).then(|| self.progress().max(self.floor))
    }

    /// Whether End-of-RIB would be sent now (or its goal moved) if it is not held back.
    pub(super) fn end_of_rib_is_due(&self) -> bool {
        match self.end_of_rib {
            EndOfRib::At(goal) => goal.is_due(self.cursor),
            EndOfRib::AfterBuild | EndOfRib::Sent => false,
        }
    }

    /// Whether a wanted refresh may begin: in sync, and, because its markers must not come before
    /// End-of-RIB (RFC 7313 §4), after that.
    fn may_refresh(&self, settled: u64) -> bool {
        self.refresh == Refresh::Wanted
            && self.cursor >= settled
            && (!self.enhanced_refresh || self.end_of_rib == EndOfRib::Sent)
    }

    /// Whether there is a refresh to begin or to end.
    pub(super) fn refresh_is_due(&self, settled: u64, turn: Turn) -> bool {
        match self.refresh {
            Refresh::Idle => false,
            Refresh::Wanted => !turn.refresh_held && self.may_refresh(settled),
            Refresh::Running { goal, .. } => goal.is_due(self.cursor),
        }
    }

    /// Asks for the whole table once more.
    pub(super) fn want_refresh(&mut self) {
        self.refresh = match self.refresh {
            Refresh::Idle | Refresh::Wanted => Refresh::Wanted,
            Refresh::Running { goal, .. } => Refresh::Running { goal, again: true },
        };
    }

    /// The marker that is due between two chunks, if any; moves the state along.
    pub(super) fn next_marker(&mut self, tail: u64, settled: u64, turn: Turn) -> Option<Marker> {
        if let EndOfRib::At(goal) = &mut self.end_of_rib
            && !turn.end_of_rib_held
            && goal.reached(self.cursor, tail)
        {
            self.end_of_rib = EndOfRib::Sent;
            return Some(Marker::EndOfRib);
        }
        let framed = self.enhanced_refresh;
        if let Refresh::Running { goal, again } = &mut self.refresh {
            let again = *again;
            if goal.reached(self.cursor, tail) {
                self.refresh = if again {
                    Refresh::Wanted
                } else {
                    Refresh::Idle
                };
                if framed {
                    return Some(Marker::RefreshEnd);
                }
            }
        }
        if !turn.refresh_held && self.may_refresh(settled) {
            self.floor = self.cursor;
            self.cursor = FROM_REFRESH;
            self.refresh = Refresh::Running {
                goal: Goal::new(tail),
                again: false,
            };
            return framed.then_some(Marker::RefreshBegin);
        }
        None
    }

    /// Delivers messages of the current chunk while `budget` octets last. `false` when the budget
    /// ended first.
    fn deliver(&mut self, budget: &mut usize, out: &mut Vec<Bytes>) -> bool {
        let Some((chunk, next)) = &mut self.chunk else {
            return true;
        };
        while let Some(message) = chunk.messages.get(*next) {
            if message.is_for(self.serial, self.former) {
                if *budget == 0 {
                    return false;
                }
                *budget = budget.saturating_sub(message.bytes.len());
                out.push(message.bytes.clone());
            }
            *next += 1;
        }
        self.cursor = chunk.end;
        self.chunk = None;
        true
    }
}

/// All readers of a group.
#[derive(Default)]
pub(super) struct Readers {
    slots: Vec<Option<Reader>>,
    free: Vec<usize>,
    /// Only ever probed.
    by_serial: HashMap<Serial, usize, FixedState>,
    /// How many readers hold tombstones after which place.
    holds: BTreeMap<u64, usize>,
}

impl Readers {
    pub(super) fn insert(&mut self, reader: Reader) -> usize {
        let index = self.free.pop().unwrap_or(self.slots.len());
        self.by_serial.insert(reader.serial, index);
        self.hold(reader.hold());
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(reader);
        } else {
            self.slots.push(Some(reader));
        }
        index
    }

    pub(super) fn remove(&mut self, index: usize) {
        if let Some(reader) = self.slots.get_mut(index).and_then(Option::take) {
            self.by_serial.remove(&reader.serial);
            self.let_go(reader.hold());
            self.free.push(index);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Reader> {
        self.slots.get(index)?.as_ref()
    }

    /// The reader of a session, if it reads here.
    pub(super) fn of_session(&self, serial: Serial) -> Option<&Reader> {
        self.get(*self.by_serial.get(&serial)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Reader> {
        self.slots.iter().flatten()
    }

    /// Changes one reader, and what it holds with it.
    pub(super) fn change<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Reader) -> R,
    ) -> Option<R> {
        let reader = self.slots.get_mut(index)?.as_mut()?;
        let before = reader.hold();
        let result = change(reader);
        let after = reader.hold();
        if before != after {
            self.let_go(before);
            self.hold(after);
        }
        Some(result)
    }

    /// Changes all readers.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&mut Reader)) {
        for index in 0..self.slots.len() {
            self.change(index, &mut change);
        }
    }

    /// Delivers what is left of the reader's chunk. `false` when the budget ended first.
    pub(super) fn deliver(
        &mut self,
        index: usize,
        budget: &mut usize,
        out: &mut Vec<Bytes>,
    ) -> bool {
        // The hold of a reader inside a chunk is the chunk's end already, and does not change.
        self.slots
            .get_mut(index)
            .and_then(Option::as_mut)
            .is_none_or(|reader| reader.deliver(budget, out))
    }

    /// Up to here no reader needs a tombstone any more; `None` when no reader needs any.
    pub(super) fn oldest_hold(&self) -> Option<u64> {
        self.holds.keys().next().copied()
    }

    fn hold(&mut self, at: Option<u64>) {
        if let Some(at) = at {
            *self.holds.entry(at).or_default() += 1;
        }
    }

    fn let_go(&mut self, at: Option<u64>) {
        if let Some(at) = at
            && let Some(count) = self.holds.get_mut(&at)
        {
            *count -= 1;
            if *count == 0 {
                self.holds.remove(&at);
            }
        }
    }

    /// Whether the indexes agree with the readers.
    ///
    /// # Errors
    /// What does not.
    pub(super) fn check(&self, settled: u64, tail: u64) -> Result<(), String> {
        let mut holds: BTreeMap<u64, usize> = BTreeMap::new();
        for reader in self.iter() {
            if let Some(at) = reader.hold() {
                *holds.entry(at).or_default() += 1;
            }
            if reader.progress() > settled || reader.floor > tail {
                return Err(format!(
                    "a reader at {} (floor {}) in a group settled to {settled}",
                    reader.progress(),
                    reader.floor
                ));
            }
            if self.of_session(reader.serial).map(|found| found.slot) != Some(reader.slot) {
                return Err(format!("{:?} is not found by its session", reader.slot));
            }
        }
        if holds != self.holds || self.by_serial.len() != self.len() {
            return Err(format!("holds are {:?}, not {holds:?}", self.holds));
        }
        Ok(())
    }
}
