//! What the admin room and the conductor of a node say to each other.
//!
//! A conductor joins engine, rules and kernel (`bgp-node`). It is asked over a bounded channel,
//! answers between two of its own steps with the plain values of [`node_view`](super::node_view),
//! and is never waited for longer than [`PATIENCE`](super::PATIENCE).
//!
//! ```text
//! admin client ──▶ NodeControl ── Request ──▶ conductor
//!                       ◀──────── oneshot ───────┘
//! ```
//!
//! # Invariants
//!
//! - At most [`MAX_WAITING`] requests wait. A further one is answered "busy" by the admin room at
//!   the end of its patience; the conductor never has more to remember.
//! - A list is answered in parts of at most `limit` items, in the order of prefixes. `next` is the
//!   last place of the part; the next part begins behind it, whatever happened meanwhile.
//! - A [`Change`] is carried out as a whole or not at all.

use super::node_view::{Audit, BlockLine, Conflict, KernelRoute, NextHopLine, NodeSummary};
pub use crate::config::Change;
use bgp_core::complaint::Complaint;
use bgp_core::prefix::IpNet;
use bgp_fib::wanted::Place;
use std::net::IpAddr;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the conductor: one per admin connection, and one for a reload. What
/// comes when so many wait, waits in its own connection.
pub const MAX_WAITING: usize = super::socket::MAX_CONNECTIONS + 1;

/// Where an answer goes. Nobody may be waiting for it any more.
pub type Reply<T> = oneshot::Sender<T>;

/// What the conductor of a node is asked and told.
#[derive(Debug)]
pub enum Request {
    /// The node as a whole.
    Summary(Reply<NodeSummary>),
    /// Our blocks in the order of prefixes; there are at most `bgp_blocks::MAX_BLOCKS`.
    Blocks(Reply<Vec<BlockLine>>),
    /// Routes that we want, or still have, in the kernel.
    KernelRoutes(Part<Place>, Reply<Found<KernelRoute, Place>>),
    /// Blocks and kernel routes that somebody else claims too.
    Conflicts(Part<Place>, Reply<Found<Conflict, Place>>),
    /// Next hops that any route uses, in the order of addresses.
    NextHops(Part<IpAddr>, Reply<Found<NextHopLine, IpAddr>>),
    /// Read the kernel's tables anew and compare them with what is wanted. Answered when it is
    /// done; at most [`bgp_fib::MAX_DIFFERENCES`] differences are named.
    Audit(Reply<Audit>),
    /// Remove every route, neighbour and forwarding entry of ours from the kernel and keep it so
    /// until the process ends; the answer is how many routes there were.
    Flush(Reply<usize>),
    /// Change what runs.
    Change(Box<Change>, Reply<Result<(), Vec<Complaint>>>),
}

/// Which part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<C> {
    /// Only this prefix and what lies within it; always `None` for next hops.
    pub within: Option<IpNet>,
    /// Only what follows this.
    pub after: Option<C>,
    /// At most so many items.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found<T, C> {
    /// The items.
    pub items: Vec<T>,
    /// Behind which the next part begins; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Found<T, C> {
    /// The first `limit` of `items`, each given with its place in the list.
    pub fn first(items: impl IntoIterator<Item = (C, T)>, limit: usize) -> Self {
        let mut rest = items.into_iter();
        let (places, items): (Vec<C>, Vec<T>) = rest.by_ref().take(limit).unzip();
        let last = places.into_iter().next_back();
        Self {
            items,
            next: last.filter(|_| rest.next().is_some()),
        }
    }
}

/// The way to the conductor of a node.
#[derive(Clone, Debug)]
pub struct NodeControl {
    requests: mpsc::Sender<Request>,
}

/// The conductor has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the node has ended")]
pub struct Ended;

impl NodeControl {
    /// The two ends of a way: one for who asks, one for the conductor.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(MAX_WAITING);
        (Self { requests }, receiver)
    }

    /// Asks, and waits for the answer. Dropping the future gives the answer up.
    ///
    /// # Errors
    ///
    /// The conductor has ended, or dropped the request.
    pub async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Ended> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send(request(reply)).await;
        sent.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }
}
