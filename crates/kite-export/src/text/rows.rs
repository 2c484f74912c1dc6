//! Rows as cells in the order of the columns, for every text format.

use kite_wire::tape::Received;
use kite_wire::{DepthEntry, FullPacket, IndexQuotePacket, Packet, QuotePacket, Segment};

use super::cells::Cells;
use crate::column::{DEPTH_LEVELS, segment_name};
#[cfg(feature = "files")]
use crate::table::Event;

/// Writes a row of ticks. `symbol` is `None` if there is no such column.
pub(super) fn write_tick<C: Cells>(
    cells: &mut C,
    received: Received,
    packet: Packet<'_>,
    symbol: Option<Option<&str>>,
    depth: bool,
) {
    let (quote, full, ohlc) = (packet.quote(), packet.full(), packet.ohlc());
    let segment = packet.segment();
    cells.begin();
    cells.nanoseconds(Some(received.recv_unix_ns));
    cells.number(Some(received.source.account.into()));
    cells.number(Some(received.source.connection.into()));
    cells.number(Some(packet.instrument_token().into()));
    if let Some(symbol) = symbol {
        cells.text(symbol);
    }
    cells.text(Some(&segment_name(segment)));
    cells.text(Some(packet.mode().as_str()));
    cells.price(Some(packet.last_price()));
    let number = |field: fn(&QuotePacket) -> u32| quote.map(|it| field(it).into());
    cells.number(number(QuotePacket::last_quantity));
    cells.price(quote.map(QuotePacket::average_price));
    cells.number(number(QuotePacket::volume));
    cells.number(number(QuotePacket::total_buy_quantity));
    cells.number(number(QuotePacket::total_sell_quantity));
    cells.price(ohlc.map(|it| it.open));
    cells.price(ohlc.map(|it| it.high));
    cells.price(ohlc.map(|it| it.low));
    cells.price(ohlc.map(|it| it.close));
    cells.price(packet.index().map(IndexQuotePacket::change));
    cells.seconds(packet.last_trade_timestamp());
    let number = |field: fn(&FullPacket) -> u32| full.map(|it| field(it).into());
    cells.number(number(FullPacket::open_interest));
    cells.number(number(FullPacket::open_interest_high));
    cells.number(number(FullPacket::open_interest_low));
    cells.seconds(packet.exchange_timestamp());
    if depth {
        let depth = full.map(FullPacket::depth);
        write_side(cells, depth.map(|it| it.bids()), segment);
        write_side(cells, depth.map(|it| it.asks()), segment);
    }
    cells.end();
}

fn write_side<C: Cells>(
    cells: &mut C,
    side: Option<&[DepthEntry; DEPTH_LEVELS]>,
    segment: Segment,
) {
    for index in 0..DEPTH_LEVELS {
        let level = side.map(|levels| &levels[index]);
        cells.price(level.map(|it| it.price(segment)));
        cells.number(level.map(|it| it.quantity().into()));
        cells.number(level.map(|it| it.orders().into()));
    }
}

/// Writes a row of events.
#[cfg(feature = "files")]
pub(super) fn write_event(cells: &mut dyn Cells, event: &Event<'_>) {
    cells.begin();
    cells.nanoseconds(event.recv_unix_ns);
    cells.number(event.source.map(|source| source.account.into()));
    cells.number(event.source.map(|source| source.connection.into()));
    cells.text(Some(event.kind));
    cells.text(event.reason.as_deref());
    cells.nanoseconds(event.from_unix_ns);
    cells.nanoseconds(event.to_unix_ns);
    cells.number(event.frames);
    cells.text(event.text.as_deref());
    cells.end();
}
