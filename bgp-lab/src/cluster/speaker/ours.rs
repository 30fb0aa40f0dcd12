//! `bgp-node`, the product: one TOML file, and `bgpctl` for everything else.
//!
//! Blocks are changed in the file and loaded from there, so that a speaker that does not run
//! learns of them as well. The router is told what is the node's own alone, by a policy: it would
//! send others' traffic through us otherwise.

use super::{END_LIMIT, NodeSpeaker, Peer, PeerKind, Terms, lines_about, write_file};
use crate::cluster::plan::{ASN, Encapsulation, HOLD_TIME, TOR_ASN, block_length, pool};
use crate::netns::Namespace;
use crate::process::{Process, ask};
use crate::reflector::binary;
use crate::{Error, Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(20);
const CONFIGURATION: &str = "bgp-node.toml";
const SOCKET: &str = "admin.sock";

/// `bgp-node` on a node.
pub(super) struct Ours {
    terms: Terms,
    namespace: Arc<Namespace>,
    dir: PathBuf,
    process: Option<Process>,
}

impl Ours {
    pub(super) fn new(terms: Terms, namespace: Arc<Namespace>, dir: PathBuf) -> Self {
        Self {
            terms,
            namespace,
            dir,
            process: None,
        }
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(binary("bgpctl", "BGPCTL_BIN")?);
        command
            .arg("--socket")
            .arg(self.dir.join(SOCKET))
            .args(words);
        ask(&self.namespace, command)
    }

    /// The rows of a question.
    fn rows(&self, words: &[&str]) -> Result<Vec<Value>> {
        let answer = self.ask(&[&["--json"], words].concat())?;
        let value: Value = serde_json::from_str(&answer).map_err(|error| Error::Answer {
            who: self.terms.node.name(),
            why: error.to_string(),
            answer,
        })?;
        Ok(value.as_array().cloned().unwrap_or_default())
    }

    fn write_configuration(&self) -> Result<()> {
        let text = configuration(&self.terms).map_err(|error| Error::Check(error.to_string()))?;
        write_file(&self.dir.join(CONFIGURATION), &text)
    }
}

impl NodeSpeaker for Ours {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn start(&mut self) -> Result<()> {
        self.write_configuration()?;
        let mut command = Command::new(binary("bgp-node", "BGP_NODE_BIN")?);
        command
            .args(["--config", CONFIGURATION, "--state", "state"])
            .arg("--admin-socket")
            .arg(self.dir.join(SOCKET));
        let mut process = Process::start(&self.namespace, "bgp-node", &self.dir, command)?;
        wait::until("bgp-node's admin socket", START_LIMIT, || {
            process.check_alive().map_err(|error| error.to_string())?;
            std::os::unix::net::UnixStream::connect(self.dir.join(SOCKET))
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

    fn set_blocks(&mut self, blocks: &[IpNet]) -> Result<()> {
        self.terms.blocks = blocks.to_vec();
        self.write_configuration()?;
        if self.process.is_none() {
            return Ok(());
        }
        self.ask(&["reload"]).map(drop)
    }

    fn established(&self) -> Result<usize> {
        let peers = self.rows(&["peers"])?;
        let up = peers.iter().filter(|peer| {
            let state = peer["state"].as_str().unwrap_or_default();
            state.eq_ignore_ascii_case("established")
        });
        Ok(up.count())
    }

    fn reload_broken(&mut self) -> Result<String> {
        let broken = "[node]\nas = 64512\naddress = \"10.99.1.300/24\"\n";
        write_file(&self.dir.join(CONFIGURATION), broken)?;
        let answer = self.ask(&["reload"]);
        self.write_configuration()?;
        match answer {
            Ok(answer) => Err(Error::Check(format!("it took the broken file: {answer}"))),
            Err(Error::Command { output, .. }) => Ok(output),
            Err(error) => Err(error),
        }
    }

    fn words_about(&self, word: &str) -> Vec<String> {
        let log = self.process.as_ref().map(Process::output);
        let mut words = lines_about(&log.unwrap_or_default(), word);
        let conflicts = self.rows(&["conflicts"]).unwrap_or_default();
        let rows: Vec<String> = conflicts.iter().map(Value::to_string).collect();
        words.extend(lines_about(&rows.join("\n"), word));
        words
    }

    fn explore(&self) -> Vec<String> {
        ["node", "fib", "block list", "peers"]
            .map(|question| format!("bgpctl {question}"))
            .to_vec()
    }

    fn tail(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, Process::tail)
    }
}

fn configuration(terms: &Terms) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let site = terms.node.site();
    let addresses = terms
        .families
        .iter()
        .map(|family| site.with_subnet(*family));
    writeln!(
        text,
        "[node]\nname = \"{}\"\nas = {ASN}\nrouter-id = \"{}\"\naddress = [{}]\nlisten = \"node\"",
        terms.node.name(),
        site.router_id(),
        quoted(addresses),
    )?;
    for family in &terms.families {
        writeln!(
            text,
            "\n[[pool]]\nprefix = \"{}\"\nblock-size = {}\nencapsulation = \"{}\"",
            pool(*family),
            block_length(*family),
            encapsulation(terms.encapsulation, *family)
        )?;
    }
    for block in &terms.blocks {
        writeln!(text, "\n[[block]]\nprefix = \"{block}\"")?;
    }
    for peer in &terms.peers {
        for family in &terms.families {
            write_peer(peer, *family, &mut text)?;
        }
    }
    if terms.peers.iter().any(|peer| peer.kind == PeerKind::Router) {
        let hosts = terms.families.iter().map(|family| {
            let length = family.max_prefix_len();
            format!("{} ge {length} le {length}", pool(*family))
        });
        let blocks = terms.blocks.iter().map(IpNet::to_string);
        writeln!(
            text,
            "\n[[policy]]\nname = \"own\"\ndefault = \"reject\"\n\n\
             [[policy.rule]]\nprefixes = [{}]\naction = \"accept\"",
            quoted(blocks.chain(hosts))
        )?;
    }
    Ok(text)
}

fn write_peer(peer: &Peer, family: Family, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n[[peer]]\nname = \"{}-{family}\"\naddress = \"{}\"\nfamilies = [\"{family}\"]\n\
         hold-time = {HOLD_TIME}",
        peer.name,
        peer.site.address(family),
    )?;
    match peer.kind {
        PeerKind::Reflector => writeln!(text, "role = \"reflector\""),
        PeerKind::Node => writeln!(text, "role = \"node\""),
        PeerKind::Router => writeln!(
            text,
            "role = \"external\"\nremote-as = {TOR_ASN}\nimport = \"reject-all\"\nexport = \"own\""
        ),
    }
}

/// IPIP carries IPv4 alone: IPv6 goes plainly.
fn encapsulation(encapsulation: Encapsulation, family: Family) -> &'static str {
    match (encapsulation, family) {
        (Encapsulation::None, _)
        | (Encapsulation::Ipip | Encapsulation::CrossSubnet, Family::Ipv6Unicast) => "none",
        (Encapsulation::Ipip, Family::Ipv4Unicast) => "ipip",
        (Encapsulation::CrossSubnet, Family::Ipv4Unicast) => "ipip-cross-subnet",
        (Encapsulation::Vxlan, _) => "vxlan",
    }
}

fn quoted<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items
        .map(|item| format!("\"{}\"", item.to_string()))
        .collect();
    items.join(", ")
}
