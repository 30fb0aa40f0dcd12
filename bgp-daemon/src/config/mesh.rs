//! `[mesh]` and `[mesh.nodes]`: all nodes of a full mesh, in a form that is the same on each.
//!
//! It is another way to write a `[[group]]` named `mesh` and a `[[peer]]` for every node but
//! ourselves, and becomes just that.

use super::node_value::MeshAddress;
use super::peer::{RawGroup, RawPeer, RawSettings};
use super::role::Role;
use super::section::{Places, Reader, Section};
use bgp_blocks::NodeSettings;
use bgp_core::complaint::Complaint;
use bgp_core::prefix::IpNet;
use std::collections::BTreeMap;

/// The name of the group.
const MESH: &str = "mesh";
/// From so many nodes on a full mesh is doubtful: each has a session with every other.
const MANY: usize = 100;

/// What the section says.
pub(super) struct Mesh {
    settings: RawSettings,
    nodes: Vec<MeshNode>,
    places: Places,
}

struct MeshNode {
    name: String,
    address: MeshAddress,
    places: Places,
}

/// Reads it.
pub(super) fn read(root: &mut Section<'_, '_>, reader: &mut Reader<'_>) -> Option<Mesh> {
    let value = root.value(MESH)?;
    let mut section = Section::open("[mesh]", value, reader)?;
    section.rename(MESH.to_owned());
    let nodes = match section.value("nodes") {
        Some(value) => Section::open("[mesh.nodes]", value, reader)
            .map_or_else(Vec::new, |nodes| read_nodes(&nodes, reader)),
        None => {
            let complaint = Complaint::new(
                "nodes is missing",
                "a table [mesh.nodes]",
                "write [mesh.nodes] and below it node-11 = \"10.0.1.11\", a line for each node",
            );
            reader.error(MESH, section.places().of(""), complaint);
            Vec::new()
        }
    };
    let mut settings = RawSettings::read(&mut section, reader);
    let places = section.finish(reader);
    if settings.role.is_some_and(|role| role != Role::Node) {
        let complaint = Complaint::new(
            "another role in a mesh",
            "\"node\"",
            "leave it out; peers of another kind are written with [[peer]]",
        );
        reader.error(MESH, places.of("role"), complaint);
    }
    settings.role = Some(Role::Node);
    if nodes.len() > MANY {
        let complaint = Complaint::new(
            format!("a full mesh of {} nodes", nodes.len()),
            "",
            format!("beyond {MANY} nodes two route reflectors cost less: see docs/node.md"),
        );
        reader.warning(MESH, places.header.clone(), complaint);
    }
    Some(Mesh {
        settings,
        nodes,
        places,
    })
}

fn read_nodes(section: &Section<'_, '_>, reader: &mut Reader<'_>) -> Vec<MeshNode> {
    let mut nodes = Vec::new();
    for (name, key, value) in section.entries() {
        let element = format!("mesh node {name:?}");
        let spans = [("name", key.clone()), ("address", value.span())];
        let places = Places {
            header: key,
            values: spans
                .map(|(key, span)| (key.to_owned(), span))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            ..Places::default()
        };
        if let Some(address) = reader.value(&element, value) {
            nodes.push(MeshNode {
                name: name.to_owned(),
                address,
                places,
            });
        }
    }
    nodes
}

impl Mesh {
    /// The address of the node named so, where it is written with the length of its network.
    pub(super) fn network_of(&self, name: &str) -> Option<IpNet> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        node.address.network
    }

    /// The group and the peers that it means for the node `own`.
    pub(super) fn into_peers(
        self,
        own: &NodeSettings,
        reader: &mut Reader<'_>,
    ) -> (RawGroup, Vec<RawPeer>) {
        let mut peers = Vec::new();
        for node in self.nodes {
            let element = format!("mesh node {:?}", node.name);
            if own.is_own(node.address.address) {
                continue;
            }
            if node.name == own.name {
                let ours: Vec<String> = own.addresses.iter().map(IpNet::to_string).collect();
                let complaint = Complaint::new(
                    format!(
                        "it is this node, but {} is not its address",
                        node.address.address
                    ),
                    ours.join(", "),
                    "correct the address here or at [node], or the name",
                );
                reader.error(&element, node.places.of("address"), complaint);
                continue;
            }
            // Elsewhere it is a peer like any other.
            let known_as = format!("peer {:?}", node.name);
            reader.places.insert(known_as, node.places.clone());
            let (name, address) = (node.name, node.address.address);
            peers.push(RawPeer::of_group(MESH, name, address, element, node.places));
        }
        let element = format!("group {MESH:?}");
        let group = RawGroup::used(MESH, self.settings, element, self.places);
        (group, peers)
    }
}
