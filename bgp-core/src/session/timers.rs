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
