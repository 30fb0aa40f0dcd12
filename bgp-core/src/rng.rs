//! A small seeded generator for jitter: SplitMix64 (Steele, Lea, Flood 2014).
//!
//! Not for secrets. One seed gives one sequence, on every machine, for ever: recorded runs and
//! simulations depend on it.

use std::time::Duration;

/// A deterministic source of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator that repeats its sequence for equal seeds.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // The bias of the modulus is far below what jitter can notice.
        self.next_u64() % bound
    }

    /// `span` multiplied by a factor from 0.75 to 1.0 (RFC 4271 §10).
    pub fn jitter(&mut self, span: Duration) -> Duration {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros - self.below(micros / 4 + 1))
    }

    /// A generator of its own for a part of the whole, so that one part's draws do not shift
    /// another's.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sequence() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn jitter_stays_between_three_quarters_and_one() {
        let mut rng = Rng::new(1);
        let span = Duration::from_secs(100);
        for _ in 0..1_000 {
            let jittered = rng.jitter(span);
            assert!(jittered >= Duration::from_secs(75) && jittered <= span);
        }
    }
}
