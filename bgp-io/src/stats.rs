//! What the edge counts about itself.

use std::time::Duration;

/// Upper bounds of the first buckets of [`Stats::turns`]; the last bucket is everything longer.
pub const TURN_BOUNDS: [Duration; 7] = [
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
];

/// Counters of one engine since it started, as of the end of its last turn.
///
/// Turns are measured with the real clock, whatever the runtime's clock is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// How many turns took how long: one bucket for each of [`TURN_BOUNDS`], and one for longer
    /// ones.
    pub turns: [u64; TURN_BOUNDS.len() + 1],
    /// The longest turn so far.
    pub longest_turn: Duration,
    /// Turns that began so late that timers waited for what had arrived meanwhile.
    pub stalls: u64,
    /// Transport connections right now, those being opened and closed included.
    pub connections: usize,
    /// Accepted connections right now whose peer has no session yet.
    pub opening: usize,
    /// Accepted connections right now that wait for one of those to be done.
    pub waiting: usize,
    /// Octets right now that were encoded for a connection and not yet taken by its socket.
    pub octets_held: usize,
    /// Connections accepted and taken as a peer's.
    pub accepted: u64,
    /// Connections accepted and turned away, as not a peer's.
    pub refused: u64,
    /// Connections that had gone, or had to go for newer ones, before their turn came.
    pub unserved: u64,
    /// Connections closed because their session was too long in coming while others waited.
    pub evicted: u64,
    /// Times that accepting paused because descriptors or memory had run out.
    pub accept_pauses: u64,
    /// Attempts to connect that we made.
    pub dialled: u64,
    /// Attempts that failed or took too long.
    pub dial_failures: u64,
    /// Octets read.
    pub octets_read: u64,
    /// Octets written.
    pub octets_written: u64,
    /// Times that a connection took no more although there was more to write.
    pub blocked: u64,
    /// Connections whose last words could not be delivered in time.
    pub cut_short: u64,
}

impl Stats {
    /// Enters one turn.
    pub(crate) fn turn(&mut self, took: Duration) {
        let bucket = TURN_BOUNDS.partition_point(|bound| *bound < took);
        if let Some(count) = self.turns.get_mut(bucket) {
            *count += 1;
        }
        self.longest_turn = self.longest_turn.max(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_fall_into_their_buckets() {
        let mut stats = Stats::default();
        for micros in [100, 101, 10_000, 5_000_000] {
            stats.turn(Duration::from_micros(micros));
        }
        assert_eq!(stats.turns, [1, 1, 0, 0, 1, 0, 0, 1]);
        assert_eq!(stats.longest_turn, Duration::from_secs(5));
    }
}
