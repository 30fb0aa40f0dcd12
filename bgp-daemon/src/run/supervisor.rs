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

use super::blocks::BlockStore;
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
        if let Target::Node(_, store) = &mut self.target
            && let Err(error) = store.reconcile(&old, &new)
        {
            warnings.push(error.to_string());
        }
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
        let configured = blocks_of(&self.running);
        let Target::Node(..) = &self.target else {
            return Err(no_node());
        };
        let change = Change {
            add_blocks: vec![block],
            ..Change::default()
        };
        self.apply(change).await?;
        let Target::Node(_, store) = &mut self.target else {
            return Err(no_node());
        };
        if let Err(error) = store.add(block, &configured) {
            let undo = Change {
                remove_blocks: vec![block],
                ..Change::default()
            };
            self.apply(undo).await?;
            return Err(refused(error.to_string(), NOT_DONE));
        }
        tracing::info!(%block, "added by an operator");
        Ok(format!("block {block} is ours, and stays so over restarts"))
    }

    async fn remove_block(&mut self, block: IpNet) -> Outcome<String> {
        let configured = blocks_of(&self.running);
        let change = Change {
            remove_blocks: vec![block],
            ..Change::default()
        };
        let applied = self.apply(change).await;
        let Target::Node(_, store) = &mut self.target else {
            return Err(no_node());
        };
        if applied.is_err() && store.is_added(block) {
            // It was added once and does not fit any more.
            let forgotten = store.remove(block, &configured);
            forgotten.map_err(|error| refused(error.to_string(), NOT_DONE))?;
            return Ok(format!("block {block} was not in use, and is forgotten"));
        }
        applied?;
        if let Err(error) = store.remove(block, &configured) {
            let undo = Change {
                add_blocks: vec![block],
                ..Change::default()
            };
            self.apply(undo).await?;
            return Err(refused(error.to_string(), NOT_DONE));
        }
        tracing::info!(%block, "removed by an operator");
        let still = if configured.contains(&block) {
            "; the configuration still names it, which does not count until it is taken out and \
             put in again"
        } else {
            ""
        };
        Ok(format!("block {block} is given up{still}"))
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
