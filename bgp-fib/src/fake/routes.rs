//! The routing tables of the made-up kernel.

use super::{FakeKernel, error};
use crate::errno;
use crate::kernel::{Hop, How, KernelError, Notice, Route, RouteKey, Target};
use bgp_core::prefix::IpNet;

impl FakeKernel {
    /// All routes, in order of table, prefix and metric.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().flatten()
    }

    /// The routes with `key`, the one that counts first.
    pub fn at(&self, key: &RouteKey) -> impl Iterator<Item = &Route> {
        let spot = self.routes.get(&(key.table, key.prefix));
        spot.into_iter()
            .flatten()
            .filter(move |route| route.key == *key)
    }

    /// RTM_NEWROUTE.
    ///
    /// # Errors
    ///
    /// As Linux would.
    pub fn put_route(&mut self, mut route: Route, how: How) -> Result<(), KernelError> {
        if let (IpNet::V6(_), 0) = (route.key.prefix, route.key.metric) {
            route.key.metric = 1024;
        }
        self.check_route(&route)?;
        let there = self.at(&route.key).next().cloned();
        match (there, how) {
            (Some(_), How::Create) => return Err(error(errno::EEXIST, "")),
            (Some(there), How::Replace) if there == route => return Ok(()),
            (Some(there), How::Replace) => {
                let spot = self.routes.get_mut(&(there.key.table, there.key.prefix));
                let first = spot.into_iter().flatten().find(|other| **other == there);
                if let Some(first) = first {
                    *first = route.clone();
                }
                self.tell_route(&route, true);
            }
            (None, How::Create | How::Replace) => {
                self.insert(route.clone());
                self.tell_route(&route, false);
            }
        }
        Ok(())
    }

    /// RTM_NEWROUTE with NLM_F_APPEND: a second route with the same key.
    ///
    /// # Errors
    ///
    /// As Linux would.
    pub fn append_route(&mut self, route: Route) -> Result<(), KernelError> {
        self.check_route(&route)?;
        if self.at(&route.key).any(|other| *other == route) {
            return Err(error(errno::EEXIST, ""));
        }
        self.insert(route.clone());
        self.tell_route(&route, false);
        Ok(())
    }

    /// RTM_DELROUTE by key and protocol.
    ///
    /// # Errors
    ///
    /// ESRCH when there is none.
    pub fn delete_route(&mut self, key: &RouteKey, protocol: u8) -> Result<(), KernelError> {
        let mine = |route: &&Route| route.protocol == protocol;
        let route = self.at(key).find(mine).cloned();
        let route = route.ok_or_else(|| error(errno::ESRCH, ""))?;
        let mut once = true;
        self.take_routes(true, |other| {
            *other == route && std::mem::replace(&mut once, false)
        });
        Ok(())
    }

    /// What the kernel says about a route: hops of an object are its affair.
    pub(super) fn reported(&self, route: &Route) -> Route {
        let mut reported = route.clone();
        if let Target::Object(id, _) = route.target {
            reported.target = Target::Object(id, self.hops_of(route));
        }
        reported
    }

    /// The hops through which a route's packets leave.
    pub(super) fn hops_of(&self, route: &Route) -> Vec<Hop> {
        match &route.target {
            Target::Unicast(hops) => hops.clone(),
            Target::Object(id, _) => self.object_hops(*id),
            Target::Blackhole | Target::Unreachable | Target::Prohibit | Target::Other(_) => {
                Vec::new()
            }
        }
    }

    fn check_route(&self, route: &Route) -> Result<(), KernelError> {
        match &route.target {
            Target::Unicast(hops) => hops.iter().try_for_each(|hop| self.check_hop(hop))?,
            Target::Object(id, _) => {
                if !self.objects.contains_key(id) {
                    return Err(error(errno::EINVAL, "Nexthop id does not exist"));
                }
            }
            Target::Blackhole | Target::Unreachable | Target::Prohibit | Target::Other(_) => {}
        }
        match route.source {
            Some(source) if !self.is_own(source) => {
                Err(error(errno::EINVAL, "Invalid prefsrc address"))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn insert(&mut self, route: Route) {
        let spot = self
            .routes
            .entry((route.key.table, route.key.prefix))
            .or_default();
        let place = spot.partition_point(|other| other.key.metric <= route.key.metric);
        spot.insert(place, route);
    }

    /// Takes routes away, and says so or not; answers how many.
    pub(super) fn take_routes(
        &mut self,
        tell: bool,
        mut which: impl FnMut(&Route) -> bool,
    ) -> usize {
        let mut gone = Vec::new();
        for spot in self.routes.values_mut() {
            gone.extend(spot.extract_if(.., |route| which(route)));
        }
        self.routes.retain(|_, spot| !spot.is_empty());
        let taken = gone.len();
        if tell {
            for route in gone {
                let route = self.reported(&route);
                self.tell(Notice::RouteGone(route));
            }
        }
        taken
    }

    fn tell_route(&mut self, route: &Route, replaced: bool) {
        let route = self.reported(route);
        self.tell(Notice::Route { route, replaced });
    }
}
