//! What a change must pass.

use crate::run::{Outcome, cargo, root, run, say};
use crate::{fuzz, packages};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Crates whose tests are pure: no socket, no root, no sleep.
const PURE: [&str; 4] = ["bgp-core", "bgp-blocks", "bgp-sim", "xtask"];

/// Crates whose binaries a cluster needs.
const CLUSTER: [&str; 4] = ["bgp-rr", "bgp-node", "bgp-daemon", "bgp-lab"];

/// Seeds that every full test run simulates.
const SEEDS: &str = "0..400";

/// How long each fuzz target runs in a full test run.
const FUZZ_SECONDS: u64 = 10;

/// `cargo xtask t`.
pub(crate) fn inner_loop() -> Outcome {
    run(cargo(&["fmt", "--all", "--check"]))?;
    let pure: Vec<&str> = PURE.iter().flat_map(|name| ["-p", name]).collect();
    run(cargo(
        &[
            &["clippy", "-q"],
            &pure[..],
            &["--all-targets", "--", "-D", "warnings"],
        ]
        .concat(),
    ))?;
    run(cargo(&[&["test", "-q"], &pure[..]].concat()))
}

/// `cargo xtask test`.
pub(crate) fn everything(no_skips: bool) -> Outcome {
    let skips = Skips::new()?;
    prepare(&skips)?;
    run(cargo(&["fmt", "--all", "--check"]))?;
    run(cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    // Binaries first: some tests start them.
    run(cargo(&["build", "--workspace", "--bins"]))?;
    let mut tests = cargo(&["test", "--workspace", "--exclude", "bgp-lab"]);
    if is_root() {
        // Without root, those that need namespaces are run again, in one of their own.
        tests.env("BGP_LAB_SKIPPED", &skips.file);
    }
    run(tests)?;
    run(cargo(&[
        "run",
        "-q",
        "-p",
        "bgp-core",
        "--example",
        "two_speakers",
    ]))?;
    run(cargo(&[
        "run",
        "-q",
        "-p",
        "bgp-io",
        "--example",
        "embedded",
    ]))?;
    fuzz::smoke(FUZZ_SECONDS)?;
    simulation(&["--seeds".into(), SEEDS.into()])?;
    lab(None, &skips)?;
    skips.report(no_skips)
}

/// `cargo xtask netns`.
pub(crate) fn namespaces(filter: Option<&str>) -> Outcome {
    let skips = Skips::new()?;
    prepare(&skips)?;
    lab(filter, &skips)?;
    skips.report(false)
}

/// `cargo xtask lab`.
pub(crate) fn cluster(arguments: &[String]) -> Outcome {
    let mut build = cargo(&["build", "--release", "--bins"]);
    build.args(CLUSTER.iter().flat_map(|name| ["-p", name]));
    run(build)?;
    // Waits for Ctrl-C, and removes what it made: the terminal's signal goes to it as well.
    let lab = root().join("target/release/bgp-lab");
    let mut up = crate::run::command(lab, &["up"]);
    up.args(arguments);
    run(up)
}

/// `cargo xtask sim`.
pub(crate) fn simulation(arguments: &[String]) -> Outcome {
    let mut sim = cargo(&["run", "-q", "--release", "-p", "bgp-sim", "--"]);
    sim.args(arguments);
    run(sim)
}

/// Root installs the packages that are missing; others are told.
fn prepare(skips: &Skips) -> Outcome {
    if is_root() {
        return packages::install();
    }
    let missing = packages::missing();
    if !missing.is_empty() {
        skips.note(&format!(
            "tests with the Debian packages {}: not installed, and only root can install them",
            missing.join(" ")
        ))?;
    }
    Ok(())
}

/// Tests with real daemons, against a release build of ours. Without root they run in an
/// unprivileged user namespace.
fn lab(filter: Option<&str>, skips: &Skips) -> Outcome {
    run(cargo(&[
        "build",
        "--release",
        "-p",
        "bgp-rr",
        "-p",
        "bgp-node",
        "-p",
        "bgp-daemon",
        "--bins",
    ]))?;
    run(cargo(&["test", "-p", "bgp-lab", "--no-run"]))?;
    if !is_root() && filter.is_none() {
        let mut kernel = namespaced();
        kernel
            .args(["test", "-p", "bgp-fib", "--test", "kernel"])
            .env("BGP_LAB_SKIPPED", &skips.file);
        run(kernel)?;
    }
    let mut test = namespaced();
    test.args([
        "test",
        "-p",
        "bgp-lab",
        "--",
        "--test-threads=1",
        "--nocapture",
    ]);
    test.args(filter);
    let binaries = root().join("target/release");
    test.env("BGP_RR_BIN", binaries.join("bgp-rr"))
        .env("BGP_NODE_BIN", binaries.join("bgp-node"))
        .env("BGPCTL_BIN", binaries.join("bgpctl"))
        .env("BGP_LAB_SKIPPED", &skips.file);
    run(test)
}

/// Cargo, where network namespaces can be made.
fn namespaced() -> Command {
    if is_root() {
        return cargo(&[]);
    }
    let mut unshare = crate::run::command("unshare", &["--user", "--map-root-user", "--net"]);
    unshare.arg("--mount").arg(cargo(&[]).get_program());
    unshare
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| {
        line.strip_prefix("Uid:")
            .and_then(|ids| ids.split_whitespace().nth(1))
            .is_some_and(|effective| effective == "0")
    })
}

/// What could not be run, gathered in a file that tests append to.
struct Skips {
    file: PathBuf,
}

impl Skips {
    fn new() -> Result<Self, String> {
        let file = root().join("target/skipped.txt");
        fs::create_dir_all(root().join("target")).map_err(|e| e.to_string())?;
        fs::write(&file, "").map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(Self { file })
    }

    fn note(&self, what: &str) -> Outcome {
        let mut text = self.read()?;
        text.push_str(what);
        text.push('\n');
        fs::write(&self.file, text).map_err(|e| e.to_string())
    }

    fn read(&self) -> Result<String, String> {
        fs::read_to_string(&self.file).map_err(|e| format!("{}: {e}", self.file.display()))
    }

    fn report(&self, no_skips: bool) -> Outcome {
        let text = self.read()?;
        if text.trim().is_empty() {
            say("all tests ran, nothing was skipped");
            return Ok(());
        }
        say("not run:");
        text.lines().for_each(|line| say(&format!("  - {line}")));
        if no_skips {
            Err("something was skipped".into())
        } else {
            Ok(())
        }
    }
}
