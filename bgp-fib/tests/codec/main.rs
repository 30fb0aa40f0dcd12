//! The netlink codec: against another implementation, against octets that the kernel was seen to
//! take, and against octets that nobody should ever send.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod golden;
mod hostile;
mod oracle;
mod values;
