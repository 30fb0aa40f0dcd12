//! What this machine lacks, and the record of what was skipped for it.
//!
//! A test asks for what it [needs](need) at its beginning. When something is missing it returns
//! after [`skip`] has printed why and appended a line to the file that `BGP_LAB_SKIPPED` names; the
//! test command lists these lines, and fails in CI when there are any.

use crate::netns::Namespace;
use std::env;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The environment variable that names the list of what was skipped.
pub const SKIPPED_VARIABLE: &str = "BGP_LAB_SKIPPED";

/// Something that a test may need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Network namespaces, `ip`, bridges and veth pairs.
    Namespaces,
    /// A program: its path, and the Debian package that has it.
    Program(&'static str, &'static str),
    /// The kernel's `ipip` module, or TUN devices in its place.
    Tunnels,
    /// To be the superuser of the machine, not only of a user namespace: daemons that change
    /// their user and group.
    Root,
}

/// Why `needs` are not met on this machine; `None` when they are.
pub fn missing(needs: &[Need]) -> Option<String> {
    needs.iter().find_map(|need| match need {
        Need::Namespaces => match Namespace::new("probe") {
            Ok(_) => None,
            Err(error) => Some(format!("no network namespaces here: {error}")),
        },
        Need::Program(path, package) => (!Path::new(path).exists())
            .then(|| format!("{path} is missing (Debian package {package})")),
        Need::Tunnels => {
            let there = Path::new("/sys/module/ipip").exists()
                || File::options().write(true).open("/dev/net/tun").is_ok();
            (!there).then(|| "there is neither ipip nor /dev/net/tun for us".to_owned())
        }
        Need::Root => {
            (!is_machine_root()).then(|| "it needs the superuser of the machine".to_owned())
        }
    })
}

/// Whether `needs` are met; says so and records the skip of `test` when they are not.
pub fn need(test: &str, needs: &[Need]) -> bool {
    match missing(needs) {
        None => true,
        Some(reason) => {
            skip(test, &reason);
            false
        }
    }
}

/// Prints and records that `test` was skipped.
#[expect(
    clippy::print_stderr,
    reason = "the test harness shows it to the person who waits"
)]
pub fn skip(test: &str, reason: &str) {
    let line = format!("skipped: {test}: {reason}");
    eprintln!("{line}");
    let Some(path) = env::var_os(SKIPPED_VARIABLE) else {
        return;
    };
    let written = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = written {
        eprintln!("cannot record it in {}: {error}", path.display());
    }
}

/// Whether we are user 0 and more than one user is mapped, which an unprivileged user namespace
/// cannot have.
fn is_machine_root() -> bool {
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mapped = users.split_whitespace().nth(2);
    nix::unistd::geteuid().is_root() && mapped.is_some_and(|count| count != "1")
}
