//! Chunks: stretches of a group's log, packed and encoded once for all readers that pass there.

use super::attributes::Interner;
use super::export::{self, ExportProfile, Exported, Plane};
use super::group::{Entry, Group};
use super::ids::{AttributesId, PrefixId, Serial};
use super::peers::{PeerSlot, Peers};
use super::readers::{FROM_NOTHING, Marker};
use super::table::Routes;
use crate::prefix::{IpNet, Nlri};
use crate::wire::{self, RefreshSubtype, RouteRefresh};
use bytes::{Bytes, BytesMut};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

/// A chunk ends after about this many octets of messages. What a reader that stalls inside a
/// chunk keeps from being freed is this and one message more.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// A chunk ends after this many entries. Bounds the time that encoding takes at a stretch.
pub const MAX_CHUNK_ENTRIES: usize = 4096;

/// A chunk ends after this many records of the log were looked at, dead ones included.
const MAX_CHUNK_RECORDS: usize = 4 * MAX_CHUNK_ENTRIES;

/// Chunks that a group keeps for readers to come, in octets. When there are more, the one encoded
/// first is dropped; a reader that comes for it gets the stretch encoded anew.
pub const MAX_CACHE_BYTES: usize = 8 * 1024 * 1024;

/// The same limit in chunks, for groups whose chunks are tiny.
const MAX_CACHED_CHUNKS: usize = 4096;

/// A stretch of the log in octets.
pub(super) struct Chunk {
    /// The place behind the stretch: the reader's next cursor.
    pub(super) end: u64,
    /// Where the log ended when this was encoded. What it says is what was true then.
    pub(super) encoded_tail: u64,
    /// How many entries it speaks of.
    entries: usize,
    /// The length of all messages.
    bytes: usize,
    /// In any order: there is one entry for each prefix.
    pub(super) messages: Vec<Message>,
}

/// One UPDATE.
pub(super) struct Message {
    pub(super) bytes: Bytes,
    audience: Audience,
    announces: bool,
}

/// Who hears a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Audience {
    All,
    /// All but the one that said so.
    AllBut(Serial),
    /// The one alone that said so, having been told before that another did.
    Only(Serial),
    /// The one alone whose former session said so.
    Returned(Serial),
}

impl Message {
    /// Whether the reader of session `serial` hears this. What the same peer announced in its
    /// session before (`former`) is not announced to it either.
    pub(super) fn is_for(&self, serial: Serial, former: Option<Serial>) -> bool {
        match self.audience {
            Audience::All => true,
            Audience::AllBut(source) => {
                source != serial && !(self.announces && Some(source) == former)
            }
            Audience::Only(source) => source == serial,
            Audience::Returned(source) => Some(source) == former,
        }
    }
}

/// What encoding needs beside the group.
pub(super) struct Words<'a> {
    pub(super) routes: &'a Routes,
    pub(super) peers: &'a Peers,
    pub(super) attributes: &'a Interner,
}

impl Chunk {
    /// Encodes the stretch that begins after `start`.
    pub(super) fn encode(group: &Group, start: u64, words: &Words<'_>) -> Self {
        let mut packer = Packer::new(group.profile(), words);
        let mut end = group.settled();
        let mut last = start;
        for (looked_at, (seq, prefix)) in group.log().after(start).enumerate() {
            if seq > group.settled() {
                break;
            }
            if looked_at >= MAX_CHUNK_RECORDS || packer.is_full() {
                end = last;
                break;
            }
            last = seq;
            let entry = group.entry(prefix);
            // A reader that has been told nothing has nothing to forget.
            let only_announce = start == FROM_NOTHING;
            if entry.seq() == seq && !(only_announce && entry.is_tombstone()) {
                packer.add(prefix, entry, only_announce);
            }
        }
        packer.finish(end, group.tail())
    }

    /// Whether so much has changed since that readers are better served by encoding anew. Who is
    /// behind hears at most this many things that are no longer so.
    fn is_stale(&self, tail: u64) -> bool {
        const FEW: u64 = 256;
        tail - self.encoded_tail > FEW.max(self.entries as u64 / 8)
    }
}

/// Sorts the entries of a stretch by what is said about them and to whom.
struct Packer<'a> {
    profile: &'a ExportProfile,
    words: &'a Words<'a>,
    /// In the order in which their words came up.
    announcements: Vec<Announcement>,
    /// The announcement of each attribute set and source. Only ever probed.
    by_source: HashMap<(AttributesId, PeerSlot), usize, FixedState>,
    /// The announcement of each audience and words: what differs on receipt may be the same on
    /// its way out. Only ever probed.
    by_words: HashTable<usize>,
    hasher: FixedState,
    withdraws: BTreeMap<Audience, Vec<Nlri>>,
    entries: usize,
    /// About how long all messages will be.
    bytes: usize,
}

/// Prefixes of which the same is said to the same readers.
struct Announcement {
    audience: Audience,
    words: Exported,
    nlri: Vec<Nlri>,
}

impl<'a> Packer<'a> {
    fn new(profile: &'a ExportProfile, words: &'a Words<'a>) -> Self {
        Self {
            profile,
            words,
            announcements: Vec::new(),
            by_source: HashMap::default(),
            by_words: HashTable::new(),
            hasher: FixedState::default(),
            withdraws: BTreeMap::new(),
            entries: 0,
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.entries >= MAX_CHUNK_ENTRIES || self.bytes >= MAX_CHUNK_BYTES
    }

    fn add(&mut self, prefix: PrefixId, entry: Entry, only_announce: bool) {
        let Some(prefix_itself) = self.words.routes.prefixes.get(prefix) else {
            return;
        };
        let nlri = self.profile.nlri(prefix_itself);
        self.entries += 1;
        if let Some(owed) = entry.owed().filter(|_| !only_announce) {
            self.withdraw(Audience::Only(owed), nlri);
        }
        if let Some(departed) = self.departed(prefix, entry).filter(|_| !only_announce) {
            self.withdraw(Audience::Returned(departed), nlri);
        }
        let audience = entry.source().map_or(Audience::All, Audience::AllBut);
        match entry
            .attributes()
            .and_then(|id| self.announcement(prefix, id, audience))
        {
            Some(place) => {
                self.bytes += nlri_len(&nlri);
                self.announcements[place].nlri.push(nlri);
            }
            None => self.withdraw(audience, nlri),
        }
    }

    /// The source of a route whose session is gone. Its peer may be back, and have been told
    /// before that another is the source: what comes back to it now is a withdraw.
    fn departed(&self, prefix: PrefixId, entry: Entry) -> Option<Serial> {
        let source = entry.source().filter(|_| !entry.is_tombstone())?;
        let path = self.words.routes.told(self.profile.plane, prefix)?;
        let peer = self.words.peers.get(path.peer)?;
        (!peer.up && peer.serial == source).then_some(source)
    }

    fn withdraw(&mut self, audience: Audience, nlri: Nlri) {
        /// Header and the two length fields, or the head of MP_UNREACH_NLRI.
        const OVERHEAD: usize = 30;
        let withdraws = self.withdraws.entry(audience).or_insert_with(|| {
            self.bytes += OVERHEAD;
            Vec::new()
        });
        self.bytes += nlri_len(&nlri);
        withdraws.push(nlri);
    }

    /// The place of the announcement to which a prefix with these attributes belongs. `None` when
    /// the route is not announced after all; [`Group::admits`] has made sure that it is.
    fn announcement(
        &mut self,
        prefix: PrefixId,
        attributes: AttributesId,
        audience: Audience,
    ) -> Option<usize> {
        let path = self.words.routes.told(self.profile.plane, prefix)?;
        let source = (attributes, path.peer);
        if let Some(place) = self.by_source.get(&source) {
            return Some(*place);
        }
        let Words {
            routes,
            peers,
            attributes,
        } = self.words;
        let route = routes.route(path, peers, attributes)?;
        let words = export::export(self.profile, &route).ok()?;
        let place = self.place_of(audience, words, &route.prefix);
        self.by_source.insert(source, place);
        Some(place)
    }

    /// The place of the announcement of these words to this audience, a new one if need be.
    fn place_of(&mut self, audience: Audience, words: Exported, prefix: &IpNet) -> usize {
        let announcements = &self.announcements;
        let hash = self.hasher.hash_one((audience, &words));
        let is_same = |place: &usize| {
            let other = &announcements[*place];
            other.audience == audience && other.words == words
        };
        if let Some(place) = self.by_words.find(hash, is_same) {
            return *place;
        }
        self.bytes += export::message_len(self.profile, &words, prefix);
        let place = self.announcements.len();
        self.announcements.push(Announcement {
            audience,
            words,
            nlri: Vec::new(),
        });
        let (announcements, hasher) = (&self.announcements, &self.hasher);
        self.by_words.insert_unique(hash, place, |place| {
            let other = &announcements[*place];
            hasher.hash_one((other.audience, &other.words))
        });
        place
    }

    fn finish(mut self, end: u64, encoded_tail: u64) -> Chunk {
        let (family, context) = (self.profile.family, self.profile.encode_context());
        let mut announced = Vec::new();
        for announcement in std::mem::take(&mut self.announcements) {
            let Announcement {
                audience,
                words:
                    Exported {
                        attributes,
                        next_hop,
                    },
                nlri,
            } = announcement;
            let mut out = Vec::new();
            match wire::announce(family, &next_hop, &attributes, &nlri, &context, &mut out) {
                Ok(()) => announced.push((audience, out)),
                // Each route fits by itself, or it would not have been admitted.
                Err(_) => nlri
                    .into_iter()
                    .for_each(|nlri| self.withdraw(audience, nlri)),
            }
        }
        let withdrawn = self.withdraws.iter().map(|(audience, nlri)| {
            let mut out = Vec::new();
            wire::withdraw(family, nlri, &context, &mut out);
            (*audience, out)
        });
        let messages: Vec<Message> = withdrawn
            .map(|(audience, out)| (audience, false, out))
            .chain(
                announced
                    .into_iter()
                    .map(|(audience, out)| (audience, true, out)),
            )
            .flat_map(|(audience, announces, out)| {
                out.into_iter().map(move |bytes| Message {
                    bytes,
                    audience,
                    announces,
                })
            })
            .collect();
        Chunk {
            end,
            encoded_tail,
            entries: self.entries,
            bytes: messages.iter().map(|message| message.bytes.len()).sum(),
            messages,
        }
    }
}

/// A marker as a message. Of two planes the first says what stands at the beginning, the second
/// what stands at the end.
pub(super) fn marker(profile: &ExportProfile, marker: Marker) -> Option<Bytes> {
    let subtype = match (profile.plane, marker) {
        (Plane::Best, Marker::EndOfRib | Marker::RefreshEnd)
        | (Plane::Rival, Marker::RefreshBegin) => return None,
        (Plane::Single | Plane::Rival, Marker::EndOfRib) => {
            return Some(wire::end_of_rib(profile.family));
        }
        (Plane::Single | Plane::Best, Marker::RefreshBegin) => RefreshSubtype::Begin,
        (Plane::Single | Plane::Rival, Marker::RefreshEnd) => RefreshSubtype::End,
    };
    let message = wire::Message::RouteRefresh(RouteRefresh {
        family: profile.family.afi_safi(),
        subtype,
    });
    let mut out = BytesMut::new();
    // A ROUTE-REFRESH has a fixed length, and always fits.
    let _ = wire::encode_message(&message, &profile.encode_context(), &mut out);
    Some(out.freeze())
}

/// The octets of an NLRI, with its path identifier if there is one.
fn nlri_len(nlri: &Nlri) -> usize {
    let identifier = if nlri.path_id == 0 { 0 } else { 4 };
    identifier + 1 + usize::from(nlri.prefix.prefix_len()).div_ceil(8)
}

/// The chunks that a group keeps for readers to come.
#[derive(Default)]
pub(super) struct ChunkCache {
    by_start: BTreeMap<u64, Arc<Chunk>>,
    /// In the order of encoding: beginning and [`Chunk::encoded_tail`]. What has been replaced
    /// still stands here.
    order: VecDeque<(u64, u64)>,
    bytes: usize,
}

impl ChunkCache {
    /// The chunk that begins at `start`, if it was encoded when the log had come to `oldest`, and
    /// not long before `tail`.
    pub(super) fn get(&self, start: u64, oldest: u64, tail: u64) -> Option<&Arc<Chunk>> {
        self.by_start
            .get(&start)
            .filter(|chunk| chunk.encoded_tail >= oldest && !chunk.is_stale(tail))
    }

    /// The octets of all chunks kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a chunk that has just been encoded, in place of another with the same beginning.
    pub(super) fn insert(&mut self, start: u64, chunk: &Arc<Chunk>) {
        self.bytes += chunk.bytes;
        self.order.push_back((start, chunk.encoded_tail));
        if let Some(replaced) = self.by_start.insert(start, Arc::clone(chunk)) {
            self.bytes -= replaced.bytes;
        }
        while let Some((start, encoded_tail)) = self.order.front().copied() {
            let current = self
                .by_start
                .get(&start)
                .filter(|chunk| chunk.encoded_tail == encoded_tail);
            let useless = current.is_none_or(|current| current.is_stale(chunk.encoded_tail));
            let full = self.bytes > MAX_CACHE_BYTES || self.order.len() > MAX_CACHED_CHUNKS;
            if !useless && !full {
                return;
            }
            self.order.pop_front();
            if let Some(dropped) = current.map(|chunk| chunk.bytes) {
                self.bytes -= dropped;
                self.by_start.remove(&start);
            }
        }
    }

    /// Whether counts and limits hold.
    ///
    /// # Errors
    /// What does not.
    pub(super) fn check(&self) -> Result<(), String> {
        let bytes: usize = self.by_start.values().map(|chunk| chunk.bytes).sum();
        let within = bytes <= MAX_CACHE_BYTES && self.order.len() <= MAX_CACHED_CHUNKS;
        if bytes != self.bytes || !within || self.by_start.len() > self.order.len() {
            return Err(format!("{bytes} octets of chunks, {} counted", self.bytes));
        }
        Ok(())
    }
}
