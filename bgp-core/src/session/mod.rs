//! One peer: up to two connections, each with its state machine, and a referee between them.
//!
//! ```text
//!              SessionEvent                      SessionSettings
//!                   ^                                  |
//!   +---------------|------------- Session ------------v-------------------+
//!   |  dialer (Idle, Connect, Active)      referee: collision::winner      |
//!   |     | connected                         ^            ^               |
//!   |     v                                   |            |               |
//!   |  Connection  frame, decode -> fsm::step |   Connection (accepted)    |
//!   +-----|-----------------------------------+------------|---------------+
//!         v  poll_control                                  v
//! ```
//!
//! - [`fsm`] is a pure table: `step(state, event) -> (state, actions)`, RFC 4271 §8. Each
//!   connection has its own machine, as RFC 4271 §8.2.1 wants; the machine that dials exists
//!   without a connection too (the *dialer*).
//! - [`negotiate`] is a pure function of two OPENs; its result, [`Negotiated`], exists only on
//!   connections whose OPEN was good.
//! - [`collision`] is a pure function too: who stays when a peer has two connections.
//! - [`timers`] names every deadline and spaces the attempts of a peer that fails; [`redial`] those
//!   at a peer that was there a moment ago.
//!
//! # How to use a [`Session`]
//!
//! Methods come in four kinds. *Getters* ask. `handle_*` tell it what happened; *commands*
//! ([`dialing`](Session::dialing), [`send`](Session::send), [`reset`](Session::reset),
//! [`set_restarting`](Session::set_restarting),
//! [`set_forwarding`](Session::set_forwarding)) tell it what to do. After any of these, poll: all
//! of [`poll_event`](Session::poll_event), then [`poll_control`](Session::poll_control) of each
//! connection, then [`poll_timeout`](Session::poll_timeout).
//!
//! Time never runs backwards, and what has arrived is told before
//! [`handle_timeout`](Session::handle_timeout), so that a hold timer is judged after the bytes
//! that were already here.
//!
//! # Invariants
//!
//! - At most [`MAX_CONNECTIONS`] connections, at most one of them past OpenSent, so at most one
//!   Established: an OPEN is judged against the other connection before it counts.
//! - `Established` and `Down` alternate in the events. Updates come only between them.
//! - Every connection has a deadline, unless both sides agreed on a hold time of zero.
//! - A session that was started and has no connection past OpenSent has a deadline, unless it is
//!   passive and waits for the peer.
//! - Nothing is decoded that the state has no place for: an UPDATE before Established costs a
//!   look at its header.
//! - Until their OPEN has been checked a session takes less than 1 KiB, its connection and our
//!   OPEN included.
//!
//! # Where we differ from RFC 4271, beside the machine itself (see [`fsm`])
//!
//! Idle refuses connections there. Here only a *stopped* session does: a connection that the peer
//! opens has a machine of its own, so a failed attempt of ours, and the pause after it, do not
//! turn away a peer that is back.
//!
//! RFC 4271 §4.2, §4.5, §6.2, §6.4 to §6.8, §8, §10; 2918, 4486, 4724, 4760, 5492, 6286, 6608,
//! 6793, 7313, 7911, 8538, 8654, 8950, 9003, 9494, 9687.

pub mod collision;
mod connection;
mod counters;
mod event;
pub mod fsm;
mod negotiate;
mod notice;
mod receive;
pub mod redial;
mod referee;
mod settings;
pub mod timers;

pub use collision::Direction;
pub use connection::MAX_CONTROL;
pub use counters::{Counters, LastError, MessageCounts};
pub use event::{DownReason, Note, SessionEvent};
pub use fsm::State;
pub use negotiate::{
    MAX_HOST_NAME, MAX_LONG_LIVED_TIME, MAX_RESTART_TIME, Negotiated, Offer, OpenRefusal,
    negotiate, our_open,
};
pub use settings::{SessionSettings, Stop};
pub use timers::TimerName;

use crate::family::FamilySet;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::types::ConnectionId;
use crate::wire::{Message, Notification};
use bytes::Bytes;
use connection::Connection;
use fsm::{Action, Event};
use redial::Redial;
use referee::{Attempt, Carried, Machine};
use smallvec::SmallVec;
use std::collections::VecDeque;
use timers::{Backoff, Deadlines};

/// Most connections of one peer at a time. A further one takes the place of one on which the peer
/// has not said anything yet; when there is none, it is refused.
pub const MAX_CONNECTIONS: usize = 2;

/// Most closed connections whose last messages are kept for the transport. When there are more,
/// the oldest one's are dropped: its peer then sees a close without a NOTIFICATION.
pub const MAX_FAREWELLS: usize = 4;

/// The session with one peer, from before its first connection to after its last.
#[derive(Debug)]
pub struct Session {
    settings: SessionSettings,
    rng: Rng,
    /// Started and not stopped: connections are accepted and, unless passive, attempted.
    started: bool,
    /// The machine that dials, while it has no connection: Idle, Connect or Active. `None` while
    /// it lives in a dialed connection.
    dialer: Option<State>,
    attempt: Attempt,
    connections: SmallVec<[Box<Connection>; MAX_CONNECTIONS]>,
    /// ConnectRetry and IdleHold; the other timers belong to connections.
    deadlines: Deadlines,
    backoff: Backoff,
    /// The search for a peer that was lost a moment ago.
    redial: Option<Box<Redial>>,
    /// When the last attempt to connect began.
    attempted_at: Instant,
    /// How long the last attempt that worked took; zero: none has.
    connect_took: Duration,
    /// What the next OPEN offers.
    offer: Offer,
    /// The state that the last StateChanged reported.
    reported: State,
    events: VecDeque<SessionEvent>,
    farewells: VecDeque<(ConnectionId, VecDeque<Bytes>)>,
    /// Kept between steps so that they need no allocation.
    actions: Vec<Action>,
    counters: Counters,
    last_error: Option<Box<LastError>>,
    last_notification: Option<Box<Notification>>,
}

impl Session {
    /// A session that is not started. Equal seeds give equal jitter.
    pub fn new(settings: SessionSettings, rng: Rng) -> Self {
        Self {
            settings,
            rng,
            started: false,
            dialer: Some(State::Idle),
            attempt: Attempt::None,
            connections: SmallVec::new(),
            deadlines: Deadlines::default(),
            backoff: Backoff::default(),
            redial: None,
            attempted_at: Instant::ZERO,
            connect_took: Duration::ZERO,
            offer: Offer::Full,
            reported: State::Idle,
            events: VecDeque::new(),
            farewells: VecDeque::new(),
            actions: Vec::new(),
            counters: Counters::default(),
            last_error: None,
            last_notification: None,
        }
    }

    // Getters.

    /// Our side.
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Whether it was started and not stopped.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// How far it has come: the state of the machine that is furthest.
    pub fn state(&self) -> State {
        let connected = self.connections.iter().map(|connection| connection.state);
        connected.chain(self.dialer).max().unwrap_or(State::Idle)
    }

    /// The connection on which the session is up, and what was negotiated there.
    pub fn established(&self) -> Option<(ConnectionId, &Negotiated)> {
        let up = self.established_connection()?;
        Some((up.id, up.negotiated.as_deref()?))
    }

    /// Since when it is up.
    pub fn up_since(&self) -> Option<Instant> {
        self.established_connection()?.up_since
    }

    /// Its live connections, with who opened them and their states, the oldest first.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, Direction, State)> {
        let live = self.connections.iter();
        live.map(|connection| (connection.id, connection.direction, connection.state))
    }

    /// What it has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Why the last connection or attempt ended.
    pub fn last_error(&self) -> Option<&LastError> {
        self.last_error.as_deref()
    }

    /// The last NOTIFICATION that they sent.
    pub fn last_notification(&self) -> Option<&Notification> {
        self.last_notification.as_deref()
    }

    /// The shutdown communication of that NOTIFICATION (RFC 9003), also from within a Hard Reset:
    /// what their operator wants ours to read.
    pub fn last_shutdown_communication(&self) -> Option<String> {
        notice::unwrapped(self.last_notification()?).shutdown_communication()
    }

    // What happened.

    /// Events 1 and 4: accept connections and, unless passive, connect now. A session that is
    /// started already is left alone: after a failure it starts by itself.
    pub fn handle_start(&mut self, now: Instant) {
        if self.started {
            return;
        }
        self.started = true;
        let event = match self.settings.passive {
            true => Event::ManualStartWithPassiveTcpEstablishment,
            false => Event::ManualStart,
        };
        self.drive(now, Machine::Dialer, event, Carried::Nothing);
    }

    /// Event 2, or for a silent stop event 18: every connection ends, as `why` says.
    pub fn handle_stop(&mut self, now: Instant, why: Stop) {
        let event = match why {
            Stop::Silent => Event::TcpConnectionFails,
            Stop::AdministrativeShutdown(_)
            | Stop::AdministrativeReset(_)
            | Stop::PeerDeconfigured
            | Stop::OtherConfigurationChange => Event::ManualStop,
        };
        let reason = DownReason::Stopped(why.clone());
        self.started = self.started && why.comes_back();
        self.redial = None;
        self.deadlines.set(TimerName::IdleHold, None);
        for id in self.connection_ids() {
            let carried = Carried::Reason(reason.clone());
            self.drive(now, Machine::Connection(id), event, carried);
        }
        // After a silent stop in OpenSent the dialer is in Active, so it comes last.
        let carried = Carried::Reason(reason.clone());
        self.drive(now, Machine::Dialer, Event::ManualStop, carried);
        self.pause_dialer(now, &reason, None);
    }

    /// They connected to us. Refused while stopped, and when both places are taken by connections
    /// on which the peer has spoken.
    pub fn handle_accepted(&mut self, now: Instant, id: ConnectionId) {
        if !self.started || !self.make_room(now) {
            return self.refuse(id);
        }
        self.counters.accepted += 1;
        let mut connection = Connection::new(id, Direction::Accepted, self.offer);
        connection.challenger = self.established_connection().is_some();
        self.connections.push(Box::new(connection));
        let machine = Machine::Connection(id);
        self.drive(
            now,
            machine,
            Event::TcpConnectionConfirmed,
            Carried::Nothing,
        );
    }

    /// Our attempt worked.
    pub fn handle_connected(&mut self, now: Instant, id: ConnectionId) {
        if self.attempt != Attempt::Running(id) {
            // Given up meanwhile; the Close that said so may have crossed this call.
            return;
        }
        if self.connections.len() >= MAX_CONNECTIONS {
            let carried = Carried::Reason(DownReason::Collision);
            return self.drive(now, Machine::Dialer, Event::OpenCollisionDump, carried);
        }
        self.attempt = Attempt::None;
        self.connect_took = now.since(self.attempted_at);
        self.dialer = None;
        let connection = Connection::new(id, Direction::Dialed, self.offer);
        self.connections.push(Box::new(connection));
        let machine = Machine::Connection(id);
        self.drive(now, machine, Event::TcpCrAcked, Carried::Nothing);
    }

    /// Our attempt failed.
    pub fn handle_connect_failed(&mut self, now: Instant, id: ConnectionId) {
        if self.attempt != Attempt::Running(id) {
            return;
        }
        // It is gone already: nothing to close.
        self.attempt = Attempt::None;
        let carried = Carried::Reason(DownReason::ConnectFailed);
        self.drive(now, Machine::Dialer, Event::TcpConnectionFails, carried);
    }

    /// Octets arrived, in pieces of any size. Costs time and space in proportion to them; give at
    /// most some 16 KiB at a time and poll in between.
    pub fn handle_received(&mut self, now: Instant, id: ConnectionId, octets: &[u8]) {
        self.receive(now, id, octets);
    }

    /// The peer closed the connection, or it broke.
    pub fn handle_closed(&mut self, now: Instant, id: ConnectionId) {
        if self.attempt == Attempt::Running(id) {
            return self.handle_connect_failed(now, id);
        }
        let carried = Carried::Reason(DownReason::ConnectionClosed);
        let machine = Machine::Connection(id);
        self.drive(now, machine, Event::TcpConnectionFails, carried);
        // Nobody is there to hear what was still to be sent.
        self.farewells.retain(|(closed, _)| *closed != id);
    }

    /// The transport was given octets that have not left yet: unless it runs already, the send
    /// hold timer starts (RFC 9687).
    pub fn handle_blocked(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        if connection.state == State::Established
            && connection.deadlines.get(TimerName::SendHold).is_none()
        {
            let span = connection.send_hold();
            connection.start(TimerName::SendHold, now, span);
        }
    }

    /// Octets left: the send hold timer starts anew. Without keepalives nothing may follow for
    /// long, so it stops, and [`handle_blocked`](Self::handle_blocked) starts it again.
    pub fn handle_written(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        if connection.deadlines.get(TimerName::SendHold).is_some() {
            let span = match connection.hold_time().is_zero() {
                true => Duration::ZERO,
                false => connection.send_hold(),
            };
            connection.start(TimerName::SendHold, now, span);
        }
    }

    /// Time has come to `now`: everything that is due happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.deadlines.take_due(now) {
            self.expire_dialer(now, timer);
        }
        for id in self.connection_ids() {
            while let Some(timer) = self
                .connection_mut(id)
                .and_then(|connection| connection.deadlines.take_due(now))
            {
                self.expire_connection(now, id, timer);
            }
        }
    }

    // Commands.

    /// The answer to [`SessionEvent::Connect`]: the attempt runs under this id.
    pub fn dialing(&mut self, id: ConnectionId) {
        match self.attempt {
            Attempt::Asked => self.attempt = Attempt::Running(id),
            Attempt::None | Attempt::Running(_) => self.events.push_back(SessionEvent::Close(id)),
        }
    }

    /// Queues a message of ours, a ROUTE-REFRESH for instance, on the established connection,
    /// ahead of table data. Dropped and counted when there is none or its queue is full.
    pub fn send(&mut self, message: &Message) {
        self.send_optional(message);
    }

    /// Event 8: ends the established session with this NOTIFICATION (too many prefixes, for
    /// instance). It comes back after a pause.
    pub fn reset(&mut self, now: Instant, notification: Notification) {
        let Some(id) = self.established_connection().map(|up| up.id) else {
            return;
        };
        let carried = Carried::Reason(DownReason::Reset(notification));
        let machine = Machine::Connection(id);
        self.drive(now, machine, Event::AutomaticStop, carried);
    }

    /// Changes the R bit of OPENs to come: our restart is over (RFC 4724 §4.1).
    pub fn set_restarting(&mut self, restarting: bool) {
        self.settings.restarting = restarting;
    }

    /// Changes the F bits of OPENs to come (RFC 4724 §3).
    pub fn set_forwarding(&mut self, families: FamilySet) {
        self.settings.forwarding = families;
    }

    /// Changes the pause between attempts to connect.
    pub fn set_connect_retry(&mut self, span: Duration) {
        self.settings.connect_retry = span;
    }

    /// Takes other settings and forgets the failures with those before. A session that has a
    /// connection goes on with what was said on it: stop it first.
    pub fn reconfigure(&mut self, settings: SessionSettings) {
        self.settings = settings;
        self.backoff = Backoff::default();
        self.redial = None;
        self.offer = Offer::Full;
    }

    // Polls.

    /// The next event; call until there is none.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        let event = self.events.pop_front();
        if event.is_none() {
            // One busy moment must not cost memory for ever.
            self.events = VecDeque::new();
        }
        event
    }

    /// The connections for which [`poll_control`](Self::poll_control) has something.
    pub fn wants_transmit(&self) -> impl Iterator<Item = ConnectionId> {
        let waiting = self
            .connections
            .iter()
            .filter(|connection| connection.has_control());
        waiting.map(|connection| connection.id)
    }

    /// The next control message of a connection, also after its [`SessionEvent::Close`]: each is
    /// one whole message, to be sent before table data and never within it.
    pub fn poll_control(&mut self, id: ConnectionId) -> Option<Bytes> {
        if let Some(connection) = self.connection_mut(id) {
            return connection.pop_control();
        }
        let at = self
            .farewells
            .iter()
            .position(|(closed, _)| *closed == id)?;
        let message = self.farewells.get_mut(at)?.1.pop_front();
        if message.is_none() {
            self.farewells.remove(at);
        }
        message
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerName)> {
        let connected = self.connections.iter();
        connected
            .filter_map(|connection| connection.deadlines.next())
            .chain(self.deadlines.next())
            .min()
    }

    fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let mut live = self.connections.iter_mut();
        live.find(|connection| connection.id == id)
            .map(AsMut::as_mut)
    }

    fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        let mut live = self.connections.iter();
        live.find(|connection| connection.id == id)
            .map(AsRef::as_ref)
    }

    fn established_connection(&self) -> Option<&Connection> {
        let mut live = self.connections.iter();
        live.find(|connection| connection.state == State::Established)
            .map(AsRef::as_ref)
    }

    fn connection_ids(&self) -> SmallVec<[ConnectionId; MAX_CONNECTIONS]> {
        self.connections
            .iter()
            .map(|connection| connection.id)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;
    use crate::types::{Asn, PeerRole, RouterId};
    use std::net::Ipv4Addr;

    fn settings() -> SessionSettings {
        SessionSettings {
            local_as: Asn(1),
            router_id: RouterId(Ipv4Addr::new(10, 0, 0, 1)),
            remote_as: Asn(1),
            role: PeerRole::Client,
            families: FamilySet::from_iter(Family::ALL),
            hold_time: Duration::from_secs(90),
            connect_retry: Duration::from_secs(5),
            passive: true,
            add_path_receive: false,
            add_path_send: false,
            extended_messages: false,
            restart_time: Duration::ZERO,
            restarting: false,
            long_lived_restart_time: None,
            forwarding: FamilySet::ALL,
            host_name: "".into(),
        }
    }

    /// Memory that a busy moment took is given back when everything has been polled.
    #[test]
    fn what_was_polled_leaves_nothing_behind() {
        let mut session = Session::new(settings(), Rng::new(1));
        for id in 0..100 {
            session.handle_accepted(Instant::ZERO, ConnectionId(id));
        }
        while session.poll_event().is_some() {}
        for id in 0..100 {
            while session.poll_control(ConnectionId(id)).is_some() {}
        }
        assert_eq!((session.events.capacity(), session.farewells.len()), (0, 0));
    }

    /// What a dynamic peer costs before its OPEN has been checked: the session, one connection and
    /// its queue with our OPEN.
    #[test]
    fn a_session_is_small_before_the_open() {
        let queue = 4 * size_of::<Bytes>() + 160;
        let resting = size_of::<Session>() + size_of::<Connection>() + queue;
        assert!(resting <= 1_024, "{resting} octets");
    }
}
