//! A bar as charts draw it.

use kite_candles::{Bar, Flags};

/// Prices and volume of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candle {
    /// When it starts, in seconds since the Unix epoch.
    pub(crate) start: u32,
    /// In the segment's smallest unit, as all prices here.
    pub(crate) open: i32,
    pub(crate) high: i32,
    pub(crate) low: i32,
    pub(crate) close: i32,
    pub(crate) volume: Option<u64>,
    pub(crate) flags: Flags,
    /// Whether there was a trade. Without one only `is_missed` is drawn.
    pub(crate) is_traded: bool,
    /// Whether a second or more of the interval was without a feed, or volume was missed.
    pub(crate) is_missed: bool,
}

/// Time without a feed from which on a bar is shaded. A tape that was cut at the end of a session
/// ends some milliseconds before it.
const MISSED_MS: u64 = 1_000;

/// Returns whether a chart shows that part of a bar was without a feed.
pub(crate) fn is_missed(bar: &Bar) -> bool {
    bar.missed_ms >= MISSED_MS || bar.missed_volume > 0
}

impl From<&Bar> for Candle {
    fn from(bar: &Bar) -> Self {
        Self {
            start: bar.start.get(),
            open: bar.open.raw(),
            high: bar.high.raw(),
            low: bar.low.raw(),
            close: bar.close.raw(),
            volume: bar.volume,
            flags: bar.flags,
            is_traded: bar.packets > 0,
            is_missed: is_missed(bar),
        }
    }
}

impl Candle {
    /// Returns whether the price did not fall.
    pub(crate) fn is_up(&self) -> bool {
        self.close >= self.open
    }

    /// Adds a later candle of the same column.
    pub(super) fn add(&mut self, later: &Self) {
        self.is_missed |= later.is_missed;
        if !later.is_traded {
            return;
        }
        if !self.is_traded {
            let (start, is_missed) = (self.start, self.is_missed);
            *self = Self { start, is_missed, ..*later };
            return;
        }
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume = match (self.volume, later.volume) {
            (Some(before), Some(more)) => Some(before.saturating_add(more)),
            (before, more) => before.or(more),
        };
        self.flags |= later.flags;
    }
}
