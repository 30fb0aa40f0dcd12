//! What a session says, and what the router does about it.

use super::graceful::{self, Kept, STALE_TIME};
use super::peers::PeerEntry;
use super::{Event, Output, Speaker};
use crate::family::{Family, FamilySet};
use crate::rib::PeerFacts;
use crate::session::{DownReason, Negotiated, SessionEvent};
use crate::time::Duration;
use crate::types::{ConnectionId, PeerId};
use crate::wire::{Cease, Notification, NotificationError, RouteRefresh, Update};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

impl Speaker {
    pub(super) fn take(&mut self, id: PeerId, event: SessionEvent) {
        match event {
            SessionEvent::Connect => self.connect(id),
            SessionEvent::Close(connection) => self.close(id, connection),
            SessionEvent::Established(connection) => self.established(id, connection),
            SessionEvent::Update(update) => self.update(id, &update),
            SessionEvent::RefreshRequest(refresh) => self.refresh(id, refresh),
            // What a peer repeats replaces what it said before, route by route.
            SessionEvent::RefreshMarker(_) => {}
            SessionEvent::Down(reason) => self.down(id, reason),
            SessionEvent::StateChanged { from, to } => {
                self.tell_of(id, |peer| Event::StateChanged { peer, from, to });
            }
            SessionEvent::Note(note) => self.tell_of(id, |peer| Event::Note { peer, note }),
        }
    }

    fn refresh(&mut self, id: PeerId, refresh: RouteRefresh) {
        let slot = self.peers.get(id).and_then(|entry| entry.slot);
        if let (Some(slot), Some(family)) = (slot, refresh.family.family()) {
            self.rib.refresh(slot, family);
        }
    }

    fn connect(&mut self, id: PeerId) {
        let Some(entry) = self.peers.get(id) else {
            return;
        };
        let remote = SocketAddr::new(entry.name.address, entry.port);
        let local = entry.local_address;
        let connection = self.peers.link(id, local);
        if let Some(entry) = self.peers.get_mut(id) {
            entry.session.dialing(connection);
        }
        self.outputs.push_back(Output::Connect {
            connection,
            remote,
            local,
        });
    }

    fn close(&mut self, id: PeerId, connection: ConnectionId) {
        let mut last = Vec::new();
        if let Some(entry) = self.peers.get_mut(id) {
            while let Some(message) = entry.session.poll_control(connection) {
                last.push(message);
            }
        }
        self.peers.unlink(connection);
        self.outputs.push_back(Output::Close { connection, last });
    }

    fn established(&mut self, id: PeerId, connection: ConnectionId) {
        let local = self.peers.link_of(connection).and_then(|link| link.local);
        let now = self.now;
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        let Some((_, negotiated)) = entry.session.established() else {
            return;
        };
        // A family that the session does not carry has no routes and gets no End-of-RIB.
        let mut graceful = negotiated.graceful_restart.clone();
        if let Some(theirs) = &mut graceful {
            let carried = negotiated.families;
            theirs
                .families
                .retain(|entry| entry.family.family().is_some_and(|f| carried.contains(f)));
        }
        let facts = facts(entry, negotiated, local);
        let event = Event::Established {
            peer: entry.name.clone(),
            remote_as: facts.remote_as,
            router_id: facts.router_id,
            families: facts.families,
        };
        let families = facts.families;
        let Some(slot) = self.rib.peer_up(facts) else {
            let error = NotificationError::Cease(Cease::OutOfResources);
            entry.session.reset(now, Notification::bare(error));
            return;
        };
        entry.slot = Some(slot);
        entry.established_at = Some(now);
        entry.sessions += 1;
        entry.faults_told.clear();
        // Who restarts itself would wait for us as we for it (RFC 4724 §4.1).
        let awaited = graceful.as_ref().is_some_and(|theirs| !theirs.restarting);
        self.hearing.established(now, id, families, awaited);
        if let Some(kept) = &mut entry.kept {
            let forwarding = graceful::still_forwarding(graceful.as_ref());
            kept.until = now + STALE_TIME;
            let stopped = Family::ALL
                .into_iter()
                .filter(|family| !forwarding.contains(*family));
            self.give_up(id, stopped.collect());
        }
        if let Some(entry) = self.peers.get_mut(id) {
            entry.graceful = graceful;
        }
        self.slots.insert(slot, id);
        self.work_left = true;
        self.tell(event);
    }

    /// Drops what is kept of the last session of `id` in `families`.
    pub(super) fn give_up(&mut self, id: PeerId, families: FamilySet) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        let Some(kept) = &mut entry.kept else { return };
        let (slot, gone) = (kept.slot, kept.give_up(families));
        if kept.families.is_empty() {
            entry.kept = None;
        }
        if !gone.is_empty() {
            self.rib.forget(slot, gone);
            self.work_left = true;
        }
    }

    /// Drops what is kept of a peer whose time is over.
    pub(super) fn drop_overdue(&mut self, id: PeerId) {
        let kept = self.peers.get(id).and_then(|entry| entry.kept);
        if kept.is_some_and(|kept| kept.until <= self.now) {
            self.give_up(id, FamilySet::ALL);
        }
    }

    fn update(&mut self, id: PeerId, update: &Update) {
        let now = self.now;
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        let Some(slot) = entry.slot else { return };
        let summary = self.rib.update(slot, update);
        self.hearing.update(now, id);
        let mut repeated = FamilySet::EMPTY;
        let peer = &entry.name;
        for fault in &update.faults {
            if entry.faults_told.insert((fault.code, fault.handling)) {
                let (peer, fault) = (peer.clone(), fault.clone());
                self.outputs
                    .push_back(Output::Event(Event::AttributeFault { peer, fault }));
            }
        }
        if let Some(family) = update.end_of_rib {
            self.hearing.end_of_rib(now, id, family);
            repeated = FamilySet::from_iter([family]);
            self.outputs.push_back(Output::Event(Event::EndOfRib {
                peer: peer.clone(),
                family,
            }));
        }
        if summary.over_limit {
            let limit = entry.settings.max_prefixes.unwrap_or(u32::MAX);
            let peer = peer.clone();
            let error = NotificationError::Cease(Cease::MaximumPrefixes);
            entry.session.reset(now, Notification::bare(error));
            self.tell(Event::TooManyPrefixes { peer, limit });
        }
        self.give_up(id, repeated);
    }

    fn down(&mut self, id: PeerId, reason: DownReason) {
        let now = self.now;
        // A route that was stale already does not stay for another restart (RFC 4724 §4.2).
        self.give_up(id, FamilySet::ALL);
        let helps = !self.peers.router().restart_time.is_zero();
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        entry.established_at = None;
        let peer = entry.name.clone();
        let graceful = entry.graceful.take();
        let both_say_n = graceful.as_ref().is_some_and(|theirs| theirs.notification);
        let mut keep = FamilySet::EMPTY;
        let when_silent = entry.settings.keep_when_silent;
        if helps && reason.keeps_routes(both_say_n, when_silent) {
            keep = graceful::families_to_keep(graceful.as_ref());
        }
        if let Some(slot) = entry.slot.take() {
            let wait = graceful.map_or(0, |theirs| u64::from(theirs.restart_time));
            let until = now + Duration::from_secs(wait);
            entry.kept = (!keep.is_empty()).then_some(Kept {
                slot,
                families: keep,
                until,
            });
            self.slots.remove(&slot);
            self.rib.peer_down(slot, keep);
            self.work_left = true;
        }
        self.hearing.down(now, id);
        self.tell(Event::Down {
            peer,
            reason,
            keeps: keep,
        });
    }
}

/// What the RIB has to know about a session that has come up.
fn facts(entry: &PeerEntry, negotiated: &Negotiated, local: Option<IpAddr>) -> PeerFacts {
    PeerFacts {
        peer: entry.name.id,
        address: entry.name.address,
        local_address: local.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        remote_as: negotiated.remote_as,
        router_id: negotiated.remote_id,
        role: entry.settings.role,
        families: negotiated.families,
        four_octet_as: negotiated.four_octet_as,
        send_limit: negotiated.send_limit,
        add_path_send: negotiated.add_path_send,
        extended_next_hop: negotiated.extended_next_hop,
        enhanced_refresh: negotiated.enhanced_refresh,
        settings: Arc::clone(&entry.settings),
    }
}
