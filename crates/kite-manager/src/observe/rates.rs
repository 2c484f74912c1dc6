//! Turns counts into rates over the last second or two.
//!
//! The watchman takes a sample once a second. A reading is compared with a sample and changes
//! nothing, so that readers do not affect each other.

use std::time::Duration;

use kite_conn::{Stamp, Stats};

/// The time between two samples.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// The shortest time over which a rate is computed; right after a start rates are zero.
const SHORTEST: Duration = Duration::from_millis(200);

/// Rates per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct PerSecond {
    pub(crate) frames: f64,
    pub(crate) ticks: f64,
    pub(crate) bytes: f64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Stamp,
    frames: u64,
    ticks: u64,
    bytes: u64,
}

impl Sample {
    fn new(at: Stamp, stats: &Stats) -> Self {
        Self { at, frames: stats.frames_delivered, ticks: stats.ticks, bytes: stats.bytes }
    }
}

/// The last two samples of a connection's counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    latest: Sample,
    before: Sample,
}

impl Rates {
    /// Starts a run, with all counts at zero.
    pub(crate) fn from(start: Stamp) -> Self {
        let zero = Sample::new(start, &Stats::default());
        Self { latest: zero, before: zero }
    }

    /// Takes a sample.
    pub(crate) fn sample(&mut self, now: Stamp, stats: &Stats) {
        self.before = self.latest;
        self.latest = Sample::new(now, stats);
    }

    /// Returns the rates since the newest sample that is at least a second old, or else since the
    /// start.
    pub(crate) fn read(&self, now: Stamp, stats: &Stats) -> PerSecond {
        let is_old = now.since(self.latest.at) >= SAMPLE_EVERY;
        let from = if is_old { self.latest } else { self.before };
        let passed = now.since(from.at);
        if passed < SHORTEST {
            return PerSecond::default();
        }
        let rate = |now: u64, from: u64| now.saturating_sub(from) as f64 / passed.as_secs_f64();
        PerSecond {
            frames: rate(stats.frames_delivered, from.frames),
            ticks: rate(stats.ticks, from.ticks),
            bytes: rate(stats.bytes, from.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(frames: u64, ticks: u64) -> Stats {
        let mut stats = Stats::default();
        (stats.frames_delivered, stats.ticks, stats.bytes) = (frames, ticks, ticks * 186);
        stats
    }

    fn timeline() -> (Rates, impl Fn(u64) -> Stamp) {
        let start = Stamp::now();
        let after = move |millis| Stamp::at(start.to_instant() + Duration::from_millis(millis));
        (Rates::from(start), after)
    }

    #[test]
    fn a_rate_is_computed_over_a_long_enough_interval() {
        let (mut rates, after) = timeline();
        let frames =
            |rates: &Rates, millis, count| rates.read(after(millis), &stats(count, 0)).frames;
        assert_eq!(frames(&rates, 100, 50), 0.0);
        assert_eq!(frames(&rates, 500, 100), 200.0);
        rates.sample(after(1_000), &stats(300, 0));
        assert_eq!(frames(&rates, 1_500, 600), 400.0, "since the start: the sample is too recent");
        rates.sample(after(2_000), &stats(900, 0));
        assert_eq!(frames(&rates, 2_500, 900), 400.0, "since the previous sample");
        assert_eq!(frames(&rates, 3_000, 1_000), 100.0, "since the newest sample");
        assert_eq!(frames(&rates, 12_000, 1_900), 100.0, "no sample for ten seconds");
    }

    #[test]
    fn rates_are_differences_divided_by_elapsed_time() {
        let (mut rates, after) = timeline();
        rates.sample(after(1_000), &stats(100, 1_000));
        let read = rates.read(after(3_000), &stats(300, 13_000));
        assert_eq!((read.frames, read.ticks, read.bytes), (100.0, 6_000.0, 6_000.0 * 186.0));
    }

    #[test]
    fn reset_counters_and_a_stopped_clock_yield_a_rate_of_zero() {
        let (mut rates, after) = timeline();
        assert_eq!(rates.read(after(0), &stats(200, 2_000)).ticks, 0.0);
        rates.sample(after(1_000), &stats(100, 1_000));
        assert_eq!(rates.read(after(2_000), &stats(1, 1)).ticks, 0.0);
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let (mut rates, after) = timeline();
        rates.sample(after(1_000), &stats(100, 1_000));
        let alone = rates.read(after(2_400), &stats(240, 2_400));
        for millis in (1_000..2_400).step_by(10) {
            rates.read(after(millis), &stats(millis / 10, millis));
        }
        assert_eq!(rates.read(after(2_400), &stats(240, 2_400)), alone);
    }
}
