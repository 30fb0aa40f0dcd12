//! `bgp-sim`: plays simulated clusters, seed by seed, and says which seed brings a fault back.

use bgp_sim::campaign::{run_all, run_traced};
use bgp_sim::topology::Limits;
use bgp_sim::trace::Detail;
use bgp_sim::world::Failure;
use clap::Parser;
use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Plays simulated clusters of nodes and two route reflectors: faults, then quiet, then every
/// table is compared with a model.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Seeds to play, the last one not included.
    #[arg(long, default_value = "0..200", value_parser = range)]
    seeds: Range<u64>,
    /// One seed alone; with --trace, what happens in it.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Print what happens, line by line.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Nodes of a cluster, the last number included.
    #[arg(long, default_value = "20..50", value_parser = range)]
    nodes: Range<u64>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Never break anything.
    #[arg(long)]
    no_faults: bool,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let form = || format!("`{text}` is not of the form 0..100");
    let (from, to) = text.split_once("..").ok_or_else(form)?;
    let from = from.parse().map_err(|_| form())?;
    let to = to.parse().map_err(|_| form())?;
    if from > to {
        return Err(format!("`{text}` ends before it begins"));
    }
    Ok(from..to)
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let number = |number| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    let limits = Limits {
        min_nodes: number(arguments.nodes.start),
        max_nodes: number(arguments.nodes.end),
        faults: !arguments.no_faults,
    };
    match arguments.seed {
        Some(seed) => one(seed, &limits, &arguments),
        None => many(&limits, &arguments),
    }
}

fn one(seed: u64, limits: &Limits, arguments: &Arguments) -> io::Result<ExitCode> {
    let detail = match arguments.trace {
        true => Detail::Lines,
        false => Detail::Digest,
    };
    let (outcome, lines) = run_traced(seed, limits, detail);
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    match outcome {
        Ok(summary) => {
            writeln!(out, "{summary:?}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            writeln!(io::stderr(), "{}", told(&failure, arguments))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn many(limits: &Limits, arguments: &Arguments) -> io::Result<ExitCode> {
    let begun = Instant::now();
    let mut told_at = begun;
    let (mut played, mut failed, mut compared, mut octets) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut outcome = Ok(());
    run_all(
        arguments.seeds.clone(),
        limits,
        arguments.jobs,
        |_, result| {
            played += 1;
            match result {
                Ok(summary) => {
                    compared += summary.compared;
                    octets += summary.octets;
                }
                Err(failure) => {
                    failed += 1;
                    outcome = writeln!(io::stderr(), "{}", told(&failure, arguments));
                }
            }
            if told_at.elapsed() > Duration::from_secs(5) {
                told_at = Instant::now();
                let rate = played as f64 / begun.elapsed().as_secs_f64();
                outcome = writeln!(io::stderr(), "{played} seeds, {rate:.1}/s, {failed} failed");
            }
            outcome.is_ok() && (failed == 0 || arguments.keep_going)
        },
    );
    outcome?;
    writeln!(
        io::stderr(),
        "{played} seeds in {:.1} s, {failed} failed; {compared} routes compared, {octets} octets \
         carried",
        begun.elapsed().as_secs_f64()
    )?;
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn told(failure: &Failure, arguments: &Arguments) -> String {
    let Range { start, end } = arguments.nodes;
    let faults = match arguments.no_faults {
        true => " --no-faults",
        false => "",
    };
    let seed = failure.seed;
    format!(
        "seed {seed} at {:?}: {}\nagain: cargo xtask sim --seed {seed} --nodes {start}..{end}{faults} \
         --trace",
        failure.at, failure.what
    )
}
