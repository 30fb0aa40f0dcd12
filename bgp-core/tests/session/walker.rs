//! A random walk through one session, driven by octets: the same walk serves the property test
//! and the fuzz target.
//!
//! Each octet picks what happens next: connections come and go, messages good and bad arrive
//! whole or in pieces, time passes, commands are given. After every step the promises of
//! `session/mod.rs` are checked.

use bgp_core::family::{Family, FamilySet};
use bgp_core::rng::Rng;
use bgp_core::session::{
    MAX_CONNECTIONS, Offer, Session, SessionEvent, SessionSettings, State, Stop, TimerName,
    our_open,
};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::{Asn, ConnectionId, PeerRole, RouterId};
use bgp_core::wire::{self, Cease, Message, Notification, NotificationError, Update};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Takes the walk that `octets` describe, and panics where a promise is broken.
pub(crate) fn walk(octets: &[u8]) {
    let mut choices = octets.iter().copied();
    let first = choices.next().unwrap_or(0);
    let mut walker = Walker::new(first);
    while let Some(choice) = choices.next() {
        let detail = choices.next().unwrap_or(0);
        walker.act(choice, detail);
        walker.look();
    }
}

struct Walker {
    session: Session,
    now: Instant,
    next_id: u64,
    /// Every connection that the session was given, until its Close.
    open: BTreeMap<ConnectionId, Sent>,
    /// The attempt that the session asked for, once it has its id.
    attempt: Option<ConnectionId>,
    /// Where the events say that the session is.
    reported: State,
    up: Option<ConnectionId>,
}

/// What the session has sent on a connection.
#[derive(Default)]
struct Sent {
    messages: usize,
    notification: bool,
}

impl Walker {
    fn new(choice: u8) -> Self {
        let now = Instant::from_micros(5);
        let mut session = Session::new(settings(choice), Rng::new(u64::from(choice)));
        session.handle_start(now);
        Self {
            session,
            now,
            next_id: 0,
            open: BTreeMap::new(),
            attempt: None,
            reported: State::Idle,
            up: None,
        }
    }

    fn act(&mut self, choice: u8, detail: u8) {
        let now = self.now;
        match choice % 16 {
            0 if detail < 48 => self.session.handle_stop(now, stop(detail)),
            0 => self.session.handle_start(now),
            1 | 2 => {
                let id = self.new_id();
                self.open.insert(id, Sent::default());
                self.session.handle_accepted(now, id);
            }
            3 => self.answer_attempt(detail),
            4..=10 => self.arrive(choice / 16, detail),
            11 => {
                if let Some(id) = self.pick(detail) {
                    self.session.handle_closed(now, id);
                }
            }
            12 => self.pass(Duration::from_millis(u64::from(detail))),
            13 if detail < 250 => self.pass(Duration::from_secs(u64::from(detail / 32))),
            13 => self.pass(Duration::from_secs(600)),
            14 => {
                if let Some(id) = self.pick(detail) {
                    match detail % 4 {
                        0 => self.session.handle_written(now, id),
                        _ => self.session.handle_blocked(now, id),
                    }
                }
            }
            _ if detail < 16 => self.jump(),
            _ if detail < 32 => {
                let error = NotificationError::Cease(Cease::MaximumPrefixes);
                self.session.reset(now, Notification::bare(error));
            }
            _ => self.pass(Duration::from_secs(3)),
        }
    }

    fn answer_attempt(&mut self, detail: u8) {
        let Some(id) = self.attempt else {
            return;
        };
        if detail.is_multiple_of(3) {
            self.attempt = None;
            self.session.handle_connect_failed(self.now, id);
        } else {
            self.attempt = None;
            self.open.insert(id, Sent::default());
            self.session.handle_connected(self.now, id);
        }
    }

    fn arrive(&mut self, kind: u8, detail: u8) {
        let Some(id) = self.pick(detail) else {
            return;
        };
        let mut live = self.session.connections();
        let state = live
            .find(|(live, ..)| *live == id)
            .map(|(_, _, state)| state);
        let octets = message(kind, detail, state.unwrap_or(State::Idle));
        drop(live);
        let piece = usize::from(detail / 16) + 1;
        for octets in octets.chunks(piece) {
            self.session.handle_received(self.now, id, octets);
        }
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.session.poll_timeout().filter(|(at, _)| *at <= end) {
            assert!(at >= self.now, "a deadline in the past");
            self.now = at;
            self.session.handle_timeout(at);
            self.look();
        }
        self.now = end;
    }

    /// A machine that slept: everything is overdue at once.
    fn jump(&mut self) {
        self.now = self.now + Duration::from_secs(1_000);
        self.session.handle_timeout(self.now);
        if let Some((at, timer)) = self.session.poll_timeout() {
            assert!(at > self.now, "{timer} is still due");
        }
    }

    fn new_id(&mut self) -> ConnectionId {
        self.next_id += 1;
        ConnectionId(self.next_id)
    }

    fn pick(&self, detail: u8) -> Option<ConnectionId> {
        let count = self.open.len().max(1);
        self.open.keys().nth(usize::from(detail) % count).copied()
    }

    /// Reads everything that the session says, and compares it with what it promised.
    fn look(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.hear(event);
        }
        let ids: Vec<ConnectionId> = self.open.keys().copied().collect();
        ids.into_iter().for_each(|id| self.read(id));
        self.check();
    }

    fn hear(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Connect => {
                assert_eq!(self.attempt, None, "a second attempt");
                let id = self.new_id();
                self.attempt = Some(id);
                self.session.dialing(id);
            }
            SessionEvent::Close(id) => {
                self.read(id);
                let attempt = self.attempt == Some(id);
                assert!(
                    self.open.remove(&id).is_some() != attempt,
                    "closed twice: {id}"
                );
                if attempt {
                    self.attempt = None;
                }
            }
            SessionEvent::Established(id) => {
                assert_eq!(self.up.replace(id), None, "up twice");
            }
            SessionEvent::Down(_) => assert!(self.up.take().is_some(), "down but not up"),
            SessionEvent::Update(_)
            | SessionEvent::RefreshRequest(_)
            | SessionEvent::RefreshMarker(_) => assert!(self.up.is_some(), "routes while down"),
            SessionEvent::StateChanged { from, to } => {
                assert_eq!(from, self.reported);
                assert_ne!(from, to);
                self.reported = to;
            }
            SessionEvent::Note(note) => assert!(!note.to_string().is_empty()),
        }
    }

    /// OPEN comes first, nothing follows a NOTIFICATION.
    fn read(&mut self, id: ConnectionId) {
        while let Some(octets) = self.session.poll_control(id) {
            let sent = self
                .open
                .get_mut(&id)
                .expect("octets for a closed connection");
            let frame = wire::frame(&octets, wire::MAX_LEN).unwrap().unwrap();
            let kind = frame.kind;
            assert_eq!(frame.len, octets.len());
            assert!(!sent.notification, "{kind} after a NOTIFICATION");
            let open = kind == wire::MessageKind::Open;
            let notification = kind == wire::MessageKind::Notification;
            assert!(
                open == (sent.messages == 0) || notification,
                "{kind} out of order"
            );
            sent.messages += 1;
            sent.notification |= notification;
        }
    }

    fn check(&self) {
        let live: Vec<(ConnectionId, State)> = self
            .session
            .connections()
            .map(|(id, _, state)| (id, state))
            .collect();
        assert!(live.len() <= MAX_CONNECTIONS);
        let known: Vec<ConnectionId> = self.open.keys().copied().collect();
        let mut ids: Vec<ConnectionId> = live.iter().map(|(id, _)| *id).collect();
        ids.sort();
        assert_eq!(ids, known, "a connection without a Close");
        let open = live
            .iter()
            .filter(|(_, state)| *state >= State::OpenConfirm);
        assert!(open.count() <= 1, "two connections past OpenSent: {live:?}");
        assert!(live.iter().all(|(_, state)| *state >= State::OpenSent));

        assert_eq!(self.session.state(), self.reported);
        let established = self.session.established();
        assert_eq!(established.map(|(id, _)| id), self.up);
        assert_eq!(self.session.up_since().is_some(), self.up.is_some());
        self.check_deadlines();
    }

    fn check_deadlines(&self) {
        let deadline = self.session.poll_timeout();
        if !self.session.is_started() {
            assert_eq!(self.reported, State::Idle);
            assert_eq!(
                (deadline, self.attempt),
                (None, None),
                "stopped, but not quiet"
            );
            return;
        }
        let quiet = |(_, timer): (Instant, TimerName)| timer != TimerName::Hold;
        let settings = self.session.settings();
        let waits = match self.session.established() {
            // Without a hold time nothing has to happen for ever.
            Some((_, negotiated)) => negotiated.hold_time.is_zero(),
            None => settings.passive || settings.hold_time.is_zero(),
        };
        assert!(
            deadline.is_some() || waits,
            "no deadline in {}",
            self.reported
        );
        if self.reported < State::OpenSent {
            assert!(
                deadline.is_none_or(quiet),
                "a hold timer without a connection"
            );
        }
    }
}

fn settings(choice: u8) -> SessionSettings {
    SessionSettings {
        local_as: Asn(64_512),
        router_id: router(5),
        remote_as: Asn(64_512),
        role: PeerRole::NonClient,
        families: FamilySet::from_iter(Family::ALL),
        hold_time: Duration::from_secs(if choice & 2 == 0 { 9 } else { 0 }),
        connect_retry: Duration::from_secs(u64::from(choice / 16)),
        passive: choice & 1 != 0,
        add_path_receive: choice & 4 != 0,
        add_path_send: choice & 8 != 0,
        extended_messages: choice & 4 != 0,
        restart_time: Duration::from_secs(if choice & 8 == 0 { 60 } else { 0 }),
        restarting: false,
        long_lived_restart_time: Some(Duration::from_secs(3_600)),
        forwarding: FamilySet::ALL,
        host_name: "walker".into(),
    }
}

fn router(last: u8) -> RouterId {
    RouterId(Ipv4Addr::new(10, 0, 0, last))
}

fn stop(detail: u8) -> Stop {
    match detail % 5 {
        0 => Stop::AdministrativeShutdown("walk".to_owned()),
        1 => Stop::AdministrativeReset(String::new()),
        2 => Stop::PeerDeconfigured,
        3 => Stop::OtherConfigurationChange,
        _ => Stop::Silent,
    }
}

/// What arrives: mostly what a good peer would say in this state, so that walks get somewhere.
fn message(kind: u8, detail: u8, state: State) -> Vec<u8> {
    let message = match kind {
        0..=7 => match state {
            State::OpenSent => Message::Open(open(detail)),
            State::Established if detail.is_multiple_of(2) => end_of_rib(),
            State::Idle
            | State::Connect
            | State::Active
            | State::OpenConfirm
            | State::Established => Message::Keepalive,
        },
        8 | 9 => Message::Open(open(detail)),
        10 => Message::Keepalive,
        11 => end_of_rib(),
        12 => Message::Notification(Notification {
            error: NotificationError::from_codes(detail % 9, detail / 9 % 12),
            data: vec![detail; usize::from(detail % 8)],
        }),
        13 => Message::RouteRefresh(wire::RouteRefresh {
            family: Family::Ipv6Unicast.afi_safi(),
            subtype: wire::RefreshSubtype::Request,
        }),
        14 => return vec![detail; usize::from(detail % 64)],
        _ => return corrupt(detail),
    };
    encoded(&message)
}

fn end_of_rib() -> Message {
    Message::Update(Update {
        end_of_rib: Some(Family::Ipv4Unicast),
        ..Update::default()
    })
}

/// The OPEN of a peer whose identifier and hold time vary, and whose AS number is wrong at times.
fn open(detail: u8) -> wire::Open {
    let theirs = SessionSettings {
        local_as: Asn(if detail.is_multiple_of(29) {
            64_513
        } else {
            64_512
        }),
        router_id: router(detail % 9 + 1),
        ..settings(detail)
    };
    let offer = match detail.is_multiple_of(5) {
        true => Offer::Reduced,
        false => Offer::Full,
    };
    our_open(&theirs, offer)
}

/// A good message with one octet changed.
fn corrupt(detail: u8) -> Vec<u8> {
    let mut octets = encoded(&Message::Open(open(detail)));
    let at = usize::from(detail) % octets.len();
    octets[at] ^= detail | 1;
    octets
}

fn encoded(message: &Message) -> Vec<u8> {
    let context = wire::EncodeContext {
        four_octet_as: true,
        add_path: FamilySet::EMPTY,
        max_len: wire::MAX_LEN,
    };
    let mut octets = BytesMut::new();
    wire::encode_message(message, &context, &mut octets).unwrap();
    octets.to_vec()
}
