//! Kernel routes as they are wanted: a reconciler as a value, and the netlink edge that drives it.
//!
//! ```text
//!   wanted ──► Fib: desired | actual | pending ──► Request ──► netlink ──► kernel
//!              ▲  links, addresses, other routes                             │
//!              └────── Notice, Answer, dumps ◄───────────────────────────────┘
//! ```
//!
//! | room | what it holds |
//! |---|---|
//! | [`kernel`] | the words between the reconciler and the kernel: plain values |
//! | `edge` | the task that drives a [`Fib`] with sockets and a clock (feature `edge`) |
//! | `netlink` | requests to octets, octets to notices, and sockets (feature `edge`) |
//! | [`wanted`] | what the owner wants: routes, neighbours and forwarding entries, by device name |
//! | [`delta`] | desired, actual, and the work between them, for any kind of thing |
//! | [`links`] | the kernel's devices and addresses as we know them |
//! | [`foreign`] | the kernel's routes that are not ours |
//! | [`resolve`] | where an address is: next-hop tracking over the foreign routes |
//! | [`marks`] | what a dump may judge |
//! | [`pattern`] | names of devices with a star |
//! | [`errno`] | the kernel's error numbers, and what each means for a retry |
//! | [`fib`] | [`fib::Fib`], the reconciler |
//! | [`fake`] | a kernel made up, for tests and simulations |
//!
//! # Rules
//!
//! - **Level-triggered.** Start, a lost notification, a link event and a slow timer all lead to the
//!   same reconciliation of what is wanted with what is there.
//! - **Owner** = (table, route protocol number, metric). What is not ours is never touched.
//! - The pure part has no socket, clock, thread or random source; it knows nothing of BGP.

pub mod delta;
#[cfg(feature = "edge")]
pub mod edge;
pub mod errno;
pub mod fake;
pub mod fib;
pub mod foreign;
pub mod kernel;
pub mod links;
pub mod marks;
#[cfg(feature = "edge")]
pub mod netlink;
pub mod pattern;
pub mod resolve;
pub mod wanted;

#[cfg(feature = "edge")]
pub use edge::{Asker, Events, Gone, Handle, Sockets, spawn};
pub use fib::{
    Audit, Cause, Counts, Difference, Fib, FibEvent, MAX_PAGE, Page, RouteState, RouteStatus,
    Settings, Subject,
};
pub use resolve::Resolution;
