//! The router under test as seen on the wire.
//!
//! Each file holds tables: a row is a name, what is sent and what RFC so-and-so demands to come
//! back; one function per table plays the rows against one running router and reports every row
//! that went wrong. Messages are written and read by [`bgp_lab::octets`], which shares nothing
//! with the codec under test.

mod decision;
mod exchange;
mod reflection;
mod restart;
mod rfc7606;
mod robustness;
mod scene;
mod session;
