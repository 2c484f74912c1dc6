//! The table of bars, made from the packets of tapes.

#[cfg(feature = "files")]
mod export;
#[cfg(feature = "files")]
mod period;
#[cfg(feature = "files")]
mod table;

use kite_candles::{Bar, Every};

#[cfg(feature = "files")]
pub use self::export::{BarSummary, Bars};
#[cfg(feature = "files")]
pub use self::period::windows_of_bars;
#[cfg(feature = "files")]
pub(crate) use self::table::Rows;

/// A row of the table of bars.
#[derive(Debug, Clone, Copy)]
pub struct BarRow<'a> {
    /// The bar.
    pub bar: &'a Bar,
    /// The length of the bars; the last one of a session may be shorter.
    pub every: Every,
    /// The symbol of the instrument, such as `NSE:INFY`, if it is known.
    pub symbol: Option<&'a str>,
}
