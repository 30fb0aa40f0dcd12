//! Looking for a peer that was there a moment ago.
//!
//! A session that was up and is lost to a restart, a crash or a partition is wanted back as soon as
//! the peer can be reached, so for [`REDIAL_FOR`] the dialer tries every [`REDIAL`], giving up an
//! attempt without an answer for the next one; an attempt that the network swallowed would
//! otherwise wait for the kernel's retransmission, a second and more after the way is clear. After
//! that, and for peers that never were up, the configured connect retry time holds.
//!
//! A peer that said Cease is there and does not want us now: it is asked at most once a second. A
//! failure of the protocol ends the search: it is spaced by the backoff of [`timers`](super::timers).

use super::event::DownReason;
use super::timers::Retry;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::{Cease, NotificationError};
use std::mem::{self, Discriminant};

/// Pause between attempts, less up to a quarter at random; also how long an attempt may go without
/// an answer, unless the way to the peer is known to take longer.
pub const REDIAL: Duration = Duration::from_millis(250);

/// How long a lost peer is looked for so.
pub const REDIAL_FOR: Duration = Duration::from_secs(60);

/// Pause between attempts at a peer that said Cease: with jitter no less than a second.
pub const REDIAL_AFTER_CEASE: Duration = Duration::from_millis(1_334);

/// The first attempt comes at most this much after the loss: at random, because the other end may
/// dial in the same moment.
pub const FIRST_REDIAL: Duration = Duration::from_millis(20);

/// A search for a lost peer.
#[derive(Debug)]
pub(super) struct Redial {
    until: Instant,
    every: Duration,
    begun: bool,
    /// The kind of the last failure that was told: one line for each, not four a second.
    told: Option<Discriminant<DownReason>>,
}

impl Redial {
    /// A search that begins with the loss.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            until: now + REDIAL_FOR,
            every: REDIAL,
            begun: false,
            told: None,
        }
    }

    /// Takes note of what ended a session or an attempt; false when that ends the search too.
    pub(super) fn goes_on_after(&mut self, now: Instant, reason: &DownReason) -> bool {
        if is_refusal(reason) {
            self.every = REDIAL_AFTER_CEASE;
            self.begun = true;
        }
        // Whether it was up makes a difference between soon and later alone.
        now < self.until && reason.retry(true) != Retry::Backoff
    }

    /// How long the next attempt is away.
    pub(super) fn pause(&mut self, rng: &mut Rng) -> Duration {
        if mem::replace(&mut self.begun, true) {
            return rng.jitter(self.every);
        }
        let most = u64::try_from(FIRST_REDIAL.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(rng.below(most))
    }

    /// How long to wait for the answer to an attempt, or `None` when the search is over.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        (now < self.until).then_some(self.every)
    }

    /// Whether a failure is of another kind than the last one that was told.
    pub(super) fn is_news(&mut self, reason: &DownReason) -> bool {
        let kind = mem::discriminant(reason);
        self.told.replace(kind) != Some(kind)
    }
}

/// Whether they told us that they do not want the session now. The end of a second connection is
/// no such word.
fn is_refusal(reason: &DownReason) -> bool {
    let DownReason::NotificationReceived(notification) = reason else {
        return false;
    };
    let collision = NotificationError::Cease(Cease::ConnectionCollisionResolution);
    matches!(notification.error, NotificationError::Cease(_)) && notification.error != collision
}
