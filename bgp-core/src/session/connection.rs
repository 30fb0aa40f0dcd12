//! One transport connection: its machine's state, what arrived of the next message, what waits to
//! be sent ahead of table data, and its timers.

use super::collision::Direction;
use super::fsm::State;
use super::negotiate::{Negotiated, Offer};
use super::timers::{Deadlines, LARGE_HOLD, MIN_SEND_HOLD, TimerName};
use crate::time::{Duration, Instant};
use crate::types::ConnectionId;
use crate::wire;
use bytes::Bytes;
use std::collections::VecDeque;

/// Most messages that wait in one connection's control queue. Further ones are dropped and
/// counted; OPEN, KEEPALIVE and NOTIFICATION always find room, for they are few: one OPEN, one
/// waiting KEEPALIVE and one NOTIFICATION.
pub const MAX_CONTROL: usize = 64;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) direction: Direction,
    pub(super) state: State,
    pub(super) deadlines: Deadlines,
    /// What our OPEN on this connection offers.
    pub(super) offer: Offer,
    /// The peer opened it while another connection was Established.
    pub(super) challenger: bool,
    /// What both OPENs agree on; `None` until theirs came.
    pub(super) negotiated: Option<Box<Negotiated>>,
    /// When it became Established.
    pub(super) up_since: Option<Instant>,
    /// The beginning of a message whose rest has not arrived.
    pub(super) partial: Vec<u8>,
    control: VecDeque<Bytes>,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, direction: Direction, offer: Offer) -> Self {
        Self {
            id,
            direction,
            state: match direction {
                Direction::Dialed => State::Connect,
                Direction::Accepted => State::Active,
            },
            deadlines: Deadlines::default(),
            offer,
            challenger: false,
            negotiated: None,
            up_since: None,
            partial: Vec::new(),
            control: VecDeque::new(),
        }
    }

    /// Whether their OPEN was good: OpenConfirm or Established.
    pub(super) fn is_open(&self) -> bool {
        self.state >= State::OpenConfirm
    }

    /// The longest message that they may send now.
    pub(super) fn receive_limit(&self) -> usize {
        self.negotiated
            .as_ref()
            .map_or(wire::MAX_LEN, |negotiated| negotiated.receive_limit)
    }

    /// The negotiated hold time, or zero without one.
    pub(super) fn hold_time(&self) -> Duration {
        self.negotiated
            .as_ref()
            .map_or(Duration::ZERO, |negotiated| negotiated.hold_time)
    }

    /// How long they may be silent now. Zero, for ever, holds once the session is up: until then
    /// a peer without a hold time is not waited for longer than any other.
    pub(super) fn patience(&self) -> Duration {
        let agreed = self.hold_time();
        match self.state {
            State::Established => agreed,
            State::OpenConfirm if !agreed.is_zero() => agreed,
            State::Idle | State::Connect | State::Active | State::OpenSent | State::OpenConfirm => {
                LARGE_HOLD
            }
        }
    }

    /// How often they hear a KEEPALIVE from us; zero: never.
    pub(super) fn keepalive_interval(&self) -> Duration {
        self.negotiated
            .as_ref()
            .map_or(Duration::ZERO, |negotiated| negotiated.keepalive_interval)
    }

    /// How long the transport may take nothing (RFC 9687 §6).
    pub(super) fn send_hold(&self) -> Duration {
        MIN_SEND_HOLD.max(self.hold_time() * 2)
    }

    /// How long the session has been up on it.
    pub(super) fn up_for(&self, now: Instant) -> Option<Duration> {
        self.up_since.map(|since| now.since(since))
    }

    /// (Re)starts `timer`; a span of zero stops it.
    pub(super) fn start(&mut self, timer: TimerName, now: Instant, span: Duration) {
        self.deadlines
            .set(timer, (!span.is_zero()).then(|| now + span));
    }

    /// Queues a message that must go out: OPEN, KEEPALIVE or NOTIFICATION. Bounded, because there
    /// is one of each at most: a KEEPALIVE that waits already stands for this one too.
    pub(super) fn push_own(&mut self, message: Bytes) {
        if !self.control.contains(&message) {
            self.control.push_back(message);
        }
    }

    /// Queues a message that may be dropped; says whether there was room.
    pub(super) fn push_optional(&mut self, message: Bytes) -> bool {
        let room = self.control.len() < MAX_CONTROL;
        if room {
            self.control.push_back(message);
        }
        room
    }

    /// Whether something waits to be sent.
    pub(super) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    pub(super) fn pop_control(&mut self) -> Option<Bytes> {
        self.control.pop_front()
    }

    /// What still waits, when the connection ends.
    pub(super) fn into_control(self) -> VecDeque<Bytes> {
        self.control
    }
}
