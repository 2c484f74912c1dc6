//! Writes a tape of two short trading days for `checks/recipes`, which compares what the recipes of
//! the documentation compute with values worked out by hand.
//!
//! `cargo run -p kite-export --example recipe_tape -- FILE.ktape`

use std::error::Error;

use kite_wire::tape::{BlockBuffer, Gap, GapReason, Received, RecordKind, Source, TapeHeader};
use kite_wire::{DepthLevel, Fields, FrameEncoder, FullFields, IndexFields, QuoteFields, Tick};

/// Midnight in India before 23 November 2026, a Monday, in seconds since the Unix epoch.
const MIDNIGHT: u32 = 1_795_372_200;
const DAY_S: u32 = 86_400;
const TAPE_ID: u64 = 0x6b69_7465_0000_0002;
const SOURCE: Source = Source { account: 0, connection: 0 };

const INFY: u32 = 408_065;
const RELIANCE: u32 = 738_561;
const NIFTY_50: u32 = 256_265;
/// A token on no list.
const UNLISTED: u32 = 11_184_641;

/// Returns the Unix time of a time of day in India, such as 91_510 for 09:15:10.
fn at(day: u32, clock: u32) -> u32 {
    let seconds = clock / 10_000 * 3_600 + clock / 100 % 100 * 60 + clock % 100;
    MIDNIGHT + day * DAY_S + seconds
}

fn received(unix_s: u32) -> Received {
    Received { recv_unix_ns: u64::from(unix_s) * 1_000_000_000, source: SOURCE }
}

/// A full packet with a spread of 10 paise and the volume of the day so far.
fn full(instrument_token: u32, unix_s: u32, last_price: i32, volume: u32) -> Tick {
    let quote = QuoteFields { volume, ..QuoteFields::default() };
    let level = |price| [DepthLevel { quantity: 10, price, orders: 1 }; 5];
    let full = FullFields {
        exchange_timestamp: unix_s,
        bids: level(last_price - 5),
        asks: level(last_price + 5),
        ..FullFields::default()
    };
    Tick { instrument_token, last_price, fields: Fields::Full { quote, full } }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: recipe_tape FILE.ktape")?;
    let index = Fields::IndexQuote(IndexFields::default());
    let ticks = [
        // Without volume and depth first, so that readers that infer columns from the first rows
        // would lose them.
        (at(0, 91_505), Tick { instrument_token: UNLISTED, last_price: 50, fields: Fields::Ltp }),
        (at(0, 91_506), Tick { instrument_token: NIFTY_50, last_price: 2_500_000, fields: index }),
        (at(0, 91_510), full(INFY, at(0, 91_510), 150_000, 100)),
        (at(0, 91_520), full(RELIANCE, at(0, 91_520), 300_000, 1_000)),
        (at(0, 91_550), full(INFY, at(0, 91_550), 150_200, 250)),
        (at(0, 91_620), full(INFY, at(0, 91_620), 150_100, 400)),
        (at(0, 91_630), full(RELIANCE, at(0, 91_630), 300_500, 1_600)),
        (at(0, 91_805), full(INFY, at(0, 91_805), 150_300, 450)),
        (at(1, 91_505), full(INFY, at(1, 91_505), 151_000, 500)),
        (at(1, 91_601), full(INFY, at(1, 91_601), 150_900, 590)),
    ];
    let header = TapeHeader { created_unix_ns: 1, tape_id: TAPE_ID, metadata: b"{}" };
    let mut file = vec![0; 1 << 16];
    let mut len = header.encode(&mut file)?;
    let mut block = BlockBuffer::new(&mut file[len..], TAPE_ID, 0)?;
    for (unix_s, tick) in &ticks {
        let mut buffer = [0; 256];
        let mut frame = FrameEncoder::new(&mut buffer)?;
        frame.push(tick)?;
        block.push(received(*unix_s), RecordKind::Binary, frame.finish())?;
        if *unix_s == at(0, 91_620) {
            let gap = Gap {
                reason: GapReason::Disconnected,
                from_unix_ns: received(at(0, 91_610)).recv_unix_ns,
                to_unix_ns: received(at(0, 91_625)).recv_unix_ns,
                frames: None,
            };
            block.push_gap(received(at(0, 91_625)), &gap)?;
        }
    }
    len += block.finish().len();
    std::fs::write(path, &file[..len])?;
    Ok(())
}
