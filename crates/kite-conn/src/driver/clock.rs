//! The one timer of a connection, for the session's deadline and for comparing the clocks before
//! it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::Sleep;

use super::suspension::SuspensionWatch;

/// Interval at which the clocks are compared while it matters whether the machine slept.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Wakes the driver at the session's deadlines, and detects that the machine slept.
#[derive(Debug)]
pub(super) struct Clock {
    /// Created when first armed: on a runtime without timers, creating one panics.
    timer: Option<Pin<Box<Sleep>>>,
    is_armed: bool,
    suspension: SuspensionWatch,
    wall_clock: fn() -> SystemTime,
}

impl Clock {
    /// Creates a clock that treats a difference of `threshold` or more as sleep.
    pub(super) fn new(threshold: Duration, wall_clock: fn() -> SystemTime) -> Self {
        let suspension = SuspensionWatch::new(threshold);
        Self { timer: None, is_armed: false, suspension, wall_clock }
    }

    /// Sets the timer to the deadline, or to the next comparison of the clocks if that is earlier.
    pub(super) fn arm(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        suspension_matters: bool,
    ) {
        let look = if suspension_matters {
            Some(self.suspension.last_look().map_or(now, |last| last + LOOK_EVERY))
        } else {
            // A sleep before a delay must not shorten it.
            self.suspension.forget();
            None
        };
        let first = deadline.into_iter().chain(look).min();
        self.is_armed = first.is_some();
        if let Some(first) = first {
            let sleep = || Box::pin(tokio::time::sleep_until(first.into()));
            let timer = self.timer.get_or_insert_with(sleep);
            timer.as_mut().reset(first.into());
        }
    }

    /// Ready when the timer fires, with the time the machine slept, if it did.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Duration>> {
        let Some(timer) = self.timer.as_mut().filter(|_| self.is_armed) else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(self.look(now()))
    }

    /// Compares the clocks if a comparison is due.
    fn look(&mut self, now: Instant) -> Option<Duration> {
        let last = self.suspension.last_look();
        let is_time = last.is_none_or(|last| now.saturating_duration_since(last) >= LOOK_EVERY);
        if is_time { self.suspension.look(now, (self.wall_clock)()) } else { None }
    }
}

/// Reads Tokio's clock, which tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
