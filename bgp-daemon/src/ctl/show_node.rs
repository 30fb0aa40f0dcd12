//! What a node answers, as tables and lists for people.

use super::show::{duration, finish, table};
use crate::admin::node_view::{
    Audit, BlockLine, Conflict, KernelRoute, NextHopLine, NodeSummary, Reloaded,
};
use comfy_table::{Cell, Color};
use std::fmt::Write as _;

const KERNEL_WIDTHS: [u16; 4] = [22, 10, 8, 36];
const CONFLICT_WIDTHS: [u16; 4] = [22, 7, 8, 24];
const NEXT_HOP_WIDTHS: [u16; 2] = [18, 11];

pub(super) fn summary(node: &NodeSummary) -> String {
    let mut text = format!("node {}\n", node.name);
    let mut add = |key: &str, value: String| {
        let _ = writeln!(text, "  {key:<14} {value}");
    };
    let or_none = |list: &[String]| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        }
    };
    add("addresses", or_none(&node.addresses));
    add("AS", node.asn.to_string());
    add("router id", node.router_id.to_string());
    add("blocks", or_none(&node.blocks));
    let owing = match node.owing {
        0 => String::new(),
        owing => format!("; {owing} of them have not told all their routes yet"),
    };
    add(
        "peers",
        format!("{} of {} established{owing}", node.established, node.peers),
    );
    let kernel = &node.kernel;
    add(
        "kernel",
        format!(
            "{}; {} of {} routes installed",
            if node.in_sync {
                "as wanted"
            } else {
                "not as wanted"
            },
            kernel.installed,
            kernel.wanted
        ),
    );
    for (what, count) in [
        ("on their way", kernel.pending),
        ("waiting", kernel.waiting),
        ("refused", kernel.refused),
        ("conflicts", kernel.conflicts),
    ] {
        if count > 0 {
            add("", format!("{count} {what} (`bgpctl fib --troubled`)"));
        }
    }
    if kernel.stale > 0 || node.settling {
        let settling = if node.settling {
            ", kept until the peers have told their routes"
        } else {
            ""
        };
        add("stale", format!("{} routes{settling}", kernel.stale));
    }
    add("tunnel ends", kernel.tunnel_ends.to_string());
    add("forwarding", or_none(&node.forwarding));
    add("healed", format!("{} times", kernel.healed));
    add(
        "resyncs",
        format!("{} for lost notifications", kernel.overruns),
    );
    if node.conflicts > 0 {
        let count = node.conflicts;
        add("conflicts", format!("{count} (`bgpctl conflicts`)"));
    }
    text
}

pub(super) fn blocks(blocks: &[BlockLine], first: bool) -> String {
    if first && blocks.is_empty() {
        return "no blocks\n".to_owned();
    }
    let mut table = table(first.then_some(["BLOCK", "POOL", "ANNOUNCED", "BLACKHOLE", "NOTE"]));
    let yes_no = |value| if value { "yes" } else { "no" };
    for block in blocks {
        let note = match block.rivals.as_slice() {
            [] => String::new(),
            rivals => format!("also announced by {}", rivals.join(", ")),
        };
        table.add_row([
            block.prefix.as_str(),
            &block.pool,
            yes_no(block.announced),
            yes_no(block.blackholed),
            &note,
        ]);
    }
    finish(table, &[])
}

pub(super) fn kernel_routes(routes: &[KernelRoute], first: bool) -> String {
    kernel_table(routes, first, "no routes\n")
}

pub(super) fn troubled_routes(routes: &[KernelRoute], first: bool) -> String {
    kernel_table(routes, first, "all routes are in the kernel as wanted\n")
}

fn kernel_table(routes: &[KernelRoute], first: bool, none: &str) -> String {
    if first && routes.is_empty() {
        return none.to_owned();
    }
    let mut table = table(first.then_some(["PREFIX", "STATE", "SINCE", "WANTED", "NOTE"]));
    for route in routes {
        table.add_row([
            Cell::new(prefix_of(route)),
            state(route),
            Cell::new(route.since.map_or("-".to_owned(), duration)),
            Cell::new(route.wanted.as_deref().unwrap_or("-")),
            Cell::new(note(route)),
        ]);
    }
    finish(table, &KERNEL_WIDTHS)
}

/// The prefix; with its table where that is not `main`.
fn prefix_of(route: &KernelRoute) -> String {
    match route.table {
        254 => route.prefix.clone(),
        table => format!("{} table {table}", route.prefix),
    }
}

fn state(route: &KernelRoute) -> Cell {
    let colour = match route.state.as_str() {
        "installed" => Color::Green,
        "refused" | "conflict" => Color::Red,
        _ => Color::Yellow,
    };
    Cell::new(&route.state).fg(colour)
}

fn note(route: &KernelRoute) -> String {
    match (&route.error, route.tries) {
        (None, _) => String::new(),
        (Some(error), 0 | 1) => error.clone(),
        (Some(error), tries) => format!("{error}; {tries} times"),
    }
}

pub(super) fn conflicts(conflicts: &[Conflict], first: bool) -> String {
    if first && conflicts.is_empty() {
        return "no conflicts\n".to_owned();
    }
    let mut table = table(first.then_some(["PREFIX", "KIND", "SINCE", "USED", "ALSO CLAIMED BY"]));
    for conflict in conflicts {
        table.add_row([
            conflict.prefix.clone(),
            conflict.kind.clone(),
            duration(conflict.since),
            conflict.used.clone(),
            conflict.others.join(", "),
        ]);
    }
    finish(table, &CONFLICT_WIDTHS)
}

pub(super) fn next_hops(next_hops: &[NextHopLine], first: bool) -> String {
    if first && next_hops.is_empty() {
        return "no next hops\n".to_owned();
    }
    let mut table = table(first.then_some(["NEXT HOP", "STATE", "WAY"]));
    for next_hop in next_hops {
        let (state, colour) = if next_hop.reachable {
            ("reachable", Color::Green)
        } else {
            ("unreachable", Color::Red)
        };
        table.add_row([
            Cell::new(next_hop.address),
            Cell::new(state).fg(colour),
            Cell::new(&next_hop.way),
        ]);
    }
    finish(table, &NEXT_HOP_WIDTHS)
}

pub(super) fn audit(audit: &Audit) -> String {
    if audit.equal {
        return format!("equal: {} routes compared\n", audit.checked);
    }
    let mut text = String::new();
    for one in &audit.differences {
        let wanted = one.wanted.as_deref();
        let wanted = wanted.map_or(String::new(), |wanted| format!(", wanted {wanted}"));
        let error = one.error.as_deref();
        let error = error.map_or(String::new(), |error| format!(": {error}"));
        let table = match one.table {
            254 => String::new(),
            table => format!(" table {table}"),
        };
        let _ = writeln!(text, "{}{table} {}{wanted}{error}", one.prefix, one.what);
    }
    if audit.more > 0 {
        let _ = writeln!(text, "and {} more", audit.more);
    }
    text
}

pub(super) fn reloaded(reloaded: &Reloaded) -> String {
    let mut text = String::new();
    for change in &reloaded.changes {
        let _ = writeln!(text, "{}; disturbs: {}", change.what, change.cost);
    }
    if reloaded.changes.is_empty() {
        text.push_str("reloaded; the configuration says the same as before\n");
    }
    for warning in &reloaded.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::node_view::{ChangeLine, Difference, KernelCounts};

    fn route(state: &str, error: Option<&str>) -> KernelRoute {
        KernelRoute {
            prefix: "10.244.18.0/26".to_owned(),
            table: 254,
            metric: 32,
            wanted: Some("via 10.0.2.21 dev tunl0 onlink".to_owned()),
            device: Some("tunl0".to_owned()),
            state: state.to_owned(),
            since: Some(61),
            error: error.map(str::to_owned),
            tries: 3,
        }
    }

    #[test]
    fn a_route_that_is_refused_says_why() {
        let routes = [
            route("installed", None),
            route("refused", Some("Device for nexthop is not up (error 100)")),
        ];
        let text = kernel_routes(&routes, true);
        let last = text.lines().last().unwrap();
        assert!(
            last.contains("refused    1m01s   via 10.0.2.21 dev tunl0 onlink"),
            "{text}"
        );
        assert!(
            last.ends_with("Device for nexthop is not up (error 100); 3 times"),
            "{text}"
        );
        assert_eq!(kernel_routes(&[], true), "no routes\n");
    }

    #[test]
    fn an_audit_names_what_differs() {
        let mut found = Audit {
            equal: true,
            complete: true,
            checked: 12,
            ..Audit::default()
        };
        assert_eq!(audit(&found), "equal: 12 routes compared\n");
        found.equal = false;
        found.more = 1;
        found.differences.push(Difference {
            prefix: "10.244.18.0/26".to_owned(),
            table: 100,
            what: "missing".to_owned(),
            wanted: Some("blackhole".to_owned()),
            error: Some("a route of protocol 4 has its key".to_owned()),
        });
        assert_eq!(
            audit(&found),
            "10.244.18.0/26 table 100 missing, wanted blackhole: a route of protocol 4 has its \
             key\nand 1 more\n"
        );
    }

    #[test]
    fn a_reload_says_what_each_change_costs() {
        let change = |what: &str, cost: &str| ChangeLine {
            what: what.to_owned(),
            cost: cost.to_owned(),
        };
        let mut answer = Reloaded::default();
        assert_eq!(
            reloaded(&answer),
            "reloaded; the configuration says the same as before\n"
        );
        answer
            .changes
            .push(change("peer \"rr-b\" is new", "nothing"));
        answer.warnings.push("node.toml:3:1: it is late".to_owned());
        assert_eq!(
            reloaded(&answer),
            "peer \"rr-b\" is new; disturbs: nothing\nwarning: node.toml:3:1: it is late\n"
        );
    }

    #[test]
    fn the_summary_speaks_of_trouble_only_where_there_is_some() {
        let mut node = NodeSummary {
            name: "node-11".to_owned(),
            addresses: vec!["10.0.1.11/24".to_owned()],
            asn: 64_512,
            router_id: [10, 0, 1, 11].into(),
            blocks: vec!["10.244.17.64/26".to_owned()],
            peers: 2,
            established: 2,
            owing: 0,
            in_sync: true,
            forwarding: vec!["ipv4-unicast".to_owned()],
            settling: false,
            kernel: KernelCounts {
                wanted: 4,
                installed: 4,
                ..KernelCounts::default()
            },
            conflicts: 0,
        };
        let text = summary(&node);
        assert!(
            text.contains("as wanted; 4 of 4 routes installed"),
            "{text}"
        );
        assert!(
            !text.contains("stale") && !text.contains("conflicts"),
            "{text}"
        );
        node.in_sync = false;
        node.kernel.refused = 1;
        node.conflicts = 1;
        let text = summary(&node);
        assert!(text.contains("not as wanted"), "{text}");
        assert!(
            text.contains("1 refused (`bgpctl fib --troubled`)"),
            "{text}"
        );
        assert!(text.contains("1 (`bgpctl conflicts`)"), "{text}");
    }
}
