//! Zero-copy views of packets with public fields, under their old names.
//!
//! They view the same bytes as `kite_wire`'s views. Prices are integers in the segment's smallest
//! unit (divide by 10,000,000 for CDS, by 10,000 for BCD and NCO, else by 100). Times are Unix
//! seconds, 0 if absent. Fields are big-endian, so read them with `.get()`.
#![expect(
    unnameable_types,
    missing_debug_implementations,
    reason = "zerocopy's derive generates such types for every view and its public fields"
)]

use zerocopy::byteorder::big_endian::{I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Length of a full packet, in bytes.
pub const TICK_FULL_SIZE: usize = 184;

/// Length of an index packet with exchange time, in bytes.
pub const INDEX_QUOTE_SIZE: usize = 32;

/// Length of the part of a full packet before the depth, in bytes.
pub const INST_HEADER_SIZE: usize = 64;

/// Declares a view and asserts its size.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident, $size:expr, { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout,
            Immutable, Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 1);
    };
}

view! {
    /// Full packet of a tradable instrument.
    TickRaw, TICK_FULL_SIZE, {
        /// Everything before the depth.
        header: TickHeaderRaw,
        /// Market depth.
        depth: DepthRaw,
    }
}

view! {
    /// First 64 bytes of a full packet.
    TickHeaderRaw, INST_HEADER_SIZE, {
        /// Instrument token.
        instrument_token: U32,
        /// Last traded price.
        last_price: I32,
        /// Quantity of the last trade.
        last_traded_qty: U32,
        /// Average traded price of the day, weighted by volume.
        avg_traded_price: I32,
        /// Volume traded today.
        volume_traded: U32,
        /// Total quantity of pending buy orders.
        total_buy_qty: U32,
        /// Total quantity of pending sell orders.
        total_sell_qty: U32,
        /// Open, high, low and close: four big-endian `i32`.
        ohlc_be: [u8; 16],
        /// Time of the last trade.
        last_traded_ts: U32,
        /// Open interest.
        oi: U32,
        /// Highest open interest of the day.
        oi_day_high: U32,
        /// Lowest open interest of the day.
        oi_day_low: U32,
        /// Exchange timestamp.
        exchange_ts: U32,
    }
}

view! {
    /// Five levels of market depth on each side, best first.
    DepthRaw, 120, {
        /// Bids, highest first.
        buy: [DepthItemRaw; 5],
        /// Asks, lowest first.
        sell: [DepthItemRaw; 5],
    }
}

view! {
    /// One level of market depth.
    DepthItemRaw, 12, {
        /// Pending quantity at this price; 0 for an empty level.
        qty: U32,
        /// Price.
        price: I32,
        /// Number of orders at this price.
        orders: U16,
        /// Two bytes of padding.
        _pad: U16,
    }
}

view! {
    /// Full packet of an index. The order of prices is high, low, open, close.
    IndexQuoteRaw32, INDEX_QUOTE_SIZE, {
        /// Instrument token.
        token: U32,
        /// Last price.
        ltp: I32,
        /// Highest price of the day.
        high: I32,
        /// Lowest price of the day.
        low: I32,
        /// Opening price of the day.
        open: I32,
        /// Close of the previous day.
        close: I32,
        /// Absolute change, as the exchange sends it.
        price_change: I32,
        /// Exchange timestamp.
        exch_ts: U32,
    }
}

view! {
    /// First 64 bytes of a full packet, with open, high, low and close as separate fields.
    InstHeaderRaw64, INST_HEADER_SIZE, {
        /// Instrument token.
        instrument_token: U32,
        /// Last traded price.
        ltp: I32,
        /// Quantity of the last trade.
        ltq: U32,
        /// Average traded price of the day, weighted by volume.
        atp: I32,
        /// Volume traded today.
        vol: U32,
        /// Total quantity of pending buy orders.
        tbq: U32,
        /// Total quantity of pending sell orders.
        tsq: U32,
        /// Opening price of the day.
        open: I32,
        /// Highest price of the day.
        high: I32,
        /// Lowest price of the day.
        low: I32,
        /// Close of the previous day.
        close: I32,
        /// Time of the last trade.
        last_traded_ts: U32,
        /// Open interest.
        oi: U32,
        /// Highest open interest of the day.
        oi_day_high: U32,
        /// Lowest open interest of the day.
        oi_day_low: U32,
        /// Exchange timestamp.
        exch_ts: U32,
    }
}

/// Views the bytes of a full packet, without its length prefix; `None` unless the length is
/// [`TICK_FULL_SIZE`].
///
/// The length alone determines the layout, in every segment.
#[inline]
#[must_use]
pub fn as_tick_raw(packet: &[u8]) -> Option<&TickRaw> {
    TickRaw::ref_from_bytes(packet).ok()
}

/// Views the bytes of an index packet with exchange time; `None` unless the length is
/// [`INDEX_QUOTE_SIZE`].
#[inline]
#[must_use]
pub fn as_index_quote_32(packet: &[u8]) -> Option<&IndexQuoteRaw32> {
    IndexQuoteRaw32::ref_from_bytes(packet).ok()
}

/// Views the part of a full packet before the depth (`&packet[..64]`); `None` unless the length is
/// [`INST_HEADER_SIZE`]. No known packet has this length itself.
#[inline]
#[must_use]
pub fn as_inst_header_64(header: &[u8]) -> Option<&InstHeaderRaw64> {
    InstHeaderRaw64::ref_from_bytes(header).ok()
}

/// Returns the bytes of a full packet as an array; `None` unless the length is
/// [`TICK_FULL_SIZE`].
#[inline]
#[must_use]
pub fn tick_as_184(packet: &[u8]) -> Option<&[u8; TICK_FULL_SIZE]> {
    packet.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The word at byte `at` is `at + 1`, so each field's value shows its offset.
    fn numbered(length: usize) -> Vec<u8> {
        (0..length as u32).step_by(4).flat_map(|at| (at + 1).to_be_bytes()).collect()
    }

    #[test]
    fn fields_have_the_offsets_of_the_protocol() {
        let bytes = numbered(184);
        let TickRaw { header, depth } = as_tick_raw(&bytes).unwrap();
        let words = [
            header.instrument_token.get(),
            header.last_traded_qty.get(),
            header.volume_traded.get(),
            header.total_buy_qty.get(),
            header.total_sell_qty.get(),
            header.last_traded_ts.get(),
            header.oi.get(),
            header.oi_day_high.get(),
            header.oi_day_low.get(),
            header.exchange_ts.get(),
        ];
        assert_eq!(words, [1, 9, 17, 21, 25, 45, 49, 53, 57, 61]);
        assert_eq!((header.last_price.get(), header.avg_traded_price.get()), (5, 13));
        assert_eq!(header.ohlc_be, bytes[28..44]);
        for (at, item) in depth.buy.iter().chain(&depth.sell).enumerate() {
            let start = 64 + 12 * at as u32;
            assert_eq!(item.qty.get(), start + 1);
            assert_eq!(item.price.get(), start as i32 + 5);
            assert_eq!((item.orders.get(), item._pad.get()), (0, start as u16 + 9));
        }
        assert_eq!(TickRaw { header: *header, depth: *depth }.as_bytes(), bytes);

        let header = as_inst_header_64(&bytes[..64]).unwrap();
        let words = [
            header.instrument_token.get(),
            header.ltq.get(),
            header.vol.get(),
            header.tbq.get(),
            header.tsq.get(),
            header.last_traded_ts.get(),
            header.oi.get(),
            header.oi_day_high.get(),
            header.oi_day_low.get(),
            header.exch_ts.get(),
        ];
        assert_eq!(words, [1, 9, 17, 21, 25, 45, 49, 53, 57, 61]);
        let prices = [header.ltp, header.atp, header.open, header.high, header.low, header.close];
        assert_eq!(prices.map(I32::get), [5, 13, 29, 33, 37, 41]);

        let index = as_index_quote_32(&bytes[..32]).unwrap();
        assert_eq!((index.token.get(), index.exch_ts.get()), (1, 29));
        let prices =
            [index.ltp, index.high, index.low, index.open, index.close, index.price_change];
        assert_eq!(prices.map(I32::get), [5, 9, 13, 17, 21, 25]);
    }

    #[test]
    fn the_views_agree_with_the_codec() {
        let bytes = numbered(184);
        let wire = kite_wire::FullPacket::from_bytes(&bytes).unwrap();
        let raw = as_tick_raw(&bytes).unwrap();
        assert_eq!(raw.header.instrument_token.get(), wire.instrument_token());
        assert_eq!(raw.header.last_price.get(), wire.last_price().raw());
        assert_eq!(raw.header.oi_day_low.get(), wire.open_interest_low());
        assert_eq!(raw.header.exchange_ts.get(), wire.exchange_timestamp().unwrap().get());
        assert_eq!(raw.depth.sell[4].qty.get(), wire.depth().asks()[4].quantity());
        let ohlc = wire.ohlc();
        let prices = [ohlc.open, ohlc.high, ohlc.low, ohlc.close];
        assert_eq!(raw.header.ohlc_be, *prices.map(|price| I32::new(price.raw())).as_bytes());
    }

    #[test]
    fn only_the_exact_length_is_viewed_at_any_alignment() {
        let bytes = numbered(200);
        for start in 0..4 {
            for length in 0..=190 {
                let slice = &bytes[start..start + length];
                assert_eq!(as_tick_raw(slice).is_some(), length == TICK_FULL_SIZE);
                assert_eq!(as_index_quote_32(slice).is_some(), length == INDEX_QUOTE_SIZE);
                assert_eq!(as_inst_header_64(slice).is_some(), length == INST_HEADER_SIZE);
                assert_eq!(tick_as_184(slice).is_some(), length == TICK_FULL_SIZE);
            }
        }
        let packet = &bytes[1..185];
        assert_eq!(tick_as_184(packet).map(|array| array.as_ptr()), Some(packet.as_ptr()));
    }
}
