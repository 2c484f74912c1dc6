//! Every recording reads back, cut at any length and read with any settings.

use std::fs;

use bytes::Bytes;
use kite_tape::{
    Compression, Fsync, ReadConfig, Received, RecordKind, Recorder, RecorderConfig, Reel, Source,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// 5 January 2026, 09:30 in India.
const MORNING: u64 = 1_767_585_600_000_000_000;

type Recorded = (Received, RecordKind, Bytes);

fn record() -> impl Strategy<Value = Recorded> {
    let kinds = [RecordKind::Binary, RecordKind::Text, RecordKind::Event];
    let kind = prop::sample::select(kinds.to_vec());
    // The clock may step back, but not to another day.
    let received = (0..1_000_u64, 0..3_u8, 0..3_u8).prop_map(|(time, account, connection)| {
        Received { recv_unix_ns: MORNING + time, source: Source { account, connection } }
    });
    let byte = prop_oneof![Just(0), any::<u8>()];
    (received, kind, vec(byte, 0..300).prop_map(Bytes::from))
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::Stored), (-7..=3).prop_map(|level| Compression::Zstd { level })]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn recordings_read_back_cut_at_any_length_with_any_settings(
        given in vec(record(), 1..60),
        compression in compression(),
        keep in 0.0..=1.0,
        from in 0..1_000_u64,
        threads in 1..4_usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let config = RecorderConfig {
            compression,
            block_bytes: 1_024,
            queue_frames: 64,
            fsync: Fsync::Never,
            ..RecorderConfig::default()
        };
        let recorder = Recorder::start(directory.path(), config).unwrap();
        for (received, kind, payload) in &given {
            recorder.record(*received, *kind, payload.clone());
        }
        let path = recorder.finish().unwrap().stats.files[0].clone();
        let read = |config| -> Vec<Recorded> {
            let reel = Reel::open([&path]).unwrap();
            let entries = reel.entries_with(config).map(Result::unwrap);
            entries.map(|it| (it.received, it.kind, it.payload)).collect()
        };
        prop_assert_eq!(&read(ReadConfig::default()), &given);

        let bytes = fs::read(&path).unwrap();
        let length = 40 + ((bytes.len() - 40) as f64 * keep) as usize;
        fs::write(&path, &bytes[..length]).unwrap();
        let alone = read(ReadConfig::default());
        prop_assert_eq!(&alone, &given[..alone.len()]);
        prop_assert_eq!(&read(ReadConfig { threads, ..ReadConfig::default() }), &alone);

        let from_unix_ns = MORNING + from;
        let sought = read(ReadConfig { from_unix_ns, threads: 0 });
        let first = alone.iter().position(|it| it.0.recv_unix_ns >= from_unix_ns);
        prop_assert_eq!(&sought, &alone[first.unwrap_or(alone.len())..]);
        prop_assert_eq!(&read(ReadConfig { from_unix_ns, threads }), &sought);
    }
}
