//! The routing information base: what peers said, what is best, and what they are told.
//!
//! # The way of a route
//!
//! ```text
//! Rib::update ── import ──► Table::announce ──► decision::select ──► LocRib::set_best
//!  (one UPDATE)  (loops,     (Adj-RIB-In)        (numbered steps)         │ BestChange
//!                policy)                                                   ▼
//! Rib::transmit ◄── Group::read ◄── Chunk ◄── Log ◄── Group::record ◄── Table::tell
//!  (pulled)         (a cursor)     (encoded once)       (export: may they know?)
//! ```
//!
//! Bytes are pulled. A change is a record in the log of each update group that may know of it,
//! nothing is queued for a peer, and words are chosen and encoded when the first peer of a group
//! reads. See `group.rs` for the log, which is the heart of it all.
//!
//! # What there is, and how many
//!
//! | type | one for each | holds |
//! |---|---|---|
//! | [`Rib`] | router | everything below; one owner, no locks |
//! | `Table` | family | prefixes, paths, best paths, groups |
//! | `PrefixTable`, `Paths`, `LocRib` | family | slabs of dense numbers |
//! | `Interner` | router | attribute sets, each once |
//! | `Peers` | router | a slot for each established session |
//! | `Changes` | family | which prefixes whoever installs routes has to be told of |
//! | `NextHops` | router | what can be reached, and which next hops are in use |
//! | `Group` | [`ExportProfile`] | entries, their log, cursors, encoded chunks |
//!
//! # How to call it
//!
//! - Tell: [`Rib::peer_up`], [`Rib::update`], [`Rib::refresh`], [`Rib::begin_repeat`],
//!   [`Rib::end_repeat`], [`Rib::peer_down`], [`Rib::forget`], [`Rib::set_next_hop`], [`Rib::set_settings`], [`Rib::originate`],
//!   [`Rib::withdraw`]. None of them sends anything.
//! - Then: [`Rib::work`] with a budget until it says that there is no more, in slices between
//!   other things; and, when [`Rib::unsettled`], [`Rib::settle`] as soon as the burst is over.
//! - Then: for each slot that [`Rib::poll_ready`] gives, [`Rib::transmit`] whenever its transport
//!   takes bytes, until it says that there is no more. A slot is given again after that, when
//!   there is something new. [`Rib::poll_laggard`] gives sessions that have to be ended.
//! - Where routes are installed: [`Rib::poll_route_change`] and [`Rib::poll_next_hop`], whenever
//!   somebody has room for what they give.
//!
//! # Invariants ([`Rib::check`])
//!
//! - The best path of a prefix is one of its paths, and no other that may be used beats it.
//! - A group's entry of a prefix announces the best path's attributes exactly when the group's
//!   profile admits the route.
//! - Attribute sets are referred to as often as they are counted; prefixes and paths likewise.
//! - The same calls give the same answers and the same octets. Hash tables are probed, never
//!   walked, so [`RibSettings::hash_seed`] cannot be told from outside.
//! - Every call does bounded work: that of one UPDATE, one budget, or one reader.
//!
//! This room never knows of sessions and transports. RFC 4271 §3.2, §9; 1997, 2918, 4456, 4724,
//! 6793, 7313, 7911, 8212, 8654, 8950.

mod attributes;
mod changes;
mod check;
mod chunk;
mod decision;
mod export;
mod group;
mod ids;
mod import;
mod loc_rib;
mod log;
mod next_hops;
mod paths;
mod peers;
mod prefixes;
mod readers;
mod reading;
mod rejudge;
mod repeat;
mod stale;
mod table;
mod update;
mod views;

pub use attributes::RouteAttributes;
pub use changes::{BestRoute, MAX_RIVALS, RouteChange, RouteOrigin};
pub use chunk::{MAX_CACHE_BYTES, MAX_CHUNK_BYTES, MAX_CHUNK_ENTRIES};
pub use decision::{Candidate, DEFAULT_LOCAL_PREF, Reason, Selection, Source, compare, select};
pub use export::{ExportProfile, Exported, NextHopRule, Plane, Refusal, Route, export};
pub use group::{MAX_CHUNKS_PER_READ, MAX_TOMBSTONES};
pub use import::Ineligible;
pub use next_hops::{NextHopInterest, Reachability};
pub use peers::{MAX_SESSIONS, PeerFacts, PeerSlot};
pub use table::MAX_PATHS_OF_PEER;
pub use update::UpdateSummary;
pub use views::{
    AnnouncedView, Counts, Cursor, Explanation, GroupId, GroupView, Page, PathState, PathView,
    PeerSummary, TableSummary, Verdict,
};

use crate::family::{Family, FamilyMap, FamilySet};
use crate::types::{Asn, ClusterId, RouterId};
use attributes::Interner;
use bytes::Bytes;
use next_hops::NextHops;
use peers::Peers;
use std::collections::VecDeque;
use table::Table;

/// What holds for the whole router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RibSettings {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Our cluster (RFC 4456 §7).
    pub cluster_id: ClusterId,
    /// Whether routes of clients are reflected to clients (RFC 4456 §10).
    pub client_to_client: bool,
    /// Whether somebody installs routes, and has to be told of them ([`Rib::poll_route_change`]).
    pub install: bool,
    /// At most this many next hops are told with a best path.
    pub multipath: u8,
    /// Whether a next hop of which we have not been told cannot be reached; which ones are in use
    /// is told then ([`Rib::poll_next_hop`]).
    pub track_next_hops: bool,
    /// Guards hash tables whose keys peers choose. It influences no answer.
    pub hash_seed: u64,
}

/// The routing information base.
pub struct Rib {
    shared: Shared,
    tables: FamilyMap<Table>,
    /// Families of sessions that are gone whose paths are not, oldest first.
    draining: VecDeque<(PeerSlot, Family)>,
    /// Tables that peers have repeated, each once, out of which what they left out has to go.
    repeated: VecDeque<(PeerSlot, Family)>,
    /// Which kind of work begins the next slice, so that none starves another.
    turn: usize,
    /// Which family's changes are told next.
    change_turn: bool,
}

/// What the tables of all families have in common.
struct Shared {
    settings: RibSettings,
    peers: Peers,
    attributes: Interner,
    next_hops: NextHops,
    /// Sessions that have something to read, in the order in which they came to have it.
    ready: VecDeque<PeerSlot>,
    /// Sessions that have to be ended.
    laggards: VecDeque<PeerSlot>,
    /// End-of-RIB markers are held back.
    held: bool,
}

impl Shared {
    /// Notes that a session has something to read, unless it knows.
    fn wake(&mut self, slot: PeerSlot) {
        if let Some(peer) = self.peers.get_mut(slot)
            && peer.up
            && peer.idle
        {
            peer.idle = false;
            self.ready.push_back(slot);
        }
    }
}

impl Rib {
    /// An empty RIB.
    pub fn new(settings: RibSettings) -> Self {
        let seed = settings.hash_seed;
        Self {
            tables: FamilyMap::new(|family| Table::new(family, &settings)),
            shared: Shared {
                peers: Peers::new(&settings),
                attributes: Interner::new(seed),
                next_hops: NextHops::new(settings.track_next_hops, seed),
                ready: VecDeque::new(),
                laggards: VecDeque::new(),
                held: false,
                settings,
            },
            draining: VecDeque::new(),
            repeated: VecDeque::new(),
            turn: 0,
            change_turn: false,
        }
    }

    // Tell.

    /// A session has been established: it may speak now, and has everything to read. A session
    /// that the same peer still had is taken to be down. `None` when there are [`MAX_SESSIONS`]
    /// already; the session has to be refused then (Cease, Out of Resources).
    pub fn peer_up(&mut self, facts: PeerFacts) -> Option<PeerSlot> {
        if let Some(old) = self.shared.peers.find(facts.peer) {
            self.peer_down(old, FamilySet::EMPTY);
        }
        let of_family = |family| facts.profiles(family, &self.shared.settings);
        let profiles: Vec<_> = facts.families.iter().flat_map(of_family).collect();
        let slot = self.shared.peers.insert(facts)?;
        for profile in profiles {
            self.tables[profile.family].join(&mut self.shared, slot, profile);
        }
        if self
            .tables
            .iter()
            .any(|(_, table)| table.has_work(&self.shared, slot))
        {
            self.shared.wake(slot);
        }
        Some(slot)
    }

    /// The session is gone. It reads no more; its paths are removed by [`Rib::work`], but for
    /// those of the families in `keep`: they stay as they are (RFC 4724 §4.2) until the returned
    /// peer says them again, path by path, or [`Rib::forget`] is called.
    pub fn peer_down(&mut self, slot: PeerSlot, keep: FamilySet) {
        if slot == PeerSlot::LOCAL || self.shared.peers.get(slot).is_none_or(|peer| !peer.up) {
            return;
        }
        for (_, table) in self.tables.iter_mut() {
            table.leave(&mut self.shared, slot);
        }
        self.shared.peers.set_down(slot);
        for family in keep.iter() {
            self.tables[family].find_stale();
        }
        if let Some(peer) = self.shared.peers.get_mut(slot) {
            peer.kept = FamilySet::ALL;
        }
        let gone = Family::ALL
            .into_iter()
            .filter(|family| !keep.contains(*family));
        self.forget(slot, gone.collect());
    }

    /// The paths of `families` that were kept when the session in `slot` ended are not wanted any
    /// more. [`Rib::work`] removes them; the slot is free once all of its families are gone.
    pub fn forget(&mut self, slot: PeerSlot, families: FamilySet) {
        let Some(peer) = self.shared.peers.get_mut(slot).filter(|peer| !peer.up) else {
            return;
        };
        for family in peer.kept.intersection(families).iter() {
            peer.kept.remove(family);
            peer.draining.insert(family);
            self.draining.push_back((slot, family));
        }
    }

    /// The peer asks for everything again (RFC 2918). The table is repeated once it has been
    /// told in full; further requests meanwhile cost one repetition, however many they are. Needs
    /// a [`Rib::settle`].
    pub fn refresh(&mut self, slot: PeerSlot, family: Family) {
        self.tables[family].refresh(&self.shared.peers, slot);
    }

    /// Holds End-of-RIB markers back, or lets them go (RFC 4724 §4.1: a speaker that has
    /// restarted sends them when it has heard from its peers). Needs a [`Rib::settle`].
    pub fn hold_end_of_rib(&mut self, hold: bool) {
        let released = std::mem::replace(&mut self.shared.held, hold) && !hold;
        if released {
            for (_, table) in self.tables.iter_mut() {
                let groups = table.groups.iter_mut().flatten();
                groups.for_each(group::Group::release_end_of_rib);
            }
        }
    }

    // Work.

    /// One slice of background work, of at most `budget` paths, prefixes or entries: clearing
    /// away sessions that are gone, building groups, purging tombstones, following next hops.
    /// Says whether there is more.
    pub fn work(&mut self, budget: usize) -> bool {
        const KINDS: usize = 6;
        let (mut budget, mut more) = (budget, false);
        for kind in 0..KINDS {
            more |= match (self.turn + kind) % KINDS {
                0 => self.drain(&mut budget),
                1 => self.on_tables(&mut budget, Table::build),
                2 => self.on_tables(&mut budget, Table::sweep),
                3 => self.on_tables(&mut budget, Table::purge),
                4 => self.drop_unrepeated(&mut budget),
                _ => self.on_tables(&mut budget, Table::dissolve),
            };
        }
        self.turn = (self.turn + 1) % KINDS;
        more
    }

    fn drain(&mut self, budget: &mut usize) -> bool {
        while let Some((slot, family)) = self.draining.front().copied() {
            if self.tables[family].drain(&mut self.shared, slot, budget) {
                return true;
            }
            self.draining.pop_front();
            let Some(peer) = self.shared.peers.get_mut(slot) else {
                continue;
            };
            peer.draining.remove(family);
            if peer.draining.is_empty() && peer.kept.is_empty() {
                self.shared.peers.free(slot);
            }
        }
        false
    }

    fn on_tables(
        &mut self,
        budget: &mut usize,
        work: impl Fn(&mut Table, &mut Shared, &mut usize) -> bool,
    ) -> bool {
        let mut more = false;
        for (_, table) in self.tables.iter_mut() {
            more |= work(table, &mut self.shared, budget);
        }
        more
    }

    /// Whether something has been recorded that readers may not read yet.
    pub fn unsettled(&self) -> bool {
        let mut groups = self
            .tables
            .iter()
            .flat_map(|(_, table)| table.groups.iter().flatten());
        groups.any(group::Group::is_unsettled)
    }

    /// Lets readers read everything that has been recorded, and wakes those that have something
    /// to read. Costs a step for each reader of each group that has news.
    pub fn settle(&mut self) {
        for (_, table) in self.tables.iter_mut() {
            for group in table.groups.iter_mut().flatten() {
                group.settle(self.shared.held, |slot| self.shared.wake(slot));
            }
        }
    }

    // Poll.

    /// A session that has something to read: call [`Rib::transmit`] for it until that says that
    /// there is no more; then it is given again when there is.
    pub fn poll_ready(&mut self) -> Option<PeerSlot> {
        loop {
            let slot = self.shared.ready.pop_front()?;
            if self
                .shared
                .peers
                .get(slot)
                .is_some_and(|peer| peer.up && !peer.idle)
            {
                return Some(slot);
            }
        }
    }

    /// A session that has fallen so far behind that it cannot be told the truth any more: it has
    /// not read while [`MAX_TOMBSTONES`] prefixes came and went. It has to be ended (Cease, Out
    /// of Resources).
    pub fn poll_laggard(&mut self) -> Option<PeerSlot> {
        loop {
            let slot = self.shared.laggards.pop_front()?;
            if self.shared.peers.get(slot).is_some_and(|peer| peer.up) {
                return Some(slot);
            }
        }
    }

    /// Appends messages for one session to `out`: whole ones, shared with all that hear the same,
    /// until `budget` octets are reached (the last message may go beyond it). Says whether there
    /// is more now.
    pub fn transmit(&mut self, slot: PeerSlot, budget: usize, out: &mut Vec<Bytes>) -> bool {
        let Some(peer) = self.shared.peers.get_mut(slot).filter(|peer| peer.up) else {
            return false;
        };
        // Families take turns to be first.
        let mut families = Family::ALL;
        if peer.turn {
            families.reverse();
        }
        peer.turn = !peer.turn;
        let (mut budget, mut more) = (budget, false);
        for family in families {
            more |= self.tables[family].read(&self.shared, slot, &mut budget, out);
        }
        if let Some(peer) = self.shared.peers.get_mut(slot) {
            peer.idle = !more;
        }
        more
    }
}
