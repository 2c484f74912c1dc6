//! Formats ticks that are not on a tape as JSON lines.

use std::fmt;

use kite_wire::Packet;
use kite_wire::tape::Received;

use super::cells::Cells as _;
use super::json::JsonCells;
use super::rows;
use crate::column::tick_columns;
use crate::settings::TimeFormat;
use crate::symbols::{CachedSymbols, Symbols};

/// Formats ticks as the rows that [`Export`](crate::Export) writes as
/// [`Format::JsonLines`](crate::Format::JsonLines): with symbols and market depth, every column as a
/// key, times as RFC 3339 in UTC and prices as numbers.
///
/// ```
/// use kite_export::TickLines;
/// use kite_wire::Packet;
/// use kite_wire::tape::{Received, Source};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut lines = TickLines::new(|token| (token == 408_065).then(|| "NSE:INFY".to_owned()));
/// let received = Received { recv_unix_ns: 2, source: Source { account: 0, connection: 1 } };
/// lines.push(received, Packet::from_bytes(&[0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba])?);
/// assert!(String::from_utf8(lines.take())?.starts_with(
///     "{\"recv_time\":\"1970-01-01T00:00:00.000000002Z\",\"account\":0,\"connection\":1,\
///      \"instrument_token\":408065,\"symbol\":\"NSE:INFY\",\"segment\":\"NSE\",\
///      \"mode\":\"ltp\",\"last_price\":1573.70,\"last_quantity\":null,"
/// ));
/// # Ok(())
/// # }
/// ```
pub struct TickLines {
    cells: JsonCells,
    symbols: CachedSymbols,
}

impl TickLines {
    /// Creates a formatter without lines. The lookup returns the symbol of an instrument token,
    /// such as `NSE:INFY`, and is called once per instrument and day.
    pub fn new(lookup: impl Fn(u32) -> Option<String> + Send + Sync + 'static) -> Self {
        let cells = JsonCells::new(&tick_columns(true, true), TimeFormat::default(), false);
        Self { cells, symbols: Symbols::new(move |_, token| lookup(token)).cached() }
    }

    /// Adds the line of a tick.
    pub fn push(&mut self, received: Received, packet: Packet<'_>) {
        let symbol = self.symbols.name(received.recv_unix_ns, packet.instrument_token());
        rows::write_tick(&mut self.cells, received, packet, Some(symbol), true);
    }

    /// Takes the lines added since the last call, each with its line feed.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.cells.take()
    }
}

impl fmt::Debug for TickLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickLines").field("symbols", &self.symbols).finish_non_exhaustive()
    }
}
