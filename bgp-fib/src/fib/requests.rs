//! What the edge asks for: requests, events, times.

use super::fights::pause;
use super::objects::Objects;
use super::way::Way;
use super::{Cause, Fib, FibEvent, Reason, Subject, place_of};
use crate::kernel::{Dump, How, NeighbourKey, Request, RouteKey, Target, Ticket};
use bgp_core::time::{Duration, Instant};
use std::collections::BTreeMap;

/// A batch is never larger: more requests per `sendmsg` gain nothing.
pub const MAX_BATCH: usize = 64;

/// At most so many requests are without an answer; then no more are given out.
pub const MAX_IN_FLIGHT: usize = 1_024;

/// An answer that takes longer will not come: a look at the kernel tells what became of it.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A contradiction between answer and notification that lasts so long is worth a dump.
const DOUBT_TIME: Duration = Duration::from_millis(200);

/// Requests whose answers are awaited, and the pause of the whole queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights {
    last: u64,
    pub(crate) awaited: BTreeMap<Ticket, Flight>,
    /// Nothing is sent before, and how often in a row that was so.
    pub(crate) paused: Option<(Instant, u32)>,
    /// When doubts are settled by a dump.
    pub(crate) doubt: Option<Instant>,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) what: Sort,
    pub(crate) since: Instant,
}

/// What sort of thing a request is about.
#[derive(Clone, Debug)]
pub(crate) enum Sort {
    /// A route; `None` is a delete.
    Route(RouteKey, Option<How>),
    /// A neighbour or forwarding entry; whether it is put.
    Neighbour(NeighbourKey, bool),
    /// A nexthop object; whether it is put.
    Object(u32, bool),
}

impl Flights {
    fn ticket(&mut self, what: Sort, since: Instant) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.awaited.insert(ticket, Flight { what, since });
        ticket
    }

    /// Nothing may be sent now.
    fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|(until, _)| until > now)
    }

    /// When the oldest answer is given up.
    fn expires(&self) -> Option<Instant> {
        let (_, flight) = self.awaited.first_key_value()?;
        Some(flight.since + ANSWER_TIME)
    }
}

/// For the edge.
impl Fib {
    /// The next requests in order, at most `max` and at most [`MAX_BATCH`], appended to `out`. The
    /// kernel must be told them in this order. Nothing comes before the first look, nor while
    /// [`MAX_IN_FLIGHT`] answers are awaited, nor while the kernel is out of memory.
    pub fn poll_batch(&mut self, now: Instant, max: usize, out: &mut Vec<(Ticket, Request)>) {
        self.turn(now);
        if !self.has_looked() || self.flights.is_paused(now) {
            return;
        }
        let mut room = max.min(MAX_BATCH);
        while room > 0 && self.flights.awaited.len() < MAX_IN_FLIGHT {
            let Some((sort, request)) = self.next_request() else {
                return;
            };
            self.tally.requests += 1;
            out.push((self.flights.ticket(sort, now), request));
            room -= 1;
        }
    }

    /// The dump to begin now, if any. Its lines are given to [`Fib::handle_dump`]; until then no
    /// other is asked for.
    pub fn poll_dump(&mut self, now: Instant) -> Option<Dump> {
        self.turn(now);
        let mut round = vec![Dump::Links, Dump::Addresses, Dump::Routes];
        if self.objects.is_on() {
            round.push(Dump::NextHops);
        }
        if self.tunnels.is_used() {
            round.push(Dump::Neighbours);
        }
        let dump = self.resync.poll(now, &round)?;
        self.begin_dump(dump);
        Some(dump)
    }

    /// When [`Fib::handle_timeout`] is to be called at the latest; a time that has passed means now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.has_looked() && self.is_dirty() {
            return Some(Instant::ZERO);
        }
        let paused = self.flights.paused.map(|(until, _)| until);
        let pending = self.pending_len() > 0;
        [
            self.resync.next(),
            self.routes.next_retry(),
            self.tunnels.next_retry(),
            self.objects.next_retry(),
            self.release_at().filter(|_| self.has_looked()),
            paused.filter(|_| pending),
            self.flights.expires(),
            self.flights.doubt,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.turn(now);
    }

    /// What the owner should hear next.
    pub fn poll_event(&mut self) -> Option<FibEvent> {
        if let Some(event) = self.events.poll() {
            return Some(event);
        }
        if !self.has_looked() {
            return None;
        }
        self.refresh();
        let next_hop = self.tracker.poll_news();
        next_hop
            .map(|(address, found)| FibEvent::NextHop(address, found))
            .or_else(|| self.hosts.poll_news())
    }

    /// Everything that time or other news make due.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let now = self.now;
        if let Some(dump) = self.resync.overdue(now) {
            self.end_dump(now, dump, Vec::new(), false);
        }
        self.refresh();
        self.release_network(now);
        self.routes.release_due(now);
        self.tunnels.release_due(now);
        self.objects.release_due(now);
        if self.flights.expires().is_some_and(|at| at <= now) {
            self.give_up_answers(now);
        }
        self.look_at_doubts(now);
    }

    fn look_at_doubts(&mut self, now: Instant) {
        match self.flights.doubt {
            _ if !self.routes.doubtful() && !self.objects.doubtful() => self.flights.doubt = None,
            None => self.flights.doubt = Some(now + DOUBT_TIME),
            Some(at) if at <= now => {
                self.flights.doubt = Some(now + DOUBT_TIME * 10);
                self.resync.ask();
            }
            Some(_) => {}
        }
    }

    fn give_up_answers(&mut self, now: Instant) {
        while let Some(entry) = self.flights.awaited.first_entry() {
            if entry.get().since + ANSWER_TIME > now {
                break;
            }
            match entry.remove().what {
                Sort::Route(key, _) => self.routes.forgotten(&key),
                Sort::Neighbour(key, _) => self.tunnels.forgotten(&key),
                Sort::Object(id, _) => self.objects.forgotten(id),
            }
        }
        self.resync.ask();
    }

    fn next_request(&mut self) -> Option<(Sort, Request)> {
        let put = self.tunnels.next_put();
        if let Some(request) = put.or_else(|| self.objects.next_put()) {
            return Some(request);
        }
        while let Some(key) = self.routes.next().copied() {
            if let Some(request) = self.route_request(key) {
                return Some(request);
            }
        }
        let delete = self.tunnels.next_delete();
        delete.or_else(|| self.next_object_delete())
    }

    /// Linux deletes the routes through an object with it, so no route may use it, nor be on its
    /// way to it.
    fn next_object_delete(&mut self) -> Option<(Sort, Request)> {
        if self.objects.pending_len() == 0 || self.routes.in_flight_len() > 0 {
            return None;
        }
        let routes = &self.routes;
        let uses = |way: &Way, id| matches!(&way.target, Target::Object(of, _) if *of == id);
        let used = |id| routes.actuals().any(|(_, way)| uses(way, id));
        self.objects.next_delete(self.now, used)
    }

    pub(crate) fn pending_len(&self) -> usize {
        self.routes.pending_len() + self.tunnels.pending_len() + self.objects.pending_len()
    }

    /// The request for a queued route; `None` when it is parked instead, or needs none.
    fn route_request(&mut self, key: RouteKey) -> Option<(Sort, Request)> {
        let other = self.foreign.at(&key).map(|route| route.protocol);
        if self.routes.next_is_put()
            && let Some(protocol) = other
        {
            self.park_conflict(&key, Some(protocol));
            return None;
        }
        let (put, there) = self.routes.send(&key)?;
        match (put, there) {
            (Some(way), there) => {
                let how = match there {
                    Some(_) => How::Replace,
                    None => How::Create,
                };
                let sort = Sort::Route(key, Some(how));
                Some((sort, Request::PutRoute(way.route(key), how)))
            }
            (None, Some(there)) => Some((
                Sort::Route(key, None),
                Request::DeleteRoute(key, there.protocol),
            )),
            (None, None) => {
                self.routes.obeyed(&key, false);
                None
            }
        }
    }

    /// A queued route whose key another has.
    fn park_conflict(&mut self, key: &RouteKey, protocol: Option<u8>) {
        let tries = self.routes.trouble(key).map_or(0, |trouble| trouble.tries);
        let until = self.now + pause(tries.saturating_add(9), &mut self.rng);
        let reason = Reason {
            cause: Cause::Conflict(protocol),
            error: None,
        };
        self.routes.park(key, reason, self.now, until);
        self.tell_conflict(key, protocol);
    }

    pub(crate) fn tell_conflict(&mut self, key: &RouteKey, protocol: Option<u8>) {
        let known = self.conflicts.get(key).copied();
        if known.is_none_or(|(known, _)| known != protocol) {
            let since = known.map_or(self.now, |(_, since)| since);
            self.conflicts.insert(*key, (protocol, since));
            self.events.push(FibEvent::Conflict {
                place: place_of(key),
                protocol,
            });
        }
    }

    pub(crate) fn conflict_over(&mut self, key: &RouteKey) {
        if self.conflicts.remove(key).is_some() {
            self.events.push(FibEvent::ConflictOver {
                place: place_of(key),
            });
        }
    }

    pub(crate) fn subject(&self, sort: &Sort) -> Option<Subject> {
        match sort {
            Sort::Route(key, _) => Some(Subject::Route(place_of(key))),
            Sort::Neighbour(key, _) => self.tunnels.subject(key),
            Sort::Object(id, _) => Some(Objects::subject(*id)),
        }
    }
}
