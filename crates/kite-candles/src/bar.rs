//! A bar as data.

use kite_wire::{Price, UnixSeconds};

use crate::flags::Flags;

/// The trades of one instrument in one interval, as far as the feed shows them.
///
/// `start` identifies the bar, as in Kite's history: it includes trades from `start` up to but not
/// including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bar {
    /// Instrument token.
    pub instrument_token: u32,
    /// When the bar starts. For bars of a day, midnight in India.
    pub start: UnixSeconds,
    /// When the bar ends: after its length, or earlier with the session.
    pub end: UnixSeconds,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Volume traded, in the unit of the packet's volume. `None` if no packet of the bar carries
    /// volume: an index, or LTP mode.
    pub volume: Option<u64>,
    /// Open interest at the last packet that carries it.
    pub open_interest: Option<u32>,
    /// Number of packets that showed a trade (of an index, a value).
    pub packets: u32,
    /// When the first of these packets was received, in nanoseconds since the Unix epoch; 0 in a
    /// filled bar.
    pub first_recv_unix_ns: u64,
    /// When the last of these packets was received, in nanoseconds since the Unix epoch; 0 in a
    /// filled bar.
    pub last_recv_unix_ns: u64,
    /// Time within the bar without a feed, in milliseconds.
    pub missed_ms: u64,
    /// Volume traded while there was no feed, shown by the first packet after it. It is not part of
    /// `volume` and may have been traded in earlier bars.
    pub missed_volume: u64,
    /// What a reader must know about the bar.
    pub flags: Flags,
}

/// What [`Candles`](crate::Candles) passes to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A bar that has ended.
    Bar(Bar),
    /// A new state of a bar that was passed on before, with the same token and start. Replaces it.
    Correction(Bar),
}

impl Item {
    /// Returns the bar.
    #[must_use]
    pub const fn bar(&self) -> &Bar {
        match self {
            Self::Bar(bar) | Self::Correction(bar) => bar,
        }
    }
}
