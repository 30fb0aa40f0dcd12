//! What may be asked.
//!
//! Cursors are opaque to clients: a family and a place in its table, or a place in the list of
//! peers.

use super::convert;
use super::problem::Failure;
use super::view::{Advertised, Explanation, Page, Peer, PeerLine, Route, Status};
use super::{Api, MAX_PAGE};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use bgp_core::family::Family;
use bgp_core::policy::{PrefixFault, parse_prefix};
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::rib::{Cursor, PathState, Verdict};
use bgp_core::speaker::{CommandError, Speaker};
use bgp_core::time::Instant;
use bgp_core::types::PeerId;
use serde::Deserialize;
use std::net::IpAddr;

/// `GET /v1/status`.
pub(super) async fn status(State(api): State<Api>) -> Result<Json<Status>, Failure> {
    let facts = std::sync::Arc::clone(&api.facts);
    let stats = *api.stats.borrow();
    let status = api.ask(move |speaker, _| convert::status(speaker, &facts, &stats));
    Ok(Json(status.await?))
}

/// Parameters of `GET /v1/peers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeersQuery {
    cursor: Option<u32>,
    limit: Option<usize>,
}

/// `GET /v1/peers`.
pub(super) async fn peers(
    State(api): State<Api>,
    query: Result<Query<PeersQuery>, QueryRejection>,
) -> Result<Json<Page<PeerLine>>, Failure> {
    let Query(query) = query?;
    let limit = page_size(query.limit);
    let from = query.cursor.map_or(PeerId(0), PeerId);
    let peers = api
        .ask(move |speaker, now| speaker.peers_from(now, from, limit))
        .await?;
    let next = peers.last().filter(|_| peers.len() == limit);
    let next = next.map(|last| (last.id.0 + 1).to_string());
    let items = peers.iter().map(convert::peer_line).collect();
    Ok(Json(Page { items, next }))
}

/// `GET /v1/peers/{name}`.
pub(super) async fn peer(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Peer>, Failure> {
    let asked = name.clone();
    let found = api.ask(move |speaker, now| {
        let view = speaker.peer(now, &asked)?;
        Some((view, speaker.groups()))
    });
    let (view, groups) = found.await?.ok_or(CommandError::UnknownPeer(name))?;
    Ok(Json(convert::peer(&view, &groups)))
}

/// Parameters of `GET /v1/routes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoutesQuery {
    prefix: Option<String>,
    received: Option<String>,
    advertised: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Which table is read.
enum Table {
    Best,
    Received(String),
    Advertised(String),
}

/// `GET /v1/routes`.
pub(super) async fn routes(
    State(api): State<Api>,
    query: Result<Query<RoutesQuery>, QueryRejection>,
) -> Result<Json<Page<Route>>, Failure> {
    let Query(query) = query?;
    let within = query.prefix.as_deref().map(prefix).transpose()?;
    let table = match (query.received, query.advertised) {
        (None, None) => Table::Best,
        (Some(peer), None) => Table::Received(peer),
        (None, Some(peer)) => Table::Advertised(peer),
        (Some(_), Some(_)) => {
            let advice = "ask for one of them";
            return Err(Failure::bad_request(
                "received and advertised at once",
                advice,
            ));
        }
    };
    let first = within.map_or(Family::Ipv4Unicast, |prefix| family_of(&prefix));
    let (family, from) = match &query.cursor {
        Some(text) => parse_cursor(text)?,
        None => (first, None),
    };
    let limit = page_size(query.limit);
    let page = api.ask(move |speaker, _| read_table(speaker, &table, family, from, limit));
    let (mut items, next) = page.await??;
    if let Some(within) = within {
        items.retain(|(prefix, _)| within.contains(prefix));
    }
    // The IPv6 table follows the IPv4 one, unless one family alone was asked for.
    let next_family =
        (family == Family::Ipv4Unicast && within.is_none()).then_some((Family::Ipv6Unicast, None));
    let next = next.map(|at| (family, Some(at))).or(next_family);
    Ok(Json(Page {
        items: items.into_iter().map(|(_, route)| route).collect(),
        next: next.map(|(family, at)| format_cursor(family, at)),
    }))
}

type Rows = (Vec<(IpNet, Route)>, Option<Cursor>);

fn read_table(
    speaker: &Speaker,
    table: &Table,
    family: Family,
    from: Option<Cursor>,
    limit: usize,
) -> Result<Rows, CommandError> {
    let received = match table {
        Table::Best => speaker.loc_rib(family, from, limit),
        Table::Received(peer) => speaker.adj_rib_in(peer, family, from, limit)?,
        Table::Advertised(peer) => {
            let page = speaker.adj_rib_out(peer, family, from, limit)?;
            let rows = page.items.iter();
            let rows = rows.map(|view| (view.prefix, convert::announced(speaker, view)));
            return Ok((rows.collect(), page.next));
        }
    };
    let rows = received.items.iter();
    let rows = rows.map(|view| (view.prefix, convert::path(speaker, view)));
    Ok((rows.collect(), received.next))
}

fn format_cursor(family: Family, at: Option<Cursor>) -> String {
    let at = at.map_or(0, u32::from);
    format!("{family}.{at}")
}

fn parse_cursor(text: &str) -> Result<(Family, Option<Cursor>), Failure> {
    let parsed = text.split_once('.').and_then(|(name, at)| {
        let family = Family::ALL.into_iter().find(|f| f.to_string() == name)?;
        Some((family, Some(Cursor::from(at.parse::<u32>().ok()?))))
    });
    parsed.ok_or_else(|| {
        let error = format!("{text:?} is no cursor of a table");
        Failure::bad_request(error, "take it from the key next of the page before")
    })
}

/// Parameters of `GET /v1/routes/explain`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    prefix: String,
    peer: Option<String>,
}

/// `GET /v1/routes/explain`.
pub(super) async fn explain(
    State(api): State<Api>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Json<Explanation>, Failure> {
    let Query(ExplainQuery { prefix: text, peer }) = query?;
    let (asked, is_address) = match text.parse::<IpAddr>() {
        Ok(address) => (IpNet::from(address), true),
        Err(_) => (prefix(&text)?, false),
    };
    let explanation = api.ask(move |speaker, now| {
        let found = if is_address {
            speaker.lookup(&asked)
        } else {
            Some(asked)
        };
        let found = found.unwrap_or(asked);
        explain_in(speaker, now, &found, peer.as_deref())
    });
    let explanation = explanation.await??;
    if explanation.paths.is_empty() {
        let advice = "give an address for the longest prefix that covers it; `bgpctl routes` \
                      lists what there is";
        return Err(Failure::not_found(format!("no path to {text}"), advice));
    }
    Ok(Json(explanation))
}

fn explain_in(
    speaker: &Speaker,
    now: Instant,
    prefix: &IpNet,
    peer: Option<&str>,
) -> Result<Explanation, CommandError> {
    let known = speaker.explain(prefix);
    let mut paths = known.paths;
    paths.sort_by_key(|path| (path.state != PathState::Best, path.peer, path.path_id));
    let advertised = match peer {
        Some(peer) => Some(advertised_to(speaker, now, prefix, peer, &known.groups)?),
        None => None,
    };
    Ok(Explanation {
        prefix: prefix.to_string(),
        paths: paths
            .iter()
            .map(|path| convert::path(speaker, path))
            .collect(),
        advertised,
    })
}

/// Whether and how one peer is told.
fn advertised_to(
    speaker: &Speaker,
    now: Instant,
    prefix: &IpNet,
    peer: &str,
    groups: &[(bgp_core::rib::GroupId, Verdict)],
) -> Result<Advertised, CommandError> {
    let unknown = || CommandError::UnknownPeer(peer.to_owned());
    let view = speaker.peer(now, peer).ok_or_else(unknown)?;
    let down = || CommandError::NotEstablished(view.name.clone());
    let routes = view.routes.as_ref().ok_or_else(down)?;
    let family = family_of(prefix);
    let verdict = routes.tables[family].and_then(|table| {
        let of_peer = groups.iter().find(|(id, _)| *id == table.group);
        of_peer.map(|(_, verdict)| *verdict)
    });
    let told = speaker.announced_to(peer, prefix)?;
    let why_not = match (&told, verdict) {
        (Some(_), _) => None,
        (None, Some(verdict)) => Some(convert::verdict(verdict)),
        (None, None) => Some(format!("{family} was not negotiated with it")),
    };
    Ok(Advertised {
        peer: view.name,
        route: told.map(|view| convert::attributes(&view.attributes, &view.next_hop)),
        why_not,
    })
}

pub(super) fn prefix(text: &str) -> Result<IpNet, Failure> {
    match parse_prefix(text) {
        Ok(prefix) => Ok(prefix),
        Err(PrefixFault::NoLength(address)) => Ok(IpNet::from(address)),
        Err(fault) => Err(fault.complaint().into()),
    }
}

pub(super) fn page_size(asked: Option<usize>) -> usize {
    asked.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
}
