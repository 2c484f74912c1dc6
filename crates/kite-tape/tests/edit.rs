//! Repaired, cut and merged tapes hold what they should, byte for byte.

#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::collections::BTreeSet;
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kite_tape::{
    Compression, Cut, Damage, EditError, EditSummary, Entry, Fsync, Gap, GapReason, InstrumentRow,
    Received, RecordKind, Recorder, RecorderConfig, Reel, Source, Windows,
};
use kite_wire::tape::Ending;
use proptest::collection::vec;
use proptest::prelude::*;

/// 5 January 2026, 09:30 in India.
const MORNING: u64 = 1_767_585_600_000_000_000;

type Recorded = (Received, RecordKind, Bytes);

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn repair(reel: &Reel, to: &Path) -> EditSummary {
    kite_tape::repair(reel, to, &mut go_on).unwrap()
}

fn cut(reel: &Reel, part: &Cut, to: &Path) -> EditSummary {
    kite_tape::cut(reel, part, to, &mut go_on).unwrap()
}

fn merge(first: &Path, second: &Path, to: &Path) -> EditSummary {
    let [first, second] = [first, second].map(|path| Reel::open([path]).unwrap());
    kite_tape::merge(&first, &second, to, &mut go_on).unwrap()
}

fn within(window: Range<u64>) -> Option<Windows> {
    Some(Windows::new(std::iter::once(window)))
}

/// Records to a directory in small blocks; returns the file.
fn record(directory: &Path, compression: Compression, records: &[Recorded]) -> PathBuf {
    let config = RecorderConfig {
        compression,
        block_bytes: 1_024,
        fsync: Fsync::Never,
        metadata: b"{}".to_vec(),
        ..RecorderConfig::default()
    };
    let recorder = Recorder::start(directory, config).unwrap();
    for (received, kind, payload) in records {
        recorder.record(*received, *kind, payload.clone());
    }
    recorder.finish().unwrap().stats.files[0].clone()
}

fn read(path: &Path) -> (Vec<Recorded>, Vec<Damage>) {
    let (mut records, mut damages) = (Vec::new(), Vec::new());
    for item in Reel::open([path]).unwrap().entries() {
        match item {
            Ok(Entry { received, kind, payload, .. }) => records.push((received, kind, payload)),
            Err(damage) => damages.push(damage),
        }
    }
    (records, damages)
}

/// Returns whether a record is a gap or a note that an edit added.
fn is_added(record: &Recorded) -> bool {
    let (received, kind, payload) = record;
    let is_damage = Gap::from_bytes(payload).is_some_and(|it| it.reason == GapReason::Damaged);
    let is_note = [r#"{"event":"merged""#, r#"{"event":"cut""#]
        .iter()
        .any(|note| payload.starts_with(note.as_bytes()));
    received.source == Source::RECORDER
        && match kind {
            RecordKind::Gap => is_damage,
            RecordKind::Event => is_note,
            _ => false,
        }
}

fn at(time: u64, account: u8, connection: u8) -> Received {
    Received { recv_unix_ns: MORNING + time, source: Source { account, connection } }
}

fn record_strategy() -> impl Strategy<Value = Recorded> {
    let kinds = [RecordKind::Binary, RecordKind::Text, RecordKind::Event];
    let received = (0..1_000_u64, 0..3_u8, 0..3_u8).prop_map(|(time, a, c)| at(time, a, c));
    let payload = vec(prop_oneof![Just(0), any::<u8>()], 0..300).prop_map(Bytes::from);
    (received, prop::sample::select(kinds.to_vec()), payload)
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::Stored), Just(Compression::Zstd { level: 1 })]
}

/// A change of some bytes of a file.
#[derive(Debug, Clone)]
enum Wound {
    Flip(prop::sample::Index, u8),
    Blank(prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
    Truncate(prop::sample::Index),
}

fn wound() -> impl Strategy<Value = Wound> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        4 => (place(), 1..=255_u8).prop_map(|(at, mask)| Wound::Flip(at, mask)),
        2 => (place(), 1..2_000_usize).prop_map(|(at, len)| Wound::Blank(at, len)),
        1 => (place(), 1..2_000_usize).prop_map(|(at, len)| Wound::Remove(at, len)),
        1 => place().prop_map(Wound::Truncate),
    ]
}

impl Wound {
    fn inflict(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let end = |from: usize, len: usize| (from + len).min(bytes.len());
        match self {
            Self::Flip(at, mask) => {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            Self::Blank(at, len) => {
                let from = at.index(bytes.len());
                let end = end(from, *len);
                bytes[from..end].fill(0);
            }
            Self::Remove(at, len) => {
                let from = at.index(bytes.len());
                let end = end(from, *len);
                bytes.drain(from..end);
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_repaired_tape_holds_what_could_be_read_and_reads_without_damage(
        given in vec(record_strategy(), 1..60),
        compression in compression(),
        wounds in vec(wound(), 0..4),
    ) {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = record(from.path(), compression, &given);
        let mut bytes = fs::read(&path).unwrap();
        wounds.iter().for_each(|wound| wound.inflict(&mut bytes));
        fs::write(&path, &bytes).unwrap();
        let Ok(reel) = Reel::open([&path]) else { return Ok(()) };
        let (records, damages) = read(&path);

        let summary = repair(&reel, to.path());
        prop_assert_eq!(fs::read(&path).unwrap(), bytes, "the tape itself is unchanged");
        let lost_end = summary.damages - damages.len() as u64;
        prop_assert!(lost_end <= 1);
        prop_assert_eq!(summary.records, records.len() as u64);
        let [repaired] = &summary.files[..] else { panic!("{summary:?}") };
        prop_assert_eq!(repaired.file_name(), path.file_name());
        let (found, damages) = read(repaired);
        prop_assert_eq!(damages, []);
        let ending = Reel::open([repaired]).unwrap().files()[0].ending();
        prop_assert!(matches!(ending, Ending::Clean { .. }), "{}", ending);
        let (added, kept): (Vec<_>, Vec<_>) = found.into_iter().partition(is_added);
        prop_assert_eq!(kept, records);
        prop_assert_eq!(added.len() as u64, summary.gaps_added);
        prop_assert_eq!(summary.bytes, fs::metadata(repaired).unwrap().len());
        // A repaired tape needs no repair.
        let again = tempfile::tempdir().unwrap();
        prop_assert!(repair(&Reel::open([repaired]).unwrap(), again.path()).is_whole());
    }

    #[test]
    fn the_parts_of_a_tape_merge_to_the_whole(
        given in vec((record_strategy(), 1..50_u64, prop::option::weighted(0.2, 0..200_u64)), 2..60),
        compression in compression(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut time = 1_000;
        let whole: Vec<Recorded> = given
            .into_iter()
            .map(|((mut received, kind, payload), pause, gap)| {
                time += pause;
                received.recv_unix_ns = MORNING + time;
                match gap {
                    Some(len) => {
                        let gap = Gap {
                            reason: GapReason::Disconnected,
                            from_unix_ns: received.recv_unix_ns - len,
                            to_unix_ns: received.recv_unix_ns,
                            frames: None,
                        };
                        (received, RecordKind::Gap, Bytes::copy_from_slice(&gap.to_bytes()))
                    }
                    None => (received, kind, payload),
                }
            })
            .collect();
        let split = whole[1 + place.index(whole.len() - 1)].0.recv_unix_ns;
        let tapes = tempfile::tempdir().unwrap();
        let reel = Reel::open([record(tapes.path(), compression, &whole)]).unwrap();
        let part = |name: &str, window: Range<u64>| {
            let to = tapes.path().join(name);
            let windows = within(window);
            cut(&reel, &Cut { windows, ..Cut::default() }, &to);
            to
        };
        let (early, late) = (part("early", 0..split), part("late", split..u64::MAX));
        let merged = merge(&early, &late, &tapes.path().join("merged"));
        let (records, damages) = read(&merged.files[0]);
        prop_assert_eq!(damages, []);
        let offset = records[0].0.source;
        prop_assert_eq!(offset, Source::RECORDER, "the note is first");
        let records: Vec<_> = records.into_iter().filter(|it| !is_added(it)).collect();
        prop_assert_eq!(records.len(), whole.len());
        let mut offsets = BTreeSet::new();
        for (record, original) in records.iter().zip(&whole) {
            prop_assert_eq!((record.0.recv_unix_ns, record.1), (original.0.recv_unix_ns, original.1));
            prop_assert_eq!(&record.2, &original.2);
            let (source, before) = (record.0.source, original.0.source);
            prop_assert_eq!(source.connection, before.connection);
            let is_early = before.account == source.account;
            if !is_early {
                offsets.insert(source.account - before.account);
                prop_assert!(record.0.recv_unix_ns >= split);
            }
        }
        prop_assert!(offsets.len() <= 1, "{:?}", offsets);
    }
}

fn frame(tokens: &[u32]) -> Bytes {
    let mut frame = u16::try_from(tokens.len()).unwrap().to_be_bytes().to_vec();
    for token in tokens {
        frame.extend([0, 8]);
        frame.extend(token.to_be_bytes());
        frame.extend(7_u32.to_be_bytes());
    }
    frame.into()
}

fn tokens(record: &Recorded) -> Vec<u32> {
    let frame = kite_wire::Frame::walk(&record.2);
    frame.packets().map(|packet| packet.instrument_token()).collect()
}

fn ticks(time: u64, connection: u8, tokens: &[u32]) -> Recorded {
    (at(time, 0, connection), RecordKind::Binary, frame(tokens))
}

fn gap(from: u64, to: u64, source: Source) -> Recorded {
    let gap = Gap {
        reason: GapReason::Disconnected,
        from_unix_ns: MORNING + from,
        to_unix_ns: MORNING + to,
        frames: None,
    };
    let received = Received { recv_unix_ns: MORNING + to, source };
    (received, RecordKind::Gap, Bytes::copy_from_slice(&gap.to_bytes()))
}

const A: u32 = 0x101;
const B: u32 = 0x201;
const C: u32 = 0x301;

#[test]
fn packets_of_other_instruments_are_cut_out_of_frames() {
    let tapes = tempfile::tempdir().unwrap();
    let mut cut_off = frame(&[A, B]).to_vec();
    cut_off.pop();
    let records = [
        ticks(1, 0, &[A, B, A]),
        ticks(2, 0, &[B]),
        (at(3, 0, 0), RecordKind::Binary, Bytes::from_static(&[0])),
        (at(4, 0, 0), RecordKind::Binary, cut_off.into()),
        (at(5, 0, 0), RecordKind::Text, Bytes::from_static(b"{}")),
        ticks(6, 0, &[A, A]),
        gap(6, 7, at(0, 0, 0).source),
    ];
    let reel = Reel::open([record(tapes.path(), Compression::Stored, &records)]).unwrap();
    let part = Cut { tokens: Some(BTreeSet::from([A])), ..Cut::default() };
    let summary = cut(&reel, &part, &tapes.path().join("cut"));
    assert_eq!((summary.packets_left_out, summary.records_left_out), (2, 1));
    let (found, damages) = read(&summary.files[0]);
    assert_eq!(damages, []);
    let (_, kind, note) = &found[0];
    let expected = format!(r#"{{"event":"cut","instruments":[{A}]}}"#);
    assert_eq!((*kind, &note[..]), (RecordKind::Event, expected.as_bytes()));
    assert_eq!(tokens(&found[1]), [A, A]);
    assert_eq!(found[1].0, records[0].0);
    assert_eq!(found[2..], records[2..], "byte for byte");
    let new = Reel::open([&summary.files[0]]).unwrap();
    assert_ne!(new.files()[0].tape().tape_id(), reel.files()[0].tape().tape_id());
    assert_eq!(new.files()[0].tape().metadata().unwrap(), b"{}");
}

#[test]
fn a_selection_by_day_keeps_a_reused_token_and_its_name_on_its_day() {
    const DAY: u64 = 86_400_000_000_000;
    let tapes = tempfile::tempdir().unwrap();
    let config = RecorderConfig { fsync: Fsync::Never, ..RecorderConfig::default() };
    let recorder = Recorder::start(tapes.path(), config).unwrap();
    recorder.instruments([A, B].map(InstrumentRow::new));
    for records in [ticks(1, 0, &[A, B]), ticks(DAY, 0, &[A, B])] {
        recorder.record(records.0, records.1, records.2);
    }
    recorder.finish().unwrap();
    let reel = Reel::open([tapes.path()]).unwrap();
    let days = [MORNING, MORNING + DAY].map(kite_wire::ist::Day::at_unix_ns);
    let tokens_by_day = Some(BTreeSet::from([(days[0], A), (days[1], B)]));
    let part = Cut { tokens_by_day, ..Cut::default() };
    let summary = cut(&reel, &part, &tapes.path().join("cut"));
    assert_eq!((summary.files.len(), summary.packets_left_out), (2, 2));
    for (file, token) in summary.files.iter().zip([A, B]) {
        let notes = Reel::open([file]).unwrap().instruments();
        let noted: Vec<_> =
            notes.iter().flat_map(|it| &it.rows).map(|it| it.instrument_token).collect();
        assert_eq!(noted, [token], "one that was cut out would look as if it never ticked");
        let (found, _) = read(file);
        assert_eq!(tokens(found.last().unwrap()), [token]);
        let note = format!(r#"{{"event":"cut","instruments":[{token}]}}"#);
        assert!(found.iter().any(|it| it.2 == note.as_bytes()));
    }
}

#[test]
fn a_gap_that_overlaps_the_window_is_kept_whole() {
    let tapes = tempfile::tempdir().unwrap();
    let source = at(0, 0, 0).source;
    let records = [
        gap(2, 10, source),
        ticks(15, 0, &[A]),
        ticks(19, 0, &[A]),
        gap(19, 30, source),
        ticks(31, 0, &[A]),
        gap(33, 35, source),
    ];
    let reel = Reel::open([record(tapes.path(), Compression::Stored, &records)]).unwrap();
    let windows = within(MORNING + 10..MORNING + 20);
    let summary = cut(&reel, &Cut { windows, ..Cut::default() }, &tapes.path().join("cut"));
    let (added, kept): (Vec<_>, Vec<_>) = read(&summary.files[0]).0.into_iter().partition(is_added);
    assert_eq!((kept.as_slice(), added.len()), (&records[..4], 1));
    assert_eq!(
        (added[0].0.recv_unix_ns, &added[0].2[..]),
        (MORNING + 10, &br#"{"event":"cut"}"#[..])
    );
    assert_eq!((summary.records, summary.records_left_out), (4, 2));
    let windows = within(MORNING + 100..MORNING + 200);
    let nothing = cut(&reel, &Cut { windows, ..Cut::default() }, &tapes.path().join("nothing"));
    assert_eq!(nothing.files, [] as [PathBuf; 0]);
}

#[test]
fn a_lost_end_is_a_gap_of_the_times_that_reach_it_unless_it_is_still_recorded() {
    let tapes = tempfile::tempdir().unwrap();
    let many: Vec<_> = (0..60).map(|time| ticks(time, 0, &[A])).collect();
    let path = record(tapes.path(), Compression::Zstd { level: 1 }, &many);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let last = read(&path).0.last().unwrap().0.recv_unix_ns;
    assert!(last > MORNING + 20);
    let edit = |name: &str, windows: Option<Windows>| {
        let reel = Reel::open([&path]).unwrap();
        cut(&reel, &Cut { windows, ..Cut::default() }, &tapes.path().join(name))
    };
    let whole = edit("whole", None);
    assert_eq!((whole.damages, whole.gaps_added), (1, 1));
    let gap = read(&whole.files[0]).0.pop().unwrap();
    assert_eq!((gap.0.recv_unix_ns, gap.1), (last, RecordKind::Gap));
    assert_eq!(edit("end", within(last..u64::MAX)).gaps_added, 1);
    let early = edit("early", within(MORNING..MORNING + 20));
    assert_eq!((early.damages, early.gaps_added, early.records), (0, 0, 20));
    let _running = Recorder::start(tapes.path(), RecorderConfig::default()).unwrap();
    assert!(edit("running", None).is_whole());
}

/// Records two recordings and merges them. Returns the records without the note, and the note.
fn merged(first: &[Recorded], second: &[Recorded]) -> (Vec<Recorded>, String) {
    let tapes = tempfile::tempdir().unwrap();
    let path = |name: &str| tapes.path().join(name);
    record(&path("first"), Compression::Zstd { level: 1 }, first);
    record(&path("second"), Compression::Zstd { level: 1 }, second);
    let summary = merge(&path("first"), &path("second"), &path("merged"));
    assert!(summary.is_whole(), "{summary:?}");
    let (mut records, damages) = read(&summary.files[0]);
    assert_eq!(damages, []);
    let note = records.remove(0);
    assert_eq!((note.0.source, note.1), (Source::RECORDER, RecordKind::Event));
    (records, String::from_utf8(note.2.to_vec()).unwrap())
}

fn shifted(record: &Recorded, account: u8) -> Recorded {
    let source = Source { account, ..record.0.source };
    (Received { source, ..record.0 }, record.1, record.2.clone())
}

#[test]
fn gaps_and_ends_of_a_recording_are_filled_from_another() {
    let source = at(0, 0, 0).source;
    let first = [ticks(20, 0, &[A]), gap(20, 40, source), ticks(41, 0, &[A]), ticks(50, 0, &[A])];
    let second = [
        ticks(11, 0, &[A]),
        ticks(21, 0, &[A, B]),
        ticks(40, 0, &[A]),
        gap(30, 40, Source::RECORDER),
        ticks(42, 0, &[A]),
        ticks(51, 0, &[A]),
    ];
    let (records, note) = merged(&first, &second);
    let fill: Vec<_> = second.iter().map(|record| shifted(record, 1)).collect();
    let expected = [
        fill[0].clone(),
        first[0].clone(),
        fill[1].clone(),
        first[1].clone(),
        fill[2].clone(),
        fill[3].clone(),
        first[2].clone(),
        first[3].clone(),
        fill[5].clone(),
    ];
    assert_eq!(records, expected);
    assert!(note.contains(r#""account_offset":1"#) && note.contains(r#""with":[""#), "{note}");
}

#[test]
fn the_rest_of_a_day_is_filled_and_a_midnight_that_was_recorded_is_not() {
    const SECOND: u64 = 1_000_000_000;
    /// From the first record to midnight in India.
    const MIDNIGHT: u64 = (24 * 3_600 - (9 * 3_600 + 1_800)) * SECOND;
    let day = |rest: &[u64]| -> Vec<_> {
        let times = [0, 10, 20].into_iter().chain(rest.iter().copied());
        times.map(|second| ticks(second * SECOND, 0, &[A])).collect()
    };
    let filled = |first: &[Recorded], second: &[Recorded]| {
        let tapes = tempfile::tempdir().unwrap();
        let path = |name: &str| tapes.path().join(name);
        record(&path("first"), Compression::Stored, first);
        record(&path("second"), Compression::Stored, second);
        let summary = merge(&path("first"), &path("second"), &path("merged"));
        (summary.files.len(), summary.records_filled)
    };
    // The first recorder ended at 20 s and was started again on the next day.
    let second = day(&[30, 40, 86_405, 86_415]);
    assert_eq!(filled(&day(&[86_400, 86_410, 86_420]), &second), (2, 2));
    let midnight = MIDNIGHT / SECOND;
    let first = day(&[midnight - 1, midnight + 1]);
    assert_eq!(filled(&first, &day(&[30, midnight, midnight + 1])), (2, 0));
}

#[test]
fn in_a_gap_of_one_connection_only_its_instruments_are_filled() {
    let first = [
        ticks(10, 0, &[A]),
        ticks(10, 1, &[B]),
        // B moves to the other connection while its own is down.
        ticks(25, 0, &[A]),
        gap(12, 30, at(0, 0, 1).source),
        ticks(31, 1, &[B]),
        ticks(40, 0, &[A]),
    ];
    let second = [
        ticks(11, 0, &[A, B, C]),
        ticks(20, 0, &[A, B, C]),
        ticks(22, 0, &[A]),
        ticks(35, 0, &[A, B, C]),
    ];
    let (records, _) = merged(&first, &second);
    let filled: Vec<_> = records.iter().filter(|it| it.0.source.account == 1).collect();
    assert_eq!(filled.len(), 1, "{filled:?}");
    assert_eq!((tokens(filled[0]), filled[0].0), (vec![B, C], at(20, 1, 0)));
    let mut moved = first.to_vec();
    moved.insert(3, ticks(26, 0, &[B]));
    let (records, _) = merged(&moved, &second);
    let filled: Vec<_> = records.iter().filter(|it| it.0.source.account == 1).collect();
    assert_eq!(tokens(filled[0]), [C], "B was received by the other connection");
}

#[test]
fn damage_of_a_recording_is_filled_and_stays_a_gap() {
    let tapes = tempfile::tempdir().unwrap();
    let path = |name: &str| tapes.path().join(name);
    let records: Vec<_> = (0..100).map(|time| ticks(100 + 10 * time, 0, &[A])).collect();
    let others: Vec<_> = (0..100).map(|time| ticks(105 + 10 * time, 0, &[A])).collect();
    let damaged = record(&path("first"), Compression::Stored, &records);
    record(&path("second"), Compression::Stored, &others);
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].fill(0xff);
    fs::write(&damaged, &bytes).unwrap();
    let (left, _) = read(&damaged);
    let summary = merge(&path("first"), &path("second"), &path("merged"));
    assert!(!summary.is_whole());
    assert_eq!((summary.gaps_added, summary.damages), (1, 1));
    let lost = 100 - left.len() as u64;
    assert!(lost > 0);
    // Those of the stretch, and the one after the end.
    assert!((lost + 1..=lost + 2).contains(&summary.records_filled), "{summary:?}");
    let (found, damages) = read(&summary.files[0]);
    assert_eq!((damages.len(), found.iter().filter(|it| it.1 == RecordKind::Gap).count()), (0, 1));
}

#[test]
fn nothing_is_replaced_and_nothing_is_left_of_a_failed_edit() {
    let tapes = tempfile::tempdir().unwrap();
    let from = record(tapes.path(), Compression::Stored, &[ticks(1, 0, &[A])]);
    let reel = Reel::open([&from]).unwrap();
    let result = kite_tape::repair(&reel, tapes.path(), &mut go_on);
    assert!(matches!(&result, Err(EditError::Exists { path }) if *path == from), "{result:?}");

    let other = tapes.path().join("other");
    record(&other, Compression::Stored, &[ticks(1, 0, &[A])]);
    let to = tapes.path().join("to");
    let both = Reel::open([tapes.path(), &other]).unwrap();
    let result = kite_tape::repair(&both, &to, &mut go_on);
    assert!(matches!(result, Err(EditError::SameName { .. })), "{result:?}");

    let many: Vec<_> = (0..5_000).map(|time| ticks(time, 0, &[A])).collect();
    let long = record(&tapes.path().join("long"), Compression::Stored, &many);
    let result = kite_tape::repair(&Reel::open([long]).unwrap(), &to, &mut |bytes| {
        assert!(bytes > 0);
        ControlFlow::Break(())
    });
    assert!(matches!(result, Err(EditError::Cancelled)), "{result:?}");
    assert!(!to.exists(), "a directory that was created for the tapes");
}

#[test]
fn an_edit_can_be_cancelled_at_each_block_and_until_its_last_call() {
    let tapes = tempfile::tempdir().unwrap();
    // Each record fills a block.
    let many: Vec<_> = (0..20)
        .map(|time| (at(time, 0, 0), RecordKind::Text, Bytes::from(vec![b' '; 2_000])))
        .collect();
    let path = |name: &str| tapes.path().join(name);
    let [first, second] = ["first", "second"].map(|name| {
        let file = record(&path(name), Compression::Stored, &many);
        Reel::open([file]).unwrap()
    });
    type Edit<'e> = &'e dyn Fn(&Path, kite_tape::OnProgress<'_>) -> Result<EditSummary, EditError>;
    let edits: [(Edit<'_>, u64); 3] = [
        (&|to, progress| kite_tape::repair(&first, to, progress), 20),
        (&|to, progress| kite_tape::cut(&first, &Cut::default(), to, progress), 20),
        (&|to, progress| kite_tape::merge(&first, &second, to, progress), 60),
    ];
    for (number, (edit, blocks)) in edits.into_iter().enumerate() {
        let mut calls = 0;
        edit(&path(&format!("whole-{number}")), &mut |_| {
            calls += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(calls >= blocks, "{calls} of {blocks}");
        for last in 1..=calls {
            // A directory that was there stays, and one that was created is removed.
            let kept = path("kept");
            fs::create_dir_all(&kept).unwrap();
            let mut call = 0;
            let result = edit(&kept.join("new/to"), &mut |_| {
                call += 1;
                if call == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert!(matches!(result, Err(EditError::Cancelled)), "{last} of {calls}: {result:?}");
            assert_eq!(fs::read_dir(&kept).unwrap().count(), 0, "{last} of {calls}");
        }
    }
}

#[test]
fn accounts_beyond_the_highest_number_are_an_error() {
    let tapes = tempfile::tempdir().unwrap();
    let path = |name: &str| tapes.path().join(name);
    let mut last = ticks(1, 0, &[A]);
    last.0.source.account = 254;
    record(&path("first"), Compression::Stored, &[last]);
    record(&path("second"), Compression::Stored, &[ticks(2, 0, &[A])]);
    let [first, second] = ["first", "second"].map(|name| Reel::open([path(name)]).unwrap());
    let result = kite_tape::merge(&first, &second, path("to"), &mut go_on);
    assert!(matches!(result, Err(EditError::TooManyAccounts { accounts: 256 })), "{result:?}");
    assert!(!path("to").exists());
}

#[test]
fn the_names_of_instruments_stay_on_a_tape_that_is_cut_or_repaired() {
    let tapes = tempfile::tempdir().unwrap();
    let config = RecorderConfig { fsync: Fsync::Never, ..RecorderConfig::default() };
    let recorder = Recorder::start(tapes.path().join("from"), config).unwrap();
    recorder.instruments([InstrumentRow::new(A), InstrumentRow::new(B)]);
    for time in 0..100 {
        let (received, kind, payload) = ticks(time, 0, &[A]);
        recorder.record(received, kind, payload);
    }
    let path = recorder.finish().unwrap().stats.files[0].clone();
    let reel = Reel::open([&path]).unwrap();
    let rows = |reel: &Reel| -> Vec<_> {
        reel.instruments().into_iter().flat_map(|note| note.rows).collect()
    };
    assert_eq!(rows(&reel).len(), 2);
    let windows = within(MORNING + 50..MORNING + 60);
    let summary = cut(&reel, &Cut { windows, ..Cut::default() }, &tapes.path().join("cut"));
    assert_eq!((summary.records, summary.notes_moved), (10, 1));
    let part = Reel::open([&summary.files[0]]).unwrap();
    assert_eq!((rows(&part), part.span()), (rows(&reel), Some((MORNING + 50, MORNING + 59))));
    let summary = repair(&reel, &tapes.path().join("repaired"));
    let whole = Reel::open([&summary.files[0]]).unwrap();
    assert_eq!(whole.instruments(), reel.instruments());
    assert_eq!(read(&summary.files[0]), read(&path));
}
