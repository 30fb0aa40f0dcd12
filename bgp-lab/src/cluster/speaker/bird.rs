//! BIRD 2 as Calico sets it up: `persist`, `learn`, a scan every two seconds, graceful restart,
//! next hops always resolved.
//!
//! Calico's BIRD knows how to put a route into a tunnel; Debian's does not, but resolves next hops
//! through any table. So with IPIP a table `ways` says for every other node whether it is reached
//! plainly or through `tunl0`, and the kernel routes come out in the same form.

use super::{END_LIMIT, NodeSpeaker, Peer, PeerKind, Terms, lines_about, write_file};
use crate::cluster::plan::{
    ASN, Encapsulation, HOLD_TIME, NodeNumber, Site, TOR_ASN, block_length, pool,
};
use crate::cluster::tunnel;
use crate::daemons::channel;
use crate::netns::Namespace;
use crate::process::{Process, ask};
use crate::{Error, Result, check, wait};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const PROGRAM: &str = "/usr/sbin/bird";
const CLIENT: &str = "/usr/sbin/birdc";
const START_LIMIT: Duration = Duration::from_secs(10);

/// BIRD on a node.
pub(super) struct Bird {
    terms: Terms,
    namespace: Arc<Namespace>,
    dir: PathBuf,
    process: Option<Process>,
}

impl Bird {
    pub(super) fn new(terms: Terms, namespace: Arc<Namespace>, dir: PathBuf) -> Self {
        Self {
            terms,
            namespace,
            dir,
            process: None,
        }
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(CLIENT);
        command.arg("-s").arg(self.dir.join("bird.ctl")).args(words);
        ask(&self.namespace, command)
    }

    fn write_configuration(&self) -> Result<()> {
        let text = configuration(&self.terms).map_err(|error| Error::Check(error.to_string()))?;
        write_file(&self.dir.join("bird.conf"), &text)
    }
}

impl NodeSpeaker for Bird {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn start(&mut self) -> Result<()> {
        self.write_configuration()?;
        let mut command = Command::new(PROGRAM);
        // -R: begin with a recovery, as Calico does.
        command.args([
            "-f",
            "-R",
            "-c",
            "bird.conf",
            "-s",
            "bird.ctl",
            "-P",
            "bird.pid",
        ]);
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

    fn set_blocks(&mut self, blocks: &[IpNet]) -> Result<()> {
        self.terms.blocks = blocks.to_vec();
        self.write_configuration()?;
        if self.process.is_none() {
            return Ok(());
        }
        let answer = self.ask(&["configure"])?;
        check(answer.contains("Reconfigur"), || {
            format!("{} refused: {answer}", self.terms.node.name())
        })
    }

    fn established(&self) -> Result<usize> {
        let answer = self.ask(&["show", "protocols"])?;
        let lines = answer.lines();
        Ok(lines.filter(|line| line.contains("Established")).count())
    }

    fn reload_broken(&mut self) -> Result<String> {
        write_file(
            &self.dir.join("bird.conf"),
            "router id 10.0.0.1;\nprotocol bgp {",
        )?;
        let answer = self.ask(&["configure"]);
        self.write_configuration()?;
        match answer {
            Ok(answer) => Err(Error::Check(format!("it took the broken file: {answer}"))),
            Err(Error::Command { output, .. }) => Ok(output),
            Err(error) => Err(error),
        }
    }

    fn words_about(&self, word: &str) -> Vec<String> {
        let log = self.process.as_ref().map(Process::output);
        lines_about(&log.unwrap_or_default(), word)
    }

    fn audit(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn use_next_hop_objects(&mut self, use_them: bool) -> bool {
        !use_them
    }

    fn explore(&self) -> Vec<String> {
        let socket = self.dir.join("bird.ctl");
        vec![format!("birdc -s {} show route", socket.display())]
    }

    fn tail(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, Process::tail)
    }
}

fn configuration(terms: &Terms) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "router id {};\nlog stderr all;\ngraceful restart wait 240;\n\
         protocol device {{ scan time 2; }}",
        terms.node.site().router_id()
    )?;
    for family in &terms.families {
        write_family(terms, *family, &mut text)?;
    }
    Ok(text)
}

fn write_family(terms: &Terms, family: Family, text: &mut String) -> std::fmt::Result {
    let name = channel(family);
    let blocks: Vec<&IpNet> = terms
        .blocks
        .iter()
        .filter(|block| family_of(block) == family)
        .collect();
    write_filter(family, &blocks, "", text)?;
    // The router is told what is ours alone; it would send others' traffic through us otherwise.
    let ours = "  if source = RTS_BGP then reject;\n";
    write_filter(family, &blocks, ours, text)?;
    writeln!(text, "protocol static blocks_{name} {{\n  {name};")?;
    for block in &blocks {
        writeln!(text, "  route {block} blackhole;")?;
    }
    writeln!(
        text,
        "}}\nprotocol direct direct_{name} {{ {name}; interface -\"cali*\", \"*\"; }}\n\
         protocol kernel kernel_{name} {{\n  learn; persist; scan time 2; merge paths on; \
         graceful restart;\n  {name} {{ import all; \
         export where source != RTS_DEVICE && source != RTS_INHERIT; }};\n}}"
    )?;
    write_ways(terms, family, text)?;
    for peer in &terms.peers {
        write_peer(terms, peer, family, text)?;
    }
    Ok(())
}

/// What peers are told: blocks, and addresses of the pool outside them (borrowed ones).
fn write_filter(
    family: Family,
    blocks: &[&IpNet],
    first: &str,
    text: &mut String,
) -> std::fmt::Result {
    let (name, bits) = (channel(family), family.max_prefix_len());
    let kind = if first.is_empty() { "all" } else { "own" };
    writeln!(text, "filter {kind}_{name} {{\n{first}")?;
    for block in blocks {
        let inner = block_length(family) + 1;
        writeln!(text, "  if net = {block} then accept;")?;
        writeln!(
            text,
            "  if net ~ [ {block}{{{inner},{bits}}} ] then reject;"
        )?;
    }
    writeln!(
        text,
        "  if net ~ [ {}+ ] then accept;\n  reject;\n}}",
        pool(family)
    )
}

/// IPIP carries IPv4 alone: IPv6 goes plainly.
fn has_ways(terms: &Terms, family: Family) -> bool {
    family == Family::Ipv4Unicast && terms.encapsulation.uses_ipip()
}

fn write_ways(terms: &Terms, family: Family, text: &mut String) -> std::fmt::Result {
    if !has_ways(terms, family) {
        return Ok(());
    }
    writeln!(
        text,
        "ipv4 table ways;\nprotocol static static_ways {{\n  ipv4 {{ table ways; }};"
    )?;
    let own = terms.node.site();
    let others = terms.nodes.iter().filter(|node| **node != terms.node);
    for site in others.copied().map(NodeNumber::site) {
        let address = site.address(family);
        if plainly(terms.encapsulation, own, site) {
            writeln!(text, "  route {address}/32 via {address};")?;
        } else {
            let device = tunnel::DEVICE;
            writeln!(text, "  route {address}/32 via {address}%{device} onlink;")?;
        }
    }
    writeln!(text, "}}")
}

fn plainly(encapsulation: Encapsulation, own: Site, other: Site) -> bool {
    match encapsulation {
        Encapsulation::None => true,
        Encapsulation::CrossSubnet => own.rack == other.rack,
        Encapsulation::Ipip | Encapsulation::Vxlan => false,
    }
}

fn write_peer(terms: &Terms, peer: &Peer, family: Family, text: &mut String) -> std::fmt::Result {
    let name = channel(family);
    let external = peer.kind == PeerKind::Router;
    let asn = if external { TOR_ASN } else { ASN };
    writeln!(
        text,
        "protocol bgp {}_{name} {{\n  local {} as {ASN};\n  neighbor {} as {asn};\n  multihop;\n  \
         hold time {HOLD_TIME}; graceful restart; connect delay time 2; connect retry time 5; \
         error wait time 5, 30;",
        peer.name.replace('-', "_"),
        terms.node.site().address(family),
        peer.site.address(family),
    )?;
    if peer.kind == PeerKind::Node && peer.site > terms.node.site() {
        writeln!(text, "  passive;")?;
    }
    let table = if has_ways(terms, family) && !external {
        "igp table ways; "
    } else {
        ""
    };
    let export = if external { "own" } else { "all" };
    writeln!(
        text,
        "  {name} {{ gateway recursive; {table}add paths on; import all; export filter {export}_{name}; }};\n}}"
    )
}
