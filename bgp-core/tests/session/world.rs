//! Two sessions and the network between them, in virtual time.
//!
//! The network cuts what is sent into pieces of seeded sizes, delays it, and can be told to lose
//! connections without a word, to stall, or to deliver garbage.

use bgp_core::rng::Rng;
use bgp_core::session::{DownReason, Note, Session, SessionEvent, SessionSettings, State};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::ConnectionId;
use bytes::Bytes;
use std::collections::VecDeque;

/// One way through the network.
const LATENCY: Duration = Duration::from_millis(2);

/// How many steps a run may take at one moment before it counts as stuck.
const MAX_STEPS_AT_ONCE: usize = 10_000;

/// One of the two ends.
pub(crate) type Side = usize;

pub(crate) const LEFT: Side = 0;
pub(crate) const RIGHT: Side = 1;

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) ends: [End; 2],
    links: Vec<Link>,
    next_id: u64,
    rng: Rng,
    /// How long the way through the network takes at least.
    pub(crate) delay: Duration,
    /// Attempts to connect get no answer.
    pub(crate) dark: bool,
    /// By how much the way through the network varies, in microseconds.
    pub(crate) jitter: u64,
    /// Largest piece in which octets arrive.
    pub(crate) chunk: u64,
}

pub(crate) struct End {
    pub(crate) session: Session,
    /// Every event since the last look, with its time.
    pub(crate) events: Vec<(Instant, SessionEvent)>,
    /// Whether its host answers connection attempts.
    pub(crate) listens: bool,
}

/// A transport connection: what each side calls it, and what is on its way to each side.
struct Link {
    ids: [Option<ConnectionId>; 2],
    dialer: Side,
    to: [VecDeque<(Instant, Item)>; 2],
    /// Nothing sent by this side arrives any more, and nobody is told.
    mute: [bool; 2],
}

#[derive(Debug)]
enum Item {
    Accepted,
    Connected,
    Refused,
    Octets(Bytes),
    Closed,
}

impl World {
    pub(crate) fn new(seed: u64, left: SessionSettings, right: SessionSettings) -> Self {
        let mut rng = Rng::new(seed);
        let mut end = |settings| End {
            session: Session::new(settings, rng.fork()),
            events: Vec::new(),
            listens: true,
        };
        let ends = [end(left), end(right)];
        Self {
            now: Instant::from_micros(1_000_000),
            ends,
            links: Vec::new(),
            next_id: 1,
            rng,
            delay: LATENCY,
            dark: false,
            jitter: 0,
            chunk: 64,
        }
    }

    pub(crate) fn start(&mut self, side: Side) {
        let now = self.now;
        self.act(side, |session| session.handle_start(now));
    }

    pub(crate) fn start_both(&mut self) {
        self.start(LEFT);
        self.start(RIGHT);
    }

    /// Does something to a session, and what follows from it at this moment.
    pub(crate) fn act(&mut self, side: Side, what: impl FnOnce(&mut Session)) {
        what(&mut self.ends[side].session);
        self.settle(side);
    }

    pub(crate) fn state(&self, side: Side) -> State {
        self.ends[side].session.state()
    }

    pub(crate) fn both_established(&self) -> bool {
        self.state(LEFT) == State::Established && self.state(RIGHT) == State::Established
    }

    /// Events of one side since the last call.
    pub(crate) fn take_events(&mut self, side: Side) -> Vec<SessionEvent> {
        let events = std::mem::take(&mut self.ends[side].events);
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// Why sessions of one side went down, since the last call.
    pub(crate) fn take_downs(&mut self, side: Side) -> Vec<DownReason> {
        let downs = self
            .take_events(side)
            .into_iter()
            .filter_map(|event| match event {
                SessionEvent::Down(reason) => Some(reason),
                _ => None,
            });
        downs.collect()
    }

    /// Why attempts of one side ended, since the last call.
    pub(crate) fn take_ended(&mut self, side: Side) -> Vec<DownReason> {
        let ended = self
            .take_events(side)
            .into_iter()
            .filter_map(|event| match event {
                SessionEvent::Note(Note::AttemptEnded { reason, .. }) => Some(reason),
                _ => None,
            });
        ended.collect()
    }

    /// How many connections live in the network.
    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut steps = 0;
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            steps = if next > self.now { 0 } else { steps + 1 };
            assert!(steps < MAX_STEPS_AT_ONCE, "stuck at {:?}", self.now);
            self.now = self.now.max(next);
            // What has arrived is told before timers are judged.
            self.deliver();
            for side in [LEFT, RIGHT] {
                let now = self.now;
                let due = self.ends[side].session.poll_timeout();
                if due.is_some_and(|(at, _)| at <= now) {
                    self.act(side, |session| session.handle_timeout(now));
                }
            }
        }
        self.now = end;
    }

    /// Runs until both sessions are up; fails after a minute.
    pub(crate) fn establish(&mut self) {
        for _ in 0..60_000 {
            if self.both_established() {
                return;
            }
            self.run(Duration::from_millis(1));
        }
        panic!("not up: {} and {}", self.state(LEFT), self.state(RIGHT));
    }

    /// Octets that nobody sent arrive at `side` on its established (or else first) connection.
    pub(crate) fn inject(&mut self, side: Side, octets: &[u8]) {
        let session = &self.ends[side].session;
        let up = session.established().map(|(id, _)| id);
        let first = session.connections().next().map(|(id, ..)| id);
        if let Some(id) = up.or(first) {
            let now = self.now;
            self.act(side, |session| session.handle_received(now, id, octets));
        }
    }

    /// What `side` sends on its live connections is lost from now on, and nobody is told.
    pub(crate) fn mute(&mut self, side: Side) {
        for link in &mut self.links {
            link.mute[side] = true;
            link.to[1 - side].clear();
        }
    }

    /// From now on nothing passes in either direction, and nobody is told; or it does again, but
    /// for connections from before.
    pub(crate) fn partition(&mut self, begins: bool) {
        self.mute(LEFT);
        self.mute(RIGHT);
        self.dark = begins;
    }

    /// One end forgets everything, as after a crash; the other is told only if `reset`.
    pub(crate) fn crash(&mut self, side: Side, reset: bool) {
        let settings = self.ends[side].session.settings().clone();
        let seed = self.rng.next_u64();
        self.ends[side].session = Session::new(settings, Rng::new(seed));
        let at = self.now + LATENCY;
        for link in &mut self.links {
            link.ids[side] = None;
            link.mute[side] = true;
            link.to[side].clear();
            link.to[1 - side].clear();
            if reset {
                link.to[1 - side].push_back((at, Item::Closed));
            }
        }
        self.forget_dead_links();
    }

    /// Both ends lose all connections.
    pub(crate) fn cut(&mut self) {
        let at = self.now;
        for link in &mut self.links {
            for side in [LEFT, RIGHT] {
                link.to[side].clear();
                link.to[side].push_back((at, Item::Closed));
            }
        }
        self.run(Duration::ZERO);
    }

    fn next_moment(&self) -> Option<Instant> {
        let timers = self
            .ends
            .iter()
            .filter_map(|end| end.session.poll_timeout());
        let items = self.links.iter().flat_map(|link| &link.to);
        timers
            .map(|(at, _)| at)
            .chain(items.filter_map(|queue| queue.front().map(|(at, _)| *at)))
            .min()
    }

    fn deliver(&mut self) {
        for index in 0..self.links.len() {
            for side in [LEFT, RIGHT] {
                while let Some(item) = self.take_item(index, side) {
                    self.hand_over(index, side, item);
                }
            }
        }
        self.forget_dead_links();
    }

    fn take_item(&mut self, index: usize, side: Side) -> Option<Item> {
        let now = self.now;
        let queue = &mut self.links[index].to[side];
        queue
            .pop_front_if(|(at, _)| *at <= now)
            .map(|(_, item)| item)
    }

    fn hand_over(&mut self, index: usize, side: Side, item: Item) {
        let now = self.now;
        if let Item::Accepted = item {
            let id = self.new_id();
            self.links[index].ids[side] = Some(id);
            return self.act(side, |session| session.handle_accepted(now, id));
        }
        let Some(id) = self.links[index].ids[side] else {
            return;
        };
        match item {
            Item::Accepted => {}
            Item::Connected => self.act(side, |session| session.handle_connected(now, id)),
            Item::Refused => {
                self.links[index].ids[side] = None;
                self.act(side, |session| session.handle_connect_failed(now, id));
            }
            Item::Closed => {
                self.links[index].ids[side] = None;
                self.act(side, |session| session.handle_closed(now, id));
            }
            Item::Octets(octets) => {
                let mut rest = &octets[..];
                while !rest.is_empty() {
                    let most = (rest.len() as u64).min(self.chunk);
                    let (piece, after) = rest.split_at(1 + self.rng.below(most) as usize);
                    self.act(side, |session| session.handle_received(now, id, piece));
                    rest = after;
                }
            }
        }
    }

    /// Carries out what a session wants, and sends what it has to say.
    fn settle(&mut self, side: Side) {
        while let Some(event) = self.ends[side].session.poll_event() {
            match &event {
                SessionEvent::Connect => self.dial(side),
                SessionEvent::Close(id) => self.close(side, *id),
                _ => {}
            }
            self.ends[side].events.push((self.now, event));
        }
        let live: Vec<ConnectionId> = self.ends[side]
            .session
            .connections()
            .map(|(id, ..)| id)
            .collect();
        live.into_iter().for_each(|id| self.flush(side, id));
    }

    fn dial(&mut self, side: Side) {
        let id = self.new_id();
        self.ends[side].session.dialing(id);
        let mut link = Link {
            ids: [None, None],
            dialer: side,
            to: Default::default(),
            mute: [false, false],
        };
        link.ids[side] = Some(id);
        let there = self.now + self.latency();
        let back = there + self.latency();
        if self.dark {
            // Nothing comes back.
        } else if self.ends[1 - side].listens {
            link.to[1 - side].push_back((there, Item::Accepted));
            link.to[side].push_back((back, Item::Connected));
        } else {
            link.to[side].push_back((back, Item::Refused));
        }
        self.links.push(link);
    }

    fn flush(&mut self, side: Side, id: ConnectionId) {
        while let Some(message) = self.ends[side].session.poll_control(id) {
            self.put(side, id, Item::Octets(message));
        }
        // Everything leaves at once: nothing is ever blocked here.
        let now = self.now;
        self.ends[side].session.handle_written(now, id);
    }

    fn close(&mut self, side: Side, id: ConnectionId) {
        self.flush(side, id);
        self.put(side, id, Item::Closed);
        for link in &mut self.links {
            if link.ids[side] == Some(id) {
                link.ids[side] = None;
                link.to[side].clear();
                if link.dialer == side && link.ids[1 - side].is_none() {
                    // An attempt that is given up before it was accepted.
                    link.to[1 - side].clear();
                }
            }
        }
    }

    fn put(&mut self, side: Side, id: ConnectionId, item: Item) {
        let at = self.now + self.latency();
        let mut links = self.links.iter_mut();
        if let Some(link) = links.find(|link| link.ids[side] == Some(id))
            && !link.mute[side]
        {
            // What was sent later never arrives earlier.
            let last = link.to[1 - side].back().map(|(at, _)| *at);
            link.to[1 - side].push_back((last.map_or(at, |last| last.max(at)), item));
        }
    }

    fn latency(&mut self) -> Duration {
        self.delay + Duration::from_micros(self.rng.below(self.jitter))
    }

    fn forget_dead_links(&mut self) {
        self.links.retain(|link| {
            link.ids.iter().any(Option::is_some) || link.to.iter().any(|to| !to.is_empty())
        });
    }

    fn new_id(&mut self) -> ConnectionId {
        self.next_id += 1;
        ConnectionId(self.next_id)
    }
}
