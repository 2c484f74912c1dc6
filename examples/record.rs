//! Records every frame, byte for byte, to a directory that `replay` and `load_parquet` read.
//!
//! `cargo run --release --example record -- recordings 10` records 1,000 instruments for 10 s.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::time::Duration;

use examples::Market;
use kite_manager::{Manager, Mode};
use kite_tape::{Recorder, RecorderConfig, Source};
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "recordings".into());
    let seconds: u64 = arguments.next().map_or(Ok(10), |seconds| seconds.parse())?;
    let market = Market::open().await?;

    let metadata = br#"{"recorded_by":"the example"}"#.to_vec();
    let config = RecorderConfig { metadata, ..RecorderConfig::default() };
    let recorder = Recorder::start(&directory, config)?;
    let tape = recorder.clone();
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .connection(|connection| connection.reconnect.delay = Duration::from_millis(100))
        .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
        .build()?;
    manager.subscribe(&kite_sim::universe(1_000), Mode::Full)?;
    manager.start().await?;

    for second in 1..=seconds {
        sleep(Duration::from_secs(1)).await;
        let stats = recorder.stats();
        println!("second {second:>2}: {} frames, {} dropped", stats.frames, stats.dropped);
        if second == seconds.div_ceil(2) {
            // Leaves a gap on the tape, as a real day would.
            market.drop_sockets();
        }
    }
    // The recorder has received everything once this completes.
    manager.drain(Duration::from_secs(2)).await;

    // Dropping the last clone would also finish the tape, but could not report errors.
    let stats = recorder.finish()?.stats;
    println!(
        "{} frames and {} gaps: {} kB, {} kB on disk, in {directory}",
        stats.frames,
        stats.gaps,
        stats.bytes_raw / 1_000,
        stats.bytes_on_disk / 1_000,
    );
    Ok(())
}
