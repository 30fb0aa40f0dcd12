//! The test laboratory: real daemons, thousands of light clients and hand-made bytes, each in
//! network namespaces of their own.
//!
//! A test builds a small network, starts `bgp-rr` (or BIRD, which is our yardstick) in the middle
//! of it, lets others speak to it, and compares what they heard with what the RFCs demand.
//!
//! # Rooms
//!
//! | room | what it holds |
//! |---|---|
//! | [`netns`] | nameless network namespaces and a LAN between them |
//! | [`process`] | daemons with captured output that never outlive the test |
//! | [`wait`] | polling with a deadline and a reason |
//! | [`route`] | what a speaker announces, and what one has received |
//! | [`daemons`] | BIRD, FRR, GoBGP, OpenBGPD and ExaBGP behind one trait |
//! | [`reflector`] | the router under test behind one trait |
//! | [`topology`] | one reflector and daemons around it on one LAN |
//! | [`octets`] | messages by hand, independent of the codec under test |
//! | [`wire_peer`] | one blocking speaker that sends any octets and records all it hears |
//! | [`swarm`] | thousands of clients in one thread |
//! | [`cluster`] | racks, nodes, workloads: a whole cluster, its pings and its failures |
//! | [`capability`] | what this machine lacks, and the list of what was skipped for it |
//!
//! # Invariants
//!
//! - Nothing is left behind, even by a test that was killed: namespaces have no names and end with
//!   their last file descriptor; daemons carry the parent-death signal.
//! - No fixed sleeps: every wait polls a condition, has a deadline, and says what it still missed.
//! - No listening socket and no route outside the namespaces of the test.
//! - A test that cannot run says so through [`capability::skip`], never by passing silently.
//!
//! This crate is for tests and measurements; nothing that ships depends on it.

pub mod capability;
pub mod cluster;
pub mod daemons;
pub mod netns;
pub mod octets;
pub mod process;
pub mod reflector;
pub mod route;
pub mod swarm;
pub mod topology;
pub mod wait;
pub mod wire_peer;

use std::path::PathBuf;
use std::time::Duration;

/// What can go wrong in the laboratory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A command ended with a failure.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// What it wrote to both of its outputs.
        output: String,
    },
    /// Something did not come about in time.
    #[error("waited {waited:?} for {what}; still: {missing}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What was missing when it was last looked at.
        missing: String,
    },
    /// A daemon answered in a form that we cannot read.
    #[error("cannot read the answer of {who}: {why}\n{answer}")]
    Answer {
        /// Who answered.
        who: String,
        /// What is wrong with the answer.
        why: String,
        /// The answer.
        answer: String,
    },
    /// A binary of this project has not been built.
    #[error("{name} is not at {path}: build it first, or name it in {variable}")]
    NotBuilt {
        /// The binary.
        name: &'static str,
        /// Where it was expected.
        path: PathBuf,
        /// The environment variable that may name it.
        variable: &'static str,
    },
    /// Something is not as the test demands.
    #[error("{0}")]
    Check(String),
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds to a system error what was being done.
pub(crate) trait During<T> {
    /// Names the step that failed.
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::System {
            what: what(),
            source,
        })
    }
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::System {
            what: what(),
            source: errno.into(),
        })
    }
}

/// Fails with `message` unless `condition` holds.
///
/// # Errors
/// [`Error::Check`] with the message.
pub fn check(condition: bool, message: impl FnOnce() -> String) -> Result<()> {
    if condition {
        Ok(())
    } else {
        Err(Error::Check(message()))
    }
}
