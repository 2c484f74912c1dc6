//! Computes the exact volume-weighted average price of each recorded instrument: from the tape, or
//! from a replay of it through a manager. Both print the same.
//!
//! After `record`: `cargo run --release --example vwap -- recordings`, or `… -- recordings replay`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use kite_manager::{Amount, Credentials, Endpoint, Manager, Mode, Packet, StreamConfig};
use kite_sim::{ACCESS_TOKEN, API_KEY, Replay, Sim, Speed};
use kite_tape::Reel;

/// The trades of an instrument, and the day's volume in its last packet.
#[derive(Debug, Default)]
struct Trades {
    volume: u32,
    traded: u64,
    turnover: Amount,
}

/// Adds a packet: what was traded since the packet before it, at its last price.
fn add(instruments: &mut BTreeMap<u32, Trades>, packet: Packet<'_>) {
    // An index has no volume.
    let Some(volume) = packet.volume() else { return };
    let it = instruments.entry(packet.instrument_token()).or_default();
    if it.volume > 0 && volume > it.volume {
        let traded = volume - it.volume;
        it.traded += u64::from(traded);
        it.turnover += packet.last_price() * traded;
    }
    it.volume = volume;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let reel = Reel::open([arguments.next().unwrap_or_else(|| "recordings".into())])?;
    let mut instruments = BTreeMap::new();
    for entry in reel.entries() {
        let entry = entry?;
        let packets = entry.frame().into_iter().flat_map(|frame| frame.packets());
        packets.for_each(|packet| add(&mut instruments, packet));
    }
    if arguments.next().is_some_and(|argument| argument == "replay") {
        let tokens = instruments.into_keys().collect();
        instruments = replay(reel, tokens).await?;
    }
    for (token, Trades { traded, turnover, .. }) in instruments {
        if let Some(vwap) = turnover.checked_div(traded) {
            println!("{token:>10} {traded:>11} {turnover:>20} {vwap:.4}");
        }
    }
    Ok(())
}

/// Replays the tape to a manager as fast as it reads; only the endpoint differs from a live feed.
async fn replay(reel: Reel, tokens: Vec<u32>) -> Result<BTreeMap<u32, Trades>, Box<dyn Error>> {
    let sim = Sim::builder().replay(Replay::new(reel).speed(Speed::AsRead)).start().await?;
    let manager = Manager::builder()
        .account("replay", Credentials::new(API_KEY, ACCESS_TOKEN))
        .endpoint(Endpoint::parse(&sim.endpoint())?)
        .connections(1)
        .build()?;
    manager.subscribe(&tokens, Mode::Full)?;
    let mut stream = manager.stream(StreamConfig::default())?;
    manager.start().await?;
    let reading = tokio::spawn(async move {
        let mut instruments = BTreeMap::new();
        while let Some(item) = stream.recv().await {
            item.packets().for_each(|packet| add(&mut instruments, packet));
        }
        instruments
    });
    sim.replay_finished().await;
    // Everything was sent; the reader may lag.
    manager.drain(Duration::from_secs(3_600)).await;
    Ok(reading.await?)
}
