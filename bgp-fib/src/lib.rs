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
//! | `netlink` | requests to octets, octets to notices, and sockets (feature `edge`) |
//! | [`wanted`] | what the owner wants: routes, neighbours and forwarding entries, by device name |
//!
//! # Rules
//!
//! - **Level-triggered.** Start, a lost notification, a link event and a slow timer all lead to the
//!   same reconciliation of what is wanted with what is there.
//! - **Owner** = (table, route protocol number, metric). What is not ours is never touched.
//! - The pure part has no socket, clock, thread or random source; it knows nothing of BGP.

pub mod kernel;
#[cfg(feature = "edge")]
pub mod netlink;
pub mod wanted;
