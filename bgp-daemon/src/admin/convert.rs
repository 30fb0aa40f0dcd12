//! From the engine's values to those of the API ([`view`](super::view)).

use super::Facts;
use super::view::{
    Attributes, Engine, LastDown, Negotiated, Peer, PeerLine, PeerTable, Route, Status, TableSize,
    UpdateGroup, Wait,
};
use super::words;
use bgp_core::family::Family;
use bgp_core::rib::{AnnouncedView, GroupId, GroupView, PathState, PathView, TableSummary};
use bgp_core::session::{self, MessageCounts};
use bgp_core::speaker::{PeerView, Speaker};
use bgp_core::wire::{NextHop, PathAttributes};
use bgp_io::{Stats, TURN_BOUNDS};
use std::collections::BTreeMap;

pub(super) fn status(speaker: &Speaker, facts: &Facts, stats: &Stats) -> Status {
    let router = speaker.router();
    let counts = speaker.counts();
    let (peers, established) = speaker.peer_counts();
    let tables = Family::ALL.map(|family| {
        let size = TableSize {
            prefixes: counts.prefixes[family],
            paths: counts.paths[family],
        };
        (family.to_string(), size)
    });
    Status {
        program: facts.program.to_owned(),
        version: facts.version.to_owned(),
        configuration: facts.configuration.clone(),
        asn: router.asn.0,
        router_id: router.router_id.0,
        cluster_id: router.cluster_id.0,
        host_name: router.host_name.clone(),
        listen: facts.listen.clone(),
        uptime: facts.started.elapsed().as_secs(),
        restarting: router.restarting,
        peers,
        established,
        tables: tables.into(),
        attribute_sets: counts.attributes,
        update_groups: speaker.groups().iter().map(update_group).collect(),
        engine: engine(stats),
    }
}

fn update_group(group: &GroupView) -> UpdateGroup {
    UpdateGroup {
        id: group_name(group.id),
        family: group.id.family.to_string(),
        peers: group.readers,
        announced: group.announced,
    }
}

fn group_name(id: GroupId) -> String {
    format!("{}.{}", id.family, id.place)
}

fn engine(stats: &Stats) -> Engine {
    let bounds = TURN_BOUNDS
        .iter()
        .map(|bound| format!("<={}", bound.as_secs_f64()));
    let longest = TURN_BOUNDS
        .last()
        .map(|bound| format!(">{}", bound.as_secs_f64()));
    Engine {
        turns: bounds.chain(longest).zip(stats.turns).collect(),
        longest_turn: stats.longest_turn.as_secs_f64(),
        stalls: stats.stalls,
        connections: stats.connections,
        refused: stats.refused,
        octets_read: stats.octets_read,
        octets_written: stats.octets_written,
        octets_held: stats.octets_held,
    }
}

pub(super) fn peer_line(view: &PeerView) -> PeerLine {
    let tables = view.routes.as_ref().map(|routes| &routes.tables);
    let sum = |count: fn(&TableSummary) -> usize| {
        tables.map(|tables| {
            tables
                .iter()
                .filter_map(|(_, table)| table.as_ref())
                .map(count)
                .sum()
        })
    };
    PeerLine {
        name: view.name.clone(),
        address: view.address,
        remote_as: view.remote_as.0,
        role: view.role.to_string(),
        group: view.group.clone(),
        dynamic: view.dynamic,
        disabled: view.disabled,
        state: view.state.to_string(),
        uptime: view.uptime.map(|uptime| uptime.as_secs()),
        received: sum(|table| table.received as usize),
        advertised: sum(advertised_count),
        last_down: view.last_down.as_ref().map(|(ago, reason)| LastDown {
            ago: ago.as_secs(),
            reason: reason.to_string(),
        }),
    }
}

/// What the group is told, without what came from the peer itself.
fn advertised_count(table: &TableSummary) -> usize {
    table.announced.saturating_sub(table.best as usize)
}

pub(super) fn peer(view: &PeerView, groups: &[GroupView]) -> Peer {
    let tables = view.routes.iter().flat_map(|routes| routes.tables.iter());
    let tables = tables.filter_map(|(family, table)| {
        let table = table.as_ref()?;
        Some((family.to_string(), peer_table(table, groups)))
    });
    Peer {
        line: peer_line(view),
        offered: words::families(view.offered),
        sessions: view.sessions,
        negotiated: view.negotiated.as_ref().map(negotiated),
        tables: tables.collect(),
        messages_received: messages(&view.counters.received),
        messages_sent: messages(&view.counters.sent),
        keeps: view
            .keeps
            .map_or(Vec::new(), |(families, _)| words::families(families)),
        keeps_for: view.keeps.map(|(_, left)| left.as_secs()),
        long_lived_stale: words::families(view.long_lived_stale),
        waits_for: view.waits.map(|(timer, left)| Wait {
            timer: timer.to_string(),
            seconds: left.as_secs(),
        }),
    }
}

fn peer_table(table: &TableSummary, groups: &[GroupView]) -> PeerTable {
    let group = groups.iter().find(|group| group.id == table.group);
    PeerTable {
        received: table.received as usize,
        ineligible: (table.received - table.accepted) as usize,
        best: table.best as usize,
        advertised: advertised_count(table),
        behind: usize::try_from(table.behind).unwrap_or(usize::MAX),
        in_sync: table.end_of_rib && table.behind == 0,
        update_group: group_name(table.group),
        group_peers: group.map_or(0, |group| group.readers),
    }
}

fn negotiated(negotiated: &session::Negotiated) -> Negotiated {
    let restart = negotiated.graceful_restart.as_ref();
    let capabilities = negotiated.remote_capabilities.iter();
    Negotiated {
        router_id: negotiated.remote_id.0,
        families: words::families(negotiated.families),
        hold_time: negotiated.hold_time.as_secs(),
        four_octet_as: negotiated.four_octet_as,
        receive_limit: negotiated.receive_limit,
        send_limit: negotiated.send_limit,
        add_path_receive: words::families(negotiated.add_path_receive),
        add_path_send: words::families(negotiated.add_path_send),
        extended_next_hop: words::families(negotiated.extended_next_hop),
        route_refresh: negotiated.route_refresh,
        enhanced_refresh: negotiated.enhanced_refresh,
        restart_time: restart.map(|restart| restart.restart_time),
        their_capabilities: capabilities.map(words::capability).collect(),
    }
}

fn messages(counts: &MessageCounts) -> BTreeMap<String, u64> {
    let named = [
        ("open", counts.open),
        ("update", counts.update),
        ("notification", counts.notification),
        ("keepalive", counts.keepalive),
        ("route-refresh", counts.route_refresh),
    ];
    named.map(|(name, count)| (name.to_owned(), count)).into()
}

pub(super) fn path(speaker: &Speaker, view: &PathView) -> Route {
    Route {
        prefix: view.prefix.to_string(),
        path_id: (view.path_id != 0).then_some(view.path_id),
        from: source(speaker, view.peer),
        best: view.state == PathState::Best,
        why_not: match view.state {
            PathState::Best => None,
            PathState::Lost(reason) => Some(words::reason(reason)),
            PathState::Ineligible(why) => Some(words::ineligible(why).to_owned()),
        },
        attributes: attributes(&view.attributes.path, &view.attributes.next_hop),
    }
}

pub(super) fn announced(speaker: &Speaker, view: &AnnouncedView) -> Route {
    Route {
        prefix: view.prefix.to_string(),
        path_id: (view.path_id > 0).then_some(view.path_id),
        from: source(speaker, view.peer),
        // Path 2 is the second best.
        best: view.path_id <= 1,
        why_not: None,
        attributes: attributes(&view.attributes, &view.next_hop),
    }
}

/// The name of the peer that a route came from; a peer that has left meanwhile has none.
fn source(speaker: &Speaker, peer: Option<bgp_core::types::PeerId>) -> Option<String> {
    let name = |id| speaker.peer_name(id).map(|peer| peer.name.to_string());
    peer.map(|id| name(id).unwrap_or_else(|| "a peer that has left".to_owned()))
}

pub(super) fn attributes(path: &PathAttributes, next_hop: &NextHop) -> Attributes {
    let aggregator = path
        .aggregator
        .map(|by| format!("{} {}", by.asn, by.address));
    let large = path.large_communities.iter();
    let large = large.map(|c| format!("{}:{}:{}", c.global, c.local1, c.local2));
    let extended = path.extended_communities.iter();
    let unknown = path.unknown.iter();
    let unknown = unknown.map(|one| format!("{}: {}", one.code, words::hex(&one.value)));
    Attributes {
        next_hop: words::next_hop(next_hop),
        origin: words::origin(path.origin).to_owned(),
        as_path: path.as_path.to_string(),
        med: path.med,
        local_pref: path.local_pref,
        atomic_aggregate: path.atomic_aggregate,
        aggregator,
        originator_id: path.originator_id.map(|id| id.0),
        cluster_list: path.cluster_list.iter().map(|id| id.0).collect(),
        communities: path.communities.iter().map(ToString::to_string).collect(),
        extended_communities: extended.map(|octets| words::hex(octets)).collect(),
        large_communities: large.collect(),
        only_to_customer: path.otc.map(|asn| asn.0),
        unknown: unknown.collect(),
    }
}

pub(super) use words::verdict;
