//! Packed tapes have the same records, and packing never loses a tape.

#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use kite_tape::{
    Compression, DamageCause, Fsync, InstrumentRow, PackConfig, PackError, PackSummary, PassedOver,
    ReadConfig, Received, RecordKind, Recorder, RecorderConfig, Reel, Rotation, Source, TapeFile,
};
use kite_wire::tape::{
    BlockEncoder, CODEC_COLUMNS, ColumnsEncoder, ColumnsError, Ending, MAX_COLUMNS_BODY_LEN,
    SkipReason, Tape, TapeHeader,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// 5 January 2026, 09:30 in India.
const MORNING: u64 = 1_767_585_600_000_000_000;
const TAPE: &str = "KITE_TAPE_PACKED";

type Recorded = (Received, RecordKind, Bytes);

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn pack(tape: &Path, to: &Path) -> Result<PackSummary, PackError> {
    kite_tape::pack(tape, to, &PackConfig::default(), &mut go_on)
}

fn config() -> RecorderConfig {
    RecorderConfig {
        block_bytes: 4_096,
        fsync: Fsync::Never,
        metadata: b"{}".to_vec(),
        ..RecorderConfig::default()
    }
}

fn record(directory: &Path, config: RecorderConfig, records: &[Recorded]) -> PathBuf {
    let recorder = Recorder::start(directory, config).unwrap();
    for (received, kind, payload) in records {
        recorder.record(*received, *kind, payload.clone());
    }
    recorder.finish().unwrap().stats.files.last().unwrap().clone()
}

fn read_with(path: &Path, config: ReadConfig) -> Vec<Recorded> {
    let entries = Reel::open([path]).unwrap().entries_with(config).map(Result::unwrap);
    entries.map(|it| (it.received, it.kind, it.payload)).collect()
}

fn read(path: &Path) -> Vec<Recorded> {
    read_with(path, ReadConfig::default())
}

fn received(after_ns: u64) -> Received {
    Received { recv_unix_ns: MORNING + after_ns, source: Source { account: 0, connection: 1 } }
}

/// Frames of one full packet, of four instruments in turn, whose volumes grow.
fn ticks(count: u64) -> Vec<Recorded> {
    let ticks = (0..count).map(|n| {
        let mut frame = vec![0; 188];
        (frame[1], frame[3], frame[7]) = (1, 184, (n % 4) as u8);
        frame[20..24].copy_from_slice(&(75 * n as u32).to_be_bytes());
        (received(n * 1_000_000), RecordKind::Binary, frame.into())
    });
    ticks.collect()
}

/// Names of the files in a directory.
fn names(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        files.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_packed_tape_is_the_same_tape_and_smaller() {
    let directory = tempfile::tempdir().unwrap();
    let tape = record(directory.path(), config(), &ticks(2_000));
    let original = fs::read(&tape).unwrap();
    let to = directory.path().join("packed.ktape");
    let summary = pack(&tape, &to).unwrap();
    assert_eq!(summary.records, 2_000);
    assert_eq!(summary.bytes_before, original.len() as u64);
    assert_eq!(summary.bytes_after, fs::metadata(&to).unwrap().len());
    assert!(summary.bytes_after * 4 < summary.bytes_before, "{summary:?}");
    assert_eq!(read(&to), ticks(2_000));
    let (old, new) = (TapeFile::open(&tape).unwrap(), TapeFile::open(&to).unwrap());
    assert!(!old.is_packed() && new.is_packed());
    assert_eq!((old.tape().version(), new.tape().version()), ((1, 0), (1, 1)));
    assert_eq!(old.tape().tape_id(), new.tape().tape_id());
    assert_eq!(old.tape().metadata(), new.tape().metadata());
    assert_eq!((old.span(), old.ending().at()), (new.span(), original.len()));

    let both = Reel::open([&tape, &to]).unwrap();
    assert_eq!(both.entries().count(), 2_000, "read once");
    assert!(matches!(both.passed_over(), [PassedOver::Copy { .. }]));
    assert!(matches!(pack(&tape, &to), Err(PackError::Exists { path }) if path == to));

    let back = directory.path().join("unpacked.ktape");
    kite_tape::unpack(&to, &back, &PackConfig::default(), &mut go_on).unwrap();
    assert!(!TapeFile::open(&back).unwrap().is_packed());
    assert_eq!(TapeFile::open(&back).unwrap().tape().version(), (1, 0));
    assert_eq!(read(&back), ticks(2_000));
}

#[test]
fn a_recorder_goes_on_in_a_new_file_after_todays_was_packed() {
    let directory = tempfile::tempdir().unwrap();
    let tape = record(directory.path(), config(), &ticks(500));
    let before = fs::metadata(&tape).unwrap().len();
    let summary = pack(&tape, &tape).unwrap();
    assert!(summary.bytes_after < before);
    assert_eq!(fs::metadata(&tape).unwrap().len(), summary.bytes_after);
    assert_eq!(names(directory.path()), ["kite-2026-01-05.ktape", "kite.lock"]);
    let again = record(directory.path(), config(), &ticks(10));
    assert_eq!(again, directory.path().join("kite-2026-01-05.1.ktape"));
    assert_eq!(read(&tape), ticks(500));
}

#[test]
fn a_recorder_packs_the_files_that_it_has_finished_and_only_those() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation { max_bytes: Some(64 << 10), by_day: true };
    let config =
        RecorderConfig { rotation, compression: Compression::Stored, pack: true, ..config() };
    let is_packed = |path: &Path| TapeFile::open(path).unwrap().is_packed();
    let recorder = Recorder::start(directory.path(), config.clone()).unwrap();
    let given = ticks(2_000);
    let (first, rest) = given.split_at(1_000);
    first.iter().for_each(|it| recorder.record(it.0, it.1, it.2.clone()));
    let all_but_the_last = |packs: &dyn Fn(&Path) -> bool, files: &[PathBuf]| {
        files
            .split_last()
            .is_some_and(|(_, before)| before.len() > 1 && before.iter().all(|it| packs(it)))
    };
    while !all_but_the_last(&is_packed, &recorder.stats().files) {
        thread::sleep(Duration::from_millis(1));
    }
    rest.iter().for_each(|it| recorder.record(it.0, it.1, it.2.clone()));
    let files = recorder.finish().unwrap().stats.files;
    let last = files.last().unwrap();
    assert!(!is_packed(last), "the next recorder goes on with it");
    assert_eq!(read(directory.path()), given);

    // The next one packs what the one before has left.
    let recorder = Recorder::start(directory.path(), config).unwrap();
    recorder.record(given[0].0, RecordKind::Event, Bytes::from_static(b"{}"));
    while !files[..files.len() - 1].iter().all(|it| is_packed(it)) {
        thread::sleep(Duration::from_millis(1));
    }
    recorder.finish().unwrap();
    assert!(!is_packed(last));
    let parts = names(directory.path()).iter().filter(|it| it.ends_with(".part")).count();
    assert_eq!(parts, 0);
}

#[test]
fn the_notes_of_instruments_are_found_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    for (number, tick) in ticks(300).into_iter().enumerate() {
        if number % 100 == 0 {
            recorder.instruments((0..2).map(|n| InstrumentRow::new(number as u32 + n)));
        }
        recorder.record(tick.0, tick.1, tick.2);
    }
    let tape = recorder.finish().unwrap().stats.files[0].clone();
    let notes = |path: &Path| Reel::open([path]).unwrap().instruments();
    let before = (notes(&tape), read(&tape));
    assert!(!before.0.is_empty());
    pack(&tape, &tape).unwrap();
    assert_eq!((notes(&tape), read(&tape)), before);
}

#[test]
fn tapes_that_are_not_finished_or_not_whole_are_left_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), config()).unwrap();
    for tick in ticks(100) {
        recorder.record(tick.0, tick.1, tick.2);
    }
    while recorder.stats().frames == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let tape = recorder.stats().files[0].clone();
    assert!(matches!(pack(&tape, &tape), Err(PackError::BeingRecorded { .. })));
    recorder.finish().unwrap();

    let bytes = fs::read(&tape).unwrap();
    let refuse = |changed: &[u8]| {
        fs::write(&tape, changed).unwrap();
        let error = pack(&tape, &tape).unwrap_err();
        assert_eq!(fs::read(&tape).unwrap(), changed);
        error
    };
    let cut = refuse(&bytes[..bytes.len() - 1]);
    assert!(matches!(cut, PackError::Incomplete { .. }), "{cut}");
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let error = refuse(&damaged);
    assert!(matches!(&error, PackError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("repair"), "{error}");
    damaged.clone_from(&bytes);
    damaged[41] ^= 1;
    assert!(matches!(refuse(&damaged), PackError::Incomplete { .. }), "damaged metadata");
    assert_eq!(names(directory.path()), ["kite-2026-01-05.ktape", "kite.lock"]);
}

#[test]
fn cancelling_leaves_the_tape_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let tape = record(directory.path(), config(), &ticks(500));
    let bytes = fs::read(&tape).unwrap();
    let config = PackConfig { block_bytes: 4_096, ..PackConfig::default() };
    let mut calls = 0;
    let mut count = |_| {
        calls += 1;
        ControlFlow::Continue(())
    };
    let to = directory.path().join("all.ktape");
    kite_tape::pack(&tape, &to, &config, &mut count).unwrap();
    fs::remove_file(&to).unwrap();
    for last in 0..calls {
        let mut left = last;
        let mut cancel = |_| match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        let error = kite_tape::pack(&tape, &tape, &config, &mut cancel).unwrap_err();
        assert!(matches!(error, PackError::Cancelled), "{error}");
    }
    assert_eq!(fs::read(&tape).unwrap(), bytes);
    assert_eq!(names(directory.path()), ["kite-2026-01-05.ktape", "kite.lock"]);
}

#[test]
fn blocks_by_columns_that_lie_are_damage_and_reserve_no_memory() {
    let mut block = BlockEncoder::new(7, 0);
    let mut body = Vec::new();
    for (received, kind, payload) in ticks(200) {
        body.extend(block.record(received, kind, &payload).unwrap());
        body.extend(payload);
    }
    let mut columns = Vec::new();
    ColumnsEncoder::new().encode(&body, &mut columns).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.ktape");
    let damage = |block: &BlockEncoder, columns: &[u8]| {
        let header = TapeHeader { created_unix_ns: 1, tape_id: 7, metadata: b"" };
        let stored = zstd::bulk::compress(columns, 1).unwrap();
        let seal = block.seal_compressed(CODEC_COLUMNS, &stored).unwrap();
        fs::write(&path, [&header.head_with_columns().unwrap()[..], &seal, &stored].concat())
            .unwrap();
        Reel::open([&path]).unwrap().entries().find_map(Result::err).map(|it| it.cause)
    };
    assert_eq!(damage(&block, &columns), None);
    // A block of another length, a longer one than is allowed, and columns that are cut.
    let mut longer = block.clone();
    longer.record(received(0), RecordKind::Binary, &[0; 9]).unwrap();
    let cause = damage(&longer, &columns).unwrap();
    assert!(matches!(cause, DamageCause::Columns(ColumnsError::Short)), "{cause}");
    let cause = damage(&block, &columns[..columns.len() - 1]).unwrap();
    assert!(matches!(cause, DamageCause::Columns(_)), "{cause}");
    let mut longest = BlockEncoder::new(7, 0);
    for _ in 0..3 {
        longest.record(received(0), RecordKind::Binary, &[0; 14 << 20]).unwrap();
    }
    let cause = damage(&longest, &columns).unwrap();
    let declared = longest.body_len() as u32;
    assert!(declared as usize > MAX_COLUMNS_BODY_LEN);
    assert_eq!(cause, DamageCause::BlockTooLong { declared });
    // Compressed bytes that unpack to more than the records have.
    let cause = damage(&block, &vec![0; 100 << 20]).unwrap();
    assert!(matches!(cause, DamageCause::Unpack(_)), "{cause}");
}

/// A reader of version 1.0 does with codec 2 what this one does with codec 3; and without zstd, as
/// kite-wire alone, no compressed block can be read.
#[test]
fn readers_that_do_not_know_a_codec_name_each_of_its_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let tape = record(directory.path(), config(), &ticks(2_000));
    let config = PackConfig { block_bytes: 64 << 10, ..PackConfig::default() };
    kite_tape::pack(&tape, &tape, &config, &mut go_on).unwrap();
    let mut bytes = fs::read(&tape).unwrap();
    let opened = Tape::open(&bytes).unwrap();
    let blocks: Vec<usize> = opened.blocks().map(|it| it.unwrap().offset()).collect();
    assert!(blocks.len() > 3);
    let mut records = opened.records();
    for item in records.by_ref() {
        let skipped = item.unwrap_err();
        assert_eq!(skipped.why, SkipReason::Codec { codec: CODEC_COLUMNS });
    }
    assert_eq!(records.ending(), Some(Ending::Clean { at: bytes.len() }));
    assert_eq!(records.tally().records_lost, 2_000);

    for at in &blocks {
        let header = &mut bytes[*at..*at + 64];
        header[20] = 3;
        for covered in [24, 60] {
            let checksum = crc32c(&header[..covered]);
            header[covered..covered + 4].copy_from_slice(&checksum.to_le_bytes());
        }
    }
    fs::write(&tape, &bytes).unwrap();
    let damages: Vec<_> =
        Reel::open([&tape]).unwrap().entries().map(|it| it.unwrap_err()).collect();
    assert_eq!(damages.len(), blocks.len());
    for damage in &damages {
        assert_eq!(damage.cause, DamageCause::UnknownCodec { codec: 3 });
        assert!(damage.to_string().contains("of a later version"), "{damage}");
    }
    assert_eq!(damages.iter().filter_map(|it| it.records).sum::<u32>(), 2_000);
}

/// CRC-32C, bit by bit as in the format's description.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

fn recorded() -> impl Strategy<Value = Recorded> {
    let kinds = [RecordKind::Binary, RecordKind::Text, RecordKind::Event];
    let kind = prop::sample::select(kinds.to_vec());
    let packets = vec((prop::sample::select(vec![8_usize, 32, 44, 184]), vec(0..9_u8, 6)), 0..4);
    let frame = packets.prop_map(|packets| {
        let mut frame = (packets.len() as u16).to_be_bytes().to_vec();
        for (len, numbers) in packets {
            frame.extend((len as u16).to_be_bytes());
            frame.extend((0..len).map(|at| if at % 4 == 3 { numbers[at % 6] } else { 0 }));
        }
        frame
    });
    let payload = prop_oneof![4 => frame, 1 => vec(any::<u8>(), 0..300)];
    let source = (0..2_u8, 0..3_u8);
    (0..1_000_u64, source, kind, payload).prop_map(|(time, (account, connection), kind, bytes)| {
        let source = Source { account, connection };
        (Received { recv_unix_ns: MORNING + time, source }, kind, bytes.into())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_tape_reads_the_same_when_it_is_packed_and_unpacked(
        given in vec(recorded(), 1..80),
        compression in prop_oneof![Just(Compression::Stored), Just(Compression::Zstd { level: 1 })],
        threads in 1..4_usize,
        block_bytes in 1_024..9_000_usize,
        from in 0..1_000_u64,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let tape = record(directory.path(), RecorderConfig { compression, ..config() }, &given);
        let config = PackConfig { threads, block_bytes, ..PackConfig::default() };
        let other = directory.path().join("other.ktape");
        let one = PackConfig { threads: 1, ..config };
        kite_tape::pack(&tape, &other, &one, &mut go_on).unwrap();
        kite_tape::pack(&tape, &tape, &config, &mut go_on).unwrap();
        prop_assert_eq!(&read(&tape), &given);
        let sought = ReadConfig { from_unix_ns: MORNING + from, threads };
        let first = given.iter().position(|it| it.0.recv_unix_ns >= MORNING + from);
        prop_assert_eq!(&read_with(&tape, sought)[..], &given[first.unwrap_or(given.len())..]);
        prop_assert_eq!(fs::read(&tape).unwrap(), fs::read(&other).unwrap(), "with one thread");
        kite_tape::unpack(&tape, &tape, &config, &mut go_on).unwrap();
        prop_assert_eq!(&read(&tape), &given);
    }
}

/// The child process, which packs and unpacks a tape until it is killed; without its environment
/// variable it does nothing.
#[test]
fn child() {
    let Ok(tape) = env::var(TAPE) else { return };
    let config = PackConfig { block_bytes: 64 << 10, ..PackConfig::default() };
    // Ends by itself if it is not killed.
    for _ in 0..10_000 {
        println!("\nnext");
        kite_tape::pack(&tape, &tape, &config, &mut go_on).unwrap();
        println!("\nnext");
        kite_tape::unpack(&tape, &tape, &config, &mut go_on).unwrap();
    }
}

#[test]
fn a_hundred_kills_leave_the_original_or_the_packed_tape() {
    fastrand::seed(24);
    let directory = tempfile::tempdir().unwrap();
    let tape = record(directory.path(), config(), &ticks(3_000));
    let expected = read(&tape);
    let mut packed = 0;
    for round in 0..100 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(TAPE, &tape)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // While it packs or unpacks, for the first time or later.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut begun = lines.map(Result::unwrap).filter(|line| line == "next");
        begun.by_ref().take(fastrand::usize(1..4)).for_each(drop);
        thread::sleep(Duration::from_micros(fastrand::u64(0..10_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(read(&tape), expected, "round {round}");
        packed += u32::from(TapeFile::open(&tape).unwrap().is_packed());
    }
    assert!((1..100).contains(&packed), "{packed} of 100 kills found the packed tape");
    kite_tape::pack(&tape, &tape, &PackConfig::default(), &mut go_on).unwrap();
    assert_eq!(names(directory.path()), ["kite-2026-01-05.ktape", "kite.lock"]);
}
