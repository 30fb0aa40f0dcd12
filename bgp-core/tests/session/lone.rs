//! One session and a peer that we play by hand, message by message.

use crate::settings;
use bgp_core::family::FamilySet;
use bgp_core::rng::Rng;
use bgp_core::session::{
    DownReason, Note, Offer, Session, SessionEvent, SessionSettings, our_open,
};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::{ConnectionId, RouterId};
use bgp_core::wire::{self, Capability, Message, Notification, Open};
use bytes::BytesMut;
use std::net::Ipv4Addr;

pub(crate) struct Lone {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    next_id: u64,
}

impl Lone {
    /// A started session.
    pub(crate) fn new(settings: SessionSettings) -> Self {
        let mut lone = Self {
            session: Session::new(settings, Rng::new(1)),
            now: Instant::from_micros(1_000_000),
            next_id: 100,
        };
        lone.session.handle_start(lone.now);
        lone
    }

    /// A started session that never dials.
    pub(crate) fn passive() -> Self {
        Self::new(SessionSettings {
            passive: true,
            ..settings()
        })
    }

    /// A session that is up, and its connection. What was said until then is forgotten.
    pub(crate) fn established() -> (Self, ConnectionId) {
        let mut lone = Self::passive();
        let id = lone.accept();
        lone.open(id);
        lone.say(id, &Message::Keepalive);
        assert_eq!(lone.session.established().map(|up| up.0), Some(id));
        lone.heard(id);
        lone.events();
        (lone, id)
    }

    pub(crate) fn new_id(&mut self) -> ConnectionId {
        self.next_id += 1;
        ConnectionId(self.next_id)
    }

    /// The peer connects.
    pub(crate) fn accept(&mut self) -> ConnectionId {
        let id = self.new_id();
        self.session.handle_accepted(self.now, id);
        id
    }

    /// Answers the session's wish to connect with success.
    pub(crate) fn connect(&mut self) -> ConnectionId {
        let id = self.new_id();
        self.session.dialing(id);
        self.session.handle_connected(self.now, id);
        id
    }

    /// The peer's OPEN arrives.
    pub(crate) fn open(&mut self, id: ConnectionId) {
        self.say(id, &Message::Open(open()));
    }

    /// A message of the peer arrives.
    pub(crate) fn say(&mut self, id: ConnectionId, message: &Message) {
        self.octets(id, &encoded(message));
    }

    pub(crate) fn octets(&mut self, id: ConnectionId, octets: &[u8]) {
        self.session.handle_received(self.now, id, octets);
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.session.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.session.handle_timeout(at);
        }
        self.now = end;
    }

    /// What the session has sent on a connection since the last look.
    pub(crate) fn heard(&mut self, id: ConnectionId) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(octets) = self.session.poll_control(id) {
            messages.push(decoded(&octets));
        }
        messages
    }

    /// The NOTIFICATION on a connection that was closed, which must be the last thing sent.
    pub(crate) fn told(&mut self, id: ConnectionId) -> Option<Notification> {
        let mut heard = self.heard(id);
        let last = heard.pop();
        let early = |message: &Message| matches!(message, Message::Notification(_));
        assert!(!heard.iter().any(early), "something follows a NOTIFICATION");
        match last {
            Some(Message::Notification(notification)) => Some(notification),
            _ => None,
        }
    }

    /// What happened since the last look.
    pub(crate) fn events(&mut self) -> Vec<SessionEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// Why sessions and attempts ended since the last look.
    pub(crate) fn ended(&mut self) -> Vec<DownReason> {
        let reasons = self.events().into_iter().filter_map(|event| match event {
            SessionEvent::Down(reason) | SessionEvent::Note(Note::AttemptEnded { reason, .. }) => {
                Some(reason)
            }
            _ => None,
        });
        reasons.collect()
    }

    pub(crate) fn lives(&self, id: ConnectionId) -> bool {
        self.session.connections().any(|(live, ..)| live == id)
    }
}

/// The OPEN of the peer: router 10.0.0.2, otherwise as we would say it.
pub(crate) fn open() -> Open {
    open_of(2)
}

/// The OPEN of router 10.0.0.`last`.
pub(crate) fn open_of(last: u8) -> Open {
    let theirs = SessionSettings {
        router_id: RouterId(Ipv4Addr::new(10, 0, 0, last)),
        ..settings()
    };
    our_open(&theirs, Offer::Full)
}

pub(crate) fn encoded(message: &Message) -> Vec<u8> {
    let context = wire::EncodeContext {
        four_octet_as: true,
        add_path: FamilySet::EMPTY,
        max_len: wire::MAX_EXTENDED_LEN,
    };
    let mut octets = BytesMut::new();
    wire::encode_message(message, &context, &mut octets).unwrap();
    octets.to_vec()
}

fn decoded(octets: &[u8]) -> Message {
    let context = wire::Context {
        internal: true,
        four_octet_as: true,
        families: FamilySet::EMPTY,
        add_path: FamilySet::EMPTY,
        extended_next_hop: FamilySet::EMPTY,
        max_len: wire::MAX_LEN,
    };
    let frame = wire::frame(octets, wire::MAX_LEN).unwrap().unwrap();
    assert_eq!(frame.len, octets.len(), "one message at a time");
    wire::decode(&frame, &context).unwrap()
}

impl Lone {
    /// A session that is up with a peer that does not know graceful restart.
    pub(crate) fn established_without_restart() -> (Self, ConnectionId) {
        let mut lone = Self::passive();
        let id = lone.accept();
        let mut theirs = open();
        let restart =
            |capability: &Capability| matches!(capability, Capability::GracefulRestart(_));
        theirs
            .capabilities
            .retain(|capability| !restart(capability));
        lone.say(id, &Message::Open(theirs));
        lone.say(id, &Message::Keepalive);
        lone.heard(id);
        lone.events();
        (lone, id)
    }
}
