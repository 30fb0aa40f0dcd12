//! Nodes and reflectors on one LAN, each in a namespace of its own.
//!
//! A node has the address 10.99.0.N/24 or, in another subnet of the same LAN, 10.99.1.N/24: all
//! reach each other without a router, and cross-subnet rules see two subnets.

use bgp_core::family::Family;
use bgp_core::types::PeerRole;
use bgp_lab::netns::{Lan, Namespace};
use bgp_lab::process::{Process, ask};
use bgp_lab::reflector::{BgpRr, Range, Reflector, Setup, Terms};
use bgp_lab::{Result, capability, wait};
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Fails a test that waits for what does not happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
const AS: u32 = 64_512;
const HOLD_TIME: u16 = 9;

/// Whether the machine can run the test named so.
pub(crate) fn can_run(test: &str) -> bool {
    capability::need(test, &[capability::Need::Namespaces])
}

/// A folder and a LAN for the hosts of one test.
pub(crate) struct Ground {
    folder: TempDir,
    lan: Lan<'static>,
}

/// A node: its namespace, its files, and its process while it runs.
pub(crate) struct Node {
    pub(crate) number: u16,
    pub(crate) namespace: Arc<Namespace>,
    folder: PathBuf,
    process: Option<Process>,
}

/// The address of host `number`.
pub(crate) fn address(number: u16) -> Ipv4Addr {
    Lan::v4(number)
}

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        // The LAN borrows its hub; both live as long as the test's process.
        let hub: &'static Namespace = Box::leak(Box::new(Namespace::new("hub")?));
        let folder = tempfile::tempdir().unwrap();
        let lan = Lan::new(hub, 250)?;
        Ok(Self { folder, lan })
    }

    /// A reflector that accepts every host of the LAN as a client; it runs.
    pub(crate) fn reflector(&self, number: u16) -> Result<BgpRr> {
        let namespace = Arc::new(Namespace::new("reflector")?);
        self.lan.attach(&namespace, number)?;
        let parent = self.folder.path().join(format!("rr-{number}"));
        fs::create_dir(&parent).unwrap();
        let terms = Terms {
            asn: AS,
            role: PeerRole::Client,
            families: vec![Family::Ipv4Unicast],
        };
        let setup = Setup {
            asn: AS,
            router_id: address(number),
            cluster_id: Ipv4Addr::new(10, 99, 0, 1),
            listen: vec![IpAddr::V4(address(number))],
            hold_time: HOLD_TIME,
            peers: Vec::new(),
            ranges: vec![Range {
                name: "nodes".to_owned(),
                accept: "10.99.0.0/16".parse().unwrap(),
                limit: 100,
                terms,
            }],
        };
        let mut reflector = BgpRr::new(setup, namespace, &parent)?;
        reflector.start()?;
        Ok(reflector)
    }

    /// A node, not started yet, with the devices of tunnels and one of workloads.
    ///
    /// The tunnel devices are none: only routes are looked at here, no packets.
    pub(crate) fn node(&self, number: u16) -> Result<Node> {
        let namespace = Arc::new(Namespace::new(&format!("node-{number}"))?);
        self.lan.attach(&namespace, number)?;
        for device in ["tunl0", "vxlan.calico", "cali1"] {
            namespace.ip(&format!(
                "link add {device} type veth peer name {device}-x\n\
                 link set {device} up\nlink set {device}-x up"
            ))?;
        }
        let folder = self.folder.path().join(format!("node-{number}"));
        fs::create_dir(&folder).unwrap();
        Ok(Node {
            number,
            namespace,
            folder,
            process: None,
        })
    }
}

/// The configuration of a node: its peers by number, its blocks, and `more`.
pub(crate) fn configuration(number: u16, peers: &[u16], blocks: &[&str], more: &str) -> String {
    let mut text = format!(
        "[node]\nname = \"node-{number}\"\nas = {AS}\naddress = \"{}/24\"\n\n",
        address(number)
    );
    let pools = [
        ("10.244.0.0/16", "none"),
        ("10.245.0.0/16", "ipip-cross-subnet"),
        ("10.246.0.0/16", "vxlan"),
    ];
    for (prefix, encapsulation) in pools {
        text +=
            &format!("[[pool]]\nprefix = \"{prefix}\"\nencapsulation = \"{encapsulation}\"\n\n");
    }
    for block in blocks {
        text += &format!("[[block]]\nprefix = \"{block}\"\n\n");
    }
    for peer in peers {
        let (name, role) = if *peer < 10 {
            (format!("rr-{peer}"), "")
        } else {
            (format!("node-{peer}"), "role = \"node\"\n")
        };
        text += &format!(
            "[[peer]]\nname = \"{name}\"\naddress = \"{}\"\nhold-time = {HOLD_TIME}\n{role}\n",
            address(*peer)
        );
    }
    text + more
}

impl Node {
    pub(crate) fn write(&self, configuration: &str) {
        fs::write(self.folder.join("node.toml"), configuration).unwrap();
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bgp-node"));
        command
            .env_remove("RUST_LOG")
            .arg("--config")
            .arg(self.folder.join("node.toml"))
            .arg("--admin-socket")
            .arg(self.socket())
            .arg("--state")
            .arg(self.folder.join("state"));
        let mut process = Process::start(&self.namespace, "bgp-node", &self.folder, command)?;
        wait::until("the admin socket", LIMIT, || {
            process.check_alive().map_err(|error| error.to_string())?;
            self.ctl(&["node"]).map(drop)
        })?;
        self.process = Some(process);
        Ok(())
    }

    pub(crate) fn start_with(&mut self, configuration: &str) -> Result<()> {
        self.write(configuration);
        self.start()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.terminate(LIMIT),
            None => Ok(()),
        }
    }

    /// All that it has written since the first start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("bgp-node.log")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// What `bgpctl --json` answers to these words.
    pub(crate) fn ctl(&self, words: &[&str]) -> Result<Value, String> {
        let mut arguments: Vec<std::ffi::OsString> = vec!["bgpctl".into(), "--json".into()];
        arguments.extend(["--socket".into(), self.socket().into()]);
        arguments.extend(words.iter().map(Into::into));
        let mut answer = Vec::new();
        bgp_daemon::ctl::answer(arguments, &mut answer).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer);
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// Our routes in the kernel's main table, as `ip route` prints them.
    pub(crate) fn routes(&self) -> Vec<String> {
        let mut command = Command::new("ip");
        command.args(["route", "show", "table", "main", "proto", "201"]);
        let text = ask(&self.namespace, command).unwrap();
        let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        lines
    }

    /// Waits until exactly these routes of ours are in the kernel.
    pub(crate) fn wait_routes(&self, expected: &[&str]) -> Result<()> {
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        let what = format!("the routes of node-{}", self.number);
        wait::until(&what, LIMIT, || {
            let routes = self.routes();
            if routes == expected {
                return Ok(());
            }
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            Err(format!(
                "{routes:#?}, not {expected:#?}\n{}",
                tail.join("\n")
            ))
        })
    }

    /// Waits until every configured peer is up, all have told, and the kernel is as wanted.
    pub(crate) fn wait_in_sync(&self, peers: u64) -> Result<()> {
        let what = format!("node-{} to be in sync", self.number);
        wait::until(&what, LIMIT, || {
            let node = self.ctl(&["node"])?;
            let is_there = node["established"] == peers
                && node["in_sync"] == true
                && node["settling"] == false;
            if is_there {
                Ok(())
            } else {
                Err(node.to_string())
            }
        })
    }

    /// Writes down every change of the kernel's routes from now on.
    pub(crate) fn monitor(&self) -> Result<Monitor> {
        let mut command = Command::new("ip");
        command.args(["monitor", "route"]);
        let name = format!("monitor-{}", fs::read_dir(&self.folder).unwrap().count());
        let process = Process::start(&self.namespace, &name, &self.folder, command)?;
        let monitor = Monitor { process };
        // It is listening when it has seen a change of ours.
        wait::until("ip monitor", LIMIT, || {
            let probe = "route add 192.0.2.1/32 dev cali1\nroute del 192.0.2.1/32 dev cali1";
            self.namespace
                .ip(probe)
                .map_err(|error| error.to_string())?;
            if monitor.lines().is_empty() {
                Err("it says nothing".to_owned())
            } else {
                Ok(())
            }
        })?;
        Ok(monitor)
    }
}

/// A running `ip monitor route`.
pub(crate) struct Monitor {
    process: Process,
}

impl Monitor {
    fn lines(&self) -> Vec<String> {
        self.process.output().lines().map(str::to_owned).collect()
    }

    /// What was deleted, of the prefixes that begin so.
    pub(crate) fn deleted(&self, prefix: &str) -> Vec<String> {
        let lines = self.lines();
        let deleted = lines.into_iter().filter(|line| {
            line.starts_with("Deleted") && line.split(' ').any(|word| word.starts_with(prefix))
        });
        deleted.collect()
    }
}
