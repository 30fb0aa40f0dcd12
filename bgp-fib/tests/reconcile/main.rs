//! The reconciler against a kernel made up: one rule per test, and random campaigns.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod adoption;
mod conflicts;
mod order;
mod scene;
