//! How much of something a VM may cause, over time: a token bucket.
//!
//! What comes through rings is slowed down by who reads it. What comes unasked, like a Worker's messages, costs its receiver a
//! turn of the event loop each, which others wait for: a VM that sends them without end is ended.

/// Counts what a VM causes.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    burst: f64,
    rate: f64,
    left: f64,
    at: f64,
}

/// More was caused than the budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more came at once than any VM has need of")]
pub struct Exceeded;

impl Budget {
    /// A full budget of `burst`, which is renewed at `rate` a second, at the time `now` in milliseconds.
    pub fn new(burst: f64, rate: f64, now: f64) -> Self {
        Self {
            burst,
            rate,
            left: burst,
            at: now,
        }
    }

    /// Spends `cost`.
    ///
    /// # Errors
    /// [`Exceeded`] when less is left.
    pub fn spend(&mut self, cost: f64, now: f64) -> Result<(), Exceeded> {
        let passed = (now - self.at).max(0.0);
        self.left = (self.left + passed * self.rate / 1000.0).min(self.burst);
        self.at = now;
        if self.left < cost {
            return Err(Exceeded);
        }
        self.left -= cost;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_goes_on_for_ever() {
        let mut budget = Budget::new(2_000.0, 500.0, 0.0);
        for tick in 0..100_000 {
            budget.spend(1.0, f64::from(tick) * 2.0).unwrap();
        }
    }

    #[test]
    fn a_flood_is_noticed_within_a_second() {
        let mut budget = Budget::new(2_000.0, 500.0, 0.0);
        // Ten a millisecond.
        let noticed = (0..10_000).position(|tick| budget.spend(1.0, f64::from(tick) / 10.0).is_err());
        assert!(noticed.is_some());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut budget = Budget::new(10.0, 500.0, 1e6);
        for _ in 0..10 {
            budget.spend(1.0, 0.0).unwrap();
        }
        assert_eq!(budget.spend(1.0, 0.0), Err(Exceeded));
    }
}
