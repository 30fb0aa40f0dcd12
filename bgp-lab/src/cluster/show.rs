//! Tables for people: blocks and where each kernel sends them, the kernels' routes as `ip` prints
//! them, and the ping matrix.
//!
//! All is text that the caller prints; nothing here measures. What the kernels have is read anew for every table,
//! so that it shows the moment at which it was asked for.

use super::{Cluster, Way, probe};
use crate::Result;
use crate::process::ask;
use bgp_core::family::Family;
use bgp_core::prefix::family_of;
use comfy_table::Table;
use comfy_table::presets::ASCII_BORDERS_ONLY_CONDENSED;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// How long the matrix waits for the slowest pair.
const MATRIX_LIMIT: Duration = Duration::from_secs(5);

/// Blocks, their owners, and where each kernel sends packets to them.
///
/// # Errors
/// When a kernel does not answer.
pub fn blocks(cluster: &mut Cluster) -> Result<String> {
    let mut table = table();
    let names = cluster.nodes.iter().map(|node| node.number.name());
    let columns = ["block".to_owned(), "owner".to_owned()].into_iter();
    table.set_header(columns.chain(names.map(|name| format!("in {name}"))));
    let mut rows: Vec<_> = Vec::new();
    for node in &cluster.nodes {
        for block in &node.speaker.terms().blocks {
            rows.push((family_of(block) == Family::Ipv6Unicast, *block, node.number));
        }
    }
    rows.sort();
    for (_, block, owner) in rows {
        let mut cells = vec![block.to_string(), owner.name()];
        for node in &mut cluster.nodes {
            let routes = node.routes(family_of(&block))?;
            let route = routes.iter().find(|route| route.prefix == block);
            let way = route.map(|route| Way::of(route, node).to_string());
            cells.push(way.unwrap_or_else(|| "-".to_owned()));
        }
        table.add_row(cells);
    }
    Ok(table.to_string())
}

/// The routes of every kernel, as `ip route` prints them.
///
/// # Errors
/// When `ip` fails.
pub fn routes(cluster: &Cluster) -> Result<String> {
    let mut text = String::new();
    let nodes = cluster.nodes.iter();
    let mut places: Vec<_> = nodes
        .map(|node| (node.number.name(), &node.namespace))
        .collect();
    places.push(("tor".to_owned(), cluster.fabric.router()));
    for (name, namespace) in places {
        for family in &cluster.settings.families {
            let flag = match family {
                Family::Ipv4Unicast => "-4",
                Family::Ipv6Unicast => "-6",
            };
            let mut command = Command::new("ip");
            command.args([flag, "route", "show"]);
            let _ = writeln!(text, "{name}# ip {flag} route");
            for line in ask(namespace, command)?.lines() {
                // What every IPv6 device has says nothing.
                if !line.starts_with("fe80::") && !line.starts_with("multicast") {
                    let _ = writeln!(text, "  {}", line.trim_end());
                }
            }
        }
    }
    Ok(text)
}

/// The outcome of a ping matrix.
pub struct Matrix {
    /// The table.
    pub text: String,
    /// How many pairs there are.
    pub pairs: usize,
    /// Pairs without an answer.
    pub lost: Vec<String>,
}

/// Pings every pair of workloads, and every workload from the router if it knows them.
///
/// # Errors
/// When a socket cannot be opened.
pub fn matrix(cluster: &Cluster, family: Family) -> Result<Matrix> {
    let paths = cluster.matrix_paths(family);
    let answers = probe::matrix(&paths, MATRIX_LIMIT)?;
    let mut lost = Vec::new();
    let mut good = BTreeSet::new();
    for ((_, path), answered) in paths.iter().zip(&answers) {
        if *answered {
            good.insert(path.name.clone());
        } else {
            lost.push(path.name.clone());
        }
    }
    let workloads = cluster.workloads.iter();
    let names: Vec<String> = workloads.map(|workload| workload.number.name()).collect();
    let mut table = table();
    table.set_header(std::iter::once("from \\ to").chain(names.iter().map(String::as_str)));
    let router = cluster.router.as_ref().map(|_| "tor");
    for from in names.iter().map(String::as_str).chain(router) {
        let cells = names.iter().map(|to| {
            if from == to {
                "·"
            } else if good.contains(&format!("{from} to {to}")) {
                "ok"
            } else {
                "LOST"
            }
        });
        table.add_row(std::iter::once(from).chain(cells));
    }
    Ok(Matrix {
        text: table.to_string(),
        pairs: answers.len(),
        lost,
    })
}

/// An empty table in the house's style.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_BORDERS_ONLY_CONDENSED);
    table
}
