//! How a node starts: first the kernel, then the engine.
//!
//! 1. The edge of the kernel begins to read devices, addresses and routes.
//! 2. When it has (or [`FIRST_LOOK`] has passed), it is known in which families routes of ours
//!    forward packets: the F bit of the first OPENs.
//! 3. The engine is made, is told of our blocks, and starts. So they are the first that peers hear.

use super::Conductor;
use super::hearing::Hearing;
use super::orders::{Task, apply, sort};
use crate::admin::node::NodeControl;
use crate::config::NodeConfig;
use bgp_blocks::{Node, Order};
use bgp_core::config::Config;
use bgp_core::family::FamilySet;
use bgp_core::speaker::Speaker;
use bgp_core::time::Instant;
use bgp_fib::{Fib, FibEvent, Settings, Sockets};
use bgp_io::{Clock, Events, Handle, Listener};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long the start waits for the first look at the kernel. Without it the F bit is not set.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// How long the conductor may take for what it is doing when it is told to end.
const LAST_STEP: Duration = Duration::from_secs(1);

/// What a node is made of.
pub struct Parts {
    /// Its peers.
    pub speaker: Config,
    /// What it is and owns, and its kernel routes.
    pub node: NodeConfig,
    /// The clock of all parts.
    pub clock: Clock,
    /// The source of all chance.
    pub seed: u64,
    /// Where connections come in.
    pub listeners: Vec<Listener>,
}

/// A node that runs.
pub struct Started {
    /// Its engine.
    pub engine: Handle,
    /// What happens there.
    pub events: Events,
    /// The way to its conductor.
    pub control: NodeControl,
    /// Its conductor.
    pub conducting: Conducting,
}

/// A conductor that runs.
pub struct Conducting {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Conducting {
    /// Ends it, before the engine ends: the kernel keeps its routes.
    pub async fn end(self) {
        // It may have ended by itself.
        let _ = self.end.send(());
        let _ = tokio::time::timeout(LAST_STEP, self.task).await;
    }
}

/// Starts a node.
///
/// # Errors
///
/// No netlink sockets, or what [`Speaker::new`], [`Node::new`] and [`bgp_io::spawn_with_routes`]
/// refuse.
pub async fn start(parts: Parts) -> Result<Started, String> {
    let Parts {
        mut speaker,
        node,
        clock,
        seed,
        listeners,
    } = parts;
    let asn = speaker.router.asn;
    let (kernel, mut kernel_events) = look_at_kernel(&node, clock, seed)?;
    let first_events = first_look(&mut kernel_events).await;
    let forwarding: Result<FamilySet, _> = kernel.ask(|fib, _| fib.forwarding()).await;
    let forwarding = forwarding.map_err(|gone| gone.to_string())?;
    speaker.router.forwarding = forwarding;
    let reflectors: BTreeSet<String> = speaker
        .peers
        .iter()
        .filter(|peer| peer.settings.keep_when_silent)
        .map(|peer| peer.name.clone())
        .collect();
    let now = clock.now();
    let stale_time = node.settings.stale_time;
    let mut node = Node::new(node.settings).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("\n")
    })?;
    let mut speaker = Speaker::new(speaker, now, seed).map_err(|error| error.to_string())?;
    let kernel_orders = announce_first(&mut node, &mut speaker, now);
    let install = move |fib: &mut Fib, _| kernel_orders.into_iter().for_each(|o| apply(fib, o));
    kernel.ask(install).await.map_err(|gone| gone.to_string())?;
    let started = bgp_io::spawn_with_routes(speaker, clock, listeners);
    let (engine, events, routes) =
        started.map_err(|error| format!("cannot start the engine: {error}"))?;
    let (control, requests) = NodeControl::new();
    let conductor = Conductor {
        clock,
        node,
        engine: engine.asker(),
        routes,
        events: engine.events(),
        kernel,
        kernel_events,
        requests,
        asn,
        hearing: Hearing::new(reflectors, now + stale_time),
        leaving: None,
        next_hops: BTreeSet::new(),
        unresolved: BTreeSet::new(),
        forwarding,
        audits: Vec::new(),
        strangers: BTreeMap::new(),
        flushed: false,
    };
    let (end, ended) = oneshot::channel();
    let task = tokio::spawn(conductor.run(first_events, ended));
    Ok(Started {
        engine,
        events,
        control,
        conducting: Conducting { end, task },
    })
}

/// Starts the edge of the kernel.
fn look_at_kernel(
    node: &NodeConfig,
    clock: Clock,
    seed: u64,
) -> Result<(bgp_fib::Handle, bgp_fib::Events), String> {
    let settings = Settings {
        table: node.settings.table,
        ..node.fib.clone()
    };
    let mut fib = Fib::new(settings, clock.now(), seed);
    fib.watch_devices(node.settings.workload_devices.clone());
    let cannot = |error| format!("cannot speak netlink with the kernel: {error}");
    let sockets = Sockets::open().map_err(cannot)?;
    bgp_fib::spawn(fib, move || clock.now(), sockets).map_err(cannot)
}

/// Waits for the first look at the kernel; gives what was told until then.
async fn first_look(events: &mut bgp_fib::Events) -> Vec<FibEvent> {
    let mut told = Vec::new();
    let look = async {
        while let Some(event) = events.next().await {
            let looked = matches!(event, FibEvent::Synced { .. });
            told.push(event);
            if looked {
                return;
            }
        }
    };
    if tokio::time::timeout(FIRST_LOOK, look).await.is_err() {
        tracing::warn!(
            "the kernel's tables could not be read within {FIRST_LOOK:?}: peers are told that we \
             forward nothing yet"
        );
    }
    told
}

/// Has the engine announce what is ours before anybody can ask, and gives what is for the kernel.
fn announce_first(node: &mut Node, speaker: &mut Speaker, now: Instant) -> Vec<Order> {
    let mut kernel = Vec::new();
    while let Some(order) = node.poll_order() {
        match sort(node.settings(), order) {
            Some(Task::Engine(word)) => word.tell(speaker, now),
            Some(Task::Kernel(order)) => kernel.push(order),
            None => {}
        }
    }
    kernel
}
