//! The speaker of a node. Its arguments are read here; everything else is `bgp_daemon`.

use bgp_daemon::config::Kind;
use bgp_daemon::log::Format;
use bgp_daemon::run::{Options, run};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Returns memory that is free, and is faster than the system's under churn.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The BGP speaker of a node: announces its address blocks, and puts those of other nodes into the
/// kernel.
#[derive(Debug, Parser)]
#[command(name = "bgp-node", version, max_term_width = 100)]
struct Arguments {
    /// The configuration file (TOML; see docs/node.md)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print the effective configuration, defaults included, and start nothing
    #[arg(long)]
    check: bool,
    /// Where blocks that are added or removed at run time are kept [default: /var/lib/bgp-node]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Where the admin socket goes [default: /run/bgp-node.sock, or a place of the user's own]
    #[arg(long, value_name = "PATH")]
    admin_socket: Option<PathBuf>,
    /// What log lines look like
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: Format,
    /// Least level of log lines: error, warn, info, debug or trace [default: RUST_LOG, or info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(&Options {
        program: "bgp-node",
        kind: Kind::Node,
        config: Some(arguments.config),
        check: arguments.check,
        admin_socket: arguments.admin_socket,
        state: arguments.state,
        log_format: arguments.log_format,
        log_level: arguments.log_level,
    })
}
