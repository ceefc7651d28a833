//! A token bucket: how much may pass, and when the next may.

use smoltcp::time::Instant;

/// Units of time in which a bucket reckons, a picosecond: so that even 64 bytes at 100 Gbit/s are a whole number of them.
const PER_MICRO: i128 = 1_000_000;
const PER_SECOND: i128 = 1_000_000 * PER_MICRO;

/// A bucket of tokens that fills at a steady rate, kept as the time at which it is full again (the generic cell rate
/// algorithm, ITU-T I.371).
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Tokens a second.
    rate: u64,
    /// Most tokens.
    burst: u64,
    /// When it is full.
    full: i128,
}

impl Bucket {
    /// A full bucket, which holds at most `burst` tokens and gets `rate` a second. Both are at least 1.
    pub(crate) fn new(rate: u64, burst: u64) -> Self {
        Self {
            rate: rate.max(1),
            burst: burst.max(1),
            full: i128::MIN / 2,
        }
    }

    /// Takes `tokens` now, if that many are there.
    pub(crate) fn take(&mut self, now: Instant, tokens: u64) -> bool {
        let passes = tokens <= self.burst && self.passes_at(now, tokens) <= now;
        if passes {
            self.spend(now, tokens);
        }
        passes
    }

    /// Takes `tokens` as soon as that many are there, after all that was taken before, and tells when that is. What is more
    /// than the bucket holds waits until it is full, and leaves it in debt.
    pub(crate) fn schedule(&mut self, now: Instant, tokens: u64) -> Instant {
        let at = self.passes_at(now, tokens);
        self.spend(at, tokens);
        at
    }

    fn passes_at(&self, now: Instant, tokens: u64) -> Instant {
        let spare = self.time_of(self.burst - tokens.min(self.burst));
        let at = (self.full - spare).max(picoseconds(now));
        // Rounded up: a microsecond too late passes no token too many.
        let micros = at.div_euclid(PER_MICRO) + i128::from(at.rem_euclid(PER_MICRO) > 0);
        Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn spend(&mut self, at: Instant, tokens: u64) {
        self.full = self.full.max(picoseconds(at)) + self.time_of(tokens);
    }

    /// How long so many tokens take to come.
    fn time_of(&self, tokens: u64) -> i128 {
        let product = i128::from(tokens) * PER_SECOND;
        let rate = i128::from(self.rate);
        product / rate + i128::from(product % rate > 0)
    }
}

fn picoseconds(at: Instant) -> i128 {
    i128::from(at.total_micros()) * PER_MICRO
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is asked for, and when: no window lets more pass than the burst and what the rate brings in it.
        #[test]
        fn no_window_lets_too_much_pass(
            rate in 1_u64..5_000_000, burst in 1_u64..100_000,
            asked in prop::collection::vec((0_i64..20_000, 1_u64..3_000), 1..60),
        ) {
            let mut bucket = Bucket::new(rate, burst);
            let mut now = 0;
            let mut passed: Vec<(i64, u64)> = Vec::new();
            for (pause, tokens) in asked {
                now += pause;
                let tokens = tokens.min(burst);
                let at = bucket.schedule(Instant::from_micros(now), tokens).total_micros();
                prop_assert!(at >= now);
                prop_assert!(passed.last().is_none_or(|(last, _)| *last <= at), "in order");
                passed.push((at, tokens));
            }
            for first in 0..passed.len() {
                let mut sum = 0;
                for (at, tokens) in &passed[first..] {
                    sum += u128::from(*tokens) * 1_000_000;
                    let window = (at - passed[first].0) as u128;
                    prop_assert!(sum <= u128::from(burst) * 1_000_000 + u128::from(rate) * window);
                }
            }
        }

        /// Taking is scheduling that does not wait.
        #[test]
        fn what_is_taken_was_there(rate in 1_u64..100_000, burst in 1_u64..1_000, tokens in 1_u64..1_000, wait in 0_i64..1_000_000) {
            let mut bucket = Bucket::new(rate, burst);
            let now = Instant::from_micros(0);
            prop_assert_eq!(bucket.take(now, tokens), tokens <= burst);
            let later = Instant::from_micros(wait);
            let due = bucket.clone().schedule(later, tokens);
            if tokens <= burst {
                prop_assert_eq!(bucket.take(later, tokens), due == later);
            }
        }
    }

    #[test]
    fn a_steady_stream_is_neither_faster_nor_slower_than_its_rate() {
        let mut bucket = Bucket::new(1_000_000 / 8, 1_500);
        let mut last = Instant::from_micros(0);
        for _ in 0..1_000 {
            last = bucket.schedule(Instant::from_micros(0), 1_500);
        }
        // 999 frames of 1500 bytes after the first, at 1 Mbit/s.
        assert_eq!(last.total_micros(), 999 * 12_000);
    }
}
