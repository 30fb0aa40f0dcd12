//! Other people's daemons behind one trait.
//!
//! Each runs in the foreground in a namespace of its own, is told what to announce in its own
//! language, and is asked for what it has received through its own command line. [`Daemon`] hides
//! the differences; the files below hold one daemon each, with what a test must know about it.
//!
//! # Invariants
//!
//! - What was announced is kept in the [`Host`], so a daemon that was killed announces the same
//!   after its next start.
//! - [`Daemon::routes`] answers what came in from peers, never the daemon's own routes.
//! - A daemon knows nothing about reflection: every peer of it is plain iBGP or eBGP.

mod bird;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;

pub(crate) use bird::channel;

use crate::capability::{self, Need};
use crate::netns::Namespace;
use crate::process::ask;
use crate::route::{Announcement, ReceivedRoute};
use crate::{During, Error, Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A daemon that can be started, spoken to and killed.
pub trait Daemon {
    /// Where it runs and what it is told.
    fn host(&self) -> &Host;

    /// Starts it, with everything that was announced so far.
    ///
    /// # Errors
    /// When it cannot be started or does not answer.
    fn start(&mut self) -> Result<()>;

    /// Ends it as a crash would; its connections close.
    fn kill(&mut self);

    /// Announces `route`, in the place of an earlier one to the same prefix.
    ///
    /// # Errors
    /// When it refuses.
    fn announce(&mut self, route: &Announcement) -> Result<()>;

    /// Withdraws the route to `prefix`.
    ///
    /// # Errors
    /// When it refuses.
    fn withdraw(&mut self, prefix: IpNet) -> Result<()>;

    /// Whether the session with `peer` is Established.
    ///
    /// # Errors
    /// When it does not answer.
    fn established(&self, peer: &Peer) -> Result<bool>;

    /// What it has received from all its peers, sorted.
    ///
    /// # Errors
    /// When it does not answer, or in a form that we cannot read.
    fn routes(&self) -> Result<Vec<ReceivedRoute>>;

    /// The end of its output, for messages.
    fn tail(&self) -> String;

    /// Makes it try again at once where it would wait for long after a lost session.
    ///
    /// # Errors
    /// When it does not answer.
    fn nudge(&self) -> Result<()> {
        Ok(())
    }

    /// Waits until all its sessions are Established.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    fn wait_established(&self, limit: Duration) -> Result<()> {
        let name = &self.host().setup.name;
        wait::until(&format!("the sessions of {name}"), limit, || {
            self.nudge().map_err(|error| error.to_string())?;
            for peer in &self.host().setup.peers {
                match self.established(peer) {
                    Ok(true) => {}
                    Ok(false) => return Err(format!("{}; {}", peer.name, self.tail())),
                    Err(error) => return Err(format!("{error}; {}", self.tail())),
                }
            }
            Ok(())
        })
    }
}

/// Which daemon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Brand {
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
    /// GoBGP.
    GoBgp,
    /// OpenBGPD.
    OpenBgpd,
    /// ExaBGP.
    ExaBgp,
}

impl Brand {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Bird,
        Self::Frr,
        Self::GoBgp,
        Self::OpenBgpd,
        Self::ExaBgp,
    ];

    /// A word for names and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::GoBgp => "gobgp",
            Self::OpenBgpd => "openbgpd",
            Self::ExaBgp => "exabgp",
        }
    }

    /// What the machine must have to run it.
    pub fn needs(self) -> &'static [Need] {
        match self {
            Self::Bird => &[Need::Namespaces, Need::Program(bird::PROGRAM, "bird2")],
            Self::Frr => &[
                Need::Namespaces,
                Need::Program(frr::BGPD, "frr"),
                Need::Root,
            ],
            Self::GoBgp => &[Need::Namespaces, Need::Program(gobgp::PROGRAM, "gobgpd")],
            Self::OpenBgpd => &[
                Need::Namespaces,
                Need::Program(openbgpd::PROGRAM, "openbgpd"),
                Need::Root,
            ],
            Self::ExaBgp => &[Need::Namespaces, Need::Program(exabgp::PROGRAM, "exabgp")],
        }
    }

    /// Those that can run on this machine; what `test` has to do without is recorded as skipped.
    pub fn available(test: &str) -> Vec<Self> {
        let brands = Self::ALL.into_iter();
        brands
            .filter(|brand| {
                let part = format!("{test} with {}", brand.word());
                capability::need(&part, brand.needs())
            })
            .collect()
    }

    /// One of it on `host`, not started yet.
    pub fn install(self, host: Host) -> Box<dyn Daemon> {
        match self {
            Self::Bird => Box::new(bird::Bird::new(host)),
            Self::Frr => Box::new(frr::Frr::new(host)),
            Self::GoBgp => Box::new(gobgp::GoBgp::new(host)),
            Self::OpenBgpd => Box::new(openbgpd::OpenBgpd::new(host)),
            Self::ExaBgp => Box::new(exabgp::ExaBgp::new(host)),
        }
    }
}

/// How a daemon is set up as a speaker.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its name, for files and messages.
    pub name: String,
    /// Its AS.
    pub asn: u32,
    /// Its BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Its IPv4 address: the next hop of its IPv4 routes.
    pub v4: Ipv4Addr,
    /// Its IPv6 address: the next hop of its IPv6 routes.
    pub v6: Ipv6Addr,
    /// With whom it speaks.
    pub peers: Vec<Peer>,
}

impl Setup {
    /// Where it connects to `peer` from.
    pub fn local_address(&self, peer: &Peer) -> IpAddr {
        match peer.address {
            IpAddr::V4(_) => self.v4.into(),
            IpAddr::V6(_) => self.v6.into(),
        }
    }

    /// The next hop of its own routes to `prefix`.
    pub fn next_hop(&self, prefix: &IpNet) -> IpAddr {
        match prefix {
            IpNet::V4(_) => self.v4.into(),
            IpNet::V6(_) => self.v6.into(),
        }
    }
}

/// One of a daemon's peers.
#[derive(Clone, Debug)]
pub struct Peer {
    /// A word of letters and digits.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its AS: the daemon's own makes the session internal.
    pub asn: u32,
    /// The families to exchange.
    pub families: Vec<Family>,
}

/// Where a daemon runs, what it is told, and what it shall announce.
#[derive(Debug)]
pub struct Host {
    /// How it is set up.
    pub setup: Setup,
    namespace: Arc<Namespace>,
    dir: PathBuf,
    announced: BTreeMap<IpNet, Announcement>,
}

impl Host {
    /// A host in `namespace` that keeps its files in a new folder `NAME` below `parent`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(setup: Setup, namespace: Arc<Namespace>, parent: &Path) -> Result<Self> {
        let dir = parent.join(&setup.name);
        fs::create_dir(&dir).during(|| format!("making {}", dir.display()))?;
        Ok(Self {
            setup,
            namespace,
            dir,
            announced: BTreeMap::new(),
        })
    }

    /// Puts `route` on the list of what is announced, before or after the start.
    pub fn add(&mut self, route: &Announcement) {
        self.announced.insert(route.prefix, route.clone());
    }

    /// Takes `prefix` off that list.
    pub fn remove(&mut self, prefix: &IpNet) {
        self.announced.remove(prefix);
    }

    /// What is announced, by prefix.
    pub fn announced(&self) -> impl Iterator<Item = &Announcement> {
        self.announced.values()
    }

    /// The namespace it runs in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a file in its folder.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Writes a file that only its owner can read (OpenBGPD insists), and answers its path.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(file);
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .during(|| format!("setting the mode of {}", path.display()))?;
        Ok(path)
    }

    /// Runs a command in its namespace and answers what it wrote.
    pub(crate) fn ask(&self, command: Command) -> Result<String> {
        ask(&self.namespace, command)
    }

    /// The error for an answer that cannot be read.
    pub(crate) fn unreadable(&self, why: &str, answer: &str) -> Error {
        Error::Answer {
            who: self.setup.name.clone(),
            why: why.to_owned(),
            answer: answer.to_owned(),
        }
    }

    /// Reads an answer in JSON.
    pub(crate) fn json(&self, answer: &str) -> Result<serde_json::Value> {
        serde_json::from_str(answer).map_err(|error| self.unreadable(&error.to_string(), answer))
    }
}
