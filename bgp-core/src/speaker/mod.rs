//! The router as a value: the only room that knows sessions and the RIB.
//!
//! A [`Speaker`] is told what happened (`handle_*`), told what to do (commands), asked what it
//! wants (`poll_*`) and asked what it knows (questions). It never does anything by itself.
//!
//! # The order of calls
//!
//! After any `handle_*` or command, call [`Speaker::poll_output`] until it gives `None`, then
//! [`Speaker::poll_transmit`] for every connection named by [`Output::Transmit`] whose transport
//! takes bytes, as long as it says there is more; then sleep until [`Speaker::poll_timeout`] or
//! the next event. Where routes are installed, take [`Speaker::poll_route_change`] and
//! [`Speaker::poll_next_hop`] whenever there is room for what they give. Time never runs backwards: `now` of one call is not before that of the last.
//! Feed bytes that have arrived before calling `handle_timeout`, so that a peer is not declared
//! silent while its keepalive waits to be read.
//!
//! # What lives where
//!
//! | part | owns |
//! |---|---|
//! | [`peers`](self) | every peer with its [`Session`], the connections, the wake-up times |
//! | [`Rib`] | all routes, groups and cursors; a peer is a [`PeerSlot`] there while it is up |
//! | `heard` | whose End-of-RIB has come, whose is awaited |
//! | `restart` | whether ours may be said already |
//! | `outputs` | what the caller has not yet taken; emptied after every call |
//!
//! # Invariants
//!
//! - Every call does bounded work. What is left over makes [`Speaker::poll_timeout`] answer
//!   "now" and goes on in [`Speaker::handle_timeout`].
//! - Bytes are pulled: nothing is encoded for a connection before its transport asks.
//! - A peer has a slot in the RIB exactly while its session is established.

mod commands;
mod graceful;
mod heard;
mod output;
mod peers;
mod questions;
mod restart;
mod roster;
mod turn;

pub use commands::CommandError;
pub use graceful::{MAX_KEPT, STALE_TIME};
pub use heard::{FIRST_TABLE, Heard};
pub use output::{Event, Output, PeerName, Refused};
pub use questions::{MAX_PAGE, PeerView};
pub use restart::{ABSENT, QUIET, RESTART_BIT};

use crate::config::{Config, ConfigError};
use crate::rib::{NextHopInterest, PeerSlot, Rib, RibSettings, RouteChange};
use crate::session::TimerName;
use crate::time::{Duration, Instant};
use crate::types::{ConnectionId, PeerId};
use crate::wire::{Cease, Notification, NotificationError};
use bytes::Bytes;
use heard::Hearing;
use peers::{AdminState, PeerTable};
use restart::RestartGate;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// At most this many sessions are woken by one call of [`Speaker::handle_timeout`]; the rest is
/// due at once.
pub const MAX_WAKES_PER_TURN: usize = 256;

/// How many path or prefix steps one slice of background work in the RIB may take.
pub const WORK_SLICE: usize = 4_096;

/// What a speaker waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// A timer of a session.
    Session(PeerId, TimerName),
    /// A peer that has not come back, or has not said all that it said before.
    Kept(PeerId),
    /// The end of the settle window.
    Settle,
    /// Work that was left over: due at once.
    Work,
    /// The restart gate.
    EndOfRib,
}

/// A BGP router as a value.
pub struct Speaker {
    peers: PeerTable,
    rib: Rib,
    /// The peer of each slot.
    slots: BTreeMap<PeerSlot, PeerId>,
    outputs: VecDeque<Output>,
    hearing: Hearing,
    gate: Option<RestartGate>,
    settle: Duration,
    settled_at: Option<Instant>,
    work_left: bool,
    stopping: bool,
    now: Instant,
}

impl Speaker {
    /// A speaker with no session yet. It wants to connect to its configured peers at once: ask
    /// [`Speaker::poll_output`].
    ///
    /// Equal `config`, `seed` and inputs give equal outputs.
    ///
    /// # Errors
    ///
    /// What [`Config::validate`] finds.
    pub fn new(config: Config, now: Instant, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        let router = &config.router;
        let mut rib = Rib::new(RibSettings {
            asn: router.asn,
            router_id: router.router_id,
            cluster_id: router.cluster_id,
            client_to_client: router.client_to_client,
            install: router.install,
            multipath: router.multipath,
            track_next_hops: router.track_next_hops,
            hash_seed: seed,
        });
        let settle = router.settle;
        let restarting = router.restarting;
        let gate = restarting.then(|| RestartGate::new(now, router.restart_deferral));
        rib.hold_end_of_rib(gate.as_ref().is_some_and(RestartGate::holds));
        let mut speaker = Self {
            peers: PeerTable::new(config, seed),
            rib,
            slots: BTreeMap::new(),
            outputs: VecDeque::new(),
            hearing: Hearing::new(now),
            gate,
            settle,
            settled_at: None,
            work_left: false,
            stopping: false,
            now,
        };
        let active: Vec<PeerId> = speaker
            .peers
            .iter()
            .filter(|entry| entry.admin == AdminState::Enabled)
            .map(|entry| entry.name.id)
            .collect();
        for id in active {
            speaker.hearing.expect(id, true);
            speaker.with_session(id, |session| session.handle_start(now));
        }
        Ok(speaker)
    }

    // What happened.

    /// A connection came in. The caller keeps its transport and names it by the number returned.
    ///
    /// # Errors
    ///
    /// Why the connection is turned away: close it. [`Event::Refused`] tells of it too.
    pub fn handle_accepted(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, Refused> {
        self.now = now;
        let accepted = if self.stopping {
            Err(Refused::Stopping)
        } else {
            self.peers.accept_from(remote)
        };
        let peer = match accepted {
            Ok(peer) => peer,
            Err(why) => {
                self.outputs
                    .push_back(Output::Event(Event::Refused { remote, why }));
                return Err(why);
            }
        };
        let connection = self.peers.link(peer, Some(local.ip()));
        self.with_session(peer, |session| {
            // A dynamic peer has just been made; the others run already.
            if !session.is_started() {
                session.handle_start(now);
            }
            session.handle_accepted(now, connection);
        });
        Ok(connection)
    }

    /// The connection asked for by [`Output::Connect`] is up; `local` is our end.
    pub fn handle_connected(&mut self, now: Instant, connection: ConnectionId, local: SocketAddr) {
        self.now = now;
        let Some(link) = self.peers.link_of(connection) else {
            return;
        };
        self.peers.set_local(connection, local.ip());
        self.with_session(link.peer, |session| {
            session.handle_connected(now, connection)
        });
    }

    /// The connection asked for by [`Output::Connect`] did not come up.
    pub fn handle_connect_failed(&mut self, now: Instant, connection: ConnectionId) {
        self.now = now;
        let Some(link) = self.peers.link_of(connection) else {
            return;
        };
        self.peers.unlink(connection);
        self.with_session(link.peer, |session| {
            session.handle_connect_failed(now, connection)
        });
    }

    /// Bytes arrived, cut anywhere. Hand over at most some 16 KiB at a time, so that one call
    /// stays short.
    pub fn handle_received(&mut self, now: Instant, connection: ConnectionId, bytes: &[u8]) {
        self.now = now;
        let Some(link) = self.peers.link_of(connection) else {
            return;
        };
        self.with_session(link.peer, |session| {
            session.handle_received(now, connection, bytes)
        });
    }

    /// The peer closed the connection, or it broke.
    pub fn handle_closed(&mut self, now: Instant, connection: ConnectionId) {
        self.now = now;
        let Some(link) = self.peers.link_of(connection) else {
            return;
        };
        self.peers.unlink(connection);
        self.with_session(link.peer, |session| session.handle_closed(now, connection));
    }

    /// The transport took bytes of ours.
    pub fn handle_written(&mut self, now: Instant, connection: ConnectionId) {
        self.now = now;
        let Some(link) = self.peers.link_of(connection) else {
            return;
        };
        self.with_session(link.peer, |session| session.handle_written(now, connection));
    }

    /// The transport takes no more bytes although there are some (RFC 9687).
    pub fn handle_blocked(&mut self, now: Instant, connection: ConnectionId) {
        self.now = now;
        let Some(link) = self.peers.link_of(connection) else {
            return;
        };
        self.with_session(link.peer, |session| session.handle_blocked(now, connection));
    }

    /// The time that [`Speaker::poll_timeout`] asked for has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        for _ in 0..MAX_WAKES_PER_TURN {
            let Some((at, peer, _)) = self.peers.next_wake() else {
                break;
            };
            if at > now {
                break;
            }
            self.age(peer);
            self.with_session(peer, |session| session.handle_timeout(now));
        }
        let heard = self.hearing.heard();
        if self.gate.take_if(|gate| gate.is_open(now, heard)).is_some() {
            self.peers.restart_is_over();
            self.rib.hold_end_of_rib(false);
        }
        self.work_left = self.rib.work(WORK_SLICE);
        while let Some(slot) = self.rib.poll_laggard() {
            self.end_laggard(slot);
        }
    }

    // What it wants.

    /// What to do next, until there is nothing left to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        self.settle_if_due();
        while let Some(slot) = self.rib.poll_ready() {
            if let Some(connection) = self.connection_of(slot) {
                return Some(Output::Transmit(connection));
            }
        }
        None
    }

    /// Bytes for `connection`, in the order in which they must leave: control messages first,
    /// then shared UPDATEs. Stops soon after `budget` octets; true means that there is more.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        budget: usize,
        out: &mut Vec<Bytes>,
    ) -> bool {
        self.now = now;
        let Some(link) = self.peers.link_of(connection) else {
            return false;
        };
        let Some(entry) = self.peers.get_mut(link.peer) else {
            return false;
        };
        let mut spent = 0;
        while let Some(message) = entry.session.poll_control(connection) {
            spent += message.len();
            out.push(message);
        }
        let established = entry
            .session
            .established()
            .map(|(established, _)| established);
        match entry.slot {
            Some(slot) if established == Some(connection) => {
                self.rib.transmit(slot, budget.saturating_sub(spent), out)
            }
            _ => false,
        }
    }

    /// What holds for a prefix now, if something else was told of it before: its best path, equal
    /// ways to it, rivals. Only with `Router::install`. Each prefix is given once, as it is now,
    /// however often it changed; take as many as there is room for, whenever there is.
    pub fn poll_route_change(&mut self) -> Option<RouteChange> {
        self.rib.poll_route_change()
    }

    /// A next hop that has come into use, or has gone out of it. Only with
    /// `Router::track_next_hops`; answer with [`Speaker::set_next_hop`].
    pub fn poll_next_hop(&mut self) -> Option<NextHopInterest> {
        self.rib.poll_next_hop()
    }

    /// Whether [`Speaker::poll_route_change`] or [`Speaker::poll_next_hop`] has something to say.
    pub fn has_route_news(&self) -> bool {
        self.rib.has_route_changes() || self.rib.has_next_hop_news()
    }

    /// When to call [`Speaker::handle_timeout`], and what for. A time in the past means "now".
    pub fn poll_timeout(&self) -> Option<(Instant, Wait)> {
        let session = self.peers.next_wake().map(|(at, _, wait)| (at, wait));
        let settle = self
            .rib
            .unsettled()
            .then(|| (self.settles_at(), Wait::Settle));
        let work = self.work_left.then_some((self.now, Wait::Work));
        let gate = self
            .gate
            .as_ref()
            .map(|gate| (gate.next_check(self.hearing.heard()), Wait::EndOfRib));
        [work, settle, session, gate]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    // How it works inside.

    /// Lets `act` change the session of `id`, then takes what comes of it.
    fn with_session(&mut self, id: PeerId, act: impl FnOnce(&mut crate::session::Session)) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        act(&mut entry.session);
        while let Some(event) = self
            .peers
            .get_mut(id)
            .and_then(|entry| entry.session.poll_event())
        {
            self.take(id, event);
        }
        if let Some(entry) = self.peers.get(id) {
            self.outputs
                .extend(entry.session.wants_transmit().map(Output::Transmit));
        }
        self.peers.rearm(id);
        self.peers.remove_if_departed(id);
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn tell_of(&mut self, id: PeerId, event: impl FnOnce(PeerName) -> Event) {
        if let Some(entry) = self.peers.get(id) {
            let peer = entry.name.clone();
            self.tell(event(peer));
        }
    }

    /// The end of the settle window: at once after quiet, later under load.
    fn settles_at(&self) -> Instant {
        self.settled_at.map_or(self.now, |last| last + self.settle)
    }

    fn settle_if_due(&mut self) {
        if self.rib.unsettled() && self.settles_at() <= self.now {
            self.rib.settle();
            self.settled_at = Some(self.now);
            // Readers have moved on since: tombstones may have become superfluous.
            self.work_left = true;
        }
    }

    /// Ends the session of a peer that has not read for so long that it cannot be told the truth
    /// any more.
    fn end_laggard(&mut self, slot: PeerSlot) {
        let now = self.now;
        let Some(id) = self.slots.get(&slot).copied() else {
            return;
        };
        let error = NotificationError::Cease(Cease::OutOfResources);
        self.with_session(id, |session| session.reset(now, Notification::bare(error)));
    }

    fn connection_of(&self, slot: PeerSlot) -> Option<ConnectionId> {
        let id = self.slots.get(&slot).copied()?;
        let (connection, _) = self.peers.get(id)?.session.established()?;
        Some(connection)
    }
}
