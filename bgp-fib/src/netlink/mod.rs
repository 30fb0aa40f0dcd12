//! The kernel's routing tables over netlink: requests to octets, octets to notices, and sockets.
//!
//! # Layers
//!
//! | file | what it holds |
//! |---|---|
//! | `number.rs` | the numbers of the kernel's headers |
//! | `octets.rs` | bounded writing and reading of numbers and attributes |
//! | `route.rs`, `next_hop.rs`, `neighbour.rs`, `link.rs` | one kind of object each, both ways |
//! | `message.rs` | messages, answers, which object a message tells of |
//! | `batch.rs` | many requests in one send, and which of them an answer is for |
//! | `commands.rs`, `dumper.rs` | what goes through a socket for requests, and through one for dumps |
//! | `socket.rs` | the only room with unsafe code: the system calls |
//!
//! Everything but the sockets is pure. Reading never panics, whatever the octets; what we do not
//! know is skipped (attributes) or is no notice (messages), because each kernel adds new ones.
//!
//! # How the kernel behaves (measured on 6.18; the tests in `tests/` hold it to that)
//!
//! - It carries out requests inside `sendmsg`, one after the other, each judged alone. When
//!   `sendmsg` returns, all answers lie in the socket: errors for those that failed, whether an
//!   answer was asked for or not, and the answer to the last. So a [`Batch`] asks for one answer,
//!   at its end, and needs no waiting. 32 to 64 messages for each send give the full speed.
//! - Answers are dropped when the receive buffer is full (ENOBUFS).
//! - RTM_NEWROUTE with NLM_F_REPLACE replaces whatever has the same prefix, type of service,
//!   metric and table, whoever made it; RTM_DELROUTE with a protocol removes only what has that
//!   protocol, and must not name a gateway. With metric 0, it removes one of any metric.
//! - A datagram of a dump is as large as the reader's buffer, up to 32 KiB.
//! - A notification bears the port of the socket whose request caused it.
//! - RTM_DELLINK of family PF_BRIDGE says that a device has left a bridge, not that it is gone.
//! - IPv6 multipath routes are several in the kernel; when one hop is lost, RTM_DELROUTE names
//!   that hop alone, and the rest stays.

mod batch;
mod commands;
mod dumper;
mod link;
mod message;
mod neighbour;
mod next_hop;
mod number;
mod octets;
mod route;
mod socket;

pub use batch::{Batch, MAX_BATCH, MAX_BATCH_OCTETS};
pub use commands::Commands;
pub use dumper::{Dumped, Dumper};
pub use message::{
    DumpPart, Malformed, Message, Messages, Reply, TooLong, encode, encode_dump, notice, parts,
    reply,
};
pub use socket::{Inbox, MONITOR_BUFFER, Received, Socket};
