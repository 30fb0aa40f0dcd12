//! Building and running the fuzz targets without further tools.
//!
//! `cargo fuzz` does the same with more comfort; here the compiler flags are given by hand so that
//! a fresh machine with a stable toolchain can build and smoke-run every target
//! (`RUSTC_BOOTSTRAP` lets the stable compiler take the sanitizer flag).

use crate::run::{Outcome, cargo, command, root, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

const FLAGS: &str = "-Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions \
    -Ccodegen-units=1";

/// The names of all targets, from the files.
pub(crate) fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds every target and runs each for `seconds` on its corpus and what it makes of it.
pub(crate) fn smoke(seconds: u64) -> Outcome {
    build()?;
    targets()?
        .iter()
        .try_for_each(|target| fuzz(target, seconds))
}

/// Fuzzes one target, or all in turn, for `seconds` each. Findings stay in `fuzz/artifacts`, new
/// inputs in `fuzz/grown` beside the committed corpus.
pub(crate) fn campaign(target: Option<&str>, seconds: u64) -> Outcome {
    build()?;
    match target {
        Some(target) => fuzz(target, seconds),
        None => targets()?
            .iter()
            .try_for_each(|target| fuzz(target, seconds)),
    }
}

fn build() -> Outcome {
    let manifest = root().join("fuzz/Cargo.toml");
    let mut build = cargo(&["build", "--release", "--target", TARGET, "--manifest-path"]);
    build
        .arg(manifest)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS);
    run(build)
}

fn fuzz(target: &str, seconds: u64) -> Outcome {
    let folder = root().join("fuzz");
    let program = folder
        .join("target")
        .join(TARGET)
        .join("release")
        .join(target);
    let grown = make(folder.join("target/grown").join(target))?;
    let artifacts = make(folder.join("artifacts").join(target))?;
    let corpus = make(folder.join("corpus").join(target))?;
    let mut fuzz: Command = command(program, &[]);
    fuzz.arg(grown)
        .arg(corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            "-max_len=4200",
            "-timeout=10",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
        ]);
    run(fuzz)
}

fn make(folder: PathBuf) -> Result<PathBuf, String> {
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}
