//! The speaker of a node behind one trait: ours, and others' as yardsticks.
//!
//! [`Terms`] say what the speaker is told, in words that no daemon uses: which node it is, which
//! blocks it owns, how packets are wrapped and with whom it speaks. A [`NodeSpeaker`] writes that
//! in its own language, and does what the scripted failures ask for.
//!
//! | file | what it holds |
//! |---|---|
//! | `ours` | `bgp-node` |
//! | `bird` | BIRD 2, set up as Calico sets it up |
//!
//! # Invariants
//!
//! - Blocks belong to the speaker, not to a run of it: what is given or taken while it does not run
//!   is in force after its next start.
//! - No speaker is told anything that a real node would not know.

mod bird;
mod ours;

use super::plan::{Encapsulation, NodeNumber, Site};
use crate::capability::Need;
use crate::daemons::Brand;
use crate::netns::Namespace;
use crate::{Error, Result};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long a speaker may take to end when it is asked to.
pub const END_LIMIT: Duration = Duration::from_secs(10);

/// What a peer is to a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PeerKind {
    /// A reflector of our AS.
    Reflector,
    /// Another node of a full mesh.
    Node,
    /// The top-of-rack router, of another AS.
    Router,
}

/// A peer of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// A word of letters, digits and hyphens.
    pub name: String,
    /// Where it stands.
    pub site: Site,
    /// What it is.
    pub kind: PeerKind,
}

/// What a speaker is told.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which node it is.
    pub node: NodeNumber,
    /// The families it exchanges, each on a session of its own.
    pub families: Vec<Family>,
    /// How packets between nodes are wrapped.
    pub encapsulation: Encapsulation,
    /// All nodes of the cluster, itself included.
    pub nodes: Vec<NodeNumber>,
    /// With whom it speaks.
    pub peers: Vec<Peer>,
    /// The blocks it owns.
    pub blocks: Vec<IpNet>,
}

/// A speaker on a node.
pub trait NodeSpeaker: Send {
    /// What it is told at present.
    fn terms(&self) -> &Terms;

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started or does not answer.
    fn start(&mut self) -> Result<()>;

    /// Ends it as a crash would.
    fn kill(&mut self);

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// When it does not end in time.
    fn terminate(&mut self) -> Result<()>;

    /// Gives it exactly these blocks; at once while it runs.
    ///
    /// # Errors
    /// When it refuses.
    fn set_blocks(&mut self, blocks: &[IpNet]) -> Result<()>;

    /// How many of its sessions are Established.
    ///
    /// # Errors
    /// When it does not answer.
    fn established(&self) -> Result<usize>;

    /// Makes it read a file that is no configuration, puts the right one back, and answers what it
    /// said to the person who asked.
    ///
    /// # Errors
    /// When it took the broken file, or the file cannot be written.
    fn reload_broken(&mut self) -> Result<String>;

    /// All that it has told a person about `word` by itself: lines of its log and of its questions
    /// about conflicts.
    fn words_about(&self, word: &str) -> Vec<String>;

    /// What it finds wrong when it compares the kernel with what it wants; `None` when nothing is,
    /// or when it has no such question.
    ///
    /// # Errors
    /// When it does not answer.
    fn audit(&self) -> Result<Option<String>>;

    /// Lets its routes go through nexthop objects from its next start on, or no longer; answers
    /// whether it can do that.
    fn use_next_hop_objects(&mut self, use_them: bool) -> bool;

    /// Commands for a person who explores the node.
    fn explore(&self) -> Vec<String>;

    /// The end of its output, for messages.
    fn tail(&self) -> String;
}

/// Which speaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Make {
    /// `bgp-node`.
    Ours,
    /// BIRD 2.
    Bird,
}

impl Make {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Bird];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Bird => "bird",
        }
    }

    /// What the machine must have to run it.
    pub fn needs(self) -> &'static [Need] {
        match self {
            Self::Ours => &[Need::Namespaces],
            Self::Bird => Brand::Bird.needs(),
        }
    }

    /// Why it cannot serve a cluster with this encapsulation; `None` when it can.
    pub fn objection(self, encapsulation: Encapsulation) -> Option<&'static str> {
        match (self, encapsulation) {
            (Self::Bird, Encapsulation::Vxlan) => Some(
                "BIRD makes no neighbour and forwarding entries for VXLAN (in Calico, Felix does): \
                 use another speaker or another encapsulation",
            ),
            (Self::Ours | Self::Bird, _) => None,
        }
    }

    /// One of it in `namespace`, not started yet, with its files in `dir`.
    pub fn install(
        self,
        terms: Terms,
        namespace: Arc<Namespace>,
        dir: PathBuf,
    ) -> Box<dyn NodeSpeaker> {
        match self {
            Self::Ours => Box::new(ours::Ours::new(terms, namespace, dir)),
            Self::Bird => Box::new(bird::Bird::new(terms, namespace, dir)),
        }
    }
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Make {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.word() == word).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|one| one.word()).collect();
            format!("`{word}` is none of {}", words.join(", "))
        })
    }
}

/// Writes a configuration; a speaker that reads it meanwhile sees the old or the new one.
fn write_file(path: &Path, text: &str) -> Result<()> {
    let failed = |source| Error::System {
        what: format!("writing {}", path.display()),
        source,
    };
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

/// The lines of `log` with `word` in them.
fn lines_about(log: &str, word: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains(word));
    lines.map(str::to_owned).collect()
}
