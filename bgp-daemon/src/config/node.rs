//! `[node]`: who a node is and what it owns, with `[[block]]`, `[[pool]]` and `[[tunnel-end]]`.

use super::mesh::Mesh;
use super::node_value::{Addresses, Device, ListenOn, NodeId, Number};
use super::section::{Places, Reader, Section};
use crate::host::{Host, everywhere};
use bgp_blocks::{Element, End, NodeSettings, Pool};
use bgp_core::complaint::Complaint;
use bgp_core::config::{DEFAULT_PORT, Router};
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::types::{Asn, RouterId};
use bgp_fib::kernel::{LinkName, Mac};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What the section, and those that belong to it, say.
pub(super) struct RawNode {
    /// Whether we know our AS, address and router id, without which nothing else can be judged.
    pub(super) is_whole: bool,
    pub(super) router: Router,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) settings: NodeSettings,
    pub(super) places: NodePlaces,
}

/// Where the parts of [`NodeSettings`] stand.
#[derive(Default)]
pub(super) struct NodePlaces {
    pub(super) node: Places,
    pub(super) pools: Vec<Places>,
    pub(super) blocks: Vec<Places>,
    pub(super) ends: Vec<Places>,
}

impl NodePlaces {
    /// Where an element stands, for its `key`: what concerns the kernel stands in `[fib]`.
    pub(super) fn of<'p>(&'p self, element: Element, key: &str, fib: &'p Places) -> &'p Places {
        let found = match element {
            Element::Node if ["table", "stale-time"].contains(&key) => Some(fib),
            Element::Node => Some(&self.node),
            Element::Pool { index, .. } => self.pools.get(index),
            Element::Block { index, .. } => self.blocks.get(index),
            Element::End { index, .. } => self.ends.get(index),
        };
        found.unwrap_or(&self.node)
    }
}

/// Reads them, as far as they are there; the [`RawNode::is_whole`] of what came of it says whether
/// anything can be made of it.
pub(super) fn read(
    root: &mut Section<'_, '_>,
    host: &Host,
    mesh: Option<&Mesh>,
    reader: &mut Reader<'_>,
) -> RawNode {
    let value = root.value("node");
    if value.is_none() && !root.has("router") {
        let complaint = Complaint::new(
            "no [node]",
            "a table [node] with at least as and address",
            "write [node] and below it as = 64512 and address = \"10.0.1.11/24\", or what you have",
        );
        reader.error("", 0..0, complaint);
    }
    let section = value.and_then(|value| Section::open("[node]", value, reader));
    let mut raw = match section {
        Some(section) => read_section(section, host, mesh, reader),
        None => RawNode {
            is_whole: false,
            router: Router::new(Asn::default(), host.router_id),
            listen: Vec::new(),
            settings: NodeSettings::new("", host.router_id),
            places: NodePlaces::default(),
        },
    };
    read_parts(root, &mut raw.settings, &mut raw.places, reader);
    raw
}

fn read_section(
    mut section: Section<'_, '_>,
    host: &Host,
    mesh: Option<&Mesh>,
    reader: &mut Reader<'_>,
) -> RawNode {
    section.rename("node".to_owned());
    let asn: Option<Asn> =
        section.require("as", "write as = 64512, or the AS that you have", reader);
    let name = section.take("name", reader);
    let name: String = name.unwrap_or_else(|| host.name.clone());
    let addresses = addresses(&mut section, &name, mesh, reader);
    let router_id = router_id(&mut section, &name, addresses.as_deref(), reader);
    let mut settings = NodeSettings::new(name, router_id.unwrap_or(host.router_id));
    settings.addresses = addresses.clone().unwrap_or_default();
    let listen = listen(&mut section, &settings.addresses, reader);
    let set = |slot: &mut _, value: Option<_>| value.into_iter().for_each(|value| *slot = value);
    let mut router = Router::new(asn.unwrap_or_default(), settings.router_id);
    // A node knows its own routes: its End-of-RIB never waits for what others tell. What it
    // forwards with is in the kernel, and not known before that has been read.
    router.restart_deferral = Duration::ZERO;
    router.forwarding = FamilySet::EMPTY;
    set(&mut router.settle, section.take("settle", reader));
    set(
        &mut router.restart_time,
        section.take("restart-time", reader),
    );
    let host_name: Option<String> = section.take("host-name", reader);
    router.host_name = host_name.unwrap_or_else(|| fitting(&settings.name));
    settings.services = section.take("services", reader).unwrap_or_default();
    let announce = section.take("announce-services", reader);
    settings.announce_services = announce.unwrap_or(settings.announce_services);
    if let Some(devices) = section.take("workload-devices", reader) {
        settings.workload_devices = devices;
    }
    RawNode {
        is_whole: asn.is_some() && addresses.is_some() && router_id.is_some(),
        router,
        listen,
        settings,
        places: NodePlaces {
            node: section.finish(reader),
            ..NodePlaces::default()
        },
    }
}

/// The name as host name, where it fits there.
fn fitting(name: &str) -> String {
    let fits = name.len() <= bgp_core::config::MAX_HOST_NAME;
    if fits { name.to_owned() } else { String::new() }
}

/// Our addresses: what the section says, or what the mesh says of the node of our name.
fn addresses(
    section: &mut Section<'_, '_>,
    name: &str,
    mesh: Option<&Mesh>,
    reader: &mut Reader<'_>,
) -> Option<Vec<IpNet>> {
    let taken: Option<Addresses> = section.take("address", reader);
    if section.has("address") {
        return taken.map(|taken| taken.0);
    }
    if let Some(own) = mesh.and_then(|mesh| mesh.network_of(name)) {
        return Some(vec![own]);
    }
    let advice = if mesh.is_some() {
        format!(
            "write address = \"10.0.1.11/24\", or what it is; or give {name:?} an address with a \
             length in [mesh.nodes]"
        )
    } else {
        "write address = \"10.0.1.11/24\", or what it is: the length says which other nodes are \
         on the same network"
            .to_owned()
    };
    let header = section.places().of("");
    reader.error(
        section.element(),
        header,
        Complaint::new("address is missing", "", advice),
    );
    None
}

fn router_id(
    section: &mut Section<'_, '_>,
    name: &str,
    addresses: Option<&[IpNet]>,
    reader: &mut Reader<'_>,
) -> Option<RouterId> {
    let taken = section.take("router-id", reader);
    if section.has("router-id") {
        return match taken? {
            NodeId::Hash => Some(bgp_blocks::router_id_of(name)),
            NodeId::Id(id) => Some(RouterId(id)),
        };
    }
    let first = addresses?.iter().find_map(|address| match address {
        IpNet::V4(address) => Some(address.addr()),
        IpNet::V6(_) => None,
    });
    if first.is_none() {
        let complaint = Complaint::new(
            "router-id is missing, and there is no IPv4 address to take it from",
            "\"hash\", or four octets in the form of an IPv4 address",
            "write router-id = \"hash\": the id is made of the node's name",
        );
        reader.error(section.element(), section.places().of(""), complaint);
    }
    first.map(|id: Ipv4Addr| RouterId(id))
}

fn listen(
    section: &mut Section<'_, '_>,
    own: &[IpNet],
    reader: &mut Reader<'_>,
) -> Vec<SocketAddr> {
    match section.take("listen", reader) {
        None => everywhere(DEFAULT_PORT),
        Some(ListenOn::Node) => {
            let own = own.iter().map(|network| network.addr());
            own.map(|address| SocketAddr::new(address, DEFAULT_PORT))
                .collect()
        }
        Some(ListenOn::These(addresses)) => {
            super::router::each_once(section, &addresses, reader);
            addresses
        }
    }
}

fn read_parts(
    root: &mut Section<'_, '_>,
    settings: &mut NodeSettings,
    places: &mut NodePlaces,
    reader: &mut Reader<'_>,
) {
    for section in root.tables("pool", "[[pool]]", reader) {
        if let Some((pool, at)) = read_pool(section, reader) {
            settings.pools.push(pool);
            places.pools.push(at);
        }
    }
    for mut section in root.tables("block", "[[block]]", reader) {
        let advice = "write prefix = \"10.244.17.64/26\", or which block it is";
        let block: Option<IpNet> = section.require("prefix", advice, reader);
        if let Some(block) = block {
            section.rename(format!("block {block}"));
        }
        let at = section.finish(reader);
        if let Some(block) = block {
            settings.blocks.push(block);
            places.blocks.push(at);
        }
    }
    for section in root.tables("tunnel-end", "[[tunnel-end]]", reader) {
        if let Some((end, at)) = read_end(section, reader) {
            settings.ends.push(end);
            places.ends.push(at);
        }
    }
}

fn read_pool(mut section: Section<'_, '_>, reader: &mut Reader<'_>) -> Option<(Pool, Places)> {
    let advice = "write prefix = \"10.244.0.0/16\", or which range workloads have";
    let prefix: Option<IpNet> = section.require("prefix", advice, reader);
    if let Some(prefix) = prefix {
        section.rename(format!("pool {prefix}"));
    }
    let mut pool = Pool::new(prefix.unwrap_or_default());
    let block_size: Option<Number<1, 128>> = section.take("block-size", reader);
    let block_size = block_size.and_then(|Number(size)| u8::try_from(size).ok());
    pool.block_size = block_size.unwrap_or(pool.block_size);
    let encapsulation = section.take("encapsulation", reader);
    pool.encapsulation = encapsulation.unwrap_or(pool.encapsulation);
    let family = prefix.map_or(Family::Ipv4Unicast, |prefix| family_of(&prefix));
    let device: Option<LinkName> = section.take("device", reader).map(|Device(name)| name);
    let default = pool.encapsulation.default_device(family);
    pool.device = device.or_else(|| default.map(LinkName::from));
    pool.install = section.take("install", reader).unwrap_or(pool.install);
    let places = section.finish(reader);
    prefix.map(|_| (pool, places))
}

fn read_end(mut section: Section<'_, '_>, reader: &mut Reader<'_>) -> Option<(End, Places)> {
    let advice = "write host = \"10.0.2.21\", or what the other node's own address is";
    let host: Option<IpAddr> = section.require("host", advice, reader);
    if let Some(host) = host {
        section.rename(format!("tunnel-end {host}"));
    }
    let advice = "write address = \"10.244.17.64\", or what address its tunnel device has";
    let address: Option<IpAddr> = section.require("address", advice, reader);
    let advice = "write mac = \"66:6a:07:6c:13:01\", or what its tunnel device has";
    let mac: Option<Mac> = section.require("mac", advice, reader);
    let places = section.finish(reader);
    let end = End {
        host: host?,
        address: address?,
        mac: mac?,
    };
    Some((end, places))
}
