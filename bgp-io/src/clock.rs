//! The clock: the runtime's monotonic time, told to the engine as microseconds.

use bgp_core::time::Instant;
use std::time::Duration;

/// Maps the runtime's clock to the engine's [`Instant`].
///
/// It reads [`tokio::time::Instant`], so a test that pauses the runtime's clock pauses the engine
/// too. Copies of a clock share its origin; a speaker must be created with the time of the clock
/// that later drives it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock whose [`Instant::ZERO`] is now.
    pub fn start() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        let micros = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(micros)
    }

    /// The runtime's name for a moment, for a sleep until then. Moments too far away for the
    /// runtime's clock are a century away.
    pub fn at(&self, moment: Instant) -> tokio::time::Instant {
        let span = moment.since(Instant::ZERO);
        self.origin
            .checked_add(span)
            .unwrap_or(self.origin + Duration::from_secs(100 * 365 * 86_400))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_the_runtimes_clock() {
        let clock = Clock::start();
        assert_eq!(clock.now(), Instant::ZERO);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(clock.now(), Instant::from_micros(1_500_000));
        assert_eq!(clock.at(clock.now()), tokio::time::Instant::now());
        assert!(clock.at(Instant::from_micros(u64::MAX)) > tokio::time::Instant::now());
    }
}
