//! Other settings for a session that goes on: what its peer has told is judged again.
//!
//! Everything received is kept, also what may not be used, and import policies change nothing in a
//! route; so a change of the policy needs no word of the peer. The walk over the table that
//! follows changes of next hops does it, prefix by prefix.

use super::Rib;
use super::Shared;
use super::ids::PrefixId;
use super::import;
use super::paths::Path;
use super::peers::{PeerFacts, PeerSlot};
use super::table::Table;
use crate::config::PeerSettings;
use smallvec::SmallVec;
use std::sync::Arc;

impl Rib {
    /// From now on the session in `slot` has these settings. What its peer has told is judged by
    /// a new import policy in slices of [`Rib::work`]. The export policy and the next-hop rule must
    /// stay: they decide which group it reads in.
    pub fn set_settings(&mut self, slot: PeerSlot, settings: Arc<PeerSettings>) {
        let facts = self.shared.peers.get_mut(slot);
        let Some(facts) = facts.and_then(|peer| peer.facts.as_mut()) else {
            return;
        };
        let judged_again = facts.settings.import != settings.import;
        facts.settings = settings;
        if judged_again {
            for (_, table) in self.tables.iter_mut() {
                table.begin_revision();
            }
        }
    }
}

impl Table {
    /// Judges all paths to `prefix` as if they had just been received; says whether that made a
    /// difference.
    pub(super) fn rejudge(&mut self, shared: &mut Shared, prefix: PrefixId) -> bool {
        let Some(net) = self.routes.prefixes.get(prefix) else {
            return false;
        };
        let mut differs = false;
        let paths: SmallVec<[_; 4]> = self
            .routes
            .paths
            .of_prefix(prefix)
            .map(|(index, path)| (index, *path))
            .collect();
        for (index, path) in paths {
            let Some(facts) = facts_of(shared, &path) else {
                continue;
            };
            let said = shared.attributes.get(path.attributes);
            let (path_words, next_hop) = (&said.path, &said.next_hop);
            let judged = import::judge_attributes(&shared.settings, facts, path_words, next_hop)
                .or_else(|| import::judge_prefix(facts, &net));
            if judged == path.ineligible {
                continue;
            }
            differs = true;
            shared.count_next_hop(&path, false);
            self.routes.paths.set_ineligible(index, judged);
            shared.count_next_hop(self.routes.paths.get(index), true);
            if let Some(of_peer) = shared.peers.table_mut(path.peer, self.family) {
                let change = i32::from(judged.is_some()) - i32::from(path.ineligible.is_some());
                of_peer.ineligible = of_peer.ineligible.saturating_add_signed(change);
            }
        }
        differs
    }
}

/// What is known of the peer that said `path`; nothing where we said it ourselves.
fn facts_of<'a>(shared: &'a Shared, path: &Path) -> Option<&'a PeerFacts> {
    shared.peers.get(path.peer)?.facts.as_ref()
}
