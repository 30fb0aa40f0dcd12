//! Configuration, admin socket, logs and signals of the BGP daemons.

pub mod config;
pub mod host;
pub mod log;
