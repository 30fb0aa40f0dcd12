//! Attribute sets, each kept once.
//!
//! A table of a million paths has far fewer attribute sets than paths, and every group entry that
//! announces a path speaks of the same set. So a set is interned: stored once behind an
//! [`AttributesId`], compared by number, counted by references and dropped with the last one.
//! What the decision process asks of a set again and again (path length, neighbouring AS) is
//! worked out when it is stored.
//!
//! Only what was *received* is interned. The words that a group sends are derived from it when a
//! chunk is encoded, so no group keeps attribute sets of its own.

use super::ids::{AttributesId, Id};
use crate::family::{Family, FamilySet};
use crate::prefix::{IpNet, Ipv6Net, Nlri};
use crate::types::Asn;
use crate::wire::{self, Community, EncodeContext, NextHop, PathAttributes};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// The attributes of a route together with its next hop, as received (or as originated).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteAttributes {
    /// Everything but the next hop.
    pub path: PathAttributes,
    /// The next hop.
    pub next_hop: NextHop,
    /// [`crate::wire::AsPath::length`], worked out once.
    as_path_length: usize,
    /// [`crate::wire::AsPath::first_as`], worked out once.
    first_as: Option<Asn>,
    /// Whether it carries LLGR_STALE, worked out once.
    long_lived_stale: bool,
    /// Octets of an UPDATE with these attributes and one long prefix.
    message_len: usize,
}

impl RouteAttributes {
    /// Puts attributes and next hop together.
    pub fn new(path: PathAttributes, next_hop: NextHop) -> Self {
        Self {
            as_path_length: path.as_path.length(),
            first_as: path.as_path.first_as(),
            long_lived_stale: path.communities.contains(&Community::LLGR_STALE),
            message_len: message_len(&path, &next_hop),
            path,
            next_hop,
        }
    }

    /// The length that the decision process compares (RFC 4271 §9.1.2.2 a, RFC 5065 §5.3).
    pub fn as_path_length(&self) -> usize {
        self.as_path_length
    }

    /// Whether it is kept although its source has been away for long (RFC 9494): somebody on the
    /// way, or we, attached LLGR_STALE.
    pub fn is_long_lived_stale(&self) -> bool {
        self.long_lived_stale
    }

    /// About how long an UPDATE with these attributes is: never less than with one prefix, of
    /// whatever family, towards a four-octet speaker.
    pub(super) fn message_len(&self) -> usize {
        self.message_len
    }

    /// The AS that the AS_PATH begins with; `None` when it is empty or begins with a set.
    pub fn first_as(&self) -> Option<Asn> {
        self.first_as
    }
}

fn message_len(path: &PathAttributes, next_hop: &NextHop) -> usize {
    const LONGEST: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128));
    let context = EncodeContext {
        four_octet_as: true,
        add_path: FamilySet::EMPTY,
        max_len: wire::MAX_EXTENDED_LEN,
    };
    let family = Family::Ipv6Unicast;
    wire::announcement_len(&Nlri::plain(LONGEST), family, next_hop, path, &context)
}

/// All attribute sets in use.
pub(super) struct Interner {
    slots: Vec<Slot>,
    index: HashTable<AttributesId>,
    free: Vec<AttributesId>,
    hasher: FixedState,
    /// Stands in freed slots.
    nothing: Arc<RouteAttributes>,
}

struct Slot {
    value: Arc<RouteAttributes>,
    references: u64,
}

impl Interner {
    /// An empty interner; `seed` guards the hash against chosen attributes.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            index: HashTable::new(),
            free: Vec::new(),
            hasher: FixedState::with_seed(seed),
            nothing: Arc::new(RouteAttributes {
                path: PathAttributes::default(),
                next_hop: NextHop::V4(std::net::Ipv4Addr::UNSPECIFIED),
                as_path_length: 0,
                first_as: None,
                long_lived_stale: false,
                message_len: 0,
            }),
        }
    }

    /// The id of this set, with one more reference to it.
    pub(super) fn intern(&mut self, path: &PathAttributes, next_hop: NextHop) -> AttributesId {
        let hash = self.hasher.hash_one((path, next_hop));
        let found = self.index.find(hash, |id| {
            let value = &self.slots[id.0.index()].value;
            value.next_hop == next_hop && value.path == *path
        });
        if let Some(id) = found.copied() {
            self.retain(id);
            return id;
        }
        let slot = Slot {
            value: Arc::new(RouteAttributes::new(path.clone(), next_hop)),
            references: 1,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id.0.index()] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                AttributesId(Id::new(self.slots.len() - 1))
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, id, |id| {
            let value = &slots[id.0.index()].value;
            hasher.hash_one((&value.path, value.next_hop))
        });
        id
    }

    /// Counts one more reference.
    pub(super) fn retain(&mut self, id: AttributesId) {
        self.slots[id.0.index()].references += 1;
    }

    /// Counts one reference less and drops the set with the last one.
    pub(super) fn release(&mut self, id: AttributesId) {
        let slot = &mut self.slots[id.0.index()];
        slot.references = slot.references.saturating_sub(1);
        if slot.references > 0 {
            return;
        }
        let value = std::mem::replace(&mut slot.value, Arc::clone(&self.nothing));
        let hash = self.hasher.hash_one((&value.path, value.next_hop));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
            self.free.push(id);
        }
    }

    /// The set with this id.
    pub(super) fn get(&self, id: AttributesId) -> &Arc<RouteAttributes> {
        &self.slots[id.0.index()].value
    }

    /// How many sets are in use.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether `counts[i]` is the number of references to the set at place `i`, for all of them.
    ///
    /// # Errors
    /// The first set whose count differs.
    pub(super) fn check(&self, counts: &[u64]) -> Result<(), String> {
        for (place, slot) in self.slots.iter().enumerate() {
            let counted = counts.get(place).copied().unwrap_or(0);
            if slot.references != counted {
                return Err(format!(
                    "attribute set {place}: {} references kept, {counted} found",
                    slot.references
                ));
            }
        }
        let in_use = self.slots.iter().filter(|slot| slot.references > 0).count();
        if in_use != self.index.len() || in_use + self.free.len() != self.slots.len() {
            return Err(format!(
                "{in_use} attribute sets in use, {} indexed, {} free of {}",
                self.index.len(),
                self.free.len(),
                self.slots.len()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_med(med: u32) -> PathAttributes {
        PathAttributes {
            med: Some(med),
            ..PathAttributes::default()
        }
    }

    const HOP: NextHop = NextHop::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn equal_sets_share_one_place() {
        let mut interner = Interner::new(3);
        let a = interner.intern(&with_med(1), HOP);
        let b = interner.intern(&with_med(2), HOP);
        assert_eq!(interner.intern(&with_med(1), HOP), a);
        assert_ne!(a, b);
        assert_eq!(interner.get(b).path.med, Some(2));
        interner.check(&[2, 1]).unwrap();
        assert!(interner.check(&[1, 1]).is_err());
    }

    #[test]
    fn the_next_hop_is_part_of_the_set() {
        let mut interner = Interner::new(3);
        let other = NextHop::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
        assert_ne!(
            interner.intern(&with_med(1), HOP),
            interner.intern(&with_med(1), other)
        );
    }

    #[test]
    fn the_last_release_frees_the_place() {
        let mut interner = Interner::new(3);
        let a = interner.intern(&with_med(1), HOP);
        interner.retain(a);
        interner.release(a);
        assert_eq!(interner.len(), 1);
        interner.release(a);
        assert_eq!(interner.len(), 0);
        assert_eq!(interner.intern(&with_med(9), HOP), a);
        interner.check(&[1]).unwrap();
    }
}
