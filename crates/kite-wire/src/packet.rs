//! One packet of a frame. Its length decides the layout; fields that all layouts share are read
//! without checking it.

use zerocopy::FromBytes;

use crate::error::PacketError;
use crate::layout::{Depth, FullPacket, IndexFullPacket, IndexQuotePacket, LtpPacket, QuotePacket};
use crate::mode::Mode;
use crate::price::Price;
use crate::segment::Segment;
use crate::time::UnixSeconds;

/// The layout of a packet. Five are known; Kite may add others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PacketKind {
    /// Last price, any segment: 8 bytes.
    Ltp,
    /// Index in quote mode: 28 bytes.
    IndexQuote,
    /// Index in full mode: 32 bytes.
    IndexFull,
    /// Tradable instrument in quote mode: 44 bytes.
    Quote,
    /// Tradable instrument in full mode: 184 bytes.
    Full,
}

impl PacketKind {
    /// Returns the layout of packets of this length in bytes.
    #[inline]
    #[must_use]
    pub const fn of_len(length: usize) -> Option<Self> {
        match length {
            LtpPacket::LEN => Some(Self::Ltp),
            IndexQuotePacket::LEN => Some(Self::IndexQuote),
            IndexFullPacket::LEN => Some(Self::IndexFull),
            QuotePacket::LEN => Some(Self::Quote),
            FullPacket::LEN => Some(Self::Full),
            _ => None,
        }
    }

    /// Returns the length of a packet of this layout, in bytes.
    #[inline]
    #[must_use]
    pub const fn packet_len(self) -> usize {
        match self {
            Self::Ltp => LtpPacket::LEN,
            Self::IndexQuote => IndexQuotePacket::LEN,
            Self::IndexFull => IndexFullPacket::LEN,
            Self::Quote => QuotePacket::LEN,
            Self::Full => FullPacket::LEN,
        }
    }

    /// Returns the streaming mode in which such packets are sent.
    #[inline]
    #[must_use]
    pub const fn mode(self) -> Mode {
        match self {
            Self::Ltp => Mode::Ltp,
            Self::IndexQuote | Self::Quote => Mode::Quote,
            Self::IndexFull | Self::Full => Mode::Full,
        }
    }

    /// Returns the layout of such a packet cut down to a mode; the same one if the mode includes as
    /// much or more.
    #[inline]
    #[must_use]
    pub const fn in_mode(self, mode: Mode) -> Self {
        match (self, mode) {
            (_, Mode::Ltp) => Self::Ltp,
            (Self::IndexFull, Mode::Quote) => Self::IndexQuote,
            (Self::Full, Mode::Quote) => Self::Quote,
            (whole, _) => whole,
        }
    }
}

/// Open, high, low and close, in rupees.
///
/// While the market is open, Kite's `close` is the previous day's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ohlc {
    /// First price of the day.
    pub open: Price,
    /// Highest price of the day.
    pub high: Price,
    /// Lowest price of the day.
    pub low: Price,
    /// Closing price (the previous day's while the market is open).
    pub close: Price,
}

/// A packet, by layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketView<'a> {
    /// Last price only.
    Ltp(&'a LtpPacket),
    /// Index in quote mode.
    IndexQuote(&'a IndexQuotePacket),
    /// Index in full mode.
    IndexFull(&'a IndexFullPacket),
    /// Tradable instrument in quote mode.
    Quote(&'a QuotePacket),
    /// Tradable instrument in full mode.
    Full(&'a FullPacket),
}

/// A view of one packet in its frame.
///
/// Fields that every packet has (token, segment, last price) are read without a branch; the others
/// are `None` if the layout lacks them. [`Packet::view`] returns the layout itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    head: &'a LtpPacket,
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Views the bytes of one packet, without its length prefix.
    ///
    /// # Errors
    /// Returns [`PacketError`] if no layout has this length.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let unknown = PacketError { length: bytes.len() };
        PacketKind::of_len(bytes.len()).and_then(|_| Self::checked(bytes)).ok_or(unknown)
    }

    /// Views bytes whose length is known to be that of a layout.
    #[inline(always)]
    pub(crate) fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (head, _) = LtpPacket::ref_from_prefix(bytes).ok()?;
        Some(Self { head, bytes })
    }

    /// Returns the packet's bytes, without its length prefix.
    #[inline]
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the instrument token.
    #[inline]
    #[must_use]
    pub fn instrument_token(self) -> u32 {
        self.head.instrument_token()
    }

    /// Returns the segment, which the token encodes.
    #[inline]
    #[must_use]
    pub fn segment(self) -> Segment {
        self.head.segment()
    }

    /// Returns the last traded price.
    #[inline]
    #[must_use]
    pub fn last_price(self) -> Price {
        self.head.last_price()
    }

    /// Returns the layout.
    #[inline]
    #[must_use]
    pub fn kind(self) -> PacketKind {
        // The constructor accepts known lengths only, so the fallback is never used.
        PacketKind::of_len(self.bytes.len()).unwrap_or(PacketKind::Ltp)
    }

    /// Returns the streaming mode in which such packets are sent.
    #[inline]
    #[must_use]
    pub fn mode(self) -> Mode {
        self.kind().mode()
    }

    /// Cuts the packet down to a mode; every larger layout begins with the smaller one. A packet
    /// that is already as small is unchanged.
    #[inline]
    #[must_use]
    pub fn in_mode(self, mode: Mode) -> Self {
        let length = self.kind().in_mode(mode).packet_len();
        Self { head: self.head, bytes: self.bytes.get(..length).unwrap_or(self.bytes) }
    }

    /// Returns the packet as its layout.
    #[inline]
    #[must_use]
    pub fn view(self) -> PacketView<'a> {
        if let Some(full) = FullPacket::from_bytes(self.bytes) {
            PacketView::Full(full)
        } else if let Some(quote) = QuotePacket::from_bytes(self.bytes) {
            PacketView::Quote(quote)
        } else if let Some(index) = IndexFullPacket::from_bytes(self.bytes) {
            PacketView::IndexFull(index)
        } else if let Some(index) = IndexQuotePacket::from_bytes(self.bytes) {
            PacketView::IndexQuote(index)
        } else {
            PacketView::Ltp(self.head)
        }
    }

    /// Returns the full layout, if this packet has it.
    #[inline]
    #[must_use]
    pub fn full(self) -> Option<&'a FullPacket> {
        FullPacket::from_bytes(self.bytes)
    }

    /// Returns the quote layout, which is a quote packet or the quote part of a full one.
    #[inline]
    #[must_use]
    pub fn quote(self) -> Option<&'a QuotePacket> {
        match self.bytes.len() {
            QuotePacket::LEN | FullPacket::LEN => {
                Some(QuotePacket::ref_from_prefix(self.bytes).ok()?.0)
            }
            _ => None,
        }
    }

    /// Returns the index layout, which is an index quote packet or the quote part of an index full
    /// one.
    #[inline]
    #[must_use]
    pub fn index(self) -> Option<&'a IndexQuotePacket> {
        match self.bytes.len() {
            IndexQuotePacket::LEN | IndexFullPacket::LEN => {
                Some(IndexQuotePacket::ref_from_prefix(self.bytes).ok()?.0)
            }
            _ => None,
        }
    }

    /// Returns open, high, low and close (all packets except LTP).
    #[inline]
    #[must_use]
    pub fn ohlc(self) -> Option<Ohlc> {
        match self.quote() {
            Some(quote) => Some(quote.ohlc()),
            None => self.index().map(IndexQuotePacket::ohlc),
        }
    }

    /// Returns the day's traded volume (quote and full packets).
    #[inline]
    #[must_use]
    pub fn volume(self) -> Option<u32> {
        self.quote().map(QuotePacket::volume)
    }

    /// Returns the open interest (full packets).
    #[inline]
    #[must_use]
    pub fn open_interest(self) -> Option<u32> {
        self.full().map(FullPacket::open_interest)
    }

    /// Returns the market depth (full packets).
    #[inline]
    #[must_use]
    pub fn depth(self) -> Option<&'a Depth> {
        self.full().map(FullPacket::depth)
    }

    /// Returns the best bid's price (full packets with a bid).
    #[inline]
    #[must_use]
    pub fn best_bid(self) -> Option<Price> {
        self.full()?.best_bid()
    }

    /// Returns the best ask's price (full packets with an ask).
    #[inline]
    #[must_use]
    pub fn best_ask(self) -> Option<Price> {
        self.full()?.best_ask()
    }

    /// Returns the distance from the best bid to the best ask (full packets with both).
    #[inline]
    #[must_use]
    pub fn spread(self) -> Option<Price> {
        self.full()?.spread()
    }

    /// Returns the quantity of the last trade (quote and full packets).
    #[inline]
    #[must_use]
    pub fn last_quantity(self) -> Option<u32> {
        self.quote().map(QuotePacket::last_quantity)
    }

    /// Returns the volume-weighted average price of the day (quote and full packets).
    #[inline]
    #[must_use]
    pub fn average_price(self) -> Option<Price> {
        self.quote().map(QuotePacket::average_price)
    }

    /// Returns the total quantity of pending buy orders (quote and full packets).
    #[inline]
    #[must_use]
    pub fn total_buy_quantity(self) -> Option<u32> {
        self.quote().map(QuotePacket::total_buy_quantity)
    }

    /// Returns the total quantity of pending sell orders (quote and full packets).
    #[inline]
    #[must_use]
    pub fn total_sell_quantity(self) -> Option<u32> {
        self.quote().map(QuotePacket::total_sell_quantity)
    }

    /// Returns the day's highest open interest (full packets).
    #[inline]
    #[must_use]
    pub fn open_interest_high(self) -> Option<u32> {
        self.full().map(FullPacket::open_interest_high)
    }

    /// Returns the day's lowest open interest (full packets).
    #[inline]
    #[must_use]
    pub fn open_interest_low(self) -> Option<u32> {
        self.full().map(FullPacket::open_interest_low)
    }

    /// Returns the time of the last trade (full packets).
    #[inline]
    #[must_use]
    pub fn last_trade_timestamp(self) -> Option<UnixSeconds> {
        self.full()?.last_trade_timestamp()
    }

    /// Returns the exchange timestamp (full and index full packets).
    #[inline]
    #[must_use]
    pub fn exchange_timestamp(self) -> Option<UnixSeconds> {
        match self.view() {
            PacketView::Full(full) => full.exchange_timestamp(),
            PacketView::IndexFull(index) => index.exchange_timestamp(),
            _ => None,
        }
    }

    /// Returns the change since the previous day's close. For an index this is the value sent by
    /// the exchange, even if the close is 0; otherwise last price minus close.
    ///
    /// `None` for LTP packets and, other than for an index, if the close is 0 or the difference
    /// does not fit in 32 bits.
    #[inline]
    #[must_use]
    pub fn change(self) -> Option<Price> {
        match self.index() {
            Some(index) => Some(index.change()),
            None => self.quote()?.change(),
        }
    }

    /// Returns last price minus close in percent of the close, also for an index.
    ///
    /// `None` for LTP packets and if the close is 0.
    #[inline]
    #[must_use]
    pub fn change_percent(self) -> Option<f64> {
        match self.index() {
            Some(index) => index.change_percent(),
            None => self.quote()?.change_percent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Tick;

    #[test]
    fn the_length_decides_the_layout_in_every_segment() {
        // Token 256265 is an index (segment 9), 408065 is not: both decode by length.
        for token in [256_265_u32, 408_065] {
            for (len, kind) in [
                (8, PacketKind::Ltp),
                (28, PacketKind::IndexQuote),
                (32, PacketKind::IndexFull),
                (44, PacketKind::Quote),
                (184, PacketKind::Full),
            ] {
                let mut bytes = [0_u8; 184];
                bytes[..4].copy_from_slice(&token.to_be_bytes());
                let packet = Packet::from_bytes(&bytes[..len]).unwrap();
                assert_eq!((packet.kind(), packet.instrument_token()), (kind, token));
                assert_eq!(packet.kind().packet_len(), len);
            }
        }
    }

    #[test]
    fn unknown_lengths_are_rejected_with_the_length() {
        for len in (0..=255).filter(|len| ![8, 28, 32, 44, 184].contains(len)) {
            assert_eq!(Packet::from_bytes(&[0; 255][..len]), Err(PacketError { length: len }));
        }
    }

    #[test]
    fn an_index_change_is_read_from_the_wire_for_any_close() {
        let mut index = [0_u8; 28];
        index[3] = 9;
        index[24..28].copy_from_slice(&(-1_234_i32).to_be_bytes());
        let packet = Packet::from_bytes(&index).unwrap();
        let sent = Some(Price::new(-1_234, Segment::Indices));
        assert_eq!((packet.change(), packet.change_percent()), (sent, None));
        assert_eq!(Tick::from(packet).change(), sent);
    }

    #[test]
    fn a_change_is_exact_in_the_segments_unit_and_absent_without_a_close() {
        // A CDS token, last price 83.1234567 and close 83.0234568 rupees.
        let mut quote = [0_u8; 44];
        quote[..4].copy_from_slice(&0x0103_u32.to_be_bytes());
        quote[4..8].copy_from_slice(&831_234_567_i32.to_be_bytes());
        quote[40..].copy_from_slice(&830_234_568_i32.to_be_bytes());
        let packet = Packet::from_bytes(&quote).unwrap();
        let change = packet.change().unwrap();
        assert_eq!((change.raw(), change.decimals()), (999_999, 7));
        assert_eq!(packet.change_percent(), Some(99_999_900.0 / 830_234_568.0));
        assert_eq!(packet.quote().unwrap().change(), Some(change));

        quote[40..].fill(0);
        let packet = Packet::from_bytes(&quote).unwrap();
        assert_eq!((packet.change(), packet.change_percent()), (None, None));
        let ltp = Packet::from_bytes(&quote[..8]).unwrap();
        assert_eq!((ltp.change(), ltp.change_percent()), (None, None));
    }
}
