//! Records a session of the manager into a directory: every frame, byte for byte.
//!
//! ```text
//! cargo run --release --example record -- recordings
//! cargo run --release --example replay -- recordings
//! ```
//!
//! The session is one of ten seconds with a simulated Kite server: 1,000 instruments on three
//! sockets, which the server resets now and then.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, FaultChance, FaultKind, Sim};
use kite_tape::{Recorder, RecorderConfig, Source};
use kiteticker_async_manager::{KiteTickerManagerBuilder, Mode};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "recordings".into());
    let losses = FaultChance::new(1, Duration::from_secs(6)).kinds([FaultKind::Reset]);
    let sim = Sim::builder().chance(losses).start().await?;

    let metadata = br#"{"recorded_by":"the example","accounts":["simulator"]}"#.to_vec();
    let config = RecorderConfig { metadata, ..RecorderConfig::default() };
    let recorder = Recorder::start(&directory, config)?;
    let tape = recorder.clone();
    let mut manager = KiteTickerManagerBuilder::new(API_KEY, ACCESS_TOKEN)
        .endpoint(sim.endpoint())
        .reconnect_delay(Duration::from_millis(100))
        .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
        .build();

    // Before the start, or at any time: the recorder has all that comes.
    manager.subscribe_symbols(&kite_sim::universe(1_000), Some(Mode::Full)).await?;
    manager.start().await?;
    for second in 1..=10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stats = recorder.stats();
        println!("second {second:>2}: {} frames, {} dropped", stats.frames, stats.dropped);
    }
    manager.stop().await?;

    // Without it the end of the last clone would do the same, but could not tell how it went.
    let stats = recorder.finish()?.stats;
    println!(
        "{} frames and {} gaps: {} kB, {} kB on disk, in {directory}",
        stats.frames,
        stats.gaps,
        stats.bytes_raw / 1_000,
        stats.bytes_on_disk / 1_000,
    );
    sim.stop().await;
    Ok(())
}
