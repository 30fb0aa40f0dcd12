//! Many seeds, one after the other or on several threads, and what became of them.

use crate::scenario::Scenario;
use crate::topology::Limits;
use crate::trace::Detail;
use crate::world::{Failure, Summary, World};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

/// What became of one seed.
pub type Outcome = Result<Summary, Failure>;

/// Plays one seed. A panic of the engine is a failure like any other.
///
/// # Errors
///
/// What went wrong.
pub fn run_seed(seed: u64, limits: &Limits) -> Outcome {
    run_traced(seed, limits, Detail::Off).0
}

/// Plays one seed and gives the trace too.
pub fn run_traced(seed: u64, limits: &Limits, detail: Detail) -> (Outcome, Vec<String>) {
    let failed = |at, what| Failure { seed, at, what };
    let mut world = match World::new(Scenario::draw(seed, limits), detail) {
        Ok(world) => world,
        Err(what) => return (Err(failed(bgp_core::time::Instant::ZERO, what)), Vec::new()),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let outcome = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("panic: {}", text.unwrap_or("of unknown kind"));
        Err(failed(world.now(), what))
    });
    (outcome, world.take_trace())
}

/// Plays `seeds` on `jobs` threads and tells `report` of each as it ends. Stops early when
/// `report` says so (`false`).
pub fn run_all(
    seeds: Range<u64>,
    limits: &Limits,
    jobs: usize,
    mut report: impl FnMut(u64, Outcome) -> bool,
) {
    let next = AtomicU64::new(seeds.start);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    if sender.send((seed, run_seed(seed, limits))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (seed, outcome) in &receiver {
            if !report(seed, outcome) {
                break;
            }
        }
        // Threads notice at their next send that nobody listens.
        drop(receiver);
    });
}
