//! How requests ended.

use super::fights::pause;
use super::requests::Sort;
use super::{Cause, Fib, FibEvent, Reason};
use crate::errno::Meaning;
use crate::kernel::{Answer, How, KernelError, RouteKey};
use bgp_core::time::Instant;

impl Fib {
    /// Requests have ended, in any order. An answer to a ticket that is not awaited any more is
    /// ignored.
    pub fn handle_answers(&mut self, now: Instant, answers: &[Answer]) {
        self.now = self.now.max(now);
        for (ticket, outcome) in answers {
            let Some(flight) = self.flights.awaited.remove(ticket) else {
                continue;
            };
            match outcome {
                Ok(()) => self.obeyed(&flight.what),
                Err(error) => self.refused(&flight.what, error),
            }
        }
    }

    fn obeyed(&mut self, sort: &Sort) {
        // What works again was paused for nothing more.
        self.flights.paused = None;
        match sort {
            Sort::Route(key, _) => {
                self.routes.obeyed(key, true);
                self.settled(key);
            }
            Sort::Neighbour(key, _) => self.tunnels.obeyed(key),
            Sort::Object(id, _) => {
                self.objects.obeyed(*id, true);
                // Routes may wait for it.
                self.dirty.network |= self.routes.parked_len() > 0;
            }
        }
    }

    fn refused(&mut self, sort: &Sort, error: &KernelError) {
        let meaning = Meaning::of(error);
        let gone = meaning == Meaning::Absent
            && matches!(
                sort,
                Sort::Route(_, None) | Sort::Neighbour(_, false) | Sort::Object(_, false)
            );
        if gone {
            match sort {
                Sort::Route(key, _) => self.routes.obeyed(key, false),
                Sort::Neighbour(key, _) => self.tunnels.obeyed(key),
                Sort::Object(id, _) => self.objects.obeyed(*id, false),
            }
            return;
        }
        *self.tally.failed.entry(error.errno).or_default() += 1;
        if meaning == Meaning::Everything {
            self.pause_everything(sort, error);
            return;
        }
        match sort {
            Sort::Route(key, how) => self.route_refused(key, *how, meaning, error),
            Sort::Neighbour(key, _) => {
                let told = self.tunnels.refused(key, error, self.now, &mut self.rng);
                if told {
                    self.tell_refusal(sort, error);
                }
            }
            Sort::Object(..) if meaning == Meaning::Unsupported => self.give_up_objects(error),
            Sort::Object(id, _) => {
                let told = self.objects.refused(*id, error, self.now, &mut self.rng);
                if told {
                    self.tell_refusal(sort, error);
                }
            }
        }
    }

    fn give_up_objects(&mut self, error: &KernelError) {
        if self.objects.is_on() {
            self.objects.give_up();
            self.dirty.everything = true;
            self.events.push(FibEvent::NoNextHopObjects {
                error: error.clone(),
            });
        }
    }

    fn route_refused(
        &mut self,
        key: &RouteKey,
        how: Option<How>,
        meaning: Meaning,
        error: &KernelError,
    ) {
        let cause = match meaning {
            Meaning::Exists if how == Some(How::Create) => {
                let known = self.foreign.at(key).map(|route| route.protocol);
                if known.is_none() {
                    self.resync.ask();
                }
                Cause::Conflict(known)
            }
            Meaning::Link => self.link_cause(key),
            Meaning::Network => Cause::Network,
            Meaning::Object => Cause::Object,
            Meaning::Exists
            | Meaning::Absent
            | Meaning::Everything
            | Meaning::Unsupported
            | Meaning::Other => Cause::Time,
        };
        let before = self.routes.trouble(key).cloned();
        let tries = before.as_ref().map_or(0, |trouble| trouble.tries);
        let conflict = matches!(cause, Cause::Conflict(_));
        // Time alone hardly ends a conflict: news of the other's route, or a look, set it free.
        let patience = if conflict {
            tries.saturating_add(9)
        } else {
            tries.saturating_add(1)
        };
        let until = self.now + pause(patience, &mut self.rng);
        let reason = Reason {
            cause: cause.clone(),
            error: Some(error.clone()),
        };
        if !self.routes.refused(key, reason, self.now, until) {
            return;
        }
        if conflict {
            self.conflict_refused(key, tries);
            return;
        }
        let repeated = before.is_some_and(|trouble| trouble.cause.error.as_ref() == Some(error));
        if !repeated {
            self.tell_refusal(&Sort::Route(*key, how), error);
        }
    }

    /// The kernel says that something has the key. That may be ours, of which we have lost track;
    /// the look at the kernel that is asked for tells. Only what lasts is a conflict.
    fn conflict_refused(&mut self, key: &RouteKey, tries: u32) {
        let known = self.foreign.at(key).map(|route| route.protocol);
        if known.is_some() || tries > 0 {
            self.tell_conflict(key, known);
        }
    }

    fn link_cause(&self, key: &RouteKey) -> Cause {
        let hops = self.routes.desired(key).map_or(&[][..], |way| way.hops());
        let mut links = hops.iter().filter_map(|hop| self.links.get(hop.link?));
        match links.next() {
            Some(link) => Cause::Link(link.name.clone()),
            None => Cause::Network,
        }
    }

    fn tell_refusal(&mut self, sort: &Sort, error: &KernelError) {
        if let Some(subject) = self.subject(sort) {
            self.events.push(FibEvent::Refused {
                subject,
                error: error.clone(),
            });
        }
    }

    /// It is not about this request: all wait.
    fn pause_everything(&mut self, sort: &Sort, error: &KernelError) {
        match sort {
            Sort::Route(key, _) => self.routes.forgotten(key),
            Sort::Neighbour(key, _) => self.tunnels.forgotten(key),
            Sort::Object(id, _) => self.objects.forgotten(*id),
        }
        let (until, times) = self.flights.paused.unwrap_or((Instant::ZERO, 0));
        // The other refusals of the same batch are the same one.
        if until > self.now {
            return;
        }
        let times = times.saturating_add(1);
        let until = self.now + pause(times, &mut self.rng);
        self.flights.paused = Some((until, times));
        if times == 1 {
            self.tell_refusal(sort, error);
        }
    }
}
