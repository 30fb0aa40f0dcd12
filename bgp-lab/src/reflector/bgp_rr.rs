//! `bgp-rr`, the product: started with a TOML file, asked through `bgpctl --json`.
//!
//! The binaries are those of the same build as the running test, unless `BGP_RR_BIN` and
//! `BGPCTL_BIN` name others.

use super::{END_LIMIT, Peer, Range, Reflector, Setup, Terms};
use crate::netns::Namespace;
use crate::process::{Process, ask};
use crate::{During, Error, Result, wait};
use bgp_core::types::PeerRole;
use serde_json::Value;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How long it may take to open its admin socket.
const START_LIMIT: Duration = Duration::from_secs(20);

/// `bgp-rr` in the middle.
pub struct BgpRr {
    setup: Setup,
    namespace: Arc<Namespace>,
    dir: PathBuf,
    process: Option<Process>,
}

impl BgpRr {
    /// A reflector that is not started yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new(setup: Setup, namespace: Arc<Namespace>, parent: &Path) -> Result<Self> {
        let dir = parent.join("reflector");
        fs::create_dir(&dir).during(|| format!("making {}", dir.display()))?;
        Ok(Self {
            setup,
            namespace,
            dir,
            process: None,
        })
    }

    /// Asks the admin client for `words`, in JSON.
    ///
    /// # Errors
    /// When it fails, or its answer is not JSON.
    pub fn query(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(binary("bgpctl", "BGPCTL_BIN")?);
        command
            .arg("--json")
            .arg("--socket")
            .arg(self.dir.join("admin.sock"))
            .args(words);
        let answer = ask(&self.namespace, command)?;
        serde_json::from_str(&answer).map_err(|error| Error::Answer {
            who: "bgpctl".to_owned(),
            why: error.to_string(),
            answer,
        })
    }

    /// All that it has written so far.
    pub fn output(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, Process::output)
    }
}

impl Reflector for BgpRr {
    fn start(&mut self) -> Result<()> {
        let path = self.dir.join("bgp-rr.toml");
        let mut text = String::new();
        write_configuration(&self.setup, &mut text)
            .map_err(|error| Error::Check(error.to_string()))?;
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
        let mut command = Command::new(binary("bgp-rr", "BGP_RR_BIN")?);
        command
            .arg("--config")
            .arg(path)
            .arg("--admin-socket")
            .arg(self.dir.join("admin.sock"));
        let mut process = Process::start(&self.namespace, "bgp-rr", &self.dir, command)?;
        wait::until("bgp-rr's admin socket", START_LIMIT, || {
            process.check_alive().map_err(|error| error.to_string())?;
            self.query(&["peers"])
                .map(drop)
                .map_err(|error| format!("{error}; {}", process.tail()))
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn terminate(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.terminate(END_LIMIT),
            None => Ok(()),
        }
    }

    fn check_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_alive)
    }

    fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    fn established(&self) -> Result<usize> {
        let answer = self.query(&["peers"])?;
        let peers = answer.as_array().map_or(&[][..], Vec::as_slice);
        Ok(peers
            .iter()
            .filter(|peer| {
                let state = peer["state"].as_str().unwrap_or_default();
                state.eq_ignore_ascii_case("established")
            })
            .count())
    }

    fn tail(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, Process::tail)
    }
}

/// The path of one of the project's binaries: from the environment, or beside the running test.
///
/// # Errors
/// [`Error::NotBuilt`].
pub fn binary(name: &'static str, variable: &'static str) -> Result<PathBuf> {
    let path = match env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        // …/target/PROFILE/deps/TEST, or …/target/PROFILE/BINARY
        None => env::current_exe()
            .during(|| "asking for the path of this program".to_owned())?
            .ancestors()
            .skip(1)
            .map(|folder| folder.join(name))
            .take(2)
            .find(|path| path.exists())
            .unwrap_or_else(|| PathBuf::from(name)),
    };
    if path.exists() {
        Ok(path)
    } else {
        Err(Error::NotBuilt {
            name,
            path,
            variable,
        })
    }
}

fn write_configuration(setup: &Setup, text: &mut String) -> std::fmt::Result {
    let listen: Vec<String> = setup
        .listen
        .iter()
        .map(|address| format!("\"{}\"", std::net::SocketAddr::new(*address, 179)))
        .collect();
    writeln!(
        text,
        "[router]\nas = {}\nrouter-id = \"{}\"\ncluster-id = \"{}\"\nlisten = [{}]",
        setup.asn,
        setup.router_id,
        setup.cluster_id,
        listen.join(", "),
    )?;
    for range in &setup.ranges {
        write_range(setup, range, text)?;
    }
    for peer in &setup.peers {
        write_peer(setup, peer, text)?;
    }
    let terms = setup.peers.iter().map(|peer| &peer.terms);
    let mut terms = terms.chain(setup.ranges.iter().map(|range| &range.terms));
    if terms.any(|terms| terms.role == PeerRole::External) {
        writeln!(
            text,
            "\n[[policy]]\nname = \"everything\"\ndefault = \"accept\""
        )?;
    }
    Ok(())
}

fn write_range(setup: &Setup, range: &Range, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n[[group]]\nname = \"{}\"", range.name)?;
    writeln!(
        text,
        "accept = [\"{}\"]\naccept-limit = {}",
        range.accept, range.limit
    )?;
    write_terms(setup, &range.terms, text)
}

fn write_peer(setup: &Setup, peer: &Peer, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n[[peer]]\nname = \"{}\"", peer.name)?;
    writeln!(
        text,
        "address = \"{}\"\npassive = {}\nconnect-retry = 1",
        peer.address, peer.passive
    )?;
    write_terms(setup, &peer.terms, text)
}

fn write_terms(setup: &Setup, terms: &Terms, text: &mut String) -> std::fmt::Result {
    let families: Vec<String> = terms
        .families
        .iter()
        .map(|family| format!("\"{family}\""))
        .collect();
    writeln!(
        text,
        "remote-as = {}\nhold-time = {}\nfamilies = [{}]",
        terms.asn,
        setup.hold_time,
        families.join(", ")
    )?;
    match terms.role {
        PeerRole::Client => writeln!(text, "role = \"client\""),
        PeerRole::NonClient => writeln!(text, "role = \"non-client\""),
        PeerRole::External => writeln!(
            text,
            "role = \"external\"\nimport = \"everything\"\nexport = \"everything\""
        ),
    }
}
