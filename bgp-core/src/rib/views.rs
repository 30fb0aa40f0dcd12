//! Answers to questions: plain values that refer to nothing inside.
//!
//! Answers that may be long come in pages: ask again with the cursor that came with the last
//! page. A page is what is true now; between two pages the table may change.

use super::Rib;
use super::attributes::RouteAttributes;
use super::decision::Reason;
use super::export::{self, ExportProfile, Plane, Refusal};
use super::group::Group;
use super::ids::PrefixId;
use super::import::Ineligible;
use super::paths::Path;
use super::peers::{PeerSlot, PeerTable};
use super::readers::EndOfRib;
use super::table::{self, Table};
use crate::family::{Family, FamilyMap};
use crate::prefix::{IpNet, family_of};
use crate::types::PeerId;
use crate::wire::{NextHop, PathAttributes};
use std::sync::Arc;

/// One page looks at no more than this many prefixes, so a page may be empty and still not be the
/// last.
const MAX_LOOKED_AT: usize = 4096;

/// Where the next page begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor(u32);

impl From<u32> for Cursor {
    /// The cursor that [`u32::from`] gave the number of, to keep it as text.
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<Cursor> for u32 {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

/// A part of a long answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The items, in no order that means anything, but always in the same.
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// A path: what a peer said about a prefix, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathView {
    /// Who said it; `None`: we did.
    pub peer: Option<PeerId>,
    /// The prefix.
    pub prefix: IpNet,
    /// Path identifier; 0 without add-path.
    pub path_id: u32,
    /// What was said.
    pub attributes: Arc<RouteAttributes>,
    /// What became of it.
    pub state: PathState,
}

/// What became of a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PathState {
    /// It is the best.
    Best,
    /// It may be used, and another one is preferred (or its next hop cannot be reached).
    Lost(Reason),
    /// It may not be used.
    Ineligible(Ineligible),
}

/// A route as a peer is told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnouncedView {
    /// The prefix.
    pub prefix: IpNet,
    /// Path identifier; 0 where several paths were not negotiated.
    pub path_id: u32,
    /// Who we have it from; `None`: we originate it.
    pub peer: Option<PeerId>,
    /// The words but for the next hop.
    pub attributes: PathAttributes,
    /// The next hop.
    pub next_hop: NextHop,
}

/// All that is known about a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Its paths.
    pub paths: Vec<PathView>,
    /// What each group of its family is told.
    pub groups: Vec<(GroupId, Verdict)>,
}

/// What a group is told about a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There is no best path; in a group of second paths, no other originator's.
    NoRoute,
    /// The route, but for the peer that it came from.
    Announced,
    /// Nothing.
    Refused(Refusal),
}

/// Names a group while it has readers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId {
    /// Its family.
    pub family: Family,
    /// Its place among the family's groups.
    pub place: usize,
}

/// An update group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupView {
    /// Its name.
    pub id: GroupId,
    /// What its peers have in common. Comparing two profiles says why two peers do not share.
    pub profile: ExportProfile,
    /// How many peers read it.
    pub readers: usize,
    /// Prefixes that are announced to it.
    pub announced: usize,
    /// Withdraws kept for readers that have not come to them yet.
    pub tombstones: usize,
    /// Records of its log.
    pub log_records: usize,
    /// Octets of encoded chunks kept.
    pub cached_bytes: usize,
    /// How often a route was not announced because its message would have been too long.
    pub too_long: u64,
    /// Whether it still has to be given what was known before it was there.
    pub building: bool,
}

/// What a session has said and heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerSummary {
    /// For each family; `None` where it was not negotiated.
    pub tables: FamilyMap<Option<TableSummary>>,
}

/// What a session has said and heard of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableSummary {
    /// Paths received.
    pub received: u32,
    /// Of these, paths that may be used.
    pub accepted: u32,
    /// Of these, paths that are best.
    pub best: u32,
    /// The group that it reads: of best paths, where it reads two.
    pub group: GroupId,
    /// The group of second paths that it reads, where several paths were negotiated.
    pub rivals: Option<GroupId>,
    /// Paths announced to those groups, those that came from this peer included.
    pub announced: usize,
    /// Changes between what it has been told and the end of the groups' logs. 0: in sync.
    pub behind: u64,
    /// End-of-RIB has been sent.
    pub end_of_rib: bool,
}

/// How much there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Prefixes known, by family.
    pub prefixes: FamilyMap<usize>,
    /// Paths, by family.
    pub paths: FamilyMap<usize>,
    /// Prefixes with a best path, by family.
    pub best: FamilyMap<usize>,
    /// Attribute sets.
    pub attributes: usize,
    /// Sessions that are gone and of which something is left: kept for a peer that restarts, or
    /// still being cleared away.
    pub departed: usize,
}

impl Rib {
    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            prefixes: FamilyMap::new(|family| self.tables[family].routes.prefixes.used()),
            paths: FamilyMap::new(|family| self.tables[family].routes.paths.len()),
            best: FamilyMap::new(|family| self.tables[family].routes.loc_rib.len()),
            attributes: self.shared.attributes.len(),
            departed: self.shared.peers.departed(),
        }
    }

    /// What a session has said and heard; `None` when there is no such session.
    pub fn summary(&self, slot: PeerSlot) -> Option<PeerSummary> {
        let peer = self.shared.peers.get(slot).filter(|peer| peer.up)?;
        Some(PeerSummary {
            tables: FamilyMap::new(|family| {
                self.table_summary(&self.tables[family], slot, &peer.tables[family])
            }),
        })
    }

    fn table_summary(
        &self,
        table: &Table,
        slot: PeerSlot,
        of_peer: &PeerTable,
    ) -> Option<TableSummary> {
        let readers = table.readers_of(&self.shared.peers, slot);
        let [first, second] = readers.map(|reader| {
            let family = table.family;
            let place = reader?.0.group;
            Some(GroupId { family, place })
        });
        let read = readers.iter().flatten();
        Some(TableSummary {
            received: of_peer.received,
            accepted: of_peer.received - of_peer.ineligible,
            best: of_peer.best,
            group: first?,
            rivals: second,
            announced: read.clone().map(|(_, group, _)| group.announced()).sum(),
            behind: read
                .clone()
                .map(|(_, group, reader)| group.tail().saturating_sub(reader.cursor))
                .sum(),
            end_of_rib: read
                .clone()
                .all(|(_, _, reader)| reader.end_of_rib == EndOfRib::Sent),
        })
    }

    /// All groups, by family and place.
    pub fn groups(&self) -> Vec<GroupView> {
        let view = |family, place, group: &Group| GroupView {
            id: GroupId { family, place },
            profile: group.profile().clone(),
            readers: group.readers().len(),
            announced: group.announced(),
            tombstones: group.tombstone_count(),
            log_records: group.log().len(),
            cached_bytes: group.cache().bytes(),
            too_long: group.too_long(),
            building: group.unbuilt().is_some(),
        };
        self.tables
            .iter()
            .flat_map(|(family, table)| {
                let groups = table.groups.iter().enumerate();
                groups.filter_map(move |(place, group)| Some(view(family, place, group.as_ref()?)))
            })
            .collect()
    }

    /// The best paths of a family.
    pub fn loc_rib(&self, family: Family, from: Option<Cursor>, limit: usize) -> Page<PathView> {
        let table = &self.tables[family];
        self.page(table, from, limit, |prefix| {
            let best = table.routes.best(prefix);
            best.and_then(|best| self.view(table, best))
        })
    }

    /// What a session has said, whether it may be used or not.
    pub fn adj_rib_in(
        &self,
        slot: PeerSlot,
        family: Family,
        from: Option<Cursor>,
        limit: usize,
    ) -> Page<PathView> {
        let table = &self.tables[family];
        self.page(table, from, limit, |prefix| {
            let paths = table.routes.paths.of_prefix(prefix);
            paths
                .filter(|(_, path)| path.peer == slot)
                .filter_map(|(_, path)| self.view(table, path))
        })
    }

    /// What a session ought to have been told once all is quiet, worked out for it alone, route
    /// by route, without its groups.
    pub fn adj_rib_out(
        &self,
        slot: PeerSlot,
        family: Family,
        from: Option<Cursor>,
        limit: usize,
    ) -> Page<AnnouncedView> {
        let profiles = self.profiles_of(slot, family);
        if profiles.is_empty() {
            return Page {
                items: Vec::new(),
                next: None,
            };
        }
        let table = &self.tables[family];
        self.page(table, from, limit, |prefix| {
            profiles
                .iter()
                .filter_map(move |profile| self.announced_by(table, profile, slot, prefix))
        })
    }

    /// What a session ought to have been told of one prefix, of the best path alone; `None` for
    /// nothing.
    pub fn announced_to(&self, slot: PeerSlot, prefix: &IpNet) -> Option<AnnouncedView> {
        let profiles = self.profiles_of(slot, family_of(prefix));
        let table = &self.tables[family_of(prefix)];
        let prefix = table.routes.prefixes.find(prefix)?;
        self.announced_by(table, profiles.first()?, slot, prefix)
    }

    /// One for each plane, the first for best paths; none when the family was not negotiated.
    fn profiles_of(&self, slot: PeerSlot, family: Family) -> Vec<ExportProfile> {
        let peer = self.shared.peers.get(slot);
        let facts = peer.and_then(|peer| peer.facts.as_ref());
        let carried = facts.filter(|facts| facts.families.contains(family));
        let settings = &self.shared.settings;
        let profiles = carried
            .into_iter()
            .flat_map(|facts| facts.profiles(family, settings));
        profiles.collect()
    }

    fn announced_by(
        &self,
        table: &Table,
        profile: &ExportProfile,
        slot: PeerSlot,
        prefix: PrefixId,
    ) -> Option<AnnouncedView> {
        let path = match profile.plane {
            Plane::Single | Plane::Best => table.routes.best(prefix)?,
            Plane::Rival => {
                let rival = table.routes.find_rival(prefix, &self.shared)?;
                table.routes.paths.get(rival)
            }
        };
        if self.is_its_own(table, profile.plane, slot, path) {
            return None;
        }
        let route = table
            .routes
            .route(path, &self.shared.peers, &self.shared.attributes)?;
        let exported = export::export(profile, &route).ok()?;
        Some(AnnouncedView {
            prefix: route.prefix,
            path_id: profile.plane.path_id().unwrap_or(0),
            peer: self.shared.peers.id_of(path.peer),
            attributes: exported.attributes,
            next_hop: exported.next_hop,
        })
    }

    /// Whether a session is told nothing of `path` because it, or the session that its peer had
    /// before, said so itself.
    fn is_its_own(&self, table: &Table, plane: Plane, slot: PeerSlot, path: &Path) -> bool {
        let readers = table.readers_of(&self.shared.peers, slot);
        let former = readers[plane.index()].is_some_and(|(_, group, reader)| {
            let source = table::source_in(group, &self.shared.peers, path);
            source.is_some() && reader.former == source
        });
        path.peer == slot || former
    }

    /// All that is known about a prefix: its paths, each with the reason why it is not best, and
    /// what each group is told.
    pub fn explain(&self, prefix: &IpNet) -> Explanation {
        let table = &self.tables[family_of(prefix)];
        let Some(id) = table.routes.prefixes.find(prefix) else {
            return Explanation {
                paths: Vec::new(),
                groups: Vec::new(),
            };
        };
        let paths = table.routes.paths.of_prefix(id);
        let groups = table.groups.iter().enumerate();
        Explanation {
            paths: paths
                .filter_map(|(_, path)| self.view(table, path))
                .collect(),
            groups: groups
                .filter_map(|(place, group)| {
                    let family = table.family;
                    let verdict = self.verdict(table, group.as_ref()?, id);
                    Some((GroupId { family, place }, verdict))
                })
                .collect(),
        }
    }

    fn verdict(&self, table: &Table, group: &Group, prefix: PrefixId) -> Verdict {
        let path = table.routes.told(group.profile().plane, prefix);
        let route = path.and_then(|path| {
            table
                .routes
                .route(path, &self.shared.peers, &self.shared.attributes)
        });
        match route.map(|route| export::export(group.profile(), &route)) {
            None => Verdict::NoRoute,
            Some(Ok(_)) => Verdict::Announced,
            Some(Err(refusal)) => Verdict::Refused(refusal),
        }
    }

    /// The longest prefix with a path that covers `prefix` (or is it).
    pub fn lookup(&self, prefix: &IpNet) -> Option<IpNet> {
        let prefixes = &self.tables[family_of(prefix)].routes.prefixes;
        std::iter::successors(Some(*prefix), IpNet::supernet).find(|covering| {
            let paths = &self.tables[family_of(prefix)].routes.paths;
            let id = prefixes.find(covering);
            id.is_some_and(|id| paths.of_prefix(id).next().is_some())
        })
    }

    /// A page of what `items_of` makes of the prefixes of a table. The items of one prefix stay
    /// together, if need be beyond `limit`.
    fn page<T, I: IntoIterator<Item = T>>(
        &self,
        table: &Table,
        from: Option<Cursor>,
        limit: usize,
        items_of: impl Fn(PrefixId) -> I,
    ) -> Page<T> {
        let begin = from.map_or(0, |cursor| cursor.0 as usize);
        let end = table
            .routes
            .prefixes
            .len()
            .min(begin.saturating_add(MAX_LOOKED_AT));
        let mut items = Vec::new();
        let mut at = begin;
        while at < end && items.len() < limit.max(1) {
            items.extend(items_of(PrefixId::new(at)));
            at += 1;
        }
        let more = at < table.routes.prefixes.len();
        Page {
            items,
            next: more.then(|| Cursor(PrefixId::new(at).0)),
        }
    }

    fn view(&self, table: &Table, path: &Path) -> Option<PathView> {
        Some(PathView {
            peer: self.shared.peers.id_of(path.peer),
            prefix: table.routes.prefixes.get(path.prefix)?,
            path_id: path.path_id,
            attributes: Arc::clone(self.shared.attributes.get(path.attributes)),
            state: match (path.ineligible, path.lost) {
                (Some(ineligible), _) => PathState::Ineligible(ineligible),
                (None, Some(reason)) => PathState::Lost(reason),
                (None, None) => PathState::Best,
            },
        })
    }
}
