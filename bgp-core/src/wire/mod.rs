//! Messages to bytes and back: a codec that takes a context and gives a verdict.
//!
//! What a byte means depends on what the session negotiated, so every decoder takes a
//! [`Context`] and every encoder an [`EncodeContext`]; nothing here remembers anything. Framing
//! ([`frame`]) and decoding are pure functions that an I/O thread may run.
//!
//! # Verdicts
//!
//! - A message that cannot be read at all gives a [`DecodeError`]; one exhaustive match turns it
//!   into the NOTIFICATION that RFC 4271 §6 demands.
//! - A fault in a path attribute costs what the attribute table says (RFC 7606): the attribute is
//!   discarded, the UPDATE is treated as a withdraw, or the session is reset. The first two are
//!   not errors: the decoded [`Update`] already has its NLRI moved to the withdrawn side and
//!   carries [`AttributeFault`]s for the log.
//!
//! # Invariants
//!
//! - No input panics, and no decode allocates more than a small multiple of the message it reads.
//! - `decode(encode(m)) == m` for every message, and truncation at any byte is an error.
//! - Nothing but this room knows offsets, flags and type codes.
//!
//! RFC 4271 §4 and §6, 2918, 4360, 4456, 4724, 4760, 5065, 5492, 6793, 6608, 7313, 7606, 7607,
//! 7911, 8050, 8092, 8203, 8538, 8654, 8950, 9003, 9072, 9234, 9494.

#![deny(clippy::indexing_slicing)]

mod as_path;
mod attribute;
mod context;
mod message;
mod nlri;
mod notification;
mod open;
mod reader;
mod sink;
mod types;
mod update;
mod write;

pub use as_path::Segment;
pub use context::{Context, EncodeContext, HEADER_LEN, MAX_EXTENDED_LEN, MAX_LEN};
pub use message::{EncodeError, Frame, MessageKind, decode, encode_message, frame};
pub use notification::{DecodeError, MAX_SHUTDOWN_COMMUNICATION};
pub use open::encode_capabilities;
pub use types::*;
pub use write::{announce, announcement_len, end_of_rib, withdraw};
