//! Rates of the last ten minutes, one point a second, from counts that only grow.
//!
//! Performs no I/O; the caller passes in the time since it began.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

/// The time that is kept.
const KEPT: Duration = Duration::from_secs(600);

/// The most points kept, one for each second.
const MOST_POINTS: usize = 600;

/// The time over which the rate of bytes on the tapes is computed. They are written in blocks, not in
/// every second.
const BLOCKS_OVER: Duration = Duration::from_secs(5);

/// The shortest time over which a rate is computed.
const SHORTEST: Duration = Duration::from_millis(200);

/// Counts since the start of whatever counts them. `None` if there is nothing that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Ticks received.
    pub(crate) ticks: Option<u64>,
    /// Bytes received.
    pub(crate) bytes: Option<u64>,
    /// Ticks handed to clients.
    pub(crate) ticks_out: Option<u64>,
    /// Bytes on the tapes.
    pub(crate) on_disk: Option<u64>,
}

/// Rates of one second, that of `on_disk` of the last five, whole numbers a second. `None` where a rate is unknown: nothing counts, or
/// it began again from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Point {
    /// The time of the later of the two samples, in milliseconds since the caller began.
    at_ms: u64,
    ticks: Option<u64>,
    bytes: Option<u64>,
    ticks_out: Option<u64>,
    on_disk: Option<u64>,
}

/// The points of the last ten minutes, numbered from 1.
#[derive(Debug, Default)]
pub(crate) struct History {
    points: VecDeque<Point>,
    /// The number of the newest point; zero before the first.
    newest: u64,
    /// When the last sample was taken, and its counts.
    before: Option<(Duration, Counts)>,
    /// The samples of `on_disk` within [`BLOCKS_OVER`], oldest first, and the last one before.
    on_disk: VecDeque<(Duration, u64)>,
}

impl History {
    /// Takes a sample. Ignores one that follows the previous one too soon.
    pub(crate) fn sample(&mut self, now: Duration, counts: Counts) {
        let Some((then, before)) = self.before else {
            self.before = Some((now, counts));
            self.rate_on_disk(now, counts.on_disk);
            return;
        };
        let passed = now.saturating_sub(then);
        if passed < SHORTEST {
            return;
        }
        self.before = Some((now, counts));
        let on_disk = self.rate_on_disk(now, counts.on_disk);
        let rate = |of: fn(&Counts) -> Option<u64>| rate(of(&before), of(&counts), passed);
        self.points.push_back(Point {
            at_ms: millis(now),
            ticks: rate(|it| it.ticks),
            bytes: rate(|it| it.bytes),
            ticks_out: rate(|it| it.ticks_out),
            on_disk,
        });
        self.newest += 1;
        // After a suspension the points that are left may be older.
        let oldest = millis(now.saturating_sub(KEPT));
        while self.points.len() > MOST_POINTS
            || self.points.front().is_some_and(|point| point.at_ms < oldest)
        {
            self.points.pop_front();
        }
    }

    /// Takes a sample of the bytes on the tapes and returns their rate.
    fn rate_on_disk(&mut self, now: Duration, count: Option<u64>) -> Option<u64> {
        let last = self.on_disk.back().map(|&(_, last)| last);
        if count < last {
            self.on_disk.clear();
        }
        let count = count?;
        let is_old = |&(at, _): &(Duration, u64)| now.saturating_sub(at) >= BLOCKS_OVER;
        while self.on_disk.get(1).is_some_and(is_old) {
            self.on_disk.pop_front();
        }
        let first = self.on_disk.front().copied();
        self.on_disk.push_back((now, count));
        let (then, before) = first?;
        rate(Some(before), Some(count), now.saturating_sub(then))
    }

    /// Returns the number of the newest point, zero before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Returns the points after number `seen`, oldest first, as far as they are kept.
    pub(crate) fn since(&self, seen: u64) -> impl Iterator<Item = &Point> {
        let (kept, wanted) = (self.points.len(), self.newest.saturating_sub(seen));
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(kept);
        self.points.range(kept - wanted..)
    }
}

/// Returns the rate between two counts. A count that has fallen began again from zero some time in
/// between, so that its rate is unknown.
fn rate(before: Option<u64>, now: Option<u64>, passed: Duration) -> Option<u64> {
    let grown = now?.checked_sub(before?)?;
    let rate = u128::from(grown) * 1_000_000_000 / passed.as_nanos().max(1);
    Some(u64::try_from(rate).unwrap_or(u64::MAX))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(ticks: u64) -> Counts {
        Counts { ticks: Some(ticks), ..Counts::default() }
    }

    fn ticks(history: &History, seen: u64) -> Vec<Option<u64>> {
        history.since(seen).map(|point| point.ticks).collect()
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_rate_is_the_growth_of_a_count_by_the_time_that_passed() {
        let mut history = History::default();
        for (millis, count) in [(0, 500), (1_000, 700), (3_000, 1_700), (3_100, 1_701)] {
            history.sample(Duration::from_millis(millis), counts(count));
        }
        assert_eq!(ticks(&history, 0), [Some(200), Some(500)], "the last one came too soon");
        history.sample(seconds(4), counts(1_801));
        assert_eq!(ticks(&history, 2), [Some(101)], "nothing of it is lost");
    }

    #[test]
    fn a_count_that_begins_again_has_no_rate_for_one_point() {
        let mut history = History::default();
        for (second, count) in [(0, 1_000), (1, 2_000), (2, 30), (3, 1_030)] {
            history.sample(seconds(second), counts(count));
        }
        assert_eq!(ticks(&history, 0), [Some(1_000), None, Some(1_000)]);
    }

    #[test]
    fn what_nothing_counts_has_no_rate() {
        let mut history = History::default();
        history.sample(seconds(0), counts(1));
        history.sample(seconds(1), Counts { on_disk: Some(5_000), ..counts(2) });
        history.sample(seconds(2), Counts { on_disk: Some(5_400), ..counts(3) });
        let on_disk: Vec<_> = history.since(0).map(|point| point.on_disk).collect();
        assert_eq!(on_disk, [None, Some(400)], "a recorder that started later");
        assert!(history.since(0).all(|point| point.ticks_out.is_none()));
    }

    #[test]
    fn bytes_on_disk_are_smoothed_over_the_seconds_between_two_blocks() {
        let mut history = History::default();
        let on_disk = |count| Counts { on_disk: Some(count), ..Counts::default() };
        // A block of 3,000 bytes every third second.
        for second in 0..12 {
            history.sample(seconds(second), on_disk(second / 3 * 3_000));
        }
        let rates: Vec<_> = history.since(6).map(|point| point.on_disk.unwrap()).collect();
        assert!(rates.iter().all(|rate| (600..=1_200).contains(rate)), "{rates:?}");
        // Of nothing that was written for five seconds, nothing is left.
        for second in 12..17 {
            history.sample(seconds(second), on_disk(9_000));
        }
        assert_eq!(history.since(15).map(|it| it.on_disk).collect::<Vec<_>>(), [Some(0)]);
        for (second, count) in [(17, 100), (18, 300)] {
            history.sample(seconds(second), on_disk(count));
        }
        let rates: Vec<_> = history.since(16).map(|it| it.on_disk).collect();
        assert_eq!(rates, [None, Some(200)], "it began again");
    }

    #[test]
    fn ten_minutes_are_kept() {
        let mut history = History::default();
        for second in 0..=2_000 {
            history.sample(seconds(second), counts(second));
        }
        assert_eq!((history.newest(), history.since(0).count()), (2_000, MOST_POINTS));
        assert_eq!(history.since(1_990).count(), 10);
        assert_eq!(history.since(2_001).count(), 0);
        // The machine slept.
        history.sample(seconds(2_300), counts(2_300));
        assert_eq!(history.since(0).count(), 302);
        history.sample(seconds(9_000), counts(9_000));
        assert_eq!(history.since(0).count(), 1);
    }

    proptest! {
        /// A reader that asks again and again gets each point once.
        #[test]
        fn a_reader_that_continues_misses_no_point(
            steps in prop::collection::vec((0_u64..3_000, 0_u64..10_000, any::<bool>()), 0..200),
        ) {
            let (mut history, mut now, mut count) = (History::default(), Duration::ZERO, 0);
            let (mut read, mut seen) = (Vec::new(), 0);
            for (millis, more, reads) in steps {
                now += Duration::from_millis(millis);
                count += more;
                history.sample(now, counts(count));
                prop_assert!(history.since(0).count() <= MOST_POINTS);
                if reads {
                    read.extend(history.since(seen).copied());
                    seen = history.newest();
                }
            }
            read.extend(history.since(seen).copied());
            let kept: Vec<Point> = history.since(0).copied().collect();
            prop_assert!(read.ends_with(&kept));
            prop_assert_eq!(read.len() as u64, history.newest());
        }
    }
}
