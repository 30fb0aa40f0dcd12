//! BIRD 2: announces static blackhole routes whose attributes stand in their filter block.
//!
//! A change of what is announced is a new configuration; BIRD keeps the sessions, since only the
//! static protocols differ.

use super::{Daemon, Host, Peer};
use crate::process::Process;
use crate::route::{
    Announcement, ReceivedRoute, read_community, read_large, read_origin, read_route_target,
};
use crate::{Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use bgp_core::wire::Origin;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// The program.
pub(super) const PROGRAM: &str = "/usr/sbin/bird";
const CLIENT: &str = "/usr/sbin/birdc";

/// How long it may take to open its control socket.
const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Bird {
    host: Host,
    process: Option<Process>,
}

impl Bird {
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
            .arg(self.host.path("bird.ctl"))
            .args(words);
        self.host.ask(command)
    }

    fn configure(&self) -> Result<()> {
        self.host.write("bird.conf", &configuration(&self.host)?)?;
        let answer = self.ask(&["configure"])?;
        if answer.contains("Reconfigur") {
            Ok(())
        } else {
            Err(self.host.unreadable("it refused", &answer))
        }
    }
}

impl Daemon for Bird {
    fn host(&self) -> &Host {
        &self.host
    }

    fn start(&mut self) -> Result<()> {
        let path = self.host.write("bird.conf", &configuration(&self.host)?)?;
        let mut command = Command::new(PROGRAM);
        command
            .args(["-f", "-c"])
            .arg(path)
            .arg("-s")
            .arg(self.host.path("bird.ctl"))
            .arg("-P")
            .arg(self.host.path("bird.pid"));
        let process = Process::start(self.host.namespace(), "bird", self.host.dir(), command)?;
        self.process = Some(process);
        wait::until("BIRD's control socket", START_LIMIT, || {
            self.ask(&["show", "status"])
                .map(drop)
                .map_err(|error| format!("{error}; {}", self.tail()))
        })
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn announce(&mut self, route: &Announcement) -> Result<()> {
        self.host.add(route);
        self.configure()
    }

    fn withdraw(&mut self, prefix: IpNet) -> Result<()> {
        self.host.remove(&prefix);
        self.configure()
    }

    fn established(&self, peer: &Peer) -> Result<bool> {
        let answer = self.ask(&["show", "protocols", &format!("peer_{}", peer.name)])?;
        Ok(answer.contains("Established"))
    }

    fn routes(&self) -> Result<Vec<ReceivedRoute>> {
        let mut routes = Vec::new();
        for peer in &self.host.setup.peers {
            let protocol = format!("peer_{}", peer.name);
            let answer = self.ask(&["show", "route", "all", "protocol", &protocol])?;
            routes.extend(
                read_table(&answer, peer)
                    .ok_or_else(|| self.host.unreadable("not the table we know", &answer))?,
            );
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

fn configuration(host: &Host) -> Result<String> {
    let mut text = String::new();
    write_configuration(host, &mut text)
        .map_err(|error| host.unreadable(&error.to_string(), "formatting its configuration"))?;
    Ok(text)
}

fn write_configuration(host: &Host, text: &mut String) -> std::fmt::Result {
    let setup = &host.setup;
    writeln!(
        text,
        "router id {};\nlog stderr all;\nprotocol device {{ }}",
        setup.router_id
    )?;
    for family in Family::ALL {
        writeln!(text, "protocol static {{\n  {};", channel(family))?;
        for route in host.announced().filter(|route| route.family() == family) {
            write_route(route, text)?;
        }
        writeln!(text, "}}")?;
    }
    for peer in &setup.peers {
        writeln!(
            text,
            "protocol bgp peer_{} {{\n  local {} as {};\n  neighbor {} as {};\n  \
             connect retry time 1; connect delay time 1; error wait time 1, 2;",
            peer.name,
            setup.local_address(peer),
            setup.asn,
            peer.address,
            peer.asn
        )?;
        for family in &peer.families {
            writeln!(
                text,
                // On external sessions only a MED that the export filter sets is sent.
                "  {} {{ import all; next hop self; export filter {{ \
                 if source != RTS_STATIC then reject; bgp_med = bgp_med; accept; }}; }};",
                channel(*family)
            )?;
        }
        writeln!(text, "}}")?;
    }
    Ok(())
}

fn write_route(route: &Announcement, text: &mut String) -> std::fmt::Result {
    let origin = match route.origin {
        Origin::Igp => "ORIGIN_IGP",
        Origin::Egp => "ORIGIN_EGP",
        Origin::Incomplete => "ORIGIN_INCOMPLETE",
    };
    write!(
        text,
        "  route {} blackhole {{ bgp_origin = {origin}; bgp_local_pref = {}; bgp_med = {};",
        route.prefix, route.local_pref, route.med
    )?;
    for asn in route.as_path.iter().rev() {
        write!(text, " bgp_path.prepend({asn});")?;
    }
    for community in &route.communities {
        let (high, low) = (community.0 >> 16, community.0 & 0xffff);
        write!(text, " bgp_community.add(({high},{low}));")?;
    }
    for large in &route.large_communities {
        let (global, local1, local2) = (large.global, large.local1, large.local2);
        write!(
            text,
            " bgp_large_community.add(({global},{local1},{local2}));"
        )?;
    }
    for (asn, number) in &route.route_targets {
        write!(text, " bgp_ext_community.add((rt,{asn},{number}));")?;
    }
    writeln!(text, " }};")
}

/// The name of a family's channel.
pub(crate) fn channel(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4",
        Family::Ipv6Unicast => "ipv6",
    }
}

/// Reads `show route all protocol X`: a line per route, then its attributes, indented.
fn read_table(answer: &str, peer: &Peer) -> Option<Vec<ReceivedRoute>> {
    let mut routes: Vec<ReceivedRoute> = Vec::new();
    for line in answer.lines() {
        match line.strip_prefix('\t') {
            Some(attribute) => {
                let Some((name, value)) = attribute.split_once(':') else {
                    continue;
                };
                read_attribute(routes.last_mut()?, name, value.trim())?;
            }
            None => {
                let first = line.split_whitespace().next().unwrap_or_default();
                if let Ok(prefix) = first.parse() {
                    routes.push(ReceivedRoute::new(prefix, peer.address, peer.address));
                }
            }
        }
    }
    Some(routes.into_iter().map(ReceivedRoute::sorted).collect())
}

fn read_attribute(route: &mut ReceivedRoute, name: &str, value: &str) -> Option<()> {
    match name {
        "BGP.origin" => route.origin = read_origin(value)?,
        "BGP.as_path" => route.as_path = words(value)?,
        "BGP.next_hop" => route.next_hop = value.split_whitespace().next()?.parse().ok()?,
        "BGP.med" => route.med = Some(value.parse().ok()?),
        "BGP.local_pref" => route.local_pref = Some(value.parse().ok()?),
        "BGP.community" => route.communities = tuples(value, read_community)?,
        "BGP.large_community" => route.large_communities = tuples(value, read_large)?,
        "BGP.ext_community" => {
            route.route_targets =
                tuples(value, |text| read_route_target(text.strip_prefix("rt:")?))?;
        }
        "BGP.originator_id" => route.originator_id = Some(value.parse().ok()?),
        "BGP.cluster_list" => route.cluster_list = words(value)?,
        _ => {}
    }
    Some(())
}

/// Words between blanks.
fn words<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split_whitespace()
        .map(|word| word.parse().ok())
        .collect()
}

/// `(a, b, c) (d, e, f)`, each handed over as `a:b:c`.
fn tuples<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split_inclusive(')')
        .map(|tuple| {
            let inner = tuple.trim().strip_prefix('(')?.strip_suffix(')')?;
            read(&inner.replace(' ', "").replace(',', ":"))
        })
        .collect()
}
