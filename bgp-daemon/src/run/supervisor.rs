//! The owner of the running configuration: reloads, and orders that outlive the process.
//!
//! ```text
//! SIGHUP, bgpctl reload ─▶ file ─▶ Loaded ─▶ plan_from(running) ─▶ engine, or conductor of a node
//! bgpctl block add|remove ────────────────────────────────────────▶ conductor, then BlockStore
//! ```
//!
//! # Invariants
//!
//! - One thing at a time: a reload sees the outcome of every order before it.
//! - All or nothing: a file that is refused, in whole or in part, changes nothing, and the running
//!   configuration stays the one to compare with.
//! - What is answered as done is done, and on the disk where it is to outlive the process.

use super::blocks::{BlockStore, StoreError};
use crate::admin::directives::{Directive, Outcome};
use crate::admin::node::{NodeControl, Request};
use crate::admin::node_view::{ChangeLine, Reloaded};
use crate::admin::view::Problem;
use crate::config::{Change, DaemonConfig, Kind, Loaded, Plan};
use crate::host::Host;
use bgp_core::complaint::Complaint;
use bgp_core::prefix::IpNet;
use bgp_core::session::Stop;
use bgp_core::speaker::Speaker;
use bgp_core::time::Instant;
use bgp_io::Asker;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Whom changes are told.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A reflector's engine.
    Engine(Asker),
    /// A node's conductor, and the store of its blocks.
    Node(NodeControl, BlockStore),
}

/// See the module.
pub(super) struct Supervisor {
    pub(super) kind: Kind,
    pub(super) host: Host,
    /// The configuration file; `None` for the built-in default.
    pub(super) file: Option<PathBuf>,
    /// What the file said when it was last taken.
    pub(super) running: DaemonConfig,
    pub(super) target: Target,
}

impl Supervisor {
    /// Carries orders out until nobody can give any.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Directive>) {
        while let Some(order) = orders.recv().await {
            // Whoever ordered may have left meanwhile.
            match order {
                Directive::Reload(reply) => {
                    let outcome = self.reload().await;
                    tell_reload(&outcome);
                    let _ = reply.send(outcome);
                }
                Directive::AddBlock(block, reply) => {
                    let _ = reply.send(self.add_block(block).await);
                }
                Directive::RemoveBlock(block, reply) => {
                    let _ = reply.send(self.remove_block(block).await);
                }
            }
        }
    }

    async fn reload(&mut self) -> Outcome<Reloaded> {
        let loaded = self.load().await?;
        let Plan { mut change, steps } = loaded
            .plan_from(&self.running)
            .map_err(|report| refused(report.to_string(), KEPT))?;
        let (old, new) = (blocks_of(&self.running), blocks_of(&loaded.config));
        if let Target::Node(_, store) = &self.target {
            // What orders have done already.
            change.add_blocks.retain(|block| !store.is_added(*block));
            change
                .remove_blocks
                .retain(|block| !store.is_removed(*block));
        }
        self.apply(change).await?;
        let mut warnings: Vec<String> = loaded.warnings.lines().collect();
        let kept = self.keep(move |store| store.reconcile(&old, &new)).await;
        warnings.extend(kept.err().map(|problem| problem.error));
        self.running = loaded.config;
        let changes = steps.into_iter().map(|step| ChangeLine {
            what: step.what,
            cost: step.cost.to_owned(),
        });
        Ok(Reloaded {
            changes: changes.collect(),
            warnings,
        })
    }

    /// Reads the file where nothing else waits for the disk.
    async fn load(&self) -> Outcome<Loaded> {
        let Some(file) = self.file.clone() else {
            let advice = "start it with --config FILE to have one to reload";
            return Err(refused("the daemon runs on its built-in default", advice));
        };
        let (kind, host) = (self.kind, self.host.clone());
        let loaded =
            tokio::task::spawn_blocking(move || DaemonConfig::load(&file, kind, &host)).await;
        match loaded {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(error)) => Err(refused(error.to_string(), KEPT)),
            Err(error) => Err(refused(error.to_string(), KEPT)),
        }
    }

    async fn add_block(&mut self, block: IpNet) -> Outcome<String> {
        let Target::Node(..) = &self.target else {
            return Err(no_node());
        };
        let configured = blocks_of(&self.running);
        self.apply(adding(block)).await?;
        let kept = self.keep(move |store| store.add(block, &configured)).await;
        if let Err(problem) = kept {
            self.apply(removing(block)).await?;
            return Err(problem);
        }
        tracing::info!(%block, "added by an operator");
        Ok(format!("block {block} is ours, and stays so over restarts"))
    }

    async fn remove_block(&mut self, block: IpNet) -> Outcome<String> {
        let Target::Node(_, store) = &self.target else {
            return Err(no_node());
        };
        let is_added = store.is_added(block);
        let configured = blocks_of(&self.running);
        let is_configured = configured.contains(&block);
        let applied = self.apply(removing(block)).await;
        if applied.is_err() && is_added {
            // It was added once and does not fit any more.
            self.keep(move |store| store.remove(block, &configured))
                .await?;
            return Ok(format!("block {block} was not in use, and is forgotten"));
        }
        applied?;
        let kept = self
            .keep(move |store| store.remove(block, &configured))
            .await;
        if let Err(problem) = kept {
            self.apply(adding(block)).await?;
            return Err(problem);
        }
        tracing::info!(%block, "removed by an operator");
        let still = if is_configured {
            "; the configuration still names it, which does not count until it is taken out and \
             put in again"
        } else {
            ""
        };
        Ok(format!("block {block} is given up{still}"))
    }

    /// Changes what is remembered, where nothing else waits for the disk.
    async fn keep(
        &mut self,
        change: impl FnOnce(&mut BlockStore) -> Result<(), StoreError> + Send + 'static,
    ) -> Outcome<()> {
        let Target::Node(_, store) = &mut self.target else {
            return Ok(());
        };
        let mut changed = store.clone();
        let written = tokio::task::spawn_blocking(move || change(&mut changed).map(|()| changed));
        match written.await {
            Ok(Ok(changed)) => {
                *store = changed;
                Ok(())
            }
            Ok(Err(error)) => Err(refused(error.to_string(), NOT_DONE)),
            Err(error) => Err(refused(error.to_string(), NOT_DONE)),
        }
    }

    /// Does all of it, or nothing.
    async fn apply(&self, change: Change) -> Outcome<()> {
        if change.is_empty() {
            return Ok(());
        }
        let applied = match &self.target {
            Target::Engine(engine) => engine
                .ask(move |speaker, now| change_peers(speaker, now, change))
                .await
                .map_err(|error| error.to_string()),
            Target::Node(node, _) => node
                .ask(|reply| Request::Change(Box::new(change), reply))
                .await
                .map_err(|error| error.to_string()),
        };
        match applied {
            Ok(Ok(())) => Ok(()),
            Ok(Err(complaints)) => Err(complained(&complaints)),
            Err(error) => Err(refused(error, "the daemon is about to end; see its log")),
        }
    }
}

/// What an operator reads when nothing was changed.
const KEPT: &str = "nothing was changed: the running configuration stays as it was";
const NOT_DONE: &str = "nothing was changed: it would not have outlived a restart";

fn refused(error: impl Into<String>, advice: impl Into<String>) -> Problem {
    Problem {
        error: error.into(),
        advice: advice.into(),
    }
}

fn adding(block: IpNet) -> Change {
    Change {
        add_blocks: vec![block],
        ..Change::default()
    }
}

fn removing(block: IpNet) -> Change {
    Change {
        remove_blocks: vec![block],
        ..Change::default()
    }
}

fn no_node() -> Problem {
    refused("this daemon owns no blocks", "ask a bgp-node")
}

fn complained(complaints: &[Complaint]) -> Problem {
    let found = complaints
        .iter()
        .map(|one| format!("{}; allowed: {}", one.found, one.allowed));
    let advice = complaints.first().map(|one| one.advice.as_str());
    refused(found.collect::<Vec<_>>().join("; "), advice.unwrap_or(KEPT))
}

fn blocks_of(config: &DaemonConfig) -> Vec<IpNet> {
    let node = config.node.as_ref();
    node.map_or_else(Vec::new, |node| node.settings.blocks.clone())
}

/// Carries out what concerns peers. The rules that a whole configuration has to keep were checked
/// when it was read, so nothing is refused in the middle.
pub(crate) fn change_peers(
    speaker: &mut Speaker,
    now: Instant,
    change: Change,
) -> Result<(), Vec<Complaint>> {
    let mut complaints = Vec::new();
    let mut note = |peer: &str, error: String| {
        let advice = "see `bgpctl peers`; a restart brings the whole configuration";
        complaints.push(Complaint::new(format!("peer {peer}: {error}"), "", advice));
    };
    for peer in change.add_peers {
        let name = peer.name.clone();
        if let Err(error) = speaker.add_peer(now, peer) {
            note(&name, error.to_string());
        }
    }
    for peer in change.update_peers {
        let name = peer.name.clone();
        if let Err(error) = speaker.update_peer(now, peer) {
            note(&name, error.to_string());
        }
    }
    for name in change.remove_peers {
        if let Err(error) = speaker.remove_peer(now, &name, Stop::PeerDeconfigured) {
            note(&name, error.to_string());
        }
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints)
    }
}

fn tell_reload(outcome: &Outcome<Reloaded>) {
    match outcome {
        Ok(reloaded) if reloaded.changes.is_empty() => {
            tracing::info!("reloaded: the configuration says the same");
        }
        Ok(reloaded) => {
            for ChangeLine { what, cost } in &reloaded.changes {
                tracing::info!(disturbs = %cost, "reloaded: {what}");
            }
        }
        Err(problem) => tracing::error!("reload refused: {}; {}", problem.error, problem.advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::directives::Superior;
    use bgp_core::types::RouterId;
    use std::fs;
    use std::sync::{Arc, Mutex};
    use tempfile::TempDir;

    const FILE: &str = "[node]\nname = \"n\"\nas = 64512\naddress = \"10.0.1.11/24\"\n\n[[pool]]\n\
                        prefix = \"10.244.0.0/16\"\n\n[[block]]\nprefix = \"10.244.0.0/26\"\n";

    /// A supervisor over a conductor that remembers what it was told, and refuses what lies in
    /// 10.244.9.0/24.
    struct Bench {
        folder: TempDir,
        superior: Superior,
        told: Arc<Mutex<Vec<Change>>>,
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    impl Bench {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("node.toml"), FILE).unwrap();
            Self::start_in(folder).await
        }

        async fn start_in(folder: TempDir) -> Self {
            let file = folder.path().join("node.toml");
            let host = Host {
                router_id: RouterId([192, 0, 2, 1].into()),
                router_id_source: String::new(),
                name: "n".to_owned(),
            };
            let running = DaemonConfig::load(&file, Kind::Node, &host).unwrap().config;
            let (control, mut requests) = NodeControl::new();
            let told = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&told);
            tokio::spawn(async move {
                while let Some(request) = requests.recv().await {
                    let Request::Change(change, reply) = request else {
                        panic!("asked something else");
                    };
                    let bad = net("10.244.9.0/24");
                    let refused = change.add_blocks.iter().any(|block| bad.contains(block));
                    let _ = reply.send(if refused {
                        Err(vec![Complaint::new("a bad block", "good ones", "mend it")])
                    } else {
                        heard.lock().unwrap().push(*change);
                        Ok(())
                    });
                }
            });
            let (superior, orders) = Superior::new();
            let store = BlockStore::open(&folder.path().join("state")).unwrap();
            let supervisor = Supervisor {
                kind: Kind::Node,
                host,
                file: Some(file),
                running,
                target: Target::Node(control, store),
            };
            tokio::spawn(supervisor.run(orders));
            Self {
                folder,
                superior,
                told,
            }
        }

        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("node.toml"), text).unwrap();
        }

        async fn reload(&self) -> Outcome<Reloaded> {
            self.superior.order(Directive::Reload).await
        }

        async fn add(&self, block: &str) -> Outcome<String> {
            let block = net(block);
            self.superior
                .order(|reply| Directive::AddBlock(block, reply))
                .await
        }

        async fn remove(&self, block: &str) -> Outcome<String> {
            let block = net(block);
            self.superior
                .order(|reply| Directive::RemoveBlock(block, reply))
                .await
        }

        fn told(&self) -> Vec<Change> {
            std::mem::take(&mut self.told.lock().unwrap())
        }

        /// The blocks that a successor would start with.
        fn next(&self) -> Vec<IpNet> {
            let file = self.folder.path().join("node.toml");
            let host = Host::look();
            let config = DaemonConfig::load(&file, Kind::Node, &host).unwrap().config;
            let store = BlockStore::open(&self.folder.path().join("state")).unwrap();
            let mut settings = config.node.unwrap().settings;
            store.overlay(&mut settings);
            settings.blocks.sort();
            settings.blocks
        }
    }

    fn added(change: &Change) -> Vec<String> {
        change.add_blocks.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn blocks_that_are_ordered_outlive_the_process_and_are_told_once() {
        let bench = Bench::start().await;
        bench.add("10.244.1.0/26").await.unwrap();
        bench.remove("10.244.0.0/26").await.unwrap();
        assert_eq!(bench.next(), [net("10.244.1.0/26")]);
        assert_eq!(bench.told().len(), 2);
        // The file takes the first up: there is nothing to do for it.
        bench.write(&format!("{FILE}[[block]]\nprefix = \"10.244.1.0/26\"\n"));
        bench.reload().await.unwrap();
        assert_eq!(bench.told(), []);
        assert_eq!(bench.next(), [net("10.244.1.0/26")]);
        // It drops the second, and says it anew: now it counts.
        bench.write(&FILE.replace("10.244.0.0/26", "10.244.1.0/26"));
        bench.reload().await.unwrap();
        assert_eq!(bench.told(), []);
        bench.write(FILE);
        bench.reload().await.unwrap();
        let told = bench.told();
        assert_eq!(added(&told[0]), ["10.244.0.0/26"]);
        assert_eq!(told[0].remove_blocks, [net("10.244.1.0/26")]);
        assert_eq!(bench.next(), [net("10.244.0.0/26")]);
    }

    #[tokio::test]
    async fn what_the_node_refuses_is_not_remembered() {
        let bench = Bench::start().await;
        let problem = bench.add("10.244.9.0/26").await.unwrap_err();
        assert_eq!(problem.error, "a bad block; allowed: good ones");
        assert_eq!(problem.advice, "mend it");
        bench.write(&format!("{FILE}[[block]]\nprefix = \"10.244.9.0/26\"\n"));
        assert!(bench.reload().await.is_err());
        bench.write(FILE);
        assert_eq!(bench.reload().await.unwrap().changes, []);
        assert_eq!(bench.next(), [net("10.244.0.0/26")]);
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_taken_back() {
        let bench = Bench::start().await;
        // A file where the folder of the state should be.
        fs::write(bench.folder.path().join("state"), "").unwrap();
        let problem = bench.add("10.244.1.0/26").await.unwrap_err();
        assert!(problem.error.contains("cannot write"), "{problem:?}");
        let told = bench.told();
        assert_eq!(added(&told[0]), ["10.244.1.0/26"]);
        assert_eq!(told[1].remove_blocks, [net("10.244.1.0/26")]);
    }

    #[tokio::test]
    async fn a_broken_file_is_named_with_its_line_and_the_old_one_stays() {
        let bench = Bench::start().await;
        for (text, place) in [
            (FILE.replace("64512", "none"), "node.toml:3:6"),
            (FILE.replace("64512", "64513"), "node.toml:3:6"),
            (String::new(), "no [node]"),
        ] {
            bench.write(&text);
            let problem = bench.reload().await.unwrap_err();
            assert!(problem.error.contains(place), "{problem:?}");
            assert!(
                problem.advice.contains("nothing was changed"),
                "{problem:?}"
            );
        }
        assert_eq!(bench.told(), []);
        bench.write(FILE);
        assert_eq!(bench.reload().await.unwrap().changes, []);
    }
}
