//! A RIB with clients around it that decode what they are sent.

use bgp_core::config::PeerSettings;
use bgp_core::family::{Family, FamilyMap, FamilySet};
use bgp_core::policy::Policy;
use bgp_core::prefix::{IpNet, Nlri, family_of};
use bgp_core::rib::{
    AnnouncedView, PathView, PeerFacts, PeerSlot, Rib, RibSettings, UpdateSummary,
};
use bgp_core::types::{Asn, ClusterId, PeerId, PeerRole, RouterId};
use bgp_core::wire::{
    self, AsPath, Context, Message, NextHop, PathAttributes, Reach, RefreshSubtype, Unreach, Update,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub(crate) const OUR_AS: Asn = Asn(64_512);
pub(crate) const OUR_ID: RouterId = RouterId(Ipv4Addr::new(10, 255, 0, 1));
pub(crate) const OUR_CLUSTER: ClusterId = ClusterId(Ipv4Addr::new(10, 255, 0, 2));
pub(crate) const OUR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const V4: Family = Family::Ipv4Unicast;
pub(crate) const V6: Family = Family::Ipv6Unicast;

pub(crate) fn settings() -> RibSettings {
    RibSettings {
        asn: OUR_AS,
        router_id: OUR_ID,
        cluster_id: OUR_CLUSTER,
        client_to_client: true,
        install: false,
        multipath: 1,
        track_next_hops: false,
        hash_seed: 1,
    }
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// One of many prefixes of a family.
pub(crate) fn nth_net(family: Family, n: u32) -> IpNet {
    match family {
        Family::Ipv4Unicast => IpNet::new(Ipv4Addr::from(0x0a00_0000 + (n << 6)).into(), 26),
        Family::Ipv6Unicast => {
            let bits = (0xfd00u128 << 112) | (u128::from(n) << 64);
            IpNet::new(Ipv6Addr::from(bits).into(), 64)
        }
    }
    .unwrap()
}

/// Peer `n`: its router id is its address.
pub(crate) fn router_id(n: u32) -> RouterId {
    RouterId(Ipv4Addr::from(0x0a01_0000 + n))
}

/// What peer `n` announces as next hop.
pub(crate) fn next_hop(family: Family, n: u32) -> NextHop {
    match family {
        Family::Ipv4Unicast => NextHop::V4(router_id(n).0),
        Family::Ipv6Unicast => NextHop::V6 {
            global: Ipv6Addr::from((0xfd01u128 << 112) | u128::from(n)),
            link_local: None,
        },
    }
}

/// The facts of peer `n`: four-octet AS numbers, short messages, every policy accepts.
pub(crate) fn facts(n: u32, role: PeerRole) -> PeerFacts {
    let asn = match role {
        PeerRole::Client | PeerRole::NonClient => OUR_AS,
        PeerRole::External => Asn(65_000 + n),
    };
    let policy = (role == PeerRole::External).then(|| Arc::new(Policy::accept_all()));
    PeerFacts {
        peer: PeerId(n),
        address: IpAddr::V4(router_id(n).0),
        local_address: IpAddr::V4(OUR_ADDRESS),
        remote_as: asn,
        router_id: router_id(n),
        role,
        families: Family::ALL.into_iter().collect(),
        four_octet_as: true,
        send_limit: wire::MAX_LEN,
        add_path_send: FamilySet::EMPTY,
        extended_next_hop: FamilySet::EMPTY,
        long_lived: true,
        enhanced_refresh: false,
        settings: Arc::new(PeerSettings {
            import: policy.clone(),
            export: policy,
            ..PeerSettings::new(asn, role)
        }),
    }
}

/// Facts whose settings are changed a little.
pub(crate) fn with_settings(
    mut facts: PeerFacts,
    change: impl FnOnce(&mut PeerSettings),
) -> PeerFacts {
    change(Arc::make_mut(&mut facts.settings));
    facts
}

pub(crate) fn path(numbers: &[u32]) -> AsPath {
    AsPath::sequence(numbers.iter().copied().map(Asn))
}

/// What a peer believes about a prefix.
pub(crate) type Believed = (PathAttributes, NextHop);

/// What a client heard, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Announce(IpNet),
    Withdraw(IpNet),
    EndOfRib(Family),
    Refresh(Family, RefreshSubtype),
}

/// A prefix with a path identifier: 0, or 2 for the second of two paths. That the first has
/// another one where there are two is not of interest here.
pub(crate) type Told = (IpNet, u32);

/// A peer that keeps what it is told.
pub(crate) struct Client {
    pub slot: PeerSlot,
    pub facts: PeerFacts,
    pub routes: BTreeMap<IpNet, Believed>,
    /// What it is told beside, as path 2.
    pub rivals: BTreeMap<IpNet, Believed>,
    pub heard: Vec<Heard>,
    pub end_of_rib: FamilyMap<u32>,
    /// Between Begin and End of an enhanced refresh: what has not been repeated yet.
    stale: FamilyMap<Option<BTreeSet<Told>>>,
    pub messages: usize,
    pub octets: usize,
}

impl Client {
    pub(crate) fn new(rib: &mut Rib, facts: PeerFacts) -> Self {
        let slot = rib.peer_up(facts.clone()).expect("a free slot");
        Self {
            slot,
            facts,
            routes: BTreeMap::new(),
            rivals: BTreeMap::new(),
            heard: Vec::new(),
            end_of_rib: FamilyMap::default(),
            stale: FamilyMap::default(),
            messages: 0,
            octets: 0,
        }
    }

    /// Takes what the RIB has for it, at most about `budget` octets. Says whether there is more.
    pub(crate) fn read(&mut self, rib: &mut Rib, budget: usize) -> bool {
        let mut out = Vec::new();
        let more = rib.transmit(self.slot, budget, &mut out);
        out.iter().for_each(|bytes| self.take(bytes));
        more
    }

    pub(crate) fn read_all(&mut self, rib: &mut Rib) {
        while self.read(rib, 10_000) {}
    }

    /// One message that the RIB sent it.
    pub(crate) fn take(&mut self, bytes: &Bytes) {
        self.messages += 1;
        self.octets += bytes.len();
        assert!(
            bytes.len() <= self.facts.send_limit,
            "a message of {} octets",
            bytes.len()
        );
        let context = Context {
            internal: self.facts.role.is_internal(),
            four_octet_as: self.facts.four_octet_as,
            families: self.facts.families,
            add_path: self.facts.add_path_send,
            extended_next_hop: self.facts.extended_next_hop,
            max_len: self.facts.send_limit,
        };
        let frame = wire::frame(bytes, context.max_len)
            .unwrap()
            .expect("a whole message");
        assert_eq!(frame.len, bytes.len());
        match wire::decode(&frame, &context).unwrap() {
            Message::Update(update) => self.update(&update),
            Message::RouteRefresh(refresh) => {
                self.refresh(refresh.family.family().unwrap(), refresh.subtype);
            }
            other @ (Message::Open(_) | Message::Notification(_) | Message::Keepalive) => {
                panic!("the RIB sent {other:?}")
            }
        }
    }

    fn update(&mut self, update: &Update) {
        assert!(update.faults.is_empty(), "{:?}", update.faults);
        for nlri in update.unreach.iter().flat_map(|unreach| &unreach.nlri) {
            self.heard.push(Heard::Withdraw(nlri.prefix));
            self.plane(nlri).remove(&nlri.prefix);
            self.renewed(nlri);
        }
        for reach in &update.reach {
            for nlri in &reach.nlri {
                self.heard.push(Heard::Announce(nlri.prefix));
                let believed = (update.attributes.clone(), reach.next_hop);
                self.plane(nlri).insert(nlri.prefix, believed);
                self.renewed(nlri);
            }
        }
        if let Some(family) = update.end_of_rib {
            self.heard.push(Heard::EndOfRib(family));
            self.end_of_rib[family] += 1;
        }
    }

    /// Where a path belongs. It has an identifier exactly where that was negotiated.
    fn plane(&mut self, nlri: &Nlri) -> &mut BTreeMap<IpNet, Believed> {
        let several = self.facts.add_path_send.contains(family_of(&nlri.prefix));
        match nlri.path_id {
            0 if !several => &mut self.routes,
            1 if several => &mut self.routes,
            2 if several => &mut self.rivals,
            other => panic!("path identifier {other}"),
        }
    }

    fn renewed(&mut self, nlri: &Nlri) {
        if let Some(stale) = &mut self.stale[family_of(&nlri.prefix)] {
            stale.remove(&(nlri.prefix, nlri.path_id & 2));
        }
    }

    fn refresh(&mut self, family: Family, subtype: RefreshSubtype) {
        assert!(
            self.facts.enhanced_refresh,
            "a marker that was not negotiated"
        );
        self.heard.push(Heard::Refresh(family, subtype));
        match subtype {
            RefreshSubtype::Begin => {
                let best = self.routes.keys().map(|prefix| (*prefix, 0));
                let known = best.chain(self.rivals.keys().map(|prefix| (*prefix, 2)));
                let known = known.filter(|(prefix, _)| family_of(prefix) == family);
                self.stale[family] = Some(known.collect());
            }
            RefreshSubtype::End => {
                let stale = self.stale[family].take().expect("a Begin before the End");
                for (prefix, path_id) in stale {
                    let plane = match path_id {
                        0 => &mut self.routes,
                        _ => &mut self.rivals,
                    };
                    plane.remove(&prefix);
                }
            }
            RefreshSubtype::Request | RefreshSubtype::Unknown(_) => panic!("sent {subtype:?}"),
        }
    }

    /// What the RIB's slow path says that this client should believe: routes and rivals.
    pub(crate) fn should_believe(&self, rib: &Rib) -> [BTreeMap<IpNet, Believed>; 2] {
        let views = Family::ALL
            .into_iter()
            .flat_map(|family| adj_rib_out(rib, self.slot, family));
        let (rivals, routes): (Vec<_>, Vec<_>) = views.partition(|view| view.path_id == 2);
        [routes, rivals].map(|views| {
            let views = views.into_iter();
            let believed = |view: AnnouncedView| (view.prefix, (view.attributes, view.next_hop));
            views.map(believed).collect()
        })
    }

    pub(crate) fn announced(&self) -> Vec<IpNet> {
        self.routes.keys().copied().collect()
    }
}

/// All pages.
pub(crate) fn adj_rib_out(rib: &Rib, slot: PeerSlot, family: Family) -> Vec<AnnouncedView> {
    let (mut views, mut from) = (Vec::new(), None);
    loop {
        let page = rib.adj_rib_out(slot, family, from, 7);
        views.extend(page.items);
        from = page.next;
        if from.is_none() {
            return views;
        }
    }
}

/// All pages.
pub(crate) fn adj_rib_in(rib: &Rib, slot: PeerSlot, family: Family) -> Vec<PathView> {
    let (mut views, mut from) = (Vec::new(), None);
    loop {
        let page = rib.adj_rib_in(slot, family, from, 7);
        views.extend(page.items);
        from = page.next;
        if from.is_none() {
            return views;
        }
    }
}

/// An UPDATE that announces.
pub(crate) fn announce(
    attributes: &PathAttributes,
    next_hop: NextHop,
    prefixes: &[IpNet],
) -> Update {
    let mut update = Update {
        attributes: attributes.clone(),
        ..Update::default()
    };
    for family in Family::ALL {
        let nlri = of_family(family, prefixes);
        if !nlri.is_empty() {
            update.reach.push(Reach {
                family,
                next_hop,
                nlri,
            });
        }
    }
    update
}

/// An UPDATE that withdraws.
pub(crate) fn withdraw(prefixes: &[IpNet]) -> Update {
    let mut update = Update::default();
    for family in Family::ALL {
        let nlri = of_family(family, prefixes);
        if !nlri.is_empty() {
            update.unreach.push(Unreach { family, nlri });
        }
    }
    update
}

fn of_family(family: Family, prefixes: &[IpNet]) -> Vec<Nlri> {
    let prefixes = prefixes.iter().filter(|prefix| family_of(prefix) == family);
    prefixes.copied().map(Nlri::plain).collect()
}

/// A RIB and its clients, by peer number.
pub(crate) struct Lab {
    pub rib: Rib,
    pub clients: BTreeMap<u32, Client>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: RibSettings) -> Self {
        Self {
            rib: Rib::new(settings),
            clients: BTreeMap::new(),
        }
    }

    /// Brings peers up.
    pub(crate) fn up(&mut self, facts: PeerFacts) -> &mut Client {
        let n = facts.peer.0;
        let client = Client::new(&mut self.rib, facts);
        self.clients.insert(n, client);
        self.client(n)
    }

    pub(crate) fn down(&mut self, n: u32) {
        if let Some(client) = self.clients.remove(&n) {
            self.rib.peer_down(client.slot, FamilySet::EMPTY);
        }
    }

    /// Peer `n` goes away to come back: its routes are kept. Says where.
    pub(crate) fn restart(&mut self, n: u32) -> Option<PeerSlot> {
        let client = self.clients.remove(&n)?;
        let all = Family::ALL.into_iter().collect();
        self.rib.peer_down(client.slot, all);
        Some(client.slot)
    }

    /// What was kept is wanted no more.
    pub(crate) fn forget(&mut self, slot: PeerSlot) {
        self.rib.forget(slot, Family::ALL.into_iter().collect());
    }

    pub(crate) fn client(&mut self, n: u32) -> &mut Client {
        self.clients.get_mut(&n).expect("a client that is up")
    }

    /// Peer `n` announces prefixes with its own next hop.
    pub(crate) fn say(
        &mut self,
        n: u32,
        attributes: &PathAttributes,
        prefixes: &[IpNet],
    ) -> UpdateSummary {
        let mut summary = UpdateSummary::default();
        for family in Family::ALL {
            let of_family: Vec<IpNet> = prefixes
                .iter()
                .copied()
                .filter(|prefix| family_of(prefix) == family)
                .collect();
            if !of_family.is_empty() {
                let update = announce(attributes, next_hop(family, n), &of_family);
                summary = self.update(n, &update);
            }
        }
        summary
    }

    pub(crate) fn unsay(&mut self, n: u32, prefixes: &[IpNet]) -> UpdateSummary {
        self.update(n, &withdraw(prefixes))
    }

    pub(crate) fn update(&mut self, n: u32, update: &Update) -> UpdateSummary {
        let slot = self.client(n).slot;
        self.rib.update(slot, update)
    }

    /// Lets everything happen that is due, without a word being read.
    pub(crate) fn work(&mut self) {
        while self.rib.work(100) {}
        if self.rib.unsettled() {
            self.rib.settle();
        }
    }

    /// Lets everybody read what there is for them, until there is nothing more; checks the
    /// invariants.
    pub(crate) fn quiet(&mut self) {
        loop {
            self.work();
            self.rib.check().unwrap();
            let Some(slot) = self.rib.poll_ready() else {
                break;
            };
            let client = self.clients.values_mut().find(|client| client.slot == slot);
            client
                .expect("only clients that are up")
                .read_all(&mut self.rib);
        }
        assert!(!self.rib.work(100) && !self.rib.unsettled());
    }

    /// All quiet, and everybody believes what it should.
    pub(crate) fn converge(&mut self) {
        self.quiet();
        self.rib.check().unwrap();
        for (n, client) in &self.clients {
            let [routes, rivals] = client.should_believe(&self.rib);
            assert_eq!(client.routes, routes, "peer {n}");
            assert_eq!(client.rivals, rivals, "peer {n}, second paths");
        }
    }
}
