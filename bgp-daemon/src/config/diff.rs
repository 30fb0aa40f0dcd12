//! What a new configuration changes in a running one, and whether that can be done without a
//! restart.
//!
//! Both are compared in their complete text form, key by key: what `--check` prints cannot change
//! unnoticed. Blocks may come and go, peers come, go and change, and policies with them; everything
//! else is refused with its place in the new file, and then nothing is applied.

use super::section::Places;
use super::{DaemonConfig, Diagnostic, Loaded, Report, Severity};
use bgp_core::complaint::Complaint;
use bgp_core::config::{Disruption, Peer};
use bgp_core::policy::Policy;
use bgp_core::prefix::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use toml::{Table, Value};

/// What changes. Sessions that it does not name do not notice it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Blocks that are ours from now on.
    pub add_blocks: Vec<IpNet>,
    /// Blocks that are not ours any more.
    pub remove_blocks: Vec<IpNet>,
    /// Peers that are new. They are added before any is removed; none has the address of one that
    /// goes.
    pub add_peers: Vec<Peer>,
    /// Names of peers that go. Make before break: on a node, where peers are added too, these stay
    /// until the new ones have said End-of-RIB and the kernel needs no change, or a bounded time
    /// has passed.
    pub remove_peers: Vec<String>,
    /// Peers that stay and whose settings are other ones now.
    pub update_peers: Vec<Peer>,
}

/// Something that changes, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What changes.
    pub what: String,
    /// What that disturbs.
    pub cost: &'static str,
}

/// What a new configuration changes in a running one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// What has to be done.
    pub change: Change,
    /// The same for people, and what changes besides.
    pub steps: Vec<Step>,
}

impl Change {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The tables of a configuration that come in any number, and the key that tells them apart.
const LISTS: [(&str, &str); 6] = [
    ("policy", "name"),
    ("group", "name"),
    ("peer", "name"),
    ("pool", "prefix"),
    ("block", "prefix"),
    ("tunnel-end", "host"),
];

/// One table of a configuration.
type Element = (&'static str, String);

impl Loaded {
    /// What has to be done where `running` runs and this shall.
    ///
    /// # Errors
    ///
    /// Every difference that needs a restart, at its place in the new file.
    pub fn plan_from(&self, running: &DaemonConfig) -> Result<Plan, Report> {
        let (old, new) = (elements(running), elements(&self.config));
        let names: BTreeSet<&Element> = old.keys().chain(new.keys()).collect();
        let mut plan = Plan::default();
        let mut refused = Vec::new();
        for element in names {
            let (old, new) = (old.get(element), new.get(element));
            match element.0 {
                "peer" => {}
                "block" => plan.block(&element.1, old.is_none(), new.is_none()),
                "policy" => plan.policy(&element.1, old, new),
                // Its settings stand at its peers.
                "group" if !accepts(old) && !accepts(new) => {}
                _ => refused.extend(self.differences(element, old, new)),
            }
        }
        refused.extend(self.policies_of_groups(running));
        refused.extend(self.peers(running, &mut plan));
        if refused.is_empty() {
            return Ok(plan);
        }
        refused.sort_by_key(|one| (one.span.start, one.element.clone()));
        Err(Report {
            file: self.warnings.file.clone(),
            source: self.warnings.source.clone(),
            diagnostics: refused,
        })
    }

    /// Adds what happens to peers to `plan`.
    fn peers(&self, running: &DaemonConfig, plan: &mut Plan) -> Vec<Diagnostic> {
        let by_name = |config: &'_ DaemonConfig| -> BTreeMap<String, Peer> {
            let peers = config.speaker.peers.iter();
            peers
                .map(|peer| (peer.name.clone(), peer.clone()))
                .collect()
        };
        let (old, new) = (by_name(running), by_name(&self.config));
        let mut refused = Vec::new();
        let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
        let gone: BTreeMap<IpAddr, &String> = gone.map(|(name, p)| (p.address, name)).collect();
        for (name, peer) in &new {
            match (old.get(name), gone.get(&peer.address)) {
                (Some(before), _) if before == peer => {}
                (Some(before), _) => plan.update_peer(before, peer),
                (None, Some(other)) => {
                    let element = ("peer", name.clone());
                    let found = format!("it was called {other:?} before");
                    refused.push(self.needs_restart(&element, "name", &found));
                }
                (None, None) => plan.add_peer(peer),
            }
        }
        for name in gone.into_values() {
            plan.remove_peer(name);
        }
        refused
    }

    /// Dynamic neighbours keep the policies that they came with.
    fn policies_of_groups(&self, running: &DaemonConfig) -> Vec<Diagnostic> {
        let old = &running.speaker.dynamic;
        let new = self.config.speaker.dynamic.iter();
        let differ = new.filter_map(|group| {
            let before = old.iter().find(|before| before.name == group.name)?;
            let (was, is) = (&before.settings, &group.settings);
            let element = ("group", group.name.clone());
            let changed = |key: &str, was: &Option<Arc<Policy>>, is: &Option<Arc<Policy>>| {
                let name = is.as_ref().filter(|is| was.as_ref() != Some(*is))?;
                let same_name = was.as_ref().is_some_and(|was| was.name == name.name);
                let found = format!("policy {:?} says something else", name.name);
                same_name.then(|| self.needs_restart(&element, key, &found))
            };
            let import = changed("import", &was.import, &is.import);
            import.or_else(|| changed("export", &was.export, &is.export))
        });
        differ.collect()
    }

    fn differences(
        &self,
        element: &Element,
        old: Option<&Table>,
        new: Option<&Table>,
    ) -> Vec<Diagnostic> {
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (None, _) => return vec![self.needs_restart(element, "", "it is new")],
            (_, None) => return vec![self.needs_restart(element, "", "it is gone")],
        };
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differ = keys
            .into_iter()
            .filter(|key| old.get(*key) != new.get(*key));
        let tell = |key: &String| {
            let (was, is) = (old.get(key), new.get(key));
            let found = format!("{} before, {} now", told(was), told(is));
            self.needs_restart(element, key, &found)
        };
        differ.map(tell).collect()
    }

    fn needs_restart(&self, element: &Element, key: &str, found: &str) -> Diagnostic {
        let name = name_of(element);
        let nowhere = Places::default();
        let places = self.places.get(&name).unwrap_or(&nowhere);
        let element = match key {
            "" => name,
            key => format!("{name} {key}"),
        };
        Diagnostic {
            severity: Severity::Error,
            element,
            complaint: Complaint::new(
                format!("needs a restart: {found}"),
                "blocks, peers and policies may change while the daemon runs",
                "restart the daemon, or take this change back; nothing of the new file is in use",
            ),
            span: places.of(key),
            related: None,
        }
    }
}

fn accepts(group: Option<&Table>) -> bool {
    group.is_some_and(|group| group.contains_key("accept"))
}

fn told(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), Value::to_string)
}

impl Plan {
    fn say(&mut self, what: String, cost: &'static str) {
        self.steps.push(Step { what, cost });
    }

    fn block(&mut self, prefix: &str, is_new: bool, is_gone: bool) {
        let Ok(block) = prefix.parse::<IpNet>() else {
            return;
        };
        if is_new {
            self.change.add_blocks.push(block);
            self.say(format!("block {prefix} is ours now"), "nothing");
        } else if is_gone {
            self.change.remove_blocks.push(block);
            let cost = "workloads in it that are still here are reached no more";
            self.say(format!("block {prefix} is given up"), cost);
        }
    }

    /// What it does to sessions is said at the peers that name it.
    fn policy(&mut self, name: &str, old: Option<&Table>, new: Option<&Table>) {
        let what = match (old, new) {
            (None, _) => "is new",
            (_, None) => "is gone",
            (Some(old), Some(new)) if old == new => return,
            (Some(_), Some(_)) => "says something else",
        };
        let cost = "nothing but what is said of peers that name it";
        self.say(format!("policy {name:?} {what}"), cost);
    }

    fn add_peer(&mut self, peer: &Peer) {
        self.change.add_peers.push(peer.clone());
        self.say(format!("peer {:?} is new", peer.name), "nothing");
    }

    fn remove_peer(&mut self, name: &str) {
        self.change.remove_peers.push(name.to_owned());
        let cost = "its session ends, and its routes go with it";
        self.say(format!("peer {name:?} is gone"), cost);
    }

    fn update_peer(&mut self, before: &Peer, peer: &Peer) {
        self.change.update_peers.push(peer.clone());
        let cost = match before.disruption(peer) {
            Disruption::Nothing => "nothing",
            Disruption::Import => "what it has told is judged again; the session stays",
            Disruption::NewSession => "its session ends and comes back",
            Disruption::NewPeer => "its session ends and another begins, its routes go meanwhile",
        };
        self.say(format!("peer {:?} has other settings", peer.name), cost);
    }
}

/// As [`super::section::Section`] calls it.
fn name_of((kind, name): &Element) -> String {
    match *kind {
        "policy" | "group" | "peer" => format!("{kind} {name:?}"),
        _ if name.is_empty() => (*kind).to_owned(),
        _ => format!("{kind} {name}"),
    }
}

/// The tables of the complete text form.
fn elements(config: &DaemonConfig) -> BTreeMap<Element, Table> {
    // It can be read: tests read it again for every configuration that there is.
    let mut document: Table = config.to_string().parse().unwrap_or_default();
    let mut elements = BTreeMap::new();
    for (kind, key) in LISTS {
        let Some(Value::Array(tables)) = document.remove(kind) else {
            continue;
        };
        for table in tables {
            if let Value::Table(table) = table {
                let name = table.get(key).and_then(Value::as_str).unwrap_or_default();
                elements.insert((kind, name.to_owned()), table);
            }
        }
    }
    for kind in ["router", "node", "fib"] {
        if let Some(Value::Table(table)) = document.remove(kind) {
            elements.insert((kind, String::new()), table);
        }
    }
    elements
}
