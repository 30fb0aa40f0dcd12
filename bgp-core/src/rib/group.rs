//! An update group: the peers that hear the same words, and the log from which they hear them.
//!
//! # The picture
//!
//! ```text
//!  entries, by prefix       log, by last change
//!  ┌────┬──────────┐        ┌─────┬─────┬─────┬─────┬─────┬─────┬─────┐
//!  │ P0 │ seq 9, A │        │ 4 P1│ 5 P3│ 6 P2│ (7) │ 8 P5│ 9 P0│10 P4│
//!  │ P1 │ seq 4, B │        └─────┴─────┴──▲──┴─────┴─────┴──▲──┴──▲──┘
//!  │ P2 │ seq 6, ✝ │                       │                 │     tail
//!  │ …  │          │             slow reader's cursor    settled = cursor of all
//!  └────┴──────────┘                                     readers in sync
//! ```
//!
//! An *entry* says what the group's peers have to be told about a prefix now: these attributes
//! from this source, or (✝, a tombstone) that it is gone. A change gives the entry the next
//! sequence number and appends it to the [`Log`]; the prefix's older record is dead then. So the
//! log holds each prefix once, at the place of its last change, and is as long as the table
//! whatever the churn.
//!
//! A *reader* is one peer: a cursor, the number up to which it has been told everything. Reading
//! is always the same: take the entries after the cursor, as they are now, and move the cursor
//! behind them. A new peer begins before the first one; a slow one is simply further back, and
//! skips what has been superseded; one in sync stands at the end. A stalled peer costs a few
//! words, however much happens meanwhile.
//!
//! Readers read in *chunks*: the entries of a stretch, packed into UPDATEs, encoded by the first
//! reader that comes to the stretch's beginning and shared, octet for octet, by all that come
//! later. Readers in sync all stand at the same place, because [`Group::settle`] is a barrier:
//! nobody reads beyond it, so all wait at it. What a thousand peers hear is therefore encoded
//! once.
//!
//! # Why a reader ends with the right table
//!
//! Let the entry of prefix P be at `q`, and a reader's cursor at or behind `q`. It passed `q`
//! within some chunk that was encoded when the group's tail was T ≥ `q`, so P was in it as it is
//! now; and no chunk that begins at or behind `q` can speak of P again. So what the reader heard
//! last about P is what the entry says. Two things must not be lost on the way:
//!
//! - **Withdraws.** A tombstone stays until every reader that has been told anything has passed
//!   it ([`Readers::oldest_hold`]). A new reader might still come by an older chunk, from before
//!   the tombstone, that announces P; so a chunk is reused only while no tombstone younger than
//!   the chunk has been purged. A reader that begins again for a route refresh knows the table up
//!   to its old cursor, the *floor*: only tombstones after the floor matter to it.
//! - **Not back to the source.** Each message has one source session and its reader skips it. If
//!   the source had been told P from elsewhere before, it needs a withdraw instead. Comparing the
//!   cursor with the place where the source changed is not enough: the entry may move on before
//!   the reader comes to that place. So the entry carries the debt (`owes_source`): it is set
//!   when the source changes, and when the entry moves on it is kept unless the source's reader
//!   had passed the entry's old place, and so was told. While it is set, a chunk has a withdraw
//!   that is for the source alone. For the same reason a reader that begins again takes no chunk
//!   from before its floor: such a chunk could repeat what the source has unlearned.
//!
//! - **Nor to its former session's peer.** What a peer said in a session that is gone may still be
//!   there: kept while it restarts (RFC 4724 §4.2), or being cleared away. When the peer is back
//!   it skips that too, and because it may have been told the prefix from elsewhere before,
//!   a chunk has a withdraw for it in the place of what it skips. Chunks from before its former
//!   session left do not have it; the floor of a reader that returns keeps it from them.
//!
//! Sources are session numbers that are never reused, not slots or peers, which are.
//!
//! # Decisions
//!
//! - *Entries hold what was received, words are chosen when a chunk is encoded.* A group then
//!   needs no attribute sets of its own and a change costs no interning for each group; "the same
//!   words as before" is one comparison of numbers. The price is that words are chosen again for
//!   each chunk, once for all prefixes in it that share them.
//! - *An entry is 16 octets.* The place where the source changed was to stand beside the place of
//!   the last change; the debt bit says more (see above) in no space.
//! - *A chunk is not reused for ever.* Readers far behind would otherwise hear history from the
//!   cache, one small chunk after the other, in place of the last state of each prefix.
//! - *Laggards are given up.* Without a bound on tombstones one stalled reader would make the
//!   memory for withdrawn prefixes grow with the churn.
//!
//! # Limits
//!
//! - Log records: twice the table and a constant ([`Log`]).
//! - Tombstones: [`MAX_TOMBSTONES`], or twice the largest table since there were none. Readers
//!   that hold back more than that are *lost*: the session has to be ended
//!   ([`Rib::poll_laggard`](super::Rib::poll_laggard)), because a peer that neither reads nor
//!   dies must not make us remember every prefix that ever was.
//! - Encoded chunks kept: [`MAX_CACHE_BYTES`](super::chunk::MAX_CACHE_BYTES) per group, and one
//!   for each reader that is inside it.
//! - Work of one read: [`MAX_CHUNKS_PER_READ`] chunks.

use super::attributes::Interner;
use super::chunk::{self, Chunk, ChunkCache, Words};
use super::export::{self, ExportProfile, Refusal, Route};
use super::ids::{AttributesId, PrefixId, Serial};
use super::log::Log;
use super::peers::PeerSlot;
use super::readers::{EndOfRib, FROM_NOTHING, Goal, LOG_START, Reader, Readers, Refresh, Turn};
use bytes::Bytes;
use std::sync::Arc;

/// Tombstones that a group keeps for its slowest readers, at least. At the limit the readers that
/// are furthest back are given up.
pub const MAX_TOMBSTONES: usize = 1 << 18;

/// One read goes through at most this many chunks; then the others have their turn.
pub const MAX_CHUNKS_PER_READ: usize = 4;

/// What the group's peers have to be told about a prefix.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// The number of the last change, and above it one bit: the source is owed a withdraw. All
    /// zero: nothing is known and nothing is owed.
    place: u64,
    /// What to announce; `None` is a tombstone.
    attributes: Option<AttributesId>,
    /// The reader that must not be told, because it said so itself.
    source: Option<Serial>,
}

const _: () = assert!(size_of::<Entry>() <= 16);

impl Entry {
    const OWES_SOURCE: u64 = 1 << 63;

    pub(super) fn seq(self) -> u64 {
        self.place & !Self::OWES_SOURCE
    }

    pub(super) fn is_empty(self) -> bool {
        self.place == 0
    }

    pub(super) fn is_tombstone(self) -> bool {
        !self.is_empty() && self.attributes.is_none()
    }

    pub(super) fn attributes(self) -> Option<AttributesId> {
        self.attributes
    }

    pub(super) fn source(self) -> Option<Serial> {
        self.source
    }

    /// The reader that is owed a withdraw because it was told about the prefix before it became
    /// the prefix's source.
    pub(super) fn owed(self) -> Option<Serial> {
        self.source.filter(|_| self.place & Self::OWES_SOURCE != 0)
    }
}

/// What is to be announced.
#[derive(Clone, Copy)]
pub(super) struct Announcement {
    pub(super) attributes: AttributesId,
    /// The session that it came from, if that or a later one of the same peer may read here.
    pub(super) source: Option<Serial>,
    /// Whether the words also depend on something that differs from the last time, although the
    /// attributes do not: another peer with the same attributes.
    pub(super) reworded: bool,
}

/// Who joins.
pub(super) struct Newcomer {
    pub(super) slot: PeerSlot,
    pub(super) serial: Serial,
    /// The session that the same peer had before, if something of that is left, and how long the
    /// log was when it left this group (or now, when it read another).
    pub(super) former: Option<(Serial, u64)>,
    pub(super) enhanced_refresh: bool,
}

/// The peers that hear the same words about one family.
pub(super) struct Group {
    profile: ExportProfile,
    /// By prefix.
    entries: Vec<Entry>,
    log: Log,
    /// The tombstones among the log's records.
    tombstones: Log,
    /// All tombstones up to here are purged, or were announced again.
    passed: u64,
    /// The youngest tombstone that was purged.
    purged: u64,
    /// The last change that was a withdraw.
    withdrawn: u64,
    /// The largest number of announced prefixes since there was no tombstone.
    peak: usize,
    /// The number of the last change.
    tail: u64,
    /// Up to here readers may read.
    settled: u64,
    readers: Readers,
    /// The first prefix that has not been looked at since the group began; `None` when all have.
    unbuilt: Option<PrefixId>,
    /// Something else than a change has to wake readers at the next settle.
    wake: bool,
    cache: ChunkCache,
    /// How often a route was refused because its message would have been too long.
    too_long: u64,
}

impl Group {
    /// A group that knows nothing about the `prefixes` prefixes of its family yet.
    pub(super) fn new(profile: ExportProfile, prefixes: usize) -> Self {
        Self {
            profile,
            entries: Vec::new(),
            log: Log::default(),
            tombstones: Log::default(),
            passed: 0,
            purged: 0,
            withdrawn: 0,
            peak: 0,
            tail: LOG_START,
            settled: LOG_START,
            readers: Readers::default(),
            unbuilt: (prefixes > 0).then_some(PrefixId(0)),
            wake: false,
            cache: ChunkCache::default(),
            too_long: 0,
        }
    }

    pub(super) fn profile(&self) -> &ExportProfile {
        &self.profile
    }

    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn cache(&self) -> &ChunkCache {
        &self.cache
    }

    pub(super) fn tombstone_count(&self) -> usize {
        self.tombstones.live()
    }

    /// Prefixes that are announced.
    pub(super) fn announced(&self) -> usize {
        self.log.live() - self.tombstones.live()
    }

    pub(super) fn too_long(&self) -> u64 {
        self.too_long
    }

    pub(super) fn unbuilt(&self) -> Option<PrefixId> {
        self.unbuilt
    }

    pub(super) fn entry(&self, prefix: PrefixId) -> Entry {
        self.entries
            .get(prefix.index())
            .copied()
            .unwrap_or_default()
    }

    // Readers come and go.

    /// A new reader at the beginning.
    pub(super) fn join(&mut self, newcomer: Newcomer) -> usize {
        let end_of_rib = match self.unbuilt {
            Some(_) => EndOfRib::AfterBuild,
            None => EndOfRib::At(Goal::new(self.tail)),
        };
        self.readers.insert(Reader {
            slot: newcomer.slot,
            serial: newcomer.serial,
            former: newcomer.former.map(|(serial, _)| serial),
            enhanced_refresh: newcomer.enhanced_refresh,
            cursor: FROM_NOTHING,
            floor: newcomer.former.map_or(FROM_NOTHING, |(_, left_at)| left_at),
            chunk: None,
            end_of_rib,
            refresh: Refresh::Idle,
            lost: false,
        })
    }

    pub(super) fn leave(&mut self, reader: usize) {
        self.readers.remove(reader);
    }

    /// The reader's peer asks for everything again (RFC 2918). One refresh at a time, and however
    /// often it asks meanwhile, one more.
    pub(super) fn refresh(&mut self, reader: usize) {
        self.readers.change(reader, Reader::want_refresh);
        self.wake = true;
    }

    /// End-of-RIB is held back no longer: it follows what is known now.
    pub(super) fn release_end_of_rib(&mut self) {
        let tail = self.tail;
        self.readers.change_all(|reader| {
            if let EndOfRib::At(goal) = &mut reader.end_of_rib {
                *goal = Goal::last(tail);
            }
        });
        self.wake = true;
    }

    // Changes.

    /// Whether the group announces `route`; counts refusals for length.
    pub(super) fn admits(&mut self, route: &Route<'_>) -> bool {
        match export::admit(&self.profile, route) {
            Ok(()) => true,
            Err(Refusal::TooLong { .. }) => {
                self.too_long += 1;
                false
            }
            Err(
                Refusal::NotReflected
                | Refusal::NoAdvertise
                | Refusal::NoExport
                | Refusal::LongLivedStale
                | Refusal::ExportPolicy
                | Refusal::NoExportPolicy
                | Refusal::NextHopFamily,
            ) => false,
        }
    }

    /// Whether changes of `prefix` have to be recorded; otherwise the build will come to it.
    pub(super) fn is_built(&self, prefix: PrefixId) -> bool {
        self.unbuilt.is_none_or(|unbuilt| prefix < unbuilt)
    }

    /// Records what the peers have to be told about `prefix` from now on: an announcement, or
    /// that there is none.
    pub(super) fn record(
        &mut self,
        prefix: PrefixId,
        announcement: Option<Announcement>,
        interner: &mut Interner,
    ) {
        let old = self.entry(prefix);
        let new = match announcement {
            None if old.attributes.is_none() => return,
            None => (None, old.source.filter(|source| self.reads_here(*source))),
            Some(new) => {
                let same_words = old.attributes == Some(new.attributes) && !new.reworded;
                if same_words && old.source == new.source {
                    return;
                }
                interner.retain(new.attributes);
                (Some(new.attributes), new.source)
            }
        };
        let owes = self.owes_source(old, new.1);
        self.append(prefix, old, new, owes);
        if let Some(attributes) = old.attributes {
            interner.release(attributes);
        }
    }

    fn reads_here(&self, session: Serial) -> bool {
        self.readers.of_session(session).is_some()
    }

    /// Whether the source of the new entry may have been told about the prefix, and not yet the
    /// opposite.
    fn owes_source(&self, old: Entry, source: Option<Serial>) -> bool {
        let Some(reader) = source.and_then(|source| self.readers.of_session(source)) else {
            return false;
        };
        if old.is_empty() {
            return false;
        }
        // It has heard the withdraw, or has heard nothing at all: chunks from the beginning are
        // never older than a withdraw ([`Group::chunk_at`]).
        if old.is_tombstone() && reader.hold().is_none_or(|told| told >= old.seq()) {
            return false;
        }
        old.source != source || (old.owed().is_some() && reader.progress() < old.seq())
    }

    fn append(
        &mut self,
        prefix: PrefixId,
        old: Entry,
        (attributes, source): (Option<AttributesId>, Option<Serial>),
        owes_source: bool,
    ) {
        if self.entries.len() <= prefix.index() {
            self.entries.resize(prefix.index() + 1, Entry::default());
        }
        self.tail += 1;
        let owes = if owes_source { Entry::OWES_SOURCE } else { 0 };
        self.entries[prefix.index()] = Entry {
            place: self.tail | owes,
            attributes,
            source,
        };
        self.log.append(self.tail, prefix);
        if attributes.is_none() {
            self.withdrawn = self.tail;
            self.tombstones.append(self.tail, prefix);
        }
        self.bury(old);
        self.peak = self.peak.max(self.announced());
    }

    /// Notes that the records of `old` are dead, and pays for it.
    fn bury(&mut self, old: Entry) {
        if !old.is_empty() {
            self.log.note_dead();
        }
        if old.is_tombstone() {
            self.tombstones.note_dead();
        }
        let entries = &self.entries;
        let is_live = |seq, prefix: PrefixId| entries[prefix.index()].seq() == seq;
        self.log.pay(is_live);
        self.tombstones.pay(is_live);
    }

    /// Notes that all prefixes below `next` have been looked at; `None`: all there are.
    pub(super) fn built_to(&mut self, next: Option<PrefixId>) {
        self.unbuilt = next;
        if next.is_none() {
            let tail = self.tail;
            self.readers.change_all(|reader| {
                if reader.end_of_rib == EndOfRib::AfterBuild {
                    reader.end_of_rib = EndOfRib::At(Goal::new(tail));
                }
            });
            self.wake = true;
        }
    }

    // Reading.

    /// Whether [`Group::settle`] would do something.
    pub(super) fn is_unsettled(&self) -> bool {
        self.wake || self.tail > self.settled
    }

    /// Lets everything that has been recorded be read, and wakes the readers that have something
    /// to read.
    pub(super) fn settle(&mut self, held: bool, mut wake: impl FnMut(PeerSlot)) {
        if !self.is_unsettled() {
            return;
        }
        self.settled = self.tail;
        self.wake = false;
        // Who may not do all that it has to, because of another plane, is woken for nothing.
        let turn = Turn {
            end_of_rib_held: held,
            refresh_held: false,
        };
        for reader in self.readers.iter() {
            if self.has_work(reader, turn) {
                wake(reader.slot);
            }
        }
    }

    /// Whether a read by this reader would give it something, or move it.
    pub(super) fn has_work(&self, reader: &Reader, turn: Turn) -> bool {
        if reader.lost {
            return false;
        }
        reader.chunk.is_some()
            || self.has_more(reader)
            || (!turn.end_of_rib_held && reader.end_of_rib_is_due())
            || reader.refresh_is_due(self.settled, turn)
    }

    /// Whether there are entries after the reader's cursor that it may read. A group that has
    /// only begun to be built lets its readers wait, so that they begin at the same place.
    fn has_more(&self, reader: &Reader) -> bool {
        let only_begun = self.unbuilt.is_some() && self.settled == LOG_START;
        reader.cursor < self.settled && !only_begun
    }

    /// Delivers to one reader until there is nothing left (`false`), the budget in octets is used
    /// up, or [`MAX_CHUNKS_PER_READ`] chunks have been entered (`true`).
    pub(super) fn read(
        &mut self,
        reader: usize,
        words: &Words<'_>,
        turn: Turn,
        budget: &mut usize,
        out: &mut Vec<Bytes>,
    ) -> bool {
        for entered in 0..=MAX_CHUNKS_PER_READ {
            if !self.readers.deliver(reader, budget, out) {
                return true;
            }
            self.deliver_markers(reader, turn, budget, out);
            let Some(place) = self.readers.get(reader) else {
                return false;
            };
            if place.lost || !self.has_more(place) {
                return false;
            }
            if *budget == 0 || entered == MAX_CHUNKS_PER_READ {
                return true;
            }
            let chunk = self.chunk_at(place.cursor, place.floor, words);
            self.readers
                .change(reader, |reader| reader.chunk = Some((chunk, 0)));
        }
        true
    }

    fn deliver_markers(
        &mut self,
        reader: usize,
        turn: Turn,
        budget: &mut usize,
        out: &mut Vec<Bytes>,
    ) {
        let (tail, settled) = (self.tail, self.settled);
        let next = |reader: &mut Reader| reader.next_marker(tail, settled, turn);
        while let Some(marker) = self.readers.change(reader, next).flatten() {
            if let Some(bytes) = chunk::marker(&self.profile, marker) {
                *budget = budget.saturating_sub(bytes.len());
                out.push(bytes);
            }
        }
    }

    /// The chunk that begins at `start`, as old as a reader with this `floor` may take it.
    fn chunk_at(&mut self, start: u64, floor: u64, words: &Words<'_>) -> Arc<Chunk> {
        let mut oldest = self.purged.max(floor);
        if start == FROM_NOTHING {
            // A new peer does not hear of routes that are known to be gone; one that returned
            // would hear even of its own.
            oldest = oldest.max(self.withdrawn);
        }
        if let Some(chunk) = self.cache.get(start, oldest, self.tail) {
            return Arc::clone(chunk);
        }
        let chunk = Arc::new(Chunk::encode(self, start, words));
        self.cache.insert(start, &chunk);
        chunk
    }

    // Tombstones.

    /// Purges tombstones that no reader needs any more, for one unit of `budget` each, and adds
    /// their prefixes to `purged`. Says whether there are more.
    pub(super) fn purge(&mut self, budget: &mut usize, purged: &mut Vec<PrefixId>) -> bool {
        let limit = self.readers.oldest_hold().unwrap_or(u64::MAX);
        while let Some((seq, prefix)) = self.tombstones.next_after(self.passed) {
            if seq > limit {
                return false;
            }
            if *budget == 0 {
                return true;
            }
            *budget -= 1;
            self.passed = seq;
            let entry = self.entry(prefix);
            if entry.seq() == seq {
                self.purged = seq;
                self.entries[prefix.index()] = Entry::default();
                self.bury(entry);
                purged.push(prefix);
            }
        }
        self.peak = self.announced();
        false
    }

    /// Gives up the readers that hold back more tombstones than there may be, and adds them to
    /// `lost`. To be called when [`Group::purge`] has nothing more to do.
    pub(super) fn give_up_laggards(&mut self, lost: &mut Vec<PeerSlot>) {
        if self.tombstones.live() <= MAX_TOMBSTONES.max(2 * self.peak) {
            return;
        }
        let Some(oldest) = self.readers.oldest_hold() else {
            return;
        };
        self.readers.change_all(|reader| {
            if reader.hold() == Some(oldest) {
                reader.lost = true;
                reader.chunk = None;
                lost.push(reader.slot);
            }
        });
    }

    /// Gives back what the entries from `next` on refer to, for one unit of `budget` each; for a
    /// group without readers. Returns where to go on; `None` when nothing is left.
    pub(super) fn dissolve(
        &mut self,
        next: usize,
        budget: &mut usize,
        interner: &mut Interner,
        emptied: &mut Vec<PrefixId>,
    ) -> Option<usize> {
        let end = self.entries.len().min(next.saturating_add(*budget));
        *budget -= end - next;
        for index in next..end {
            let entry = std::mem::take(&mut self.entries[index]);
            if let Some(attributes) = entry.attributes {
                interner.release(attributes);
            }
            if !entry.is_empty() {
                emptied.push(PrefixId::new(index));
            }
        }
        (end < self.entries.len()).then_some(end)
    }

    /// Whether the group's own invariants hold.
    ///
    /// # Errors
    /// The first that does not.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_live = |seq, prefix: PrefixId| self.entry(prefix).seq() == seq;
        self.log.check(is_live)?;
        self.tombstones.check(is_live)?;
        self.readers.check(self.settled, self.tail)?;
        self.cache.check()?;
        let entries = self.entries.iter().filter(|entry| !entry.is_empty());
        let tombstones = self.entries.iter().filter(|entry| entry.is_tombstone());
        if entries.count() != self.log.live() || tombstones.count() != self.tombstones.live() {
            return Err("log and entries disagree".into());
        }
        if self.settled > self.tail || self.readers.is_empty() {
            return Err(format!(
                "{} readers, settled to {} of {}",
                self.readers.len(),
                self.settled,
                self.tail
            ));
        }
        Ok(())
    }
}
