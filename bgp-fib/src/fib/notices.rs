//! What the kernel says by itself.

use super::fights::{PATIENCE, Repair};
use super::way::{Way, stored_metric};
use super::{Cause, Fib, FibEvent, Reason, place_of};
use crate::delta::Heard;
use crate::foreign::LOCAL_TABLE;
use crate::kernel::{Address, LinkIndex, Notice, Route, RouteKey, Target};
use crate::links::LinkChange;
use crate::wanted::Place;
use bgp_core::family::FamilySet;
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::time::Instant;
use std::collections::BTreeSet;

/// Whose a route is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Ours,
    /// A predecessor's, taken over.
    Adopted,
    /// A predecessor's, perhaps: its protocol says so.
    Adoptable,
    Others,
}

impl Fib {
    /// Something has happened in the kernel.
    pub fn handle_notice(&mut self, now: Instant, notice: Notice) {
        self.now = self.now.max(now);
        match notice {
            Notice::Route { route, replaced } => self.route_heard(route, replaced),
            Notice::RouteGone(route) => self.route_gone(&route),
            Notice::Link(link) => {
                if let Some(change) = self.links.put(link) {
                    self.link_changed(&change);
                }
            }
            Notice::LinkGone(index) => {
                if let Some(change) = self.links.remove(index) {
                    self.link_changed(&change);
                }
            }
            Notice::Address(address) => {
                if self.links.put_address(address) {
                    self.address_changed(&address);
                }
            }
            Notice::AddressGone(address) => {
                if self.links.remove_address(address) {
                    self.address_changed(&address);
                }
            }
            Notice::NextHop(object) => {
                let keep = self.swept != FamilySet::ALL;
                self.objects.heard(object, keep);
            }
            Notice::NextHopGone(id) => {
                let gone = self.objects.gone(id);
                self.objects_lost(&gone);
            }
            Notice::Neighbour(key, target) => self.tunnels.heard(&key, Some(target)),
            Notice::NeighbourGone(key) => self.tunnels.heard(&key, None),
        }
    }

    /// Notifications were lost: nothing that we know from them is sure.
    pub fn handle_overrun(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.tally.overruns += 1;
        self.resync.ask();
        self.events.push(FibEvent::Overrun);
    }

    pub(crate) fn whose(&self, route: &Route) -> Whose {
        let key = &route.key;
        if !self.tables.contains(&key.table) || matches!(route.target, Target::Other(_)) {
            return Whose::Others;
        }
        let metric = stored_metric(&key.prefix, self.settings.metric);
        if route.protocol == self.settings.protocol && key.metric == metric {
            return Whose::Ours;
        }
        let there = self.routes.actual(key);
        if there.is_some_and(|way| way.protocol == route.protocol) {
            return Whose::Adopted;
        }
        if self.settings.adopt.contains(&route.protocol) && key.table == self.settings.table {
            return Whose::Adoptable;
        }
        Whose::Others
    }

    fn route_heard(&mut self, route: Route, replaced: bool) {
        let key = route.key;
        if key.table == LOCAL_TABLE {
            return;
        }
        match self.whose(&route) {
            Whose::Ours | Whose::Adopted => {
                if replaced && self.foreign.take_key(&key) > 0 {
                    self.foreign_changed(key.table, &key.prefix);
                }
                let keep = !self.swept.contains(family_of(&key.prefix));
                let heard = self.routes.heard(&key, Some(Way::of(route)), keep);
                self.after_hearing(&key, heard);
            }
            Whose::Adoptable | Whose::Others => {
                if replaced && self.routes.actual(&key).is_some() {
                    let heard = self.routes.heard(&key, None, false);
                    // Not a drift to be repaired: the other keeps the key.
                    if heard == Heard::Drift {
                        self.resync.ask();
                    }
                }
                self.foreign_put(route, replaced);
            }
        }
    }

    fn route_gone(&mut self, route: &Route) {
        let key = route.key;
        if key.table == LOCAL_TABLE {
            return;
        }
        match self.whose(route) {
            Whose::Ours | Whose::Adopted => {
                let heard = self.routes.heard(&key, None, false);
                self.after_hearing(&key, heard);
            }
            Whose::Adoptable | Whose::Others => {
                if self.foreign.remove(route) {
                    self.foreign_changed(key.table, &key.prefix);
                }
            }
        }
    }

    /// `table` is one of ours from now on: what stood there with our mark was taken for another's.
    pub(crate) fn claim_table(&mut self, table: u32) {
        let spots = self.foreign.spots().filter(|(other, _)| *other == table);
        let ours: Vec<Route> = spots
            .flat_map(|spot| self.foreign.at_spot(*spot))
            .filter(|route| self.whose(route) == Whose::Ours)
            .cloned()
            .collect();
        for route in ours {
            self.foreign.remove(&route);
            self.route_heard(route, false);
        }
    }

    /// A route of another is there.
    pub(crate) fn foreign_put(&mut self, route: Route, replaced: bool) {
        let key = route.key;
        if self.foreign.insert(route, replaced) {
            self.foreign_changed(key.table, &key.prefix);
        }
        self.look_at_foreign_room();
    }

    pub(crate) fn look_at_foreign_room(&mut self) {
        let dropped = self.foreign.dropped();
        if dropped > 0 && self.tally.foreign_dropped == 0 {
            self.events.push(FibEvent::ForeignFull);
        }
        self.tally.foreign_dropped = dropped;
    }

    /// Routes of others to `prefix` came, went or changed.
    pub(crate) fn foreign_changed(&mut self, table: u32, prefix: &IpNet) {
        self.tracker.touch(prefix);
        self.hosts.touch(table, prefix);
        self.dirty.network = true;
        let place = Place {
            table,
            prefix: *prefix,
        };
        let key = self.key(place);
        if self.foreign.at(&key).is_some() {
            return;
        }
        self.conflict_over(&key);
        let waits = |cause: &Cause| matches!(cause, Cause::Conflict(_));
        let parked = self.routes.trouble(&key);
        if parked.is_some_and(|trouble| waits(&trouble.cause.cause)) {
            self.routes.wake(&key);
        }
    }

    /// What a notification or a dump did to ours.
    pub(crate) fn after_hearing(&mut self, key: &RouteKey, heard: Heard) {
        match heard {
            Heard::Known | Heard::News => self.settled(key),
            Heard::Older => {}
            Heard::Drift => match self.fights.drifted(key, self.now, &mut self.rng) {
                Repair::Now => {}
                Repair::Later(until, times) => {
                    let reason = Reason {
                        cause: Cause::Fight,
                        error: None,
                    };
                    self.routes.park(key, reason, self.now, until);
                    if times == PATIENCE + 1 || times.is_power_of_two() {
                        self.events.push(FibEvent::Fight {
                            place: place_of(key),
                            times,
                            until,
                        });
                    }
                }
            },
        }
    }

    pub(crate) fn link_changed(&mut self, change: &LinkChange) {
        self.dirty.devices.extend(change.names().cloned());
        self.tracker.touch_all();
        if change.renamed() {
            self.hosts.touch_all();
        }
        if change.went_down() {
            self.link_lost(change.index);
        }
        if change.went_down() || change.carrier_changed() {
            let gone = self.objects.lost(change.index);
            self.objects_lost(&gone);
        }
        if change.came_up() {
            self.dirty.network = true;
        }
        // Only devices that carry something of ours are worth a look at everything.
        let ours = change
            .names()
            .any(|name| self.devices.contains_key(name) || self.tunnels.uses(name))
            || self.tracker.uses_link(change.index);
        if !ours {
            return;
        }
        if change.came_up() {
            self.resync.ask_urgently();
        } else if change.went_down() || change.carrier_changed() || change.renamed() {
            self.resync.ask();
        }
    }

    /// Linux drops the IPv4 routes of a device that goes down, and says nothing.
    fn link_lost(&mut self, link: LinkIndex) {
        let lost: Vec<RouteKey> = self
            .routes
            .actuals()
            .filter(|(_, way)| {
                let hops = way.hops();
                !hops.is_empty() && hops.iter().all(|hop| hop.link == Some(link))
            })
            .map(|(key, _)| *key)
            .collect();
        for key in &lost {
            self.routes.lost(key);
        }
        for (table, prefix) in self.foreign.drop_link(link) {
            self.foreign_changed(table, &prefix);
        }
        self.tunnels.lost(link);
    }

    /// Linux drops the routes through an object with it, and says nothing.
    fn objects_lost(&mut self, gone: &BTreeSet<u32>) {
        if gone.is_empty() {
            return;
        }
        let through = |way: &Way| matches!(&way.target, Target::Object(id, _) if gone.contains(id));
        let lost: Vec<RouteKey> = self
            .routes
            .actuals()
            .filter(|(_, way)| through(way))
            .map(|(key, _)| *key)
            .collect();
        for key in &lost {
            self.routes.lost(key);
        }
        self.resync.ask();
    }

    pub(crate) fn address_changed(&mut self, address: &Address) {
        self.tracker.touch_all();
        self.dirty.network = true;
        let host = IpNet::from(address.address.addr());
        let tables = self.tables.iter();
        let places = tables.map(|table| Place {
            table: *table,
            prefix: host,
        });
        let keys: Vec<RouteKey> = places.map(|place| self.key(place)).collect();
        let wanted = keys.iter().filter(|key| self.wanted.contains_key(key));
        self.dirty.keys.extend(wanted.copied());
        let device = self.links.get(address.link);
        let ours = device.is_some_and(|link| self.devices.contains_key(&link.name))
            || self.tracker.uses_link(address.link);
        if ours {
            self.resync.ask();
        }
    }
}
