//! An owned tick of plain integers, which outlive the frame and encode back to bytes.

use zerocopy::byteorder::big_endian::{I32, U16, U32};
use zerocopy::{FromBytes, IntoBytes, KnownLayout, Unaligned};

use crate::change;
use crate::error::EncodeError;
#[cfg(feature = "alloc")]
use crate::frame::Frame;
use crate::layout::{
    Depth, DepthEntry, FullPacket, IndexFullPacket, IndexQuotePacket, LtpPacket, QuotePacket,
};
use crate::packet::{Packet, PacketKind, PacketView};
use crate::price::Price;
#[cfg(feature = "alloc")]
use crate::scan::Scan;
use crate::segment::Segment;

/// One instrument's state, owned: `Copy`, without an allocation.
///
/// Integers are those of the wire: prices in the segment's smallest unit (see [`Tick::price`]),
/// timestamps in Unix seconds, 0 if absent. A tick therefore encodes to the bytes it was decoded
/// from, except for the padding of depth entries, which is written as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tick {
    /// Instrument token.
    pub instrument_token: u32,
    /// Last traded price, in the segment's smallest unit.
    pub last_price: i32,
    /// The other fields of the packet.
    pub fields: Fields,
}

/// The fields of a tick beyond token and last price, by packet layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Fields {
    /// LTP packet, which has no other fields.
    Ltp,
    /// Index in quote mode.
    IndexQuote(IndexFields),
    /// Index in full mode.
    IndexFull {
        /// Fields of the quote packet.
        quote: IndexFields,
        /// Exchange timestamp in Unix seconds, 0 if absent.
        exchange_timestamp: u32,
    },
    /// Tradable instrument in quote mode.
    Quote(QuoteFields),
    /// Tradable instrument in full mode.
    Full {
        /// Fields of the quote packet.
        quote: QuoteFields,
        /// Fields that only the full packet has.
        full: FullFields,
    },
}

/// Fields of an index packet, prices in the segment's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IndexFields {
    /// Highest price of the day.
    pub high: i32,
    /// Lowest price of the day.
    pub low: i32,
    /// First price of the day.
    pub open: i32,
    /// Previous day's close.
    pub close: i32,
    /// Absolute change, as sent by the exchange.
    pub change: i32,
}

/// Fields of a quote packet, prices in the segment's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct QuoteFields {
    /// Quantity of the last trade.
    pub last_quantity: u32,
    /// Volume-weighted average price of the day.
    pub average_price: i32,
    /// Day's traded volume.
    pub volume: u32,
    /// Total quantity of pending buy orders.
    pub total_buy_quantity: u32,
    /// Total quantity of pending sell orders.
    pub total_sell_quantity: u32,
    /// First price of the day.
    pub open: i32,
    /// Highest price of the day.
    pub high: i32,
    /// Lowest price of the day.
    pub low: i32,
    /// Previous day's close.
    pub close: i32,
}

/// Fields that only a full packet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FullFields {
    /// Time of the last trade in Unix seconds, 0 if absent.
    pub last_trade_timestamp: u32,
    /// Open interest.
    pub open_interest: u32,
    /// Day's highest open interest.
    pub open_interest_high: u32,
    /// Day's lowest open interest.
    pub open_interest_low: u32,
    /// Exchange timestamp in Unix seconds, 0 if absent.
    pub exchange_timestamp: u32,
    /// Five bids, from the highest price to the lowest.
    pub bids: [DepthLevel; 5],
    /// Five asks, from the lowest price to the highest.
    pub asks: [DepthLevel; 5],
}

/// One level of market depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DepthLevel {
    /// Quantity at this price.
    pub quantity: u32,
    /// Price in the segment's smallest unit.
    pub price: i32,
    /// Number of orders at this price.
    pub orders: u16,
}

impl Tick {
    /// Returns the segment, which the token encodes.
    #[inline]
    #[must_use]
    pub const fn segment(&self) -> Segment {
        Segment::of_token(self.instrument_token)
    }

    /// Returns the last traded price in rupees.
    #[inline]
    #[must_use]
    pub const fn last_price(&self) -> Price {
        self.price(self.last_price)
    }

    /// Converts one of this tick's integer prices to rupees.
    #[inline]
    #[must_use]
    pub const fn price(&self, raw: i32) -> Price {
        Price::new(raw, self.segment())
    }

    /// Returns the layout of the packet this tick came from or encodes to.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> PacketKind {
        match self.fields {
            Fields::Ltp => PacketKind::Ltp,
            Fields::IndexQuote(_) => PacketKind::IndexQuote,
            Fields::IndexFull { .. } => PacketKind::IndexFull,
            Fields::Quote(_) => PacketKind::Quote,
            Fields::Full { .. } => PacketKind::Full,
        }
    }

    /// Returns the quote fields (quote and full ticks).
    #[inline]
    #[must_use]
    pub const fn quote(&self) -> Option<&QuoteFields> {
        match &self.fields {
            Fields::Quote(quote) | Fields::Full { quote, .. } => Some(quote),
            _ => None,
        }
    }

    /// Returns the fields of a full packet.
    #[inline]
    #[must_use]
    pub const fn full(&self) -> Option<&FullFields> {
        match &self.fields {
            Fields::Full { full, .. } => Some(full),
            _ => None,
        }
    }

    /// Returns the index fields (index ticks in quote or full mode).
    #[inline]
    #[must_use]
    pub const fn index(&self) -> Option<&IndexFields> {
        match &self.fields {
            Fields::IndexQuote(quote) | Fields::IndexFull { quote, .. } => Some(quote),
            _ => None,
        }
    }

    /// Returns the change since the previous day's close. For an index this is the value sent by
    /// the exchange, even if the close is 0; otherwise last price minus close.
    ///
    /// `None` for LTP ticks and, other than for an index, if the close is 0 or the difference does
    /// not fit in 32 bits.
    #[inline]
    #[must_use]
    pub const fn change(&self) -> Option<Price> {
        let raw = match &self.fields {
            Fields::IndexQuote(index) | Fields::IndexFull { quote: index, .. } => {
                Some(index.change)
            }
            Fields::Quote(quote) | Fields::Full { quote, .. } => {
                change::absolute(self.last_price, quote.close)
            }
            Fields::Ltp => None,
        };
        match raw {
            Some(raw) => Some(self.price(raw)),
            None => None,
        }
    }

    /// Returns last price minus close in percent of the close, also for an index.
    ///
    /// `None` for LTP ticks and if the close is 0.
    #[inline]
    #[must_use]
    pub fn change_percent(&self) -> Option<f64> {
        let close = match &self.fields {
            Fields::IndexQuote(index) | Fields::IndexFull { quote: index, .. } => index.close,
            Fields::Quote(quote) | Fields::Full { quote, .. } => quote.close,
            Fields::Ltp => return None,
        };
        change::percent(self.last_price, close)
    }

    /// Writes the packet, without its length prefix, to the start of `out` and returns its length.
    ///
    /// # Errors
    /// Returns [`EncodeError::BufferFull`] if `out` is shorter than the packet; nothing is written.
    #[inline]
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let head = LtpPacket {
            instrument_token: U32::new(self.instrument_token),
            last_price: I32::new(self.last_price),
        };
        match &self.fields {
            Fields::Ltp => write(out, |packet| *packet = head),
            Fields::IndexQuote(quote) => write(out, |packet| *packet = quote.packet(head)),
            Fields::IndexFull { quote, exchange_timestamp } => write(out, |packet| {
                *packet = IndexFullPacket {
                    quote: quote.packet(head),
                    exchange_timestamp: U32::new(*exchange_timestamp),
                };
            }),
            Fields::Quote(quote) => write(out, |packet| *packet = quote.packet(head)),
            Fields::Full { quote, full } => write(out, |packet| full.write(quote, head, packet)),
        }
    }
}

/// Writes a packet of layout `P` to the start of `out` and returns its length.
#[inline]
fn write<P>(out: &mut [u8], fill: impl FnOnce(&mut P)) -> Result<usize, EncodeError>
where
    P: FromBytes + IntoBytes + KnownLayout + Unaligned,
{
    let (needed, free) = (size_of::<P>(), out.len());
    let room = out.get_mut(..needed).and_then(|room| P::mut_from_bytes(room).ok());
    fill(room.ok_or(EncodeError::BufferFull { needed, free })?);
    Ok(needed)
}

impl From<Packet<'_>> for Tick {
    // Always inlined, so that a loop which reads three fields decodes only those.
    #[inline(always)]
    fn from(packet: Packet<'_>) -> Self {
        match packet.view() {
            PacketView::Full(full) => full.into(),
            PacketView::Quote(quote) => quote.into(),
            PacketView::IndexFull(index) => index.into(),
            PacketView::IndexQuote(index) => index.into(),
            PacketView::Ltp(ltp) => ltp.into(),
        }
    }
}

#[cfg(feature = "alloc")]
impl Frame<'_> {
    /// Decodes all packets of known length and appends them to `ticks`.
    ///
    /// The fastest way to own the ticks of a frame. [`Scan::append_ticks`] does the same in the
    /// pass that walks the frame.
    pub fn append_ticks(&self, ticks: &mut alloc::vec::Vec<Tick>) {
        ticks.reserve(self.packets().len());
        let _ = Scan::new(self.as_bytes()).append_ticks(ticks);
    }
}

#[cfg(feature = "alloc")]
impl<'a> Scan<'a> {
    /// Decodes the remaining packets of known length, appends them to `ticks`, and returns the
    /// checked frame.
    pub fn append_ticks(mut self, ticks: &mut alloc::vec::Vec<Tick>) -> Frame<'a> {
        while let Some(run) = self.next_run() {
            run.append_to(ticks);
        }
        self.finish()
    }
}

/// Decodes a packet of one layout.
macro_rules! tick_from {
    ($layout:ident, $packet:ident => $fields:expr) => {
        impl From<&$layout> for Tick {
            #[inline(always)]
            fn from($packet: &$layout) -> Self {
                Self {
                    instrument_token: $packet.instrument_token(),
                    last_price: $packet.last_price().raw(),
                    fields: $fields,
                }
            }
        }
    };
}

tick_from!(LtpPacket, packet => Fields::Ltp);
tick_from!(IndexQuotePacket, packet => Fields::IndexQuote(packet.into()));
tick_from!(IndexFullPacket, packet => Fields::IndexFull {
    quote: IndexFields::from(&packet.quote),
    exchange_timestamp: packet.exchange_timestamp.get(),
});
tick_from!(QuotePacket, packet => Fields::Quote(packet.into()));
tick_from!(FullPacket, packet => Fields::Full {
    quote: QuoteFields::from(&packet.quote),
    full: FullFields::from(packet),
});

impl From<&IndexQuotePacket> for IndexFields {
    #[inline(always)]
    fn from(packet: &IndexQuotePacket) -> Self {
        Self {
            high: packet.high.get(),
            low: packet.low.get(),
            open: packet.open.get(),
            close: packet.close.get(),
            change: packet.change.get(),
        }
    }
}

impl IndexFields {
    fn packet(&self, head: LtpPacket) -> IndexQuotePacket {
        IndexQuotePacket {
            head,
            high: I32::new(self.high),
            low: I32::new(self.low),
            open: I32::new(self.open),
            close: I32::new(self.close),
            change: I32::new(self.change),
        }
    }
}

impl From<&QuotePacket> for QuoteFields {
    #[inline(always)]
    fn from(packet: &QuotePacket) -> Self {
        Self {
            last_quantity: packet.last_quantity.get(),
            average_price: packet.average_price.get(),
            volume: packet.volume.get(),
            total_buy_quantity: packet.total_buy_quantity.get(),
            total_sell_quantity: packet.total_sell_quantity.get(),
            open: packet.open.get(),
            high: packet.high.get(),
            low: packet.low.get(),
            close: packet.close.get(),
        }
    }
}

impl QuoteFields {
    #[inline]
    fn packet(&self, head: LtpPacket) -> QuotePacket {
        QuotePacket {
            head,
            last_quantity: U32::new(self.last_quantity),
            average_price: I32::new(self.average_price),
            volume: U32::new(self.volume),
            total_buy_quantity: U32::new(self.total_buy_quantity),
            total_sell_quantity: U32::new(self.total_sell_quantity),
            open: I32::new(self.open),
            high: I32::new(self.high),
            low: I32::new(self.low),
            close: I32::new(self.close),
        }
    }
}

impl From<&FullPacket> for FullFields {
    #[inline(always)]
    fn from(packet: &FullPacket) -> Self {
        Self {
            last_trade_timestamp: packet.last_trade_timestamp.get(),
            open_interest: packet.open_interest.get(),
            open_interest_high: packet.open_interest_high.get(),
            open_interest_low: packet.open_interest_low.get(),
            exchange_timestamp: packet.exchange_timestamp.get(),
            bids: levels(&packet.depth.bids),
            asks: levels(&packet.depth.asks),
        }
    }
}

/// Written out, because `map` would build the array elsewhere and copy it.
#[inline(always)]
fn levels([a, b, c, d, e]: &[DepthEntry; 5]) -> [DepthLevel; 5] {
    [a.into(), b.into(), c.into(), d.into(), e.into()]
}

impl FullFields {
    // Not inlined: the compiler knows that a function's arguments do not overlap, and stores each
    // field as soon as it is loaded.
    #[inline(never)]
    fn write(&self, quote: &QuoteFields, head: LtpPacket, packet: &mut FullPacket) {
        *packet = FullPacket {
            quote: quote.packet(head),
            last_trade_timestamp: U32::new(self.last_trade_timestamp),
            open_interest: U32::new(self.open_interest),
            open_interest_high: U32::new(self.open_interest_high),
            open_interest_low: U32::new(self.open_interest_low),
            exchange_timestamp: U32::new(self.exchange_timestamp),
            depth: Depth {
                bids: self.bids.each_ref().map(DepthLevel::entry),
                asks: self.asks.each_ref().map(DepthLevel::entry),
            },
        };
    }
}

impl From<&DepthEntry> for DepthLevel {
    #[inline(always)]
    fn from(entry: &DepthEntry) -> Self {
        Self {
            quantity: entry.quantity.get(),
            price: entry.price.get(),
            orders: entry.orders.get(),
        }
    }
}

impl DepthLevel {
    #[inline]
    fn entry(&self) -> DepthEntry {
        DepthEntry {
            quantity: U32::new(self.quantity),
            price: I32::new(self.price),
            orders: U16::new(self.orders),
            padding: [0; 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_packet_decodes_and_encodes_to_the_same_bytes(
            bytes in prop::sample::select(&[8_usize, 28, 32, 44, 184][..])
                .prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len)),
        ) {
            let packet = Packet::from_bytes(&bytes).unwrap();
            let tick = Tick::from(packet);
            prop_assert_eq!(tick.change(), packet.change());
            prop_assert_eq!(tick.change_percent(), packet.change_percent());
            let mut encoded = [0_u8; 184];
            let len = tick.encode(&mut encoded).unwrap();
            prop_assert_eq!(len, bytes.len());
            let mut expected = bytes;
            if len == FullPacket::LEN {
                for entry in expected[64..].chunks_exact_mut(12) {
                    entry[10..].fill(0);
                }
            }
            prop_assert_eq!(&encoded[..len], &expected[..]);
            prop_assert_eq!(Tick::from(Packet::from_bytes(&encoded[..len]).unwrap()), tick);
        }
    }

    #[test]
    fn a_short_buffer_is_rejected_with_both_sizes() {
        let tick = Tick { instrument_token: 1, last_price: 2, fields: Fields::Ltp };
        assert_eq!(tick.encode(&mut [0; 7]), Err(EncodeError::BufferFull { needed: 8, free: 7 }));
    }
}
