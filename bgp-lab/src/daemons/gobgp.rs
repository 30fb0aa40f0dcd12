//! GoBGP: started with its peers; routes come through its command line.
//!
//! Its API listens on a port of the namespace's loopback. After a session was reset it waits some
//! seconds before it connects again.

use super::{Daemon, Host, Peer};
use crate::process::Process;
use crate::route::{
    Announcement, ReceivedRoute, community_text, large_text, origin_text, read_route_target,
};
use crate::{Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::wire::{Community, LargeCommunity, Origin};
use serde_json::Value;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// The program.
pub(super) const PROGRAM: &str = "/usr/bin/gobgpd";
const CLIENT: &str = "/usr/bin/gobgp";
const API_PORT: &str = "50051";

/// How long it may take to open its API.
const START_LIMIT: Duration = Duration::from_secs(20);

pub(super) struct GoBgp {
    host: Host,
    process: Option<Process>,
}

impl GoBgp {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            process: None,
        }
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(CLIENT);
        command.args(["-p", API_PORT, "-j"]).args(words);
        self.host.ask(command)
    }

    fn add(&self, route: &Announcement) -> Result<()> {
        let prefix = route.prefix.to_string();
        let next_hop = self.host.setup.next_hop(&route.prefix).to_string();
        let (med, local_pref) = (route.med.to_string(), route.local_pref.to_string());
        let path = joined(route.as_path.iter().map(u32::to_string));
        let communities = joined(route.communities.iter().copied().map(community_text));
        let large = joined(route.large_communities.iter().map(large_text));
        let mut words = vec![
            "global",
            "rib",
            "add",
            "-a",
            address_family(route.family()),
            &prefix,
            "origin",
            origin_text(route.origin),
            "nexthop",
            &next_hop,
            "med",
            &med,
            "local-pref",
            &local_pref,
        ];
        for (name, value) in [
            ("aspath", &path),
            ("community", &communities),
            ("large-community", &large),
        ] {
            if !value.is_empty() {
                words.extend([name, value.as_str()]);
            }
        }
        let targets: Vec<String> = route
            .route_targets
            .iter()
            .map(|(asn, number)| format!("{asn}:{number}"))
            .collect();
        if !targets.is_empty() {
            words.push("rt");
            words.extend(targets.iter().map(String::as_str));
        }
        self.ask(&words).map(drop)
    }
}

impl Daemon for GoBgp {
    fn host(&self) -> &Host {
        &self.host
    }

    fn start(&mut self) -> Result<()> {
        let path = self.host.write("gobgpd.toml", &configuration(&self.host))?;
        let mut command = Command::new(PROGRAM);
        command
            .arg("-f")
            .arg(path)
            .args(["-t", "toml", "--api-hosts"])
            .arg(format!("127.0.0.1:{API_PORT}"))
            .arg("--pprof-disable");
        let process = Process::start(self.host.namespace(), "gobgpd", self.host.dir(), command)?;
        self.process = Some(process);
        wait::until("GoBGP's API", START_LIMIT, || {
            self.ask(&["global"])
                .map(drop)
                .map_err(|error| format!("{error}; {}", self.tail()))
        })?;
        self.host.announced().try_for_each(|route| self.add(route))
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn announce(&mut self, route: &Announcement) -> Result<()> {
        self.host.add(route);
        self.add(route)
    }

    fn withdraw(&mut self, prefix: IpNet) -> Result<()> {
        self.host.remove(&prefix);
        let family = address_family(family_of(&prefix));
        self.ask(&["global", "rib", "del", "-a", family, &prefix.to_string()])
            .map(drop)
    }

    fn established(&self, peer: &Peer) -> Result<bool> {
        let answer = self.ask(&["neighbor"])?;
        let peers = self.host.json(&answer)?;
        let address = peer.address.to_string();
        Ok(peers.as_array().into_iter().flatten().any(|found| {
            let state = &found["state"];
            // 6 is ESTABLISHED in its API.
            state["neighbor_address"] == address.as_str() && state["session_state"] == 6
        }))
    }

    fn routes(&self) -> Result<Vec<ReceivedRoute>> {
        let mut routes = Vec::new();
        for peer in &self.host.setup.peers {
            for family in &peer.families {
                let address = peer.address.to_string();
                let family = address_family(*family);
                let answer = self.ask(&["neighbor", &address, "adj-in", "-a", family])?;
                if answer.trim().is_empty() {
                    continue;
                }
                let table = self.host.json(&answer)?;
                for (prefix, paths) in table.as_object().into_iter().flatten() {
                    for path in paths.as_array().into_iter().flatten() {
                        let route = read_path(prefix, path, peer).ok_or_else(|| {
                            self.host
                                .unreadable("not the path we know", &path.to_string())
                        })?;
                        routes.push(route.sorted());
                    }
                }
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
}

fn configuration(host: &Host) -> String {
    let setup = &host.setup;
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"{}\"\nlocal-address-list = [\"{}\", \"{}\"]\n",
        setup.asn, setup.router_id, setup.v4, setup.v6
    );
    for peer in &setup.peers {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[[neighbors]]\n\
             [neighbors.config]\nneighbor-address = \"{}\"\npeer-as = {}\n\
             [neighbors.transport.config]\nlocal-address = \"{}\"\n\
             [neighbors.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\n",
            peer.address,
            peer.asn,
            setup.local_address(peer)
        );
        for family in &peer.families {
            let _ = write!(
                text,
                "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n"
            );
        }
    }
    text
}

fn address_family(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4",
        Family::Ipv6Unicast => "ipv6",
    }
}

fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",")
}

fn read_path(prefix: &str, path: &Value, peer: &Peer) -> Option<ReceivedRoute> {
    let mut route = ReceivedRoute::new(prefix.parse().ok()?, peer.address, peer.address);
    for attribute in path["attrs"].as_array()? {
        read_attribute(&mut route, attribute)?;
    }
    Some(route)
}

/// Attributes come as `{"type": CODE, …}`, each with fields of its own.
fn read_attribute(route: &mut ReceivedRoute, attribute: &Value) -> Option<()> {
    let value = &attribute["value"];
    match attribute["type"].as_u64()? {
        1 => {
            route.origin = match value.as_u64()? {
                0 => Origin::Igp,
                1 => Origin::Egp,
                _ => Origin::Incomplete,
            }
        }
        2 => {
            for segment in attribute["as_paths"].as_array()? {
                route.as_path.extend(numbers(&segment["asns"])?);
            }
        }
        3 | 14 => route.next_hop = attribute["nexthop"].as_str()?.parse().ok()?,
        4 => route.med = Some(u32::try_from(attribute["metric"].as_u64()?).ok()?),
        5 => route.local_pref = Some(u32::try_from(value.as_u64()?).ok()?),
        8 => {
            let communities = numbers(&attribute["communities"])?;
            route.communities = communities.into_iter().map(Community).collect();
        }
        9 => route.originator_id = Some(value.as_str()?.parse().ok()?),
        10 => {
            let ids = value.as_array()?.iter();
            route.cluster_list = ids
                .map(|id| id.as_str()?.parse().ok())
                .collect::<Option<_>>()?;
        }
        16 => {
            let targets = value.as_array()?.iter();
            route.route_targets = targets
                .map(|target| read_route_target(target["value"].as_str()?))
                .collect::<Option<_>>()?;
        }
        32 => {
            let large = value.as_array()?.iter();
            route.large_communities = large.map(read_large).collect::<Option<_>>()?;
        }
        _ => {}
    }
    Some(())
}

fn read_large(value: &Value) -> Option<LargeCommunity> {
    let part = |name: &str| u32::try_from(value[name].as_u64()?).ok();
    Some(LargeCommunity {
        global: part("ASN")?,
        local1: part("LocalData1")?,
        local2: part("LocalData2")?,
    })
}

fn numbers(value: &Value) -> Option<Vec<u32>> {
    let numbers = value.as_array()?.iter();
    numbers
        .map(|number| u32::try_from(number.as_u64()?).ok())
        .collect()
}
