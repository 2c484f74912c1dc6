//! A market in full mode for bars: instruments that trade, and reading what bars are made of.

use kite_wire::{Fields, FullFields, Packet, QuoteFields, Tick};

use crate::frame_from;

/// Instruments, of which each second frame has the same.
pub const INSTRUMENTS: u32 = 3_000;
/// Packets in a frame.
pub const PACKETS: u32 = 200;
/// Packets of each instrument: two a second, so that 1.5 minutes take 100 MB, more than the caches.
pub const ROUNDS: u32 = 180;
/// 10:00 in India, in seconds.
const START_S: u32 = 1_795_408_200;
const NS_PER_S: u64 = 1_000_000_000;

/// Sums what bars are made of: last price, volume, high, low and the time of the last trade.
#[must_use]
pub fn read<'a>(packets: impl Iterator<Item = Packet<'a>>) -> u64 {
    let mut sum = 0_u64;
    for packet in packets {
        let mut add = |value: u32| sum = sum.wrapping_add(u64::from(value));
        add(packet.last_price().raw().cast_unsigned());
        if let Some(full) = packet.full() {
            let ohlc = full.ohlc();
            add(full.volume());
            add(ohlc.high.raw().cast_unsigned());
            add(ohlc.low.raw().cast_unsigned());
            add(full.last_trade_timestamp().map_or(0, |at| at.get()));
        }
    }
    sum
}

/// A full packet of an instrument, which trades in three of four rounds.
fn tick(instrument: u32, round: u32) -> Tick {
    let trades = round - round / 4;
    let price = 100_000 + ((instrument * 7 + trades * 13) % 200) as i32;
    let second = START_S + round / 2;
    let quote = QuoteFields {
        volume: 1_000 + trades * 25,
        high: 100_200 + (round / 60) as i32,
        low: 99_990,
        ..QuoteFields::default()
    };
    let full = FullFields {
        last_trade_timestamp: second - u32::from(round.is_multiple_of(4)),
        exchange_timestamp: second,
        open_interest: 5_000 + round,
        ..FullFields::default()
    };
    let fields = Fields::Full { quote, full };
    Tick { instrument_token: (instrument << 8) | 2, last_price: price, fields }
}

/// Frames in their order, each with its time of arrival.
#[must_use]
pub fn frames(rounds: u32) -> Vec<(u64, Vec<u8>)> {
    let frames = (0..rounds).flat_map(|round| {
        (0..INSTRUMENTS / PACKETS).map(move |part| {
            let first = part * PACKETS;
            let ticks = (first..first + PACKETS).map(|instrument| tick(instrument, round));
            let at = u64::from(START_S) * NS_PER_S + u64::from(round) * NS_PER_S / 2;
            (at + u64::from(part) * 30_000_000, frame_from(ticks))
        })
    });
    frames.collect()
}
