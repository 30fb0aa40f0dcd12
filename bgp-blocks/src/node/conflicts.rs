//! Who claims what: prefixes that belong to one node and are announced by several.
//!
//! - Our own block: whoever else announces it, in whatever way it came to us.
//! - A prefix that is no block of ours but shares addresses with one: longer than its pool and
//!   shorter than a single address, from inside the AS. A single address in our block is a
//!   workload that lives elsewhere, and a route from outside may sum up many blocks.
//! - A block of somebody else, as long as the blocks of its pool are: announced by two nodes of
//!   the AS. Two routers above the rack may well announce the same.

use super::notice::{Claim, Conflict};
use super::{Node, NodeNotice, range_inside};
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::rib::RouteOrigin;

impl Node {
    /// All prefixes that more than one node claims, in their order.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.values()
    }

    /// Looks at `prefix` anew, and tells what has changed.
    pub(super) fn judge(&mut self, prefix: IpNet) {
        let mut found = self.claims(prefix);
        match (self.conflicts.get(&prefix), &mut found) {
            (None, None) => {}
            (None, Some(conflict)) => {
                let notice = NodeNotice::Conflict(conflict.clone());
                self.conflicts.insert(prefix, conflict.clone());
                self.tell(notice);
            }
            (Some(before), Some(conflict)) => {
                conflict.since = before.since;
                let is_news = conflict.others.iter().any(|other| !before.names(other));
                let notice = is_news.then(|| NodeNotice::Conflict(conflict.clone()));
                self.conflicts.insert(prefix, conflict.clone());
                if let Some(notice) = notice {
                    self.tell(notice);
                }
            }
            (Some(_), None) => {
                if let Some(conflict) = self.conflicts.remove(&prefix) {
                    let lasted = self.now.since(conflict.since);
                    self.tell(NodeNotice::ConflictOver { conflict, lasted });
                }
            }
        }
    }

    /// Looks anew at everything that shares addresses with a block that has come or gone.
    pub(super) fn judge_around(&mut self, block: IpNet) {
        let inside = self.seats.range(range_inside(block));
        let mut around: Vec<IpNet> = inside.map(|(prefix, _)| *prefix).collect();
        let mut outer = block;
        while let Some(supernet) = outer.supernet() {
            outer = supernet;
            if self.seats.contains_key(&outer) {
                around.push(outer);
            }
        }
        around.push(block);
        for prefix in around {
            self.judge(prefix);
        }
    }

    fn claims(&self, prefix: IpNet) -> Option<Conflict> {
        let seat = self.seats.get(&prefix)?;
        let best = seat.foreign().map(|best| &best.origin);
        let heard: Vec<&RouteOrigin> = best.into_iter().chain(&seat.rivals).collect();
        if self.blocks.contains(&prefix) {
            return self.conflict(prefix, Some(prefix), &heard);
        }
        let mut internal: Vec<_> = heard.into_iter().filter(|o| !o.external).collect();
        // As in the kernel: the lowest router id is used, whichever is nearest.
        internal.sort_by_key(|origin| (origin.router_id, origin.next_hop));
        let pool = self.settings.pool_of(&prefix)?;
        if let Some(block) = self.shared_block(prefix, pool.prefix) {
            return self.conflict(prefix, Some(block), &internal);
        }
        let is_block = prefix.prefix_len() == pool.block_size;
        let is_looked_at = is_block && !internal.is_empty() && best.is_some_and(|b| !b.external);
        is_looked_at.then(|| self.conflict(prefix, None, &internal))?
    }

    /// A block of ours that `prefix` shares addresses with, where that is wrong.
    fn shared_block(&self, prefix: IpNet, pool: IpNet) -> Option<IpNet> {
        let single = prefix.prefix_len() == family_of(&prefix).max_prefix_len();
        if single || prefix == pool {
            return None;
        }
        let mut inside = self.blocks.range(range_inside(prefix));
        inside.next().copied().or_else(|| self.block_around(prefix))
    }

    fn conflict(
        &self,
        prefix: IpNet,
        block: Option<IpNet>,
        heard: &[&RouteOrigin],
    ) -> Option<Conflict> {
        let names = &self.settings.names;
        let mut others: Vec<Claim> = Vec::new();
        for origin in heard {
            let claim = Claim::of(origin, names);
            if !others.contains(&claim) {
                others.push(claim);
            }
        }
        let used = match block {
            Some(_) => self.own_claim(prefix)?,
            None if others.is_empty() => return None,
            None => others.remove(0),
        };
        (!others.is_empty()).then_some(Conflict {
            prefix,
            block,
            used,
            others,
            since: self.now,
        })
    }

    fn own_claim(&self, prefix: IpNet) -> Option<Claim> {
        Some(Claim {
            name: Some(self.settings.name.clone()),
            address: self.settings.address(family_of(&prefix))?,
            router_id: self.settings.router_id,
            heard_from: None,
        })
    }
}
