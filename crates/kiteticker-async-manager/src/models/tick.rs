//! A tick in rupees, with float prices and optional fields for data that its mode does not carry.
//!
//! `kite_wire::Tick` is the exact type, with the wire's integers.

use std::time::Duration;

use kite_wire::{
    DepthEntry, FullPacket, IndexQuotePacket, Ohlc, Packet, PacketError, PacketView, Price,
    QuotePacket, Segment, UnixSeconds,
};
use serde::{Deserialize, Serialize};

use crate::models::{Exchange, Mode};

/// The state of one instrument, with prices in rupees.
///
/// The packet determines which fields are `Some`:
///
/// | packet | fields |
/// |---|---|
/// | [`Mode::LTP`] | `last_price` |
/// | [`Mode::Quote`] of an index | also `ohlc`, `net_change` |
/// | [`Mode::Full`] of an index | also `exchange_timestamp` |
/// | [`Mode::Quote`] | all except timestamps, open interest and depth |
/// | [`Mode::Full`] | all |
///
/// Times that the server sends as 0 are `None`, and so is `net_change` if the close is 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Mode of the packet.
    pub mode: Mode,
    /// Instrument token.
    pub instrument_token: u32,
    /// Exchange segment, derived from the token.
    pub exchange: Exchange,
    /// Whether the instrument can be traded: true except for indices.
    pub is_tradable: bool,
    /// Whether the instrument is an index.
    pub is_index: bool,
    /// Quantity of the last trade.
    pub last_traded_qty: Option<u32>,
    /// Average traded price of the day, weighted by volume.
    pub avg_traded_price: Option<f64>,
    /// Last traded price; present in every packet.
    pub last_price: Option<f64>,
    /// Volume traded today. The wire has 32 bits; whether larger volumes wrap is unknown.
    pub volume_traded: Option<u32>,
    /// Total quantity of pending buy orders.
    pub total_buy_qty: Option<u32>,
    /// Total quantity of pending sell orders.
    pub total_sell_qty: Option<u32>,
    /// Open, high, low and close of the day.
    pub ohlc: Option<OHLC>,
    /// Time of the last trade, since the Unix epoch.
    pub last_traded_timestamp: Option<Duration>,
    /// Open interest.
    pub oi: Option<u32>,
    /// Highest open interest of the day.
    pub oi_day_high: Option<u32>,
    /// Lowest open interest of the day.
    pub oi_day_low: Option<u32>,
    /// Exchange timestamp of this state, since the Unix epoch.
    pub exchange_timestamp: Option<Duration>,
    /// Absolute change since the previous close, in rupees: as sent by the exchange for an index,
    /// else last price minus close.
    pub net_change: Option<f64>,
    /// Market depth.
    pub depth: Option<Depth>,
}

/// A tick with its instrument token; the item of a [`TickBatch`](crate::TickBatch).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TickMessage {
    /// Instrument token, the same as in `content`.
    pub instrument_token: u32,
    /// The tick.
    pub content: Tick,
}

/// Open, high, low and close, in rupees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct OHLC {
    /// Opening price of the day.
    pub open: f64,
    /// Highest price of the day.
    pub high: f64,
    /// Lowest price of the day.
    pub low: f64,
    /// Closing price (of the previous day during trading).
    pub close: f64,
}

/// Five levels of market depth on each side, best first. Empty levels have `qty` 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Depth {
    /// Bids, highest first.
    pub buy: [DepthItem; 5],
    /// Asks, lowest first.
    pub sell: [DepthItem; 5],
}

/// One level of market depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DepthItem {
    /// Pending quantity at this price.
    pub qty: u32,
    /// Price in rupees.
    pub price: f64,
    /// Number of orders at this price.
    pub orders: u16,
}

/// Bytes that are not a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTickError {
    /// No packet has this length.
    #[error(
        "packet of {length} bytes; known lengths are 8, 28, 32, 44 and 184: \
         pass one packet without its length prefix"
    )]
    UnknownLength {
        /// The actual length, in bytes.
        length: usize,
    },
}

impl From<PacketError> for ParseTickError {
    fn from(error: PacketError) -> Self {
        Self::UnknownLength { length: error.length }
    }
}

impl TryFrom<&[u8]> for Tick {
    type Error = ParseTickError;

    /// Reads one packet, without its length prefix.
    ///
    /// # Errors
    /// Returns [`ParseTickError::UnknownLength`] if no packet has this length.
    fn try_from(packet: &[u8]) -> Result<Self, ParseTickError> {
        Ok(Packet::from_bytes(packet)?.into())
    }
}

impl From<Packet<'_>> for Tick {
    /// Reads the packet's bytes directly, because an intermediate `kite_wire::Tick` would double
    /// the cost.
    #[inline(always)]
    fn from(packet: Packet<'_>) -> Self {
        match packet.view() {
            PacketView::Full(full) => Self::of(packet, Some(full), Some(full), None, None),
            PacketView::Quote(quote) => Self::of(packet, Some(quote), None, None, None),
            PacketView::IndexFull(index) => {
                Self::of(packet, None, None, Some(index), index.exchange_timestamp())
            }
            PacketView::IndexQuote(index) => Self::of(packet, None, None, Some(index), None),
            // For an LTP packet, or a layout added by a later kite-wire, only the last price is
            // known.
            _ => Self::of(packet, None, None, None, None),
        }
    }
}

impl From<kite_wire::Tick> for Tick {
    fn from(wire: kite_wire::Tick) -> Self {
        let mut bytes = [0; size_of::<FullPacket>()];
        let packet = wire.encode(&mut bytes).ok().and_then(|length| bytes.get(..length));
        let tick = packet.and_then(|packet| Self::try_from(packet).ok());
        // A layout added by a later kite-wire could be larger than a full packet.
        tick.unwrap_or_else(|| Self { instrument_token: wire.instrument_token, ..Self::default() })
    }
}

/// Converts prices of one instrument to rupees, as [`Price::to_f64`] does.
#[derive(Clone, Copy)]
struct Rupees {
    divisor: f64,
}

impl Rupees {
    #[inline(always)]
    fn of(self, price: Price) -> f64 {
        f64::from(price.raw()) / self.divisor
    }

    #[inline(always)]
    fn of_ohlc(self, ohlc: Ohlc) -> OHLC {
        OHLC {
            open: self.of(ohlc.open),
            high: self.of(ohlc.high),
            low: self.of(ohlc.low),
            close: self.of(ohlc.close),
        }
    }
}

impl Tick {
    /// Fills in the fields that the packet's layout has.
    ///
    /// Inlined for each layout, so that the layout is not matched once per field. The struct is
    /// built in a single expression, because each copy of a tick would add a tenth to the cost.
    #[inline(always)]
    fn of(
        packet: Packet<'_>,
        quote: Option<&QuotePacket>,
        full: Option<&FullPacket>,
        index: Option<&IndexQuotePacket>,
        index_time: Option<UnixSeconds>,
    ) -> Self {
        let (segment, last_price) = (packet.segment(), packet.last_price());
        // Looked up once for all prices, because the lookup costs more than the division.
        let rupees = Rupees { divisor: f64::from(last_price.divisor()) };
        let ohlc = quote.map(|quote| quote.ohlc()).or(index.map(|index| index.ohlc()));
        // Subtracts before dividing, because the difference of integers is exact, while that of
        // floats is not.
        let change = |quote: &QuotePacket| {
            let close = quote.ohlc().close.raw();
            let change = i64::from(last_price.raw()) - i64::from(close);
            (close != 0).then(|| change as f64 / rupees.divisor)
        };
        let item = |level: &DepthEntry| DepthItem {
            qty: level.quantity(),
            price: rupees.of(level.price(segment)),
            orders: level.orders(),
        };
        let side =
            |[a, b, c, d, e]: &[DepthEntry; 5]| [item(a), item(b), item(c), item(d), item(e)];
        Self {
            mode: packet.mode().into(),
            instrument_token: packet.instrument_token(),
            exchange: segment.into(),
            is_tradable: segment.is_tradable(),
            is_index: segment == Segment::Indices,
            last_traded_qty: quote.map(QuotePacket::last_quantity),
            avg_traded_price: quote.map(|quote| rupees.of(quote.average_price())),
            last_price: Some(rupees.of(last_price)),
            volume_traded: quote.map(QuotePacket::volume),
            total_buy_qty: quote.map(QuotePacket::total_buy_quantity),
            total_sell_qty: quote.map(QuotePacket::total_sell_quantity),
            ohlc: ohlc.map(|ohlc| rupees.of_ohlc(ohlc)),
            last_traded_timestamp: time(full.and_then(FullPacket::last_trade_timestamp)),
            oi: full.map(FullPacket::open_interest),
            oi_day_high: full.map(FullPacket::open_interest_high),
            oi_day_low: full.map(FullPacket::open_interest_low),
            exchange_timestamp: time(full.map_or(index_time, FullPacket::exchange_timestamp)),
            net_change: match index {
                Some(index) => Some(rupees.of(index.change())),
                None => quote.and_then(change),
            },
            depth: full.map(|full| Depth {
                buy: side(full.depth().bids()),
                sell: side(full.depth().asks()),
            }),
        }
    }
}

/// Returns a timestamp as a duration since the Unix epoch.
#[inline(always)]
fn time(wire: Option<UnixSeconds>) -> Option<Duration> {
    wire.map(|seconds| Duration::from_secs(seconds.get().into()))
}

impl From<Tick> for TickMessage {
    #[inline(always)]
    fn from(content: Tick) -> Self {
        Self { instrument_token: content.instrument_token, content }
    }
}

impl From<kite_wire::Tick> for TickMessage {
    #[inline]
    fn from(tick: kite_wire::Tick) -> Self {
        Tick::from(tick).into()
    }
}

impl From<Packet<'_>> for TickMessage {
    #[inline(always)]
    fn from(packet: Packet<'_>) -> Self {
        Tick::from(packet).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Big-endian words, transcribed by hand from the layout tables of the protocol.
    fn bytes(words: &[i64]) -> Vec<u8> {
        words.iter().flat_map(|&word| (word as u32).to_be_bytes()).collect()
    }

    fn tick(words: &[i64]) -> Tick {
        Tick::try_from(&bytes(words)[..]).unwrap()
    }

    /// INFY on NSE: token 408065, segment 1.
    const QUOTE: [i64; 11] = [
        408_065,
        157_370,
        7,
        157_037,
        3_000_000_000,
        256_443,
        363_009,
        156_915,
        157_500,
        156_105,
        156_780,
    ];

    #[test]
    fn an_ltp_packet_has_only_the_last_price() {
        let expected = Tick {
            mode: Mode::LTP,
            instrument_token: 408_065,
            exchange: Exchange::NSE,
            is_tradable: true,
            last_price: Some(1573.70),
            ..Tick::default()
        };
        assert_eq!(tick(&QUOTE[..2]), expected);
    }

    #[test]
    fn a_quote_packet_has_the_last_trade_volumes_ohlc_and_the_absolute_change() {
        let expected = Tick {
            mode: Mode::Quote,
            instrument_token: 408_065,
            exchange: Exchange::NSE,
            is_tradable: true,
            last_traded_qty: Some(7),
            avg_traded_price: Some(1570.37),
            last_price: Some(1573.70),
            volume_traded: Some(3_000_000_000),
            total_buy_qty: Some(256_443),
            total_sell_qty: Some(363_009),
            ohlc: Some(OHLC { open: 1569.15, high: 1575.0, low: 1561.05, close: 1567.8 }),
            net_change: Some(5.9),
            ..Tick::default()
        };
        assert_eq!(tick(&QUOTE), expected);
    }

    #[test]
    fn a_full_packet_adds_times_open_interest_and_both_sides_of_the_depth() {
        let mut packet = bytes(&QUOTE);
        packet.extend(bytes(&[1_625_461_887, 11, 12, 10, 1_625_461_888]));
        for level in 0..10_u16 {
            packet.extend(bytes(&[100 + i64::from(level), 157_000 + i64::from(level)]));
            packet.extend((level + 1).to_be_bytes());
            packet.extend([0xff, 0xff]);
        }
        let tick = Tick::try_from(&packet[..]).unwrap();
        assert_eq!(tick.mode, Mode::Full);
        assert_eq!(tick.last_traded_timestamp, Some(Duration::from_secs(1_625_461_887)));
        assert_eq!((tick.oi, tick.oi_day_high, tick.oi_day_low), (Some(11), Some(12), Some(10)));
        assert_eq!(tick.exchange_timestamp, Some(Duration::from_secs(1_625_461_888)));
        let depth = tick.depth.unwrap();
        for (at, item) in depth.buy.iter().chain(&depth.sell).enumerate() {
            let level = u16::try_from(at).unwrap();
            let expected = DepthItem {
                qty: 100 + u32::from(level),
                price: f64::from(157_000 + u32::from(level)) / 100.0,
                orders: level + 1,
            };
            assert_eq!(*item, expected);
        }
        let quote = Tick { mode: Mode::Full, ..self::tick(&QUOTE) };
        let rest = Tick {
            last_traded_timestamp: None,
            oi: None,
            oi_day_high: None,
            oi_day_low: None,
            exchange_timestamp: None,
            depth: None,
            ..tick
        };
        assert_eq!(rest, quote);
    }

    #[test]
    fn index_packets_carry_high_low_open_close_and_the_exchanges_change() {
        let words = [256_265, 1_752_230, 1_758_500, 1_740_000, 1_750_010, 1_760_000, -7_771];
        let quote = tick(&words);
        let expected = Tick {
            mode: Mode::Quote,
            instrument_token: 256_265,
            exchange: Exchange::INDICES,
            is_index: true,
            last_price: Some(17522.30),
            ohlc: Some(OHLC { open: 17500.1, high: 17585.0, low: 17400.0, close: 17600.0 }),
            net_change: Some(-77.71),
            ..Tick::default()
        };
        assert_eq!(quote, expected);

        let mut with_time = words.to_vec();
        with_time.push(1_625_461_887);
        let exchange_timestamp = Some(Duration::from_secs(1_625_461_887));
        assert_eq!(tick(&with_time), Tick { mode: Mode::Full, exchange_timestamp, ..expected });
    }

    #[test]
    fn prices_are_divided_by_the_divisor_of_their_segment() {
        for (token, exchange, raw, price) in [
            (0x0000_0103, Exchange::CDS, 865_025_000, 86.5025),
            (0x0000_0106, Exchange::BCD, 865_025, 86.5025),
            (31_132_428, Exchange::NCO, 3_782_000, 378.20),
            (33_539_084, Exchange::NCO, 84_940_000, 8494.00),
            (256_265, Exchange::INDICES, 1_752_230, 17522.30),
            (0x0000_010a, Exchange::Unknown, 12_345, 123.45),
            (0x0000_0107, Exchange::MCX, -3_763, -37.63),
        ] {
            let ltp = tick(&[token, raw]);
            assert_eq!((ltp.exchange, ltp.last_price), (exchange, Some(price)));
            assert_eq!(ltp.is_index, exchange == Exchange::INDICES);
            assert_eq!(ltp.is_tradable, !ltp.is_index);

            let quote = tick(&[token, raw, 0, raw, 0, 0, 0, raw, raw, raw, 2 * raw]);
            assert_eq!(quote.avg_traded_price, Some(price));
            assert_eq!(quote.ohlc.map(|ohlc| ohlc.close), Some(2.0 * price));
            assert_eq!(quote.net_change, Some(-price));
        }
    }

    #[test]
    fn a_zero_means_no_time_and_no_close() {
        let full = Tick::try_from(&[0; 184][..]).unwrap();
        assert_eq!((full.last_traded_timestamp, full.exchange_timestamp), (None, None));
        assert_eq!((full.net_change, full.oi, full.last_price), (None, Some(0), Some(0.0)));
        assert!(full.depth.is_some());
        assert_eq!(Tick::try_from(&[0; 32][..]).unwrap().exchange_timestamp, None);
        // An index carries the exchange's change; it is not derived from the close.
        assert_eq!(tick(&[9, 0, 0, 0, 0, 0, -1]).net_change, Some(-0.01));
    }

    #[test]
    fn extreme_prices_do_not_overflow_the_change() {
        let mut words = QUOTE;
        (words[1], words[10]) = (i64::from(i32::MAX), i64::from(i32::MIN));
        assert_eq!(tick(&words).net_change, Some(42_949_672.95));
    }

    #[test]
    fn the_length_determines_the_layout_in_every_segment() {
        let odd = tick(&[408_065, 1, 2, 3, 4, 5, 6]);
        assert_eq!((odd.exchange, odd.is_index), (Exchange::NSE, false));
        assert_eq!((odd.net_change, odd.volume_traded), (Some(0.06), None));
    }

    #[test]
    fn other_lengths_are_rejected_and_named() {
        for length in (0..=200).filter(|length| ![8, 28, 32, 44, 184].contains(length)) {
            let error = Tick::try_from(&[0; 200][..length]).unwrap_err();
            assert_eq!(error, ParseTickError::UnknownLength { length });
            assert!(error.to_string().starts_with(&format!("packet of {length} bytes; ")));
        }
    }

    #[test]
    fn a_message_names_the_instrument_of_its_tick() {
        let packet = bytes(&QUOTE);
        let message = TickMessage::from(Packet::from_bytes(&packet).unwrap());
        assert_eq!((message.instrument_token, &message.content), (408_065, &tick(&QUOTE)));
    }
}
