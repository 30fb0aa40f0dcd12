//! `bgp-load`: how a reflector behaves under load, ours beside BIRD in the same run.
//!
//! Each scenario runs in network namespaces of its own, with the generator and the reflector on
//! the same machine. The reflectors take turns, several times; what is printed is each figure's
//! median, and the ratio of ours to BIRD's. Contents are checked, so a fast wrong answer fails.
//!
//! | file | what it measures |
//! |---|---|
//! | `mesh.rs` | many clients with a few blocks each: sessions up, tables complete, one client lost |
//! | `table.rs` | one sender with a large table, a few receivers: ingest and fan-out |
//! | `host.rs` | processor time and memory of a process, from `/proc` |
//! | `report.rs` | medians, ratios, JSON lines |

mod host;
mod mesh;
mod report;
mod stage;
mod table;

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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let makes: &[Make] = if arguments.alone {
        &[Make::BgpRr]
    } else {
        &[Make::Bird, Make::BgpRr]
    };
    let mut report = report::Report::default();
    for run in 1..=arguments.runs {
        for make in makes {
            report::say(&format!("run {run} of {}: {make:?}", arguments.runs));
            let figures = match arguments.scenario {
                Scenario::Mesh { clients } => mesh::run(*make, clients),
                Scenario::Table {
                    prefixes,
                    per_set,
                    receivers,
                } => table::run(*make, prefixes, per_set, receivers),
            };
            match figures {
                Ok(figures) => report.add(*make, figures),
                Err(error) => {
                    report::say(&format!("{make:?} failed: {error}"));
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    report.print();
    ExitCode::SUCCESS
}
