//! Every file of a recording has notes of the instruments that were subscribed.

#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::path::Path;

use kite_tape::{
    Compression, Fsync, InstrumentRow, Received, RecordKind, Recorder, RecorderConfig, Reel,
    Rotation, Source,
};

/// 5 January 2026, 09:30 in India.
const MORNING: u64 = 1_767_585_600_000_000_000;
const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const SOURCE: Source = Source { account: 0, connection: 1 };

fn config() -> RecorderConfig {
    RecorderConfig { fsync: Fsync::Never, block_bytes: 8_192, ..RecorderConfig::default() }
}

fn record(recorder: &Recorder, recv_unix_ns: u64) {
    // Bytes that do not compress.
    let payload: Vec<u8> = (0..1_000_u64)
        .map(|at| {
            (recv_unix_ns.wrapping_mul(at | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
        })
        .collect();
    let received = Received { recv_unix_ns, source: SOURCE };
    recorder.record(received, RecordKind::Binary, payload.into());
}

/// Returns the tokens that the notes of a file or directory name.
fn noted(path: impl AsRef<Path>) -> Vec<u32> {
    let notes = Reel::open([path]).unwrap().instruments();
    notes.into_iter().flat_map(|note| note.rows).map(|row| row.instrument_token).collect()
}

/// Records `seconds` frames, one per second.
fn seconds(recorder: &Recorder, seconds: std::ops::Range<u64>) {
    for second in seconds {
        record(recorder, MORNING + second * SECOND);
    }
}

#[test]
fn each_file_of_a_rotation_and_each_day_begins_with_the_instruments() {
    for compression in [Compression::Stored, Compression::Zstd { level: 1 }] {
        let directory = tempfile::tempdir().unwrap();
        let rotation = Rotation { max_bytes: Some(65_536), ..Rotation::default() };
        let recorder =
            Recorder::start(directory.path(), RecorderConfig { compression, rotation, ..config() })
                .unwrap();
        recorder.instruments([InstrumentRow::new(408_065), InstrumentRow::new(738_561)]);
        seconds(&recorder, 0..200);
        seconds(&recorder, 86_400..86_410);
        let stats = recorder.finish().unwrap().stats;
        assert!(stats.files.len() >= 3, "{stats:?}");
        for file in &stats.files {
            assert_eq!(noted(file), [408_065, 738_561], "{}", file.display());
            let first = Reel::open([file]).unwrap().entries().next().unwrap().unwrap();
            assert!(first.instruments().is_some(), "the notes precede the records that they name");
        }
        let reel = Reel::open([directory.path()]).unwrap();
        let records = reel.entries().count() as u64;
        assert_eq!((records, stats.records, stats.frames), (stats.records, records, 210));
        let on_disk: u64 = reel.files().iter().map(|file| file.len_bytes() - 40).sum();
        assert_eq!(stats.bytes_on_disk, on_disk);
    }
}

#[test]
fn a_later_subscription_and_the_next_run_are_noted_in_the_same_file() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    recorder.instruments([InstrumentRow::new(1)]);
    seconds(&recorder, 0..100);
    while recorder.stats().blocks < 5 {
        std::thread::yield_now();
    }
    recorder.instruments([InstrumentRow::new(2)]);
    recorder.instruments([InstrumentRow::new(2)]);
    seconds(&recorder, 100..200);
    recorder.finish().unwrap();
    assert_eq!(noted(directory.path()), [1, 1, 2], "an unchanged row is not noted again");

    let recorder = Recorder::start(directory.path(), config()).unwrap();
    recorder.instruments([InstrumentRow::new(3)]);
    seconds(&recorder, 300..400);
    let files = recorder.finish().unwrap().stats.files;
    assert_eq!(noted(&files[0]), [1, 1, 2, 3]);
}

#[test]
fn a_note_opens_no_file_so_that_the_gap_since_the_last_run_ends_with_the_first_record() {
    let directory = tempfile::tempdir().unwrap();
    let first = Recorder::start(directory.path(), config()).unwrap();
    seconds(&first, 0..1);
    first.finish().unwrap();
    let second = Recorder::start(directory.path(), config()).unwrap();
    second.instruments([InstrumentRow::new(1)]);
    seconds(&second, 600..601);
    second.finish().unwrap();
    let entries = Reel::open([directory.path()]).unwrap().entries().map(Result::unwrap);
    let gaps: Vec<_> = entries.filter_map(|entry| entry.gap()).collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].from_unix_ns, gaps[0].to_unix_ns), (MORNING, MORNING + 600 * SECOND));

    let empty = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(empty.path(), config()).unwrap();
    recorder.instruments([InstrumentRow::new(1)]);
    assert_eq!(recorder.finish().unwrap().stats.files, Vec::<std::path::PathBuf>::new());
}

#[test]
fn notes_have_the_day_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    recorder.instruments([InstrumentRow::new(1)]);
    record(&recorder, MORNING + DAY);
    recorder.finish().unwrap();
    let notes = Reel::open([directory.path()]).unwrap().instruments();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let today = kite_wire::ist::Day::at_unix_s(now.as_secs());
    assert!(today.unix_days() - notes[0].date.unix_days() <= 1, "midnight may have passed");
    assert_eq!(notes[0].recv_unix_ns, MORNING + DAY);
}
