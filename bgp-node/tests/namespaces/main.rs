//! `bgp-node` itself, between real kernels in network namespaces: what stands in them while
//! blocks move, processes die and others meddle.
//!
//! Needs the binary `bgp-rr` of the same build (or `BGP_RR_BIN`).

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod blocks;
mod cluster;
mod conflicts;
mod restart;
mod shapes;
