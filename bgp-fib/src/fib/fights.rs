//! Somebody else changes what is ours. The first repairs are immediate; one who does it again and
//! again meets ever slower repairs, so that two owners of one key do not keep the kernel busy.

use crate::kernel::RouteKey;
use bgp_core::rng::Rng;
use bgp_core::time::{Duration, Instant};
use std::collections::BTreeMap;

/// So many repairs within [`WINDOW`] are immediate: an operator who flushes a table twice, or a
/// script that tries us, is no opponent.
pub(crate) const PATIENCE: u32 = 8;
const WINDOW: Duration = Duration::from_secs(10);

/// An opponent who leaves the key in peace for so long is forgiven.
const CALM: Duration = Duration::from_secs(30);

/// At most so many keys are remembered. Those that drift while it is full are repaired at once,
/// every time.
const MAX_FIGHTS: usize = 65_536;

/// First and longest pause between tries, of fights and of refusals.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause after the `tries`th failure in a row (from 1): doubled each time, jittered.
pub(crate) fn pause(tries: u32, rng: &mut Rng) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    rng.jitter((FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE))
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fights {
    fights: BTreeMap<RouteKey, Fight>,
}

#[derive(Clone, Copy, Debug)]
struct Fight {
    /// Since when they are counted, and how many there were.
    since: Instant,
    times: u32,
    /// When the last repair was, or will be.
    last: Instant,
    /// To be told when it is as wanted again.
    open: bool,
}

/// What to do about a key that drifted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Repair {
    Now,
    /// Not before the time; so many times in a row.
    Later(Instant, u32),
}

impl Fights {
    pub(crate) fn drifted(&mut self, key: &RouteKey, now: Instant, rng: &mut Rng) -> Repair {
        if self.fights.len() >= MAX_FIGHTS {
            self.fights
                .retain(|_, fight| fight.open || now < fight.last + CALM);
        }
        if self.fights.len() >= MAX_FIGHTS && !self.fights.contains_key(key) {
            return Repair::Now;
        }
        let fight = self.fights.entry(*key).or_insert(Fight {
            since: now,
            times: 0,
            last: now,
            open: true,
        });
        let peace = if fight.times <= PATIENCE {
            fight.since + WINDOW
        } else {
            fight.last + CALM
        };
        if peace <= now {
            fight.since = now;
            fight.times = 0;
        }
        fight.times = fight.times.saturating_add(1);
        fight.open = true;
        fight.last = fight.last.max(now);
        if fight.times <= PATIENCE {
            return Repair::Now;
        }
        fight.last = now + pause(fight.times - PATIENCE, rng);
        Repair::Later(fight.last, fight.times)
    }

    /// `key` is as wanted; answers whether that is worth telling.
    pub(crate) fn healed(&mut self, key: &RouteKey) -> bool {
        let fight = self.fights.get_mut(key);
        fight.is_some_and(|fight| std::mem::take(&mut fight.open))
    }

    pub(crate) fn forget(&mut self, key: &RouteKey) {
        self.fights.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> RouteKey {
        RouteKey {
            table: number,
            prefix: "10.0.0.0/26".parse().unwrap(),
            metric: 32,
        }
    }

    #[test]
    fn repairs_become_slower_and_calm_forgives() {
        let mut fights = Fights::default();
        let mut rng = Rng::new(1);
        let mut now = Instant::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..20 {
            match fights.drifted(&key(1), now, &mut rng) {
                Repair::Now => pauses.push(Duration::ZERO),
                Repair::Later(until, _) => {
                    pauses.push(until.since(now));
                    now = until;
                }
            }
        }
        assert_eq!(pauses[..8], [Duration::ZERO; 8]);
        assert!(pauses[8] <= FIRST_PAUSE && pauses[8] >= FIRST_PAUSE * 3 / 4);
        assert!(pauses[19] >= LONGEST_PAUSE * 3 / 4 && pauses[19] <= LONGEST_PAUSE);
        assert!(fights.healed(&key(1)));
        assert!(!fights.healed(&key(1)));
        assert_eq!(fights.drifted(&key(1), now + CALM, &mut rng), Repair::Now);
    }

    #[test]
    fn now_and_then_is_no_fight() {
        let mut fights = Fights::default();
        let mut rng = Rng::new(1);
        for second in 0..100 {
            let now = Instant::ZERO + Duration::from_secs(2 * second);
            assert_eq!(fights.drifted(&key(1), now, &mut rng), Repair::Now);
        }
    }

    #[test]
    fn a_full_memory_repairs_at_once() {
        let mut fights = Fights::default();
        let mut rng = Rng::new(1);
        for number in 0..MAX_FIGHTS {
            let key = key(u32::try_from(number).unwrap());
            fights.drifted(&key, Instant::ZERO, &mut rng);
        }
        for _ in 0..20 {
            let repair = fights.drifted(&key(u32::MAX), Instant::ZERO, &mut rng);
            assert_eq!(repair, Repair::Now);
        }
        assert_eq!(fights.fights.len(), MAX_FIGHTS);
    }
}
