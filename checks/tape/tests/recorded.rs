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

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something that a connection brought, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Up,
    Down,
    Closed,
    Binary(Bytes),
    Text(Bytes),
}

/// Stands beside the recorder and notes what it must have recorded, with the time of each frame in
/// nanoseconds since the first one of all.
#[derive(Debug, Clone, Default)]
struct Witness(Arc<Mutex<Notes>>);

type Notes = BTreeMap<Source, Vec<(u64, Heard)>>;

struct WitnessSink(Witness, Source);

impl WitnessSink {
    fn note(&self, at: u64, heard: Heard) {
        self.0.0.lock().unwrap().entry(self.1).or_default().push((at, heard));
    }
}

impl Sink for WitnessSink {
    fn on_batch(&mut self, batch: &Batch) {
        self.note(batch.received.as_nanos(), Heard::Binary(batch.frame().clone()));
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Up { .. } => self.note(0, Heard::Up),
            Event::Down { .. } => self.note(0, Heard::Down),
            Event::Closed => self.note(0, Heard::Closed),
            Event::Text { text, received, .. } | Event::TextUnreadable { text, received, .. } => {
                self.note(received.as_nanos(), Heard::Text(text.clone()));
            }
            _ => {}
        }
    }
}

async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(PATIENCE, future).await else { panic!("never: {what}") };
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

/// Kinds of faults that cost sockets, frames and patience, and none that ends all trying.
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

/// Streams through the facade with faults by chance, recorded into the directory.
async fn record_with_faults(directory: &Path, compression: Compression) -> (Witness, Sim) {
    let sim = Sim::builder()
        .updates_per_second(30.0)
        .heartbeat_every(Duration::from_millis(20))
        .chance(FaultChance::new(7, Duration::from_millis(150)).kinds(KINDS))
        .start()
        .await
        .unwrap();
    let recorder = Recorder::start(directory, settings(compression)).unwrap();
    let (witness, tape) = (Witness::default(), recorder.clone());
    let beside = witness.clone();
    let mut manager = manager(&sim)
        .tap(move |seat| {
            let source = Source::of(seat.account_index, seat.connection);
            (tape.sink(source), WitnessSink(beside.clone(), source))
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
    (witness, sim)
}

/// Gives the records of each source, in order.
fn by_source(reel: &Reel) -> BTreeMap<Source, Vec<Entry>> {
    let mut by_source: BTreeMap<Source, Vec<Entry>> = BTreeMap::new();
    for entry in reel.entries() {
        let entry = entry.unwrap();
        by_source.entry(entry.received.source).or_default().push(entry);
    }
    by_source
}

/// The frames of a source, as they were received.
fn frames(entries: &[Entry]) -> Vec<(RecordKind, Bytes)> {
    let is_frame = |it: &&Entry| matches!(it.kind, RecordKind::Binary | RecordKind::Text);
    entries.iter().filter(is_frame).map(|it| (it.kind, it.payload.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tape_has_every_frame_with_its_time_and_a_gap_wherever_the_connection_was_down() {
    for compression in [Compression::Stored, Compression::Zstd { level: 1 }] {
        let directory = tempfile::tempdir().unwrap();
        let (witness, sim) = record_with_faults(directory.path(), compression).await;
        let reel = Reel::open([directory.path()]).unwrap();
        let recorded = by_source(&reel);
        let witnessed = witness.0.lock().unwrap();
        assert_eq!(recorded.len(), 3);
        let mut gaps = 0;
        for (source, heard) in witnessed.iter() {
            let entries = &recorded[source];
            let expected: Vec<_> = heard
                .iter()
                .filter_map(|(at, heard)| match heard {
                    Heard::Binary(frame) => Some((*at, RecordKind::Binary, frame.clone())),
                    Heard::Text(text) => Some((*at, RecordKind::Text, text.clone())),
                    Heard::Up | Heard::Down | Heard::Closed => None,
                })
                .collect();
            let found = frames(entries);
            assert_eq!(found.len(), expected.len());
            for ((kind, payload), (_, expected_kind, expected_payload)) in
                found.iter().zip(&expected)
            {
                assert_eq!((kind, payload), (expected_kind, expected_payload));
            }
            times_are_those_of_the_witness(entries, &expected);
            gaps += gaps_stand_where_it_was_down(entries, heard);
        }
        assert!(gaps > 10, "{gaps} gaps");
        every_socket_is_on_tape_as_it_was_sent(&sim, &recorded);
    }
}

/// One clock or the other: the distances are the same, but for a correction of the wall clock.
fn times_are_those_of_the_witness(entries: &[Entry], expected: &[(u64, RecordKind, Bytes)]) {
    let is_frame = |it: &&Entry| matches!(it.kind, RecordKind::Binary | RecordKind::Text);
    let times: Vec<u64> = entries.iter().filter(is_frame).map(Entry::recv_unix_ns).collect();
    let distances = times.iter().zip(expected).map(|(time, (at, ..))| time - at);
    let distances: std::collections::BTreeSet<u64> = distances.collect();
    assert_eq!(distances.len(), 1, "every frame has the time at which it was read");
}

/// Between the frames of two sockets stands one gap, from the last sign of life to the handshake,
/// or to the end.
fn gaps_stand_where_it_was_down(entries: &[Entry], heard: &[(u64, Heard)]) -> usize {
    let (mut expected, mut is_down) = (Vec::new(), false);
    for (_, heard) in heard {
        match heard {
            Heard::Down => is_down = true,
            Heard::Up | Heard::Closed => {
                if std::mem::take(&mut is_down) {
                    expected.push("gap");
                }
            }
            Heard::Binary(_) | Heard::Text(_) => expected.push("frame"),
        }
    }
    let mut found = Vec::new();
    let (mut gaps, mut last) = (0, 0);
    for entry in entries {
        match entry.kind {
            RecordKind::Gap => {
                let gap = entry.gap().unwrap();
                assert_eq!((gap.reason, gap.frames), (GapReason::Disconnected, None));
                assert!(gap.from_unix_ns >= last, "it begins behind the last frame");
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
    assert!(found == expected, "gaps at other places, or another number of them");
    gaps
}

/// The frames between two notes of `up` are the beginning of what the server sent on that socket.
fn every_socket_is_on_tape_as_it_was_sent(sim: &Sim, recorded: &BTreeMap<Source, Vec<Entry>>) {
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
                sockets.remove(found.expect("no socket was sent these frames"));
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} sockets");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_gives_a_client_every_frame_of_a_recorded_connection_byte_for_byte() {
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
        // What was sent last may still be on its way: a close comes behind it.
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
        assert!(found == expected, "another order, or other bytes");
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
        let mut came = Vec::new();
        while came.len() < 7 {
            if let Message::Binary(frame) = socket.next().await.unwrap().unwrap() {
                came.push((Instant::now(), frame));
            }
        }
        let recorded: Vec<Entry> = reel.entries().map(Result::unwrap).collect();
        for (entry, (at, frame)) in recorded.iter().zip(&came) {
            assert_eq!(entry.payload, *frame);
            let expected = (entry.recv_unix_ns() - recorded[0].recv_unix_ns()) as f64 / speed;
            let found = (*at - came[0].0).as_nanos() as f64;
            // The clock of the runtime has milliseconds.
            assert!((found - expected).abs() <= 2_000_000.0, "{found} ns, not {expected}");
        }
    }
}
