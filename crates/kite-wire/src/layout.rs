//! The bytes of each packet, field by field: views that need no copy and no alignment.
//!
//! Only layout and field access; which layout a packet has is decided in `packet.rs`.
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

            /// Views bytes of exactly this layout's length; any other length gives `None`.
            #[inline]
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<&Self> {
                Self::ref_from_bytes(bytes).ok()
            }

            /// Gives the bytes as the wire carries them.
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
    /// Full packet of an index: its quote packet and the exchange's time.
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
    /// Full packet of a tradable instrument: its quote packet, times, open interest and depth.
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
    /// Five levels of market depth on each side, the best first.
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
        /// Two bytes without a meaning; kept so that views give back the bytes they cover.
        padding: [u8; 2],
    }
}

impl LtpPacket {
    /// Gives the instrument token.
    #[inline]
    #[must_use]
    pub fn instrument_token(&self) -> u32 {
        self.instrument_token.get()
    }

    /// Gives the segment, which is in the token.
    #[inline]
    #[must_use]
    pub fn segment(&self) -> Segment {
        Segment::of_token(self.instrument_token())
    }

    /// Gives the last traded price.
    #[inline]
    #[must_use]
    pub fn last_price(&self) -> Price {
        self.price(self.last_price)
    }

    /// Gives a price field of this packet in the unit of its segment.
    #[inline]
    pub(crate) fn price(&self, raw: I32) -> Price {
        Price::new(raw.get(), self.segment())
    }
}

/// A richer packet starts with the bytes of the leaner one and answers for its fields too.
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
    /// Gives open, high, low and close of the day (close of the day before while trading).
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

    /// Gives the change since the close of the day before as the exchange sends it, whatever the
    /// close.
    #[inline]
    #[must_use]
    pub fn change(&self) -> Price {
        self.price(self.change)
    }

    /// Gives last price minus close in percent of the close. `None` if the close is 0.
    #[inline]
    #[must_use]
    pub fn change_percent(&self) -> Option<f64> {
        change::percent(self.last_price.get(), self.close.get())
    }
}

impl IndexFullPacket {
    /// Gives the exchange's time of this state.
    #[inline]
    #[must_use]
    pub fn exchange_timestamp(&self) -> Option<UnixSeconds> {
        UnixSeconds::from_wire(self.exchange_timestamp.get())
    }
}

impl QuotePacket {
    /// Gives the quantity of the last trade.
    #[inline]
    #[must_use]
    pub fn last_quantity(&self) -> u32 {
        self.last_quantity.get()
    }

    /// Gives the volume-weighted average price of the day.
    #[inline]
    #[must_use]
    pub fn average_price(&self) -> Price {
        self.price(self.average_price)
    }

    /// Gives the day's traded volume. 32 bits: whether larger volumes wrap is unknown.
    #[inline]
    #[must_use]
    pub fn volume(&self) -> u32 {
        self.volume.get()
    }

    /// Gives the quantity of all waiting buy orders.
    #[inline]
    #[must_use]
    pub fn total_buy_quantity(&self) -> u32 {
        self.total_buy_quantity.get()
    }

    /// Gives the quantity of all waiting sell orders.
    #[inline]
    #[must_use]
    pub fn total_sell_quantity(&self) -> u32 {
        self.total_sell_quantity.get()
    }

    /// Gives open, high, low and close of the day (close of the day before while trading).
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

    /// Gives last price minus close, exactly. `None` if the close is 0 or 32 bits cannot hold the
    /// difference.
    #[inline]
    #[must_use]
    pub fn change(&self) -> Option<Price> {
        let change = change::absolute(self.last_price.get(), self.close.get())?;
        Some(Price::new(change, self.segment()))
    }

    /// Gives last price minus close in percent of the close. `None` if the close is 0.
    #[inline]
    #[must_use]
    pub fn change_percent(&self) -> Option<f64> {
        change::percent(self.last_price.get(), self.close.get())
    }
}

impl FullPacket {
    /// Gives the time of the last trade.
    #[inline]
    #[must_use]
    pub fn last_trade_timestamp(&self) -> Option<UnixSeconds> {
        UnixSeconds::from_wire(self.last_trade_timestamp.get())
    }

    /// Gives the open interest.
    #[inline]
    #[must_use]
    pub fn open_interest(&self) -> u32 {
        self.open_interest.get()
    }

    /// Gives the day's highest open interest.
    #[inline]
    #[must_use]
    pub fn open_interest_high(&self) -> u32 {
        self.open_interest_high.get()
    }

    /// Gives the day's lowest open interest.
    #[inline]
    #[must_use]
    pub fn open_interest_low(&self) -> u32 {
        self.open_interest_low.get()
    }

    /// Gives the exchange's time of this state.
    #[inline]
    #[must_use]
    pub fn exchange_timestamp(&self) -> Option<UnixSeconds> {
        UnixSeconds::from_wire(self.exchange_timestamp.get())
    }

    /// Gives the market depth.
    #[inline]
    #[must_use]
    pub fn depth(&self) -> &Depth {
        &self.depth
    }

    /// Gives the best bid's price, if there is a bid.
    #[inline]
    #[must_use]
    pub fn best_bid(&self) -> Option<Price> {
        self.best(&self.depth.bids)
    }

    /// Gives the best ask's price, if there is an ask.
    #[inline]
    #[must_use]
    pub fn best_ask(&self) -> Option<Price> {
        self.best(&self.depth.asks)
    }

    /// Gives the distance from the best bid to the best ask, if both are there.
    #[inline]
    #[must_use]
    pub fn spread(&self) -> Option<Price> {
        let spread = self.best_ask()?.raw().checked_sub(self.best_bid()?.raw())?;
        Some(Price::new(spread, self.segment()))
    }

    #[inline]
    fn best(&self, side: &[DepthEntry; 5]) -> Option<Price> {
        // An empty level is all zeros; a price alone may be 0 or less in some contracts.
        let level = &side[0];
        (level.quantity() != 0).then(|| self.price(level.price))
    }
}

impl Depth {
    /// Gives the five bids, the best (highest) first. Empty levels have quantity 0.
    #[inline]
    #[must_use]
    pub fn bids(&self) -> &[DepthEntry; 5] {
        &self.bids
    }

    /// Gives the five asks, the best (lowest) first. Empty levels have quantity 0.
    #[inline]
    #[must_use]
    pub fn asks(&self) -> &[DepthEntry; 5] {
        &self.asks
    }

    /// Iterates over the bids that are there, the best (highest) first.
    #[inline]
    pub fn bid_levels(&self) -> impl DoubleEndedIterator<Item = &DepthEntry> + Clone {
        self.bids.iter().filter(|level| level.quantity() != 0)
    }

    /// Iterates over the asks that are there, the best (lowest) first.
    #[inline]
    pub fn ask_levels(&self) -> impl DoubleEndedIterator<Item = &DepthEntry> + Clone {
        self.asks.iter().filter(|level| level.quantity() != 0)
    }
}

impl DepthEntry {
    /// Gives the quantity waiting at this price.
    #[inline]
    #[must_use]
    pub fn quantity(&self) -> u32 {
        self.quantity.get()
    }

    /// Gives the level's price in the unit of the packet's segment.
    #[inline]
    #[must_use]
    pub fn price(&self, segment: Segment) -> Price {
        Price::new(self.price.get(), segment)
    }

    /// Gives the number of orders at this price.
    #[inline]
    #[must_use]
    pub fn orders(&self) -> u16 {
        self.orders.get()
    }
}
