//! ExaBGP: speaks to its API process, a script between two pipes.
//!
//! It keeps no table that can be asked for. The script appends every message that ExaBGP receives
//! (JSON, one per line) to a file, and [`Daemon::routes`] replays that file; commands go the other
//! way through a named pipe. Each start has a pipe and a file of its own.

use super::{Daemon, Host, Peer};
use crate::process::Process;
use crate::route::{
    Announcement, ReceivedRoute, community_text, large_text, origin_text, read_origin,
};
use crate::{During, Result, check, wait};
use bgp_core::prefix::IpNet;
use bgp_core::wire::{Community, LargeCommunity};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// The program.
pub(super) const PROGRAM: &str = "/usr/sbin/exabgp";

/// How long it may take to start its API process.
const START_LIMIT: Duration = Duration::from_secs(30);

pub(super) struct ExaBgp {
    host: Host,
    running: Option<Running>,
    starts: u32,
}

struct Running {
    process: Process,
    /// Open for reading too, so that the script never reads an end before we write.
    commands: File,
    /// The file of what was received.
    heard: String,
}

type Table = BTreeMap<(IpAddr, IpNet), ReceivedRoute>;

impl ExaBgp {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            running: None,
            starts: 0,
        }
    }

    fn tell(&self, line: &str) -> Result<()> {
        let running = self.running.as_ref();
        check(running.is_some(), || "ExaBGP does not run".to_owned())?;
        running.map_or(Ok(()), |running| {
            writeln!(&running.commands, "{line}").during(|| "writing to ExaBGP's pipe".to_owned())
        })
    }

    fn add(&self, route: &Announcement) -> Result<()> {
        let mut line = format!(
            "announce route {} next-hop {} origin {} med {} local-preference {}",
            route.prefix,
            self.host.setup.next_hop(&route.prefix),
            origin_text(route.origin),
            route.med,
            route.local_pref
        );
        let mut set = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                line.push_str(&format!(" {name} [ {} ]", values.join(" ")));
            }
        };
        set(
            "as-path",
            route.as_path.iter().map(u32::to_string).collect(),
        );
        let communities = route.communities.iter().copied();
        set("community", communities.map(community_text).collect());
        set(
            "large-community",
            route.large_communities.iter().map(large_text).collect(),
        );
        let targets = route.route_targets.iter();
        set(
            "extended-community",
            targets
                .map(|(asn, number)| format!("target:{asn}:{number}"))
                .collect(),
        );
        self.tell(&line)
    }

    fn configuration(&self, script: &str) -> String {
        let setup = &self.host.setup;
        let mut text = format!("process api {{\n  run {script};\n  encoder json;\n}}\n");
        for peer in &setup.peers {
            let families: String = peer
                .families
                .iter()
                .map(|family| format!("{}; ", family.to_string().replace('-', " ")))
                .collect();
            text.push_str(&format!(
                "neighbor {} {{\n  router-id {};\n  local-address {};\n  local-as {};\n  \
                 peer-as {};\n  hold-time 90;\n  family {{ {families}}}\n  \
                 api {{ processes [ api ]; neighbor-changes; receive {{ parsed; update; }} }}\n}}\n",
                peer.address,
                setup.router_id,
                setup.local_address(peer),
                setup.asn,
                peer.asn,
            ));
        }
        text
    }

    /// The API process: what ExaBGP says goes to the file, what the pipe says goes to ExaBGP.
    fn write_script(&self, pipe: &str, heard: &str) -> Result<String> {
        let path = self.host.write(
            "api.sh",
            &format!(
                "#!/bin/sh\nexec 3<&0\ncat <&3 >> {} &\nexec cat < {}\n",
                self.host.path(heard).display(),
                self.host.path(pipe).display()
            ),
        )?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .during(|| "making the script executable".to_owned())?;
        Ok(path.display().to_string())
    }

    /// The complete lines of what was received since the start.
    fn events(&self) -> Result<Vec<Value>> {
        let Some(running) = &self.running else {
            return Ok(Vec::new());
        };
        let heard = fs::read_to_string(self.host.path(&running.heard))
            .during(|| format!("reading {}", running.heard))?;
        let complete = heard.rfind('\n').map_or(0, |end| end + 1);
        let lines = heard.get(..complete).unwrap_or_default().lines();
        lines.map(|line| self.host.json(line)).collect()
    }
}

impl Daemon for ExaBgp {
    fn host(&self) -> &Host {
        &self.host
    }

    fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let pipe = format!("commands{}", self.starts);
        let heard = format!("heard{}.json", self.starts);
        nix::unistd::mkfifo(&self.host.path(&pipe), nix::sys::stat::Mode::S_IRWXU)
            .during(|| "making a named pipe".to_owned())?;
        let commands = File::options()
            .read(true)
            .write(true)
            .open(self.host.path(&pipe))
            .during(|| "opening the named pipe".to_owned())?;
        let script = self.write_script(&pipe, &heard)?;
        let path = self
            .host
            .write("exabgp.conf", &self.configuration(&script))?;
        let mut command = Command::new(PROGRAM);
        command
            .env("exabgp.daemon.user", "root")
            .env("exabgp.tcp.port", "179")
            .env("exabgp.api.cli", "false")
            .env("exabgp.api.ack", "false")
            .arg(path);
        let process = Process::start(self.host.namespace(), "exabgp", self.host.dir(), command)?;
        let file = self.host.path(&heard);
        wait::until("ExaBGP's API process", START_LIMIT, || {
            if file.exists() {
                Ok(())
            } else {
                Err(process.tail())
            }
        })?;
        self.running = Some(Running {
            process,
            commands,
            heard,
        });
        self.host.announced().try_for_each(|route| self.add(route))
    }

    fn kill(&mut self) {
        self.running = None;
    }

    fn announce(&mut self, route: &Announcement) -> Result<()> {
        self.host.add(route);
        self.add(route)
    }

    fn withdraw(&mut self, prefix: IpNet) -> Result<()> {
        self.host.remove(&prefix);
        let next_hop = self.host.setup.next_hop(&prefix);
        self.tell(&format!("withdraw route {prefix} next-hop {next_hop}"))
    }

    fn established(&self, peer: &Peer) -> Result<bool> {
        let address = peer.address.to_string();
        let events = self.events()?;
        let last = events
            .iter()
            .filter(|event| event["type"] == "state")
            .rfind(|event| event["neighbor"]["address"]["peer"] == address.as_str());
        Ok(last.is_some_and(|event| event["neighbor"]["state"] == "up"))
    }

    fn routes(&self) -> Result<Vec<ReceivedRoute>> {
        let mut table = Table::new();
        for event in self.events()? {
            replay(&mut table, &event).ok_or_else(|| {
                self.host
                    .unreadable("not the event we know", &event.to_string())
            })?;
        }
        let mut routes: Vec<_> = table.into_values().collect();
        routes.sort();
        Ok(routes)
    }

    fn tail(&self) -> String {
        let running = self.running.as_ref();
        running.map_or_else(String::new, |running| running.process.tail())
    }
}

/// Applies one event to the table.
fn replay(table: &mut Table, event: &Value) -> Option<()> {
    let peer: IpAddr = event["neighbor"]["address"]["peer"]
        .as_str()?
        .parse()
        .ok()?;
    if event["type"] == "state" && event["neighbor"]["state"] == "down" {
        table.retain(|(from, _), _| *from != peer);
    }
    let update = &event["neighbor"]["message"]["update"];
    for lost in update["withdraw"].as_object().into_iter().flatten() {
        for nlri in lost.1.as_array()? {
            table.remove(&(peer, nlri["nlri"].as_str()?.parse().ok()?));
        }
    }
    for family in update["announce"].as_object().into_iter().flatten() {
        for (next_hop, nlri) in family.1.as_object()? {
            let next_hop: IpAddr = next_hop.parse().ok()?;
            // A 32-octet next hop is shown as two; the link-local one is not what we compare.
            if matches!(next_hop, IpAddr::V6(address) if address.is_unicast_link_local()) {
                continue;
            }
            for nlri in nlri.as_array()? {
                let prefix: IpNet = nlri["nlri"].as_str()?.parse().ok()?;
                let route = ReceivedRoute::new(prefix, peer, next_hop);
                let route = read_attributes(route, &update["attribute"])?;
                table.insert((peer, prefix), route.sorted());
            }
        }
    }
    Some(())
}

fn read_attributes(mut route: ReceivedRoute, attributes: &Value) -> Option<ReceivedRoute> {
    route.origin = read_origin(attributes["origin"].as_str()?)?;
    route.as_path = list(&attributes["as-path"], number)?;
    if !attributes["med"].is_null() {
        route.med = Some(number(&attributes["med"])?);
    }
    if !attributes["local-preference"].is_null() {
        route.local_pref = Some(number(&attributes["local-preference"])?);
    }
    route.communities = list(&attributes["community"], |pair| {
        Some(Community(number(&pair[0])? << 16 | number(&pair[1])?))
    })?;
    route.large_communities = list(&attributes["large-community"], |parts| {
        Some(LargeCommunity {
            global: number(&parts[0])?,
            local1: number(&parts[1])?,
            local2: number(&parts[2])?,
        })
    })?;
    route.route_targets = list(&attributes["extended-community"], |value| {
        // The eight octets as one number: type, subtype, AS, number.
        let [0, 2, high, low, rest @ ..] = value["value"].as_u64()?.to_be_bytes() else {
            return None;
        };
        Some((u16::from_be_bytes([high, low]), u32::from_be_bytes(rest)))
    })?;
    if let Some(id) = attributes["originator-id"].as_str() {
        route.originator_id = Some(id.parse().ok()?);
    }
    route.cluster_list = list(&attributes["cluster-list"], |id| id.as_str()?.parse().ok())?;
    Some(route)
}

fn number(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// A list that may be absent.
fn list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array().into_iter().flatten().map(read).collect()
}
