//! What the fuzz targets do; each target in `fuzz_targets` calls one function of this crate.
//!
//! | target | input | what must hold |
//! |---|---|---|
//! | `decode_message` | octets of a stream | every error has a NOTIFICATION that can be sent |
//! | `decode_update` | a context, the body of an UPDATE | RFC 7606's verdict is carried out |
//! | `roundtrip` | a context, a message | what was read can be written and read again |
//! | `fsm_walk` | events and time for one session | the promises of the session room |
//! | `engine` | what one of two peers of a speaker says | the other peer never notices |
//!
//! Inputs are read by [`Input`], so that a small change of an input is a small change of what
//! happens. Seeds are in `corpus`; findings that were fixed stay there.

mod engine;
mod input;
mod session;
mod wire;

pub use engine::engine;
pub use input::Input;
pub use session::fsm_walk;
pub use wire::{decode_message, decode_update, roundtrip};
