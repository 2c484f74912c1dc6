//! Bars as CSV and JSON lines.

use std::fmt;

use kite_candles::{Every, Item};

use super::cells::Cells;
use super::csv::{self, CsvCells};
use super::json::JsonCells;
use crate::bars::BarRow;
use crate::column::{bar_columns, live_bar_columns};
use crate::settings::{TimeFormat, TimeUnit, TimeZone, Times};

/// Formats bars as the rows that [`Bars`](crate::Bars) writes as CSV or JSON lines: times in India
/// with their offset, prices with their exact digits.
///
/// ```
/// use kite_export::kite_candles::{Candles, Config};
/// use kite_export::{BarLines, BarRow};
///
/// let every = Config::default().every;
/// let mut lines = BarLines::csv(false);
/// // Called with each bar of a feed.
/// let mut push = |bar: &kite_export::kite_candles::Bar| {
///     lines.push(BarRow { bar, every, symbol: Some("NSE:INFY") });
/// };
/// # let _ = &mut push;
/// let header = String::from_utf8(lines.take())?;
/// assert!(header.starts_with("start,symbol,instrument_token,open,high,low,close,volume,oi,"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BarLines {
    cells: Box<dyn Cells + Send>,
    /// Whether there is a column for the length.
    several: bool,
    /// Whether there is a column for the state.
    is_live: bool,
}

impl BarLines {
    /// Writes CSV, beginning with the header. The column `every` is for bars of several lengths.
    #[must_use]
    pub fn csv(every: bool) -> Self {
        Self::csv_with(every, TIMES, false)
    }

    /// Writes JSON lines, with prices as numbers. The key `every` is for bars of several lengths.
    #[must_use]
    pub fn json(every: bool) -> Self {
        Self::json_with(every, TIMES, false)
    }

    /// Writes CSV of a running feed, for [`BarLines::push_item`].
    #[must_use]
    pub fn live_csv(every: bool) -> Self {
        let mut cells = CsvCells::new(TIMES, false);
        cells.rows().extend_from_slice(&csv::header(&live_bar_columns(every), false));
        Self { cells: Box::new(cells), several: every, is_live: true }
    }

    /// Writes JSON lines of a running feed, for [`BarLines::push_item`].
    #[must_use]
    pub fn live_json(every: bool) -> Self {
        let cells = JsonCells::new(&live_bar_columns(every), TIMES, false);
        Self { cells: Box::new(cells), several: every, is_live: true }
    }

    pub(super) fn csv_with(every: bool, times: TimeFormat, crlf: bool) -> Self {
        let mut cells = CsvCells::new(times, crlf);
        cells.rows().extend_from_slice(&csv::header(&bar_columns(every), crlf));
        Self { cells: Box::new(cells), several: every, is_live: false }
    }

    pub(super) fn json_with(every: bool, times: TimeFormat, prices_as_text: bool) -> Self {
        let cells = JsonCells::new(&bar_columns(every), times, prices_as_text);
        Self { cells: Box::new(cells), several: every, is_live: false }
    }

    /// Adds the line of a bar.
    pub fn push(&mut self, row: BarRow<'_>) {
        self.push_in_state(row, "ended");
    }

    /// Adds the line of what a running feed has passed on. Lines that were not created for one do not
    /// say whether it is a correction.
    pub fn push_item(&mut self, every: Every, symbol: Option<&str>, item: &Item) {
        let state = match item {
            Item::Bar(_) => "ended",
            Item::Correction(_) => "corrected",
        };
        self.push_in_state(BarRow { bar: item.bar(), every, symbol }, state);
    }

    fn push_in_state(&mut self, row: BarRow<'_>, state: &str) {
        let BarRow { bar, every, symbol } = row;
        let cells = self.cells.as_mut();
        cells.begin();
        cells.seconds(Some(bar.start));
        if self.several {
            cells.text(Some(&every.to_string()));
        }
        cells.text(symbol);
        cells.number(Some(bar.instrument_token.into()));
        for price in [bar.open, bar.high, bar.low, bar.close] {
            cells.price(Some(price));
        }
        cells.number(bar.volume);
        cells.number(bar.open_interest.map(u64::from));
        cells.number(Some(bar.packets.into()));
        // A filled bar has no packets.
        let time = |unix_ns: u64| (bar.packets > 0).then_some(unix_ns);
        cells.nanoseconds(time(bar.first_recv_unix_ns));
        cells.nanoseconds(time(bar.last_recv_unix_ns));
        cells.number(Some(bar.missed_ms));
        cells.number(Some(bar.missed_volume));
        cells.text(Some(&bar.flags.to_string()));
        if self.is_live {
            cells.text(Some(state));
        }
        cells.end();
    }

    /// Takes the lines added since the last call, each with its line feed; of CSV first the header.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.cells.take()
    }

    /// Returns the bytes that [`BarLines::take`] would return.
    #[cfg(feature = "files")]
    pub(super) fn len(&mut self) -> usize {
        self.cells.rows().len()
    }
}

const TIMES: TimeFormat =
    TimeFormat { text: Times::Rfc3339, unit: TimeUnit::Microseconds, zone: TimeZone::Ist };

impl fmt::Debug for BarLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarLines").field("several", &self.several).finish_non_exhaustive()
    }
}
