//! OpenBGPD: announces `network` statements; a change is a new configuration and a reload.
//!
//! It changes to user `_openbgpd`, whose home folder must exist. IPv6 next hops are named
//! explicitly, because over an IPv4 session it would take `::1` from the loopback. After a lost
//! session it waits 30 s, so it is told to start again when a test waits for it.

use super::{Daemon, Host, Peer};
use crate::process::Process;
use crate::route::{
    Announcement, ReceivedRoute, community_text, large_text, origin_text, read_community,
    read_large, read_origin, read_route_target,
};
use crate::{During, Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The program.
pub(super) const PROGRAM: &str = "/usr/sbin/bgpd";
const CLIENT: &str = "/usr/sbin/bgpctl";
/// The home folder of its user, into which it locks itself.
const HOME: &str = "/run/openbgpd";

/// How long it may take to open its control socket.
const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct OpenBgpd {
    host: Host,
    process: Option<Process>,
}

impl OpenBgpd {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            process: None,
        }
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(CLIENT);
        command
            .arg("-s")
            .arg(self.host.path("bgpd.sock"))
            .args(words);
        self.host.ask(command)
    }

    fn reload(&self) -> Result<()> {
        self.host.write("bgpd.conf", &self.configuration())?;
        // While one reload is under way it puts off another.
        wait::until("OpenBGPD's reload", START_LIMIT, || {
            match self.ask(&["reload"]) {
                Ok(answer) if answer.contains("request processed") => Ok(()),
                Ok(answer) => Err(answer),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    fn configuration(&self) -> String {
        let setup = &self.host.setup;
        let mut lines = vec![
            format!("AS {}", setup.asn),
            format!("router-id {}", setup.router_id),
            format!("socket \"{}\"", self.host.path("bgpd.sock").display()),
            "fib-update no".to_owned(),
            format!("listen on {}", setup.v4),
            format!("listen on {}", setup.v6),
            "nexthop qualify via default".to_owned(),
        ];
        lines.extend(self.host.announced().map(|route| self.network(route)));
        for peer in &setup.peers {
            lines.push(format!("neighbor {} {{", peer.address));
            lines.push(format!("  descr {}", peer.name));
            lines.push(format!("  remote-as {}", peer.asn));
            lines.push(format!("  local-address {}", setup.local_address(peer)));
            for family in Family::ALL {
                let word = if peer.families.contains(&family) {
                    "unicast"
                } else {
                    "none"
                };
                lines.push(format!("  announce {} {word}", address_family(family)));
            }
            lines.push("}".to_owned());
        }
        lines.push("allow from any".to_owned());
        lines.push("allow to any".to_owned());
        lines.push(String::new());
        lines.join("\n")
    }

    fn network(&self, route: &Announcement) -> String {
        let mut sets = vec![
            format!("origin {}", origin_text(route.origin)),
            format!("nexthop {}", self.host.setup.next_hop(&route.prefix)),
            format!("localpref {}", route.local_pref),
            format!("med {}", route.med),
        ];
        for community in &route.communities {
            sets.push(format!("community {}", community_text(*community)));
        }
        for large in &route.large_communities {
            sets.push(format!("large-community {}", large_text(large)));
        }
        for (asn, number) in &route.route_targets {
            sets.push(format!("ext-community rt {asn}:{number}"));
        }
        format!("network {} set {{ {} }}", route.prefix, sets.join(" "))
    }
}

impl Daemon for OpenBgpd {
    fn host(&self) -> &Host {
        &self.host
    }

    fn start(&mut self) -> Result<()> {
        fs::create_dir_all(HOME).during(|| format!("making {HOME}"))?;
        let path = self.host.write("bgpd.conf", &self.configuration())?;
        let mut command = Command::new(PROGRAM);
        command.args(["-d", "-v", "-f"]).arg(path);
        let process = Process::start(self.host.namespace(), "bgpd", self.host.dir(), command)?;
        self.process = Some(process);
        wait::until("OpenBGPD's control socket", START_LIMIT, || {
            self.ask(&["show", "summary"])
                .map(drop)
                .map_err(|error| format!("{error}; {}", self.tail()))
        })
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn announce(&mut self, route: &Announcement) -> Result<()> {
        self.host.add(route);
        self.reload()
    }

    fn withdraw(&mut self, prefix: IpNet) -> Result<()> {
        self.host.remove(&prefix);
        self.reload()
    }

    fn established(&self, peer: &Peer) -> Result<bool> {
        let answer = self.ask(&["-j", "show", "neighbor", &peer.address.to_string()])?;
        let answer = self.host.json(&answer)?;
        Ok(answer["neighbors"][0]["state"] == "Established")
    }

    fn routes(&self) -> Result<Vec<ReceivedRoute>> {
        let mut routes = Vec::new();
        for peer in &self.host.setup.peers {
            let address = peer.address.to_string();
            let answer = self.ask(&["-j", "show", "rib", "in", "neighbor", &address, "detail"])?;
            let table = self.host.json(&answer)?;
            for path in table["rib"].as_array().into_iter().flatten() {
                let route = read_path(path).ok_or_else(|| {
                    self.host
                        .unreadable("not the path we know", &path.to_string())
                })?;
                routes.push(route.sorted());
            }
        }
        routes.sort();
        Ok(routes)
    }

    fn tail(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, Process::tail)
    }

    fn nudge(&self) -> Result<()> {
        for peer in &self.host.setup.peers {
            if !self.established(peer)? {
                self.ask(&["neighbor", &peer.address.to_string(), "up"])?;
            }
        }
        Ok(())
    }
}

fn address_family(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "IPv4",
        Family::Ipv6Unicast => "IPv6",
    }
}

fn read_path(path: &Value) -> Option<ReceivedRoute> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut route = ReceivedRoute::new(
        text(&path["prefix"])?.parse().ok()?,
        text(&path["neighbor"]["remote_addr"])?.parse().ok()?,
        text(&path["exit_nexthop"])?.parse().ok()?,
    );
    route.origin = read_origin(path["origin"].as_str()?)?;
    route.as_path = path["aspath"]
        .as_str()?
        .split_whitespace()
        .map(|asn| asn.parse().ok())
        .collect::<Option<_>>()?;
    route.local_pref = Some(u32::try_from(path["localpref"].as_u64()?).ok()?);
    route.med = Some(u32::try_from(path["metric"].as_u64()?).ok()?);
    route.communities = list(&path["communities"], read_community)?;
    route.large_communities = list(&path["large_communities"], read_large)?;
    route.route_targets = list(&path["extended_communities"], |text| {
        read_route_target(text.strip_prefix("rt ")?)
    })?;
    for attribute in path["attributes"].as_array().into_iter().flatten() {
        if let Some(id) = attribute["originator"].as_str() {
            route.originator_id = Some(id.parse().ok()?);
        }
        if attribute["cluster_list"].is_array() {
            route.cluster_list = list(&attribute["cluster_list"], |text| text.parse().ok())?;
        }
    }
    Some(route)
}

/// A list of texts that may be absent.
fn list<T>(value: &Value, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|text| read(text.as_str()?))
        .collect()
}
