//! The referee: gives events to machines, does what their steps say, and decides when to dial.

use super::collision::Direction;
use super::connection::Connection;
use super::event::{DownReason, Note, SessionEvent};
use super::fsm::{self, Action, Event, Notice, State};
use super::negotiate::{Negotiated, Offer, our_open};
use super::notice;
use super::redial::Redial;
use super::timers::{MIN_CONNECT_RETRY, TimerName};
use super::{LastError, MAX_CONNECTIONS, MAX_FAREWELLS, Session};
use crate::family::FamilySet;
use crate::time::{Duration, Instant};
use crate::types::ConnectionId;
use crate::wire::{self, Cease, EncodeContext, Message, Notification, NotificationError};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::mem;

/// One of the peer's machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Machine {
    /// The one that dials, while it has no connection.
    Dialer,
    /// The one of this connection.
    Connection(ConnectionId),
}

/// How far an attempt to connect has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    /// There is none.
    None,
    /// The speaker was asked for one.
    Asked,
    /// It runs under this id.
    Running(ConnectionId),
}

/// What comes with an event.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one step; a box would cost each UPDATE an allocation"
)]
pub(super) enum Carried {
    /// Nothing: the event ends no connection.
    Nothing,
    /// Why the connection ends, if the event ends it.
    Reason(DownReason),
    /// What the message says, if the state has a place for it.
    Message(SessionEvent),
}

impl Session {
    /// Gives `event` to `machine` and does what the step says.
    pub(super) fn drive(
        &mut self,
        now: Instant,
        machine: Machine,
        event: Event,
        mut carried: Carried,
    ) {
        let Some(from) = self.state_of(machine) else {
            return;
        };
        let dials = self.dials(machine);
        let mut actions = mem::take(&mut self.actions);
        let to = fsm::step(from, event, &mut actions);
        self.set_state(machine, to);
        for action in actions.drain(..) {
            self.perform(now, machine, dials, action, &mut carried);
        }
        self.actions = actions;
        if to == State::OpenConfirm && from == State::OpenSent {
            self.park_dialer(now);
        }
        self.report_state();
    }

    fn state_of(&self, machine: Machine) -> Option<State> {
        match machine {
            Machine::Dialer => self.dialer,
            Machine::Connection(id) => self.connection(id).map(|connection| connection.state),
        }
    }

    fn set_state(&mut self, machine: Machine, state: State) {
        match machine {
            Machine::Dialer => self.dialer = Some(state),
            Machine::Connection(id) => {
                if let Some(connection) = self.connection_mut(id) {
                    connection.state = state;
                }
            }
        }
    }

    /// Whether it is the machine that dials, with or without a connection.
    fn dials(&self, machine: Machine) -> bool {
        match machine {
            Machine::Dialer => true,
            Machine::Connection(id) => self
                .connection(id)
                .is_some_and(|connection| connection.direction == Direction::Dialed),
        }
    }

    fn report_state(&mut self) {
        let (from, to) = (self.reported, self.state());
        if from != to {
            self.reported = to;
            self.events
                .push_back(SessionEvent::StateChanged { from, to });
        }
    }

    fn perform(
        &mut self,
        now: Instant,
        machine: Machine,
        dials: bool,
        action: Action,
        carried: &mut Carried,
    ) {
        match (action, machine) {
            (Action::InitiateTcp, _) => self.initiate(now),
            (Action::StartConnectRetryTimer, _) if dials => self.start_connect_retry(now),
            (Action::StopConnectRetryTimer, _) if dials => {
                self.deadlines.set(TimerName::ConnectRetry, None);
            }
            // A connection that they opened has nothing to retry.
            (Action::StartConnectRetryTimer | Action::StopConnectRetryTimer, _) => {}
            (Action::DropTcp, Machine::Dialer) => self.drop_attempt(now, reason_of(carried)),
            (Action::DropTcp, Machine::Connection(id)) => {
                self.drop_connection(now, id, reason_of(carried));
            }
            (Action::DeleteRoutes, _) => {
                let down = SessionEvent::Down(reason_of(carried));
                self.events.push_back(down);
            }
            (Action::DeliverMessage, _) => {
                if let Carried::Message(event) = mem::replace(carried, Carried::Nothing) {
                    self.events.push_back(event);
                }
            }
            (Action::SendNotification(notice), Machine::Connection(id)) => {
                self.notify(id, notice, &reason_of(carried));
            }
            (Action::SendOpen, Machine::Connection(id)) => self.send_open(id),
            (Action::SendKeepalive, Machine::Connection(id)) => {
                self.send_own(id, &Message::Keepalive);
            }
            (Action::EnterEstablished, Machine::Connection(id)) => self.enter_established(now, id),
            (Action::StartLargeHoldTimer | Action::StartHoldTimer, Machine::Connection(id)) => {
                self.start_timer(now, id, TimerName::Hold, Connection::patience);
            }
            (Action::StartKeepaliveTimer, Machine::Connection(id)) => {
                self.start_keepalive(now, id);
            }
            // The dialer has no connection to send on, and none to time.
            (
                Action::SendNotification(_)
                | Action::SendOpen
                | Action::SendKeepalive
                | Action::EnterEstablished
                | Action::StartLargeHoldTimer
                | Action::StartHoldTimer
                | Action::StartKeepaliveTimer,
                Machine::Dialer,
            ) => {}
        }
    }

    // Dialing.

    fn initiate(&mut self, now: Instant) {
        self.attempted_at = now;
        self.attempt = Attempt::Asked;
        self.counters.attempts += 1;
        self.events.push_back(SessionEvent::Connect);
    }

    fn start_connect_retry(&mut self, now: Instant) {
        if !self.settings.passive {
            let retry = self.settings.connect_retry;
            // A way that takes longer than our patience would never be finished.
            let searching = self
                .redial
                .as_ref()
                .and_then(|redial| redial.patience(now))
                .map(|patience| patience.max(self.connect_took * 2).min(retry));
            let span = searching.unwrap_or(retry).max(MIN_CONNECT_RETRY);
            let at = now + self.rng.jitter(span);
            self.deadlines.set(TimerName::ConnectRetry, Some(at));
        }
    }

    fn drop_attempt(&mut self, now: Instant, reason: DownReason) {
        let attempt = mem::replace(&mut self.attempt, Attempt::None);
        let connection = match attempt {
            // A passive dialer, or one between two attempts.
            Attempt::None if reason != DownReason::ConnectFailed => return,
            Attempt::None => None,
            Attempt::Asked => {
                self.events.retain(|event| *event != SessionEvent::Connect);
                None
            }
            Attempt::Running(id) => {
                self.events.push_back(SessionEvent::Close(id));
                Some(id)
            }
        };
        self.attempt_ended(now, connection, reason.clone());
        self.pause_dialer(now, &reason, None);
    }

    /// A connection has seen a good OPEN: no other one is wanted.
    fn park_dialer(&mut self, now: Instant) {
        if matches!(self.dialer, Some(State::Connect | State::Active)) {
            let carried = Carried::Reason(DownReason::Collision);
            self.drive(now, Machine::Dialer, Event::OpenCollisionDump, carried);
        }
        self.deadlines.set(TimerName::IdleHold, None);
    }

    /// Lets the dialer start again after a while, if it is to and is not about to already.
    pub(super) fn pause_dialer(
        &mut self,
        now: Instant,
        reason: &DownReason,
        up_for: Option<Duration>,
    ) {
        let retry = self.settings.connect_retry;
        let usual = self.backoff.pause(reason, up_for, retry, &mut self.rng);
        let pause = self.redial_pause(now, reason, up_for.is_some());
        let pause = pause.map_or(usual, |pause| pause.min(usual));
        let idle = self.started
            && self.dialer == Some(State::Idle)
            && !self.has_open_connection()
            && self.deadlines.get(TimerName::IdleHold).is_none();
        if idle {
            self.deadlines.set(TimerName::IdleHold, Some(now + pause));
        }
    }

    /// The pause before the next attempt while a lost peer is looked for; `None`: it is not.
    fn redial_pause(
        &mut self,
        now: Instant,
        reason: &DownReason,
        was_up: bool,
    ) -> Option<Duration> {
        if was_up && self.started && !self.settings.passive {
            self.redial = Some(Box::new(Redial::new(now)));
        }
        self.redial
            .take_if(|redial| !redial.goes_on_after(now, reason));
        Some(self.redial.as_mut()?.pause(&mut self.rng))
    }

    fn has_open_connection(&self) -> bool {
        self.connections
            .iter()
            .any(|connection| connection.is_open())
    }

    // Connections.

    /// Refuses a connection that has no machine (RFC 4486 §4, Connection Rejected).
    pub(super) fn refuse(&mut self, id: ConnectionId) {
        let cease = Notification::bare(NotificationError::Cease(Cease::ConnectionRejected));
        let message = self.encode(&Message::Notification(cease));
        self.add_farewell(id, message.into_iter().collect());
        self.events
            .push_back(SessionEvent::Note(Note::ConnectionRefused(id)));
        self.events.push_back(SessionEvent::Close(id));
    }

    /// Makes sure that one more connection has a place; says whether it has.
    pub(super) fn make_room(&mut self, now: Instant) -> bool {
        if self.connections.len() < MAX_CONNECTIONS {
            return true;
        }
        // The newest connection tells most about a peer, so the oldest that is still without an
        // OPEN goes; one that they opened before one that we did.
        let silent = self
            .connections
            .iter()
            .filter(|connection| !connection.is_open());
        let victim = silent.min_by_key(|connection| match connection.direction {
            Direction::Accepted => 0,
            Direction::Dialed => 1,
        });
        let Some(id) = victim.map(|connection| connection.id) else {
            return false;
        };
        let machine = Machine::Connection(id);
        let carried = Carried::Reason(DownReason::Superseded);
        self.drive(now, machine, Event::OpenCollisionDump, carried);
        true
    }

    fn drop_connection(&mut self, now: Instant, id: ConnectionId, reason: DownReason) {
        let Some(at) = self.connections.iter().position(|live| live.id == id) else {
            return;
        };
        let connection = self.connections.remove(at);
        if connection.direction == Direction::Dialed {
            self.dialer = Some(connection.state);
        }
        let up_for = connection.up_for(now);
        self.choose_offer(&connection, &reason);
        if up_for.is_some() {
            self.last_error = Some(Box::new(LastError {
                at: now,
                reason: reason.clone(),
                was_up: true,
            }));
        } else {
            self.attempt_ended(now, Some(id), reason.clone());
        }
        self.add_farewell(id, connection.into_control());
        self.events.push_back(SessionEvent::Close(id));
        self.pause_dialer(now, &reason, up_for);
    }

    fn attempt_ended(
        &mut self,
        now: Instant,
        connection: Option<ConnectionId>,
        reason: DownReason,
    ) {
        // That a second connection was closed is no failure of the session.
        if !matches!(reason, DownReason::Collision | DownReason::Superseded) {
            self.last_error = Some(Box::new(LastError {
                at: now,
                reason: reason.clone(),
                was_up: false,
            }));
        }
        let redial = self.redial.as_mut();
        if redial.is_none_or(|redial| redial.is_news(&reason)) {
            let note = Note::AttemptEnded { connection, reason };
            self.events.push_back(SessionEvent::Note(note));
        }
    }

    /// RFC 5492 §3: a peer that refuses our capabilities gets the next OPEN without them.
    fn choose_offer(&mut self, connection: &Connection, reason: &DownReason) {
        if connection.up_since.is_some() {
            self.offer = Offer::Full;
        } else if reason.refuses_capabilities() {
            self.offer = match connection.offer {
                Offer::Full => Offer::Reduced,
                Offer::Reduced => Offer::Full,
            };
            if self.offer == Offer::Reduced {
                self.events
                    .push_back(SessionEvent::Note(Note::OfferReduced));
            }
        }
    }

    fn add_farewell(&mut self, id: ConnectionId, messages: VecDeque<Bytes>) {
        if messages.is_empty() {
            return;
        }
        if self.farewells.len() >= MAX_FAREWELLS {
            self.farewells.pop_front();
        }
        self.farewells.push_back((id, messages));
    }

    fn enter_established(&mut self, now: Instant, id: ConnectionId) {
        if let Some(connection) = self.connection_mut(id) {
            connection.up_since = Some(now);
        }
        self.redial = None;
        self.counters.established += 1;
        self.events.push_back(SessionEvent::Established(id));
    }

    // Timers.

    fn start_timer(
        &mut self,
        now: Instant,
        id: ConnectionId,
        timer: TimerName,
        span: impl FnOnce(&Connection) -> Duration,
    ) {
        if let Some(connection) = self.connection_mut(id) {
            let span = span(connection);
            connection.start(timer, now, span);
        }
    }

    fn start_keepalive(&mut self, now: Instant, id: ConnectionId) {
        let interval = self.connection(id).map(Connection::keepalive_interval);
        let jittered = self.rng.jitter(interval.unwrap_or_default());
        self.start_timer(now, id, TimerName::Keepalive, |_| jittered);
    }

    pub(super) fn expire_dialer(&mut self, now: Instant, timer: TimerName) {
        match timer {
            TimerName::ConnectRetry => {
                let carried = Carried::Reason(DownReason::ConnectTimedOut);
                let event = Event::ConnectRetryTimerExpires;
                self.drive(now, Machine::Dialer, event, carried);
            }
            TimerName::IdleHold => {
                let event = match self.settings.passive {
                    true => Event::AutomaticStartWithPassiveTcpEstablishment,
                    false => Event::AutomaticStart,
                };
                self.drive(now, Machine::Dialer, event, Carried::Nothing);
            }
            TimerName::Hold | TimerName::Keepalive | TimerName::SendHold => {}
        }
    }

    pub(super) fn expire_connection(&mut self, now: Instant, id: ConnectionId, timer: TimerName) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        let (event, carried) = match timer {
            TimerName::Hold => {
                let reason = DownReason::HoldTimerExpired(connection.patience());
                (Event::HoldTimerExpires, Carried::Reason(reason))
            }
            TimerName::Keepalive => (Event::KeepaliveTimerExpires, Carried::Nothing),
            TimerName::SendHold => {
                let reason = DownReason::SendHoldTimerExpired(connection.send_hold());
                (Event::SendHoldTimerExpires, Carried::Reason(reason))
            }
            TimerName::ConnectRetry | TimerName::IdleHold => return,
        };
        self.drive(now, Machine::Connection(id), event, carried);
    }

    // Sending.

    fn send_open(&mut self, id: ConnectionId) {
        let Some(offer) = self.connection(id).map(|connection| connection.offer) else {
            return;
        };
        let open = our_open(&self.settings, offer);
        self.send_own(id, &Message::Open(open));
    }

    fn notify(&mut self, id: ConnectionId, notice: Notice, reason: &DownReason) {
        let hard = self.connection(id).is_some_and(|connection| {
            let negotiated = connection.negotiated.as_deref();
            negotiated.is_some_and(Negotiated::notification_keeps_routes)
        });
        let told = notice::told(notice, reason, hard);
        self.send_own(id, &Message::Notification(told));
    }

    fn send_own(&mut self, id: ConnectionId, message: &Message) {
        if let Some(encoded) = self.encode(message)
            && let Some(connection) = self.connection_mut(id)
        {
            connection.push_own(encoded);
        }
    }

    pub(super) fn send_optional(&mut self, message: &Message) {
        let Some(id) = self.established_connection().map(|up| up.id) else {
            return;
        };
        let Some(encoded) = self.encode(message) else {
            return;
        };
        let sent = self
            .connection_mut(id)
            .is_some_and(|connection| connection.push_optional(encoded));
        if !sent {
            self.control_dropped();
        }
    }

    /// A message of ours in its wire form. What a session sends is never as long as 4,096 octets
    /// and has no four-octet AS paths, so nothing negotiated matters.
    fn encode(&mut self, message: &Message) -> Option<Bytes> {
        let context = EncodeContext {
            four_octet_as: true,
            add_path: FamilySet::EMPTY,
            max_len: wire::MAX_LEN,
        };
        let mut encoded = BytesMut::new();
        if wire::encode_message(message, &context, &mut encoded).is_err() {
            self.control_dropped();
            return None;
        }
        self.counters.sent.count(message.kind());
        Some(encoded.freeze())
    }

    fn control_dropped(&mut self) {
        self.counters.control_dropped += 1;
        self.events
            .push_back(SessionEvent::Note(Note::ControlDropped));
    }
}

/// Why a connection ends. Events that carry nothing do not end one: the table test proves it.
fn reason_of(carried: &Carried) -> DownReason {
    match carried {
        Carried::Reason(reason) => reason.clone(),
        Carried::Nothing | Carried::Message(_) => DownReason::ConnectionClosed,
    }
}
