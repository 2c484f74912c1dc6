//! A session with faults, recorded through the facade, replayed, and compared byte for byte.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails ends the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use kite_sim::{ACCESS_TOKEN, API_KEY, Chain, FaultChance, FaultKind, Replay, Sim, Speed};
use kite_tape::{
    Compression, Entry, Fsync, GapReason, RecordKind, Recorder, RecorderConfig, Reel, Source,
};
use kiteticker_async_manager::kite_conn::{Batch, Event, Sink};
use kiteticker_async_manager::{KiteTickerManager, KiteTickerManagerBuilder, Mode};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Timeout for each step; generous for slow machines.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a sink received, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Received {
    Up,
    Down,
    Closed,
    Binary(Bytes),
    Text(Bytes),
}

/// A second sink next to the recorder: notes what must have been recorded, with the monotonic time
/// of each frame in nanoseconds.
#[derive(Debug, Clone, Default)]
struct ReferenceSinks(Arc<Mutex<Notes>>);

type Notes = BTreeMap<Source, Vec<(u64, Received)>>;

struct ReferenceSink(ReferenceSinks, Source);

impl ReferenceSink {
    fn note(&self, at: u64, received: Received) {
        self.0.0.lock().unwrap().entry(self.1).or_default().push((at, received));
    }
}

impl Sink for ReferenceSink {
    fn on_batch(&mut self, batch: &Batch) {
        self.note(batch.received.as_nanos(), Received::Binary(batch.frame().clone()));
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Up { .. } => self.note(0, Received::Up),
            Event::Down { .. } => self.note(0, Received::Down),
            Event::Closed { .. } => self.note(0, Received::Closed),
            Event::Text { text, received, .. } | Event::TextUnreadable { text, received, .. } => {
                self.note(received.as_nanos(), Received::Text(text.clone()));
            }
            _ => {}
        }
    }
}

async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(TIMEOUT, future).await else { panic!("not in time: {what}") };
    output
}

fn settings(compression: Compression) -> RecorderConfig {
    RecorderConfig {
        block_bytes: 32 << 10,
        compression,
        fsync: Fsync::Never,
        ..RecorderConfig::default()
    }
}

/// Kinds of faults that lose sockets, damage frames and take time, but none that stops
/// reconnecting.
const KINDS: [FaultKind; 11] = [
    FaultKind::Reset,
    FaultKind::EndOfStream,
    FaultKind::Close,
    FaultKind::TruncatedFrame,
    FaultKind::LyingCount,
    FaultKind::UnknownPacket,
    FaultKind::UnknownText,
    FaultKind::UnparsableText,
    FaultKind::ErrorText,
    FaultKind::Burst,
    FaultKind::InvalidFrame,
];

fn manager(sim: &Sim) -> KiteTickerManagerBuilder {
    KiteTickerManagerBuilder::new(API_KEY, ACCESS_TOKEN)
        .endpoint(sim.endpoint())
        .reconnect_delay(Duration::from_millis(5))
        .failover(None)
}

/// Streams through the facade with random faults, recorded into the directory.
async fn record_with_faults(directory: &Path, compression: Compression) -> (ReferenceSinks, Sim) {
    let sim = Sim::builder()
        .updates_per_second(30.0)
        .heartbeat_every(Duration::from_millis(20))
        .chance(FaultChance::new(7, Duration::from_millis(150)).kinds(KINDS))
        .start()
        .await
        .unwrap();
    let recorder = Recorder::start(directory, settings(compression)).unwrap();
    let (reference, tape) = (ReferenceSinks::default(), recorder.clone());
    let second = reference.clone();
    let mut manager = manager(&sim)
        .tap(move |seat| {
            let source = Source::of(seat.account_index, seat.connection);
            (tape.sink(source), ReferenceSink(second.clone(), source))
        })
        .build();
    let tokens = kite_sim::universe(90);
    for (tokens, mode) in tokens.chunks(30).zip([Mode::Full, Mode::Quote, Mode::LTP]) {
        manager.subscribe_symbols(tokens, Some(mode)).await.unwrap();
    }
    in_time("the start", manager.start()).await.unwrap();
    in_time("faults", sim.wait_until(|sim| sim.stats().connections_total > 20)).await;
    sim.send_order(serde_json::json!({ "order_id": "7", "status": "OPEN" }));
    in_time("ticks", sim.wait_until(|sim| sim.stats().ticks_sent > 10_000)).await;
    in_time("the stop", manager.stop()).await.unwrap();
    drop(manager);
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.dropped, stats.lost, stats.failures), (0, 0, 0));
    (reference, sim)
}

/// Returns the records of each source, in order.
fn by_source(reel: &Reel) -> BTreeMap<Source, Vec<Entry>> {
    let mut by_source: BTreeMap<Source, Vec<Entry>> = BTreeMap::new();
    for entry in reel.entries() {
        let entry = entry.unwrap();
        by_source.entry(entry.received.source).or_default().push(entry);
    }
    by_source
}

/// Returns the frames of a source, as received.
fn frames(entries: &[Entry]) -> Vec<(RecordKind, Bytes)> {
    let is_frame = |it: &&Entry| matches!(it.kind, RecordKind::Binary | RecordKind::Text);
    entries.iter().filter(is_frame).map(|it| (it.kind, it.payload.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tape_has_every_frame_with_its_time_and_a_gap_for_each_disconnection() {
    for compression in [Compression::Stored, Compression::Zstd { level: 1 }] {
        let directory = tempfile::tempdir().unwrap();
        let (reference, sim) = record_with_faults(directory.path(), compression).await;
        let reel = Reel::open([directory.path()]).unwrap();
        let recorded = by_source(&reel);
        let referenced = reference.0.lock().unwrap();
        assert_eq!(recorded.len(), 3);
        let mut gaps = 0;
        for (source, received) in referenced.iter() {
            let entries = &recorded[source];
            let expected: Vec<_> = received
                .iter()
                .filter_map(|(at, received)| match received {
                    Received::Binary(frame) => Some((*at, RecordKind::Binary, frame.clone())),
                    Received::Text(text) => Some((*at, RecordKind::Text, text.clone())),
                    Received::Up | Received::Down | Received::Closed => None,
                })
                .collect();
            let found = frames(entries);
            assert_eq!(found.len(), expected.len());
            for ((kind, payload), (_, expected_kind, expected_payload)) in
                found.iter().zip(&expected)
            {
                assert_eq!((kind, payload), (expected_kind, expected_payload));
            }
            times_match_the_reference(entries, &expected);
            gaps += check_gaps(entries, received);
        }
        assert!(gaps > 10, "{gaps} gaps");
        check_sockets(&sim, &recorded);
    }
}

/// Both clocks show the same intervals.
fn times_match_the_reference(entries: &[Entry], expected: &[(u64, RecordKind, Bytes)]) {
    let is_frame = |it: &&Entry| matches!(it.kind, RecordKind::Binary | RecordKind::Text);
    let times: Vec<u64> = entries.iter().filter(is_frame).map(Entry::recv_unix_ns).collect();
    let distances = times.iter().zip(expected).map(|(time, (at, ..))| time - at);
    let distances: std::collections::BTreeSet<u64> = distances.collect();
    assert_eq!(distances.len(), 1, "every frame has the time at which it was read");
}

/// Between the frames of two sockets there is one gap, from the last received frame to the
/// handshake, or to the end.
fn check_gaps(entries: &[Entry], received: &[(u64, Received)]) -> usize {
    let (mut expected, mut is_down) = (Vec::new(), false);
    for (_, received) in received {
        match received {
            Received::Down => is_down = true,
            Received::Up | Received::Closed => {
                if std::mem::take(&mut is_down) {
                    expected.push("gap");
                }
            }
            Received::Binary(_) | Received::Text(_) => expected.push("frame"),
        }
    }
    let mut found = Vec::new();
    let (mut gaps, mut last) = (0, 0);
    for entry in entries {
        match entry.kind {
            RecordKind::Gap => {
                let gap = entry.gap().unwrap();
                assert_eq!((gap.reason, gap.frames), (GapReason::Disconnected, None));
                assert!(gap.from_unix_ns >= last, "it begins after the last frame");
                assert!(gap.from_unix_ns <= gap.to_unix_ns);
                assert_eq!(gap.to_unix_ns, entry.recv_unix_ns());
                gaps += 1;
                found.push("gap");
            }
            RecordKind::Binary | RecordKind::Text => {
                last = entry.recv_unix_ns();
                found.push("frame");
            }
            _ => {}
        }
    }
    assert!(found == expected, "gaps in the wrong places, or the wrong number of them");
    gaps
}

/// The frames between two `up` events are the first ones that the server sent on that socket.
fn check_sockets(sim: &Sim, recorded: &BTreeMap<Source, Vec<Entry>>) {
    let mut sockets = sim.sockets(API_KEY);
    let mut checked = 0;
    for entries in recorded.values() {
        let is_up = |it: &Entry| {
            it.kind == RecordKind::Event && it.payload.starts_with(br#"{"event":"up""#)
        };
        let runs: Vec<&[Entry]> = entries.split(is_up).skip(1).collect();
        for run in runs {
            let (mut chain, mut count) = (Chain::default(), 0);
            let binary = run.iter().filter(|it| it.kind == RecordKind::Binary);
            for frame in binary.filter(|it| it.payload.len() > 1) {
                chain.add(&frame.payload);
                count += 1;
            }
            if count > 0 {
                let found = sockets.iter().position(|it| it.has_prefix(count, chain));
                sockets.remove(found.expect("frames that no socket was sent"));
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} sockets");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_sends_every_frame_of_a_recorded_connection_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    record_with_faults(directory.path(), Compression::Zstd { level: 1 }).await;
    let reel = Reel::open([directory.path()]).unwrap();
    for (source, entries) in by_source(&reel) {
        let sim = Sim::builder()
            .no_heartbeats()
            .greet(false)
            .replay(Replay::new(reel.clone()).verbatim([source]).speed(Speed::AsRead))
            .start()
            .await
            .unwrap();
        let again = tempfile::tempdir().unwrap();
        let recorder = Recorder::start(again.path(), settings(Compression::Stored)).unwrap();
        let tape = recorder.clone();
        let mut manager: KiteTickerManager = manager(&sim)
            .max_connections(1)
            .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
            .build();
        in_time("the start", manager.start()).await.unwrap();
        in_time("the end of the tape", sim.replay_finished()).await;
        // The last frames may still be in flight; a close arrives after them.
        let mut events = manager.typed().events();
        sim.close_all(1000);
        in_time("the close", async {
            while !manager
                .typed()
                .snapshot()
                .connections
                .iter()
                .all(|it| !it.figures.losses.is_empty())
            {
                events.recv().await;
            }
        })
        .await;
        in_time("the stop", manager.stop()).await.unwrap();
        drop(manager);
        recorder.finish().unwrap();
        let replayed = Reel::open([again.path()]).unwrap();
        let replayed = by_source(&replayed).into_values().next().unwrap();
        let (expected, found) = (frames(&entries), frames(&replayed));
        assert_eq!(found.len(), expected.len(), "{:?}", sim.replay());
        assert!(found == expected, "wrong order, or wrong bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_the_times_between_frames() {
    let directory = tempfile::tempdir().unwrap();
    let reel = {
        let recorder = Recorder::start(directory.path(), settings(Compression::Stored)).unwrap();
        let source = Source::of(0, 0);
        let begin = 1_767_585_600_000_000_000;
        for (number, millis) in [0_u64, 3, 4, 250, 251, 5_000, 65_000].into_iter().enumerate() {
            let recv_unix_ns = begin + millis * 1_000_000;
            let received = kite_tape::Received { recv_unix_ns, source };
            let mut frame = vec![0, 1, 0, 8, 0, 0, 1, 1, 0, 0, 0];
            frame.push(u8::try_from(number).unwrap());
            recorder.record(received, RecordKind::Binary, frame.into());
        }
        recorder.finish().unwrap();
        Reel::open([directory.path()]).unwrap()
    };
    for speed in [1.0, 10.0] {
        let replay = Replay::new(reel.clone()).verbatim([Source::of(0, 0)]);
        let sim = Sim::builder().no_heartbeats().greet(false);
        let sim = sim.replay(replay.speed(Speed::Times(speed))).start().await.unwrap();
        let url = format!("ws://localhost/?api_key={API_KEY}&access_token={ACCESS_TOKEN}");
        let (mut socket, _) = tokio_tungstenite::client_async(url, sim.connect()).await.unwrap();
        let mut received = Vec::new();
        while received.len() < 7 {
            if let Message::Binary(frame) = socket.next().await.unwrap().unwrap() {
                received.push((Instant::now(), frame));
            }
        }
        let recorded: Vec<Entry> = reel.entries().map(Result::unwrap).collect();
        for (entry, (at, frame)) in recorded.iter().zip(&received) {
            assert_eq!(entry.payload, *frame);
            let expected = (entry.recv_unix_ns() - recorded[0].recv_unix_ns()) as f64 / speed;
            let found = (*at - received[0].0).as_nanos() as f64;
            // The runtime's clock has a resolution of milliseconds.
            assert!((found - expected).abs() <= 2_000_000.0, "{found} ns, not {expected}");
        }
    }
}
