//! Project tasks, run as `cargo xtask NAME`.
//!
//! A task is a list of steps; a step is one command that anybody could type. The task prints each
//! command before it runs it, so a failing step can be repeated by hand.

mod fuzz;
mod packages;
mod run;
mod tests;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tasks of the bgp-rr project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The inner loop: format, lints and every pure test; no socket, no root, under 30 s once built.
    T,
    /// Everything that a change must pass: pure tests, lints, examples, fuzz smoke run, simulation,
    /// real daemons in network namespaces. As root it installs the Debian packages it needs.
    Test {
        /// Fail when something had to be skipped.
        #[arg(long)]
        no_skips: bool,
    },
    /// Only the tests with real daemons in network namespaces.
    Netns {
        /// Run only tests whose name contains this.
        filter: Option<String>,
    },
    /// A whole cluster in network namespaces, until Ctrl-C; arguments go to `bgp-lab up`.
    Lab {
        /// For instance `--encapsulation ipip --nodes 6`, `--once` or `--chaos`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A simulation campaign in release mode; arguments go to `bgp-sim`.
    Sim {
        /// For instance `--seeds 0..10000`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzz one target, or all in turn.
    Fuzz {
        /// Target name; all when left out.
        target: Option<String>,
        /// Minutes for each target.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        minutes: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::T => tests::inner_loop(),
        Task::Test { no_skips } => tests::everything(no_skips),
        Task::Netns { filter } => tests::namespaces(filter.as_deref()),
        Task::Lab { arguments } => tests::cluster(&arguments),
        Task::Sim { arguments } => tests::simulation(&arguments),
        Task::Fuzz { target, minutes } => fuzz::campaign(target.as_deref(), minutes * 60),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            run::say(&format!("FAILED: {why}"));
            ExitCode::FAILURE
        }
    }
}
