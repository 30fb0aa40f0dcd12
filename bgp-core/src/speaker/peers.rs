//! Who we talk to: peers by handle, address and connection, and when each wants to be woken.
//!
//! Handles are dense and reused; connections are numbered without end (see
//! [`ConnectionId`]). All maps are ordered, so that walking them is the same in every run.

use crate::config::{Config, DynamicGroup, Peer, PeerSettings, Router};
use crate::family::FamilySet;
use crate::rib::PeerSlot;
use crate::rng::Rng;
use crate::session::{Session, SessionSettings};
use crate::time::Instant;
use crate::types::{ConnectionId, PeerId};
use crate::wire::Handling;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Wait;
use super::graceful::{AllKept, Kept, Offered};
use super::output::{PeerName, Refused};

/// One peer: what was configured, and its session.
pub(super) struct PeerEntry {
    pub(super) name: PeerName,
    pub(super) port: u16,
    pub(super) local_address: Option<IpAddr>,
    pub(super) settings: Arc<PeerSettings>,
    /// Whether a session may come up.
    pub(super) admin: AdminState,
    /// The index of the dynamic group that made this peer.
    pub(super) dynamic: Option<usize>,
    pub(super) session: Session,
    /// Its place in the RIB while the session is established.
    pub(super) slot: Option<PeerSlot>,
    /// Since when the session has been established.
    pub(super) established_at: Option<Instant>,
    /// How many sessions have been established so far.
    pub(super) sessions: u64,
    /// Kinds of attribute fault already told in this session.
    pub(super) faults_told: BTreeSet<(u8, Handling)>,
    /// What the peer offered for the time when it is away, in the OPEN of this session.
    pub(super) offered: Offered,
    /// Routes of former sessions, while it is expected back.
    pub(super) kept: AllKept,
    /// How many transport connections belong to this peer: at most two and a lingering one.
    connections: usize,
    wakes_at: Option<Instant>,
}

/// Whether an operator lets a session come up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AdminState {
    Enabled,
    Disabled,
}

/// One transport connection.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) peer: PeerId,
    /// Our end, once known.
    pub(super) local: Option<IpAddr>,
}

/// All peers.
pub(super) struct PeerTable {
    entries: Vec<Option<PeerEntry>>,
    free: Vec<u32>,
    by_address: BTreeMap<IpAddr, PeerId>,
    by_connection: BTreeMap<ConnectionId, Link>,
    wakes: BTreeSet<(Instant, PeerId)>,
    dynamic: Vec<DynamicGroup>,
    dynamic_sizes: Vec<usize>,
    router: Router,
    next_connection: u64,
    rng: Rng,
}

impl PeerTable {
    pub(super) fn new(config: Config, seed: u64) -> Self {
        let mut table = Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_address: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            wakes: BTreeSet::new(),
            dynamic_sizes: vec![0; config.dynamic.len()],
            dynamic: config.dynamic,
            router: config.router,
            next_connection: 1,
            rng: Rng::new(seed),
        };
        for peer in config.peers {
            table.insert(peer, None);
        }
        table
    }

    pub(super) fn router(&self) -> &Router {
        &self.router
    }

    /// From now on OPENs no longer say that we have restarted.
    pub(super) fn restart_is_over(&mut self) {
        self.router.restarting = false;
        for entry in self.entries.iter_mut().flatten() {
            entry.session.set_restarting(false);
        }
    }

    /// From now on OPENs say that forwarding survives a restart in these families.
    pub(super) fn set_forwarding(&mut self, families: FamilySet) {
        self.router.forwarding = families;
        for entry in self.entries.iter_mut().flatten() {
            entry.session.set_forwarding(families);
        }
    }

    pub(super) fn insert(&mut self, peer: Peer, dynamic: Option<usize>) -> PeerId {
        let id = PeerId(self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        }));
        let mut settings = SessionSettings::new(&self.router, &peer.settings);
        settings.passive |= dynamic.is_some();
        let admin = if peer.settings.shutdown {
            AdminState::Disabled
        } else {
            AdminState::Enabled
        };
        let entry = PeerEntry {
            name: PeerName {
                id,
                name: peer.name.into(),
                address: peer.address,
            },
            port: peer.port,
            local_address: peer.local_address,
            settings: peer.settings,
            admin,
            dynamic,
            session: Session::new(settings, self.rng.fork()),
            slot: None,
            established_at: None,
            sessions: 0,
            faults_told: BTreeSet::new(),
            offered: Offered::default(),
            kept: AllKept::new(),
            connections: 0,
            wakes_at: None,
        };
        self.by_address.insert(peer.address, id);
        if let Some(group) = dynamic {
            self.dynamic_sizes[group] += 1;
        }
        self.entries[id.0 as usize] = Some(entry);
        id
    }

    /// All that was configured, but for the peer `without`.
    pub(super) fn configuration(&self, without: Option<PeerId>) -> Config {
        let configured = self.iter().filter(|entry| entry.dynamic.is_none());
        let others = configured.filter(|entry| Some(entry.name.id) != without);
        Config {
            router: self.router.clone(),
            peers: others.map(PeerEntry::configuration).collect(),
            dynamic: self.dynamic.clone(),
        }
    }

    /// Gives a peer without connections another configuration; its address stays.
    pub(super) fn reconfigure(&mut self, id: PeerId, peer: Peer) {
        let settings = SessionSettings::new(&self.router, &peer.settings);
        let Some(entry) = self.get_mut(id) else {
            return;
        };
        entry.port = peer.port;
        entry.local_address = peer.local_address;
        entry.settings = peer.settings;
        entry.session.reconfigure(settings);
    }

    /// Forgets a peer whose session is stopped and of which nothing is kept.
    pub(super) fn remove(&mut self, id: PeerId) {
        let Some(entry) = self.entries.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        if let Some(at) = entry.wakes_at {
            self.wakes.remove(&(at, id));
        }
        self.by_address.remove(&entry.name.address);
        if let Some(size) = entry
            .dynamic
            .and_then(|group| self.dynamic_sizes.get_mut(group))
        {
            *size -= 1;
        }
        self.free.push(id.0);
    }

    /// Forgets a dynamic peer that has no connection left.
    pub(super) fn remove_if_departed(&mut self, id: PeerId) {
        let departed = self.get(id).is_some_and(|entry| {
            let rests = entry.slot.is_none() && entry.kept.is_empty();
            entry.dynamic.is_some() && entry.connections == 0 && rests
        });
        if departed {
            self.remove(id);
        }
    }

    /// The peer that a connection from `remote` belongs to; a dynamic one is made for it.
    pub(super) fn accept_from(&mut self, remote: SocketAddr) -> Result<PeerId, Refused> {
        let address = remote.ip();
        if let Some(&id) = self.by_address.get(&address) {
            let enabled = self.get(id).is_some_and(|e| e.admin == AdminState::Enabled);
            return if enabled {
                Ok(id)
            } else {
                Err(Refused::Shutdown)
            };
        }
        let covers = |group: &DynamicGroup| group.accept.iter().any(|net| net.contains(&address));
        let group = self
            .dynamic
            .iter()
            .position(covers)
            .ok_or(Refused::UnknownPeer)?;
        let (name, limit, settings) = {
            let group = &self.dynamic[group];
            (
                format!("{}:{address}", group.name),
                group.limit,
                Arc::clone(&group.settings),
            )
        };
        if settings.shutdown {
            return Err(Refused::Shutdown);
        }
        if self.dynamic_sizes[group] >= limit {
            return Err(Refused::GroupFull { limit });
        }
        let peer = Peer {
            name,
            address,
            port: remote.port(),
            local_address: None,
            settings,
        };
        Ok(self.insert(peer, Some(group)))
    }

    /// Gives a new connection its number.
    pub(super) fn link(&mut self, peer: PeerId, local: Option<IpAddr>) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.by_connection.insert(connection, Link { peer, local });
        if let Some(entry) = self.get_mut(peer) {
            entry.connections += 1;
        }
        connection
    }

    /// Forgets a connection.
    pub(super) fn unlink(&mut self, connection: ConnectionId) {
        if let Some(link) = self.by_connection.remove(&connection)
            && let Some(entry) = self.get_mut(link.peer)
        {
            entry.connections -= 1;
        }
    }

    pub(super) fn link_of(&self, connection: ConnectionId) -> Option<Link> {
        self.by_connection.get(&connection).copied()
    }

    pub(super) fn set_local(&mut self, connection: ConnectionId, local: IpAddr) {
        if let Some(link) = self.by_connection.get_mut(&connection) {
            link.local = Some(local);
        }
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&PeerEntry> {
        self.entries.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut PeerEntry> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    pub(super) fn at_address(&self, address: IpAddr) -> Option<PeerId> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PeerEntry> {
        self.entries.iter().flatten()
    }

    pub(super) fn ids(&self) -> Vec<PeerId> {
        self.iter().map(|entry| entry.name.id).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<&PeerEntry> {
        let address: Option<IpAddr> = name.parse().ok();
        self.iter()
            .find(|entry| &*entry.name.name == name || Some(entry.name.address) == address)
    }

    /// Writes down anew when `id` wants to be woken.
    pub(super) fn rearm(&mut self, id: PeerId) {
        let Some(entry) = self.entries.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let wanted = entry.wants_waking().map(|(at, _)| at);
        if wanted == entry.wakes_at {
            return;
        }
        if let Some(at) = entry.wakes_at {
            self.wakes.remove(&(at, id));
        }
        if let Some(at) = wanted {
            self.wakes.insert((at, id));
        }
        entry.wakes_at = wanted;
    }

    /// The first peer to wake, when, and for what.
    pub(super) fn next_wake(&self) -> Option<(Instant, PeerId, Wait)> {
        let (at, id) = *self.wakes.first()?;
        let (_, wait) = self.get(id)?.wants_waking()?;
        Some((at, id, wait))
    }
}

impl PeerEntry {
    /// What was configured.
    pub(super) fn configuration(&self) -> Peer {
        Peer {
            name: self.name.name.to_string(),
            address: self.name.address,
            port: self.port,
            local_address: self.local_address,
            settings: Arc::clone(&self.settings),
        }
    }

    /// When this peer wants to be woken, and what for.
    fn wants_waking(&self) -> Option<(Instant, Wait)> {
        let id = self.name.id;
        let session = self.session.poll_timeout();
        let session = session.map(|(at, timer)| (at, Wait::Session(id, timer)));
        let kept = self.kept.iter().filter_map(Kept::next).min();
        let kept = kept.map(|at| (at, Wait::Kept(id)));
        session.into_iter().chain(kept).min_by_key(|(at, _)| *at)
    }
}
