//! Scripted failures, one by one, with what each of them cost.
//!
//! Twelve pings at a hundred packets a second run through all of them. An event marks the moment
//! at which it begins, does its damage, waits for what should come about in the kernels, and lets
//! the cluster settle; then the packets sent since the mark are counted, those that ran out of
//! hops too. Each event has a bound; an event that misses it has a fault in words.
//!
//! | file | the damage |
//! |---|---|
//! | `speakers` | speakers killed, stopped, given a broken file |
//! | `reflectors` | reflectors killed and stopped |
//! | `links` | nodes that die, carriers, partitions, addresses that nobody has |
//! | `kernels` | others who edit routes |
//! | `moves` | blocks and workloads that move, blocks with two owners |
//! | `counters`, `report` | what kernels count; lines and the table for people |
//!
//! # Invariants
//!
//! - What is judged is what kernels have and what packets did, measured here. Speakers are asked
//!   only for what they tell a person.
//! - An event leaves the cluster as it found it: every route, session and ping, and every kernel as
//!   its speaker wants it. When that does not come about, the run ends.
//! - Bounds are those of the documentation, and the same for every speaker.

mod counters;
mod kernels;
mod links;
mod moves;
mod reflectors;
mod report;
mod speakers;

use super::plan::{NodeNumber, WORKLOADS, WorkloadNumber};
use super::probe::{self, Figures, PATIENCE, Path as PingPath, Streams};
use super::{Cluster, Way, show};
use crate::{Error, Result, check, wait};
use bgp_core::family::Family;
use bgp_core::prefix::{IpNet, family_of};
use counters::Counters;
use report::{add_end, add_row, empty_table, seconds, summary};
use std::thread;
use std::time::{Duration, Instant};

/// How many nodes the events need at least.
pub const MIN_NODES: u8 = 6;
/// No stream may lose anything for so long before the next event begins.
const QUIET: Duration = Duration::from_millis(1_500);
/// How long a cluster may take to be as before.
const SETTLE_LIMIT: Duration = Duration::from_secs(90);
/// How long after an event losses still count as its own.
const AFTERMATH: Duration = Duration::from_secs(2);

/// One of the failures.
pub struct Event {
    /// The word for it on the command line.
    pub name: &'static str,
    /// What happens.
    pub words: &'static str,
    /// What must come about.
    pub bound: &'static str,
    act: fn(&mut Scene<'_>) -> Result<Finding>,
}

/// All of them, in the order in which they are run.
pub const EVENTS: [Event; 19] = [
    Event {
        name: "speaker-killed",
        words: "a speaker is killed, and started 3 s later",
        bound: "0 lost, working after 1 s",
        act: speakers::killed,
    },
    Event {
        name: "speaker-stopped",
        words: "a speaker is stopped and started",
        bound: "0 lost",
        act: speakers::restarted,
    },
    Event {
        name: "reflectors-killed",
        words: "one reflector is killed, then both for 20 s",
        bound: "0 lost",
        act: reflectors::killed,
    },
    Event {
        name: "reflectors-stopped",
        words: "both reflectors are stopped for 5 s",
        bound: "0 lost",
        act: reflectors::stopped,
    },
    Event {
        name: "restart-beside-dead-reflector",
        words: "a node restarts while one reflector is dead",
        bound: "0 lost, working after 3 s",
        act: speakers::restarted_beside_a_dead_reflector,
    },
    Event {
        name: "node-dies",
        words: "a node dies: its link is cut and its speaker killed",
        bound: "its block gone everywhere after 9.5 s",
        act: links::node_dies,
    },
    Event {
        name: "carrier",
        words: "a node's carrier is lost for 2 s",
        bound: "works 0.3 s after it is back",
        act: links::carrier,
    },
    Event {
        name: "carrier-objects",
        words: "the same with routes through nexthop objects",
        bound: "works 0.3 s after it is back",
        act: links::carrier_with_objects,
    },
    Event {
        name: "routes-deleted",
        words: "someone deletes a node's routes and blackhole",
        bound: "healed in 0.1 s",
        act: kernels::deleted,
    },
    Event {
        name: "foreign-static",
        words: "someone adds a static route inside the pool",
        bound: "kept, not announced, reported",
        act: kernels::foreign_static,
    },
    Event {
        name: "foreign-takes-key",
        words: "someone's route takes the place of ours",
        bound: "kept, reported, healed 0.1 s after it goes",
        act: kernels::foreign_key,
    },
    Event {
        name: "block-moves",
        words: "a block and its workloads move to another node",
        bound: "gap of 20 ms at most, no loop",
        act: moves::block,
    },
    Event {
        name: "workload-moves-first",
        words: "workloads move 2 s before their block",
        bound: "0 lost",
        act: moves::workload_first,
    },
    Event {
        name: "stale-route",
        words: "a block goes while a speaker is down",
        bound: "gone 2 s after it works again",
        act: speakers::stale_route,
    },
    Event {
        name: "stale-route-dead-peer",
        words: "the same while one reflector is dead",
        bound: "gone 5 s after the start",
        act: speakers::stale_route_beside_a_dead_reflector,
    },
    Event {
        name: "partition",
        words: "the racks are apart for 15 s",
        bound: "works 0.5 s after they are joined; 0 lost within a rack",
        act: links::partition,
    },
    Event {
        name: "two-claim-one-block",
        words: "two nodes claim one block",
        bound: "one stable winner, all nodes say who",
        act: moves::two_owners,
    },
    Event {
        name: "broken-reload",
        words: "a broken file is loaded",
        bound: "0 lost, refused with the line",
        act: speakers::broken_reload,
    },
    Event {
        name: "unused-address",
        words: "1000 packets to an address that nobody has",
        bound: "dropped at its owner, passed on once per hop, no ICMP",
        act: links::unused_address,
    },
];

/// What an event found.
pub(super) struct Finding {
    figures: Figures,
    /// Packets that ran out of hops, at all nodes and the router.
    expired: u64,
    measured: String,
    faults: Vec<String>,
    patience: u32,
}

impl Finding {
    /// With the packets sent since `mark`, of all streams.
    fn since(scene: &Scene<'_>, mark: &Mark) -> Result<Self> {
        Self::of(scene, mark, |_| true)
    }

    /// With the packets sent since `mark`, of the streams that `only` picks.
    fn of(scene: &Scene<'_>, mark: &Mark, only: impl Fn(&PingPath) -> bool) -> Result<Self> {
        thread::sleep(AFTERMATH);
        let until = Instant::now();
        thread::sleep(PATIENCE);
        let counters = Counters::read(scene.cluster)?;
        Ok(Self {
            figures: scene.streams.figures(mark.at, until, only),
            expired: counters.expired_since(&mark.counters),
            measured: String::new(),
            faults: Vec::new(),
            patience: scene.patience,
        })
    }

    /// When the last lost packet was sent, as a time after `since`; zero when that was before.
    fn last_loss(&self, since: Instant) -> Duration {
        let last = self.figures.last_lost.unwrap_or(since);
        last.saturating_duration_since(since)
    }

    fn measured(mut self, text: String) -> Self {
        self.measured = text;
        self
    }

    fn demand(mut self, holds: bool, fault: impl FnOnce() -> String) -> Self {
        if !holds {
            self.faults.push(fault());
        }
        self
    }

    /// Demands that nothing was lost.
    fn without_loss(self) -> Self {
        let (lost, worst) = (self.figures.lost, self.figures.worst.clone());
        self.demand(lost == 0, || format!("{lost} packets lost ({worst:?})"))
    }

    /// Demands that something came about within `bound`.
    fn within(self, what: &str, took: Option<Duration>, bound: Duration) -> Self {
        let bound = bound * self.patience;
        let measured = took.map_or_else(
            || format!("{what}: never"),
            |took| format!("{what} after {}", seconds(took)),
        );
        let text = if self.measured.is_empty() {
            measured.clone()
        } else {
            format!("{}; {measured}", self.measured)
        };
        self.measured(text)
            .demand(took.is_some_and(|took| took <= bound), || {
                format!("{measured}, bound {}", seconds(bound))
            })
    }
}

/// A moment, and what the counters were at it.
pub(super) struct Mark {
    at: Instant,
    counters: Counters,
}

/// The cluster under its pings.
pub(super) struct Scene<'a> {
    cluster: &'a mut Cluster,
    streams: Streams,
    patience: u32,
}

impl Scene<'_> {
    fn mark(&self) -> Result<Mark> {
        let counters = Counters::read(self.cluster)?;
        Ok(Mark {
            at: Instant::now(),
            counters,
        })
    }

    /// Waits until the cluster is as at the start.
    fn settle(&mut self) -> Result<()> {
        self.cluster.wait_routes(SETTLE_LIMIT)?;
        self.cluster.wait_established(SETTLE_LIMIT)?;
        probe::wait_quiet(&self.streams, QUIET, SETTLE_LIMIT)?;
        let matrix = show::matrix(self.cluster, Family::Ipv4Unicast)?;
        check(matrix.lost.is_empty(), || {
            format!("pings without an answer: {}", matrix.lost.join(", "))
        })?;
        for node in &self.cluster.nodes {
            let said = node.speaker.audit()?;
            check(said.is_none(), || {
                let name = node.number.name();
                format!(
                    "{name}: the kernel is not as wanted: {}",
                    said.unwrap_or_default()
                )
            })?;
        }
        Ok(())
    }

    /// Waits until `holds`, at most `limit` after `since`; how long after `since` that was.
    fn timed(
        &mut self,
        since: Instant,
        limit: Duration,
        mut holds: impl FnMut(&mut Cluster) -> Result<bool>,
    ) -> Result<Option<Duration>> {
        wait::timed(since, limit, || holds(self.cluster))
    }
}

impl Cluster {
    /// Where a node's kernel sends packets to `prefix`; `None` when it has no such route.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn way(&mut self, node: NodeNumber, prefix: &IpNet) -> Result<Option<Way>> {
        let node = self.node(node)?;
        let routes = node.routes(family_of(prefix))?;
        let route = routes.iter().find(|route| route.prefix == *prefix);
        Ok(route.map(|route| Way::of(route, node)))
    }

    /// Whether every node but `owner` has a route to `prefix` (or none has, if not `present`).
    fn everywhere(&mut self, prefix: &IpNet, owner: NodeNumber, present: bool) -> Result<bool> {
        for number in self.numbers() {
            if number != owner && self.way(number, prefix)?.is_some() != present {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives a node's speaker one more block of IPv4, or takes one away.
    fn change_block(&mut self, node: NodeNumber, block: IpNet, own: bool) -> Result<()> {
        let speaker = &mut self.node(node)?.speaker;
        let mut blocks = speaker.terms().blocks.clone();
        blocks.retain(|other| *other != block);
        if own {
            blocks.push(block);
        }
        speaker.set_blocks(&blocks)
    }
}

/// The pairs: of each node its first workload with the next node's, which is in the other rack, and
/// its second with the one after, which is in its own.
fn pairs(nodes: u8) -> Vec<(WorkloadNumber, WorkloadNumber)> {
    let workload = |node: u8, index| WorkloadNumber {
        node: NodeNumber((node - 1) % nodes + 1),
        index,
    };
    (1..=nodes)
        .flat_map(|node| {
            (0..WORKLOADS)
                .map(move |index| (workload(node, index), workload(node + 1 + index, index)))
        })
        .collect()
}

/// Starts the streams.
fn streams(cluster: &Cluster) -> Result<Streams> {
    let find = |number| {
        let mut workloads = cluster.workloads.iter();
        workloads
            .find(|workload| workload.number == number)
            .ok_or_else(|| Error::Check(format!("there is no {}", number.name())))
    };
    let mut paths = Vec::new();
    for (from, to) in pairs(cluster.settings.nodes) {
        let address = to.address(Family::Ipv4Unicast);
        let from = find(from)?;
        paths.push(cluster.path(from, address, &to.name(), Family::Ipv4Unicast));
    }
    Streams::start(&paths)
}

/// Whether a stream begins or ends at a workload of `node`.
fn touches(path: &PingPath, node: NodeNumber) -> bool {
    (0..WORKLOADS).any(|index| {
        let address = WorkloadNumber { node, index }.address(Family::Ipv4Unicast);
        path.from == address || path.to == address
    })
}

/// Runs the events named in `only`, or all, and answers the table and whether all bounds were kept.
/// Bounds of time are stretched by `patience`: 1 on a machine that does nothing else.
///
/// # Errors
/// When a name is unknown, something cannot be done, or the cluster does not become as before.
pub fn run(
    cluster: &mut Cluster,
    only: &[String],
    patience: u32,
    say: &mut dyn FnMut(&str),
) -> Result<(String, bool)> {
    check_names(only)?;
    let streams = streams(cluster)?;
    let mut scene = Scene {
        cluster,
        streams,
        patience,
    };
    scene.settle()?;
    say("twelve pings at 100 a second, none lost");
    let mut table = empty_table();
    let mut good = true;
    let wanted = |event: &&Event| only.is_empty() || only.iter().any(|name| name == event.name);
    for event in EVENTS.iter().filter(wanted) {
        say(&format!("{}: {}", event.name, event.words));
        let outcome = (event.act)(&mut scene);
        if let Ok(finding) = &outcome {
            say(&format!("  {}", summary(finding)));
            for fault in &finding.faults {
                say(&format!("  MISSED: {fault}"));
            }
            good &= finding.faults.is_empty();
            add_row(&mut table, event, finding);
        }
        let healed = outcome.and_then(|_| scene.settle());
        if let Err(error) = healed {
            // Nothing that came after it could be believed.
            say(&format!("  NOT HEALED: {error}"));
            add_end(&mut table, event, &error);
            return Ok((table.to_string(), false));
        }
    }
    Ok((table.to_string(), good))
}

/// Whether all of `names` are those of events.
///
/// # Errors
/// With the names that there are.
pub fn check_names(names: &[String]) -> Result<()> {
    let known: Vec<&str> = EVENTS.iter().map(|event| event.name).collect();
    let mut names = names.iter();
    let unknown = names.find(|name| !known.contains(&name.as_str()));
    check(unknown.is_none(), || {
        let unknown = unknown.cloned().unwrap_or_default();
        format!("`{unknown}` is none of {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn pairs_span_racks_and_stay_inside_them() {
        let pairs = pairs(6);
        assert_eq!(pairs.len(), 12);
        let crossing = pairs
            .iter()
            .filter(|(from, to)| from.node.site().rack != to.node.site().rack);
        assert_eq!(crossing.count(), 6);
        let ends: BTreeSet<_> = pairs.iter().flat_map(|(from, to)| [*from, *to]).collect();
        assert_eq!(ends.len(), 12, "every workload takes part");
    }

    #[test]
    fn events_have_names_of_their_own() {
        let names: BTreeSet<&str> = EVENTS.iter().map(|event| event.name).collect();
        assert_eq!(names.len(), EVENTS.len());
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        check_names(&names).unwrap();
        let text = check_names(&["earthquake".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("earthquake") && text.contains("partition"),
            "{text}"
        );
    }
}
