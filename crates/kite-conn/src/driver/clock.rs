//! The one timer of a connection, for the session's deadline and for comparing the clocks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::suspension::SuspensionWatch;
use crate::wall_time::{LOOK_EVERY, Reading, Steps, WallTime};

/// The clocks of the machine, or of a simulation.
#[derive(Clone)]
pub(crate) struct Clocks {
    /// Reads them.
    pub(crate) read: fn() -> Reading,
    /// The wall clock of the stamps.
    pub(crate) wall_time: Arc<WallTime>,
}

/// Wakes the driver at the session's deadlines, and compares the clocks once a second: whether the
/// machine slept, and whether its wall clock was set.
pub(super) struct Clock {
    /// Created when first armed: on a runtime without timers, creating one panics.
    timer: Option<Pin<Box<Sleep>>>,
    clocks: Clocks,
    /// When the clocks are compared next.
    look_at: Option<Instant>,
    suspension: SuspensionWatch,
    /// The steps of the wall clock that were returned.
    steps: Steps,
}

/// What comparing the clocks has shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// How long the machine slept.
    pub(super) slept: Option<Duration>,
    /// A step of the wall clock, as the number of steps so far and by how many nanoseconds.
    pub(super) step: Option<(u64, i64)>,
}

impl Clock {
    /// Creates a clock that reports a sleep of `threshold` or more.
    pub(super) fn new(threshold: Duration, clocks: Clocks) -> Self {
        let (suspension, steps) = (SuspensionWatch::new(threshold), clocks.wall_time.steps());
        Self { timer: None, clocks, look_at: None, suspension, steps }
    }

    /// Sets the timer to the deadline, or to the next comparison of the clocks if that is earlier.
    pub(super) fn arm(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        suspension_matters: bool,
    ) {
        if !suspension_matters {
            // A sleep before a delay must not shorten it.
            self.suspension.forget();
        } else if !self.suspension.is_watching() {
            self.look_at = None;
        }
        let look_at = self.look_at.unwrap_or(now);
        let first = deadline.map_or(look_at, |deadline| deadline.min(look_at));
        let sleep = || Box::pin(tokio::time::sleep_until(first.into()));
        self.timer.get_or_insert_with(sleep).as_mut().reset(first.into());
    }

    /// Ready when the timer fires.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    /// Returns whether the clocks are to be compared: once a second, and as soon as another
    /// connection has noticed a step, so that the step is reported before the first frame with the
    /// new time.
    #[inline]
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.look_at.is_none_or(|look_at| now >= look_at)
            || self.clocks.wall_time.step_count() != self.steps.count
    }

    /// Compares the clocks.
    pub(super) fn look(&mut self, now: Instant) -> Found {
        self.look_at = Some(now + LOOK_EVERY);
        let reading = (self.clocks.read)();
        let slept = self.suspension.look(&reading);
        let (before, steps) = (self.steps, self.clocks.wall_time.look(&reading));
        self.steps = steps;
        // Several steps since the last look are one: no stamp was taken in between.
        let by_ns = steps.sum_ns.saturating_sub(before.sum_ns);
        let step = (steps.count > before.count).then_some((steps.count, by_ns));
        Found { slept, step }
    }
}

/// Reads Tokio's clock, which tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
