//! Decides when a recording reports failures to write, and how it goes on without a terminal.
//!
//! Performs no I/O; the caller passes in the time.

use std::time::{Duration, Instant};

use kite_tape::RecorderStats;

use crate::format::numbers::counted;
use crate::format::times;

/// How long writing has to work before it is said to. On a full disk a small block may still fit.
const SETTLED: Duration = Duration::from_secs(5);

/// When something is due that is repeated while it lasts.
#[derive(Debug)]
pub(crate) struct Progress {
    every: Duration,
    /// When the last regular line was due.
    line: Instant,
    failures: u64,
    /// Since when writing has failed.
    failing_since: Option<Instant>,
    /// Since when writing has worked after that.
    working_since: Option<Instant>,
    /// The last warning's cause, and when it was given.
    warned: Option<(String, Instant)>,
}

impl Progress {
    pub(crate) fn new(every: Duration, now: Instant) -> Self {
        Self {
            every,
            line: now,
            failures: 0,
            failing_since: None,
            working_since: None,
            warned: None,
        }
    }

    /// Returns whether a regular line is due.
    pub(crate) fn is_line_due(&mut self, now: Instant) -> bool {
        let is_due = now.duration_since(self.line) >= self.every;
        if is_due {
            self.line = now;
        }
        is_due
    }

    /// Returns the warning that is due: a new failure, one that lasts, or that it is over.
    pub(crate) fn warning(&mut self, stats: &RecorderStats, now: Instant) -> Option<String> {
        let is_new = stats.failures > std::mem::replace(&mut self.failures, stats.failures);
        let lost = || format!("{} lost so far", counted(stats.lost, "frame"));
        if !stats.is_failing && !is_new {
            let since = self.failing_since?;
            let until = *self.working_since.get_or_insert(now);
            if now.duration_since(until) < SETTLED {
                return None;
            }
            (self.failing_since, self.working_since, self.warned) = (None, None, None);
            let lasted = times::span(until.duration_since(since));
            return Some(format!("writing works again after {lasted}; {}", lost()));
        }
        self.working_since = None;
        let error = stats.last_error.clone().unwrap_or_default();
        let is_known = self
            .warned
            .as_ref()
            .is_some_and(|(text, at)| *text == error && now.duration_since(*at) < self.every);
        if stats.is_failing {
            self.failing_since.get_or_insert(now);
        }
        if is_known {
            return None;
        }
        self.warned = Some((error.clone(), now));
        Some(match stats.is_failing {
            true if stats.bytes_on_disk == 0 && stats.lost == 0 => {
                format!("{error}; nothing is being written; retrying each second")
            }
            true => format!("{error}; the recording goes on, {}", lost()),
            false => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn stats(failures: u64, is_failing: bool, error: &str) -> RecorderStats {
        let mut stats = RecorderStats::default();
        (stats.failures, stats.is_failing, stats.lost) = (failures, is_failing, failures);
        stats.last_error = Some(error.to_owned());
        stats
    }

    #[test]
    fn a_failure_is_reported_when_it_begins_every_minute_and_when_it_ends() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::new(MINUTE, start);
        assert_eq!(progress.warning(&RecorderStats::default(), after(1)), None);
        let full = |failures| stats(failures, true, "disk full");
        let first = "disk full; the recording goes on, 1 frame lost so far";
        assert_eq!(progress.warning(&full(1), after(2)).as_deref(), Some(first));
        for second in 3..62 {
            assert_eq!(progress.warning(&full(second), after(second)), None);
        }
        let still = "disk full; the recording goes on, 62 frames lost so far";
        assert_eq!(progress.warning(&full(62), after(62)).as_deref(), Some(still));
        let works = || stats(62, false, "disk full");
        for second in 72..77 {
            assert_eq!(progress.warning(&works(), after(second)), None);
        }
        let over = progress.warning(&works(), after(77)).unwrap();
        assert!(over.starts_with("writing works again after 1 min"), "{over}");
        assert_eq!(progress.warning(&works(), after(78)), None);
        assert!(progress.warning(&full(63), after(79)).is_some(), "it begins again");
    }

    #[test]
    fn a_full_disk_on_which_a_small_block_fits_is_still_full() {
        let start = Instant::now();
        let mut progress = Progress::new(MINUTE, start);
        assert!(progress.warning(&stats(1, true, "disk full"), start).is_some());
        for second in 1..60 {
            let stats = stats(1 + second / 4, second % 4 == 0, "disk full");
            assert_eq!(progress.warning(&stats, start + Duration::from_secs(second)), None);
        }
    }

    #[test]
    fn a_recording_of_which_nothing_is_written_is_not_said_to_go_on() {
        let start = Instant::now();
        let mut empty = stats(1, true, "disk full");
        empty.lost = 0;
        let text = Progress::new(MINUTE, start).warning(&empty, start);
        let expected = "disk full; nothing is being written; retrying each second";
        assert_eq!(text.as_deref(), Some(expected));
        empty.bytes_on_disk = 1;
        let text = Progress::new(MINUTE, start).warning(&empty, start);
        assert_eq!(text.as_deref(), Some("disk full; the recording goes on, 0 frames lost so far"));
    }

    #[test]
    fn each_lost_file_is_reported_once() {
        let start = Instant::now();
        let mut progress = Progress::new(MINUTE, start);
        let lost = |failures, text: &str| stats(failures, false, text);
        assert_eq!(
            progress.warning(&lost(1, "a was removed"), start).as_deref(),
            Some("a was removed")
        );
        assert_eq!(progress.warning(&lost(1, "a was removed"), start), None);
        assert_eq!(
            progress.warning(&lost(2, "b was removed"), start).as_deref(),
            Some("b was removed")
        );
    }

    #[test]
    fn a_line_is_due_once_per_interval() {
        let start = Instant::now();
        let mut progress = Progress::new(MINUTE, start);
        let due = (0..=180).filter(|&it| progress.is_line_due(start + Duration::from_secs(it)));
        assert_eq!(due.collect::<Vec<_>>(), [60, 120, 180]);
    }
}
