//! A recorder's files contain every recorded frame, across restarts, rotations and truncation.

#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use kite_tape::{
    Compression, Entry, Fsync, Gap, GapReason, Received, RecordError, RecordKind, Recorder,
    RecorderConfig, Reel, Rotation, Source,
};
use kite_wire::tape::Ending;

/// 5 January 2026, 09:30 in India.
const MORNING: u64 = 1_767_585_600_000_000_000;
const DAY: u64 = 86_400_000_000_000;
const SOURCE: Source = Source { account: 0, connection: 1 };

fn config() -> RecorderConfig {
    RecorderConfig { queue_frames: 1_024, fsync: Fsync::Never, ..RecorderConfig::default() }
}

fn record(recorder: &Recorder, recv_unix_ns: u64, payload: impl Into<Bytes>) {
    let received = Received { recv_unix_ns, source: SOURCE };
    recorder.record(received, RecordKind::Binary, payload.into());
}

fn read(directory: &Path) -> Vec<Entry> {
    let reel = Reel::open([directory]).unwrap();
    assert!(reel.files().iter().all(|file| matches!(file.ending(), Ending::Clean { .. })));
    reel.entries().map(Result::unwrap).collect()
}

fn times(entries: &[Entry]) -> Vec<u64> {
    let frames = entries.iter().filter(|entry| entry.kind == RecordKind::Binary);
    frames.map(|entry| entry.recv_unix_ns() - MORNING).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".ktape"));
    names.sort();
    names
}

#[test]
fn records_read_back_in_order_with_every_compression() {
    let compressions = [
        Compression::Stored,
        Compression::Zstd { level: -7 },
        Compression::Zstd { level: 1 },
        Compression::Zstd { level: 19 },
    ];
    for compression in compressions {
        let directory = tempfile::tempdir().unwrap();
        let config = RecorderConfig { compression, block_bytes: 4_096, ..config() };
        let recorder = Recorder::start(directory.path(), config).unwrap();
        let kinds = [RecordKind::Binary, RecordKind::Text, RecordKind::Event];
        let mut expected = Vec::new();
        for number in 0..500_u64 {
            let source = Source { account: (number % 3) as u8, connection: (number % 2) as u8 };
            let received = Received { recv_unix_ns: MORNING + number, source };
            let payload = Bytes::from(vec![number as u8; number as usize % 97]);
            let kind = kinds[number as usize % 3];
            recorder.record(received, kind, payload.clone());
            expected.push((received, kind, payload));
        }
        let summary = recorder.finish().unwrap();
        assert_eq!((summary.stats.records, summary.stats.dropped), (500, 0));
        assert!(summary.stats.blocks > 1);
        let entries = read(directory.path());
        let found: Vec<_> =
            entries.into_iter().map(|it| (it.received, it.kind, it.payload)).collect();
        assert_eq!(found, expected);
        let on_disk: u64 =
            summary.stats.files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(summary.stats.bytes_on_disk, on_disk - 40);
    }
}

#[test]
fn each_day_in_india_has_its_own_file() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    let midnight = MORNING + DAY * 29 / 48;
    for time in [MORNING, midnight - 1, midnight, midnight + 1, midnight + DAY] {
        record(&recorder, time, "x");
    }
    let files = recorder.finish().unwrap().stats.files;
    let expected = ["kite-2026-01-05.ktape", "kite-2026-01-06.ktape", "kite-2026-01-07.ktape"];
    assert_eq!(names(directory.path()), expected);
    let counts = files.iter().map(|path| Reel::open([path]).unwrap().entries().count());
    assert_eq!(counts.collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(read(directory.path()).len(), 5);
}

#[test]
fn a_file_at_its_limit_is_followed_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let config = RecorderConfig {
        compression: Compression::Stored,
        block_bytes: 8_192,
        rotation: Rotation { max_bytes: Some(65_536), ..Rotation::default() },
        ..config()
    };
    let recorder = Recorder::start(directory.path(), config.clone()).unwrap();
    for number in 0..700 {
        record(&recorder, MORNING + number, vec![7; 1_000]);
    }
    let stats = recorder.finish().unwrap().stats;
    assert!(stats.files.len() > 10);
    for path in &stats.files {
        assert!(fs::metadata(path).unwrap().len() <= 65_536);
    }
    // A later start continues the last of them, whose number has more than one digit.
    let recorder = Recorder::start(directory.path(), config).unwrap();
    record(&recorder, MORNING + 700, "x");
    assert_eq!(recorder.finish().unwrap().stats.files, stats.files[stats.files.len() - 1..]);
    assert_eq!(times(&read(directory.path())), (0..=700).collect::<Vec<_>>());
}

#[test]
fn two_recorders_never_share_a_directory_and_prefix() {
    let directory = tempfile::tempdir().unwrap();
    let first = Recorder::start(directory.path(), config()).unwrap();
    let error = Recorder::start(directory.path(), config()).unwrap_err();
    assert!(matches!(&error, RecordError::Locked { path } if path.starts_with(directory.path())));
    let other = RecorderConfig { prefix: "other".into(), ..config() };
    Recorder::start(directory.path(), other).unwrap().finish().unwrap();
    first.finish().unwrap();
    Recorder::start(directory.path(), config()).unwrap().finish().unwrap();
}

#[test]
fn settings_out_of_range_are_rejected_by_name() {
    let directory = tempfile::tempdir().unwrap();
    type Change = fn(&mut RecorderConfig);
    let wrong: [(&str, Change); 11] = [
        ("prefix", |it| it.prefix = String::new()),
        ("prefix", |it| it.prefix = "../evil".into()),
        ("queue_frames", |it| it.queue_frames = 0),
        ("queue_frames", |it| it.queue_frames = usize::MAX),
        ("queue_bytes", |it| it.queue_bytes = 0),
        ("block_bytes", |it| it.block_bytes = 0),
        ("block_bytes", |it| it.block_bytes = usize::MAX),
        ("block_age", |it| it.block_age = Duration::MAX),
        ("compression level", |it| it.compression = Compression::Zstd { level: 99 }),
        ("rotation.max_bytes", |it| it.rotation.max_bytes = Some(0)),
        ("metadata", |it| it.metadata = vec![0; (1 << 20) + 1]),
    ];
    for (name, change) in wrong {
        let mut config = config();
        change(&mut config);
        let error = Recorder::start(directory.path(), config).unwrap_err();
        assert!(matches!(error, RecordError::Config { field, .. } if field == name), "{error}");
    }
    assert!(names(directory.path()).is_empty());
}

#[test]
fn the_next_start_continues_the_file_after_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    for start in [0, 100, 200] {
        let recorder = Recorder::start(directory.path(), config()).unwrap();
        record(&recorder, MORNING + start, "x");
        record(&recorder, MORNING + start + 1, "x");
        recorder.finish().unwrap();
    }
    assert_eq!(names(directory.path()), ["kite-2026-01-05.ktape"]);
    let entries = read(directory.path());
    let gaps: Vec<_> = entries.iter().filter_map(Entry::gap).collect();
    let gap = |from, to| Gap {
        reason: GapReason::RecorderStopped,
        from_unix_ns: MORNING + from,
        to_unix_ns: MORNING + to,
        frames: None,
    };
    assert_eq!(gaps, [gap(1, 100), gap(101, 200)]);
    assert_eq!(entries[2].received.source, Source::RECORDER);
    assert_eq!(times(&entries), [0, 1, 100, 101, 200, 201]);
}

#[test]
fn other_metadata_starts_another_file_with_the_gap() {
    let directory = tempfile::tempdir().unwrap();
    for (metadata, time) in [("mine", 0), ("other", 1_000), ("other", 2_000)] {
        let config = RecorderConfig { metadata: metadata.into(), ..config() };
        let recorder = Recorder::start(directory.path(), config).unwrap();
        record(&recorder, MORNING + time, vec![0]);
        recorder.finish().unwrap();
    }
    assert_eq!(names(directory.path()), ["kite-2026-01-05.1.ktape", "kite-2026-01-05.ktape"]);
    let entries = read(directory.path());
    assert_eq!(times(&entries), [0, 1_000, 2_000]);
    let gaps: Vec<Gap> = entries.iter().filter_map(Entry::gap).collect();
    assert_eq!(gaps.len(), 2);
    assert_eq!((gaps[0].from_unix_ns, gaps[0].to_unix_ns), (MORNING, MORNING + 1_000));
}

#[test]
fn dropping_the_last_clone_ends_the_recording() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    let clone = recorder.clone();
    record(&recorder, MORNING, "x");
    drop(recorder);
    record(&clone, MORNING + 1, "x");
    drop(clone);
    assert_eq!(times(&read(directory.path())), [0, 1]);
}

#[test]
fn records_after_the_end_are_counted_as_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    let clone = recorder.clone();
    record(&recorder, MORNING, "x");
    assert_eq!(recorder.finish().unwrap().stats.dropped, 0);
    record(&clone, MORNING + 1, "x");
    assert_eq!((clone.stats().dropped, clone.stats().queued), (1, 0));
    assert_eq!(times(&read(directory.path())), [0]);
}

#[test]
fn a_foreign_file_is_left_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = directory.path().join("kite-2026-01-05.ktape");
    fs::write(&foreign, "not a tape").unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    record(&recorder, MORNING, "x");
    let files = recorder.finish().unwrap().stats.files;
    assert_eq!(files, [directory.path().join("kite-2026-01-05.1.ktape")]);
    assert_eq!(fs::read(&foreign).unwrap(), b"not a tape");
}

#[test]
fn a_file_cut_at_any_length_is_continued() {
    for compression in [Compression::Stored, Compression::Zstd { level: 1 }] {
        let directory = tempfile::tempdir().unwrap();
        let config =
            RecorderConfig { compression, block_bytes: 1_024, queue_frames: 32, ..config() };
        let recorder = Recorder::start(directory.path(), config.clone()).unwrap();
        for number in 0..16 {
            record(&recorder, MORNING + number, vec![number as u8; 200]);
        }
        let path = recorder.finish().unwrap().stats.files[0].clone();
        let whole = fs::read(&path).unwrap();
        let reel = Reel::open([&path]).unwrap();
        // The end of each block, and the number of records up to it.
        let tape = reel.files()[0].tape();
        let mut complete = vec![(0, 0)];
        for block in tape.blocks().map(Result::unwrap) {
            let end = block.offset() + 64 + block.stored().len();
            complete.push((end, complete[complete.len() - 1].1 + block.records_len() as usize));
        }
        assert!(complete.len() > 3);
        drop(reel);
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let recorder = Recorder::start(directory.path(), config.clone()).unwrap();
            record(&recorder, MORNING + 100, "more");
            let files = recorder.finish().unwrap().stats.files;
            assert_eq!(files, std::slice::from_ref(&path), "cut at {length}");
            let entries = read(directory.path());
            let mut found = times(&entries);
            assert_eq!(found.pop(), Some(100), "cut at {length}");
            let kept = complete.iter().rfind(|(end, _)| *end <= length).unwrap().1;
            assert!(found.len() >= kept, "{} of {kept} after a cut at {length}", found.len());
            assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
            let gaps = entries.iter().filter_map(Entry::gap).count();
            assert_eq!(gaps, usize::from(!found.is_empty()), "cut at {length}");
        }
    }
}

/// A configuration with small blocks, and files of a few blocks.
fn small() -> RecorderConfig {
    RecorderConfig {
        block_bytes: 1_024,
        compression: Compression::Stored,
        rotation: Rotation { max_bytes: Some(64 << 10), by_day: true },
        ..config()
    }
}

#[test]
fn files_of_a_day_keep_the_order_of_writing_if_the_clock_changes() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), small()).unwrap();
    for number in 0..900_u64 {
        // The clock is set back every fifty records, and often stands still.
        let time = MORNING + (number % 50) / 10 * 1_000_000;
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(1_000, 0);
        record(&recorder, time, payload);
        while recorder.stats().queued > 500 {
            std::thread::yield_now();
        }
    }
    recorder.finish().unwrap();
    let reel = Reel::open([directory.path()]).unwrap();
    let files: Vec<_> = reel.files().iter().map(|file| file.path().file_name().unwrap()).collect();
    assert!(files.len() > 11, "{files:?}");
    assert_eq!(files[0], "kite-2026-01-05.ktape");
    assert_eq!(files[1], "kite-2026-01-05.1.ktape");
    assert_eq!(files[10], "kite-2026-01-05.10.ktape");
    let numbers: Vec<u64> = reel
        .entries()
        .map(|entry| u64::from_be_bytes(*entry.unwrap().payload.first_chunk().unwrap()))
        .collect();
    assert_eq!(numbers, (0..900).collect::<Vec<_>>());
    // Opened one by one in another order, they are the same recording.
    let named = Reel::open(reel.files().iter().rev().map(|file| file.path())).unwrap();
    assert!(reel.entries().flatten().eq(named.entries().flatten()));
}

#[test]
fn a_block_after_damage_that_ends_in_half_a_header_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), small()).unwrap();
    record(&recorder, MORNING, "before");
    recorder.finish().unwrap();
    let path = directory.path().join("kite-2026-01-05.ktape");
    let mut bytes = fs::read(&path).unwrap();
    let tape_id = kite_wire::tape::Tape::open(&bytes).unwrap().tape_id();
    let whole = bytes.len();
    for kept in 28..64 {
        let header = kite_wire::tape::BlockEncoder::new(tape_id, 1).seal();
        bytes.truncate(whole);
        bytes.extend_from_slice(&[0xee; 100]);
        bytes.extend_from_slice(&header[..kept]);
        fs::write(&path, &bytes).unwrap();
        let recorder = Recorder::start(directory.path(), small()).unwrap();
        record(&recorder, MORNING + 5, "after");
        recorder.finish().unwrap();
        let reel = Reel::open([directory.path()]).unwrap();
        let payloads: Vec<_> = reel.entries().flatten().map(|entry| entry.payload).collect();
        assert!(payloads.contains(&Bytes::from("before")), "{kept} bytes of a header");
        assert!(payloads.contains(&Bytes::from("after")), "{kept} bytes of a header");
    }
}

#[test]
fn a_file_with_a_damaged_header_is_not_continued_and_its_end_begins_the_gap() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), small()).unwrap();
    record(&recorder, MORNING, "x");
    recorder.finish().unwrap();
    let path = directory.path().join("kite-2026-01-05.ktape");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let recorder = Recorder::start(directory.path(), small()).unwrap();
    record(&recorder, MORNING + 500, "y");
    let files = recorder.finish().unwrap().stats.files;
    assert_eq!(files, [directory.path().join("kite-2026-01-05.1.ktape")]);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let entries: Vec<_> =
        Reel::open([directory.path()]).unwrap().entries().filter_map(Result::ok).collect();
    assert_eq!(entries[1].gap().unwrap().from_unix_ns, MORNING);
    assert_eq!((&entries[0].payload[..], &entries[2].payload[..]), (&b"x"[..], &b"y"[..]));
}

#[test]
fn files_without_records_do_not_hide_the_gap() {
    let directory = tempfile::tempdir().unwrap();
    let name = |number| directory.path().join(format!("kite-2026-01-05.{number}.ktape"));
    let recorder = Recorder::start(directory.path(), small()).unwrap();
    record(&recorder, MORNING, "x");
    recorder.finish().unwrap();
    let header =
        kite_wire::tape::TapeHeader { created_unix_ns: 1, tape_id: 9, metadata: &[] }.head();
    let header = header.unwrap();
    fs::write(name(1), header).unwrap();
    fs::write(name(2), &header[..20]).unwrap();
    // The incomplete file that a kill during rotation leaves does not prevent reading the rest.
    let reel = Reel::open([directory.path()]).unwrap();
    assert_eq!((reel.entries().count(), reel.passed_over().len()), (1, 1));
    let recorder = Recorder::start(directory.path(), small()).unwrap();
    record(&recorder, MORNING + 500, "y");
    recorder.finish().unwrap();
    let entries = read(directory.path());
    let gap = entries.iter().find_map(Entry::gap).unwrap();
    assert_eq!((gap.from_unix_ns, gap.to_unix_ns), (MORNING, MORNING + 500));
    // If the first files were moved away, new records still follow the old ones.
    fs::remove_file(directory.path().join("kite-2026-01-05.ktape")).unwrap();
    let recorder = Recorder::start(directory.path(), small()).unwrap();
    record(&recorder, MORNING + 900, "z");
    recorder.finish().unwrap();
    assert!(!names(directory.path()).contains(&"kite-2026-01-05.ktape".to_owned()));
    let last = read(directory.path()).pop().unwrap();
    assert_eq!((last.recv_unix_ns(), &last.payload[..]), (MORNING + 900, &b"z"[..]));
}

#[test]
fn a_clock_set_back_between_two_runs_leaves_no_negative_gap() {
    let directory = tempfile::tempdir().unwrap();
    for time in [MORNING + 1_000, MORNING] {
        let recorder = Recorder::start(directory.path(), config()).unwrap();
        record(&recorder, time, "x");
        recorder.finish().unwrap();
    }
    let gap = read(directory.path()).iter().find_map(Entry::gap).unwrap();
    assert_eq!((gap.from_unix_ns, gap.to_unix_ns), (MORNING, MORNING));
}

#[test]
fn every_finish_waits_for_the_end_and_then_the_directory_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    for number in 0..1_000 {
        record(&recorder, MORNING + number, vec![7; 500]);
    }
    let others: Vec<_> = (0..3)
        .map(|_| {
            let recorder = recorder.clone();
            std::thread::spawn(move || recorder.finish().unwrap().stats)
        })
        .collect();
    let kept = recorder.clone();
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.frames, stats.queued), (1_000, 0));
    for other in others {
        assert_eq!(other.join().unwrap(), stats);
    }
    let next = Recorder::start(directory.path(), config()).unwrap();
    drop((next, kept));
}
