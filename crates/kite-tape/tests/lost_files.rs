//! Files and directories that another program removes, moves or truncates during a recording.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kite_tape::{
    Compression, Entry, Fsync, Gap, GapReason, InstrumentRow, Received, RecordError, RecordKind,
    Recorder, RecorderConfig, RecorderStats, Reel, Source,
};
use kite_wire::tape::BLOCK_HEADER_LEN;

/// 5 January 2026, 09:30 in India.
const MORNING: u64 = 1_767_585_600_000_000_000;
const SOURCE: Source = Source { account: 0, connection: 0 };
/// Timeout for each step; generous for a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes each record as soon as it is taken from the queue.
fn unbuffered() -> RecorderConfig {
    RecorderConfig {
        block_age: Duration::ZERO,
        compression: Compression::Stored,
        fsync: Fsync::Never,
        ..RecorderConfig::default()
    }
}

fn wait_for(recorder: &Recorder, holds: impl Fn(&RecorderStats) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds(&recorder.stats()) {
        assert!(Instant::now() < end, "{:?}", recorder.stats());
        thread::yield_now();
    }
}

/// Records numbered frames, each in a block of its own, and waits until all are written or lost.
fn record(recorder: &Recorder, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let received = Received { recv_unix_ns: MORNING + number, source: SOURCE };
        let settled = |stats: &RecorderStats| stats.frames + stats.lost;
        let before = settled(&recorder.stats());
        recorder.record(received, RecordKind::Binary, Bytes::copy_from_slice(&[0; 8]));
        wait_for(recorder, |stats| settled(stats) > before);
    }
}

/// The frames and the gaps of the connection in a directory, relative to the morning.
#[derive(Debug, PartialEq)]
enum Seen {
    Frame(u64),
    Gap(u64, u64, Option<u64>),
}

fn seen(directory: &Path) -> Vec<Seen> {
    let reel = Reel::open([directory]).unwrap();
    let entries = reel.entries().flatten().filter(|it| it.received.source == SOURCE);
    let seen = |entry: Entry| match entry.gap() {
        Some(gap) => {
            assert_eq!(gap.reason, GapReason::WriteFailed);
            Seen::Gap(gap.from_unix_ns - MORNING, gap.to_unix_ns - MORNING, gap.frames)
        }
        None => Seen::Frame(entry.recv_unix_ns() - MORNING),
    };
    entries.map(seen).collect()
}

/// The gaps under the recorder's own source, which are not those of a connection.
fn gaps_of_the_recorder(directory: &Path) -> Vec<Gap> {
    let entries = Reel::open([directory]).unwrap().entries().flatten();
    entries.filter(|it| it.received.source == Source::RECORDER).filter_map(|it| it.gap()).collect()
}

fn file_of(recorder: &Recorder) -> PathBuf {
    recorder.stats().files.last().unwrap().clone()
}

fn truncate(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Returns the length of the blocks of all tapes in a directory.
fn bytes_on_disk(directory: &Path) -> u64 {
    let mut bytes = 0;
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let file = fs::read(&path).unwrap();
        if path.extension().is_none_or(|it| it != "ktape") || file.is_empty() {
            continue;
        }
        let tape = kite_wire::tape::Tape::open(&file).unwrap();
        for block in tape.blocks() {
            bytes += block.map_or(0, |it| (BLOCK_HEADER_LEN + it.stored().len()) as u64);
        }
    }
    bytes
}

/// Records five frames, does something to their file, and records three more. Returns the final
/// statistics and what is on the tapes.
fn after(act: impl FnOnce(&Path)) -> (RecorderStats, Vec<Seen>) {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("tapes");
    let recorder = Recorder::start(&directory, unbuffered()).unwrap();
    recorder.instruments([InstrumentRow::new(408_065)]);
    record(&recorder, 0..5);
    act(&file_of(&recorder));
    record(&recorder, 5..8);
    let stats = recorder.finish().unwrap().stats;
    assert_eq!(stats.bytes_on_disk, bytes_on_disk(&directory));
    assert_eq!(gaps_of_the_recorder(&directory), []);
    (stats, seen(&directory))
}

#[test]
fn a_lost_file_is_a_gap_in_the_next() {
    let parent = |path: &Path| path.parent().unwrap().to_owned();
    type Act<'a> = &'a dyn Fn(&Path);
    let acts: [(Act<'_>, &str); 5] = [
        (&|path| fs::remove_file(path).unwrap(), "was removed"),
        (&|path| fs::remove_dir_all(parent(path)).unwrap(), "was removed"),
        (&|path| fs::rename(path, path.with_extension("moved")).unwrap(), "was moved away"),
        (&|path| fs::rename(parent(path), parent(path).join("../old")).unwrap(), "was moved away"),
        (&|path| truncate(path, 0), "was truncated"),
    ];
    for (act, expected) in acts {
        let (stats, seen) = after(act);
        let error = stats.last_error.clone().unwrap();
        assert!(error.contains(expected) && error.ends_with("5 frames lost"), "{error}");
        assert_eq!((stats.frames, stats.lost), (3, 5), "{expected}");
        assert_eq!((stats.failures, stats.files_lost), (1, 1), "{expected}");
        assert!(!stats.is_failing);
        let mut all = vec![Seen::Gap(0, 4, Some(5))];
        all.extend((5..8).map(Seen::Frame));
        assert_eq!(seen, all, "{expected}");
    }
}

#[test]
fn only_what_was_cut_off_or_not_copied_is_lost() {
    let two_of_five = |path: &Path| {
        let tape = fs::read(path).unwrap();
        let tape = kite_wire::tape::Tape::open(&tape).unwrap();
        // The first block holds the note of the instruments.
        tape.blocks().nth(3).unwrap().unwrap().offset() as u64 + 3
    };
    let cut = after(|path| truncate(path, two_of_five(path)));
    let replaced = after(|path| {
        let copy = path.with_extension("copy");
        fs::copy(path, &copy).unwrap();
        truncate(&copy, two_of_five(path));
        fs::rename(copy, path).unwrap();
    });
    for (stats, seen) in [cut, replaced] {
        assert_eq!((stats.frames, stats.lost), (5, 3), "{:?}", stats.last_error);
        let mut all: Vec<_> = (0..2).map(Seen::Frame).collect();
        all.push(Seen::Gap(1, 4, Some(3)));
        all.extend((5..8).map(Seen::Frame));
        assert_eq!(seen, all);
    }
}

#[test]
fn records_of_earlier_runs_are_lost_in_unknown_number() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), unbuffered()).unwrap();
    record(&recorder, 0..5);
    recorder.finish().unwrap();
    let recorder = Recorder::start(directory.path(), unbuffered()).unwrap();
    recorder.instruments([InstrumentRow::new(408_065)]);
    record(&recorder, 5..6);
    fs::remove_file(file_of(&recorder)).unwrap();
    record(&recorder, 6..7);
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.frames, stats.lost), (1, 1));
    let entries: Vec<_> = Reel::open([directory.path()]).unwrap().entries().flatten().collect();
    let gaps: Vec<_> =
        entries.iter().filter_map(|it| Some((it.received.source, it.gap()?))).collect();
    let earlier = gaps
        .iter()
        .find(|(source, gap)| *source == Source::RECORDER && gap.reason == GapReason::WriteFailed);
    let (_, gap) = earlier.unwrap();
    assert_eq!((gap.from_unix_ns, gap.to_unix_ns, gap.frames), (MORNING, MORNING + 4, None));
    assert!(gaps.iter().any(|(_, gap)| gap.reason == GapReason::RecorderStopped));
    assert_eq!(seen_frames(&entries), [6]);
}

fn seen_frames(entries: &[Entry]) -> Vec<u64> {
    let frames = entries.iter().filter(|it| it.kind == RecordKind::Binary);
    frames.map(|it| it.recv_unix_ns() - MORNING).collect()
}

#[test]
fn a_lost_file_is_noticed_and_its_gap_written_without_further_records() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), unbuffered()).unwrap();
    record(&recorder, 0..3);
    fs::remove_file(file_of(&recorder)).unwrap();
    wait_for(&recorder, |stats| stats.gaps == 1);
    assert_eq!(seen(directory.path()), [Seen::Gap(0, 2, Some(3))]);
    fs::remove_file(file_of(&recorder)).unwrap();
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.lost, stats.failures), (3, 2), "the gap is not lost a second time");
    assert_eq!(seen(directory.path()), [Seen::Gap(0, 2, Some(3))]);
}

#[test]
fn a_second_recorder_that_gets_the_lock_of_a_removed_directory_is_not_disturbed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("tapes");
    let first = Recorder::start(&directory, unbuffered()).unwrap();
    record(&first, 0..2);
    fs::remove_dir_all(&directory).unwrap();
    // Whether the first notices the removal before the second starts is left to chance.
    let Ok(second) = Recorder::start(&directory, unbuffered()) else {
        wait_for(&first, |stats| stats.lost == 2);
        return;
    };
    record(&second, 2..4);
    record(&first, 4..6);
    wait_for(&first, |stats| stats.lost == 4);
    let error = first.stats().last_error.unwrap();
    assert!(error.contains("is locked by another recorder"), "{error}");
    second.finish().unwrap();
    // The first gets the lock back, and continues the file.
    record(&first, 6..7);
    let third = Recorder::start(&directory, unbuffered());
    assert!(matches!(third, Err(RecordError::Locked { .. })));
    first.finish().unwrap();
    let expected = [Seen::Frame(2), Seen::Frame(3), Seen::Gap(0, 5, Some(4)), Seen::Frame(6)];
    assert_eq!(seen(&directory), expected);
}
