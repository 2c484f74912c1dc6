//! Decides how long to wait before the next attempt.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::config::{Backoff, Reconnect};

/// The delays between attempts.
///
/// Failures are counted from the last stable connection; a connection that breaks immediately
/// counts as another failure.
#[derive(Debug)]
pub(crate) struct Delays {
    base: Duration,
    cap: Duration,
    backoff: Backoff,
    failures: u32,
    random: fastrand::Rng,
}

impl Delays {
    pub(crate) fn new(reconnect: &Reconnect) -> Self {
        let Reconnect { delay: base, delay_cap, backoff, jitter_seed, .. } = *reconnect;
        let random = fastrand::Rng::with_seed(jitter_seed);
        Self { base, cap: delay_cap.max(base), backoff, failures: 0, random }
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

    /// Returns the delay before the next attempt.
    pub(crate) fn delay(&mut self) -> Duration {
        self.around_step().unwrap_or_else(|| self.step(2.0).mul_f64(self.random.f64()))
    }

    /// Returns the delay before the next attempt to connect to a server that reported overload.
    pub(crate) fn patient_delay(&mut self) -> Duration {
        self.around_step().unwrap_or_else(|| self.upper_half(self.step(2.0)))
    }

    /// Returns the delay after a refusal that an early attempt cannot overcome.
    pub(crate) fn slow_delay(&mut self) -> Duration {
        self.around_step().unwrap_or_else(|| self.upper_half(self.cap))
    }

    fn upper_half(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(0.5 + self.random.f64() / 2.0)
    }

    /// Returns a delay close to the step, if the delays are to be so.
    fn around_step(&mut self) -> Option<Duration> {
        let Backoff::Around { factor, deviation } = self.backoff else { return None };
        let step = self.step(factor);
        // Box and Muller's normal deviate; the argument of the logarithm is never zero.
        let (uniform, angle) = (1.0 - self.random.f64(), TAU * self.random.f64());
        let normal = (-2.0 * uniform.ln()).sqrt() * angle.cos();
        let delay = step.as_secs_f64() * (1.0 + deviation * normal);
        Some(Duration::try_from_secs_f64(delay.max(0.0)).unwrap_or(step))
    }

    fn step(&self, factor: f64) -> Duration {
        let steps = i32::try_from(self.failures.max(1) - 1).unwrap_or(i32::MAX);
        let step = self.base.as_secs_f64() * factor.powi(steps);
        // Infinite after a thousand failures, and equal to the cap long before.
        Duration::try_from_secs_f64(step).map_or(self.cap, |step| step.min(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(delay: Duration, delay_cap: Duration, jitter_seed: u64) -> Delays {
        Delays::new(&Reconnect { delay, delay_cap, jitter_seed, ..Reconnect::default() })
    }

    #[test]
    fn delays_grow_to_the_cap_and_start_over_after_a_reset() {
        let (base, cap) = (Duration::from_secs(2), Duration::from_secs(30));
        let mut longest = [Duration::ZERO; 8];
        for seed in 0..500 {
            let mut delays = self::delays(base, cap, seed);
            for longest in &mut longest {
                delays.fail();
                *longest = delays.delay().max(*longest);
            }
            delays.reset();
            delays.fail();
            assert!(delays.delay() <= base);
        }
        let limits = [2, 4, 8, 16, 30, 30, 30, 30].map(Duration::from_secs);
        for (longest, limit) in longest.into_iter().zip(limits) {
            assert!(longest <= limit && longest > limit.mul_f64(0.9), "{longest:?} of {limit:?}");
        }
    }

    #[test]
    fn delays_never_exceed_the_cap() {
        let cap = Duration::from_secs(30);
        let mut delays = self::delays(Duration::from_secs(2), cap, 1);
        for _ in 0..200 {
            delays.fail();
            assert!(delays.delay() <= cap);
            assert!(delays.slow_delay() >= cap / 2 && delays.slow_delay() <= cap);
        }
        assert_eq!(delays.failures(), 200);
    }

    #[test]
    fn a_base_above_the_cap_raises_the_cap() {
        let mut delays = self::delays(Duration::from_secs(60), Duration::from_secs(30), 1);
        let longest = (0..1_000).map(|_| delays.delay()).max();
        assert!(longest > Some(Duration::from_secs(50)));
    }

    #[test]
    fn delays_around_a_step_are_those_of_the_python_client() {
        // kiteconnect 5.2.2 on Twisted 26.10, measured: 1, 2.7, 7.4, 20, 55, 60, 60 s, give or take
        // an eighth; the same after every kind of failure.
        let expected = [1.0, 2.72, 7.39, 20.09, 54.6, 60.0, 60.0];
        let backoff = Backoff::Around { factor: std::f64::consts::E, deviation: 0.12 };
        let (delay, delay_cap) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut sums = [[0.0; 2]; 7];
        const SEEDS: u16 = 2_000;
        for jitter_seed in 0..u64::from(SEEDS) {
            let reconnect =
                Reconnect { delay, delay_cap, backoff, jitter_seed, ..Reconnect::default() };
            let mut delays = Delays::new(&reconnect);
            for (number, [sum, squares]) in sums.iter_mut().enumerate() {
                delays.fail();
                let delay = match number % 3 {
                    0 => delays.delay(),
                    1 => delays.patient_delay(),
                    _ => delays.slow_delay(),
                };
                *sum += delay.as_secs_f64();
                *squares += delay.as_secs_f64().powi(2);
            }
        }
        for ([sum, squares], expected) in sums.into_iter().zip(expected) {
            let mean = sum / f64::from(SEEDS);
            let deviation = (squares / f64::from(SEEDS) - mean * mean).sqrt() / mean;
            assert!((mean / expected - 1.0).abs() < 0.02, "{mean} of {expected}");
            assert!((0.11..0.13).contains(&deviation), "{deviation}");
        }
    }

    #[test]
    fn extreme_settings_give_a_delay() {
        let extremes = [(1.0, 0.0), (1.0, 1.0), (1_000.0, 1.0)];
        for (factor, deviation) in extremes {
            let backoff = Backoff::Around { factor, deviation };
            let delay_cap = Duration::from_secs(3_600);
            let mut delays = Delays::new(&Reconnect { backoff, delay_cap, ..Reconnect::default() });
            for _ in 0..10_000 {
                delays.fail();
                assert!(delays.delay() <= delay_cap * 10);
            }
            delays.failures = u32::MAX;
            assert!(delays.delay() <= delay_cap * 10);
        }
    }
}
