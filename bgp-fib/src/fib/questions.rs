//! Questions: bounded answers in plain values. None of them changes anything.

use super::lower::Hold;
use super::{
    Asked, Audit, Cause, Counts, Fib, MAX_PAGE, Page, Reason, RouteState, RouteStatus, place_of,
};
use crate::delta::{Standing, View};
use crate::fib::way::Way;
use crate::kernel::{LinkName, Route, RouteKey};
use crate::links::Links;
use crate::resolve::{Resolution, resolve};
use crate::wanted::{Place, TunnelEnd};
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net, family_of};
use bgp_core::time::Instant;
use std::net::IpAddr;
use std::ops::Bound;

impl Fib {
    /// How the route to `place` stands; `None` when it is neither wanted nor there.
    pub fn status(&self, place: Place) -> Option<RouteStatus> {
        let key = self.key(place);
        let view = self.routes.view(&key);
        let asked = self.wanted.get(&key);
        (view.is_some() || asked.is_some()).then(|| status_of(&key, asked, view))
    }

    /// How all routes stand, wanted or found, in the order of table, prefix and metric: those
    /// after `after`, at most `limit` (and [`MAX_PAGE`]) of them.
    pub fn statuses(&self, after: Option<RouteKey>, limit: usize) -> Page<RouteStatus> {
        let limit = limit.clamp(1, MAX_PAGE);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut wanted = self.wanted.range((from, Bound::Unbounded)).peekable();
        let mut there = self.routes.range((from, Bound::Unbounded)).peekable();
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let mut last = None;
        loop {
            let first = wanted.peek().map(|(key, _)| **key);
            let second = there.peek().map(|(key, _)| **key);
            let Some(key) = first.into_iter().chain(second).min() else {
                return page;
            };
            if page.items.len() == limit {
                page.next = last;
                return page;
            }
            let asked = wanted.next_if(|(other, _)| **other == key);
            let view = there.next_if(|(other, _)| **other == key);
            let status = status_of(&key, asked.map(|(_, asked)| asked), view.map(|(_, v)| v));
            page.items.push(status);
            last = Some(key);
        }
    }

    /// Numbers about everything; looks at every wanted route.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            wanted: self.wanted.len(),
            pending: self.pending_len(),
            objects: self.objects.there_len(),
            in_flight: self.flights.awaited.len(),
            stale: self.routes.stale_len(),
            failed: self.tally.failed.clone(),
            requests: self.tally.requests,
            overruns: self.tally.overruns,
            resyncs: self.resync.rounds(),
            healed: self.tally.healed,
            conflicts: self.conflicts.len(),
            foreign: self.foreign.len(),
            foreign_dropped: self.foreign.dropped(),
            tunnel_ends: self.tunnels.wanted_len(),
            watched: self.tracker.watched_len(),
            ..Counts::default()
        };
        for (key, asked) in &self.wanted {
            let view = self.routes.view(key);
            match state_of(Some(asked), view) {
                RouteState::Installed => counts.installed += 1,
                RouteState::Waiting(cause) => {
                    *counts.waiting.entry(cause.name()).or_default() += 1;
                }
                RouteState::Invalid => counts.invalid += 1,
                RouteState::Pending | RouteState::Stale => {}
            }
        }
        counts
    }

    /// Routes of others whose prefix lies within `within`, at most [`MAX_PAGE`].
    pub fn foreign(&self, within: IpNet) -> Vec<Route> {
        self.foreign
            .within(within)
            .take(MAX_PAGE)
            .cloned()
            .collect()
    }

    /// The kernel's devices and addresses.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Where `address` is now, watched or not.
    pub fn resolution(&self, address: IpAddr) -> Resolution {
        resolve(address, &self.foreign, &self.links)
    }

    /// Host routes of others on watched devices, with the device.
    pub fn host_routes(&self) -> impl Iterator<Item = (IpNet, &LinkName)> {
        self.hosts.iter().map(|(prefix, device)| (*prefix, device))
    }

    /// Places of ours whose key a route of another has: its protocol, if we have seen it, and since
    /// when. In the order of places.
    pub fn conflicts(&self) -> Vec<(Place, Option<u8>, Instant)> {
        let conflict = |(key, (protocol, since)): (&RouteKey, &(Option<u8>, Instant))| {
            (place_of(key), *protocol, *since)
        };
        self.conflicts.iter().map(conflict).collect()
    }

    /// The tunnel ends that are wanted.
    pub fn tunnel_ends(&self) -> impl Iterator<Item = &TunnelEnd> {
        self.tunnels.iter()
    }

    /// The families in which the kernel forwards by routes of ours (leftovers of a former life
    /// included), as far as the first look has shown.
    pub fn forwarding(&self) -> FamilySet {
        if !self.has_looked() {
            return FamilySet::EMPTY;
        }
        let forwards = |family: &Family| {
            let prefix = match family {
                Family::Ipv4Unicast => IpNet::from(Ipv4Net::default()),
                Family::Ipv6Unicast => IpNet::from(Ipv6Net::default()),
            };
            self.tables.iter().any(|table| {
                let first = RouteKey {
                    table: *table,
                    prefix,
                    metric: 0,
                };
                self.routes
                    .range(first..)
                    .take_while(|(key, _)| key.table == *table && family_of(&key.prefix) == *family)
                    .any(|(_, view)| view.actual.is_some())
            })
        };
        Family::ALL.into_iter().filter(forwards).collect()
    }

    /// Whether everything that is wanted is in the kernel, as far as we know, and nothing else of
    /// ours but leftovers that wait for the sweep.
    pub fn in_sync(&self) -> bool {
        self.has_settled()
            && self.routes.parked_len() == 0
            && self.tunnels.parked_len() == 0
            && self.objects.parked_len() == 0
            && self.held == 0
    }

    /// Whether there is nothing to do now: no request to send, no answer and no dump awaited. What
    /// waits for something else may still be wanted.
    pub fn is_idle(&self) -> bool {
        self.has_settled() && self.resync.is_quiet()
    }

    fn has_settled(&self) -> bool {
        self.has_looked()
            && !self.is_dirty()
            && self.flights.awaited.is_empty()
            && self.pending_len() == 0
    }

    /// The last comparison with all routes of the kernel. To have a fresh one: note its number,
    /// [`Fib::ask_resync`], and wait for a larger one.
    pub fn last_audit(&self) -> Option<&Audit> {
        self.last_audit.as_ref()
    }
}

fn state_of(asked: Option<&Asked>, view: Option<View<'_, Way, Reason>>) -> RouteState {
    let cause = |view: &View<'_, Way, Reason>| {
        view.trouble
            .map_or(Cause::Time, |trouble| trouble.cause.cause.clone())
    };
    let hold = asked.and_then(|asked| asked.hold.as_ref());
    match (hold, view) {
        (Some(Hold::Invalid(_)), _) => RouteState::Invalid,
        (Some(Hold::Cause(cause)), _) => RouteState::Waiting(cause.clone()),
        (None, None) => RouteState::Pending,
        (None, Some(view)) => match view.standing {
            Standing::Queued | Standing::InFlight => RouteState::Pending,
            Standing::Parked => RouteState::Waiting(cause(&view)),
            Standing::Stale => RouteState::Stale,
            Standing::Settled if asked.is_some() => RouteState::Installed,
            Standing::Settled => RouteState::Pending,
        },
    }
}

fn status_of(
    key: &RouteKey,
    asked: Option<&Asked>,
    view: Option<View<'_, Way, Reason>>,
) -> RouteStatus {
    let state = state_of(asked, view);
    let trouble = view.and_then(|view| view.trouble);
    let error = match (asked.and_then(|asked| asked.hold.as_ref()), trouble) {
        (Some(Hold::Invalid(why)), _) => Some((*why).to_owned()),
        (Some(Hold::Cause(cause)), _) => Some(cause.to_string()),
        (None, Some(trouble)) => Some(match &trouble.cause.error {
            Some(error) => error.to_string(),
            None => trouble.cause.cause.to_string(),
        }),
        (None, None) => None,
    };
    RouteStatus {
        place: place_of(key),
        metric: key.metric,
        wanted: asked.map(|asked| asked.wanted.clone()),
        state,
        since: asked.map(|asked| asked.since),
        error,
        tries: trouble.map_or(0, |trouble| trouble.tries),
    }
}
