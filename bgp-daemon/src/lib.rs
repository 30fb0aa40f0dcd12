//! The daemons: configuration, admin socket, logs and signals around an engine.
//!
//! | room | what it does |
//! |---|---|
//! | [`config`] | a TOML file to a valid configuration, and back |
//! | [`host`] | what only the host can tell |
//! | [`log`] | log lines that nobody waits for |
//! | [`admin`] | JSON over a local socket: questions and orders |
//! | [`ctl`] | `bgpctl`, the client of that |
//! | [`node`] | the conductor: engine, rules of a node and kernel joined |
//! | [`run`] | all of it put together, from the arguments to the end |
//!
//! It knows files, text, signals and people. What a message means, what a route is worth and how a
//! socket is read it leaves to `bgp-core` and `bgp-io`. A program of ours is a `main` that reads
//! its arguments into [`run::Options`] and calls [`run::run`].

pub mod admin;
pub mod config;
pub mod ctl;
pub mod host;
pub mod log;
pub mod node;
pub mod run;
