//! A killed recorder loses nothing that it had written, and continues when it is started again.
//!
//! The test starts itself as a child process, which records numbered frames as fast as it can and
//! prints the number of frames in written blocks. The child is killed a hundred times over the same
//! directory.

#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kite_tape::{
    Compression, Fsync, GapReason, Received, RecordKind, Recorder, RecorderConfig, Reel, Rotation,
    Source,
};

const DIRECTORY: &str = "KITE_TAPE_KILLED_DIRECTORY";
const FIRST: &str = "KITE_TAPE_KILLED_FIRST";
const COMPRESSED: &str = "KITE_TAPE_KILLED_COMPRESSED";

/// 5 January 2026, 09:30 in India: frame `n` is received `n` microseconds later, all on one day.
const MORNING: u64 = 1_767_585_600_000_000_000;
const STEP: u64 = 1_000;
const KILLS: u32 = 100;

/// The child process; without its environment variables it does nothing.
#[test]
fn child() {
    let Ok(directory) = env::var(DIRECTORY) else { return };
    let first: u64 = env::var(FIRST).unwrap().parse().unwrap();
    let compression = match env::var(COMPRESSED).unwrap().as_str() {
        "1" => Compression::Zstd { level: 1 },
        _ => Compression::Stored,
    };
    let config = RecorderConfig {
        queue_frames: 1_024,
        block_bytes: 2_048,
        // Small, so that some kills happen between two files.
        rotation: Rotation { max_bytes: Some(64 << 10), by_day: true },
        compression,
        fsync: Fsync::Never,
        ..RecorderConfig::default()
    };
    let recorder = Recorder::start(directory, config).unwrap();
    let mut printed = 0;
    // Ends by itself if it is not killed.
    let end = Instant::now() + Duration::from_secs(60);
    for number in first.. {
        let stats = recorder.stats();
        if stats.frames > printed {
            printed = stats.frames;
            println!("\nwritten {}", first + printed);
            std::io::stdout().flush().unwrap();
        }
        while recorder.stats().queued > 512 && Instant::now() < end {
            thread::yield_now();
        }
        assert!(Instant::now() < end, "the child was not killed");
        let source = Source { account: 0, connection: 0 };
        let received = Received { recv_unix_ns: MORNING + number * STEP, source };
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        recorder.record(received, RecordKind::Binary, payload);
        assert_eq!(recorder.stats().dropped, 0);
    }
}

/// Starts the child, kills it after a while, and returns the number of frames that it reported as
/// written.
fn record_and_kill(directory: &Path, first: u64, round: u32) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .env(COMPRESSED, (round % 2).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut written = first;
    let mut note = |line: String| {
        let Some(number) = line.strip_prefix("written ") else { return false };
        written = number.parse().unwrap_or(written);
        true
    };
    // Some are killed before they have written anything, the others at a random moment.
    let mut left = fastrand::u32(0..12);
    while left > 0 {
        left -= u32::from(note(lines.next().unwrap()));
    }
    thread::sleep(Duration::from_micros(fastrand::u64(0..3_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        // The kill may have cut the last line.
        note(line);
    }
    written
}

#[test]
fn a_hundred_kills_lose_nothing_that_was_written() {
    fastrand::seed(7);
    let directory = tempfile::tempdir().unwrap();
    let (mut first, mut rounds_that_wrote) = (0, 0);
    for round in 0..KILLS {
        let written = record_and_kill(directory.path(), first, round);
        let Ok(reel) = Reel::open([directory.path()]) else {
            assert_eq!((written, first), (0, 0), "round {round}: written frames are gone");
            continue;
        };
        let (mut next, mut stops) = (first, 0);
        for item in reel.seek(MORNING + first * STEP) {
            let entry = item.unwrap();
            match entry.gap() {
                Some(gap) => {
                    assert_eq!(gap.reason, GapReason::RecorderStopped);
                    assert_eq!(gap.from_unix_ns, MORNING + (first - 1) * STEP);
                    assert_eq!(gap.to_unix_ns, MORNING + first * STEP);
                    assert_eq!(next, first, "the gap is before the records that follow it");
                    stops += 1;
                }
                None => {
                    assert_eq!(entry.payload[..], next.to_be_bytes(), "round {round}");
                    next += 1;
                }
            }
        }
        assert!(next >= written, "round {round}: {written} frames written, {next} found");
        if next > first {
            assert_eq!(stops, u32::from(first > 0), "round {round}");
            rounds_that_wrote += 1;
        }
        first = next;
    }
    assert!(rounds_that_wrote > KILLS / 2, "only {rounds_that_wrote} wrote anything");
    // The whole recording is numbered without a hole or a repetition.
    let reel = Reel::open([directory.path()]).unwrap();
    assert!(reel.files().len() > 10, "some kills should happen between two files");
    let frames = reel.entries().map(Result::unwrap).filter(|it| it.kind == RecordKind::Binary);
    let mut count = 0;
    for entry in frames {
        assert_eq!(entry.payload[..], u64::to_be_bytes(count));
        count += 1;
    }
    assert_eq!(count, first);
}
