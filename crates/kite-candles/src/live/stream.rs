//! A stream of bars.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use futures_core::Stream;
use kite_manager::{LaneStats, Manager, Stamp, StreamConfig, StreamFilter, TickStream};
use tokio::time::{Instant, Sleep};

use crate::bar::{Bar, Item};
use crate::candles::{Config, ConfigError};
use crate::counts::Counts;
use crate::live::items::LiveCandles;

/// How long the timer sleeps at most. The wall clock may step meanwhile, and the start of a day must
/// not pass unnoticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Settings that are out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandleStreamError {
    /// One of the stream of ticks.
    #[error(transparent)]
    Stream(#[from] kite_manager::ConfigError),
    /// One of the bars.
    #[error(transparent)]
    Bars(#[from] ConfigError),
}

/// Makes bars of a running feed: each is passed on when it has ended, on time though nothing is
/// received, and again as a correction if it changes later.
///
/// What the feed missed is in the bars: lost sockets, instruments that moved to another connection,
/// and what the stream dropped or conflated because this stream was read too slowly. With the
/// default [`LaneConfig`](kite_manager::LaneConfig) it drops nothing.
///
/// # Examples
/// ```no_run
/// use kite_candles::{CandleStream, Config, Item};
/// use kite_manager::{Credentials, Manager, Mode, StreamConfig};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = Manager::builder()
///     .account("mine", Credentials::new("api_key", "access_token"))
///     .build()?;
/// let mut bars = CandleStream::new(&manager, StreamConfig::default(), Config::default())?;
/// manager.subscribe(&[256_265, 738_561, 408_065], Mode::Full)?;
/// manager.start().await?;
/// while let Some(item) = bars.recv().await {
///     let (kind, bar) = match item {
///         Item::Bar(bar) => ("bar", bar),
///         Item::Correction(bar) => ("corrected", bar),
///     };
///     println!("{kind} {} {} {}", bar.instrument_token, bar.close, bar.flags);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CandleStream {
    stream: TickStream,
    candles: LiveCandles,
    ready: VecDeque<Item>,
    /// Made by the first poll, because it needs a runtime.
    timer: Option<Pin<Box<Sleep>>>,
}

impl CandleStream {
    /// Makes bars of a new stream of a manager, which belongs to the present run or, if there is
    /// none, to the next one: see [`Manager::stream`]. First packets are marked, whatever `stream`
    /// says.
    ///
    /// # Errors
    /// Returns an error if a setting of the stream or of the bars is out of range.
    pub fn new(
        manager: &Manager,
        stream: StreamConfig,
        config: Config,
    ) -> Result<Self, CandleStreamError> {
        let candles = LiveCandles::new(config)?;
        let stream = open(manager, stream)?;
        Ok(Self { stream, candles, ready: VecDeque::new(), timer: None })
    }

    /// Goes on with a new stream, as after the end of the manager's run. What is traded until the
    /// next packet of each instrument is missed.
    ///
    /// # Errors
    /// Returns an error if a setting of the stream is out of range.
    pub fn restart(
        &mut self,
        manager: &Manager,
        stream: StreamConfig,
    ) -> Result<(), kite_manager::ConfigError> {
        self.stream = open(manager, stream)?;
        self.candles.on_stopped(&mut |item| self.ready.push_back(item));
        Ok(())
    }

    /// Waits for the next bar or correction; `None` once the run has been stopped and all ticks were
    /// read. [`CandleStream::finish`] then passes on the bars that have not ended, or
    /// [`CandleStream::restart`] continues them.
    ///
    /// # Cancel safety
    /// Cancel safe: no item is lost if the future is dropped.
    ///
    /// # Panics
    /// Panics outside a Tokio runtime with a timer.
    pub async fn recv(&mut self) -> Option<Item> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next bar or correction, as [`CandleStream::recv`].
    ///
    /// # Panics
    /// Panics outside a Tokio runtime with a timer.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Some(item));
            }
            match self.stream.poll_recv(cx) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(item)) => {
                    self.candles.on_item(&item, &mut |item| self.ready.push_back(item));
                }
                // Only now, because what is queued may be of bars that have ended.
                Poll::Pending => {
                    let now = Stamp::now().to_unix_ns();
                    self.candles.advance(now, &mut |item| self.ready.push_back(item));
                    if self.ready.is_empty() {
                        ready!(self.poll_timer(now, cx));
                    }
                }
            }
        }
    }

    /// Returns the handle that changes the instruments of the stream.
    #[must_use]
    pub fn filter(&self) -> StreamFilter {
        self.stream.filter()
    }

    /// Returns the newest bars of an instrument, by start, each as it is so far. The last of them has
    /// usually not ended.
    pub fn newest(&self, instrument_token: u32) -> impl Iterator<Item = Bar> {
        self.candles.newest(instrument_token)
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.candles.counts()
    }

    /// Returns the counts of the stream of ticks.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        self.stream.stats()
    }

    /// Passes on what was not received, and the bars that have not ended: the time from now to their
    /// end is missed. Ticks that are still queued are dropped. Returns the counts.
    pub fn finish(self, out: &mut impl FnMut(Item)) -> Counts {
        self.ready.into_iter().for_each(&mut *out);
        self.candles.finish(out)
    }

    /// Sleeps until the next bar is due.
    fn poll_timer(&mut self, now_unix_ns: u64, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.candles.next_due_unix_ns();
        let wait = due.map(|due| Duration::from_nanos(due.saturating_sub(now_unix_ns)));
        let at = Instant::now() + wait.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        let timer = match &mut self.timer {
            Some(timer) => {
                timer.as_mut().reset(at);
                timer
            }
            None => self.timer.insert(Box::pin(tokio::time::sleep_until(at))),
        };
        timer.as_mut().poll(cx)
    }
}

/// Creates a stream whose first packets are marked.
fn open(manager: &Manager, stream: StreamConfig) -> Result<TickStream, kite_manager::ConfigError> {
    manager.stream(StreamConfig { mark_first: true, ..stream })
}

impl Stream for CandleStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.poll_recv(cx)
    }
}
