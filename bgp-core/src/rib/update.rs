//! What peers say: UPDATEs into Adj-RIB-In.

use super::Rib;
use super::ids::AttributesId;
use super::import::{self, Ineligible};
use super::peers::PeerSlot;
use super::table::{Outcome, Said};
use crate::prefix::{IpNet, Nlri, family_of};
use crate::wire::{NextHop, PathAttributes, Reach, Update};

/// What became of an UPDATE.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct UpdateSummary {
    /// Paths that are new or say something new, and may be used.
    pub accepted: u32,
    /// Paths that are new or say something new, and may not be used ([`Ineligible`]). They have
    /// replaced what the peer said before.
    pub ineligible: u32,
    /// Paths that the peer had announced in just these words before.
    pub unchanged: u32,
    /// Paths that are gone.
    pub withdrawn: u32,
    /// Paths that were not kept because the peer has as many to the prefix as it may have
    /// ([`MAX_PATHS_OF_PEER`](super::MAX_PATHS_OF_PEER)).
    pub refused: u32,
    /// The peer announced more prefixes of one family than `max-prefixes` allows; those beyond
    /// were not kept. The session has to be ended (Cease, Maximum Number of Prefixes Reached;
    /// RFC 4486).
    pub over_limit: bool,
}

impl Rib {
    /// Takes in what a peer says: withdraws first, then announcements, so that a prefix in both
    /// is announced (RFC 4271 §4.3). What is no news changes nothing.
    pub fn update(&mut self, slot: PeerSlot, update: &Update) -> UpdateSummary {
        let mut summary = UpdateSummary::default();
        if self.shared.peers.get(slot).is_none_or(|peer| !peer.up) {
            return summary;
        }
        for nlri in update.unreach.iter().flat_map(|unreach| &unreach.nlri) {
            let table = &mut self.tables[family_of(&nlri.prefix)];
            summary.withdrawn += u32::from(table.withdraw(&mut self.shared, slot, nlri));
        }
        for reach in &update.reach {
            self.reach(slot, &update.attributes, reach, &mut summary);
        }
        summary
    }

    fn reach(
        &mut self,
        slot: PeerSlot,
        attributes: &PathAttributes,
        reach: &Reach,
        summary: &mut UpdateSummary,
    ) {
        let facts = self
            .shared
            .peers
            .get(slot)
            .and_then(|peer| peer.facts.as_ref());
        let Some(facts) = facts.cloned() else {
            return;
        };
        let ineligible =
            import::judge_attributes(&self.shared.settings, &facts, attributes, &reach.next_hop);
        let id = self.shared.attributes.intern(attributes, reach.next_hop);
        for nlri in &reach.nlri {
            let ineligible = ineligible.or_else(|| import::judge_prefix(&facts, &nlri.prefix));
            let said = Said {
                nlri: *nlri,
                attributes: id,
                ineligible,
            };
            self.say(slot, &said, facts.settings.max_prefixes, summary);
        }
        self.shared.attributes.release(id);
    }

    fn say(
        &mut self,
        slot: PeerSlot,
        said: &Said,
        limit: Option<u32>,
        summary: &mut UpdateSummary,
    ) {
        let table = &mut self.tables[family_of(&said.nlri.prefix)];
        match table.announce(&mut self.shared, slot, said, limit) {
            Outcome::Kept if said.ineligible.is_some() => summary.ineligible += 1,
            Outcome::Kept => summary.accepted += 1,
            Outcome::Unchanged => summary.unchanged += 1,
            Outcome::TooManyPaths => summary.refused += 1,
            Outcome::OverLimit => summary.over_limit = true,
        }
    }

    /// Announces a route of our own, in place of what we announced to `prefix` before. The next
    /// hop goes to internal peers as it is, unless they get ours.
    pub fn originate(&mut self, prefix: IpNet, attributes: &PathAttributes, next_hop: NextHop) {
        let id: AttributesId = self.shared.attributes.intern(attributes, next_hop);
        let said = Said {
            nlri: Nlri::plain(prefix),
            attributes: id,
            ineligible: None::<Ineligible>,
        };
        let table = &mut self.tables[family_of(&prefix)];
        table.announce(&mut self.shared, PeerSlot::LOCAL, &said, None);
        self.shared.attributes.release(id);
    }

    /// Takes a route of our own back; says whether there was one.
    pub fn withdraw(&mut self, prefix: IpNet) -> bool {
        let table = &mut self.tables[family_of(&prefix)];
        table.withdraw(&mut self.shared, PeerSlot::LOCAL, &Nlri::plain(prefix))
    }
}
