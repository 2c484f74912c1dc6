//! Charts of the bars of one instrument, in the characters of a terminal or as a picture.
//!
//! Performs no I/O. Bars become [`Candle`]s, `columns` places them side by side, `scale` and `times`
//! label the axes, `cells` draws for a terminal, and `picture` for a file.

pub(crate) mod candle;
pub(crate) mod cells;
mod columns;
pub(crate) mod heading;
mod labels;
pub(crate) mod picture;
pub(crate) mod plot;
pub(crate) mod png;
mod scale;
pub(crate) mod svg;
#[cfg(test)]
mod tests;
mod times;

pub(crate) use self::candle::Candle;

use kite_candles::{Every, Flags, Sessions};
use kite_wire::Segment;

/// What to draw: the candles of one instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chart<'a> {
    pub(crate) token: u32,
    /// Length of the bars that the candles are from.
    pub(crate) every: Every,
    /// Decide where the columns of several bars start.
    pub(crate) sessions: &'a Sessions,
    /// By start.
    pub(crate) candles: &'a [Candle],
}

impl Chart<'_> {
    /// Returns the segment, which decides the decimals of prices.
    pub(crate) fn segment(&self) -> Segment {
        Segment::of_token(self.token)
    }
}

/// The marks of candles that are not exact, the more important first: the flag, its sign in a
/// terminal, and what it means.
const MARKS: [(Flags, char, &str); 4] = [
    (Flags::PARTIAL_START, 'p', "partial start"),
    (Flags::VOLUME_FELL, 'v', "volume fell"),
    (Flags::EXTREME_LATE, 'e', "extreme late"),
    (Flags::LATE, 'l', "late"),
];

/// Returns the most important mark of a candle.
fn mark(flags: Flags) -> Option<(Flags, char, &'static str)> {
    MARKS.into_iter().find(|(flag, ..)| flags.contains(*flag))
}
