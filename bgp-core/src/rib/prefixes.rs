//! Prefixes as dense numbers: one table per family.
//!
//! Everything else in this room is a vector indexed by [`PrefixId`], so a prefix is stored once,
//! in its family's own small type (5 octets for IPv4, 17 for IPv6), and looked up by one hash
//! probe per NLRI. Numbers of removed prefixes are reused, so the vectors stay as long as the
//! largest table there ever was.
//!
//! The hash index is only ever probed, never iterated: its seed cannot influence any output.

use super::ids::PrefixId;
use crate::family::Family;
use crate::prefix::{IpNet, Ipv4Net, Ipv6Net};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The prefixes of one family.
pub(super) struct PrefixTable {
    store: Store,
    index: HashTable<PrefixId>,
    free: Vec<PrefixId>,
    hasher: FixedState,
}

/// The only place that knows how a prefix of a family is stored.
enum Store {
    V4(Vec<Ipv4Net>),
    V6(Vec<Ipv6Net>),
}

impl Store {
    fn get(&self, id: PrefixId) -> Option<IpNet> {
        match self {
            Self::V4(prefixes) => prefixes.get(id.index()).copied().map(IpNet::V4),
            Self::V6(prefixes) => prefixes.get(id.index()).copied().map(IpNet::V6),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::V4(prefixes) => prefixes.len(),
            Self::V6(prefixes) => prefixes.len(),
        }
    }

    /// Writes `prefix` at `id`, or behind the last one when `id` is none.
    fn put(&mut self, id: Option<PrefixId>, prefix: &IpNet) -> Option<PrefixId> {
        match (self, prefix) {
            (Self::V4(prefixes), IpNet::V4(prefix)) => Some(put(prefixes, id, *prefix)),
            (Self::V6(prefixes), IpNet::V6(prefix)) => Some(put(prefixes, id, *prefix)),
            (Self::V4(_), IpNet::V6(_)) | (Self::V6(_), IpNet::V4(_)) => None,
        }
    }
}

fn put<T>(prefixes: &mut Vec<T>, id: Option<PrefixId>, prefix: T) -> PrefixId {
    if let Some((id, place)) = id.and_then(|id| Some((id, prefixes.get_mut(id.index())?))) {
        *place = prefix;
        return id;
    }
    prefixes.push(prefix);
    PrefixId::new(prefixes.len() - 1)
}

impl PrefixTable {
    /// An empty table of `family`; `seed` guards the hash against chosen prefixes.
    pub(super) fn new(family: Family, seed: u64) -> Self {
        Self {
            store: match family {
                Family::Ipv4Unicast => Store::V4(Vec::new()),
                Family::Ipv6Unicast => Store::V6(Vec::new()),
            },
            index: HashTable::new(),
            free: Vec::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    /// One more than the largest id ever in use: the length of vectors indexed by prefix.
    pub(super) fn len(&self) -> usize {
        self.store.len()
    }

    /// How many prefixes are in use.
    pub(super) fn used(&self) -> usize {
        self.index.len()
    }

    /// The prefix with this id. For an id that is not in use: a prefix that once had it.
    pub(super) fn get(&self, id: PrefixId) -> Option<IpNet> {
        self.store.get(id)
    }

    /// The id of `prefix`, if it is in use.
    pub(super) fn find(&self, prefix: &IpNet) -> Option<PrefixId> {
        self.index
            .find(self.hasher.hash_one(prefix), |id| {
                self.store.get(*id).as_ref() == Some(prefix)
            })
            .copied()
    }

    /// The id of `prefix`, a new one if it was not in use; `None` for a prefix of another family.
    pub(super) fn insert(&mut self, prefix: &IpNet) -> Option<PrefixId> {
        if let Some(id) = self.find(prefix) {
            return Some(id);
        }
        let id = self.store.put(self.free.last().copied(), prefix)?;
        self.free.pop();
        let (store, hasher) = (&self.store, &self.hasher);
        self.index.insert_unique(hasher.hash_one(prefix), id, |id| {
            store.get(*id).map_or(0, |prefix| hasher.hash_one(prefix))
        });
        Some(id)
    }

    /// Ends the use of `id`; nothing happens when it was not in use.
    pub(super) fn remove(&mut self, id: PrefixId) {
        let Some(prefix) = self.store.get(id) else {
            return;
        };
        let found = self
            .index
            .find_entry(self.hasher.hash_one(prefix), |other| *other == id);
        if let Ok(entry) = found {
            entry.remove();
            self.free.push(id);
        }
    }

    /// Whether `id` is in use.
    pub(super) fn contains(&self, id: PrefixId) -> bool {
        self.get(id)
            .is_some_and(|prefix| self.find(&prefix) == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn ids_are_dense_and_reused() {
        let mut table = PrefixTable::new(Family::Ipv4Unicast, 1);
        let a = table.insert(&net("10.0.0.0/26")).unwrap();
        let b = table.insert(&net("10.0.0.64/26")).unwrap();
        assert_eq!((a, b), (PrefixId(0), PrefixId(1)));
        assert_eq!(table.insert(&net("10.0.0.0/26")), Some(a));
        table.remove(a);
        assert_eq!(table.find(&net("10.0.0.0/26")), None);
        assert!(!table.contains(a) && table.contains(b));
        assert_eq!(table.insert(&net("10.0.0.128/26")), Some(a));
        assert_eq!((table.used(), table.len()), (2, 2));
        assert_eq!(table.get(a), Some(net("10.0.0.128/26")));
    }

    #[test]
    fn removing_twice_is_harmless() {
        let mut table = PrefixTable::new(Family::Ipv6Unicast, 1);
        let a = table.insert(&net("fd00::/64")).unwrap();
        table.remove(a);
        table.remove(a);
        assert_eq!(table.insert(&net("fd00:0:0:1::/64")), Some(a));
        assert_eq!(table.insert(&net("fd00:0:0:2::/64")), Some(PrefixId(1)));
    }

    #[test]
    fn a_prefix_of_another_family_has_no_place() {
        let mut table = PrefixTable::new(Family::Ipv6Unicast, 1);
        assert_eq!(table.insert(&net("10.0.0.0/8")), None);
        assert_eq!(table.used(), 0);
    }

    #[test]
    fn many_prefixes_are_found_again() {
        let mut table = PrefixTable::new(Family::Ipv4Unicast, 7);
        let nets: Vec<IpNet> = (0..10_000u32)
            .map(|n| IpNet::V4(Ipv4Net::new((n << 12).into(), 20).unwrap()))
            .collect();
        let ids: Vec<_> = nets.iter().map(|net| table.insert(net).unwrap()).collect();
        for (net, id) in nets.iter().zip(&ids) {
            assert_eq!(table.find(net), Some(*id));
        }
        assert_eq!(table.used(), 10_000);
    }
}
