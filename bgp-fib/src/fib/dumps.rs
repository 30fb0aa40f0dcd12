//! Looks at the whole kernel: what a dump says, and what its silence says.

use super::notices::Whose;
use super::resync::Progress;
use super::way::Way;
use super::{Audit, Cause, Difference, Fib, FibEvent, MAX_DIFFERENCES, Reason};
use crate::delta::{Heard, Standing};
use crate::foreign::LOCAL_TABLE;
use crate::kernel::{Dump, Notice, Route, RouteKey};
use bgp_core::family::FamilySet;
use bgp_core::prefix::family_of;
use bgp_core::time::Instant;

impl Fib {
    /// The dump that [`Fib::poll_dump`] asked for: its lines, and whether the kernel gave all of
    /// them (no NLM_F_DUMP_INTR, no overrun). One that nobody asked for is ignored.
    pub fn handle_dump(&mut self, now: Instant, dump: Dump, entries: Vec<Notice>, complete: bool) {
        self.now = self.now.max(now);
        if self.resync.running() == Some(dump) {
            self.end_dump(self.now, dump, entries, complete);
        }
    }

    pub(crate) fn begin_dump(&mut self, dump: Dump) {
        match dump {
            Dump::Links => self.links.begin_links(),
            Dump::Addresses => self.links.begin_addresses(),
            Dump::Routes => {
                self.routes.begin_dump();
                self.foreign.begin_dump();
            }
            Dump::NextHops => self.objects.begin_dump(),
            Dump::Neighbours => self.tunnels.begin_dump(),
        }
    }

    pub(crate) fn end_dump(
        &mut self,
        now: Instant,
        dump: Dump,
        entries: Vec<Notice>,
        complete: bool,
    ) {
        match dump {
            Dump::Links => {
                let links = entries.into_iter().filter_map(|notice| {
                    let Notice::Link(link) = notice else {
                        return None;
                    };
                    Some(link)
                });
                for change in self.links.dumped_links(links.collect(), complete) {
                    self.link_changed(&change);
                }
            }
            Dump::Addresses => {
                let addresses = entries.into_iter().filter_map(|notice| {
                    let Notice::Address(address) = notice else {
                        return None;
                    };
                    Some(address)
                });
                for address in self.links.dumped_addresses(addresses.collect(), complete) {
                    self.address_changed(&address);
                }
            }
            Dump::Routes => self.routes_dumped(now, entries, complete),
            Dump::NextHops => self.objects_dumped(entries, complete),
            Dump::Neighbours => self.tunnels.dumped(entries, complete),
        }
        // A kernel without nexthop objects refuses to list them; that is no reason to list again.
        match self.resync.ended(complete || dump == Dump::NextHops) {
            Progress::Goes => {}
            Progress::Done { first } => self.round_done(first),
        }
    }

    fn objects_dumped(&mut self, entries: Vec<Notice>, complete: bool) {
        let keep = self.swept != FamilySet::ALL;
        for notice in entries {
            if let Notice::NextHop(object) = notice {
                self.objects.dumped(object, keep);
            }
        }
        self.objects.end_dump(complete);
    }

    fn routes_dumped(&mut self, now: Instant, entries: Vec<Notice>, complete: bool) {
        let mut audit = Audit {
            at: now,
            number: self.last_audit.as_ref().map_or(1, |last| last.number + 1),
            complete,
            compared: 0,
            differing: 0,
            differences: Vec::new(),
        };
        for notice in entries {
            if let Notice::Route { route, .. } = notice
                && route.key.table != LOCAL_TABLE
            {
                self.route_dumped(route, &mut audit);
            }
        }
        for key in self.routes.end_dump(complete) {
            note(&mut audit, Difference::Missing(key));
            self.after_hearing(&key, Heard::Drift);
        }
        self.drifted += audit.differing;
        self.count_waiting(&mut audit);
        let end = self.foreign.end_dump(complete);
        for (table, prefix) in &end.changed {
            self.foreign_changed(*table, prefix);
        }
        if end.doubt {
            self.resync.ask();
        }
        self.look_at_foreign_room();
        self.last_audit = Some(audit);
    }

    fn route_dumped(&mut self, route: Route, audit: &mut Audit) {
        let key = route.key;
        let swept = self.swept.contains(family_of(&key.prefix));
        let others: Vec<_> = self.foreign.at_spot((key.table, key.prefix)).collect();
        let known_foreign = others.contains(&&route);
        let ours = match self.whose(&route) {
            Whose::Ours | Whose::Adopted => true,
            Whose::Adoptable => !swept && !known_foreign,
            Whose::Others => false,
        };
        if !ours {
            if self.foreign.dumped(route) {
                self.foreign_changed(key.table, &key.prefix);
            }
            return;
        }
        audit.compared += 1;
        let heard = self.routes.dumped(&key, Way::of(route), !swept);
        match heard {
            Heard::Drift => note(audit, Difference::Differs(key)),
            Heard::News if self.routes.desired(&key).is_none() && swept => {
                note(audit, Difference::Extra(key));
            }
            Heard::News | Heard::Known | Heard::Older => {}
        }
        self.after_hearing(&key, heard);
    }

    /// Routes that wait for something are not there either.
    fn count_waiting(&self, audit: &mut Audit) {
        // A fight is parked because of this very look.
        let fights = |reason: &Reason| reason.cause == Cause::Fight;
        let parked = self.routes.parked();
        let parked = parked.filter(|(_, trouble)| !fights(&trouble.cause));
        let parked = parked.map(|(key, _)| *key);
        let held = self.wanted.iter().filter(|(_, asked)| asked.hold.is_some());
        for key in parked.chain(held.map(|(key, _)| *key)) {
            let view = self.routes.view(&key);
            let named =
                view.is_some_and(|view| view.standing == Standing::Parked && view.actual.is_some());
            let difference = if named {
                Difference::Differs(key)
            } else {
                Difference::Missing(key)
            };
            note(audit, difference);
        }
    }

    fn round_done(&mut self, first: bool) {
        if first {
            self.dirty.everything = true;
            self.tracker.touch_all();
            self.hosts.touch_all();
            self.refresh();
        }
        // What seemed to have a key of ours has been looked at; if the look was asked for when it
        // was over already, the next one counts.
        if self.resync.is_quiet() {
            let foreign = &self.foreign;
            self.routes
                .release(self.now, |key: &RouteKey, reason| match reason.cause {
                    Cause::Conflict(None) => true,
                    Cause::Conflict(Some(_)) => foreign.at(key).is_none(),
                    Cause::FirstLook
                    | Cause::Link(_)
                    | Cause::NextHop(_)
                    | Cause::Network
                    | Cause::Object
                    | Cause::Fight
                    | Cause::Time => false,
                });
        }
        let drifted = std::mem::take(&mut self.drifted);
        if self.has_looked() {
            self.events.push(FibEvent::Synced { first, drifted });
        }
    }
}

fn note(audit: &mut Audit, difference: Difference) {
    audit.differing += 1;
    if audit.differences.len() < MAX_DIFFERENCES {
        audit.differences.push(difference);
    }
}
