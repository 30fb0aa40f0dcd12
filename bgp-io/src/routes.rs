//! Routes out of the engine, for whoever installs them.
//!
//! The speaker keeps a list of what has changed and is asked for it (it is no queue: a prefix
//! stands in it once, however often it changes). So the engine takes from the list only while
//! there is room in a small channel, at the end of a turn and one batch at a time. A reader who
//! does not read stops the taking and nothing else: what it gets when it reads again is what
//! holds then, but for the batches that were waiting.

use bgp_core::rib::{NextHopInterest, RouteChange};
use bgp_core::speaker::Speaker;
use tokio::sync::mpsc;

/// A batch has at most this many pieces of news; what is more waits for the next turn.
pub const MAX_ROUTE_NEWS: usize = 1_024;

/// At most this many batches wait for their reader; while they do, the engine takes no more.
pub const MAX_ROUTE_BATCHES: usize = 2;

/// Something that holds from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteNews {
    /// For a prefix.
    Change(RouteChange),
    /// For a next hop: somebody should watch it, or need not any more.
    NextHop(NextHopInterest),
}

/// What holds for prefixes and next hops, as it changes.
///
/// Dropping it is no fault: the engine goes on without.
#[derive(Debug)]
pub struct Routes {
    receiver: mpsc::Receiver<Vec<RouteNews>>,
}

impl Routes {
    /// The next batch: at least one piece of news and at most [`MAX_ROUTE_NEWS`], next hops before
    /// the prefixes that need them. `None` when the engine has ended. May be cancelled without
    /// losing anything.
    pub async fn next(&mut self) -> Option<Vec<RouteNews>> {
        self.receiver.recv().await
    }

    /// The next batch, if one is waiting.
    pub fn try_next(&mut self) -> Option<Vec<RouteNews>> {
        self.receiver.try_recv().ok()
    }
}

/// The engine's end.
pub(crate) struct RouteTap {
    /// `None` when nobody reads, or ever did.
    sender: Option<mpsc::Sender<Vec<RouteNews>>>,
}

impl RouteTap {
    /// Nobody reads.
    pub(crate) fn closed() -> Self {
        Self { sender: None }
    }

    /// Both ends.
    pub(crate) fn open() -> (Self, Routes) {
        let (sender, receiver) = mpsc::channel(MAX_ROUTE_BATCHES);
        let tap = Self {
            sender: Some(sender),
        };
        (tap, Routes { receiver })
    }

    /// Takes a batch from the speaker, if there is room for it and somebody who may want it.
    pub(crate) fn fill(&mut self, speaker: &mut Speaker) {
        let Some(sender) = &self.sender else {
            return;
        };
        if sender.is_closed() {
            self.sender = None;
            return;
        }
        let Ok(room) = sender.try_reserve() else {
            return;
        };
        let batch = collect(speaker);
        if !batch.is_empty() {
            room.send(batch);
        }
    }

    /// Comes when there is room, or nobody reads any more; never when nobody ever did.
    pub(crate) async fn room(&self) {
        match &self.sender {
            // What came of it is for the next [`RouteTap::fill`] to see.
            Some(sender) => drop(sender.reserve().await),
            None => std::future::pending().await,
        }
    }
}

fn collect(speaker: &mut Speaker) -> Vec<RouteNews> {
    let mut batch = Vec::new();
    while batch.len() < MAX_ROUTE_NEWS {
        let next_hop = speaker.poll_next_hop().map(RouteNews::NextHop);
        let news = next_hop.or_else(|| speaker.poll_route_change().map(RouteNews::Change));
        let Some(news) = news else {
            break;
        };
        batch.push(news);
    }
    batch
}
