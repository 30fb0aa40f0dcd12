//! What will happen in a run: a cluster and a timetable, drawn from one seed.
//!
//! A scenario is complete before the first event: it does not look at what comes of it, so that
//! the same seed plays the same timetable against any version of the engine.
//!
//! # One outcome
//!
//! The model can only be compared with what is determined. Route reflection with
//! MULTI_EXIT_DISC among several neighbouring ASes has clusters without any stable state
//! (RFC 3345), so routes to one prefix that differ in neighbouring AS carry MEDs only where both
//! reflectors see all of them (every owner is a client of both). Interior
//! costs are told to both reflectors alike for the same reason.

mod draw;

use crate::topology::{Limits, Topology};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use bgp_core::rib::Reachability;
use bgp_core::rng::Rng;
use bgp_core::time::{Duration, Instant};
use bgp_core::wire::{NextHop, PathAttributes};
use std::net::IpAddr;

/// A run, before it begins.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// Whether the network and the hosts fail.
    pub faults: bool,
    /// Who is there.
    pub topology: Topology,
    /// What is done when, in order.
    pub timetable: Vec<(Instant, Operation)>,
    /// When the timetable is over and all that can be mended is.
    pub quiet_at: Instant,
    /// Hosts that are down for good in the end.
    pub dead: Vec<usize>,
    /// What is done, and when, after all has become quiet for the first time: some routes go for
    /// good, then some sessions begin again. What a speaker has not forgotten properly shows now.
    pub epilogue: Vec<(Duration, Operation)>,
}

/// A route as its owner announces it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnRoute {
    /// Where to send packets.
    pub next_hop: NextHop,
    /// The rest.
    pub attributes: PathAttributes,
}

/// How a speaker is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopping {
    /// The machine is gone: nothing is sent, and nothing answered until it is back.
    PowerLoss,
    /// The process is gone: the machine resets its connections.
    Crash,
    /// Closed without a NOTIFICATION, so that peers may keep routes (RFC 4724).
    Silent,
    /// Closed with Cease.
    Cease,
}

/// One thing that is done to the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A host announces a route, new or changed.
    Originate {
        /// Who.
        host: usize,
        /// What.
        prefix: IpNet,
        /// With which attributes.
        route: Box<OwnRoute>,
    },
    /// A host takes a route back.
    Withdraw {
        /// Who.
        host: usize,
        /// What.
        prefix: IpNet,
    },
    /// The reflectors learn how far a next hop is away.
    NextHop {
        /// The next hop.
        address: IpAddr,
        /// Whether it can be reached.
        reachability: Reachability,
    },
    /// A host's speaker ends.
    Stop {
        /// Who.
        host: usize,
        /// How.
        how: Stopping,
    },
    /// A host's speaker starts, unless it runs.
    Start {
        /// Who.
        host: usize,
    },
    /// A host does nothing for a while, then catches up.
    Freeze {
        /// Who.
        host: usize,
        /// Until when.
        until: Instant,
    },
    /// Packets between the hosts of a session are lost for a while.
    Cut {
        /// Which session.
        session: usize,
        /// Until when.
        until: Instant,
    },
    /// All packets from and to a host are lost for a while.
    Isolate {
        /// Who.
        host: usize,
        /// Until when.
        until: Instant,
    },
    /// One end of a session reads nothing for a while.
    Stall {
        /// Which session.
        session: usize,
        /// Which end.
        side: usize,
        /// Until when.
        until: Instant,
    },
    /// The connections of a session break.
    Break {
        /// Which session.
        session: usize,
    },
    /// An operator resets a session.
    Reset {
        /// Which session.
        session: usize,
        /// At which end.
        side: usize,
    },
    /// An operator shuts a session down, or lets it come up again.
    Enable {
        /// Which session.
        session: usize,
        /// At which end.
        side: usize,
        /// Whether it may be up.
        enabled: bool,
    },
    /// One end asks for all routes again.
    Refresh {
        /// Which session.
        session: usize,
        /// Which end asks.
        side: usize,
        /// For what.
        family: Family,
    },
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64, limits: &Limits) -> Self {
        let mut rng = Rng::new(seed);
        // One seed in four without faults: there no session may ever go down.
        let limits = Limits {
            faults: limits.faults && rng.below(4) != 0,
            ..*limits
        };
        let topology = Topology::draw(&mut rng, &limits);
        let horizon = Duration::from_millis(5_000 + rng.below(60_000));
        let quiet_at = Instant::ZERO + horizon;
        let drawn = draw::timetable(rng, &topology, (quiet_at, limits.faults));
        Self {
            seed,
            faults: limits.faults,
            quiet_at,
            dead: drawn.dead,
            timetable: drawn.timetable,
            epilogue: drawn.epilogue,
            topology,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        min_nodes: 20,
        max_nodes: 50,
        faults: true,
    };

    #[test]
    fn one_seed_one_timetable() {
        let (a, b) = (Scenario::draw(7, &LIMITS), Scenario::draw(7, &LIMITS));
        assert_eq!(a.timetable, b.timetable);
        assert_ne!(a.timetable, Scenario::draw(8, &LIMITS).timetable);
    }

    #[test]
    fn all_is_over_when_quiet_comes() {
        for seed in 0..100 {
            let scenario = Scenario::draw(seed, &LIMITS);
            let sorted = scenario.timetable.is_sorted_by_key(|(at, _)| *at);
            assert!(sorted && !scenario.timetable.is_empty());
            let last = scenario.timetable.last().map(|(at, _)| *at);
            assert!(last <= Some(scenario.quiet_at));
        }
    }
}
