//! The peers of the RIB: one slot for each established session.
//!
//! A slot lives from [`Rib::peer_up`](super::Rib::peer_up) until the last path of the session has
//! been removed, which takes some slices of work after
//! [`Rib::peer_down`](super::Rib::peer_down). A peer that returns meanwhile gets a new slot; what
//! it says again replaces, path by path, what is left in the old one.

use super::decision::Source;
use super::export::{ExportProfile, Plane};
use super::ids::{PathIndex, Serial};
use super::repeat::Repeat;
use super::{RibSettings, export};
use crate::config::PeerSettings;
use crate::family::{Family, FamilyMap, FamilySet};
use crate::types::{Asn, PeerId, PeerRole, RouterId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What the RIB has to know about a session that has been established.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerFacts {
    /// Which peer it is. A peer has at most one established session.
    pub peer: PeerId,
    /// Its address.
    pub address: IpAddr,
    /// Our address on this session.
    pub local_address: IpAddr,
    /// Its AS.
    pub remote_as: Asn,
    /// Its BGP Identifier.
    pub router_id: RouterId,
    /// What it is to us.
    pub role: PeerRole,
    /// The families negotiated.
    pub families: FamilySet,
    /// Whether it speaks four-octet AS numbers (RFC 6793).
    pub four_octet_as: bool,
    /// The longest message it takes: 4096, or 65,535 (RFC 8654).
    pub send_limit: usize,
    /// Families in which it takes several paths to a prefix (RFC 7911).
    pub add_path_send: FamilySet,
    /// Families whose routes may have a next hop of the other family (RFC 8950).
    pub extended_next_hop: FamilySet,
    /// Whether a repeated table is framed by markers (RFC 7313).
    pub enhanced_refresh: bool,
    /// Whether it announced long-lived graceful restart, as we did (RFC 9494).
    pub long_lived: bool,
    /// Policies, limits and the next-hop rule.
    pub settings: Arc<PeerSettings>,
}

/// The place of an established session in the RIB. Valid until
/// [`Rib::peer_down`](super::Rib::peer_down); reused some time later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerSlot(pub(super) u16);

impl PeerSlot {
    /// The slot of the routes that we originate ourselves.
    pub(super) const LOCAL: Self = Self(0);

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One slot that is in use.
pub(super) struct Peer {
    /// `None` only in [`PeerSlot::LOCAL`].
    pub(super) facts: Option<PeerFacts>,
    /// The session's number.
    pub(super) serial: Serial,
    /// Whether the session is still there.
    pub(super) up: bool,
    /// After the session: families whose paths stay until [`Rib::forget`](super::Rib::forget).
    pub(super) kept: FamilySet,
    /// After the session: of the kept families those whose paths are long-lived stale, or become so
    /// as the walk over the table comes by.
    pub(super) aged: FamilySet,
    /// After the session: families whose paths are being removed.
    pub(super) draining: FamilySet,
    /// Set when the last [`Rib::transmit`](super::Rib::transmit) left nothing behind (or none was
    /// ever needed), so that the next news has to wake the peer.
    pub(super) idle: bool,
    /// Which family is asked first by the next transmit, so that none starves another.
    pub(super) turn: bool,
    /// What is kept for each family.
    pub(super) tables: FamilyMap<PeerTable>,
}

/// What is kept for one peer and family.
#[derive(Clone, Copy, Default)]
pub(super) struct PeerTable {
    /// The beginning of the list of the peer's paths.
    pub(super) first: Option<PathIndex>,
    /// Where the peer's repetition of that list stands.
    pub(super) repeat: Repeat,
    /// Paths in that list.
    pub(super) received: u32,
    /// Of these, the ones that may not be used.
    pub(super) ineligible: u32,
    /// Of these, the ones that are best.
    pub(super) best: u32,
    /// Where the peer reads, by plane.
    pub(super) readers: [Option<ReaderKey>; Plane::MAX],
    /// Where it read, and how long the log was when it left.
    pub(super) left: [Option<(ReaderKey, u64)>; Plane::MAX],
}

/// Where a peer reads: a group of the family's table, and a reader in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ReaderKey {
    pub(super) group: usize,
    pub(super) reader: usize,
}

/// All slots.
pub(super) struct Peers {
    slots: Vec<Option<Peer>>,
    /// Who each slot's paths came from; readable for every slot that a path names.
    sources: Vec<Source>,
    free: Vec<PeerSlot>,
    /// The slot of each peer whose session is up. Only ever probed.
    up: HashMap<PeerId, PeerSlot, FixedState>,
    /// The last slot of each peer whose session is down while something of it is left.
    former: HashMap<PeerId, PeerSlot, FixedState>,
    next_serial: Serial,
    /// How many slots are in use whose session is gone.
    departed: usize,
}

/// At most this many sessions at a time, those that are still being cleared away included. A peer
/// beyond it is refused by [`Rib::peer_up`](super::Rib::peer_up).
pub const MAX_SESSIONS: usize = u16::MAX as usize;

impl Peers {
    /// No peer but ourselves.
    pub(super) fn new(settings: &RibSettings) -> Self {
        let local = Source {
            role: None,
            asn: settings.asn,
            router_id: settings.router_id,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let mut peers = Self {
            slots: Vec::new(),
            sources: Vec::new(),
            free: Vec::new(),
            up: HashMap::with_hasher(FixedState::with_seed(settings.hash_seed)),
            former: HashMap::with_hasher(FixedState::with_seed(settings.hash_seed)),
            next_serial: Serial::FIRST,
            departed: 0,
        };
        peers.place(None, local);
        peers
    }

    /// A slot for a session that has been established; `None` when all are taken.
    pub(super) fn insert(&mut self, facts: PeerFacts) -> Option<PeerSlot> {
        let source = Source {
            role: Some(facts.role),
            asn: facts.remote_as,
            router_id: facts.router_id,
            address: facts.address,
        };
        let peer = facts.peer;
        let slot = self.place(Some(facts), source)?;
        self.up.insert(peer, slot);
        Some(slot)
    }

    fn place(&mut self, facts: Option<PeerFacts>, source: Source) -> Option<PeerSlot> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() > MAX_SESSIONS => return None,
            None => {
                let slot = PeerSlot(u16::try_from(self.slots.len()).ok()?);
                self.slots.push(None);
                self.sources.push(source);
                slot
            }
        };
        let serial = self.next_serial;
        self.next_serial = serial.next();
        self.sources[slot.index()] = source;
        self.slots[slot.index()] = Some(Peer {
            facts,
            serial,
            up: true,
            kept: FamilySet::EMPTY,
            aged: FamilySet::EMPTY,
            draining: FamilySet::EMPTY,
            idle: true,
            turn: false,
            tables: FamilyMap::default(),
        });
        Some(slot)
    }

    /// The session is gone; its paths are not, yet.
    pub(super) fn set_down(&mut self, slot: PeerSlot) {
        let Some(peer) = self.get_mut(slot) else {
            return;
        };
        if !std::mem::replace(&mut peer.up, false) {
            return;
        }
        for (_, of_peer) in peer.tables.iter_mut() {
            of_peer.repeat = Repeat::Idle;
        }
        let id = peer.facts.as_ref().map(|facts| facts.peer);
        if let Some(id) = id.filter(|id| self.up.get(id) == Some(&slot)) {
            self.up.remove(&id);
            self.former.insert(id, slot);
        }
        self.departed += 1;
    }

    /// Gives the slot of a session without paths back.
    pub(super) fn free(&mut self, slot: PeerSlot) {
        let place = self.slots.get_mut(slot.index());
        let Some(peer) = place.and_then(|place| place.take_if(|peer| !peer.up)) else {
            return;
        };
        self.departed -= 1;
        self.free.push(slot);
        let id = peer.facts.map(|facts| facts.peer);
        if let Some(id) = id.filter(|id| self.former.get(id) == Some(&slot)) {
            self.former.remove(&id);
        }
    }

    /// How many slots are in use whose session is gone.
    pub(super) fn departed(&self) -> usize {
        self.departed
    }

    /// The last session of `peer`, when something of it is left.
    pub(super) fn former(&self, peer: PeerId) -> Option<&Peer> {
        self.get(*self.former.get(&peer)?)
    }

    /// The slot in which `peer` is up.
    pub(super) fn find(&self, peer: PeerId) -> Option<PeerSlot> {
        self.up.get(&peer).copied()
    }

    pub(super) fn get(&self, slot: PeerSlot) -> Option<&Peer> {
        self.slots.get(slot.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: PeerSlot) -> Option<&mut Peer> {
        self.slots.get_mut(slot.index())?.as_mut()
    }

    /// What is kept for a slot and family.
    pub(super) fn table_mut(&mut self, slot: PeerSlot, family: Family) -> Option<&mut PeerTable> {
        Some(&mut self.get_mut(slot)?.tables[family])
    }

    /// The peer of `slot`; `None` for ourselves.
    pub(super) fn id_of(&self, slot: PeerSlot) -> Option<PeerId> {
        Some(self.get(slot)?.facts.as_ref()?.peer)
    }

    /// Who the paths of `slot` came from.
    pub(super) fn source(&self, slot: PeerSlot) -> Source {
        self.sources[slot.index()]
    }

    /// Whether two slots are sessions of one peer: then a path of the newer one replaces a path
    /// of the older one.
    pub(super) fn same_peer(&self, a: PeerSlot, b: PeerSlot) -> bool {
        let id = |slot| self.id_of(slot);
        // Two slots of one peer: then the older one is being cleared away.
        a == b || (self.departed > 0 && id(a).is_some() && id(a) == id(b))
    }

    /// Every slot in use with its peer, in the order of slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerSlot, &Peer)> {
        self.slots.iter().enumerate().filter_map(|(index, peer)| {
            let slot = PeerSlot(u16::try_from(index).ok()?);
            Some((slot, peer.as_ref()?))
        })
    }
}

impl PeerFacts {
    /// What the session hears of `family`.
    pub(super) fn planes(&self, family: Family) -> &'static [Plane] {
        match self.add_path_send.contains(family) {
            true => &[Plane::Best, Plane::Rival],
            false => &[Plane::Single],
        }
    }

    /// The update groups to which the session belongs for `family`, by plane: all that may
    /// influence the words that it hears.
    pub(super) fn profiles(
        &self,
        family: Family,
        settings: &RibSettings,
    ) -> impl Iterator<Item = ExportProfile> {
        let profile = self.profile(family, settings);
        self.planes(family).iter().map(move |plane| ExportProfile {
            plane: *plane,
            ..profile.clone()
        })
    }

    fn profile(&self, family: Family, settings: &RibSettings) -> ExportProfile {
        let own_next_hop = !self.role.is_internal() || self.settings.next_hop_self;
        ExportProfile {
            family,
            plane: Plane::Single,
            role: self.role,
            four_octet_as: self.four_octet_as,
            send_limit: self.send_limit,
            extended_next_hop: self.extended_next_hop.contains(family),
            asn: settings.asn,
            cluster_id: settings.cluster_id,
            client_to_client: settings.client_to_client,
            long_lived: self.long_lived,
            next_hop: if own_next_hop {
                export::NextHopRule::Ourselves(self.local_address)
            } else {
                export::NextHopRule::Keep
            },
            policy: self.settings.export.clone(),
        }
    }
}
