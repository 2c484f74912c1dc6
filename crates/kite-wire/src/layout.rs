//! Views of each packet's bytes, field by field, without copies or alignment.
//!
//! Only layout and field access; `packet.rs` decides which layout a packet has.
#![expect(unnameable_types, reason = "zerocopy's derive makes one for every layout")]

use core::ops::Deref;

use zerocopy::byteorder::big_endian::{I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::change;
use crate::packet::Ohlc;
use crate::price::Price;
use crate::segment::Segment;
use crate::time::UnixSeconds;

/// Declares a packet layout and asserts its size.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident, $size:literal { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
            Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub(crate) $field: $ty,)*
        }

        const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 1);

        impl $name {
            /// The packet's length in bytes.
            pub const LEN: usize = $size;

            /// Views bytes of exactly this layout's length; `None` for any other length.
            #[inline]
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<&Self> {
                Self::ref_from_bytes(bytes).ok()
            }

            /// Returns the bytes as on the wire.
            #[inline]
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $size] {
                zerocopy::transmute_ref!(self)
            }
        }
    };
}

layout! {
    /// LTP packet of any segment, and the head of every other packet.
    LtpPacket, 8 {
        instrument_token: U32,
        last_price: I32,
    }
}

layout! {
    /// Quote packet of an index. Note the order: high, low, open, close.
    IndexQuotePacket, 28 {
        head: LtpPacket,
        high: I32,
        low: I32,
        open: I32,
        close: I32,
        change: I32,
    }
}

layout! {
    /// Full packet of an index, with its quote packet and the exchange timestamp.
    IndexFullPacket, 32 {
        quote: IndexQuotePacket,
        exchange_timestamp: U32,
    }
}

layout! {
    /// Quote packet of a tradable instrument.
    QuotePacket, 44 {
        head: LtpPacket,
        last_quantity: U32,
        average_price: I32,
        volume: U32,
        total_buy_quantity: U32,
        total_sell_quantity: U32,
        open: I32,
        high: I32,
        low: I32,
        close: I32,
    }
}

layout! {
    /// Full packet of a tradable instrument, with its quote packet, times, open interest and depth.
    FullPacket, 184 {
        quote: QuotePacket,
        last_trade_timestamp: U32,
        open_interest: U32,
        open_interest_high: U32,
        open_interest_low: U32,
        exchange_timestamp: U32,
        depth: Depth,
    }
}

layout! {
    /// Five levels of market depth on each side, from the best price to the worst.
    Depth, 120 {
        bids: [DepthEntry; 5],
        asks: [DepthEntry; 5],
    }
}

layout! {
    /// One level of market depth.
    DepthEntry, 12 {
        quantity: U32,
        price: I32,
        orders: U16,
        /// Two meaningless bytes, kept so that views return the bytes they cover.
        padding: [u8; 2],
    }
}

impl LtpPacket {
    /// Returns the instrument token.
    #[inline]
    #[must_use]
    pub fn instrument_token(&self) -> u32 {
        self.instrument_token.get()
    }

    /// Returns the segment, which the token encodes.
    #[inline]
    #[must_use]
    pub fn segment(&self) -> Segment {
        Segment::of_token(self.instrument_token())
    }

    /// Returns the last traded price.
    #[inline]
    #[must_use]
    pub fn last_price(&self) -> Price {
        self.price(self.last_price)
    }

    /// Returns a price field of this packet in the unit of its segment.
    #[inline]
    pub(crate) fn price(&self, raw: I32) -> Price {
        Price::new(raw.get(), self.segment())
    }
}

/// A larger packet starts with the bytes of the smaller one and dereferences to it.
macro_rules! starts_with {
    ($rich:ident, $field:ident: $lean:ident) => {
        impl Deref for $rich {
            type Target = $lean;

            #[inline]
            fn deref(&self) -> &$lean {
                &self.$field
            }
        }
    };
}

starts_with!(IndexQuotePacket, head: LtpPacket);
starts_with!(IndexFullPacket, quote: IndexQuotePacket);
starts_with!(QuotePacket, head: LtpPacket);
starts_with!(FullPacket, quote: QuotePacket);

impl IndexQuotePacket {
    /// Returns open, high, low and close of the day (the previous day's close while the market is
    /// open).
    #[inline]
    #[must_use]
    pub fn ohlc(&self) -> Ohlc {
        Ohlc {
            open: self.price(self.open),
            high: self.price(self.high),
            low: self.price(self.low),
            close: self.price(self.close),
        }
    }

    /// Returns the change since the previous day's close as sent by the exchange, even if the close
    /// is 0.
    #[inline]
    #[must_use]
    pub fn change(&self) -> Price {
        self.price(self.change)
    }

    /// Returns last price minus close in percent of the close. `None` if the close is 0.
    #[inline]
    #[must_use]
    pub fn change_percent(&self) -> Option<f64> {
        change::percent(self.last_price.get(), self.close.get())
    }
}

impl IndexFullPacket {
    /// Returns the exchange timestamp.
    #[inline]
    #[must_use]
    pub fn exchange_timestamp(&self) -> Option<UnixSeconds> {
        UnixSeconds::from_wire(self.exchange_timestamp.get())
    }
}

impl QuotePacket {
    /// Returns the quantity of the last trade.
    #[inline]
    #[must_use]
    pub fn last_quantity(&self) -> u32 {
        self.last_quantity.get()
    }

    /// Returns the volume-weighted average price of the day.
    #[inline]
    #[must_use]
    pub fn average_price(&self) -> Price {
        self.price(self.average_price)
    }

    /// Returns the day's traded volume, which has 32 bits. Whether larger volumes wrap is unknown.
    #[inline]
    #[must_use]
    pub fn volume(&self) -> u32 {
        self.volume.get()
    }

    /// Returns the total quantity of pending buy orders.
    #[inline]
    #[must_use]
    pub fn total_buy_quantity(&self) -> u32 {
        self.total_buy_quantity.get()
    }

    /// Returns the total quantity of pending sell orders.
    #[inline]
    #[must_use]
    pub fn total_sell_quantity(&self) -> u32 {
        self.total_sell_quantity.get()
    }

    /// Returns open, high, low and close of the day (the previous day's close while the market is
    /// open).
    #[inline]
    #[must_use]
    pub fn ohlc(&self) -> Ohlc {
        Ohlc {
            open: self.price(self.open),
            high: self.price(self.high),
            low: self.price(self.low),
            close: self.price(self.close),
        }
    }

    /// Returns last price minus close, exactly. `None` if the close is 0 or the difference does not
    /// fit in 32 bits.
    #[inline]
    #[must_use]
    pub fn change(&self) -> Option<Price> {
        let change = change::absolute(self.last_price.get(), self.close.get())?;
        Some(Price::new(change, self.segment()))
    }

    /// Returns last price minus close in percent of the close. `None` if the close is 0.
    #[inline]
    #[must_use]
    pub fn change_percent(&self) -> Option<f64> {
        change::percent(self.last_price.get(), self.close.get())
    }
}

impl FullPacket {
    /// Returns the time of the last trade.
    #[inline]
    #[must_use]
    pub fn last_trade_timestamp(&self) -> Option<UnixSeconds> {
        UnixSeconds::from_wire(self.last_trade_timestamp.get())
    }

    /// Returns the open interest.
    #[inline]
    #[must_use]
    pub fn open_interest(&self) -> u32 {
        self.open_interest.get()
    }

    /// Returns the day's highest open interest.
    #[inline]
    #[must_use]
    pub fn open_interest_high(&self) -> u32 {
        self.open_interest_high.get()
    }

    /// Returns the day's lowest open interest.
    #[inline]
    #[must_use]
    pub fn open_interest_low(&self) -> u32 {
        self.open_interest_low.get()
    }

    /// Returns the exchange timestamp.
    #[inline]
    #[must_use]
    pub fn exchange_timestamp(&self) -> Option<UnixSeconds> {
        UnixSeconds::from_wire(self.exchange_timestamp.get())
    }

    /// Returns the market depth.
    #[inline]
    #[must_use]
    pub fn depth(&self) -> &Depth {
        &self.depth
    }

    /// Returns the best bid's price, if there is a bid.
    #[inline]
    #[must_use]
    pub fn best_bid(&self) -> Option<Price> {
        self.best(&self.depth.bids)
    }

    /// Returns the best ask's price, if there is an ask.
    #[inline]
    #[must_use]
    pub fn best_ask(&self) -> Option<Price> {
        self.best(&self.depth.asks)
    }

    /// Returns the distance from the best bid to the best ask, if both exist.
    #[inline]
    #[must_use]
    pub fn spread(&self) -> Option<Price> {
        let spread = self.best_ask()?.raw().checked_sub(self.best_bid()?.raw())?;
        Some(Price::new(spread, self.segment()))
    }

    #[inline]
    fn best(&self, side: &[DepthEntry; 5]) -> Option<Price> {
        // Tests the quantity, because the prices of some contracts may be 0 or less.
        let level = &side[0];
        (level.quantity() != 0).then(|| self.price(level.price))
    }
}

impl Depth {
    /// Returns the five bids, the best (highest) first. Empty levels have quantity 0.
    #[inline]
    #[must_use]
    pub fn bids(&self) -> &[DepthEntry; 5] {
        &self.bids
    }

    /// Returns the five asks, the best (lowest) first. Empty levels have quantity 0.
    #[inline]
    #[must_use]
    pub fn asks(&self) -> &[DepthEntry; 5] {
        &self.asks
    }

    /// Iterates over the non-empty bids, the best (highest) first.
    #[inline]
    pub fn bid_levels(&self) -> impl DoubleEndedIterator<Item = &DepthEntry> + Clone {
        self.bids.iter().filter(|level| level.quantity() != 0)
    }

    /// Iterates over the non-empty asks, the best (lowest) first.
    #[inline]
    pub fn ask_levels(&self) -> impl DoubleEndedIterator<Item = &DepthEntry> + Clone {
        self.asks.iter().filter(|level| level.quantity() != 0)
    }
}

impl DepthEntry {
    /// Returns the quantity at this price.
    #[inline]
    #[must_use]
    pub fn quantity(&self) -> u32 {
        self.quantity.get()
    }

    /// Returns the level's price in the unit of the packet's segment.
    #[inline]
    #[must_use]
    pub fn price(&self, segment: Segment) -> Price {
        Price::new(self.price.get(), segment)
    }

    /// Returns the number of orders at this price.
    #[inline]
    #[must_use]
    pub fn orders(&self) -> u16 {
        self.orders.get()
    }
}
