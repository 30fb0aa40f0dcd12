//! What a node orders and says, in one scenario after the other.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod any_order;
mod blocks;
mod borrowed;
mod conflicts;
mod headless;
mod routes;
mod world;
