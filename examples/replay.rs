//! Replays what was recorded into the manager, as fast as it is read, and makes bars of a minute
//! out of it: the beginning of a backtest. Nothing but the endpoint tells the manager from a live one.
//!
//! ```text
//! cargo run --release --example record -- recordings
//! cargo run --release --example replay -- recordings
//! ```

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use kite_sim::{ACCESS_TOKEN, API_KEY, Replay, Sim, Speed};
use kite_tape::Reel;
use kiteticker_async_manager::kite_manager::{StreamConfig, StreamItem};
use kiteticker_async_manager::{KiteTickerManagerBuilder, Mode};

/// First, highest, lowest and last price of an instrument in a minute, in rupees.
#[derive(Debug, Clone, Copy)]
struct Bar {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    ticks: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "recordings".into());
    let reel = Reel::open([&directory])?;
    let instruments = instruments(&reel);
    println!("{} instruments on tape in {directory}", instruments.len());

    // One socket: with several, those which read faster would wait for the others.
    let sim = Sim::builder().replay(Replay::new(reel).speed(Speed::AsRead)).start().await?;
    let mut manager = KiteTickerManagerBuilder::new(API_KEY, ACCESS_TOKEN)
        .endpoint(sim.endpoint())
        .max_connections(1)
        .build();
    let tokens: Vec<u32> = instruments.into_iter().take(3_000).collect();
    manager.subscribe_symbols(&tokens, Some(Mode::Full)).await?;
    // Not a channel: a stream holds the replay back where this program is slower, and so misses
    // nothing at any speed.
    let mut ticks = manager.typed().stream(StreamConfig::default())?;
    manager.start().await?;

    let bars = tokio::spawn(async move {
        let mut bars = BTreeMap::new();
        while let Some(item) = ticks.recv().await {
            let StreamItem::Ticks(ticks) = item else { continue };
            for packet in ticks.batch.ticks.packets() {
                // By the exchange's clock: it is on the tape, and does not depend on the speed.
                let Some(seconds) = packet.exchange_timestamp() else { continue };
                let at = (seconds.get() / 60, packet.instrument_token());
                add(&mut bars, at, packet.last_price().to_f64());
            }
        }
        bars
    });
    sim.replay_finished().await;
    manager.stop().await?;
    let bars = bars.await?;

    let progress = sim.replay().unwrap_or_default();
    println!("{} ticks replayed, {} gaps met", progress.ticks_sent, progress.gaps);
    for ((minute, token), bar) in bars.iter().take(10) {
        let Bar { open, high, low, close, ticks } = bar;
        println!(
            "{} {token:>9}  open {open:.2} high {high:.2} low {low:.2} close {close:.2}  {ticks} ticks",
            minute * 60
        );
    }
    println!("{} bars in all", bars.len());
    sim.stop().await;
    Ok(())
}

/// Gives the instruments that ticked.
fn instruments(reel: &Reel) -> BTreeSet<u32> {
    let entries = reel.entries().filter_map(Result::ok);
    let mut instruments = BTreeSet::new();
    for entry in entries {
        let packets = entry.frame().into_iter().flat_map(|frame| frame.packets());
        instruments.extend(packets.map(|packet| packet.instrument_token()));
    }
    instruments
}

fn add(bars: &mut BTreeMap<(u32, u32), Bar>, at: (u32, u32), price: f64) {
    let first = Bar { open: price, high: price, low: price, close: price, ticks: 0 };
    let bar = bars.entry(at).or_insert(first);
    bar.high = bar.high.max(price);
    bar.low = bar.low.min(price);
    bar.close = price;
    bar.ticks += 1;
}
