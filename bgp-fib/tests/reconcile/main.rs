//! The reconciler against a kernel made up: one rule per test, and random campaigns.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing")]

mod adoption;
mod campaign;
mod conflicts;
mod devices;
mod next_hops;
mod objects;
mod order;
mod refusals;
mod scene;
mod tunnels;
