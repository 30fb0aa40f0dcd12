//! The admin API: what the engine knows, as JSON over a local socket, and what an operator may
//! order.
//!
//! | request | answer ([`view`]) |
//! |---|---|
//! | `GET /v1/status` | `Status` |
//! | `GET /v1/peers?cursor=&limit=` | `Page<PeerLine>` |
//! | `GET /v1/peers/{name}` | `Peer` |
//! | `GET /v1/routes?prefix=&received=&advertised=&cursor=&limit=` | `Page<Route>` |
//! | `GET /v1/routes/explain?prefix=&peer=` | `Explanation` |
//! | `POST /v1/peers/{name}/reset`, `…/disable`, `…/enable`, `…/refresh` | `Done` |
//! | `POST /v1/shutdown` | `Done` |
//! | `POST /v1/reload` | `Reloaded` |
//!
//! and of a node ([`node_view`]):
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/node` | `NodeSummary` |
//! | `GET /v1/blocks` | `Page<BlockLine>` |
//! | `POST /v1/blocks/add`, `POST /v1/blocks/remove` | `Done` |
//! | `GET /v1/kernel?prefix=&cursor=&limit=` | `Page<KernelRoute>` |
//! | `POST /v1/kernel/audit` | `Audit` |
//! | `POST /v1/kernel/flush` | `Done` |
//! | `GET /v1/conflicts?prefix=&cursor=&limit=` | `Page<Conflict>` |
//! | `GET /v1/next-hops?cursor=&limit=` | `Page<NextHopLine>` |
//!
//! What cannot be answered gives a status of 4xx or 5xx and a `Problem`: error and advice.
//!
//! # Invariants
//!
//! - A client never makes the engine wait. The engine is asked short questions, a page of a table
//!   at a time; an answer is plain values, and text is made of them here.
//! - Everything is bounded: connections ([`socket::MAX_CONNECTIONS`]), their idle time, the size
//!   of a request ([`MAX_BODY`]), of a page ([`MAX_PAGE`]), and the wait for the engine
//!   ([`PATIENCE`]).
//! - Whoever may open the socket may do everything: its mode decides (see [`socket`]).
//!
//! It knows no protocol rules; what an order does is the engine's business.

mod convert;
pub mod directives;
pub mod node;
mod node_questions;
pub mod node_view;
mod orders;
mod problem;
mod questions;
pub mod socket;
pub mod view;
mod words;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use bgp_core::session::Stop;
use bgp_core::speaker::Speaker;
use bgp_core::time::Instant;
use bgp_io::{Asker, Stats};
use directives::Superior;
use node::{NodeControl, Reply, Request};
use problem::Failure;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Most items of one page. A larger limit is lowered to this.
pub const MAX_PAGE: usize = 1_000;
/// Longest body of a request, in octets. A longer one is refused.
pub const MAX_BODY: usize = 16 * 1_024;
/// How long the engine may take for one question. Then the request is given up.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the API has to work with.
#[derive(Clone, Debug)]
pub struct Api {
    /// Asks the engine.
    pub engine: Asker,
    /// What the edge counts.
    pub stats: watch::Receiver<Stats>,
    /// What does not change while the process runs.
    pub facts: Arc<Facts>,
    /// Where an order to end goes.
    pub stop: mpsc::Sender<Stop>,
    /// Where orders go that change the running configuration.
    pub superior: Superior,
    /// Asks the conductor of a node; `None` on a reflector.
    pub node: Option<NodeControl>,
}

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The program.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its configuration file.
    pub configuration: Option<String>,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// When it started.
    pub started: std::time::Instant,
}

/// Serves the API on `listener` until `end`, and what has been asked by then.
pub async fn serve(
    listener: socket::Listener,
    api: Api,
    end: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route("/v1/status", get(questions::status))
        .route("/v1/peers", get(questions::peers))
        .route("/v1/peers/{name}", get(questions::peer))
        .route("/v1/peers/{name}/{order}", post(orders::peer))
        .route("/v1/routes", get(questions::routes))
        .route("/v1/routes/explain", get(questions::explain))
        .route("/v1/shutdown", post(orders::shutdown))
        .route("/v1/reload", post(orders::reload))
        .merge(node_questions::routes())
        .fallback(problem::no_such_page)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api);
    // It gives no error: our listener takes care of its own.
    let _ = axum::serve(listener, router)
        .with_graceful_shutdown(end)
        .await;
}

impl Api {
    /// Asks the engine a short question.
    async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Speaker, Instant) -> R + Send + 'static,
    ) -> Result<R, Failure> {
        match tokio::time::timeout(PATIENCE, self.engine.ask(question)).await {
            Ok(answer) => answer.map_err(|_| Failure::engine_ended()),
            Err(_) => Err(Failure::engine_busy()),
        }
    }

    /// Asks the conductor of a node.
    async fn ask_node<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Failure> {
        let node = self.node.as_ref().ok_or_else(Failure::no_node)?;
        match tokio::time::timeout(PATIENCE, node.ask(request)).await {
            Ok(answer) => answer.map_err(|_| Failure::engine_ended()),
            Err(_) => Err(Failure::engine_busy()),
        }
    }
}
