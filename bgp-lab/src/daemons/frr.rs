//! FRR: `zebra` and `bgpd`, spoken to through `vtysh`.
//!
//! zebra is there because bgpd learns its own addresses and next hops from it; nothing is
//! installed in the kernel. Both change to user `frr`, to whom the folder must belong. Each
//! announced route has a route-map of its own with its attributes; a new announcement gets a new
//! one, so that attributes of the old cannot stay.

use super::{Daemon, Host, Peer};
use crate::process::Process;
use crate::route::{
    Announcement, ReceivedRoute, community_text, large_text, origin_text, read_community,
    read_large, read_origin, read_route_target,
};
use crate::{During, Error, Result, wait};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use serde_json::Value;
use std::cell::Cell;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// The program that speaks BGP.
pub(super) const BGPD: &str = "/usr/lib/frr/bgpd";
const ZEBRA: &str = "/usr/lib/frr/zebra";
const CLIENT: &str = "/usr/bin/vtysh";

/// How long each of the two may take to open its sockets.
const START_LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Frr {
    host: Host,
    zebra: Option<Process>,
    bgpd: Option<Process>,
    /// Numbers the route-maps.
    maps: Cell<u32>,
}

impl Frr {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            zebra: None,
            bgpd: None,
            maps: Cell::new(0),
        }
    }

    fn ask(&self, lines: &[String]) -> Result<String> {
        let mut command = Command::new(CLIENT);
        command.arg("--vty_socket").arg(self.host.dir());
        for line in lines {
            command.arg("-c").arg(line);
        }
        let answer = self.host.ask(command)?;
        match answer.lines().find(|line| line.starts_with('%')) {
            Some(complaint) => Err(self.host.unreadable(complaint, &lines.join("\n"))),
            None => Ok(answer),
        }
    }

    fn start_one(&self, name: &str, program: &str, more: &[&str]) -> Result<Process> {
        let configuration = format!("{name}.conf");
        let mut command = Command::new(program);
        command
            .arg("-f")
            .arg(self.host.path(&configuration))
            .arg("-i")
            .arg(self.host.path(&format!("{name}.pid")))
            .arg("-z")
            .arg(self.host.path("zapi"))
            .arg("--vty_socket")
            .arg(self.host.dir())
            .args(["-A", "127.0.0.1", "-P", "0"])
            .args(more);
        let process = Process::start(self.host.namespace(), name, self.host.dir(), command)?;
        let socket = self.host.path(&format!("{name}.vty"));
        wait::until(&format!("{name}'s socket"), START_LIMIT, || {
            std::os::unix::net::UnixStream::connect(&socket)
                .map(drop)
                .map_err(|error| format!("{error}; {}", process.tail()))
        })?;
        Ok(process)
    }

    /// Hands the folder to user `frr`.
    fn hand_over(&self) -> Result<()> {
        let user = nix::unistd::User::from_name("frr")
            .during(|| "looking up user frr".to_owned())?
            .ok_or_else(|| Error::Check("there is no user frr".to_owned()))?;
        for path in [
            self.host.dir().to_path_buf(),
            self.host.path("zebra.conf"),
            self.host.path("bgpd.conf"),
        ] {
            nix::unistd::chown(&path, Some(user.uid), Some(user.gid))
                .during(|| format!("giving {} to frr", path.display()))?;
        }
        std::fs::set_permissions(self.host.dir(), std::fs::Permissions::from_mode(0o755))
            .during(|| "opening the folder of FRR".to_owned())
    }

    /// The configuration lines that announce `route`.
    fn announcing(&self, route: &Announcement) -> Vec<String> {
        let map = format!("map{}", self.maps.get());
        self.maps.set(self.maps.get() + 1);
        let mut lines = vec![
            format!("route-map {map} permit 10"),
            format!("set origin {}", origin_text(route.origin)),
            format!("set metric {}", route.med),
            format!("set local-preference {}", route.local_pref),
        ];
        let mut set = |what: &str, values: Vec<String>| {
            if !values.is_empty() {
                lines.push(format!("set {what} {}", values.join(" ")));
            }
        };
        let path = route.as_path.iter().map(u32::to_string).collect();
        set("as-path prepend", path);
        let communities = route.communities.iter().copied();
        set("community", communities.map(community_text).collect());
        let large = route.large_communities.iter().map(large_text).collect();
        set("large-community", large);
        let targets = route.route_targets.iter();
        set(
            "extcommunity rt",
            targets
                .map(|(asn, number)| format!("{asn}:{number}"))
                .collect(),
        );
        lines.push("exit".to_owned());
        lines.push(format!("router bgp {}", self.host.setup.asn));
        lines.push(format!("address-family {}", address_family(route.family())));
        lines.push(format!("network {} route-map {map}", route.prefix));
        lines.push("exit-address-family".to_owned());
        lines.push("exit".to_owned());
        lines
    }

    fn configuration(&self) -> String {
        let setup = &self.host.setup;
        let mut lines = vec![
            "hostname frr".to_owned(),
            format!("router bgp {}", setup.asn),
            format!("bgp router-id {}", setup.router_id),
            // Else a reflector that helps restarting peers keeps the routes of a dead one.
            "bgp graceful-restart-disable".to_owned(),
            "no bgp default ipv4-unicast".to_owned(),
            "no bgp ebgp-requires-policy".to_owned(),
            "no bgp network import-check".to_owned(),
        ];
        for peer in &setup.peers {
            let address = peer.address;
            lines.push(format!("neighbor {address} remote-as {}", peer.asn));
            lines.push(format!("neighbor {address} timers connect 1"));
            lines.push(format!("neighbor {address} advertisement-interval 0"));
        }
        for family in Family::ALL {
            lines.push(format!("address-family {}", address_family(family)));
            for peer in setup
                .peers
                .iter()
                .filter(|peer| peer.families.contains(&family))
            {
                lines.push(format!("neighbor {} activate", peer.address));
            }
            lines.push("exit-address-family".to_owned());
        }
        lines.push("exit".to_owned());
        for route in self.host.announced() {
            lines.extend(self.announcing(route));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn configure(&self, mut lines: Vec<String>) -> Result<()> {
        lines.insert(0, "configure terminal".to_owned());
        self.ask(&lines).map(drop)
    }
}

impl Daemon for Frr {
    fn host(&self) -> &Host {
        &self.host
    }

    fn start(&mut self) -> Result<()> {
        self.host.write("zebra.conf", "hostname zebra\n")?;
        self.host.write("bgpd.conf", &self.configuration())?;
        self.hand_over()?;
        if self.zebra.is_none() {
            self.zebra = Some(self.start_one("zebra", ZEBRA, &[])?);
        }
        self.bgpd = Some(self.start_one("bgpd", BGPD, &["-n"])?);
        Ok(())
    }

    fn kill(&mut self) {
        self.bgpd = None;
    }

    fn announce(&mut self, route: &Announcement) -> Result<()> {
        self.host.add(route);
        self.configure(self.announcing(route))
    }

    fn withdraw(&mut self, prefix: IpNet) -> Result<()> {
        self.host.remove(&prefix);
        let family = bgp_core::prefix::family_of(&prefix);
        self.configure(vec![
            format!("router bgp {}", self.host.setup.asn),
            format!("address-family {}", address_family(family)),
            format!("no network {prefix}"),
        ])
    }

    fn established(&self, peer: &Peer) -> Result<bool> {
        let answer = self.ask(&[format!("show bgp neighbors {} json", peer.address)])?;
        let state = &self.host.json(&answer)?[peer.address.to_string()]["bgpState"];
        Ok(state == "Established")
    }

    fn routes(&self) -> Result<Vec<ReceivedRoute>> {
        let mut routes = Vec::new();
        for family in Family::ALL {
            let answer = self.ask(&[format!("show bgp {} json detail", address_family(family))])?;
            let table = self.host.json(&answer)?;
            let Some(prefixes) = table["routes"].as_object() else {
                continue;
            };
            for (prefix, paths) in prefixes {
                // The first element tells about the prefix, the others are its paths.
                for path in paths.as_array().into_iter().flatten().skip(1) {
                    if path["sourced"] == true {
                        continue;
                    }
                    let route = read_path(prefix, path).ok_or_else(|| {
                        self.host
                            .unreadable("not the path we know", &path.to_string())
                    })?;
                    routes.push(route.sorted());
                }
            }
        }
        routes.sort();
        Ok(routes)
    }

    fn tail(&self) -> String {
        self.bgpd.as_ref().map_or_else(String::new, Process::tail)
    }
}

fn address_family(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4 unicast",
        Family::Ipv6Unicast => "ipv6 unicast",
    }
}

fn read_path(prefix: &str, path: &Value) -> Option<ReceivedRoute> {
    let next_hops = path["nexthops"].as_array()?;
    let next_hop = next_hops
        .iter()
        .find(|next_hop| next_hop["scope"] != "link-local")?;
    let next_hop: IpAddr = next_hop["ip"].as_str()?.parse().ok()?;
    let from = path["peer"]["peerId"].as_str()?.parse().ok()?;
    let mut route = ReceivedRoute::new(prefix.parse().ok()?, from, next_hop);
    route.origin = read_origin(path["origin"].as_str()?)?;
    for segment in path["aspath"]["segments"].as_array()? {
        for asn in segment["list"].as_array()? {
            route.as_path.push(u32::try_from(asn.as_u64()?).ok()?);
        }
    }
    route.local_pref = number(&path["locPrf"])?;
    route.med = number(&path["metric"])?;
    route.communities = list(&path["community"]["list"], read_community)?;
    route.large_communities = list(&path["largeCommunity"]["list"], read_large)?;
    let extended = path["extendedCommunity"]["string"]
        .as_str()
        .unwrap_or_default();
    route.route_targets = extended
        .split_whitespace()
        .map(|text| read_route_target(text.strip_prefix("RT:")?))
        .collect::<Option<_>>()?;
    if let Some(id) = path["originatorId"].as_str() {
        route.originator_id = Some(id.parse().ok()?);
    }
    route.cluster_list = list(&path["clusterList"]["list"], |text| text.parse().ok())?;
    Some(route)
}

/// A number that may be absent; `None` when it is there and no `u32`.
#[expect(clippy::option_option, reason = "outer: readable; inner: present")]
fn number(value: &Value) -> Option<Option<u32>> {
    if value.is_null() {
        return Some(None);
    }
    u32::try_from(value.as_u64()?).ok().map(Some)
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
