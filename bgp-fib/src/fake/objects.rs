//! Nexthop objects and neighbour entries of the made-up kernel.

use super::{FakeKernel, error};
use crate::errno;
use crate::kernel::{
    Hop, KernelError, LinkIndex, NeighbourKey, NeighbourTarget, NextHopKind, NextHopObject, Notice,
    Target,
};
use std::collections::BTreeSet;

impl FakeKernel {
    /// All nexthop objects.
    pub fn objects(&self) -> impl Iterator<Item = &NextHopObject> {
        self.objects.values()
    }

    /// All neighbour and forwarding entries.
    pub fn neighbours(&self) -> impl Iterator<Item = (&NeighbourKey, &NeighbourTarget)> {
        self.neighbours.iter()
    }

    /// RTM_NEWNEXTHOP, replacing.
    ///
    /// # Errors
    ///
    /// As Linux would.
    pub fn put_object(&mut self, object: NextHopObject) -> Result<(), KernelError> {
        if !self.has_objects {
            return Err(error(errno::EOPNOTSUPP, ""));
        }
        match &object.kind {
            NextHopKind::Hop(hop) => {
                self.check_hop(hop)?;
                let link = hop.link.and_then(|link| self.links.get(&link));
                if link.is_some_and(|link| !link.carrier) {
                    let text = "Carrier for nexthop device is down";
                    return Err(error(errno::ENETDOWN, text));
                }
            }
            NextHopKind::Group(members) => {
                let known = |(id, _): &(u32, u16)| self.objects.contains_key(id);
                if members.is_empty() || !members.iter().all(known) {
                    return Err(error(errno::EINVAL, "Invalid nexthop id in group"));
                }
            }
            NextHopKind::Blackhole => {}
        }
        self.objects.insert(object.id, object.clone());
        self.tell(Notice::NextHop(object));
        Ok(())
    }

    /// RTM_DELNEXTHOP: told for the object, not for the routes that go with it.
    ///
    /// # Errors
    ///
    /// ENOENT when there is none.
    pub fn delete_object(&mut self, id: u32) -> Result<(), KernelError> {
        if !self.objects.contains_key(&id) {
            return Err(error(errno::ENOENT, ""));
        }
        self.drop_objects(&BTreeSet::from([id]));
        self.tell(Notice::NextHopGone(id));
        Ok(())
    }

    /// RTM_NEWNEIGH, replacing.
    ///
    /// # Errors
    ///
    /// As Linux would.
    pub fn put_neighbour(
        &mut self,
        key: NeighbourKey,
        target: NeighbourTarget,
    ) -> Result<(), KernelError> {
        let link = self.links.get(&link_of(&key));
        let link = link.ok_or_else(|| error(errno::ENODEV, ""))?;
        if !link.up {
            return Err(error(errno::ENETDOWN, ""));
        }
        self.neighbours.insert(key, target);
        self.tell(Notice::Neighbour(key, target));
        Ok(())
    }

    /// RTM_DELNEIGH.
    ///
    /// # Errors
    ///
    /// ENOENT when there is none.
    pub fn delete_neighbour(&mut self, key: &NeighbourKey) -> Result<(), KernelError> {
        let gone = self.neighbours.remove(key);
        gone.ok_or_else(|| error(errno::ENOENT, ""))?;
        self.tell(Notice::NeighbourGone(*key));
        Ok(())
    }

    pub(super) fn object_hops(&self, id: u32) -> Vec<Hop> {
        match self.objects.get(&id).map(|object| &object.kind) {
            Some(NextHopKind::Hop(hop)) => vec![*hop],
            Some(NextHopKind::Group(members)) => members
                .iter()
                .filter_map(|(member, weight)| match self.objects.get(member)?.kind {
                    NextHopKind::Hop(hop) => Some(Hop {
                        weight: *weight,
                        ..hop
                    }),
                    NextHopKind::Group(_) | NextHopKind::Blackhole => None,
                })
                .collect(),
            Some(NextHopKind::Blackhole) | None => Vec::new(),
        }
    }

    /// A device lost its carrier or went down: its objects go, in silence.
    pub(super) fn flush_objects(&mut self, link: LinkIndex) {
        let dead = |object: &&NextHopObject| matches!(object.kind, NextHopKind::Hop(hop) if hop.link == Some(link));
        let gone: BTreeSet<u32> = self
            .objects
            .values()
            .filter(dead)
            .map(|object| object.id)
            .collect();
        self.drop_objects(&gone);
    }

    fn drop_objects(&mut self, gone: &BTreeSet<u32>) {
        let mut gone = gone.clone();
        self.objects.retain(|id, _| !gone.contains(id));
        for object in self.objects.values_mut() {
            if let NextHopKind::Group(members) = &mut object.kind {
                members.retain(|(id, _)| !gone.contains(id));
                if members.is_empty() {
                    gone.insert(object.id);
                }
            }
        }
        self.objects.retain(|id, _| !gone.contains(id));
        self.take_routes(
            false,
            |route| matches!(&route.target, Target::Object(id, _) if gone.contains(id)),
        );
    }

    pub(super) fn flush_neighbours(&mut self, link: LinkIndex) {
        self.neighbours.retain(|key, _| link_of(key) != link);
    }
}

fn link_of(key: &NeighbourKey) -> LinkIndex {
    match key {
        NeighbourKey::Neighbour(link, _) | NeighbourKey::Forwarding(link, _) => *link,
    }
}
