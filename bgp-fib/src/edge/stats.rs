//! What the edge counts. What was done with it the reconciler counts itself.

use std::time::Duration;

/// Counters since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Turns.
    pub turns: u64,
    /// The longest turn; a long one is one in which the kernel made us wait.
    pub longest_turn: Duration,
    /// Requests that were sent.
    pub requests: u64,
    /// Times that answers to requests were lost.
    pub answers_lost: u64,
    /// Notifications that were read and understood.
    pub notices: u64,
    /// Notifications of our own doings that were passed over.
    pub echoes: u64,
    /// Times that notifications were lost (ENOBUFS).
    pub overruns: u64,
    /// Dumps that were read to their end.
    pub dumps: u64,
    /// Of those, disturbed or failed ones.
    pub incomplete_dumps: u64,
}
