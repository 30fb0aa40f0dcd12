//! Entries of VXLAN devices: for each remote host a neighbour (its address on the device leads to
//! a hardware address) and a forwarding entry (the hardware address leads to the host).
//!
//! The kernel keeps no mark of who made them that we could rely on. So *ours* are those that were
//! asked for, once they were put or found to be exactly so. What stands in the way of one that was
//! asked for is replaced: the device and the remote host are named by the owner, who alone decides
//! what they are. Entries that nobody asked for are left alone, also those of a former life of
//! ours: without a route to the remote host they carry no packet.

use super::fights::pause;
use super::requests::Sort;
use super::{Cause, Reason, Subject};
use crate::delta::{DeltaMap, Value};
use crate::errno::Meaning;
use crate::kernel::{
    KernelError, LinkIndex, LinkName, NeighbourKey, NeighbourTarget, Notice, Request,
};
use crate::links::Links;
use crate::wanted::TunnelEnd;
use bgp_core::rng::Rng;
use bgp_core::time::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;

impl Value for NeighbourTarget {
    fn satisfied_by(&self, found: &Self) -> bool {
        self == found
    }
}

/// A tunnel end's name: device and remote host.
type Name = (LinkName, IpAddr);

#[derive(Clone, Debug, Default)]
pub(crate) struct Tunnels {
    wanted: BTreeMap<Name, TunnelEnd>,
    entries: DeltaMap<NeighbourKey, NeighbourTarget, Reason>,
    /// For which end an entry is.
    owners: BTreeMap<NeighbourKey, Name>,
}

fn link_of(key: &NeighbourKey) -> LinkIndex {
    match key {
        NeighbourKey::Neighbour(link, _) | NeighbourKey::Forwarding(link, _) => *link,
    }
}

fn entries_of(end: &TunnelEnd, link: LinkIndex) -> [(NeighbourKey, NeighbourTarget); 2] {
    [
        (
            NeighbourKey::Neighbour(link, end.address),
            NeighbourTarget::Mac(end.mac),
        ),
        (
            NeighbourKey::Forwarding(link, end.mac),
            NeighbourTarget::Host(end.host),
        ),
    ]
}

/// What is wanted.
impl Tunnels {
    pub(crate) fn set(&mut self, end: TunnelEnd, links: &Links) {
        let name = (end.device.clone(), end.host);
        if self.wanted.get(&name) == Some(&end) {
            return;
        }
        self.wanted.insert(name.clone(), end);
        self.lower(&name, links);
    }

    pub(crate) fn remove(&mut self, device: &LinkName, host: IpAddr, links: &Links) {
        let name = (device.clone(), host);
        if self.wanted.remove(&name).is_some() {
            self.lower(&name, links);
        }
    }

    pub(crate) fn remove_all(&mut self, links: &Links) {
        for name in std::mem::take(&mut self.wanted).keys() {
            self.lower(name, links);
        }
    }

    /// Devices have changed.
    pub(crate) fn refresh(&mut self, links: &Links) {
        let names: Vec<Name> = self.wanted.keys().cloned().collect();
        for name in &names {
            self.lower(name, links);
        }
    }

    fn lower(&mut self, name: &Name, links: &Links) {
        let end = self.wanted.get(name);
        let link = links.named(&name.0).filter(|link| link.up);
        let now: Vec<_> = match end.zip(link) {
            Some((end, link)) => entries_of(end, link.index).into(),
            None => Vec::new(),
        };
        let old: Vec<NeighbourKey> = self
            .owners
            .iter()
            .filter(|(key, owner)| *owner == name && !now.iter().any(|(new, _)| new == *key))
            .map(|(key, _)| *key)
            .collect();
        for key in old {
            self.owners.remove(&key);
            self.entries.unset(&key, false);
        }
        for (key, target) in now {
            self.owners.insert(key, name.clone());
            self.entries.set(key, target);
        }
    }

    pub(crate) fn is_used(&self) -> bool {
        !self.wanted.is_empty()
    }

    pub(crate) fn uses(&self, device: &LinkName) -> bool {
        let from = (device.clone(), IpAddr::from([0; 4]));
        let mut after = self.wanted.range(from..);
        after.next().is_some_and(|((name, _), _)| name == device)
    }

    pub(crate) fn subject(&self, key: &NeighbourKey) -> Option<Subject> {
        let (device, host) = self.owners.get(key)?;
        Some(Subject::TunnelEnd(device.clone(), *host))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TunnelEnd> {
        self.wanted.values()
    }

    pub(crate) fn wanted_len(&self) -> usize {
        self.wanted.len()
    }

    pub(crate) fn pending_len(&self) -> usize {
        self.entries.pending_len()
    }

    pub(crate) fn parked_len(&self) -> usize {
        self.entries.parked_len()
    }
}

/// Work.
impl Tunnels {
    pub(crate) fn next_put(&mut self) -> Option<(Sort, Request)> {
        if !self.entries.next_is_put() {
            return None;
        }
        self.next()
    }

    pub(crate) fn next_delete(&mut self) -> Option<(Sort, Request)> {
        self.next()
    }

    fn next(&mut self) -> Option<(Sort, Request)> {
        let key = *self.entries.next()?;
        let (put, _) = self.entries.send(&key)?;
        let sort = Sort::Neighbour(key, put.is_some());
        Some(match put {
            Some(target) => (sort, Request::PutNeighbour(key, target)),
            None => (sort, Request::DeleteNeighbour(key)),
        })
    }

    pub(crate) fn obeyed(&mut self, key: &NeighbourKey) {
        // Echoes are not waited for: entries change rarely, and a dump finds what we missed.
        self.entries.obeyed(key, false);
    }

    /// Answers whether the owner should hear of it.
    pub(crate) fn refused(
        &mut self,
        key: &NeighbourKey,
        error: &KernelError,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        let before = self.entries.trouble(key).cloned();
        let tries = before.as_ref().map_or(0, |trouble| trouble.tries);
        let reason = Reason {
            cause: match Meaning::of(error) {
                Meaning::Link | Meaning::Network => Cause::Network,
                Meaning::Exists
                | Meaning::Absent
                | Meaning::Object
                | Meaning::Everything
                | Meaning::Unsupported
                | Meaning::Other => Cause::Time,
            },
            error: Some(error.clone()),
        };
        let until = now + pause(tries.saturating_add(1), rng);
        let repeated = before.is_some_and(|trouble| trouble.cause == reason);
        self.entries.refused(key, reason, now, until) && !repeated
    }

    pub(crate) fn forgotten(&mut self, key: &NeighbourKey) {
        self.entries.forgotten(key);
    }

    pub(crate) fn release(&mut self, now: Instant) {
        self.entries
            .release(now, |_, reason| reason.cause == Cause::Network);
    }

    pub(crate) fn release_due(&mut self, now: Instant) {
        self.entries.release_due(now);
    }

    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.entries.next_retry()
    }
}

/// What the kernel says.
impl Tunnels {
    pub(crate) fn heard(&mut self, key: &NeighbourKey, target: Option<NeighbourTarget>) {
        if self.entries.view(key).is_some() {
            self.entries.heard(key, target, false);
        }
    }

    /// A device is down or gone, and its entries with it.
    pub(crate) fn lost(&mut self, link: LinkIndex) {
        let lost: Vec<NeighbourKey> = self
            .entries
            .actuals()
            .map(|(key, _)| *key)
            .filter(|key| link_of(key) == link)
            .collect();
        for key in &lost {
            self.entries.lost(key);
        }
    }

    pub(crate) fn begin_dump(&mut self) {
        self.entries.begin_dump();
    }

    pub(crate) fn dumped(&mut self, entries: Vec<Notice>, complete: bool) {
        for notice in entries {
            if let Notice::Neighbour(key, target) = notice
                && self.entries.view(&key).is_some()
            {
                self.entries.dumped(&key, target, false);
            }
        }
        self.entries.end_dump(complete);
    }
}
