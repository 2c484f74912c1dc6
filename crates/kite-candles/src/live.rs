//! Bars of a running feed, from the merged streams of kite-manager.

mod items;
mod stream;

pub use items::LiveCandles;
pub use stream::{CandleStream, CandleStreamError};
