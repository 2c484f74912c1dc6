//! The recorder's process: records a simulator until standard input is closed, or until it is
//! killed.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY};
use kite_tape::{Compression, Recorder, RecorderConfig, RecorderStats, Rotation, Source};
use kiteticker_async_manager::{KiteTickerManagerBuilder, Mode};

/// Interval at which the figures are printed.
const EVERY: Duration = Duration::from_millis(20);

/// Records, and prints `failures blocks is_failing` whenever one of them changes.
///
/// # Panics
/// Panics if the recorder or the connection cannot be started.
pub async fn record(directory: &Path, endpoint: &str) {
    let block_age = Duration::from_millis(50);
    // Small, so that most records are in finished files.
    let rotation = Rotation { max_bytes: Some(64 << 10), by_day: true };
    let compression = Compression::Stored;
    let config = RecorderConfig { block_age, rotation, compression, ..RecorderConfig::default() };
    let recorder = Recorder::start(directory, config).unwrap();
    let tape = recorder.clone();
    let mut manager = KiteTickerManagerBuilder::new(API_KEY, ACCESS_TOKEN)
        .endpoint(endpoint)
        .max_connections(1)
        .reconnect_delay(Duration::from_millis(20))
        .failover(None)
        .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
        .build();
    let tokens = kite_sim::universe(1);
    manager.subscribe_symbols(&tokens, Some(Mode::LTP)).await.unwrap();
    // A server that refuses the first connection is tried again.
    let _ = manager.start().await;
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let mut printed = (u64::MAX, 0, false);
    while !closed.is_finished() {
        printed = print(&recorder.stats(), printed);
        tokio::time::sleep(EVERY).await;
    }
    let _ = manager.stop().await;
    drop(manager);
    if let Err(error) = recorder.finish() {
        eprintln!("{error}");
    }
}

#[expect(clippy::print_stdout, reason = "the check reads it from this process")]
fn print(stats: &RecorderStats, before: (u64, u64, bool)) -> (u64, u64, bool) {
    let now = (stats.failures, stats.blocks, stats.is_failing);
    if now != before {
        println!("{} {} {}", now.0, now.1, now.2);
    }
    now
}
