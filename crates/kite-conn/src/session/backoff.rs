//! Decides how long to wait before the next attempt.

use std::time::Duration;

use crate::config::Reconnect;

/// Exponential backoff with full jitter.
///
/// Failures are counted from the last stable connection; a connection that breaks immediately
/// counts as another failure.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    pub(crate) fn new(reconnect: &Reconnect) -> Self {
        let Reconnect { delay: base, delay_cap, jitter_seed, .. } = *reconnect;
        let random = fastrand::Rng::with_seed(jitter_seed);
        Self { base, cap: delay_cap.max(base), failures: 0, random }
    }

    /// Returns the number of failures since the last stable connection.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure.
    pub(crate) fn fail(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Resets the failure count, because the connection was stable or new credentials were set.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the delay before the next attempt, a random part of the exponential step, so that
    /// clients disconnected at the same time do not reconnect at the same time.
    pub(crate) fn delay(&mut self) -> Duration {
        self.step().mul_f64(self.random.f64())
    }

    /// Returns the delay before the next attempt to connect to a server that reported overload, at
    /// least half of the exponential step.
    pub(crate) fn patient_delay(&mut self) -> Duration {
        self.step().mul_f64(0.5 + self.random.f64() / 2.0)
    }

    fn step(&self) -> Duration {
        let step = self.base.saturating_mul(1 << (self.failures.max(1) - 1).min(20));
        step.min(self.cap)
    }

    /// Returns the delay after a refusal that an early retry cannot overcome, from half the cap to
    /// the cap.
    pub(crate) fn slow_delay(&mut self) -> Duration {
        self.cap.mul_f64(0.5 + self.random.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(delay: Duration, delay_cap: Duration, jitter_seed: u64) -> Backoff {
        Backoff::new(&Reconnect { delay, delay_cap, jitter_seed, ..Reconnect::default() })
    }

    #[test]
    fn delays_grow_to_the_cap_and_start_over_after_a_reset() {
        let (base, cap) = (Duration::from_secs(2), Duration::from_secs(30));
        let mut longest = [Duration::ZERO; 8];
        for seed in 0..500 {
            let mut backoff = self::backoff(base, cap, seed);
            for longest in &mut longest {
                backoff.fail();
                *longest = backoff.delay().max(*longest);
            }
            backoff.reset();
            backoff.fail();
            assert!(backoff.delay() <= base);
        }
        let limits = [2, 4, 8, 16, 30, 30, 30, 30].map(Duration::from_secs);
        for (longest, limit) in longest.into_iter().zip(limits) {
            assert!(longest <= limit && longest > limit.mul_f64(0.9), "{longest:?} of {limit:?}");
        }
    }

    #[test]
    fn delays_never_exceed_the_cap() {
        let cap = Duration::from_secs(30);
        let mut backoff = self::backoff(Duration::from_secs(2), cap, 1);
        for _ in 0..200 {
            backoff.fail();
            assert!(backoff.delay() <= cap);
            assert!(backoff.slow_delay() >= cap / 2 && backoff.slow_delay() <= cap);
        }
        assert_eq!(backoff.failures(), 200);
    }

    #[test]
    fn a_base_above_the_cap_raises_the_cap() {
        let mut backoff = self::backoff(Duration::from_secs(60), Duration::from_secs(30), 1);
        let longest = (0..1_000).map(|_| backoff.delay()).max();
        assert!(longest > Some(Duration::from_secs(50)));
    }
}
