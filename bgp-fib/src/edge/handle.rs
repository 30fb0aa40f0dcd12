//! How the rest of the process talks to an edge: orders in, answers and events out.

use super::Stats;
use crate::{Fib, FibEvent};
use bgp_core::time::Instant;
use std::fmt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// At most this many orders wait for the edge; who gives one more waits until there is room.
pub const MAX_ORDERS: usize = 64;

/// At most this many events wait for their reader. Further ones stay with the [`Fib`].
pub const MAX_EVENTS: usize = 1024;

pub(super) type Question = Box<dyn FnOnce(&mut Fib, Instant) + Send>;

/// The edge has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the keeper of the kernel's routes has ended")]
pub struct Gone;

/// Keeps an edge running: when it is dropped, the edge ends.
///
/// Dropping needs no runtime and does not wait: the task is cancelled between two turns. Routes
/// stay in the kernel. To wait for the end, use [`Handle::shutdown`].
#[derive(Debug)]
pub struct Handle {
    asker: Asker,
    stats: watch::Receiver<Stats>,
    task: JoinHandle<()>,
}

impl Handle {
    pub(super) fn new(
        orders: mpsc::Sender<Question>,
        stats: watch::Receiver<Stats>,
        task: JoinHandle<()>,
    ) -> Self {
        let asker = Asker { orders };
        Self { asker, stats, task }
    }

    /// Runs `question` on the [`Fib`] and gives its answer. See [`Asker::ask`].
    ///
    /// # Errors
    ///
    /// The edge has ended.
    pub async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Fib, Instant) -> R + Send + 'static,
    ) -> Result<R, Gone> {
        self.asker.ask(question).await
    }

    /// Something that asks the edge but does not keep it running.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// What the edge has counted, as of the end of its last turn. Does not disturb it.
    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    /// The counters as something that can be waited on.
    pub fn watch_stats(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Ends the edge; returns when its sockets are closed. Routes stay in the kernel, and what is
    /// pending is not done.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // It was cancelled, or had ended already.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks an edge questions. Many may exist, and none keeps the edge running.
#[derive(Clone)]
pub struct Asker {
    orders: mpsc::Sender<Question>,
}

impl Asker {
    /// Runs `question` on the [`Fib`], between two turns, and gives its answer.
    ///
    /// Nothing else happens in the edge meanwhile, so a question must be short: set a few thousand
    /// routes, take a page of a table. If it panics, the edge ends. It is run even if the answer
    /// is no longer awaited.
    ///
    /// # Errors
    ///
    /// The edge has ended.
    pub async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Fib, Instant) -> R + Send + 'static,
    ) -> Result<R, Gone> {
        let (answer, answered) = oneshot::channel();
        let ask = Box::new(move |fib: &mut Fib, now| {
            // Nobody may be waiting any more.
            let _ = answer.send(question(fib, now));
        });
        self.orders.send(ask).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

/// What the owner of the routes may want to know. Whoever does not want to know drops it.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<FibEvent>,
}

impl Events {
    pub(super) fn new(receiver: mpsc::Receiver<FibEvent>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` when the edge has ended. May be cancelled without losing anything.
    pub async fn next(&mut self) -> Option<FibEvent> {
        self.receiver.recv().await
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<FibEvent> {
        self.receiver.try_recv().ok()
    }
}
