//! The BGP engine as a value.
//!
//! This crate knows bytes, the protocol, routes and policy, and time as an argument. It opens no
//! socket, starts no thread, reads no clock and no random source: the same inputs with the same
//! seed give the same output bytes. That is what makes whole-cluster simulation, fuzzing and fast
//! tests possible, and what lets another agent embed it in any runtime.
//!
//! # Rooms, in the order in which they may use each other
//!
//! | room | what it holds |
//! |---|---|
//! | [`types`], [`time`], [`rng`], [`family`], [`prefix`], [`complaint`] | the nouns |
//! | [`wire`] | messages to bytes and back, RFC 7606 verdicts |
//! | [`policy`] | accept, reject and change routes |
//! | [`config`] | what an operator asked for, typed and valid |
//! | [`session`] | FSM, negotiation, collision, timers of one peer |
//! | [`rib`] | Adj-RIB-In, decision process, Loc-RIB, update groups |
//! | [`speaker`] | the router: the only room that knows sessions and the RIB |
//!
//! `session` and `rib` never use each other. A test in `xtask` checks these arrows.

pub mod complaint;
pub mod config;
pub mod family;
pub mod policy;
pub mod prefix;
pub mod rib;
pub mod rng;
pub mod session;
pub mod speaker;
pub mod time;
pub mod types;
pub mod wire;
