//! Whether all invariants hold: asked after every step of a test or a simulation.

use super::Rib;
use super::decision;
use super::export::{Plane, export};
use super::group::Group;
use super::ids::{AttributesId, PrefixId};
use super::peers::PeerSlot;
use super::table::{Table, source_in};
use std::collections::BTreeMap;
use std::net::IpAddr;

impl Rib {
    /// Checks every invariant that can be told from the state alone. Takes time in proportion to
    /// everything there is; for tests.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        let mut references = Vec::new();
        for (family, table) in self.tables.iter() {
            let within = |what: String| format!("{family}: {what}");
            self.check_paths(table).map_err(within)?;
            self.check_peers(table).map_err(within)?;
            self.check_best(table).map_err(within)?;
            self.check_rivals(table).map_err(within)?;
            table.check_changes(&self.shared).map_err(within)?;
            for group in table.groups.iter().flatten() {
                self.check_group(table, group).map_err(within)?;
            }
            count_references(table, &mut references);
        }
        self.shared.attributes.check(&references)?;
        self.shared.next_hops.check(&self.next_hops_in_use())?;
        self.check_ready()
    }

    /// How many usable paths of peers each next hop has.
    fn next_hops_in_use(&self) -> BTreeMap<IpAddr, u64> {
        let mut counts = BTreeMap::new();
        for (_, table) in self.tables.iter() {
            let of_prefix = |prefix| table.routes.paths.of_prefix(prefix);
            for (_, path) in prefixes(table).flat_map(of_prefix) {
                if path.peer != PeerSlot::LOCAL && path.ineligible.is_none() {
                    let route = self.shared.attributes.get(path.attributes);
                    *counts.entry(route.next_hop.address()).or_default() += 1;
                }
            }
        }
        counts
    }

    /// Prefixes are in use exactly while a path or a group knows them or something has to be told
    /// of them; every path hangs in the
    /// list of its prefix.
    fn check_paths(&self, table: &Table) -> Result<(), String> {
        let (mut paths, mut best) = (0, 0);
        for prefix in prefixes(table) {
            let of_prefix = table.routes.paths.of_prefix(prefix).count();
            let known = of_prefix > 0
                || table
                    .groups
                    .iter()
                    .flatten()
                    .any(|g| !g.entry(prefix).is_empty())
                || table
                    .dissolving
                    .iter()
                    .any(|(g, _)| !g.entry(prefix).is_empty())
                || (table.changes.as_ref()).is_some_and(|changes| changes.contains(prefix));
            if known != table.routes.prefixes.contains(prefix) {
                return Err(format!("{prefix:?}: in use should be {known}"));
            }
            if table
                .routes
                .paths
                .of_prefix(prefix)
                .any(|(_, path)| path.prefix != prefix)
            {
                return Err(format!("{prefix:?} lists a path to another prefix"));
            }
            paths += of_prefix;
            best += usize::from(table.routes.best(prefix).is_some());
        }
        if paths != table.routes.paths.len() || best != table.routes.loc_rib.len() {
            return Err(format!(
                "{paths} paths and {best} best ones found, others counted"
            ));
        }
        Ok(())
    }

    /// Every peer lists and counts just its own paths.
    fn check_peers(&self, table: &Table) -> Result<(), String> {
        let mut total = 0;
        for (slot, peer) in self.shared.peers.iter() {
            let of_peer = &peer.tables[table.family];
            let (mut received, mut ineligible, mut best) = (0, 0, 0);
            for (index, path) in table.routes.paths.of_peer(of_peer.first) {
                if path.peer != slot {
                    return Err(format!("{slot:?} lists a path of {:?}", path.peer));
                }
                received += 1;
                ineligible += u32::from(path.ineligible.is_some());
                best += u32::from(table.routes.loc_rib.best(path.prefix) == Some(index));
            }
            let counted = (of_peer.received, of_peer.ineligible, of_peer.best);
            if counted != (received, ineligible, best) {
                return Err(format!(
                    "{slot:?} has {received} paths, {ineligible} ineligible, {best} best; \
                     {counted:?} counted"
                ));
            }
            let facts = peer.facts.as_ref().filter(|_| peer.up);
            let facts = facts.filter(|facts| facts.families.contains(table.family));
            let planes = facts.map_or(&[][..], |facts| facts.planes(table.family));
            let readers = table.readers_of(&self.shared.peers, slot);
            let read = readers.iter().flatten();
            if !read.map(|(_, group, _)| &group.profile().plane).eq(planes) {
                return Err(format!("{slot:?}: should read {planes:?}"));
            }
            total += received as usize;
        }
        if total != table.routes.paths.len() {
            return Err(format!("peers list {total} paths"));
        }
        Ok(())
    }

    /// The best path is the one that the decision process picks, and the others know why not.
    fn check_best(&self, table: &Table) -> Result<(), String> {
        if table.is_sweeping() {
            return Ok(());
        }
        for prefix in prefixes(table) {
            let shared = &self.shared;
            let (paths, candidates) = table.routes.candidates(prefix, shared);
            let selection = decision::select(&candidates);
            let best = selection.best.map(|place| paths[place]);
            if best != table.routes.loc_rib.best(prefix) {
                return Err(format!("{prefix:?}: the best path is {best:?}"));
            }
            for (path, lost) in paths.iter().zip(&selection.lost) {
                if table.routes.paths.get(*path).lost != *lost {
                    return Err(format!("{prefix:?}: {path:?} lost by {lost:?}"));
                }
            }
        }
        Ok(())
    }

    /// The rival is the best path of another originator, wherever a group has told of it.
    fn check_rivals(&self, table: &Table) -> Result<(), String> {
        let groups = || table.groups.iter().flatten();
        let telling = || groups().filter(|group| group.profile().plane == Plane::Rival);
        if telling().count() != table.rival_groups {
            return Err(format!("{} groups tell of rivals", telling().count()));
        }
        for prefix in prefixes(table) {
            let rival = table.routes.loc_rib.rival(prefix);
            let mut paths = table.routes.paths.of_prefix(prefix);
            if rival.is_some_and(|rival| paths.all(|(path, _)| path != rival)) {
                return Err(format!("{prefix:?}: the rival is none of its paths"));
            }
            let told = telling().any(|group| group.is_built(prefix));
            let settled = !table.is_sweeping();
            if told && settled && rival != table.routes.find_rival(prefix, &self.shared) {
                return Err(format!("{prefix:?}: the rival is not {rival:?}"));
            }
            if rival.is_some() && table.rival_groups == 0 {
                return Err(format!("{prefix:?}: nobody is told of its rival"));
            }
        }
        Ok(())
    }

    /// The entries of a group are what its profile makes of the best paths.
    fn check_group(&self, table: &Table, group: &Group) -> Result<(), String> {
        group.check()?;
        for prefix in prefixes(table) {
            let entry = group.entry(prefix);
            if !group.is_built(prefix) {
                continue;
            }
            let told = table.routes.told(group.profile().plane, prefix);
            let admitted = told.filter(|best| {
                let route = table
                    .routes
                    .route(best, &self.shared.peers, &self.shared.attributes);
                route.is_some_and(|route| export(group.profile(), &route).is_ok())
            });
            if admitted.map(|best| best.attributes) != entry.attributes() {
                return Err(format!(
                    "{prefix:?}: a group announces {:?}",
                    entry.attributes()
                ));
            }
            let source = admitted.and_then(|best| source_in(group, &self.shared.peers, best));
            if admitted.is_some() && source != entry.source() {
                return Err(format!(
                    "{prefix:?}: the source is {source:?}, not {:?}",
                    entry.source()
                ));
            }
        }
        Ok(())
    }

    /// Whoever has something to read that may be read has been woken.
    fn check_ready(&self) -> Result<(), String> {
        for (slot, peer) in self.shared.peers.iter() {
            if !peer.up || !peer.idle || self.unsettled() {
                continue;
            }
            if self
                .tables
                .iter()
                .any(|(_, table)| table.has_work(&self.shared, slot))
            {
                return Err(format!("{slot:?} has something to read and sleeps"));
            }
        }
        Ok(())
    }
}

fn prefixes(table: &Table) -> impl Iterator<Item = PrefixId> {
    (0..table.routes.prefixes.len()).map(PrefixId::new)
}

/// Counts who refers to each attribute set.
fn count_references(table: &Table, references: &mut Vec<u64>) {
    let mut count = |id: AttributesId| {
        let place = id.0.index();
        if references.len() <= place {
            references.resize(place + 1, 0);
        }
        references[place] += 1;
    };
    let groups = table.groups.iter().flatten();
    let dissolving = table.dissolving.iter().map(|(group, _)| group);
    let groups: Vec<&Group> = groups.chain(dissolving).collect();
    for prefix in prefixes(table) {
        for (_, path) in table.routes.paths.of_prefix(prefix) {
            count(path.attributes);
        }
        for group in &groups {
            group
                .entry(prefix)
                .attributes()
                .into_iter()
                .for_each(&mut count);
        }
    }
}
