//! `bgp-load`: how a reflector, and a keeper of kernel routes, behave under load, ours beside BIRD
//! in the same run.
//!
//! Each scenario runs in network namespaces of its own, with the generator and the reflector on
//! the same machine. The reflectors take turns, several times; what is printed is each figure's
//! median, and the ratio of ours to BIRD's. Contents are checked, so a fast wrong answer fails.
//!
//! | file | what it measures |
//! |---|---|
//! | `mesh.rs` | many clients with a few blocks each: sessions up, tables complete, one client lost |
//! | `table.rs` | one sender with a large table, a few receivers: ingest and fan-out |
//! | `fib.rs` | many routes into a kernel and out of it, beside netlink without a reconciler |
//! | `host.rs` | processor time and memory of a process, from `/proc` |
//! | `report.rs` | medians, ratios, JSON lines |

mod fib;
mod host;
mod mesh;
mod report;
mod stage;
mod table;

use bgp_lab::Result;
use bgp_lab::reflector::Make;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures a route reflector under load, beside BIRD. Needs root and the package bird2.
#[derive(Parser)]
struct Arguments {
    /// How often each reflector runs each scenario.
    #[arg(long, default_value_t = 3, global = true)]
    runs: usize,
    /// Only ours, without BIRD beside it.
    #[arg(long, global = true)]
    alone: bool,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Clients with two blocks each, all started at once; then one is lost.
    Mesh {
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        clients: u16,
    },
    /// One sender with a large table and some receivers.
    Table {
        /// Prefixes of the table.
        #[arg(long, default_value_t = 200_000)]
        prefixes: u32,
        /// Prefixes that share one attribute set.
        #[arg(long, default_value_t = 4)]
        per_set: u32,
        /// Receivers.
        #[arg(long, default_value_t = 10)]
        receivers: u8,
    },
    /// Routes put into a kernel, moved to another gateway, and taken out; the contestants are the
    /// reconciler, bare netlink, and BIRD.
    Fib {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        routes: u32,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.scenario {
        Scenario::Mesh { clients } => reflectors(&arguments, |make| mesh::run(make, clients)),
        Scenario::Table {
            prefixes,
            per_set,
            receivers,
        } => reflectors(&arguments, |make| {
            table::run(make, prefixes, per_set, receivers)
        }),
        Scenario::Fib { routes } => fib::run(routes, arguments.runs, arguments.alone),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Reflectors take turns in a scenario.
fn reflectors(
    arguments: &Arguments,
    scenario: impl Fn(Make) -> Result<Vec<report::Figure>>,
) -> Result<()> {
    let makes: &[(Make, &str)] = if arguments.alone {
        &[(Make::BgpRr, "bgp-rr")]
    } else {
        &[(Make::Bird, "bird"), (Make::BgpRr, "bgp-rr")]
    };
    let mut report = report::Report::default();
    for run in 1..=arguments.runs {
        for (make, name) in makes {
            report::say(&format!("run {run} of {}: {name}", arguments.runs));
            report.add(name, scenario(*make)?);
        }
    }
    report.print("bgp-rr", &["bird"]);
    Ok(())
}
