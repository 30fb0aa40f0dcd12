//! The route reflector. Its arguments are read here; everything else is `bgp_daemon`.

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

/// A BGP route reflector.
///
/// Without --config it runs in AS 64512, accepts clients from this host alone, and listens on
/// port 179, or on 1179 where it may not.
#[derive(Debug, Parser)]
#[command(name = "bgp-rr", version, max_term_width = 100)]
struct Arguments {
    /// The configuration file (TOML; see docs/configuration.md)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective configuration, defaults included, and start nothing
    #[arg(long)]
    check: bool,
    /// Where the admin socket goes [default: /run/bgp-rr.sock, or a place of the user's own]
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
        program: "bgp-rr",
        kind: Kind::Reflector,
        config: arguments.config,
        check: arguments.check,
        admin_socket: arguments.admin_socket,
        state: None,
        log_format: arguments.log_format,
        log_level: arguments.log_level,
    })
}
