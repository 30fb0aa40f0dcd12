//! The admin API.

pub mod socket;
pub mod view;
