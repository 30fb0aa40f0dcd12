//! The speaker as a whole, in virtual time: reflectors and nodes joined by pipes.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod long_lived;
mod net;
mod restart;
mod roster;
mod silence;
mod whole;
