//! How many lines of a kind a log takes: a burst is counted, and the count is told.

use std::time::{Duration, Instant};

/// Lines of one kind are counted for so long; then the count of those that were not written is
/// told.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// Lets some lines through in each [`WINDOW`] and counts the rest.
#[derive(Debug)]
pub(super) struct Throttle {
    most: u32,
    begun: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Throttle {
    /// One that lets `most` lines through.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            begun: None,
            told: 0,
            untold: 0,
        }
    }

    /// Whether a line may be written now. Ask [`Throttle::overdue`] before.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        if self.begun.is_none_or(|begun| now >= begun + WINDOW) {
            self.begun = Some(now);
            self.told = 0;
        }
        let admitted = self.told < self.most;
        if admitted {
            self.told += 1;
        } else {
            self.untold += 1;
        }
        admitted
    }

    /// When there will be a count to tell; `None`: every line was written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.begun
            .filter(|_| self.untold > 0)
            .map(|begun| begun + WINDOW)
    }

    /// How many lines were not written in a window that is over.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<u64> {
        self.due().filter(|due| *due <= now)?;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_the_count_is_told() {
        let mut throttle = Throttle::new(10);
        let begin = Instant::now();
        let told = (0..1_000).filter(|_| throttle.admit(begin)).count();
        assert_eq!(told, 10);
        assert_eq!(throttle.due(), Some(begin + WINDOW));
        assert_eq!(throttle.overdue(begin), None);
        assert_eq!(throttle.overdue(begin + WINDOW), Some(990));
        assert_eq!(throttle.due(), None);
        assert!(throttle.admit(begin + WINDOW));
        assert_eq!(throttle.due(), None);
    }

    #[test]
    fn few_lines_are_all_written() {
        let mut throttle = Throttle::new(10);
        let begin = Instant::now();
        for second in 0..100 {
            let now = begin + WINDOW * second;
            assert!((0..10).all(|_| throttle.admit(now)));
            assert_eq!(throttle.overdue(now), None);
        }
    }
}
