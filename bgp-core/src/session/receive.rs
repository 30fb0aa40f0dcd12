//! What arrives: octets to messages, messages to events of the machine.

use super::Session;
use super::collision::{self, Existing, Identity, Keep};
use super::connection::Connection;
use super::event::{DownReason, Note, SessionEvent};
use super::fsm::{Event, State};
use super::negotiate::{Negotiated, negotiate, our_open};
use super::referee::{Carried, Machine};
use crate::family::FamilySet;
use crate::time::Instant;
use crate::types::ConnectionId;
use crate::wire::{
    self, Context, DecodeError, Frame, Message, MessageKind, Notification, NotificationError, Open,
    OpenError, RefreshSubtype, RouteRefresh,
};
use std::mem;

impl Session {
    /// Reads the messages that are complete and keeps the beginning of the next one.
    pub(super) fn receive(&mut self, now: Instant, id: ConnectionId, octets: &[u8]) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        let mut partial = mem::take(&mut connection.partial);
        if partial.is_empty() {
            // The usual case copies nothing but a message cut in two.
            let used = self.read_messages(now, id, octets);
            partial.extend_from_slice(octets.get(used..).unwrap_or_default());
        } else {
            partial.extend_from_slice(octets);
            let used = self.read_messages(now, id, &partial);
            partial.drain(..used);
            if partial.is_empty() {
                partial = Vec::new();
            }
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.partial = partial;
        }
    }

    /// Handles every complete message of `octets`; says how many octets they took.
    fn read_messages(&mut self, now: Instant, id: ConnectionId, octets: &[u8]) -> usize {
        let mut used = 0;
        // Any message may end the connection, and the rest with it.
        while let Some(limit) = self.connection(id).map(Connection::receive_limit) {
            match wire::frame(octets.get(used..).unwrap_or_default(), limit) {
                Ok(Some(frame)) => {
                    used += frame.len;
                    self.message(now, id, &frame);
                }
                Ok(None) => break,
                Err(error) => {
                    let carried = Carried::Reason(DownReason::MessageError(error));
                    self.drive(now, Machine::Connection(id), Event::BgpHeaderErr, carried);
                }
            }
        }
        used
    }

    fn message(&mut self, now: Instant, id: ConnectionId, frame: &Frame<'_>) {
        let Some(state) = self.connection(id).map(|connection| connection.state) else {
            return;
        };
        self.counters.received.count(frame.kind);
        let (event, carried) = if has_place(frame.kind, state) {
            match wire::decode(frame, &self.context(id)) {
                Ok(message) => self.read(now, id, message),
                Err(error) => unreadable(frame.kind, error),
            }
        } else {
            let kind = frame.kind;
            let reason = DownReason::UnexpectedMessage { state, kind };
            (event_of(kind), Carried::Reason(reason))
        };
        self.drive(now, Machine::Connection(id), event, carried);
    }

    fn read(&mut self, now: Instant, id: ConnectionId, message: Message) -> (Event, Carried) {
        match message {
            Message::Open(open) => self.read_open(now, id, &open),
            Message::Keepalive => (Event::KeepAliveMsg, Carried::Nothing),
            Message::Notification(notification) => self.read_notification(notification),
            Message::Update(update) => {
                let event = SessionEvent::Update(update);
                (Event::UpdateMsg, Carried::Message(event))
            }
            Message::RouteRefresh(refresh) => {
                let event = self.sort_refresh(id, refresh);
                (Event::UpdateMsg, Carried::Message(event))
            }
        }
    }

    /// RFC 4271 §6.2 and §6.8: is the OPEN good, and is this the connection that stays?
    fn read_open(&mut self, now: Instant, id: ConnectionId, theirs: &Open) -> (Event, Carried) {
        let Some(offer) = self.connection(id).map(|connection| connection.offer) else {
            return (Event::BgpOpen, Carried::Nothing);
        };
        let ours = our_open(&self.settings, offer);
        let negotiated = match negotiate(&ours, theirs, &self.settings) {
            Ok(negotiated) => negotiated,
            Err(refusal) => {
                let reason = DownReason::OpenRefused(refusal);
                return (Event::BgpOpenMsgErr, Carried::Reason(reason));
            }
        };
        if self.judge(now, id, &negotiated) == Keep::Existing {
            let reason = DownReason::Collision;
            return (Event::OpenCollisionDump, Carried::Reason(reason));
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.negotiated = Some(Box::new(negotiated));
        }
        (Event::BgpOpen, Carried::Nothing)
    }

    /// Asks who stays, when another connection has had its OPEN, and ends that one if it loses.
    fn judge(&mut self, now: Instant, id: ConnectionId, theirs: &Negotiated) -> Keep {
        let Some(newcomer) = self.connection(id) else {
            return Keep::Existing;
        };
        let mut others = self.connections.iter();
        let Some(other) = others.find(|other| other.id != id && other.is_open()) else {
            return Keep::Newcomer;
        };
        let existing = Existing {
            state: other.state,
            peer_restarted: newcomer.challenger && restarts_gracefully(other),
        };
        let local = Identity {
            router_id: self.settings.router_id,
            asn: self.settings.local_as,
        };
        let remote = Identity {
            router_id: theirs.remote_id,
            asn: theirs.remote_as,
        };
        let keep = collision::winner(local, remote, existing, newcomer.direction);
        if keep == Keep::Newcomer {
            let loser = Machine::Connection(other.id);
            // RFC 4724 §4.2: a peer that restarted lost its connection; it ends like a failed
            // one, without a NOTIFICATION.
            let (event, reason) = match existing.peer_restarted {
                true => (Event::TcpConnectionFails, DownReason::PeerRestarted),
                false => (Event::OpenCollisionDump, DownReason::Collision),
            };
            self.drive(now, loser, event, Carried::Reason(reason));
        }
        keep
    }

    /// RFC 2918 §4 and RFC 7313 §4, §5: what was not negotiated is ignored.
    fn sort_refresh(&self, id: ConnectionId, refresh: RouteRefresh) -> SessionEvent {
        let ignored = SessionEvent::Note(Note::RefreshIgnored(refresh));
        let Some(negotiated) = self.connection(id).and_then(|up| up.negotiated.as_deref()) else {
            return ignored;
        };
        let family = refresh.family.family();
        if !family.is_some_and(|family| negotiated.families.contains(family)) {
            return ignored;
        }
        match refresh.subtype {
            RefreshSubtype::Request => SessionEvent::RefreshRequest(refresh),
            RefreshSubtype::Begin | RefreshSubtype::End if negotiated.enhanced_refresh => {
                SessionEvent::RefreshMarker(refresh)
            }
            RefreshSubtype::Begin | RefreshSubtype::End | RefreshSubtype::Unknown(_) => ignored,
        }
    }

    fn read_notification(&mut self, notification: Notification) -> (Event, Carried) {
        let version = NotificationError::OpenMessage(OpenError::UnsupportedVersionNumber);
        let event = match notification.error == version {
            true => Event::NotifMsgVerErr,
            false => Event::NotifMsg,
        };
        self.last_notification = Some(Box::new(notification.clone()));
        let reason = DownReason::NotificationReceived(notification);
        (event, Carried::Reason(reason))
    }

    fn context(&self, id: ConnectionId) -> Context {
        self.connection(id)
            .and_then(|connection| connection.negotiated.as_deref())
            .map_or(UNNEGOTIATED, Negotiated::receive_context)
    }
}

/// How to read what comes before negotiation: OPEN, KEEPALIVE and NOTIFICATION.
const UNNEGOTIATED: Context = Context {
    internal: false,
    four_octet_as: false,
    families: FamilySet::EMPTY,
    add_path: FamilySet::EMPTY,
    extended_next_hop: FamilySet::EMPTY,
    max_len: wire::MAX_LEN,
};

/// Whether it matters in `state` what such a message says. Where it does not, it is not decoded.
fn has_place(kind: MessageKind, state: State) -> bool {
    match kind {
        MessageKind::Open => state == State::OpenSent,
        MessageKind::Keepalive => state >= State::OpenConfirm,
        MessageKind::Update | MessageKind::RouteRefresh => state == State::Established,
        MessageKind::Notification => true,
    }
}

/// The event of a message where only its kind matters.
fn event_of(kind: MessageKind) -> Event {
    match kind {
        MessageKind::Open => Event::BgpOpen,
        MessageKind::Keepalive => Event::KeepAliveMsg,
        MessageKind::Update | MessageKind::RouteRefresh => Event::UpdateMsg,
        MessageKind::Notification => Event::NotifMsg,
    }
}

/// The event of a message that cannot be read.
fn unreadable(kind: MessageKind, error: DecodeError) -> (Event, Carried) {
    let event = match kind {
        MessageKind::Open => Event::BgpOpenMsgErr,
        MessageKind::Keepalive => Event::BgpHeaderErr,
        MessageKind::Update | MessageKind::RouteRefresh => Event::UpdateMsgErr,
        MessageKind::Notification => {
            // RFC 4271 §6.4: there is no answer to a NOTIFICATION.
            let reason = DownReason::NotificationUnreadable;
            return (Event::NotifMsg, Carried::Reason(reason));
        }
    };
    (event, Carried::Reason(DownReason::MessageError(error)))
}

/// RFC 4724 §4.2: whether the peer announced graceful restart for any family.
fn restarts_gracefully(connection: &Connection) -> bool {
    let negotiated = connection.negotiated.as_deref();
    let restart = negotiated.and_then(|negotiated| negotiated.graceful_restart.as_ref());
    restart.is_some_and(|restart| !restart.families.is_empty())
}
