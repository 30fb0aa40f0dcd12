//! Answers as tables and lists for people: aligned, and without colour when they are piped.

use crate::admin::view::{
    Advertised, Attributes, Done, Explanation, LastDown, Negotiated, Peer, PeerLine, Route, Status,
};
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};
use std::fmt::Write as _;

/// Narrowest columns of lists that come in several parts, so that the parts are aligned too.
const ROUTE_WIDTHS: [u16; 6] = [22, 18, 22, 6, 12, 8];
const PEER_WIDTHS: [u16; 7] = [24, 10, 10, 11, 8, 8, 10];

pub(super) fn table<const N: usize>(header: Option<[&str; N]>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if std::env::var_os("NO_COLOR").is_some() {
        table.force_no_tty();
    }
    if let Some(header) = header {
        table.set_header(header);
    }
    table
}

/// The text of a table whose columns are at least so wide.
pub(super) fn finish(mut table: Table, widths: &[u16]) -> String {
    let least = |width: &u16| ColumnConstraint::LowerBoundary(Width::Fixed(*width));
    // Constraints are for columns that are there, so the rows come first.
    table.set_constraints(widths.iter().map(least));
    let trimmed = |line: String| {
        line.strip_prefix(' ')
            .unwrap_or(&line)
            .trim_end()
            .to_owned()
    };
    table.lines().map(|line| trimmed(line) + "\n").collect()
}

pub(super) fn peers(peers: &[PeerLine], first: bool) -> String {
    if first && peers.is_empty() {
        return "no peers\n".to_owned();
    }
    let header = [
        "PEER",
        "AS",
        "ROLE",
        "STATE",
        "SINCE",
        "RECEIVED",
        "ADVERTISED",
        "NOTE",
    ];
    let mut table = table(first.then_some(header));
    for peer in peers {
        let count = |count: Option<usize>| count.map_or("-".to_owned(), |count| count.to_string());
        table.add_row([
            Cell::new(display_name(peer)),
            Cell::new(peer.remote_as),
            Cell::new(&peer.role),
            state(peer),
            Cell::new(peer.uptime.map_or("-".to_owned(), duration)),
            Cell::new(count(peer.received)),
            Cell::new(count(peer.advertised)),
            Cell::new(note(peer)),
        ]);
    }
    finish(table, &PEER_WIDTHS)
}

fn display_name(peer: &PeerLine) -> String {
    let address = peer.address.to_string();
    if peer.name.contains(&address) {
        peer.name.clone()
    } else {
        format!("{} ({address})", peer.name)
    }
}

fn state(peer: &PeerLine) -> Cell {
    let colour = match peer.state.as_str() {
        "Established" => Color::Green,
        _ if peer.disabled => Color::DarkGrey,
        _ => Color::Yellow,
    };
    Cell::new(&peer.state).fg(colour)
}

fn note(peer: &PeerLine) -> String {
    let last = peer.last_down.as_ref().filter(|_| peer.uptime.is_none());
    match last {
        _ if peer.disabled => "disabled".to_owned(),
        Some(LastDown { ago, reason }) => format!("{} ago: {reason}", duration(*ago)),
        None => String::new(),
    }
}

pub(super) fn peer(peer: &Peer) -> String {
    let line = &peer.line;
    let mut text = format!("peer {}\n", display_name(line));
    let mut add = |key: &str, value: String| {
        let _ = writeln!(text, "  {key:<18} {value}");
    };
    let how = if line.dynamic {
        "dynamic"
    } else {
        "configured"
    };
    let group = match line.group.as_str() {
        "" => String::new(),
        group => format!(", group {group}"),
    };
    add(
        "is",
        format!("{}, AS {}, {how}{group}", line.role, line.remote_as),
    );
    let disabled = if line.disabled { ", disabled" } else { "" };
    let since = line
        .uptime
        .map(|uptime| format!(" for {}", duration(uptime)));
    let since = since.unwrap_or_default();
    add("state", format!("{}{since}{disabled}", line.state));
    add("sessions", peer.sessions.to_string());
    if let Some(LastDown { ago, reason }) = &line.last_down {
        add("last down", format!("{} ago: {reason}", duration(*ago)));
    }
    if let Some(left) = peer.keeps_for {
        let families = peer.keeps.join(", ");
        add(
            "routes kept",
            format!("{families}, for another {}", duration(left)),
        );
    }
    if !peer.long_lived_stale.is_empty() {
        let families = peer.long_lived_stale.join(", ");
        add("long-lived stale", format!("{families} (RFC 9494)"));
    }
    if let Some(wait) = &peer.waits_for {
        add(
            "waits for",
            format!("{}, {}", wait.timer, duration(wait.seconds)),
        );
    }
    add("we offer", peer.offered.join(", "));
    if let Some(negotiated) = &peer.negotiated {
        negotiated_lines(negotiated, &mut add);
    }
    table_lines(peer, &mut add);
    for (key, counts) in [
        ("messages in", &peer.messages_received),
        ("messages out", &peer.messages_sent),
    ] {
        let counts: Vec<_> = counts
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        add(key, counts.join(", "));
    }
    text
}

fn table_lines(peer: &Peer, add: &mut impl FnMut(&str, String)) {
    for (family, table) in &peer.tables {
        add(
            family,
            format!(
                "{} received ({} best, {} may not be used), {} advertised",
                table.received, table.best, table.ineligible, table.advertised
            ),
        );
        let place = match (table.in_sync, table.behind) {
            (true, 0) => "in sync".to_owned(),
            (_, behind) => format!("{behind} changes to go"),
        };
        let peers = table.group_peers;
        add(
            "",
            format!(
                "{place}; update group {} of {peers} peers",
                table.update_group
            ),
        );
    }
}

fn negotiated_lines(negotiated: &Negotiated, add: &mut impl FnMut(&str, String)) {
    let yes_no = |value| if value { "yes" } else { "no" };
    add("router id", negotiated.router_id.to_string());
    add("families", negotiated.families.join(", "));
    add("hold time", format!("{} s", negotiated.hold_time));
    add(
        "messages",
        format!(
            "up to {} in, {} out",
            negotiated.receive_limit, negotiated.send_limit
        ),
    );
    add("four-octet AS", yes_no(negotiated.four_octet_as).to_owned());
    let refresh = match (negotiated.route_refresh, negotiated.enhanced_refresh) {
        (false, _) => "no",
        (true, false) => "yes",
        (true, true) => "yes, with markers",
    };
    add("route refresh", refresh.to_owned());
    let restart = negotiated.restart_time;
    let restart = restart.map_or("no".to_owned(), |time| format!("yes, {time} s"));
    add("graceful restart", restart);
    for (key, families) in [
        ("add-path from them", &negotiated.add_path_receive),
        ("add-path to them", &negotiated.add_path_send),
        ("IPv6 next hops", &negotiated.extended_next_hop),
    ] {
        if !families.is_empty() {
            add(key, families.join(", "));
        }
    }
    add("they announced", negotiated.their_capabilities.join(", "));
}

pub(super) fn routes(routes: &[Route], first: bool) -> String {
    route_table(routes, first, true)
}

pub(super) fn advertised(routes: &[Route], first: bool) -> String {
    route_table(routes, first, false)
}

/// `marks` tells the best paths from the others.
fn route_table(routes: &[Route], first: bool, marks: bool) -> String {
    if first && routes.is_empty() {
        return "no routes\n".to_owned();
    }
    let header = [
        "PREFIX", "NEXT HOP", "FROM", "PREF", "AS PATH", "ORIGIN", "NOTE",
    ];
    let mut table = table(first.then_some(header));
    for route in routes {
        let attributes = &route.attributes;
        table.add_row([
            prefix_cell(route, marks),
            attributes.next_hop.clone(),
            from(route),
            number(attributes.local_pref),
            or_dash(&attributes.as_path),
            attributes.origin.clone(),
            route.why_not.clone().unwrap_or_default(),
        ]);
    }
    finish(table, &ROUTE_WIDTHS)
}

fn prefix_cell(route: &Route, marks: bool) -> String {
    let mark = match (marks, route.best) {
        (false, _) => "",
        (true, true) => "* ",
        (true, false) => "  ",
    };
    let path_id = route
        .path_id
        .map(|id| format!(" #{id}"))
        .unwrap_or_default();
    format!("{mark}{}{path_id}", route.prefix)
}

fn from(route: &Route) -> String {
    route.from.clone().unwrap_or_else(|| "(ours)".to_owned())
}

fn number(value: Option<u32>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

pub(super) fn explanation(explanation: &Explanation) -> String {
    let count = explanation.paths.len();
    let paths = if count == 1 { "path" } else { "paths" };
    let mut text = format!("{}: {count} {paths}\n", explanation.prefix);
    for route in &explanation.paths {
        let mark = if route.best { "* best" } else { "  lost" };
        let path_id = route
            .path_id
            .map(|id| format!(", path id {id}"))
            .unwrap_or_default();
        let _ = writeln!(text, "{mark}: from {}{path_id}", from(route));
        if let Some(why) = &route.why_not {
            let _ = writeln!(text, "      because: {why}");
        }
        attribute_lines(&mut text, &route.attributes);
    }
    if let Some(Advertised {
        peer,
        route,
        why_not,
    }) = &explanation.advertised
    {
        match (route, why_not) {
            (Some(attributes), _) => {
                let _ = writeln!(text, "sent to {peer} as");
                attribute_lines(&mut text, attributes);
            }
            (None, why) => {
                let why = why.as_deref().unwrap_or("there is no route");
                let _ = writeln!(text, "not sent to {peer}: {why}");
            }
        }
    }
    text
}

fn attribute_lines(text: &mut String, attributes: &Attributes) {
    let list = |values: &[String]| (!values.is_empty()).then(|| values.join(" "));
    let clusters: Vec<String> = attributes
        .cluster_list
        .iter()
        .map(ToString::to_string)
        .collect();
    let aggregate = attributes.atomic_aggregate.then(String::new);
    let lines = [
        ("next hop", Some(attributes.next_hop.clone())),
        ("AS path", Some(or_dash(&attributes.as_path))),
        ("origin", Some(attributes.origin.clone())),
        (
            "local pref",
            attributes.local_pref.map(|value| value.to_string()),
        ),
        ("MED", attributes.med.map(|value| value.to_string())),
        (
            "originator",
            attributes.originator_id.map(|id| id.to_string()),
        ),
        ("cluster list", list(&clusters)),
        ("communities", list(&attributes.communities)),
        ("large comm.", list(&attributes.large_communities)),
        ("ext. comm.", list(&attributes.extended_communities)),
        ("aggregator", attributes.aggregator.clone()),
        ("atomic aggr.", aggregate),
        (
            "only to cust.",
            attributes.only_to_customer.map(|value| value.to_string()),
        ),
        ("unknown", list(&attributes.unknown)),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(text, "{}", format!("      {key:<14} {value}").trim_end());
        }
    }
}

pub(super) fn status(status: &Status) -> String {
    let mut text = format!("{} {}\n", status.program, status.version);
    let mut add = |key: &str, value: String| {
        let _ = writeln!(text, "  {key:<16} {value}");
    };
    add("AS", status.asn.to_string());
    add("router id", status.router_id.to_string());
    add("cluster id", status.cluster_id.to_string());
    let file = status.configuration.as_deref();
    add("configuration", file.unwrap_or("built in").to_owned());
    let listen: Vec<String> = status.listen.iter().map(ToString::to_string).collect();
    add("listening on", listen.join(", "));
    add("up", duration(status.uptime));
    if status.restarting {
        add(
            "restarting",
            "End-of-RIB is held back until peers have told theirs".to_owned(),
        );
    }
    add(
        "peers",
        format!("{} of {} established", status.established, status.peers),
    );
    for (family, size) in &status.tables {
        add(
            family,
            format!("{} prefixes, {} paths", size.prefixes, size.paths),
        );
    }
    add("attribute sets", status.attribute_sets.to_string());
    for group in &status.update_groups {
        let (peers, announced) = (group.peers, group.announced);
        add(
            "update group",
            format!("{}: {peers} peers, {announced} routes", group.id),
        );
    }
    let engine = &status.engine;
    add(
        "engine",
        format!(
            "{} connections, {} octets in, {} out, longest turn {:.1} ms",
            engine.connections,
            engine.octets_read,
            engine.octets_written,
            engine.longest_turn * 1_000.0
        ),
    );
    text
}

pub(super) fn done(done: &Done) -> String {
    format!("{}\n", done.done)
}

/// A span in the two largest units that it has.
pub(super) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn route(prefix: &str, best: bool) -> Route {
        Route {
            prefix: prefix.to_owned(),
            path_id: None,
            from: Some("nodes:10.0.1.11".to_owned()),
            best,
            why_not: (!best).then(|| "step 8, higher BGP Identifier".to_owned()),
            attributes: Attributes {
                next_hop: "10.0.1.11".to_owned(),
                origin: "igp".to_owned(),
                local_pref: Some(100),
                communities: vec!["no-export".to_owned(), "64512:1".to_owned()],
                cluster_list: vec!["10.0.0.1".parse().unwrap()],
                ..Attributes::default()
            },
        }
    }

    fn line() -> PeerLine {
        PeerLine {
            name: "tor-1".to_owned(),
            address: "10.0.0.254".parse().unwrap(),
            remote_as: 65_001,
            role: "external".to_owned(),
            group: "tors".to_owned(),
            dynamic: false,
            disabled: false,
            state: "Active".to_owned(),
            uptime: None,
            received: None,
            advertised: None,
            last_down: Some(LastDown {
                ago: 75,
                reason: "hold timer expired".to_owned(),
            }),
        }
    }

    #[test]
    fn parts_of_a_table_are_aligned_with_each_other() {
        let first = routes(&[route("10.244.17.64/26", true)], true);
        let second = routes(&[route("10.244.0.0/16", false)], false);
        assert_eq!(
            first + &second,
            concat!(
                "PREFIX                NEXT HOP          FROM                  PREF  AS PATH     ",
                "ORIGIN  NOTE\n",
                "* 10.244.17.64/26     10.0.1.11         nodes:10.0.1.11       100   -           ",
                "igp\n",
                "  10.244.0.0/16       10.0.1.11         nodes:10.0.1.11       100   -           ",
                "igp     step 8, higher BGP Identifier\n",
            )
        );
    }

    #[test]
    fn nothing_is_said_in_words() {
        assert_eq!(routes(&[], true), "no routes\n");
        assert_eq!(peers(&[], true), "no peers\n");
    }

    #[test]
    fn a_peer_that_is_down_says_why() {
        let text = peers(&[line()], true);
        let last = text.lines().last().unwrap();
        assert!(last.contains("tor-1 (10.0.0.254)"), "{text}");
        assert!(last.ends_with("1m15s ago: hold timer expired"), "{text}");
    }

    #[test]
    fn an_explanation_names_winner_losers_and_what_is_sent() {
        let explanation = Explanation {
            prefix: "10.244.17.64/26".to_owned(),
            paths: vec![
                route("10.244.17.64/26", true),
                route("10.244.17.64/26", false),
            ],
            advertised: Some(Advertised {
                peer: "tor-1".to_owned(),
                route: None,
                why_not: Some("no export policy (RFC 8212)".to_owned()),
            }),
        };
        assert_eq!(
            super::explanation(&explanation),
            "\
10.244.17.64/26: 2 paths
* best: from nodes:10.0.1.11
      next hop       10.0.1.11
      AS path        -
      origin         igp
      local pref     100
      cluster list   10.0.0.1
      communities    no-export 64512:1
  lost: from nodes:10.0.1.11
      because: step 8, higher BGP Identifier
      next hop       10.0.1.11
      AS path        -
      origin         igp
      local pref     100
      cluster list   10.0.0.1
      communities    no-export 64512:1
not sent to tor-1: no export policy (RFC 8212)
"
        );
    }

    #[test]
    fn all_about_a_peer_is_in_its_page() {
        let peer = Peer {
            line: line(),
            offered: vec!["ipv4-unicast".to_owned()],
            sessions: 2,
            negotiated: None,
            tables: BTreeMap::new(),
            messages_received: BTreeMap::from([("open".to_owned(), 2)]),
            messages_sent: BTreeMap::new(),
            keeps: Vec::new(),
            keeps_for: None,
            long_lived_stale: Vec::new(),
            waits_for: None,
        };
        let text = super::peer(&peer);
        assert!(
            text.contains("external, AS 65001, configured, group tors"),
            "{text}"
        );
        assert!(text.contains("1m15s ago: hold timer expired"), "{text}");
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (3_599, "59m59s"),
            (3_600, "1h00m"),
            (90_061, "1d01h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
