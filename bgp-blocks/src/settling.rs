//! When what nobody has confirmed may go: routes that a predecessor left in the kernel, and routes
//! that were held because all reflectors were gone.
//!
//! Too early, and a working route is taken away because the peer that knows it had not finished;
//! too late, and packets go to a node that is not there any more. So:
//!
//! - as long as nobody is up, never: nobody has told us anything;
//! - peers that are up and say End-of-RIB (RFC 4724) are waited for;
//! - those that are up and say none have told all when they have been quiet for [`QUIET`];
//! - a configured peer that is not up is given [`ABSENT`] since the last news, not more: one dead
//!   reflector of two must not hold up a whole restart;
//! - nothing holds it up for longer than [`LONGEST`] since the first peer came up.

use bgp_core::speaker::Heard;
use bgp_core::time::Instant;
use std::time::Duration;

/// How long peers that do not say End-of-RIB must have been quiet.
pub const QUIET: Duration = Duration::from_secs(2);
/// How long peers that are not up are waited for, since the last news of the others.
pub const ABSENT: Duration = Duration::from_secs(3);
/// Since the first peer came up, nothing holds it up for longer. A peer that has not told all by
/// then loses what it has not told, until it does.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Decides once, and again after [`Settling::begin`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settling {
    /// Since when somebody has been up without a pause.
    up_since: Option<Instant>,
    done: bool,
}

/// What [`Settling::judge`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nobody is up: ask again when somebody is.
    Nobody,
    /// Not yet: ask again then, or when something has changed.
    Until(Instant),
    /// Now. It is said once.
    Now,
    /// It has been said.
    Done,
}

impl Settling {
    /// Something is to be decided anew.
    pub fn begin(&mut self) {
        *self = Self::default();
    }

    /// Whether it has been decided.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What to do, given whose tables have been heard.
    pub fn judge(&mut self, now: Instant, heard: &Heard) -> Verdict {
        if self.done {
            return Verdict::Done;
        }
        if heard.established == 0 {
            self.up_since = None;
            return Verdict::Nobody;
        }
        let latest = *self.up_since.get_or_insert(now) + LONGEST;
        let since_news = |needed: bool, span: Duration| {
            let when = heard.last_news + span;
            if needed { when } else { Instant::ZERO }
        };
        let owed = if heard.owing > 0 {
            latest
        } else {
            Instant::ZERO
        };
        let until = owed
            .max(since_news(heard.unmarked > 0, QUIET))
            .max(since_news(heard.absent > 0, ABSENT))
            .min(latest);
        if until > now {
            return Verdict::Until(until);
        }
        self.done = true;
        Verdict::Now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(5_000_000);

    fn at(millis: u64) -> Instant {
        START + Duration::from_millis(millis)
    }

    /// Established, owing, unmarked, absent.
    fn heard(counts: [usize; 4], last_news: Instant) -> Heard {
        let [established, owing, unmarked, absent] = counts;
        Heard {
            established,
            owing,
            unmarked,
            absent,
            last_news,
        }
    }

    #[test]
    fn goes_at_once_when_all_have_said_their_end() {
        let mut settling = Settling::default();
        let nobody = heard([0, 0, 0, 2], at(0));
        assert_eq!(settling.judge(at(9_000), &nobody), Verdict::Nobody);
        let telling = heard([2, 1, 0, 0], at(9_100));
        let verdict = settling.judge(at(9_200), &telling);
        assert_eq!(verdict, Verdict::Until(at(9_200) + LONGEST));
        let told = heard([2, 0, 0, 0], at(9_300));
        assert_eq!(settling.judge(at(9_300), &told), Verdict::Now);
        assert_eq!(settling.judge(at(9_300), &told), Verdict::Done);
        assert!(settling.is_done());
        settling.begin();
        assert_eq!(settling.judge(at(9_400), &told), Verdict::Now);
    }

    #[test]
    fn one_dead_peer_costs_three_seconds_and_no_more() {
        let mut settling = Settling::default();
        let told = heard([1, 0, 0, 1], at(500));
        let until = at(500) + ABSENT;
        assert_eq!(settling.judge(at(600), &told), Verdict::Until(until));
        assert_eq!(settling.judge(until, &told), Verdict::Now);
    }

    #[test]
    fn peers_that_say_no_end_are_done_when_they_are_quiet() {
        let mut settling = Settling::default();
        let quiet = heard([2, 0, 1, 0], at(700));
        let until = at(700) + QUIET;
        assert_eq!(settling.judge(at(800), &quiet), Verdict::Until(until));
        let news = heard([2, 0, 1, 0], at(900));
        assert_eq!(
            settling.judge(until, &news),
            Verdict::Until(at(900) + QUIET)
        );
        assert_eq!(settling.judge(at(900) + QUIET, &news), Verdict::Now);
    }

    #[test]
    fn news_without_end_cannot_stretch_it() {
        let mut settling = Settling::default();
        let mut now = at(0);
        let mut verdict = settling.judge(now, &heard([1, 1, 1, 1], now));
        while verdict != Verdict::Now {
            now = now + Duration::from_millis(500);
            assert!(now <= at(0) + LONGEST);
            verdict = settling.judge(now, &heard([1, 1, 1, 1], now));
        }
        assert_eq!(now, at(0) + LONGEST);
    }

    #[test]
    fn who_comes_after_a_pause_gets_the_whole_time() {
        let mut settling = Settling::default();
        let _ = settling.judge(at(0), &heard([1, 1, 0, 0], at(0)));
        let _ = settling.judge(at(50_000), &heard([0, 0, 0, 1], at(50_000)));
        let verdict = settling.judge(at(55_000), &heard([1, 1, 0, 0], at(55_000)));
        assert_eq!(verdict, Verdict::Until(at(55_000) + LONGEST));
    }
}
