//! A replay at full speed to a reader that is slower: a drain delivers every tick, and a stop
//! reports what it discards.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, Replay, Sim, Speed};
use kite_tape::{Fsync, RecordKind, Recorder, RecorderConfig, Reel, Source};
use kiteticker_async_manager::KiteTickerManagerBuilder;
use kiteticker_async_manager::kite_conn::{Batch, Sink, Stamp};
use kiteticker_async_manager::kite_manager::{Manager, StreamConfig, StreamItem, TickStream};
use kiteticker_async_manager::kite_wire::TickBatch;
use tokio::time::timeout;

/// More than a lane and the reader's batch hold, and less than the buffers of a socket.
const FRAMES: u64 = 2_000;
const SOURCE: Source = Source { account: 0, connection: 0 };

async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(Duration::from_secs(60), future).await else {
        panic!("not in time: {what}")
    };
    output
}

/// Replays a tape to a manager whose stream is not read, to the end of the tape.
async fn replayed() -> (Sim, Manager, TickStream) {
    let directory = tempfile::tempdir().unwrap();
    let config = RecorderConfig { fsync: Fsync::Never, ..RecorderConfig::default() };
    let recorder = Recorder::start(directory.path(), config).unwrap();
    let mut sink = recorder.sink(SOURCE);
    // One packet with the last price of one instrument.
    let frame = [0, 1, 0, 8, 0, 6, 58, 1, 0, 2, 100, 0];
    for sequence in 1..=FRAMES {
        let ticks = TickBatch::new(frame.to_vec().into()).unwrap();
        sink.on_batch(&Batch::new(ticks, Stamp::now(), 1, sequence));
    }
    drop(sink);
    let summary = recorder.finish().unwrap();
    assert_eq!((summary.stats.dropped, summary.stats.frames), (0, FRAMES));
    let reel = Reel::open([directory.path()]).unwrap();
    let records = reel.entries().map(Result::unwrap);
    assert_eq!(records.filter(|it| it.kind == RecordKind::Binary).count() as u64, FRAMES);

    let replay = Replay::new(reel).verbatim([SOURCE]).speed(Speed::AsRead);
    let sim = Sim::builder().no_heartbeats().greet(false).replay(replay).start().await.unwrap();
    let mut facade = KiteTickerManagerBuilder::new(API_KEY, ACCESS_TOKEN)
        .endpoint(sim.endpoint())
        .max_connections(1)
        .build();
    let stream = facade.typed().stream(StreamConfig::default()).unwrap();
    in_time("the start", facade.start()).await.unwrap();
    in_time("the end of the tape", sim.replay_finished()).await;
    (sim, facade.typed().clone(), stream)
}

/// Reads the stream to its end; returns the ticks taken, and those reported as dropped.
async fn read(mut stream: TickStream) -> (u64, u64) {
    let (mut taken, mut dropped) = (0, 0);
    while let Some(item) = in_time("an item", stream.recv()).await {
        if let StreamItem::Dropped { ticks, .. } = item {
            dropped += ticks;
        }
        taken += item.packets().count() as u64;
    }
    (taken, dropped)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_delivers_every_tick_of_a_replay() {
    let (_sim, manager, stream) = replayed().await;
    let draining = tokio::spawn({
        let manager = manager.clone();
        async move { manager.drain(Duration::from_secs(3_600)).await }
    });
    assert_eq!(read(stream).await, (FRAMES, 0));
    let stopped = in_time("the drain", draining).await.unwrap();
    assert!(stopped.clean && stopped.unread_frames == Some(0), "{stopped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_reports_what_it_discards_of_a_replay() {
    let (_sim, manager, stream) = replayed().await;
    let stopped = in_time("the stop", manager.stop()).await;
    let (taken, dropped) = read(stream).await;
    assert_eq!((taken + dropped, dropped), (FRAMES, stopped.discarded_ticks));
    assert_eq!(stopped.unread_frames, Some(FRAMES));
    assert!(dropped > 0 && !stopped.clean, "{stopped}");
}
