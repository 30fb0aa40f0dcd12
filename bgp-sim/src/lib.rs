//! Whole clusters of BGP speakers in one thread, with virtual time, and a model to hold them to.
//!
//! The engine is a value without sockets, clocks or threads, so hundreds of real engines can be
//! run against each other, byte for byte what would go over the wire, through failures that take
//! minutes of virtual time and milliseconds of real time. One seed is one run: it gives the
//! cluster, the timetable of changes and faults, the latency of every segment, and so the same
//! bytes every time.
//!
//! ```text
//! seed ─► topology ─► scenario ──► world ───────────► verify ◄── model
//!                     (timetable)   speakers           tables     what RFC 4271 and
//!                                   network, queue     compared   RFC 4456 say
//! ```
//!
//! | room | what it holds |
//! |---|---|
//! | [`queue`], [`network`], [`trace`] | the clock, virtual TCP, the record of a run |
//! | [`topology`], [`scenario`] | who is there and what is done when, drawn from a seed |
//! | [`world`] | plays a scenario; what must hold after every step |
//! | [`model`], [`verify`] | what must be known in the end, by the book; the comparison |
//! | [`campaign`] | many seeds |
//!
//! # What it must not know
//!
//! How the engine works inside: speakers are told, polled and asked like any embedder's. Real
//! time, sockets and the order of a hash map: nothing but the seed decides what happens.

pub mod campaign;
pub mod model;
pub mod network;
pub mod queue;
pub mod scenario;
pub mod topology;
pub mod trace;
pub mod verify;
pub mod world;
