//! How the rest of the process talks to an engine: orders in, answers and events out.

use crate::stats::Stats;
use bgp_core::session::Stop;
use bgp_core::speaker::{Event, Speaker};
use bgp_core::time::Instant;
use std::fmt;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// At most this many orders wait for the engine; who gives one more waits until there is room.
pub const MAX_ORDERS: usize = 64;

/// A reader of events that is further behind than this misses the oldest. A session that comes up
/// makes about six; in the worst turn of an engine some hundred do.
pub const MAX_EVENTS: usize = 4096;

/// What an engine can be told.
pub(crate) enum Order {
    /// Run this on the speaker.
    Ask(Question),
    /// End all sessions, then yourself.
    Stop(Stop),
}

pub(crate) type Question = Box<dyn FnOnce(&mut Speaker, Instant) + Send>;

/// The engine has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the engine has ended")]
pub struct Gone;

/// Keeps an engine running: when it is dropped, the engine ends.
///
/// Dropping needs no runtime and does not wait: the engine's task is cancelled between two turns,
/// and its sockets are closed, as soon as the runtime gets to it. Peers see a connection that
/// closed without a word, so those that negotiated graceful restart keep our routes. To wait for
/// the end, or to say something to the peers before, use [`Handle::shutdown`].
#[derive(Debug)]
pub struct Handle {
    asker: Asker,
    events: broadcast::WeakSender<Event>,
    stats: watch::Receiver<Stats>,
    task: JoinHandle<()>,
}

impl Handle {
    pub(crate) fn new(
        orders: mpsc::Sender<Order>,
        events: broadcast::WeakSender<Event>,
        stats: watch::Receiver<Stats>,
        task: JoinHandle<()>,
    ) -> Self {
        Self {
            asker: Asker { orders },
            events,
            stats,
            task,
        }
    }

    /// Runs `question` on the speaker and gives its answer. See [`Asker::ask`].
    ///
    /// # Errors
    ///
    /// The engine has ended.
    pub async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Speaker, Instant) -> R + Send + 'static,
    ) -> Result<R, Gone> {
        self.asker.ask(question).await
    }

    /// Something that asks the engine but does not keep it running.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// The events from now on, beside those that other readers get.
    pub fn events(&self) -> Events {
        let receiver = self.events.upgrade().map(|events| events.subscribe());
        Events { receiver }
    }

    /// What the edge has counted, as of the end of its last turn. Does not disturb the engine.
    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    /// The counters as something that can be waited on.
    pub fn watch_stats(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Ends all sessions in the way that `how` says, and the engine with them; returns when all
    /// its sockets are closed. That takes no longer than the last words of a connection may take,
    /// a second.
    pub async fn shutdown(mut self, how: Stop) {
        // Whether the engine takes the order or has ended already, its task comes to an end.
        let _ = self.asker.orders.send(Order::Stop(how)).await;
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks an engine questions. Many may exist, and none keeps the engine running.
#[derive(Clone)]
pub struct Asker {
    orders: mpsc::Sender<Order>,
}

impl Asker {
    /// Runs `question` on the speaker, between two turns, and gives its answer.
    ///
    /// Nothing else happens in the engine meanwhile, so a question must be short: take a page of
    /// a table, not all of it. If it panics, the engine ends. It is run even if the answer is no
    /// longer awaited.
    ///
    /// # Errors
    ///
    /// The engine has ended.
    pub async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Speaker, Instant) -> R + Send + 'static,
    ) -> Result<R, Gone> {
        let (answer, answered) = oneshot::channel();
        let ask = Order::Ask(Box::new(move |speaker, now| {
            // Nobody may be waiting any more.
            let _ = answer.send(question(speaker, now));
        }));
        self.orders.send(ask).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

/// What the engine's operator may want to know, in the order in which it happened.
///
/// The engine never waits for a reader. One that falls more than [`MAX_EVENTS`] behind misses the
/// oldest, and is told how many.
#[derive(Debug)]
pub struct Events {
    receiver: Option<broadcast::Receiver<Event>>,
}

/// What a reader of [`Events`] hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Something happened.
    Event(Event),
    /// So many events were not read in time and are lost.
    Missed(u64),
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self {
            receiver: Some(receiver),
        }
    }

    /// The next event; `None` when the engine has ended. May be cancelled without losing
    /// anything.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.receiver.as_mut()?.recv().await {
            Ok(event) => Some(Heard::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event, if there is one now.
    pub fn try_next(&mut self) -> Option<Heard> {
        match self.receiver.as_mut()?.try_recv() {
            Ok(event) => Some(Heard::Event(event)),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {
                None
            }
        }
    }
}
