//! A recorder on a disk that stalls or fails on demand.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kite_wire::tape::{Ending, Gap, GapReason, Received, RecordKind, Source};

use super::disk::Output;
use crate::config::{Compression, Fsync, RecorderConfig, Rotation};
use crate::error::RecordError;
use crate::recorder::{Recorder, RecorderStats};
use crate::reel::Reel;

/// Timeout for each step; generous for a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// 5 January 2026, 09:30 in India.
const MORNING: u64 = 1_767_585_600_000_000_000;

const A: Source = Source { account: 0, connection: 0 };
const B: Source = Source { account: 0, connection: 1 };

#[derive(Default)]
struct Disk {
    is_stalled: bool,
    /// The writer waits for it to continue.
    is_waited_for: bool,
    /// Only half of each append arrives, and truncating fails.
    fails: bool,
    /// The disk is full until this file is empty.
    full_until_empty: Option<PathBuf>,
    /// Files cannot grow longer than this.
    max_file_bytes: Option<u64>,
    syncs: u32,
}

#[derive(Clone, Default)]
struct Control(Arc<(Mutex<Disk>, Condvar)>);

impl Control {
    fn set(&self, change: impl FnOnce(&mut Disk)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Waits until the writer is blocked by a stalled disk.
    fn wait_until_held(&self) {
        let disk = self.0.0.lock().unwrap();
        let (_disk, timeout) =
            self.0.1.wait_timeout_while(disk, PATIENCE, |it| !it.is_waited_for).unwrap();
        assert!(!timeout.timed_out(), "nothing was written");
    }

    fn start(&self, directory: &tempfile::TempDir, config: RecorderConfig) -> Recorder {
        let control = self.clone();
        let wrap = move |file| -> Box<dyn Output> { Box::new(Held(file, control.clone())) };
        Recorder::start_with(directory.path(), config, Box::new(wrap)).unwrap()
    }
}

struct Held(File, Control);

impl Output for Held {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (disk, changed) = &*self.1.0;
        let mut disk = disk.lock().unwrap();
        while disk.is_stalled {
            disk.is_waited_for = true;
            changed.notify_all();
            disk = changed.wait(disk).unwrap();
        }
        disk.is_waited_for = false;
        if disk.fails {
            self.0.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let is_empty = |path: &PathBuf| fs::metadata(path).unwrap().len() == 0;
        if !disk.full_until_empty.as_ref().is_none_or(is_empty) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = self.0.metadata()?.len() + bytes.len() as u64;
        if disk.max_file_bytes.is_some_and(|max| len > max) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.1.0.0.lock().unwrap();
        disk.syncs += 1;
        if disk.fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let fails = self.1.0.0.lock().unwrap().fails;
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Output::cut(&mut self.0, len) }
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }
}

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

fn record(recorder: &Recorder, source: Source, number: u64, len: usize) {
    let received = Received { recv_unix_ns: MORNING + number, source };
    recorder.record(received, RecordKind::Binary, Bytes::from(vec![0; len]));
}

/// The recorded number and length of each frame, and each gap.
#[derive(Debug, PartialEq)]
enum Seen {
    Frame(u64, usize),
    Gap(GapReason, u64, u64, Option<u64>),
}

use Seen::Frame;

fn gap(reason: GapReason, from: u64, to: u64, frames: impl Into<Option<u64>>) -> Seen {
    Seen::Gap(reason, from, to, frames.into())
}

fn seen(directory: &tempfile::TempDir, source: Source) -> Vec<Seen> {
    let reel = Reel::open([directory.path()]).unwrap();
    assert!(reel.files().iter().all(|file| matches!(file.ending(), Ending::Clean { .. })));
    let entries = reel.entries().map(Result::unwrap).filter(|it| it.received.source == source);
    entries
        .map(|entry| match entry.gap() {
            Some(Gap { reason, from_unix_ns, to_unix_ns, frames }) => {
                Seen::Gap(reason, from_unix_ns - MORNING, to_unix_ns - MORNING, frames)
            }
            None => Frame(entry.recv_unix_ns() - MORNING, entry.payload.len()),
        })
        .collect()
}

/// Starts a recorder that has written frame 0 of A and is blocked writing frame 1.
fn held(control: &Control, directory: &tempfile::TempDir, config: RecorderConfig) -> Recorder {
    let recorder = control.start(directory, config);
    record(&recorder, A, 0, 8);
    wait_for(&recorder, |stats| stats.blocks == 1);
    control.set(|disk| disk.is_stalled = true);
    record(&recorder, A, 1, 8);
    control.wait_until_held();
    recorder
}

#[test]
fn dropped_frames_are_gaps_before_the_next_frame_of_their_source() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let config = RecorderConfig { queue_frames: 4, ..unbuffered() };
    let recorder = held(&control, &directory, config);
    for number in 2..6 {
        record(&recorder, A, number, 8);
    }
    assert_eq!((recorder.stats().dropped, recorder.stats().queued), (0, 4));
    for number in 6..9 {
        record(&recorder, A, number, 8);
        record(&recorder, B, number, 8);
    }
    assert_eq!(recorder.stats().dropped, 6);
    control.set(|disk| disk.is_stalled = false);
    wait_for(&recorder, |stats| stats.gaps == 2);
    record(&recorder, A, 9, 8);
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.frames, stats.gaps, stats.dropped, stats.queued_bytes), (7, 2, 6, 0));
    let mut expected: Vec<_> = (0..6).map(|number| Frame(number, 8)).collect();
    expected.push(gap(GapReason::QueueFull, 6, 8, 3));
    expected.push(Frame(9, 8));
    assert_eq!(seen(&directory, A), expected);
    assert_eq!(seen(&directory, B), [gap(GapReason::QueueFull, 6, 8, 3)]);
}

#[test]
fn a_frame_that_fits_after_a_longer_one_was_dropped_follows_the_gap() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let config = RecorderConfig { queue_bytes: 1_024, ..unbuffered() };
    let recorder = held(&control, &directory, config);
    record(&recorder, A, 2, 900);
    record(&recorder, A, 3, 500);
    record(&recorder, B, 4, 20);
    record(&recorder, A, 5, 50);
    assert_eq!(recorder.stats().dropped, 1);
    control.set(|disk| disk.is_stalled = false);
    recorder.finish().unwrap();
    let full = gap(GapReason::QueueFull, 3, 3, 1);
    let expected = [Frame(0, 8), Frame(1, 8), Frame(2, 900), full, Frame(5, 50)];
    assert_eq!(seen(&directory, A), expected);
    assert_eq!(seen(&directory, B), [Frame(4, 20)]);
}

#[test]
fn dropped_gaps_and_notes_do_not_count_as_frames() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let config = RecorderConfig { queue_frames: 1, ..unbuffered() };
    let recorder = held(&control, &directory, config);
    record(&recorder, A, 2, 8);
    let received = Received { recv_unix_ns: MORNING + 4, source: A };
    let down = Gap {
        reason: GapReason::Disconnected,
        from_unix_ns: MORNING + 3,
        to_unix_ns: MORNING + 4,
        frames: None,
    };
    recorder.gap(received, down);
    recorder.record(received, RecordKind::Event, Bytes::from_static(b"{}"));
    control.set(|disk| disk.is_stalled = false);
    let stats = recorder.finish().unwrap().stats;
    assert_eq!(stats.dropped, 2);
    let down = gap(GapReason::Disconnected, 3, 4, None);
    let full = gap(GapReason::QueueFull, 4, 4, 0);
    assert_eq!(seen(&directory, A), [Frame(0, 8), Frame(1, 8), Frame(2, 8), down, full]);
}

#[test]
fn failed_writes_are_gaps_before_the_next_written_record() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let recorder = control.start(&directory, unbuffered());
    record(&recorder, A, 0, 8);
    wait_for(&recorder, |stats| stats.blocks == 1);
    control.set(|disk| disk.fails = true);
    record(&recorder, A, 1, 8);
    wait_for(&recorder, |stats| stats.lost == 1);
    // The gap of the first failure is lost with the second block, and so is one of another reason.
    let received = Received { recv_unix_ns: MORNING + 3, source: B };
    let down = Gap {
        reason: GapReason::Disconnected,
        from_unix_ns: MORNING + 2,
        to_unix_ns: MORNING + 3,
        frames: None,
    };
    recorder.gap(received, down);
    record(&recorder, A, 4, 8);
    wait_for(&recorder, |stats| stats.lost == 2);
    control.set(|disk| disk.fails = false);
    record(&recorder, A, 5, 8);
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.frames, stats.lost), (2, 2));
    assert!(stats.failures >= 2);
    assert!(stats.last_error.is_some_and(|text| text.contains("cannot write")));
    let failed = gap(GapReason::WriteFailed, 1, 4, 2);
    assert_eq!(seen(&directory, A), [Frame(0, 8), failed, Frame(5, 8)]);
    assert_eq!(seen(&directory, B), [gap(GapReason::Disconnected, 2, 3, None)]);
}

#[test]
fn an_end_that_cannot_be_written_is_an_error_and_the_next_start_continues() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let recorder = control.start(&directory, unbuffered());
    record(&recorder, A, 0, 8);
    wait_for(&recorder, |stats| stats.blocks == 1);
    control.set(|disk| disk.fails = true);
    record(&recorder, A, 1, 8);
    assert!(matches!(recorder.finish(), Err(RecordError::Io { .. })));
    control.set(|disk| disk.fails = false);
    let recorder = control.start(&directory, unbuffered());
    record(&recorder, A, 2, 8);
    recorder.finish().unwrap();
    assert_eq!(seen(&directory, A), [Frame(0, 8), Frame(2, 8)]);
    assert_eq!(seen(&directory, Source::RECORDER), [gap(GapReason::RecorderStopped, 0, 2, None)]);
}

#[test]
fn a_sync_that_fails_at_the_end_is_an_error() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let fsync = Fsync::Every(Duration::from_secs(3_600));
    let recorder = control.start(&directory, RecorderConfig { fsync, ..unbuffered() });
    record(&recorder, A, 0, 8);
    wait_for(&recorder, |stats| stats.blocks == 1);
    control.set(|disk| disk.fails = true);
    assert!(matches!(recorder.finish(), Err(RecordError::Io { .. })));
    assert_eq!(seen(&directory, A), [Frame(0, 8)]);
}

#[test]
fn every_block_is_synced_if_configured() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let fsync = Fsync::EveryBlock;
    let recorder = control.start(&directory, RecorderConfig { fsync, ..unbuffered() });
    for number in 0..3 {
        record(&recorder, A, number, 8);
        wait_for(&recorder, |stats| stats.blocks == number + 1);
    }
    recorder.finish().unwrap();
    let syncs = control.0.0.lock().unwrap().syncs;
    // One for the new file's header.
    assert_eq!(syncs, 1 + 3);
}

#[test]
fn a_payload_longer_than_the_limit_is_a_gap() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let recorder = control.start(&directory, unbuffered());
    record(&recorder, A, 0, 8);
    record(&recorder, A, 1, (16 << 20) + 1);
    record(&recorder, A, 2, 8);
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.frames, stats.lost), (2, 1));
    let failed = gap(GapReason::WriteFailed, 1, 1, 1);
    assert_eq!(seen(&directory, A), [Frame(0, 8), failed, Frame(2, 8)]);
}

#[test]
fn the_last_gap_is_written_into_the_reserve() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let recorder = control.start(&directory, unbuffered());
    record(&recorder, A, 0, 8);
    wait_for(&recorder, |stats| stats.blocks == 1);
    let lock = directory.path().join("kite.lock");
    assert!(fs::metadata(&lock).unwrap().len() >= 64 << 10, "the reserve");
    control.set(|disk| disk.full_until_empty = Some(lock));
    for number in 1..4 {
        record(&recorder, A, number, 8);
        wait_for(&recorder, |stats| stats.lost == number && stats.is_failing);
    }
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.frames, stats.lost, stats.gaps), (1, 3, 1));
    assert!(stats.last_error.is_some_and(|text| text.contains("cannot write")));
    assert_eq!(seen(&directory, A), [Frame(0, 8), gap(GapReason::WriteFailed, 1, 3, 3)]);
}

#[test]
fn a_file_that_cannot_grow_is_continued_in_the_next() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    control.set(|disk| disk.max_file_bytes = Some(400));
    let recorder = control.start(&directory, unbuffered());
    for number in 0..6 {
        record(&recorder, A, number, 8);
        wait_for(&recorder, |stats| stats.blocks == number + 1);
    }
    let stats = recorder.finish().unwrap().stats;
    assert_eq!((stats.lost, stats.failures, stats.files.len()), (0, 0, 2));
    assert_eq!(seen(&directory, A), (0..6).map(|it| Frame(it, 8)).collect::<Vec<_>>());
}

#[test]
fn a_file_is_kept_if_the_next_cannot_be_created() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let rotation = Rotation { max_bytes: Some(64 << 10), by_day: true };
    let recorder = control.start(&directory, RecorderConfig { rotation, ..unbuffered() });
    record(&recorder, A, 0, 60_000);
    wait_for(&recorder, |stats| stats.blocks == 1);
    // There is no number after this one, and the next day's name is taken.
    let last = directory.path().join(format!("kite-2026-01-05.{}.ktape", u32::MAX));
    fs::write(&last, "").unwrap();
    let next_day = directory.path().join("kite-2026-01-06.ktape");
    fs::create_dir(&next_day).unwrap();
    record(&recorder, A, 1, 10_000);
    wait_for(&recorder, |stats| stats.blocks == 2);
    assert_eq!((recorder.stats().lost, recorder.stats().failures), (0, 1));
    fs::remove_file(last).unwrap();
    let day = 86_400_000_000_000;
    record(&recorder, A, day, 8);
    wait_for(&recorder, |stats| stats.blocks == 3);
    assert!(recorder.stats().failures > 1);
    let stats = recorder.finish().unwrap().stats;
    fs::remove_dir(next_day).unwrap();
    assert_eq!(stats.lost, 0);
    assert_eq!(seen(&directory, A), [Frame(0, 60_000), Frame(1, 10_000), Frame(day, 8)]);
}

#[test]
fn frames_are_counted_by_kind() {
    let (control, directory) = (Control::default(), tempfile::tempdir().unwrap());
    let recorder = control.start(&directory, unbuffered());
    let received = Received { recv_unix_ns: MORNING, source: A };
    let ticks = [0, 2, 0, 8, 0, 0, 1, 1, 0, 0, 0, 9, 0, 8, 0, 0, 2, 1, 0, 0, 0, 9];
    for (kind, payload) in [
        (RecordKind::Binary, &ticks[..]),
        (RecordKind::Binary, &[0]),
        (RecordKind::Text, b"{}"),
        (RecordKind::Event, b"{}"),
    ] {
        recorder.record(received, kind, Bytes::copy_from_slice(payload));
    }
    let stats = recorder.finish().unwrap().stats;
    let counts = (stats.frames, stats.ticks, stats.heartbeats, stats.texts, stats.records);
    assert_eq!(counts, (1, 2, 1, 1, 4));
    assert_eq!(stats.bytes_raw, 4 * 24 + 22 + 1 + 2 + 2);
}
