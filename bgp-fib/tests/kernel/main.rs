//! The real kernel, in network namespaces of the test's own: what it does (`facts`), and that the
//! reconciler and its edge keep it as wanted whatever happens (the others).
//!
//! Devices are veth pairs, so that the far end can take the carrier away; others' edits are made
//! with `ip`, as an operator would. A test without the privileges for this is skipped and says
//! so.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print what they measured"
)]

mod campaign;
mod example;
mod facts;
mod keeper;
mod kinds;
mod links;
mod others;
mod restart;
mod stage;
