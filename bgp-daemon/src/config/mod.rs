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
mod peer;
mod policy;
mod print;
mod router;
mod section;
mod value;

use crate::host::Host;
use bgp_core::complaint::Complaint;
use bgp_core::config::{Config, DynamicGroup, Element, PeerSettings};
use bgp_core::policy::Policy;
pub use diagnostic::{Diagnostic, Report, Severity, Span};
use policy::Policies;
use section::{Places, Reader, Section};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

/// Largest configuration file, in octets. A larger one is refused unread.
pub const MAX_FILE: u64 = 16 << 20;

/// Everything that the file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DaemonConfig {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// What the engine runs on.
    pub speaker: Config,
    /// The policies of the file, used or not; without the built-in ones.
    pub policies: Vec<Arc<Policy>>,
}

/// A valid configuration, and what is worth a second look in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: DaemonConfig,
    /// Warnings alone.
    pub warnings: Report,
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
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is larger than [`MAX_FILE`], or [`DaemonConfig::parse`] refuses it.
    pub fn load(path: &Path, host: &Host) -> Result<Loaded, LoadError> {
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
        Self::parse(&source, &name, host).map_err(|report| LoadError::Refused(Box::new(report)))
    }

    /// Reads the text `source`, which messages call `file`. What it leaves out and only the host
    /// can tell comes from `host`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(source: &str, file: &str, host: &Host) -> Result<Loaded, Report> {
        let mut reader = Reader {
            source,
            diagnostics: Vec::new(),
        };
        let (document, syntax) = DeTable::parse_recoverable(source);
        let config = if syntax.is_empty() {
            read_document(document.get_ref(), host, &mut reader)
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
            }),
            Some(_) | None => Err(report),
        }
    }

    /// What runs when no file is named: clients of the private AS 64512 that connect from this
    /// host itself.
    pub fn built_in(host: &Host, listen: Vec<SocketAddr>) -> Self {
        let asn = bgp_core::types::Asn(64_512);
        let router = bgp_core::config::Router {
            host_name: host.name.clone(),
            ..bgp_core::config::Router::new(asn, host.router_id)
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
#[derive(Default)]
struct Origins {
    router: Places,
    peers: Vec<Places>,
    groups: Vec<Places>,
}

fn read_document(
    document: &DeTable<'_>,
    host: &Host,
    reader: &mut Reader<'_>,
) -> Option<DaemonConfig> {
    let mut root = Section::new("", document, 0..0);
    let router = router::read(&mut root, host, reader);
    let policies = Policies::read(&mut root, reader);
    let groups = peer::read_groups(&mut root, reader);
    let peers = peer::read_peers(&mut root, reader);
    root.finish(reader);
    let router = router?;

    let mut origins = Origins {
        router: router.places,
        ..Origins::default()
    };
    let mut config = Config::new(router.router);
    let mut resolver = peer::Resolver::new(config.router.asn, &policies, &groups, reader);
    for raw in &groups {
        if let Some((group, places)) = resolver.dynamic(raw) {
            config.dynamic.push(group);
            origins.groups.push(places);
        }
    }
    for raw in peers {
        if let Some((peer, places)) = resolver.peer(raw) {
            config.peers.push(peer);
            origins.peers.push(places);
        }
    }
    resolver.warn_unused();
    check(&config, &origins, reader);
    Some(DaemonConfig {
        listen: router.listen,
        speaker: config,
        policies: policies.into_vec(),
    })
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
        let element = error.element.to_string();
        let span = places.of_item(key, error.fault.item());
        reader.push(Severity::Error, &element, span, error.complaint(), related);
    }
}
