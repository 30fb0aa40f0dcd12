//! One router and as many hand-made peers as a table needs, in one namespace.
//!
//! Every address of `10.0.0.0/8` is local there. The router is `10.0.0.1` and accepts clients,
//! non-clients and external peers by prefix; each peer gets an address that nobody had before, so
//! that rows do not meet each other's past.

use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, Ipv4Net};
use bgp_core::types::PeerRole;
use bgp_lab::netns::Namespace;
use bgp_lab::octets::{self, Open, kind};
use bgp_lab::reflector::{self, Make, Range, Reflector, Setup, Terms};
use bgp_lab::wire_peer::{Route, WirePeer};
use bgp_lab::{Error, Result, capability, check};
use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The AS of the router and of internal peers.
pub(crate) const ASN: u32 = 64_512;
/// The AS of external peers.
pub(crate) const EXTERNAL_ASN: u32 = 65_001;
/// The router's address and BGP Identifier.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The router's cluster.
pub(crate) const CLUSTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The configured peer, to which the router connects by itself.
pub(crate) const CONFIGURED: Ipv4Addr = Ipv4Addr::new(10, 4, 0, 1);
/// How long anything may take that should come at once.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// From where peers are accepted, as the second octet of their address, with the limit.
const RANGES: [(&str, u8, PeerRole, usize); 4] = [
    ("clients", 1, PeerRole::Client, 5_000),
    ("non-clients", 2, PeerRole::NonClient, 5_000),
    ("externals", 3, PeerRole::External, 5_000),
    ("few", 5, PeerRole::Client, 2),
];

/// The second octet of addresses from which at most two are accepted.
pub(crate) const FEW: u8 = 5;
/// The second octet of addresses from which nobody is accepted.
pub(crate) const STRANGER: u8 = 9;

/// A running router.
pub(crate) struct Scene {
    pub(crate) make: Make,
    pub(crate) namespace: Arc<Namespace>,
    reflector: RefCell<Box<dyn Reflector>>,
    next: Cell<u16>,
    _dir: TempDir,
}

impl Scene {
    /// A router that runs; `None`, recorded as skipped, where that cannot be.
    pub(crate) fn new(test: &str) -> Result<Option<Self>> {
        let make = Make::from_environment();
        if !capability::need(test, make.needs()) {
            return Ok(None);
        }
        let dir = tempfile::tempdir().map_err(|error| Error::Check(error.to_string()))?;
        let namespace = Arc::new(Namespace::new(test)?);
        namespace.own_prefix("10.0.0.0/8")?;
        let mut reflector = make.install(setup(), Arc::clone(&namespace), dir.path())?;
        reflector.start()?;
        Ok(Some(Self {
            make,
            namespace,
            reflector: RefCell::new(reflector),
            next: Cell::new(1),
            _dir: dir,
        }))
    }

    /// A connection from a new address of `10.SECOND.0.0/16`, before any message.
    pub(crate) fn connect(&self, second: u8) -> Result<(WirePeer, Ipv4Addr)> {
        let [high, low] = self.next.get().to_be_bytes();
        self.next.set(self.next.get() + 1);
        let address = Ipv4Addr::new(10, second, high, low);
        Ok((self.connect_from(address)?, address))
    }

    /// A connection from `address`.
    pub(crate) fn connect_from(&self, address: Ipv4Addr) -> Result<WirePeer> {
        WirePeer::connect(&self.namespace, address.into(), (ROUTER, 179).into())
    }

    /// An Established peer.
    pub(crate) fn peer(&self, role: PeerRole) -> Result<Peer> {
        self.peer_with(role, |open| open)
    }

    /// An Established peer whose OPEN went through `change`.
    pub(crate) fn peer_with(
        &self,
        role: PeerRole,
        change: impl FnOnce(Open) -> Open,
    ) -> Result<Peer> {
        let (mut wire, address) = self.connect(second_octet(role))?;
        wire.establish(&change(Open::new(asn(role), address)), LIMIT)?;
        Ok(Peer {
            wire,
            address,
            role,
        })
    }

    /// Fails when the router has ended.
    pub(crate) fn check_alive(&self) -> Result<()> {
        self.reflector.borrow_mut().check_alive()
    }

    /// The end of what the router has written.
    pub(crate) fn tail(&self) -> String {
        self.reflector.borrow().tail()
    }
}

/// Plays every row and fails with all that went wrong.
pub(crate) fn play<T>(
    test: &str,
    rows: &[T],
    name: impl Fn(&T) -> String,
    row: impl Fn(&Scene, &T) -> Result<()>,
) -> Result<()> {
    let Some(mut scene) = Scene::new(test)? else {
        return Ok(());
    };
    let mut wrong = Vec::new();
    for one in rows {
        if let Err(error) = row(&scene, one) {
            wrong.push(format!("{}: {error}", name(one)));
        }
        if let Err(error) = scene.check_alive() {
            wrong.push(format!("{} ended the router: {error}", name(one)));
            match Scene::new(test)? {
                Some(next) => scene = next,
                None => break,
            }
        }
    }
    check(wrong.is_empty(), || {
        let count = wrong.len();
        let list = wrong.join("\n- ");
        format!(
            "{count} of {} rows:\n- {list}\nrouter:\n{}",
            rows.len(),
            scene.tail()
        )
    })
}

/// A hand-made peer.
pub(crate) struct Peer {
    pub(crate) wire: WirePeer,
    pub(crate) address: Ipv4Addr,
    pub(crate) role: PeerRole,
}

impl Peer {
    /// The attributes that a route of this peer must have, with itself as next hop.
    pub(crate) fn attributes(&self) -> Parts {
        Parts::new(self.role, self.address)
    }

    /// Announces IPv4 `prefixes` with `parts`.
    pub(crate) fn announce(&mut self, parts: &Parts, prefixes: &[IpNet]) {
        let message = octets::update(&[], &parts.encode(), &octets::nlri(prefixes));
        self.wire.send(&message);
    }

    /// Announces IPv4 `prefix` with nothing special.
    pub(crate) fn announce_plain(&mut self, prefix: IpNet) {
        let parts = self.attributes();
        self.announce(&parts, &[prefix]);
    }

    /// Withdraws IPv4 `prefix`.
    pub(crate) fn withdraw(&mut self, prefix: IpNet) {
        self.wire
            .send(&octets::update(&octets::nlri([&prefix]), &[], &[]));
    }

    /// Waits for the route to `prefix`.
    pub(crate) fn route(&mut self, prefix: &IpNet) -> Result<Route> {
        self.wire.wait_route(prefix, LIMIT)
    }

    /// Makes sure that everything `other` has sent so far has had its effect here: `other`
    /// announces one more route, and it arrives.
    pub(crate) fn settle(&mut self, other: &mut Self) -> Result<()> {
        let barrier = other.barrier();
        other.announce_plain(barrier);
        self.wire.wait(
            &format!("the barrier {barrier} of {}", other.address),
            LIMIT,
            |wire| {
                if other.wire.is_closed() || other.wire.refusal().is_some() {
                    return Err(format!("its sender {}", other.wire.story()));
                }
                wire.route(&barrier).map(drop).ok_or_else(|| wire.story())
            },
        )?;
        other.withdraw(barrier);
        self.wire.wait_no_route(&barrier, LIMIT)
    }

    /// A prefix that stands for this peer alone.
    fn barrier(&self) -> IpNet {
        let [_, second, third, fourth] = self.address.octets();
        Ipv4Net::new_assert(Ipv4Addr::new(192, second, third, fourth), 32).into()
    }

    /// How many UPDATEs it has been sent.
    pub(crate) fn updates(&self) -> usize {
        self.wire.count(kind::UPDATE)
    }
}

/// Path attributes that can be changed one by one.
#[derive(Clone, Debug)]
pub(crate) struct Parts(Vec<Vec<u8>>);

impl Parts {
    /// The mandatory attributes of a route from a peer in `role`.
    pub(crate) fn new(role: PeerRole, next_hop: Ipv4Addr) -> Self {
        let mut parts = vec![octets::origin(0)];
        if role.is_internal() {
            parts.push(octets::as_path(&[]));
        } else {
            parts.push(octets::as_path(&[EXTERNAL_ASN]));
        }
        parts.push(octets::next_hop(next_hop));
        if role.is_internal() {
            parts.push(octets::local_pref(100));
        }
        Self(parts)
    }

    /// With one attribute in the place of the one with the same code, or at the end.
    #[must_use]
    pub(crate) fn set(mut self, attribute: Vec<u8>) -> Self {
        let code = attribute.get(1).copied();
        match self.0.iter_mut().find(|part| part.get(1).copied() == code) {
            Some(part) => *part = attribute,
            None => self.0.push(attribute),
        }
        self
    }

    /// With octets more at the end, whatever they are.
    #[must_use]
    pub(crate) fn and(mut self, octets: Vec<u8>) -> Self {
        self.0.push(octets);
        self
    }

    /// Without the attribute with `code`.
    #[must_use]
    pub(crate) fn without(mut self, code: u8) -> Self {
        self.0.retain(|part| part.get(1) != Some(&code));
        self
    }

    /// In the opposite order.
    #[must_use]
    pub(crate) fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }

    /// All together.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.0.concat()
    }
}

/// Parses a prefix that a table spells out.
pub(crate) fn prefix(text: &str) -> IpNet {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The second octet of the addresses of peers in `role`.
pub(crate) fn second_octet(role: PeerRole) -> u8 {
    match role {
        PeerRole::Client => 1,
        PeerRole::NonClient => 2,
        PeerRole::External => 3,
    }
}

/// The AS of peers in `role`.
pub(crate) fn asn(role: PeerRole) -> u32 {
    if role.is_internal() {
        ASN
    } else {
        EXTERNAL_ASN
    }
}

fn setup() -> Setup {
    let terms = |role| Terms {
        asn: asn(role),
        role,
        families: Family::ALL.to_vec(),
    };
    Setup {
        asn: ASN,
        router_id: ROUTER,
        cluster_id: CLUSTER,
        listen: vec![ROUTER.into()],
        hold_time: 180,
        peers: vec![reflector::Peer {
            name: "configured".to_owned(),
            address: CONFIGURED.into(),
            passive: false,
            terms: terms(PeerRole::Client),
        }],
        ranges: RANGES
            .iter()
            .map(|(name, second, role, limit)| Range {
                name: (*name).to_owned(),
                accept: Ipv4Net::new_assert(Ipv4Addr::new(10, *second, 0, 0), 16).into(),
                limit: *limit,
                terms: terms(*role),
            })
            .collect(),
    }
}
