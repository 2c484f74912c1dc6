//! Maps the tape's time to the replay's.

use std::time::Duration;

/// Maximum step of a recorder's clock backwards when it is corrected, or because several
/// connections are written one after the other.
const SMALL_STEP_NS: u64 = 1_000_000_000;

/// When each record is due, counted from the replay's start. The first record is due immediately.
#[derive(Debug)]
pub(crate) struct Schedule {
    times: f64,
    longest_pause_ns: u64,
    /// The latest time of the tape so far.
    latest_unix_ns: Option<u64>,
    elapsed_ns: u64,
    /// When the speed last changed, counted from the replay's start.
    changed_after: Duration,
    /// The tape's time that had elapsed then.
    changed_at_ns: u64,
}

impl Schedule {
    pub(crate) fn new(times: f64, longest_pause: Option<Duration>) -> Self {
        let longest =
            longest_pause.map(|pause| u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        let longest_pause_ns = longest.unwrap_or(u64::MAX);
        Self {
            times,
            longest_pause_ns,
            latest_unix_ns: None,
            elapsed_ns: 0,
            changed_after: Duration::ZERO,
            changed_at_ns: 0,
        }
    }

    /// Changes the speed after the replay has run for this long.
    pub(crate) fn set_speed(&mut self, times: f64, after: Duration) {
        let ran = after.saturating_sub(self.changed_after);
        // A cast of a float saturates.
        let passed_ns = (ran.as_secs_f64() * self.times * 1e9) as u64;
        self.changed_at_ns = self.changed_at_ns.saturating_add(passed_ns);
        (self.times, self.changed_after) = (times, after);
    }

    /// Returns when the next record is due, given its receive time. If the recorder's clock stepped
    /// back by a second or less, records follow immediately until it has caught up; if it was set
    /// back further, the pace continues from there. It does so also if the tape `is_cut` between
    /// the latest record and the next.
    pub(crate) fn due(
        &mut self,
        recv_unix_ns: u64,
        is_cut: impl FnOnce(u64, u64) -> bool,
    ) -> Duration {
        let latest = self.latest_unix_ns.unwrap_or(recv_unix_ns);
        let step = match recv_unix_ns.saturating_sub(latest).min(self.longest_pause_ns) {
            step if step > 0 && is_cut(latest, recv_unix_ns) => 0,
            step => step,
        };
        let was_set_back = latest.saturating_sub(recv_unix_ns) > SMALL_STEP_NS;
        self.latest_unix_ns =
            Some(if was_set_back { recv_unix_ns } else { latest.max(recv_unix_ns) });
        self.elapsed_ns = self.elapsed_ns.saturating_add(step);
        self.last_due()
    }

    /// Returns when the record last asked for is due, by the present speed.
    pub(crate) fn last_due(&self) -> Duration {
        let left_ns = self.elapsed_ns.saturating_sub(self.changed_at_ns);
        // The range of speeds keeps the quotient within what a duration holds; a longer replay
        // never ends in practice.
        let left = Duration::try_from_secs_f64(left_ns as f64 / 1e9 / self.times);
        self.changed_after.saturating_add(left.unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn dues(times: f64, longest_pause: Option<u64>, at: &[u64]) -> Vec<Duration> {
        let mut schedule = Schedule::new(times, longest_pause.map(Duration::from_millis));
        at.iter().map(|&at| schedule.due(at * MS, |_, _| false)).collect()
    }

    fn millis(times: &[u64]) -> Vec<Duration> {
        times.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn times_between_records_are_divided_by_the_speed() {
        let at = [5_000, 5_000, 5_400, 9_000];
        assert_eq!(dues(1.0, None, &at), millis(&[0, 0, 400, 4_000]));
        assert_eq!(dues(4.0, None, &at), millis(&[0, 0, 100, 1_000]));
        assert_eq!(dues(0.5, None, &at), millis(&[0, 0, 800, 8_000]));
    }

    #[test]
    fn a_clock_that_steps_back_neither_waits_nor_hurries_for_ever() {
        let at = [1_000, 2_000, 1_500, 1_900, 2_100];
        assert_eq!(dues(1.0, None, &at), millis(&[0, 1_000, 1_000, 1_000, 1_100]));
    }

    #[test]
    fn a_clock_that_was_set_back_by_an_hour_does_not_hurry_that_hour() {
        let at = [3_600_000, 3_601_000, 1_000, 2_000, 5_000];
        assert_eq!(dues(1.0, None, &at), millis(&[0, 1_000, 1_000, 2_000, 5_000]));
    }

    #[test]
    fn long_pauses_are_shortened() {
        let at = [0, 100, 60_000, 60_100];
        assert_eq!(dues(1.0, Some(1_000), &at), millis(&[0, 100, 1_100, 1_200]));
        assert_eq!(dues(10.0, Some(1_000), &at), millis(&[0, 10, 110, 120]));
    }

    #[test]
    fn a_change_of_speed_counts_from_then_on() {
        let mut schedule = Schedule::new(1.0, None);
        schedule.due(0, |_, _| false);
        assert_eq!(schedule.due(10_000 * MS, |_, _| false), Duration::from_secs(10));
        // After 4 of the 10 seconds, 6 are left, which take 1.5 seconds.
        schedule.set_speed(4.0, Duration::from_secs(4));
        assert_eq!(schedule.last_due(), Duration::from_millis(5_500));
        assert_eq!(schedule.due(14_000 * MS, |_, _| false), Duration::from_millis(6_500));
        schedule.set_speed(0.5, Duration::from_millis(5_500));
        assert_eq!(schedule.last_due(), Duration::from_millis(13_500));
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut schedule = Schedule::new(1e-3, None);
        let mut due = |at| schedule.due(at, |_, _| false);
        due(0);
        assert!(due(u64::MAX) > Duration::from_secs(1 << 40));
        assert!(due(u64::MAX) > Duration::from_secs(1 << 40));
        schedule.set_speed(1e6, Duration::MAX);
        assert_eq!(schedule.last_due(), Duration::MAX);
    }

    #[test]
    fn what_is_cut_from_the_tape_takes_no_time() {
        let mut schedule = Schedule::new(1.0, None);
        let at = [0, 100, 60_000, 60_100];
        let dues =
            at.map(|at| schedule.due(at * MS, |from, to| from < 1_000 * MS && to > 1_000 * MS));
        assert_eq!(dues.to_vec(), millis(&[0, 100, 100, 200]));
    }
}
