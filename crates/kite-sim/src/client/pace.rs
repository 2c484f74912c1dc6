//! The speed of a slow link, in bytes per second.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Number of writes per second on a link fast enough for them.
const WRITES_PER_SECOND: u32 = 50;

/// The bytes per second of a link, shared with those who restore it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speed(Arc<AtomicU32>);

impl Speed {
    /// Limits the speed, or removes the limit. Takes effect within a frame.
    pub(crate) fn limit(&self, bytes_per_second: Option<NonZeroU32>) {
        let value = bytes_per_second.map_or(0, NonZeroU32::get);
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0.load(Ordering::Relaxed))
    }
}

/// Spreads the bytes written to a link evenly over time.
#[derive(Debug)]
pub(super) struct Pace {
    speed: Speed,
    /// When the link has sent everything written to it; created once the link is slow.
    free: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, free: None }
    }

    /// Waits until the link is free; returns how many bytes it accepts then.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if let Some(free) = &mut self.free {
            ready!(free.as_mut().poll(cx));
        }
        Poll::Ready(match self.speed.get() {
            Some(speed) => speed.get().div_ceil(WRITES_PER_SECOND) as usize,
            None => usize::MAX,
        })
    }

    /// Records that bytes were written to the link.
    pub(super) fn written(&mut self, bytes: usize) {
        let Some(speed) = self.speed.get() else {
            self.free = None;
            return;
        };
        let now = Instant::now();
        let free = self.free.get_or_insert_with(|| Box::pin(sleep_until(now)));
        let since = free.deadline().max(now);
        free.as_mut().reset(since + time_to_send(bytes, speed));
    }
}

/// Returns how long a link needs for some bytes.
fn time_to_send(bytes: usize, bytes_per_second: NonZeroU32) -> Duration {
    let nanos = (bytes as u64).saturating_mul(1_000_000_000) / u64::from(bytes_per_second.get());
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_as_long_as_the_link_needs() {
        for rate in [1, 49, 50, 27_875, 10_000_000] {
            let speed = Speed::default();
            speed.limit(NonZeroU32::new(rate));
            let mut pace = Pace::new(speed);
            let (start, mut sent) = (Instant::now(), 0);
            while start.elapsed() < Duration::from_secs(100) {
                let room = poll_fn(|cx| pace.poll_room(cx)).await;
                pace.written(room);
                sent += room;
            }
            let expected = 100 * rate as usize;
            // Tokio's timers are exact to a millisecond.
            let range = expected * 9 / 10..=expected + expected / 10 + 1;
            assert!(range.contains(&sent), "{sent} bytes at {rate} per second");
        }
    }
}
