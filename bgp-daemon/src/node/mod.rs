//! The conductor of a node: joins the engine, the rules of a node and the kernel, and decides
//! nothing itself.
//!
//! ```text
//!             RouteNews                      Order                       requests
//!  engine ───────────────▶ bgp_blocks::Node ───────▶ bgp_fib::Fib ─────────────────▶ kernel
//!    ▲  originate, withdraw      ▲  ▲  host routes         │
//!    ├───────────────────────────┘  └──────────────────────┤
//!    └── what a next hop costs, F bits ◀── next hops ──────┘
//! ```
//!
//! It is one task. Whatever wakes it (news of routes, events of the engine or the kernel, a
//! request of an operator, a deadline) ends in [`Conductor::settle`]: what the rules then order is
//! carried out in their order, the engine's part and the kernel's in batches.
//!
//! | file | what it does |
//! |---|---|
//! | `start.rs` | the first look at the kernel, then the engine |
//! | `orders.rs` | what the rules order, in batches to engine and kernel |
//! | `news.rs` | what the engine and the kernel tell |
//! | `hearing.rs` | who has told all it knows: sweep, headless, make before break |
//! | `changes.rs` | what an operator changes: blocks and peers |
//! | `strangers.rs` | others' kernel routes inside our pools |
//! | `answers.rs` | what an operator asks |
//! | `words.rs` | log lines, and kernel routes in the words of `ip route` |
//!
//! # Invariants
//!
//! - The kernel is looked at before the first session is dialled, so that the F bit (RFC 4724)
//!   says what is there and not how the process was started.
//! - Before news of routes are taken, the events that happened before them have been. So what is
//!   lost with the last reflector is known to be lost that way.
//! - It ends before the engine does: the end of all sessions is no reason to empty the kernel.
//!   However it ends, the kernel keeps what it has.
//! - Every queue that leads here is bounded, and nobody waits for the conductor but who asked it.

mod answers;
mod changes;
mod hearing;
mod news;
mod orders;
mod start;
mod strangers;
mod words;

pub use start::{Conducting, Parts, Started, start};

use crate::admin::node::{Reply, Request};
use crate::admin::node_view;
use bgp_blocks::Node;
use bgp_core::family::FamilySet;
use bgp_core::time::Instant;
use bgp_core::types::Asn;
use bgp_fib::FibEvent;
use bgp_io::{Asker, Clock, Events, Gone, Routes};
use changes::Leaving;
use hearing::Hearing;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often what has no event of its own is looked at: F bits, peers that are to leave, and routes
/// of others.
const TICK: Duration = Duration::from_secs(1);
/// Audits that wait for the kernel's tables to be read. A further one is not answered, and its
/// client sees that.
const MAX_AUDITS: usize = 16;

/// Joins an engine, the rules of a node, and a kernel.
pub(super) struct Conductor {
    clock: Clock,
    node: Node,
    engine: Asker,
    routes: Routes,
    events: Events,
    kernel: bgp_fib::Handle,
    kernel_events: bgp_fib::Events,
    requests: mpsc::Receiver<Request>,
    /// Our AS, for answers to an operator.
    asn: Asn,
    hearing: Hearing,
    leaving: Option<Leaving>,
    /// Next hops that some route uses.
    next_hops: BTreeSet<IpAddr>,
    /// Those of them of which the kernel's side has not said where they are.
    unresolved: BTreeSet<IpAddr>,
    /// What the engine was last told to say in its F bits.
    forwarding: FamilySet,
    audits: Vec<Reply<node_view::Audit>>,
    strangers: strangers::Strangers,
    /// An operator has taken everything out of the kernel; nothing goes in again.
    flushed: bool,
}

/// Why the conductor cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Lost {
    /// The engine has ended.
    #[error("the engine has ended")]
    Engine,
    /// Whoever writes the kernel's routes has ended.
    #[error("the task that writes kernel routes has ended")]
    Kernel,
}

impl From<Gone> for Lost {
    fn from(_: Gone) -> Self {
        Self::Engine
    }
}

impl From<bgp_fib::Gone> for Lost {
    fn from(_: bgp_fib::Gone) -> Self {
        Self::Kernel
    }
}

impl Conductor {
    /// Runs until `end`, or until engine or kernel are lost. `first` is what the kernel's edge has
    /// told already.
    async fn run(mut self, first: Vec<FibEvent>, mut end: oneshot::Receiver<()>) {
        let outcome = tokio::select! {
            outcome = self.conduct(first) => outcome,
            _ = &mut end => return,
        };
        if let Err(lost) = outcome {
            tracing::error!("{lost}: kernel routes stay as they are");
        }
    }

    async fn conduct(&mut self, first: Vec<FibEvent>) -> Result<(), Lost> {
        for event in first {
            self.take_kernel_events(event).await?;
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.settle().await?;
            let deadline = self.deadline();
            let timer = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(self.clock.at(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                batch = self.routes.next() => {
                    let batch = batch.ok_or(Lost::Engine)?;
                    self.take_events();
                    self.take_routes(batch).await?;
                }
                heard = self.events.next() => {
                    let heard = heard.ok_or(Lost::Engine)?;
                    self.take_event(heard);
                }
                event = self.kernel_events.next() => {
                    let event = event.ok_or(Lost::Kernel)?;
                    self.take_kernel_events(event).await?;
                }
                Some(request) = self.requests.recv() => self.answer(request).await?,
                () = timer => {}
                _ = tick.tick() => self.look_around().await?,
            }
        }
    }

    /// Carries out what follows from what has been taken in.
    async fn settle(&mut self) -> Result<(), Lost> {
        let now = self.clock.now();
        if self.node.poll_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
        }
        self.judge_hearing().await?;
        self.carry_out().await?;
        self.tell_notices();
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let all = [self.node.poll_timeout(), self.hearing.poll_timeout()];
        all.into_iter().flatten().min()
    }

    /// What no event tells.
    async fn look_around(&mut self) -> Result<(), Lost> {
        self.tell_forwarding().await?;
        self.look_for_strangers().await?;
        self.let_peers_leave().await
    }
}
