//! The router under test behind one trait, and BIRD in its place as our yardstick.
//!
//! [`Setup`] says what the reflector is told: who it is, its configured peers and the ranges from
//! which it accepts others. [`Make::install`] writes that in the language of `bgp-rr` or of BIRD,
//! so that every test can be run with either: where BIRD fails a row too, the row deserves a
//! second look; where only we do, the fault is ours.
//!
//! | file | what it holds |
//! |---|---|
//! | `bgp_rr` | ours: TOML, `bgp-rr --config`, `bgpctl --json` |
//! | `bird` | BIRD 2: its configuration language, `birdc` |
//!
//! # Invariants
//!
//! - A reflector listens on the addresses of its [`Setup`] alone, within its namespace.
//! - External peers get a policy that lets everything pass: what RFC 8212 refuses by default is
//!   the business of other tests.
//!
//! RFC 4456 names the roles of peers; which routes they must get is said in `topology`.

mod bgp_rr;
mod bird;

pub use bgp_rr::{BgpRr, binary};
pub use bird::BirdReflector;

use crate::Result;
use crate::capability::Need;
use crate::netns::Namespace;
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use bgp_core::types::PeerRole;
use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The environment variable that chooses the reflector: `bgp-rr` (the default) or `bird`.
pub const REFLECTOR_VARIABLE: &str = "BGP_LAB_REFLECTOR";

/// How long a reflector may take to end when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A reflector that can be started, asked and ended.
pub trait Reflector {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started, refuses its configuration or does not answer.
    fn start(&mut self) -> Result<()>;

    /// Ends it as a crash would.
    fn kill(&mut self);

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not end in time.
    fn terminate(&mut self) -> Result<()>;

    /// Fails when it has ended by itself.
    ///
    /// # Errors
    /// With the end of its output.
    fn check_alive(&mut self) -> Result<()>;

    /// Its process id, while it runs.
    fn id(&self) -> Option<u32>;

    /// How many of its sessions are Established.
    ///
    /// # Errors
    /// When it does not answer.
    fn established(&self) -> Result<usize>;

    /// The end of its output, for messages.
    fn tail(&self) -> String;
}

/// What the reflector is told.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its AS.
    pub asn: u32,
    /// Its BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Its cluster.
    pub cluster_id: Ipv4Addr,
    /// Where it listens, on port 179.
    pub listen: Vec<IpAddr>,
    /// The hold time that it proposes, in seconds.
    pub hold_time: u16,
    /// Peers with an address of their own.
    pub peers: Vec<Peer>,
    /// From where others are accepted.
    pub ranges: Vec<Range>,
}

/// A configured peer of the reflector.
#[derive(Clone, Debug)]
pub struct Peer {
    /// A word of letters, digits and hyphens.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Whether the reflector only waits for it.
    pub passive: bool,
    /// The rest.
    pub terms: Terms,
}

/// Peers accepted by prefix.
#[derive(Clone, Debug)]
pub struct Range {
    /// A word of letters, digits and hyphens.
    pub name: String,
    /// From where.
    pub accept: IpNet,
    /// At most this many.
    pub limit: usize,
    /// The rest.
    pub terms: Terms,
}

/// What a peer is to the reflector.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its AS.
    pub asn: u32,
    /// Its role. External peers get a policy that accepts everything both ways.
    pub role: PeerRole,
    /// The families to exchange.
    pub families: Vec<Family>,
}

/// Which reflector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Make {
    /// Ours.
    BgpRr,
    /// BIRD 2.
    Bird,
}

impl Make {
    /// The one that `BGP_LAB_REFLECTOR` names; ours when it is not set.
    pub fn from_environment() -> Self {
        match env::var(REFLECTOR_VARIABLE) {
            Ok(name) if name == "bird" => Self::Bird,
            Ok(_) | Err(_) => Self::BgpRr,
        }
    }

    /// What the machine must have to run it.
    pub fn needs(self) -> &'static [Need] {
        match self {
            Self::BgpRr => &[Need::Namespaces],
            Self::Bird => crate::daemons::Brand::Bird.needs(),
        }
    }

    /// One of it in `namespace`, not started yet; its files go to a new folder below `parent`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn install(
        self,
        setup: Setup,
        namespace: Arc<Namespace>,
        parent: &Path,
    ) -> Result<Box<dyn Reflector>> {
        Ok(match self {
            Self::BgpRr => Box::new(BgpRr::new(setup, namespace, parent)?),
            Self::Bird => Box::new(BirdReflector::new(setup, namespace, parent)?),
        })
    }
}
