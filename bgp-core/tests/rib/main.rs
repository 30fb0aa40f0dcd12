//! The RIB from outside: what peers say goes in, octets come out and are decoded again, and what
//! each peer then believes is compared with what it should.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it does not expect"
)]

mod add_path;
mod changes;
mod decision;
mod export;
mod groups;
mod import;
mod kernel;
mod limits;
mod questions;
mod readers;
mod repeat;
mod stale;
mod support;
