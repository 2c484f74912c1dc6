//! Frames for the benches, and the hand-written code that they compare with.

pub mod by_hand;
pub mod market;
pub mod server;

use kite_wire::{
    DepthLevel, Fields, FrameEncoder, FullFields, Packet, PacketView, QuoteFields, Tick,
};

/// The packets that a frame contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Full packets only, as a connection in full mode receives.
    Full,
    /// Quote packets only.
    Quote,
    /// LTP packets only.
    Ltp,
    /// A third of each, in a fixed irregular order, so that no length predicts the next.
    Mixed,
}

impl Contents {
    /// All contents.
    pub const ALL: [Self; 4] = [Self::Full, Self::Quote, Self::Ltp, Self::Mixed];
}

/// Creates a tick; `n` varies its token and prices.
#[must_use]
pub fn tick(contents: Contents, n: u32) -> Tick {
    let price = 100_000 + i32::try_from(n % 5_000).unwrap_or_default();
    let level = |offset: i32| DepthLevel { quantity: 75, price: price + offset, orders: 3 };
    let quote = QuoteFields {
        last_quantity: 5,
        average_price: price - 7,
        volume: 1_000_000 + n,
        total_buy_quantity: 250_000,
        total_sell_quantity: 300_000,
        open: price - 50,
        high: price + 90,
        low: price - 120,
        close: price - 40,
    };
    let full = FullFields {
        last_trade_timestamp: 1_700_000_000,
        open_interest: 0,
        open_interest_high: 0,
        open_interest_low: 0,
        exchange_timestamp: 1_700_000_000,
        bids: [-5, -10, -15, -20, -25].map(level),
        asks: [5, 10, 15, 20, 25].map(level),
    };
    // The finalizer of a hash, so that neighbours fall into different thirds.
    let disorder = (n.wrapping_mul(0x9e37_79b9) ^ (n >> 3)).wrapping_mul(0x85eb_ca6b) >> 16;
    let fields = match (contents, disorder % 3) {
        (Contents::Full, _) | (Contents::Mixed, 0) => Fields::Full { quote, full },
        (Contents::Quote, _) | (Contents::Mixed, 1) => Fields::Quote(quote),
        (Contents::Ltp, _) | (Contents::Mixed, _) => Fields::Ltp,
    };
    Tick { instrument_token: (n << 8) | 1, last_price: price, fields }
}

/// Creates a frame of `packets` packets, numbered from `first`.
///
/// # Panics
/// Panics if `packets` exceeds 65,535.
#[must_use]
pub fn frame(contents: Contents, first: u32, packets: u32) -> Vec<u8> {
    frame_from((first..first + packets).map(|n| tick(contents, n)))
}

/// Creates a frame of these ticks.
///
/// # Panics
/// Panics if there are more than 65,535.
#[must_use]
pub fn frame_from(ticks: impl ExactSizeIterator<Item = Tick>) -> Vec<u8> {
    let mut buffer = vec![0; 2 + ticks.len() * 186];
    #[expect(clippy::expect_used, reason = "the buffer is sized for this frame")]
    let len = {
        let mut frame = FrameEncoder::new(&mut buffer).expect("room for the count");
        for tick in ticks {
            frame.push(&tick).expect("room for every packet");
        }
        frame.finish().len()
    };
    buffer.truncate(len);
    buffer
}

/// Sums token, last price, volume, best bid and best ask through the public views, as
/// [`by_hand::five_fields`] does by offsets.
#[inline]
#[must_use]
pub fn five_fields<'a>(packets: impl Iterator<Item = Packet<'a>>) -> u64 {
    let mut sum = 0_u64;
    let mut add = |value: u32| sum = sum.wrapping_add(u64::from(value));
    for packet in packets {
        add(packet.instrument_token());
        add(packet.last_price().raw().cast_unsigned());
        match packet.view() {
            PacketView::Full(full) => {
                let (segment, depth) = (full.segment(), full.depth());
                add(full.volume());
                add(depth.bids()[0].price(segment).raw().cast_unsigned());
                add(depth.asks()[0].price(segment).raw().cast_unsigned());
            }
            PacketView::Quote(quote) => add(quote.volume()),
            _ => {}
        }
    }
    sum
}
