//! BIRD 2 as a route reflector.
//!
//! It trusts next hops as a pure reflector does: what cannot be resolved is reflected all the
//! same. Its listen backlog is 8, so that a storm of clients meets SYN retransmissions.

use super::{END_LIMIT, Peer, Range, Reflector, Setup, Terms};
use crate::daemons::channel;
use crate::netns::Namespace;
use crate::process::{Process, ask};
use crate::{During, Error, Result, wait};
use bgp_core::prefix::IpNet;
use bgp_core::types::PeerRole;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const PROGRAM: &str = "/usr/sbin/bird";
const CLIENT: &str = "/usr/sbin/birdc";

/// How long it may take to open its control socket.
const START_LIMIT: Duration = Duration::from_secs(10);

/// BIRD in the middle.
pub struct BirdReflector {
    setup: Setup,
    namespace: Arc<Namespace>,
    dir: PathBuf,
    process: Option<Process>,
}

impl BirdReflector {
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

    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(CLIENT);
        command.arg("-s").arg(self.dir.join("bird.ctl")).args(words);
        ask(&self.namespace, command)
    }
}

impl Reflector for BirdReflector {
    fn start(&mut self) -> Result<()> {
        let path = self.dir.join("bird.conf");
        let mut text = String::new();
        write_configuration(&self.setup, &mut text)
            .map_err(|error| Error::Check(error.to_string()))?;
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
        let mut command = Command::new(PROGRAM);
        command.args(["-f", "-c", "bird.conf", "-s", "bird.ctl", "-P", "bird.pid"]);
        self.process = Some(Process::start(&self.namespace, "bird", &self.dir, command)?);
        wait::until("BIRD's control socket", START_LIMIT, || {
            self.ask(&["show", "status"])
                .map(drop)
                .map_err(|error| format!("{error}; {}", self.tail()))
        })
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
        let answer = self.ask(&["show", "protocols"])?;
        Ok(answer
            .lines()
            .filter(|line| line.contains("Established"))
            .count())
    }

    fn tail(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, Process::tail)
    }
}

fn write_configuration(setup: &Setup, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "router id {};\nlog stderr all;\nprotocol device {{ }}",
        setup.router_id
    )?;
    for peer in &setup.peers {
        write_peer(setup, peer, text)?;
    }
    for range in &setup.ranges {
        write_range(setup, range, text)?;
    }
    Ok(())
}

fn write_peer(setup: &Setup, peer: &Peer, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "protocol bgp peer_{} {{\n  neighbor {} as {};",
        peer.name.replace('-', "_"),
        peer.address,
        peer.terms.asn
    )?;
    if peer.passive {
        writeln!(text, "  passive;")?;
    }
    write_terms(setup, peer.address.is_ipv4(), &peer.terms, text)
}

fn write_range(setup: &Setup, range: &Range, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "protocol bgp range_{name} {{\n  neighbor range {} as {};\n  dynamic name \"dynamic_{name}_\";",
        range.accept,
        range.terms.asn,
        name = range.name.replace('-', "_"),
    )?;
    if range.terms.role == PeerRole::External {
        writeln!(text, "  multihop;")?;
    }
    write_terms(
        setup,
        matches!(range.accept, IpNet::V4(_)),
        &range.terms,
        text,
    )
}

fn write_terms(setup: &Setup, ipv4: bool, terms: &Terms, text: &mut String) -> std::fmt::Result {
    if let Some(local) = setup.listen.iter().find(|local| local.is_ipv4() == ipv4) {
        writeln!(text, "  source address {local}; strict bind;")?;
    }
    writeln!(
        text,
        "  local as {};\n  hold time {};\n  graceful restart;\n  connect retry time 1; connect delay time 1; error wait time 1, 2;",
        setup.asn, setup.hold_time
    )?;
    let internal = match terms.role {
        PeerRole::Client => {
            writeln!(text, "  rr client; rr cluster id {};", setup.cluster_id)?;
            true
        }
        PeerRole::NonClient => {
            writeln!(text, "  rr cluster id {};", setup.cluster_id)?;
            true
        }
        PeerRole::External => false,
    };
    for family in &terms.families {
        let channel = channel(*family);
        let gateway = if internal {
            format!(
                "gateway recursive; igp table master{};",
                channel.trim_start_matches("ipv")
            )
        } else {
            String::new()
        };
        writeln!(text, "  {channel} {{ import all; export all; {gateway} }};")?;
    }
    writeln!(text, "}}")
}
