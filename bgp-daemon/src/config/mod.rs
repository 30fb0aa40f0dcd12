//! The configuration file: TOML to a valid [`DaemonConfig`], and back.
//!
//! ```text
//! text ──toml──▶ tables with spans ──section, value──▶ raw groups, peers, policies
//!      ──resolve (inheritance, names)──▶ DaemonConfig ──bgp_core check──▶ valid, or a Report
//! ```
//!
//! # Invariants
//!
//! - A file is taken as a whole or not at all, and everything that is wrong with it is said in
//!   one run: syntax first; then, where that is right, unknown keys, values and names; then the
//!   rules of [`bgp_core::config`], but for those that only follow from a value already refused.
//! - What is wrong is shown with file, line, column and a caret under the key or value, what was
//!   found, what is allowed, and advice.
//! - [`DaemonConfig`] is complete: its text form ([`Display`](std::fmt::Display), printed by
//!   `--check`) names every key, and reading that text again gives an equal `DaemonConfig`.
//!
//! # Where things are
//!
//! `diagnostic` shows faults; `section` and `value` read tables and values; `router`, `peer` and
//! `policy` know the keys of their tables; `print` writes. The rules about what a configuration
//! may say are in `bgp-core`, so that embedders have them too; only what has to do with text and
//! with this process stands here.

mod diagnostic;
mod diff;
mod fib;
mod mesh;
mod node;
mod node_value;
mod peer;
mod policy;
mod print;
mod print_node;
mod role;
mod router;
mod section;
mod value;

use crate::host::Host;
use bgp_blocks::{NodeSettings, SettingsFault};
use bgp_core::complaint::Complaint;
use bgp_core::config::{Config, DynamicGroup, Element, PeerSettings, Router};
use bgp_core::policy::Policy;
pub use diagnostic::{Diagnostic, Report, Severity, Span};
pub use diff::{Change, Plan, Step};
pub use fib::DEFAULT_MULTIPATH;
use node::NodePlaces;
use policy::Policies;
use section::{Places, Reader, Section};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

/// Largest configuration file, in octets. A larger one is refused unread.
pub const MAX_FILE: u64 = 16 << 20;

/// Which program a file is for: it says who we are in `[router]` or in `[node]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `bgp-rr`, the route reflector.
    Reflector,
    /// `bgp-node`, the speaker of a node.
    Node,
}

/// What a file says about a node beside its sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// What it is and owns.
    pub settings: NodeSettings,
    /// How its routes stand in the kernel.
    pub fib: bgp_fib::Settings,
}

/// Everything that the file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DaemonConfig {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// What the engine runs on.
    pub speaker: Config,
    /// The policies of the file, used or not; without the built-in ones.
    pub policies: Vec<Arc<Policy>>,
    /// The node; `None` for a reflector.
    pub node: Option<NodeConfig>,
}

/// A valid configuration, and what is worth a second look in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: DaemonConfig,
    /// Warnings alone.
    pub warnings: Report,
    /// Where each element of the file stands.
    places: BTreeMap<String, Places>,
}

/// Why a file gave no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is larger than [`MAX_FILE`].
    #[error("{0} is larger than {MAX_FILE} octets; is it a configuration file?")]
    TooLarge(String),
    /// It was refused.
    #[error("{0}")]
    Refused(Box<Report>),
}

impl DaemonConfig {
    /// Reads the file at `path` for a program of this kind.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is larger than [`MAX_FILE`], or [`DaemonConfig::parse`] refuses it.
    pub fn load(path: &Path, kind: Kind, host: &Host) -> Result<Loaded, LoadError> {
        let name = path.display().to_string();
        let unreadable = |error| LoadError::Unreadable {
            path: name.clone(),
            error,
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_FILE {
            return Err(LoadError::TooLarge(name));
        }
        let source = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&source, &name, kind, host)
            .map_err(|report| LoadError::Refused(Box::new(report)))
    }

    /// Reads the text `source`, which messages call `file`. What it leaves out and only the host
    /// can tell comes from `host`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(source: &str, file: &str, kind: Kind, host: &Host) -> Result<Loaded, Report> {
        let mut reader = Reader {
            source,
            diagnostics: Vec::new(),
            places: BTreeMap::new(),
        };
        let (document, syntax) = DeTable::parse_recoverable(source);
        let config = if syntax.is_empty() {
            let root = Section::new("", document.get_ref(), 0..0);
            match kind {
                Kind::Reflector => read_reflector(root, host, &mut reader),
                Kind::Node => read_node(root, host, &mut reader),
            }
        } else {
            syntax_errors(&syntax, &mut reader);
            None
        };
        let report = Report {
            file: file.to_owned(),
            source: source.to_owned(),
            diagnostics: tidy(reader.diagnostics),
        };
        match config {
            Some(config) if report.count(Severity::Error) == 0 => Ok(Loaded {
                config,
                warnings: report,
                places: reader.places,
            }),
            Some(_) | None => Err(report),
        }
    }

    /// What runs when no file is named: clients of the private AS 64512 that connect from this
    /// host itself.
    pub fn built_in(host: &Host, listen: Vec<SocketAddr>) -> Self {
        let asn = bgp_core::types::Asn(64_512);
        let router = Router {
            host_name: host.name.clone(),
            ..Router::new(asn, host.router_id)
        };
        let loopback = ["127.0.0.0/8", "::1/128"]
            .iter()
            .filter_map(|prefix| prefix.parse().ok())
            .collect();
        let clients = DynamicGroup::new("loopback", loopback, PeerSettings::client(asn));
        Self {
            listen,
            speaker: Config::new(router).with_dynamic(clients),
            policies: Vec::new(),
            node: None,
        }
    }
}

/// In the order of the file, each thing once, and warnings only where there is nothing worse:
/// they may be mere consequences.
fn tidy(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if let Some(worst) = diagnostics.iter().map(|one| one.severity).min() {
        diagnostics.retain(|one| one.severity == worst);
    }
    // What peers inherit is said of the group, which sorts before them.
    diagnostics.sort_by(|a, b| {
        let key = |one: &Diagnostic| (one.span.start, one.span.end);
        key(a).cmp(&key(b)).then_with(|| a.element.cmp(&b.element))
    });
    diagnostics.dedup_by(|a, b| a.span == b.span && a.complaint == b.complaint);
    diagnostics
}

fn syntax_errors(errors: &[toml::de::Error], reader: &mut Reader<'_>) {
    let mut last_line = None;
    for error in errors {
        let span = error.span().unwrap_or_default();
        let line = reader
            .source
            .get(..span.start)
            .map(|before| before.matches('\n').count());
        // One fault often breaks the rest of its line too.
        if line == last_line && line.is_some() {
            continue;
        }
        last_line = line;
        let advice = if error.message().starts_with("duplicate key") {
            "leave one of the two; of [[group]], [[peer]] and [[policy]] there may be many"
        } else {
            "write key = value, one a line, and texts and addresses in double quotes"
        };
        let complaint = Complaint::new(format!("not TOML: {}", error.message()), "", advice);
        reader.error("", span, complaint);
    }
}

/// Where the elements of a [`Config`] stand in the source, in its order.
struct Origins {
    /// What [`Element::Router`] is called in the file.
    router_name: &'static str,
    router: Places,
    peers: Vec<Places>,
    groups: Vec<Places>,
}

/// The sections that only one of the two kinds of files has, and what to write in the other.
const OF_NODES: [&str; 6] = ["node", "mesh", "pool", "block", "tunnel-end", "fib"];

fn read_reflector(
    mut root: Section<'_, '_>,
    host: &Host,
    reader: &mut Reader<'_>,
) -> Option<DaemonConfig> {
    let router = router::read(&mut root, host, reader);
    let policies = Policies::read(&mut root, None, reader);
    let groups = peer::read_groups(&mut root, reader);
    let peers = peer::read_peers(&mut root, reader);
    for section in OF_NODES {
        let complaint = Complaint::new(
            format!("[{section}] in the configuration of a reflector"),
            "router, policy, group, peer",
            if section == "node" {
                "run bgp-node with this file, or write [router] in place of [node]"
            } else {
                "only bgp-node has it: remove it"
            },
        );
        root.refuse(section, complaint, reader);
    }
    root.finish(reader);
    let router = router?;
    let origins = Origins {
        router_name: "router",
        router: router.places,
        peers: Vec::new(),
        groups: Vec::new(),
    };
    let raw = peer::Raw { groups, peers };
    let own = peer::Own::Reflector;
    let speaker = resolve(router.router, own, &policies, raw, origins, reader);
    Some(DaemonConfig {
        listen: router.listen,
        speaker,
        policies: policies.into_vec(),
        node: None,
    })
}

fn read_node(
    mut root: Section<'_, '_>,
    host: &Host,
    reader: &mut Reader<'_>,
) -> Option<DaemonConfig> {
    let complaint = Complaint::new(
        "[router] in the configuration of a node",
        "",
        "run bgp-rr with this file, or write [node] in place of [router]",
    );
    root.refuse("router", complaint, reader);
    let mesh = mesh::read(&mut root, reader);
    let mut raw = node::read(&mut root, host, mesh.as_ref(), reader);
    let policies = Policies::read(&mut root, Some(raw.settings.policy()), reader);
    let mut groups = peer::read_groups(&mut root, reader);
    let mut peers = peer::read_peers(&mut root, reader);
    let (fib, fib_places) = fib::read(&mut root, &mut raw.settings, &mut raw.router, reader);
    root.finish(reader);
    if !raw.is_whole {
        return None;
    }
    if let Some(mesh) = mesh {
        let (group, nodes) = mesh.into_peers(&raw.settings, reader);
        groups.push(group);
        peers.extend(nodes);
    }
    check_node(&raw.settings, &raw.places, &fib_places, reader);
    let origins = Origins {
        router_name: "node",
        router: raw.places.node,
        peers: Vec::new(),
        groups: Vec::new(),
    };
    let own = peer::Own::Node(&raw.settings);
    let peers = peer::Raw { groups, peers };
    let speaker = resolve(raw.router, own, &policies, peers, origins, reader);
    let named = speaker.peers.iter();
    let names = named
        .map(|peer| (peer.address, peer.name.clone()))
        .collect();
    Some(DaemonConfig {
        listen: raw.listen,
        speaker,
        policies: policies.into_vec(),
        node: Some(NodeConfig {
            settings: NodeSettings {
                names,
                ..raw.settings
            },
            fib,
        }),
    })
}

/// From what was read to what it means.
fn resolve(
    router: Router,
    own: peer::Own<'_>,
    policies: &Policies,
    raw: peer::Raw,
    mut origins: Origins,
    reader: &mut Reader<'_>,
) -> Config {
    let mut config = Config::new(router);
    let mut resolver = peer::Resolver::new(config.router.asn, own, policies, &raw.groups, reader);
    for raw in &raw.groups {
        if let Some((group, places)) = resolver.dynamic(raw) {
            config.dynamic.push(group);
            origins.groups.push(places);
        }
    }
    for raw in raw.peers {
        if let Some((peer, places)) = resolver.peer(raw) {
            config.peers.push(peer);
            origins.peers.push(places);
        }
    }
    resolver.warn_unused();
    check(&config, &origins, reader);
    config
}

/// Says what the rules of the core find, at the places where it was written.
fn check(config: &Config, origins: &Origins, reader: &mut Reader<'_>) {
    let empty = Places::default();
    for error in config.check() {
        let (all, index) = match &error.element {
            Element::Router => (std::slice::from_ref(&origins.router), 0),
            Element::Peer { index, .. } => (origins.peers.as_slice(), *index),
            Element::Group { index, .. } => (origins.groups.as_slice(), *index),
        };
        let key = error.fault.key();
        let places = all.get(index).unwrap_or(&empty);
        if places.refused.contains(key) {
            continue;
        }
        let related = error.fault.clashes_with().and_then(|(first, item)| {
            let span = all.get(first)?.of_item(key, item);
            Some((span, "is the other one".to_owned()))
        });
        let element = match &error.element {
            Element::Router => origins.router_name.to_owned(),
            Element::Peer { .. } | Element::Group { .. } => error.element.to_string(),
        };
        let span = places.of_item(key, error.fault.item());
        reader.push(Severity::Error, &element, span, error.complaint(), related);
    }
}

/// Says what the rules of a node find, at the places where it was written.
fn check_node(settings: &NodeSettings, places: &NodePlaces, fib: &Places, reader: &mut Reader<'_>) {
    for error in settings.check() {
        let key = key_in_file(&error);
        let at = places.of(error.element, key, fib);
        if at.refused.contains(key) {
            continue;
        }
        let related = error.clashes_with().map(|(element, key, item)| {
            let key = written_as(key);
            let span = places.of(element, key, fib).of_item(key, item);
            (span, "is the other one".to_owned())
        });
        let element = match error.element {
            bgp_blocks::Element::End { host, .. } => format!("tunnel-end {host}"),
            bgp_blocks::Element::Node
            | bgp_blocks::Element::Pool { .. }
            | bgp_blocks::Element::Block { .. } => error.element.to_string(),
        };
        let span = at.of_item(key, error.item());
        reader.push(Severity::Error, &element, span, error.complaint(), related);
    }
}

fn key_in_file(error: &SettingsFault) -> &'static str {
    written_as(error.key())
}

/// The rules of a node speak of its addresses; the file has them under `address`.
fn written_as(key: &'static str) -> &'static str {
    if key == "addresses" { "address" } else { key }
}
