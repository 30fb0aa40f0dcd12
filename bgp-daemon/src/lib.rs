//! Configuration, admin socket, logs and signals of the BGP daemons.

pub mod admin;
pub mod config;
pub mod ctl;
pub mod host;
pub mod log;
