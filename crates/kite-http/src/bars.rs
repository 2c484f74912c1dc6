//! The bars of today, for `/api/candles`.
//!
//! One task for each length reads a stream of its own, on the server's thread. Without lengths there
//! is neither a task nor a stream.

mod answer;
mod day;

use std::future::{pending, poll_fn};

use futures_util::future::join_all;
use kite_candles::{CandleStream, CandleStreamError, Config, Every};
use kite_manager::{LaneConfig, Manager, StreamConfig};
use parking_lot::Mutex;
use serde::Serialize;

pub(crate) use self::answer::candles;
use self::day::DayBars;
use crate::state::State;

/// The shortest length whose bars are kept, so that a day has at most 1,440 of an instrument.
pub(crate) const SHORTEST: Every = Every::MINUTE;

/// The bars of one length.
#[derive(Debug)]
pub(crate) struct Length {
    every: Every,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    stream: CandleStream,
    /// Those that have ended.
    bars: DayBars,
    /// Ticks dropped by the streams of earlier runs.
    missed_before: u64,
}

/// What the status shows of the bars of one length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LengthStatus {
    every: String,
    /// Instruments with bars of the newest day that have ended.
    instruments: usize,
    /// Bars of that day.
    bars: usize,
    /// Bars that are not kept, because they are of too many instruments.
    refused: u64,
    /// Ticks dropped before bars were made of them.
    ticks_missed: u64,
}

impl Length {
    /// Makes the bars of the manager's present run or, if there is none, of the next one.
    ///
    /// # Errors
    /// Returns an error if a setting of the bars is out of range.
    pub(crate) fn new(manager: &Manager, config: Config) -> Result<Self, CandleStreamError> {
        let every = config.every;
        let stream = CandleStream::new(manager, settings(), config)?;
        let kept = Kept { stream, bars: DayBars::default(), missed_before: 0 };
        Ok(Self { every, kept: Mutex::new(kept) })
    }

    pub(crate) fn status(&self) -> LengthStatus {
        let kept = self.kept.lock();
        LengthStatus {
            every: self.every.to_string(),
            instruments: kept.bars.instruments(),
            bars: kept.bars.len(),
            refused: kept.bars.refused(),
            ticks_missed: kept.missed_before + kept.stream.stats().dropped_ticks,
        }
    }

    /// Keeps the bars of all runs, for ever.
    async fn keep(&self, manager: &Manager) {
        loop {
            // Locked for each poll, so that requests are answered in between.
            let item = poll_fn(|cx| self.kept.lock().stream.poll_recv(cx)).await;
            let mut kept = self.kept.lock();
            match item {
                Some(item) => kept.bars.set(*item.bar()),
                None => {
                    kept.missed_before += kept.stream.stats().dropped_ticks;
                    // The settings were accepted before.
                    let Ok(()) = kept.stream.restart(manager, settings()) else { return };
                }
            }
        }
    }
}

/// Returns the settings of the streams.
fn settings() -> StreamConfig {
    // They must not hold the feed back while this thread is busy. The bars show what was dropped.
    StreamConfig { lane: LaneConfig::drop_oldest(), ..StreamConfig::default() }
}

/// Keeps the bars of all lengths, for ever.
pub(crate) async fn keep(state: State) {
    join_all(state.lengths.iter().map(|length| length.keep(&state.manager))).await;
    pending().await
}
