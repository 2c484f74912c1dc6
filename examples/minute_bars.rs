//! Stores each bar of a minute as a line of CSV when it ends, until Ctrl-C. A corrected bar is one
//! more line, with `corrected` in its last column: the last line of an instrument and start counts.
//!
//! `cargo run --release --example minute_bars -- bars.csv`, or `… -- bars.csv 5s 10` for ten bars of
//! five seconds.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::pin::pin;
use std::time::Duration;

use examples::{INSTRUMENTS, Market};
use kite_candles::{CandleStream, Config, Every, Flags};
use kite_export::BarLines;
use kite_manager::{Manager, Mode, StreamConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "bars.csv".into());
    let every = arguments.next().map_or(Ok(Every::MINUTE), |every| every.parse())?;
    let most = arguments.next().map_or(Ok(usize::MAX), |most| most.parse())?;

    let market = Market::open().await?;
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .build()?;
    let mut config = Config::default();
    (config.every, config.sessions) = (every, market.sessions()?);
    let mut bars = CandleStream::new(&manager, StreamConfig::default(), config)?;
    manager.subscribe(&INSTRUMENTS, Mode::Full)?;
    manager.start().await?;

    let mut file = File::create(&path)?;
    let mut lines = BarLines::live_csv(false);
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut stored = 0;
    while stored < most {
        let item = tokio::select! {
            item = bars.recv() => item,
            result = &mut interrupted => {
                result?;
                break;
            }
        };
        let Some(item) = item else { break };
        lines.push_item(every, None, &item);
        file.write_all(&lines.take())?;
        stored += 1;
        let bar = item.bar();
        if bar.flags.contains(Flags::GAP) {
            println!("{} misses {} ms of the feed", bar.instrument_token, bar.missed_ms);
        }
    }
    manager.drain(Duration::from_secs(2)).await;
    // The rest of a bar that has not ended is missed, and the bar is flagged.
    let counts = bars.finish(&mut |item| {
        lines.push_item(every, None, &item);
        stored += 1;
    });
    file.write_all(&lines.take())?;
    file.sync_all()?;
    println!("{stored} lines of bars from {} packets in {path}", counts.packets);
    Ok(())
}
