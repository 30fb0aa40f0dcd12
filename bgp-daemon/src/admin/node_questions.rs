//! What may be asked and ordered of a node.

use super::Api;
use super::directives::{Directive, Outcome};
use super::node::{Found, Part, Reply, Request};
use super::node_view::{
    Audit, BlockLine, BlockOrder, Conflict, KernelRoute, NextHopLine, NodeSummary,
};
use super::problem::Failure;
use super::questions::{page_size, prefix};
use super::view::{Done, Page};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bgp_fib::wanted::Place;
use serde::Deserialize;
use std::net::IpAddr;
use tokio::sync::oneshot;

/// All of them.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/node", get(summary))
        .route("/v1/blocks", get(blocks))
        .route("/v1/blocks/add", post(add_block))
        .route("/v1/blocks/remove", post(remove_block))
        .route("/v1/kernel", get(kernel))
        .route("/v1/kernel/audit", post(audit))
        .route("/v1/kernel/flush", post(flush))
        .route("/v1/conflicts", get(conflicts))
        .route("/v1/next-hops", get(next_hops))
}

async fn summary(State(api): State<Api>) -> Result<Json<NodeSummary>, Failure> {
    api.ask_node(Request::Summary).await.map(Json)
}

async fn blocks(State(api): State<Api>) -> Result<Json<Page<BlockLine>>, Failure> {
    let items = api.ask_node(Request::Blocks).await?;
    Ok(Json(Page { items, next: None }))
}

type Body = Result<Json<BlockOrder>, JsonRejection>;

async fn add_block(State(api): State<Api>, body: Body) -> Result<Json<Done>, Failure> {
    let block = prefix(&body?.0.prefix)?;
    order(&api, |reply| Directive::AddBlock(block, reply)).await
}

async fn remove_block(State(api): State<Api>, body: Body) -> Result<Json<Done>, Failure> {
    let block = prefix(&body?.0.prefix)?;
    order(&api, |reply| Directive::RemoveBlock(block, reply)).await
}

async fn order(
    api: &Api,
    directive: impl FnOnce(oneshot::Sender<Outcome<String>>) -> Directive,
) -> Result<Json<Done>, Failure> {
    let done = api.superior.order(directive).await;
    done.map(|done| Json(Done { done }))
        .map_err(Failure::refused)
}

/// Parameters of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    prefix: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

type List = Result<Query<ListQuery>, QueryRejection>;

async fn kernel(State(api): State<Api>, query: List) -> Result<Json<Page<KernelRoute>>, Failure> {
    list(&api, query, Request::KernelRoutes).await
}

async fn conflicts(State(api): State<Api>, query: List) -> Result<Json<Page<Conflict>>, Failure> {
    list(&api, query, Request::Conflicts).await
}

async fn next_hops(
    State(api): State<Api>,
    query: List,
) -> Result<Json<Page<NextHopLine>>, Failure> {
    list(&api, query, Request::NextHops).await
}

async fn list<T, C: Cursor>(
    api: &Api,
    query: List,
    request: impl FnOnce(Part<C>, Reply<Found<T, C>>) -> Request,
) -> Result<Json<Page<T>>, Failure> {
    let Query(query) = query?;
    let part = Part {
        within: query.prefix.as_deref().map(prefix).transpose()?,
        after: query.cursor.as_deref().map(read_cursor).transpose()?,
        limit: page_size(query.limit),
    };
    let found = api.ask_node(|reply| request(part, reply)).await?;
    Ok(Json(Page {
        items: found.items,
        next: found.next.map(|next| next.write()),
    }))
}

/// A place in a list, as text.
trait Cursor: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

impl Cursor for IpAddr {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Cursor for Place {
    fn write(&self) -> String {
        format!("{}.{}", self.table, self.prefix)
    }

    fn read(text: &str) -> Option<Self> {
        let (table, prefix) = text.split_once('.')?;
        Some(Self {
            table: table.parse().ok()?,
            prefix: prefix.parse().ok()?,
        })
    }
}

fn read_cursor<C: Cursor>(text: &str) -> Result<C, Failure> {
    C::read(text).ok_or_else(|| {
        let error = format!("{text:?} is no cursor of this list");
        Failure::bad_request(error, "take it from the key next of the page before")
    })
}

async fn audit(State(api): State<Api>) -> Result<Json<Audit>, Failure> {
    api.ask_node(Request::Audit).await.map(Json)
}

async fn flush(State(api): State<Api>) -> Result<Json<Done>, Failure> {
    tracing::warn!("an operator has all routes of ours removed from the kernel");
    let count = api.ask_node(Request::Flush).await?;
    let done = format!("{count} routes removed from the kernel; it stays so until a restart");
    Ok(Json(Done { done }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written() {
        let prefix = "2001:db8::/64".parse().unwrap();
        let place = Place { table: 100, prefix };
        assert_eq!(Place::read(&place.write()), Some(place));
        let address: IpAddr = "fe80::1".parse().unwrap();
        assert_eq!(IpAddr::read(&address.write()), Some(address));
        for wrong in ["", "254", "254.x", "x.10.0.0.0/8", "-1.10.0.0.0/8"] {
            assert_eq!(Place::read(wrong), None, "{wrong}");
        }
    }
}
