//! Whole nodes, engines included, over a made-up network in virtual time: what happens to packets
//! while blocks and workloads move, claims clash and reflectors die.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod moves;
mod net;
mod trouble;
