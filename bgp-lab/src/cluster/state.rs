//! How another process finds a running cluster: a small file with the process id, the descriptors
//! of the namespaces, and where the files are.
//!
//! The namespaces have no names; `/proc/PID/fd/N` leads to them as long as the cluster runs. A
//! cluster of a user namespace is entered through that first. Files of clusters that are gone are
//! removed by whoever finds them.

use super::Cluster;
use crate::reflector::binary;
use crate::{During, Error, Result};
use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is known about a running cluster.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct State {
    /// The process that holds it.
    pub pid: u32,
    /// The admin client that fits its daemons.
    pub bgpctl: Option<PathBuf>,
    /// Its places by name, each with the descriptor of its namespace.
    pub places: BTreeMap<String, Place>,
}

/// A namespace of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Place {
    /// The descriptor in the process that holds the cluster.
    pub descriptor: i32,
    /// The admin socket of the daemon there, if it is one of ours.
    pub socket: Option<PathBuf>,
}

impl State {
    /// Describes `cluster`.
    pub fn of(cluster: &Cluster) -> Self {
        let mut places = BTreeMap::new();
        let mut add = |name: String, namespace: &crate::netns::Namespace, socket: PathBuf| {
            let place = Place {
                descriptor: namespace.descriptor(),
                socket: socket.exists().then_some(socket),
            };
            places.insert(name, place);
        };
        for node in &cluster.nodes {
            let name = node.number.name();
            let socket = cluster.dir().join(&name).join("admin.sock");
            add(name, &node.namespace, socket);
        }
        for workload in &cluster.workloads {
            add(workload.number.name(), &workload.namespace, PathBuf::new());
        }
        for reflector in &cluster.reflectors {
            let name = reflector.name.clone();
            let socket = cluster.dir().join(&name).join("reflector/admin.sock");
            add(name, &reflector.namespace, socket);
        }
        let socket = cluster.dir().join("tor/admin.sock");
        add("tor".to_owned(), cluster.fabric.router(), socket);
        Self {
            pid: std::process::id(),
            bgpctl: binary("bgpctl", "BGPCTL_BIN").ok(),
            places,
        }
    }

    /// Writes the file, which [`Written`] removes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<Written> {
        let path = folder().join(format!("bgp-lab-state-{}.json", self.pid));
        let text =
            serde_json::to_string_pretty(self).map_err(|error| Error::Check(error.to_string()))?;
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
        Ok(Written(path))
    }

    /// The running cluster: the only one, or the one of process `pid`.
    ///
    /// # Errors
    /// When there is none, or more than one to choose from.
    pub fn find(pid: Option<u32>) -> Result<Self> {
        let entries = fs::read_dir(folder()).during(|| "looking for clusters".to_owned())?;
        let mut found = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let ours = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("bgp-lab-state-"));
            if ours && let Some(state) = read(&path) {
                if is_alive(state.pid) {
                    found.push(state);
                } else {
                    // Left by one that was killed; another finder may have been quicker.
                    let _ = fs::remove_file(&path);
                }
            }
        }
        found.retain(|state| pid.is_none_or(|pid| pid == state.pid));
        match found.pop() {
            Some(state) if found.is_empty() => Ok(state),
            Some(state) => {
                found.push(state);
                let pids: Vec<_> = found.iter().map(|state| state.pid.to_string()).collect();
                Err(Error::Check(format!(
                    "several clusters run: say which by --lab {}",
                    pids.join(" or --lab ")
                )))
            }
            None => Err(Error::Check(
                "no cluster runs: start one with `bgp-lab up`".to_owned(),
            )),
        }
    }

    /// Replaces this process by `words`, run in the place called `name`.
    ///
    /// # Errors
    /// When there is no such place or it cannot be entered, or the program cannot be started. It
    /// does not return otherwise.
    pub fn exec(&self, name: &str, words: &[String]) -> Result<()> {
        let place = self.places.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.places.keys().map(String::as_str).collect();
            Error::Check(format!("`{name}` is none of {}", names.join(", ")))
        })?;
        let open = |path: String| File::open(&path).during(|| format!("opening {path}"));
        if !nix::unistd::geteuid().is_root() {
            let user = open(format!("/proc/{}/ns/user", self.pid))?;
            setns(&user, CloneFlags::CLONE_NEWUSER).during(|| "entering its users".to_owned())?;
        }
        let network = open(format!("/proc/{}/fd/{}", self.pid, place.descriptor))?;
        setns(&network, CloneFlags::CLONE_NEWNET).during(|| format!("entering {name}"))?;
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| Error::Check("no command was given".to_owned()))?;
        let mut command = match (&self.bgpctl, &place.socket) {
            (Some(client), Some(socket)) if program == "bgpctl" => {
                let mut command = Command::new(client);
                command.arg("--socket").arg(socket);
                command
            }
            _ => Command::new(program),
        };
        command.args(arguments);
        Err(command.exec()).during(|| format!("starting {program}"))
    }
}

/// A state file; it goes with this value.
#[derive(Debug)]
pub struct Written(PathBuf);

impl Written {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir()
}

fn read(path: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
