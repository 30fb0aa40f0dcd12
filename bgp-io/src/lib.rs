//! The tokio edge of the engine: sockets and the clock. It does not know what a route is worth.
//!
//! # In one picture
//!
//! ```text
//!   listeners ─► entrance ─► ┌───────────────── engine: one task ─────────────────┐
//!                            │   connections ◄── reads, writes ──► Speaker        │ ─► Events
//!   sockets ── wakers ─────► │   ready list        deadlines ────►  (bgp-core)    │ ─► Stats
//!                            └────────────────────────▲───────────────────────────┘
//!                                                 orders: Handle, Asker
//! ```
//!
//! [`spawn`] starts **one task** in the caller's own runtime, of whichever flavour; there are no
//! hidden threads. The task owns the [`Speaker`] and every socket, so
//! dropping the [`Handle`] cancels one task and nothing can be left behind.
//!
//! | part | does |
//! |---|---|
//! | `engine` | turns of bounded work; the order of things; what happens after a stall |
//! | `entrance` | accepts; keeps storms of connections away from the speaker |
//! | `connection` | one socket: reads, vectored writes of shared octets, last words |
//! | `ready` | which sockets became ready |
//! | `socket` | socket options |
//! | [`Handle`], [`Asker`], [`Events`] | orders in, answers and events out |
//! | [`Routes`] | routes out, for whoever installs them |
//! | [`BgpCodec`] | messages over any byte stream, for those who need no engine |

//!
//! # Why one task and not one per connection
//!
//! A task that reads for a connection must hand its octets over through a channel: a buffer for
//! each connection, two wake-ups for each read, and a second queue whose order is not the
//! engine's. Here a socket's waker puts the connection's number on a list, and the engine reads
//! into one buffer and gives the speaker a slice of it. A connection costs no buffer; the unread
//! remains in the kernel, where the peer's window closes; and order and budgets are in one place.
//! Octets are written from the speaker's shared segments straight to the socket, many messages
//! for each system call, which is what the time goes into.
//!
//! # Invariants
//!
//! - A turn does bounded work, and so does everything in it.
//! - A connection that does not read costs at most one batch of references in its outbox, and
//!   what its socket buffer holds. The others do not notice.
//! - Nothing here grows without bound: connections are as many as the speaker lets in, those that
//!   wait and those that get their last words across are counted and cut off.
//! - The speaker hears nothing of a connection that it has closed.
//! - Nobody outside can make the engine wait: events are dropped for readers who do not read,
//!   routes stay where they are until there is room, and orders wait in a bounded queue.
//!
//! RFC 4271 §8.2.1.2 (connections and timers as the FSM sees them), §6 (the NOTIFICATION is sent,
//! then the connection closed), RFC 9687 (what a blocked transport tells the send hold timer).

mod clock;
mod codec;
mod connection;
mod engine;
mod entrance;
mod handle;
mod ready;
mod routes;
mod socket;
mod stats;

pub use clock::Clock;
pub use codec::{BgpCodec, CodecError};

pub use handle::{Asker, Events, Gone, Handle, Heard, MAX_EVENTS, MAX_ORDERS};
pub use routes::{MAX_ROUTE_BATCHES, MAX_ROUTE_NEWS, RouteNews, Routes};
pub use socket::{ListenError, Listener};
pub use stats::{Stats, TURN_BOUNDS};

use bgp_core::speaker::Speaker;
use std::io;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, watch};

/// Starts an engine as a task of the runtime that this is called in.
///
/// `clock` is the one whose time `speaker` was created with. The events are those from the
/// beginning on; drop them if nobody wants them.
///
/// # Errors
///
/// The runtime does not take a listener.
///
/// # Panics
///
/// Outside a tokio runtime, or in one without I/O or time.
pub fn spawn(
    speaker: Speaker,
    clock: Clock,
    listeners: Vec<Listener>,
) -> io::Result<(Handle, Events)> {
    spawn_engine(speaker, clock, listeners, routes::RouteTap::closed())
}

/// Starts an engine as [`spawn`] does, that tells of routes and next hops too: those of which
/// `speaker` has news, which depends on its configuration (`Router::install` and
/// `Router::track_next_hops`).
///
/// # Errors
///
/// The runtime does not take a listener.
///
/// # Panics
///
/// Outside a tokio runtime, or in one without I/O or time.
pub fn spawn_with_routes(
    speaker: Speaker,
    clock: Clock,
    listeners: Vec<Listener>,
) -> io::Result<(Handle, Events, Routes)> {
    let (tap, routes) = routes::RouteTap::open();
    let (handle, events) = spawn_engine(speaker, clock, listeners, tap)?;
    Ok((handle, events, routes))
}

fn spawn_engine(
    speaker: Speaker,
    clock: Clock,
    listeners: Vec<Listener>,
    routes: routes::RouteTap,
) -> io::Result<(Handle, Events)> {
    let ready = Arc::new(ready::ReadyList::default());
    let entrance = entrance::Entrance::new(listeners, &ready)?;
    let (order, orders) = mpsc::channel(MAX_ORDERS);
    let (events, told) = broadcast::channel(MAX_EVENTS);
    let (stats, counted) = watch::channel(Stats::default());
    let weak = events.downgrade();
    let channels = engine::Channels {
        orders,
        events,
        routes,
        stats,
    };
    let engine = engine::Engine::new(speaker, clock, ready, entrance, channels);
    // The engine bounds its own turns; the runtime's budget would cut them at odd places, where a
    // socket that is ready looks as if it were not.
    let task = tokio::spawn(tokio::task::unconstrained(engine.run()));
    Ok((Handle::new(order, weak, counted, task), Events::new(told)))
}
