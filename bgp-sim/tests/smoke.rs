//! The daily dose of simulation: fresh seeds, every seed that ever failed, and proof that a seed
//! gives one run.

use bgp_sim::campaign::{run_all, run_seed, run_traced};
use bgp_sim::topology::Limits;
use bgp_sim::trace::Detail;

/// The clusters that the engine is built for.
const CLUSTERS: Limits = Limits {
    min_nodes: 20,
    max_nodes: 50,
    faults: true,
};

/// Clusters in which every step of every speaker is checked.
const SMALL: Limits = Limits {
    min_nodes: 2,
    max_nodes: 5,
    faults: true,
};

fn all_pass(seeds: std::ops::Range<u64>, limits: &Limits) {
    let mut failures = Vec::new();
    let mut played = 0;
    run_all(seeds.clone(), limits, 2, |_, outcome| {
        played += 1;
        failures.extend(outcome.err());
        true
    });
    assert_eq!(failures, []);
    assert_eq!(played, seeds.end - seeds.start);
}

#[test]
fn clusters_end_as_the_model_says() {
    all_pass(1_000_000..1_000_030, &CLUSTERS);
}

#[test]
fn small_clusters_hold_every_invariant_after_every_step() {
    all_pass(2_000_000..2_000_100, &SMALL);
}

/// One seed a line with the numbers of nodes: `4711 20..50`, then `#` and what it found.
#[test]
fn seeds_that_failed_once_pass() {
    let lines = include_str!("regressions.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (seed, rest) = line.split_once(' ').unwrap();
        let nodes = rest.split_once(" #").map_or(rest, |(nodes, _)| nodes);
        let (from, to) = nodes.trim().split_once("..").unwrap();
        let limits = Limits {
            min_nodes: from.parse().unwrap(),
            max_nodes: to.parse().unwrap(),
            faults: true,
        };
        let outcome = run_seed(seed.parse().unwrap(), &limits);
        assert!(outcome.is_ok(), "{line}: {outcome:?}");
    }
}

#[test]
fn a_seed_repeats_itself_byte_for_byte() {
    for seed in [3, 4] {
        let (first, lines) = run_traced(seed, &CLUSTERS, Detail::Lines);
        let (second, again) = run_traced(seed, &CLUSTERS, Detail::Lines);
        assert!(lines == again && lines.len() > 1_000);
        // The digest also covers every octet that was sent.
        assert_eq!(first.unwrap(), second.unwrap());
        let (other, _) = run_traced(seed + 100, &CLUSTERS, Detail::Digest);
        let (digest, _) = run_traced(seed, &CLUSTERS, Detail::Digest);
        assert_ne!(other.unwrap().digest, digest.unwrap().digest);
    }
}

#[test]
fn three_hundred_nodes_on_two_reflectors() {
    let limits = Limits {
        min_nodes: 300,
        max_nodes: 300,
        faults: true,
    };
    let summary = run_seed(1, &limits).unwrap();
    assert!(summary.established > 600, "{summary:?}");
}
