//! Bars from packets, and reading what they are made of.

use std::hint::black_box;

use benches::market::{frames, read};
use kite_candles::{Candles, Config, Item};
use kite_wire::Scan;

/// Rounds of the market, of 15 frames each: enough for every count that is run.
const ROUNDS: u32 = 110;

/// Runs a workload on frames of 200 packets. Returns `false` if no workload has this name.
pub(crate) fn run(workload: &str, count: u32) -> bool {
    if !workload.starts_with("candles") {
        return false;
    }
    let market = frames(ROUNDS);
    let mut frames = market.iter().take(count as usize);
    match workload {
        "candles-fields" => {
            black_box(frames.map(|(_, frame)| read(Scan::new(frame))).fold(0, u64::wrapping_add));
        }
        "candles" => {
            let Ok(mut candles) = Candles::batch(Config::default()) else { return false };
            let mut out = |item: Item| {
                black_box(item);
            };
            for (at, frame) in &mut frames {
                candles.advance(*at, &mut out);
                for packet in Scan::new(frame) {
                    candles.on_packet(packet, *at, &mut out);
                }
            }
        }
        _ => return false,
    }
    true
}
