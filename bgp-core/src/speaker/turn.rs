//! What a session says, and what the router does about it.

use super::graceful::{Kept, MAX_KEPT, Offered, Stage};
use super::peers::PeerEntry;
use super::{Event, Output, Speaker};
use crate::family::{FamilyMap, FamilySet};
use crate::rib::{PeerFacts, PeerSlot};
use crate::session::{DownReason, Negotiated, SessionEvent};
use crate::types::{ConnectionId, PeerId};
use crate::wire::{Cease, Notification, NotificationError, RefreshSubtype, RouteRefresh, Update};
use smallvec::SmallVec;
use std::mem;
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
            SessionEvent::RefreshMarker(marker) => self.repetition(id, marker),
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

    /// What a peer repeats replaces what it said before, route by route; what it leaves out is
    /// gone at the end (RFC 7313 §4).
    fn repetition(&mut self, id: PeerId, marker: RouteRefresh) {
        let slot = self.peers.get(id).and_then(|entry| entry.slot);
        let (Some(slot), Some(family)) = (slot, marker.family.family()) else {
            return;
        };
        match marker.subtype {
            RefreshSubtype::Begin => self.rib.begin_repeat(slot, family),
            RefreshSubtype::End => {
                self.rib.end_repeat(slot, family);
                self.work_left = true;
            }
            RefreshSubtype::Request | RefreshSubtype::Unknown(_) => {}
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
        let offered = Offered::in_session(negotiated);
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
        self.hearing
            .established(now, id, families, offered.awaits_nobody());
        let stopped: SmallVec<[FamilySet; 1]> = entry
            .kept
            .iter_mut()
            .map(|kept| kept.peer_is_back(now, &offered))
            .collect();
        entry.offered = offered;
        self.give_up_each(id, &stopped);
        self.slots.insert(slot, id);
        self.work_left = true;
        self.tell(event);
    }

    /// Drops what is kept of former sessions of `id` in `families`.
    pub(super) fn give_up(&mut self, id: PeerId, families: FamilySet) {
        let kept = self.peers.get(id).map_or(0, |entry| entry.kept.len());
        self.give_up_each(id, &SmallVec::<[FamilySet; 1]>::from_elem(families, kept));
    }

    /// Drops what is kept of former sessions of `id`, of each what `families` says at its place.
    fn give_up_each(&mut self, id: PeerId, families: &[FamilySet]) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        for (kept, families) in entry.kept.iter_mut().zip(families) {
            let gone = kept.give_up(*families);
            if !gone.is_empty() {
                self.rib.forget(kept.slot, gone);
                self.work_left = true;
            }
        }
        entry.kept.retain(|kept| !kept.families().is_empty());
    }

    /// Does what is due with what is kept of a peer.
    pub(super) fn age(&mut self, id: PeerId) {
        let now = self.now;
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        let mut aged = FamilySet::EMPTY;
        let mut gone: SmallVec<[FamilySet; 1]> = SmallVec::new();
        for kept in &mut entry.kept {
            let due = kept.due(now);
            gone.push(due.gone);
            if !due.aged.is_empty() {
                self.rib.begin_long_lived(kept.slot, due.aged);
                self.work_left = true;
                due.aged.iter().for_each(|family| aged.insert(family));
            }
        }
        let left = entry.kept.iter().filter_map(Kept::ends).max();
        self.give_up_each(id, &gone);
        if let Some(ends) = left.filter(|_| !aged.is_empty()) {
            let span = ends.since(now);
            self.tell_of(id, |peer| Event::LongLivedStale {
                peer,
                families: aged,
                span,
            });
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
        let helps = !self.peers.router().restart_time.is_zero();
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        entry.established_at = None;
        let peer = entry.name.clone();
        let offered = mem::take(&mut entry.offered);
        let stages = match helps {
            true => offered.stages(now, &reason, &entry.settings),
            false => FamilyMap::default(),
        };
        let void: SmallVec<[FamilySet; 1]> = entry
            .kept
            .iter_mut()
            .map(|kept| kept.peer_is_lost_again(&stages))
            .collect();
        let slot = entry.slot.take();
        self.give_up_each(id, &void);
        let keeps = slot.map_or(FamilySet::EMPTY, |slot| self.keep(id, slot, stages));
        if let Some(slot) = slot {
            self.slots.remove(&slot);
            self.rib.peer_down(slot, keeps);
            self.work_left = true;
        }
        self.hearing.down(now, id);
        self.tell(Event::Down {
            peer,
            reason,
            keeps,
        });
    }

    /// Keeps the routes of a session that has ended, as `stages` says; says of which families.
    fn keep(&mut self, id: PeerId, slot: PeerSlot, stages: FamilyMap<Option<Stage>>) -> FamilySet {
        let kept = Kept::new(slot, stages);
        let Some(entry) = self
            .peers
            .get_mut(id)
            .filter(|_| !kept.families().is_empty())
        else {
            return FamilySet::EMPTY;
        };
        entry.kept.push(kept);
        if entry.kept.len() > MAX_KEPT {
            // What was said again since is not there any more.
            let is_empty = |kept: &Kept| !self.rib.has_paths(kept.slot);
            let place = entry.kept.iter().position(is_empty).unwrap_or(0);
            let mut void = SmallVec::<[FamilySet; 1]>::from_elem(FamilySet::EMPTY, place);
            void.push(FamilySet::ALL);
            self.give_up_each(id, &void);
        }
        kept.families()
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
        long_lived: negotiated.long_lived.is_some(),
        settings: Arc::clone(&entry.settings),
    }
}
