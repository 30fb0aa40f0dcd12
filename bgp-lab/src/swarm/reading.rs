//! What UPDATEs say, read once for all clients that are sent the same octets.

use super::Member;
use crate::octets::{ParsedUpdate, code};
use bgp_core::prefix::IpNet;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

/// At most this many readings are kept; then all are forgotten and made again.
const MAX_READINGS: usize = 100_000;
/// At most this many faults are kept in words; the first ones tell enough.
const MAX_FAULTS: usize = 20;

/// A bit per prefix of the swarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// All clear, for ids below `count`.
    pub(super) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    /// Whether bit `id` is set.
    pub(super) fn get(&self, id: u32) -> bool {
        let (word, mask) = place(id);
        self.0.get(word).is_some_and(|bits| bits & mask != 0)
    }

    /// Sets or clears bit `id`; answers whether that changed it.
    pub(super) fn set(&mut self, id: u32, value: bool) -> bool {
        let (word, mask) = place(id);
        let Some(bits) = self.0.get_mut(word) else {
            return false;
        };
        let before = *bits;
        *bits = if value { before | mask } else { before & !mask };
        *bits != before
    }

    /// Clears all.
    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// How many are set.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|bits| bits.count_ones()).sum()
    }
}

fn place(id: u32) -> (usize, u64) {
    let word = usize::try_from(id / 64).unwrap_or(usize::MAX);
    (word, 1 << (id % 64))
}

/// One UPDATE, with prefixes as ids.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) reach: Vec<u32>,
    pub(super) unreach: Vec<u32>,
}

/// Who announces a prefix.
#[derive(Clone, Copy, Debug)]
struct Owner {
    id: u32,
    address: Ipv4Addr,
}

/// The prefixes of the swarm, and what UPDATEs said about them.
#[derive(Debug)]
pub(super) struct Readings {
    cluster_id: Ipv4Addr,
    owners: HashMap<IpNet, Owner>,
    kept: HashMap<Box<[u8]>, Rc<Reading>>,
    faults: Vec<String>,
}

impl Readings {
    pub(super) fn new(cluster_id: Ipv4Addr, members: &[Member]) -> Self {
        let owned = members.iter().flat_map(|member| {
            member
                .prefixes
                .iter()
                .map(|prefix| (*prefix, member.address))
        });
        let owners = (0..)
            .zip(owned)
            .map(|(id, (prefix, address))| (prefix, Owner { id, address }))
            .collect();
        Self {
            cluster_id,
            owners,
            kept: HashMap::new(),
            faults: Vec::new(),
        }
    }

    /// How many prefixes the swarm has.
    pub(super) fn prefixes(&self) -> usize {
        self.owners.len()
    }

    /// The id of a prefix of the swarm.
    pub(super) fn id(&self, prefix: &IpNet) -> Option<u32> {
        self.owners.get(prefix).map(|owner| owner.id)
    }

    /// What was wrong so far.
    pub(super) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Notes what was wrong.
    pub(super) fn fault(&mut self, words: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(words);
        }
    }

    /// Reads the body of an UPDATE.
    pub(super) fn read(&mut self, body: &[u8]) -> Rc<Reading> {
        if let Some(reading) = self.kept.get(body) {
            return Rc::clone(reading);
        }
        let reading = Rc::new(self.read_new(body));
        if self.kept.len() >= MAX_READINGS {
            self.kept.clear();
        }
        self.kept.insert(body.into(), Rc::clone(&reading));
        reading
    }

    fn read_new(&mut self, body: &[u8]) -> Reading {
        let update = ParsedUpdate::parse(body).unwrap_or_else(|error| {
            self.fault(error);
            ParsedUpdate::default()
        });
        let originator = update
            .attribute(code::ORIGINATOR_ID)
            .map(|id| id.value.clone());
        let clusters = update
            .attribute(code::CLUSTER_LIST)
            .map(|list| list.value.clone());
        let mut reach = Vec::new();
        for (prefix, next_hop) in &update.reach {
            let Some(owner) = self.owners.get(prefix).copied() else {
                self.fault(format!("{prefix} belongs to nobody"));
                continue;
            };
            let address = owner.address.octets();
            let right = next_hop[..] == address
                && originator.as_deref() == Some(&address)
                && clusters.as_deref() == Some(&self.cluster_id.octets());
            if !right {
                self.fault(format!(
                    "{prefix} of {}: next hop {next_hop:?}, ORIGINATOR_ID {originator:?}, \
                     CLUSTER_LIST {clusters:?}",
                    owner.address
                ));
            }
            reach.push(owner.id);
        }
        let unreach = update
            .unreach
            .iter()
            .filter_map(|prefix| self.id(prefix))
            .collect();
        Reading { reach, unreach }
    }
}
