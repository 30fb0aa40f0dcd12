//! A node with a made-up engine and kernel around it: orders are carried out as they come.

use bgp_blocks::{Encapsulation, Node, NodeSettings, Order, Pool};
use bgp_core::prefix::IpNet;
use bgp_core::rib::{BestRoute, RouteChange, RouteOrigin};
use bgp_core::time::Instant;
use bgp_core::types::{PeerId, RouterId};
use bgp_fib::wanted::{TunnelEnd, Wanted};
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A node at 10.0.1.11/24 and fd00::11/64, with a pool of each encapsulation.
pub(crate) fn settings() -> NodeSettings {
    let mut settings = NodeSettings::new("node-11", RouterId(Ipv4Addr::new(10, 0, 1, 11)));
    settings.addresses = vec![net("10.0.1.11/24"), net("fd00::11/64")];
    let pool = |prefix| Pool::new(net(prefix));
    settings.pools = vec![
        pool("10.244.0.0/16"),
        pool("10.1.0.0/16").through(Encapsulation::Ipip, "tunl0"),
        pool("10.2.0.0/16").through(Encapsulation::IpipCrossSubnet, "tunl0"),
        pool("10.3.0.0/16").through(Encapsulation::Vxlan, "vxlan.calico"),
        pool("10.4.0.0/16").through(Encapsulation::VxlanCrossSubnet, "vxlan.calico"),
        pool("fd10::/48"),
        pool("fd13::/48").through(Encapsulation::Vxlan, "vxlan-v6.calico"),
    ];
    settings.names = BTreeMap::from([
        (ip("10.0.1.12"), "node-12".to_owned()),
        (ip("10.0.2.13"), "node-13".to_owned()),
    ]);
    settings
}

/// The default settings with these blocks.
pub(crate) fn owning(blocks: &[&str]) -> NodeSettings {
    NodeSettings {
        blocks: blocks.iter().map(|block| net(block)).collect(),
        ..settings()
    }
}

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    pub(crate) announced: BTreeSet<IpNet>,
    pub(crate) kernel: BTreeMap<IpNet, Wanted>,
    pub(crate) ends: BTreeMap<(String, IpAddr), TunnelEnd>,
    /// All that was ordered, in words.
    pub(crate) log: Vec<String>,
    /// All that was said.
    pub(crate) notices: Vec<String>,
}

impl World {
    pub(crate) fn new(settings: NodeSettings) -> Self {
        let mut world = Self {
            node: Node::new(settings).unwrap(),
            now: Instant::from_micros(1_000_000),
            announced: BTreeSet::new(),
            kernel: BTreeMap::new(),
            ends: BTreeMap::new(),
            log: Vec::new(),
            notices: Vec::new(),
        };
        world.run();
        world
    }

    /// Carries out all orders, and checks that each of them changes something and is allowed.
    pub(crate) fn run(&mut self) {
        while let Some(order) = self.node.poll_order() {
            match order {
                Order::Announce(prefix) => {
                    self.log.push(format!("announce {prefix}"));
                    assert!(self.announced.insert(prefix), "{prefix} announced twice");
                }
                Order::Withdraw(prefix) => {
                    self.log.push(format!("withdraw {prefix}"));
                    assert!(self.announced.remove(&prefix), "{prefix} was not announced");
                }
                Order::Install(place, wanted) => self.install(place.prefix, wanted),
                Order::Uninstall(place) => {
                    self.log.push(format!("uninstall {}", place.prefix));
                    assert!(self.kernel.remove(&place.prefix).is_some());
                }
                Order::PutTunnelEnd(end) => {
                    self.log.push(format!("put end {}", end.host));
                    let key = (end.device.to_string(), end.host);
                    assert!(self.ends.insert(key, end).is_none());
                }
                Order::RemoveTunnelEnd { device, host } => {
                    self.log.push(format!("remove end {host}"));
                    let key = (device.to_string(), host);
                    let gateway = self.ends.remove(&key).unwrap().address;
                    let users = self.kernel.values().filter(|wanted| match wanted {
                        Wanted::Via { hops, .. } => hops.iter().any(|hop| {
                            hop.gateway == gateway && hop.device.as_ref() == Some(&device)
                        }),
                        Wanted::Blackhole | Wanted::Unreachable | Wanted::Prohibit => false,
                    });
                    assert_eq!(users.count(), 0, "{host} is still in use");
                }
            }
        }
        while let Some(notice) = self.node.poll_notice() {
            self.notices.push(notice.to_string());
        }
    }

    fn install(&mut self, prefix: IpNet, wanted: Wanted) {
        self.log
            .push(format!("install {prefix} {}", words(&wanted)));
        if let Wanted::Via { hops, .. } = &wanted {
            for hop in hops {
                let device = hop.device.as_deref().unwrap_or_default();
                let end = self
                    .ends
                    .values()
                    .find(|end| end.address == hop.gateway && &*end.device == device);
                let needed = device.starts_with("vxlan");
                assert_eq!(end.is_some(), needed, "{prefix} before its tunnel end");
            }
        }
        let before = self.kernel.insert(prefix, wanted.clone());
        assert_ne!(before, Some(wanted), "{prefix} installed twice");
    }

    /// What was ordered since the last call.
    pub(crate) fn ordered(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// The kernel route to `prefix`, in the words of `ip route`.
    pub(crate) fn route(&self, prefix: &str) -> Option<String> {
        self.kernel.get(&net(prefix)).map(words)
    }

    pub(crate) fn tell(&mut self, change: &RouteChange) {
        self.node.handle_route_change(self.now, change);
        self.run();
    }

    /// The best route to `prefix` is this one, and there is no other.
    pub(crate) fn best(&mut self, prefix: &str, best: BestRoute) {
        self.tell(&change(prefix, Some(best), &[]));
    }

    /// There is no route to `prefix` any more.
    pub(crate) fn gone(&mut self, prefix: &str) {
        self.tell(&change(prefix, None, &[]));
    }

    /// The engine has heard what was announced, and nobody claims it too.
    pub(crate) fn own(&mut self, prefix: &str) {
        self.best(prefix, own());
    }

    pub(crate) fn workload(&mut self, address: &str, device: &str, present: bool) {
        let device = device.into();
        let prefix = net(address);
        self.node
            .handle_host_route(self.now, prefix, &device, present);
        self.run();
    }

    pub(crate) fn add_block(&mut self, block: &str) {
        self.node.add_block(self.now, net(block)).unwrap();
        self.run();
    }

    pub(crate) fn remove_block(&mut self, block: &str) {
        self.node.remove_block(self.now, net(block)).unwrap();
        self.run();
    }

    /// Lets time pass, and everything that is due happen at its time.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(when) = self.node.poll_timeout().filter(|when| *when <= end) {
            self.now = self.now.max(when);
            self.node.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }
}

/// A route in the words of `ip route`.
pub(crate) fn words(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Via { hops, .. } => {
            let hops = hops.iter().map(|hop| {
                let device = hop.device.as_ref();
                let device = device.map_or(String::new(), |device| format!(" dev {device}"));
                let onlink = if hop.onlink { " onlink" } else { "" };
                format!("via {}{device}{onlink}", hop.gateway)
            });
            hops.collect::<Vec<_>>().join(" ")
        }
        Wanted::Blackhole => "blackhole".to_owned(),
        Wanted::Unreachable => "unreachable".to_owned(),
        Wanted::Prohibit => "prohibit".to_owned(),
    }
}

pub(crate) fn change(prefix: &str, best: Option<BestRoute>, rivals: &[RouteOrigin]) -> RouteChange {
    RouteChange {
        prefix: net(prefix),
        best,
        rivals: rivals.iter().copied().collect(),
    }
}

/// Our own path.
pub(crate) fn own() -> BestRoute {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    BestRoute {
        own: true,
        next_hops: smallvec![ip("10.0.1.11")],
        origin: RouteOrigin {
            peer: None,
            peer_address: nobody,
            router_id: RouterId(Ipv4Addr::new(10, 0, 1, 11)),
            next_hop: ip("10.0.1.11"),
            external: false,
        },
        stale: false,
    }
}

/// A path that the node at `next_hop` told us itself.
pub(crate) fn from(next_hop: &str) -> BestRoute {
    let origin = origin(next_hop, next_hop);
    BestRoute {
        own: false,
        next_hops: smallvec![origin.next_hop],
        origin,
        stale: false,
    }
}

/// A path of the node at `next_hop` that a reflector told us.
pub(crate) fn reflected(next_hop: &str) -> BestRoute {
    BestRoute {
        origin: origin(next_hop, "10.0.0.1"),
        ..from(next_hop)
    }
}

/// A path that an external router told us.
pub(crate) fn external(next_hop: &str) -> BestRoute {
    let best = from(next_hop);
    let origin = RouteOrigin {
        external: true,
        ..best.origin
    };
    BestRoute { origin, ..best }
}

/// Equal paths of several external routers.
pub(crate) fn through(next_hops: &[&str]) -> BestRoute {
    let hops: SmallVec<[IpAddr; 1]> = next_hops.iter().map(|hop| ip(hop)).collect();
    BestRoute {
        next_hops: hops,
        ..external(next_hops[0])
    }
}

/// Who is at `next_hop` and was heard of from `peer`; its router id is its IPv4 address.
pub(crate) fn origin(next_hop: &str, peer: &str) -> RouteOrigin {
    let address = ip(next_hop);
    let router_id = match address {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => {
            let [.., a, b] = v6.octets();
            Ipv4Addr::new(10, 6, a, b)
        }
    };
    RouteOrigin {
        peer: Some(PeerId(1)),
        peer_address: ip(peer),
        router_id: RouterId(router_id),
        next_hop: address,
        external: false,
    }
}
