//! Deadlines by name, and how long to wait before the next automatic start.
//!
//! | timer | runs | ends in |
//! |---|---|---|
//! | ConnectRetry | in Connect and Active of a peer that we dial | event 9: another attempt |
//! | Hold | from OpenSent on; [`LARGE_HOLD`] until a hold time is negotiated | event 10 |
//! | Keepalive | from OpenConfirm on, unless the hold time is zero | event 11 |
//! | SendHold | while the transport takes nothing of what waits (RFC 9687) | event 29 |
//! | IdleHold | in Idle, between a failure and the next automatic start | event 3 or 5 |

use super::event::DownReason;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use std::fmt;

/// Hold time of OpenSent, for want of a negotiated one (RFC 4271 §8.2.2: 4 minutes).
pub const LARGE_HOLD: Duration = Duration::from_secs(240);

/// Least time for which a transport may take nothing before the session ends (RFC 9687 §6: the
/// greater of 8 minutes and twice the hold time).
pub const MIN_SEND_HOLD: Duration = Duration::from_secs(480);

/// Pause after the first failure, and after the loss of a session that was up.
pub const MIN_IDLE_HOLD: Duration = Duration::from_secs(1);

/// Longest pause: it doubles with every failure up to here.
pub const MAX_IDLE_HOLD: Duration = Duration::from_secs(60);

/// A session that was up for this long has forgotten its earlier failures.
pub const STABLE_AFTER: Duration = Duration::from_secs(120);

/// Least pause between attempts to connect, however small the configured one is.
pub const MIN_CONNECT_RETRY: Duration = Duration::from_millis(100);

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TimerName {
    /// Give up this attempt to connect, or begin the next.
    ConnectRetry,
    /// The peer was silent too long.
    Hold,
    /// It is time for a KEEPALIVE.
    Keepalive,
    /// The transport took nothing for too long.
    SendHold,
    /// The pause after a failure is over.
    IdleHold,
}

impl TimerName {
    /// How many timers there are.
    pub const COUNT: usize = 5;

    /// Every timer, in the order in which those that expire together are handled.
    pub const ALL: [Self; Self::COUNT] = [
        Self::ConnectRetry,
        Self::Hold,
        Self::Keepalive,
        Self::SendHold,
        Self::IdleHold,
    ];
}

impl fmt::Display for TimerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectRetry => "connect-retry",
            Self::Hold => "hold",
            Self::Keepalive => "keepalive",
            Self::SendHold => "send-hold",
            Self::IdleHold => "idle-hold",
        })
    }
}

/// When each timer expires; `None` for those that do not run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Deadlines {
    at: [Option<Instant>; TimerName::COUNT],
}

impl Deadlines {
    /// When `timer` expires.
    pub fn get(&self, timer: TimerName) -> Option<Instant> {
        self.at.get(timer as usize).copied().flatten()
    }

    /// Starts `timer`, or moves it, or stops it with `None`.
    pub fn set(&mut self, timer: TimerName, at: Option<Instant>) {
        if let Some(slot) = self.at.get_mut(timer as usize) {
            *slot = at;
        }
    }

    /// The deadline that comes first.
    pub fn next(&self) -> Option<(Instant, TimerName)> {
        TimerName::ALL
            .into_iter()
            .filter_map(|timer| self.get(timer).map(|at| (at, timer)))
            .min()
    }

    /// Stops and names a timer that has expired at `now`, the earliest first.
    pub fn take_due(&mut self, now: Instant) -> Option<TimerName> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.set(timer, None);
        Some(timer)
    }
}

/// What a failure means for the next automatic start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The peer was there a moment ago and did nothing wrong: about a second.
    Soon,
    /// Nobody there, or they do not want us: the connect retry time.
    Later,
    /// One of the two speakers is wrong: 1 s, doubled with every such failure, up to 60 s.
    Backoff,
}

/// Spaces the automatic starts of one peer.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u8,
}

impl Backoff {
    /// The pause after `reason`, where `up_for` is how long the session had been up.
    pub fn pause(
        &mut self,
        reason: &DownReason,
        up_for: Option<Duration>,
        connect_retry: Duration,
        rng: &mut Rng,
    ) -> Duration {
        if up_for.is_some_and(|span| span >= STABLE_AFTER) {
            self.failures = 0;
        }
        let pause = match reason.retry(up_for.is_some()) {
            Retry::Soon => MIN_IDLE_HOLD.min(connect_retry),
            Retry::Later => connect_retry,
            Retry::Backoff => {
                let doubled = MIN_IDLE_HOLD.saturating_mul(1 << self.failures.min(6));
                self.failures = self.failures.saturating_add(1);
                doubled.min(MAX_IDLE_HOLD)
            }
        };
        rng.jitter(pause.max(MIN_CONNECT_RETRY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_secs(30);

    fn failure() -> DownReason {
        DownReason::UnexpectedMessage {
            state: super::super::State::Established,
            kind: crate::wire::MessageKind::Open,
        }
    }

    fn pause(backoff: &mut Backoff, reason: &DownReason, up_for: Option<u64>) -> Duration {
        let up_for = up_for.map(Duration::from_secs);
        backoff.pause(reason, up_for, RETRY, &mut Rng::new(1))
    }

    /// Pauses are jittered down to three quarters.
    fn about(pause: Duration, seconds: u64) -> bool {
        let most = Duration::from_secs(seconds);
        (most * 3 / 4..=most).contains(&pause)
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let pause = pause(&mut backoff, &failure(), None);
            assert!(about(pause, seconds), "{pause:?}, not {seconds} s");
        }
        for _ in 0..1_000 {
            assert!(about(pause(&mut backoff, &failure(), Some(1)), 60));
        }
    }

    #[test]
    fn no_pause_is_longer_than_a_minute() {
        let mut rng = Rng::new(7);
        let mut backoff = Backoff::default();
        for _ in 0..1_000 {
            let pause = backoff.pause(&failure(), None, RETRY, &mut rng);
            assert!(pause <= MAX_IDLE_HOLD, "{pause:?}");
        }
    }

    #[test]
    fn a_stable_session_makes_up_for_its_failures() {
        let mut backoff = Backoff::default();
        for _ in 0..9 {
            pause(&mut backoff, &failure(), Some(119));
        }
        assert!(about(pause(&mut backoff, &failure(), Some(119)), 60));
        assert!(about(pause(&mut backoff, &failure(), Some(120)), 1));
        assert!(about(pause(&mut backoff, &failure(), None), 2));
    }

    #[test]
    fn a_lost_peer_is_looked_for_soon_and_never_later_than_the_connect_retry_time() {
        let mut backoff = Backoff::default();
        let lost = DownReason::ConnectionClosed;
        assert!(about(pause(&mut backoff, &lost, Some(5)), 1));
        assert!(about(pause(&mut backoff, &lost, None), 30));
        let short = Duration::from_millis(400);
        let pause = backoff.pause(&lost, Some(RETRY), short, &mut Rng::new(1));
        assert!((short * 3 / 4..=short).contains(&pause));
        let none = backoff.pause(&lost, None, Duration::ZERO, &mut Rng::new(1));
        assert!(none >= MIN_CONNECT_RETRY * 3 / 4);
    }

    #[test]
    fn deadlines_come_in_order_and_once() {
        let at = Instant::from_micros;
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.next(), None);
        deadlines.set(TimerName::Keepalive, Some(at(10)));
        deadlines.set(TimerName::IdleHold, Some(at(5)));
        deadlines.set(TimerName::Hold, Some(at(10)));
        assert_eq!(deadlines.next(), Some((at(5), TimerName::IdleHold)));
        assert_eq!(deadlines.take_due(at(4)), None);
        let due: Vec<TimerName> = std::iter::from_fn(|| deadlines.take_due(at(10))).collect();
        assert_eq!(
            due,
            [TimerName::IdleHold, TimerName::Hold, TimerName::Keepalive]
        );
        assert_eq!(deadlines, Deadlines::default());
    }
}
