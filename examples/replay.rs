//! Replays a recording to a manager, as fast as the manager reads, and builds one-minute bars: a
//! starting point for a backtest. Only the endpoint differs from a live feed.
//!
//! `cargo run --release --example replay -- recordings`, after `record`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use kite_manager::{Credentials, Endpoint, Manager, Mode, Price, StreamConfig};
use kite_sim::{ACCESS_TOKEN, API_KEY, Replay, Sim, Speed};
use kite_tape::Reel;

/// The prices of an instrument in one minute.
#[derive(Debug)]
struct Bar {
    open: Price,
    high: Price,
    low: Price,
    close: Price,
    ticks: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "recordings".into());
    let reel = Reel::open([&directory])?;
    let mut tokens = BTreeSet::new();
    for entry in reel.entries() {
        let entry = entry?;
        let packets = entry.frame().into_iter().flat_map(|frame| frame.packets());
        tokens.extend(packets.map(|packet| packet.instrument_token()));
    }
    println!("{} instruments recorded in {directory}", tokens.len());
    let tokens: Vec<u32> = tokens.into_iter().take(3_000).collect();

    let sim = Sim::builder().replay(Replay::new(reel).speed(Speed::AsRead)).start().await?;
    // One connection, because with several the faster ones would wait for the slowest.
    let manager = Manager::builder()
        .account("replay", Credentials::new(API_KEY, ACCESS_TOKEN))
        .endpoint(Endpoint::parse(&sim.endpoint())?)
        .connections(1)
        .build()?;
    manager.subscribe(&tokens, Mode::Full)?;
    // The default stream blocks when full, which slows the replay down, so no tick is lost.
    let mut stream = manager.stream(StreamConfig::default())?;
    manager.start().await?;

    let bars = tokio::spawn(async move {
        let mut bars = BTreeMap::new();
        while let Some(item) = stream.recv().await {
            for packet in item.packets() {
                // The exchange timestamp is part of the packet, so it does not depend on the speed.
                let Some(at) = packet.exchange_timestamp() else { continue };
                let price = packet.last_price();
                let first = Bar { open: price, high: price, low: price, close: price, ticks: 0 };
                let bar = bars.entry((at.get() / 60, packet.instrument_token())).or_insert(first);
                (bar.high, bar.low) = (bar.high.max(price), bar.low.min(price));
                bar.close = price;
                bar.ticks += 1;
            }
        }
        bars
    });
    sim.replay_finished().await;
    // Everything was sent, and the bars may still lag.
    let stopped = manager.drain(Duration::from_secs(3_600)).await;
    let bars = bars.await?;
    println!("{stopped}");
    for ((minute, token), Bar { open, high, low, close, ticks }) in bars.iter().take(10) {
        let at = minute * 60;
        println!("{at} {token:>9}  open {open} high {high} low {low} close {close}, {ticks} ticks");
    }
    println!("{} bars in total", bars.len());
    Ok(())
}
