//! Frames for the benches: made once, lawful, of one kind or mixed.

use kite_wire::{DepthLevel, Fields, FrameEncoder, FullFields, QuoteFields, Tick};

/// Makes one full tick; `n` varies token and prices.
#[must_use]
pub fn full_tick(n: u32) -> Tick {
    let price = 100_000 + i32::try_from(n % 5_000).unwrap_or_default();
    let level = |offset: i32| DepthLevel { quantity: 75, price: price + offset, orders: 3 };
    Tick {
        instrument_token: (n << 8) | 1,
        last_price: price,
        fields: Fields::Full {
            quote: QuoteFields {
                last_quantity: 5,
                average_price: price - 7,
                volume: 1_000_000 + n,
                total_buy_quantity: 250_000,
                total_sell_quantity: 300_000,
                open: price - 50,
                high: price + 90,
                low: price - 120,
                close: price - 40,
            },
            full: FullFields {
                last_trade_timestamp: 1_700_000_000,
                open_interest: 0,
                open_interest_high: 0,
                open_interest_low: 0,
                exchange_timestamp: 1_700_000_000,
                bids: [-5, -10, -15, -20, -25].map(level),
                asks: [5, 10, 15, 20, 25].map(level),
            },
        },
    }
}

/// Makes a frame of full packets.
///
/// # Panics
/// If more than 65,535 packets are asked for.
#[must_use]
pub fn full_frame(packets: u32) -> Vec<u8> {
    let mut buffer = vec![0; 2 + packets as usize * 186];
    #[expect(clippy::expect_used, reason = "the buffer is made for this very frame")]
    let len = {
        let mut frame = FrameEncoder::new(&mut buffer).expect("room for the count");
        for n in 0..packets {
            frame.push(&full_tick(n)).expect("room for every packet");
        }
        frame.finish().len()
    };
    buffer.truncate(len);
    buffer
}
