//! The tokio edge: one task that drives a [`Fib`] with real sockets and a real clock.
//!
//! ```text
//!   kernel ══ monitor ══► notices ──► ┌──────── one task ────────┐ ─► Events
//!   kernel ◄═ commands ═► answers ──► │   Fib (pure), turns      │
//!   kernel ◄═ dumps ════► entries ──► └───────────▲──────────────┘
//!                                       orders: Handle, Asker
//! ```
//!
//! [`spawn`] starts it in the caller's runtime, and beside it one thread that waits for the kernel
//! in its stead (`courier.rs`). Dropping the [`Handle`] ends both at once. **Routes stay in the kernel whatever happens to the task**; who
//! wants them gone removes them and waits until nothing is pending.
//!
//! # Three sockets
//!
//! Requests, dumps and notifications each have their own: answers never wait behind a dump, and
//! neither is lost when notifications overrun their buffer. Only the monitor is waited for. The
//! kernel carries out requests before a send returns and writes the next piece of a dump when one
//! is read, so the other two never make us wait.
//!
//! # A turn
//!
//! Orders, notifications, timers, a piece of a dump, requests, events: in this order, and each
//! bounded by a `MAX_…`. What is left over waits for the next turn, and between turns the rest of
//! the runtime has its own. Notifications come before requests, so that what others did is known
//! before anything is put.
//!
//! A send returns when the kernel has done what it says, and the kernel does one change of a
//! namespace's network at a time; while somebody else holds that lock (a device being removed: up
//! to a second), a send waits. So sends are made on a thread of their own, and the task prepares
//! the next requests meanwhile. A turn ends when all that it sent is answered: notices are told
//! when nothing is under way.
//!
//! # Echoes
//!
//! The kernel tells the monitor of our own changes too, with the port of our socket. The answers
//! have told us already, so an echo is no news; but it says *when*. A change of somebody else that
//! stands before the echo of ours for the same key is history: ours came after it. So notices are
//! held until all that lies in the socket is read, and those that an echo has overtaken are
//! dropped. Without that we would take an old deletion for a new one, or, by telling echoes as
//! news, our own last but one change for somebody else's.
//!
//! # Bounds
//!
//! [`MAX_ORDERS`] and [`MAX_EVENTS`] wait in channels. Who gives one order more waits; while
//! there is no room for an event, it stays with the `Fib`, which keeps the last state of each
//! thing rather than a queue. Lost notifications (ENOBUFS) are told to the `Fib`, which reads
//! everything again.

mod courier;
mod handle;
mod monitor;
mod stats;
mod task;

pub use handle::{Asker, Events, Gone, Handle, MAX_EVENTS, MAX_ORDERS};
pub use stats::Stats;

use crate::Fib;
use crate::netlink::{Commands, Dumper, MONITOR_BUFFER, Socket};
use bgp_core::time::Instant;
use std::io;
use tokio::sync::{mpsc, watch};

/// The sockets of an edge.
///
/// They belong to the network namespace in which the calling thread is when they are opened, and
/// stay there.
#[derive(Debug)]
pub struct Sockets {
    commands: Commands,
    monitor: Socket,
    dumper: Dumper,
}

impl Sockets {
    /// Opens them. Changing anything through them needs `CAP_NET_ADMIN` in their namespace;
    /// opening them does not.
    ///
    /// # Errors
    ///
    /// No descriptor is left, or the kernel does not speak netlink as Linux 4.20 does.
    pub fn open() -> io::Result<Self> {
        Self::with_buffer(MONITOR_BUFFER)
    }

    /// Opens them; the monitor holds `buffer` octets of notifications until they are read. When
    /// that is not enough, everything has to be read again.
    ///
    /// # Errors
    ///
    /// As [`Sockets::open`].
    pub fn with_buffer(buffer: u32) -> io::Result<Self> {
        Ok(Self {
            // First, so that it hears of everything that follows.
            monitor: Socket::monitor(buffer)?,
            commands: Commands::open()?,
            dumper: Dumper::open()?,
        })
    }
}

/// Starts an edge that drives `fib`, as a task of the runtime that this is called in.
///
/// `clock` tells the time of which `fib` was told when it was made: microseconds from the
/// caller's origin, never backwards.
///
/// # Errors
///
/// The runtime does not take the monitor's socket.
///
/// # Panics
///
/// Outside a tokio runtime, or in one without I/O or time.
pub fn spawn(
    mut fib: Fib,
    clock: impl Fn() -> Instant + Send + 'static,
    sockets: Sockets,
) -> io::Result<(Handle, Events)> {
    // The monitor leaves them out, and what is older.
    fib.expect_no_echoes();
    let (order, orders) = mpsc::channel(MAX_ORDERS);
    let (events, told) = mpsc::channel(MAX_EVENTS);
    let (stats, counted) = watch::channel(Stats::default());
    let channels = task::Channels {
        orders,
        events,
        stats,
    };
    let edge = task::Edge::new(fib, Box::new(clock), sockets, channels)?;
    // It bounds its own turns; the runtime's budget would cut them at odd places.
    let task = tokio::spawn(tokio::task::unconstrained(edge.run()));
    Ok((Handle::new(order, counted, task), Events::new(told)))
}
