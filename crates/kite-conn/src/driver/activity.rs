//! The wall-clock second of the last inbound frame, for programs that watch it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Writes when the last frame was received, in Unix seconds.
///
/// The wall clock is read at most once per second, not per frame.
#[derive(Debug)]
pub(super) struct Activity {
    last: Arc<AtomicU64>,
    unix_s: u64,
    /// When `unix_s` is over; `None` before the first frame.
    ends: Option<Instant>,
}

impl Activity {
    pub(super) fn new(last: Arc<AtomicU64>) -> Self {
        Self { last, unix_s: 0, ends: None }
    }

    /// Records a frame received `now`.
    #[inline]
    pub(super) fn record(&mut self, now: Instant, wall_clock: impl FnOnce() -> SystemTime) {
        if self.ends.is_none_or(|ends| now >= ends) {
            self.begin_second(now, wall_clock());
        }
        // Compared first, because a write takes the cache line from other connections and readers.
        // Another value may be there: the program's, or another connection's.
        if self.last.load(Ordering::Relaxed) != self.unix_s {
            self.last.store(self.unix_s, Ordering::Relaxed);
        }
    }

    #[cold]
    fn begin_second(&mut self, now: Instant, wall_clock: SystemTime) {
        let unix = wall_clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.unix_s = unix.as_secs();
        let elapsed = Duration::from_nanos(unix.subsec_nanos().into());
        self.ends = Some(now + (Duration::from_secs(1) - elapsed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn every_frame_leaves_its_second_and_the_clock_is_read_once_per_second() {
        let (last, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let mut activity = Activity::new(Arc::clone(&last));
        let mut reads = 0;
        // The first frame is received at 100.7 s.
        for millis in 0..10_000_u32 {
            let elapsed = millis * MILLI;
            if millis % 3 == 0 {
                last.store(0, Ordering::Relaxed);
            }
            let unix = 100_700 * MILLI + elapsed;
            activity.record(began + elapsed, || {
                reads += 1;
                UNIX_EPOCH + unix
            });
            assert_eq!(last.load(Ordering::Relaxed), unix.as_secs());
        }
        assert_eq!(reads, 11);
    }

    #[test]
    fn a_step_of_the_clock_is_followed_within_a_second() {
        let (last, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let mut activity = Activity::new(Arc::clone(&last));
        for (elapsed, unix_s, expected) in [(0, 1_000, 1_000), (1, 900, 900), (2, 5_000, 5_000)] {
            let wall_clock = UNIX_EPOCH + Duration::from_secs(unix_s);
            activity.record(began + elapsed * 1_000 * MILLI, || wall_clock);
            assert_eq!(last.load(Ordering::Relaxed), expected);
        }
    }
}
