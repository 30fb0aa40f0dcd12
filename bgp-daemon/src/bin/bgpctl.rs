//! The command-line client of the daemons; see `bgp_daemon::ctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bgp_daemon::ctl::run(std::env::args_os())
}
