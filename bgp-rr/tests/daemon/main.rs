//! `bgp-rr` from the outside: the program itself on loopback, with `bgpctl` and real sessions.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must stop"
)]

mod ending;
mod harness;
mod questions;
mod reload;
mod starting;
