//! Every part of a tape is counted, and only what was requested becomes a row.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::time::Duration;

use kite_export::{Export, ExportError, Format, Summary};
use kite_tape::Windows;
use kite_wire::tape::{Gap, GapReason, RecordKind};
use kite_wire::{Fields, Segment, Tick};
use tape::{Maker, OPENING};

fn count(export: Export<'_>) -> Summary {
    export.to_writer(std::io::sink(), Format::Csv).unwrap()
}

fn ltp(instrument_token: u32) -> Tick {
    Tick { instrument_token, last_price: 1, fields: Fields::Ltp }
}

fn gap(from_unix_ns: u64, to_unix_ns: u64, frames: Option<u64>) -> Gap {
    Gap { reason: GapReason::QueueFull, from_unix_ns, to_unix_ns, frames }
}

#[test]
fn every_kind_of_record_is_counted() {
    let mut maker = Maker::new(1);
    maker.frame(OPENING, &[ltp(0x101), ltp(0x102)]);
    maker.record(OPENING + 1, RecordKind::Binary, &[0]);
    maker.record(OPENING + 2, RecordKind::Text, b"{}");
    maker.record(OPENING + 3, RecordKind::Event, b"{}");
    maker.gap(OPENING + 4, &gap(OPENING, OPENING + 4, Some(5)));
    maker.gap(OPENING + 5, &gap(0, 0, None));
    maker.record(OPENING + 6, RecordKind::Gap, &[1]);
    // An unknown packet between two valid ones, then a tail cut within the third packet.
    let odd = [0, 3, 0, 8, 0, 0, 1, 1, 0, 0, 0, 9, 0, 3, 7, 7, 7, 0, 8, 0, 0, 1, 2, 0, 0, 0, 9];
    maker.record(OPENING + 7, RecordKind::Binary, &odd);
    maker.record(OPENING + 8, RecordKind::Binary, &odd[..odd.len() - 1]);
    maker.record(OPENING + 9, RecordKind::Binary, &[]);
    let summary = count(Export::new(&maker.reel()));
    assert_eq!((summary.rows, summary.frames, summary.heartbeats), (5, 4, 1));
    assert_eq!((summary.texts, summary.notes, summary.unreadable_records), (1, 1, 1));
    assert_eq!((summary.gaps, summary.frames_missing, summary.gaps_of_unknown_size), (2, 5, 1));
    assert_eq!((summary.unknown_packets, summary.damaged_frames), (2, 2));
    assert_eq!(summary.damaged_bytes, 9);
    assert_eq!(summary.first_recv_unix_ns, Some(OPENING));
    assert_eq!(summary.last_recv_unix_ns, Some(OPENING + 8));
    assert!(!summary.is_complete());
}

#[test]
fn a_tape_with_everything_is_complete() {
    let mut maker = Maker::new(2);
    maker.frames(10);
    maker.record(OPENING + 3, RecordKind::Event, b"{}");
    assert!(count(Export::new(&maker.reel())).is_complete());
}

#[test]
fn times_tokens_and_segments_choose_the_rows() {
    let mut maker = Maker::new(3);
    for at in 0..100 {
        maker.frame(OPENING + at, &[ltp(0x101), ltp(0x201), ltp(0x103), ltp(0x209)]);
    }
    let reel = maker.reel();
    let summary = count(Export::new(&reel).from(OPENING + 10).to(OPENING + 20));
    assert_eq!((summary.rows, summary.frames, summary.packets_left_out), (40, 10, 0));
    assert_eq!(summary.first_recv_unix_ns, Some(OPENING + 10));
    assert_eq!(summary.last_recv_unix_ns, Some(OPENING + 19));
    let summary = count(Export::new(&reel).tokens([0x101, 0x103, 7]));
    assert_eq!((summary.rows, summary.packets_left_out), (200, 200));
    let summary = count(Export::new(&reel).segments([Segment::Nse]).tokens([0x101, 0x103]));
    assert_eq!((summary.rows, summary.packets_left_out), (100, 300));
}

#[test]
fn only_the_windows_of_several_days_become_rows() {
    let mut maker = Maker::new(7);
    for at in 0..100 {
        maker.frame(OPENING + at, &[ltp(0x101)]);
    }
    let windows = Windows::new([OPENING + 10..OPENING + 13, OPENING + 90..OPENING + 1_000]);
    let summary = count(Export::new(&maker.reel()).windows(windows));
    assert_eq!((summary.rows, summary.frames), (13, 13));
    assert_eq!(summary.first_recv_unix_ns, Some(OPENING + 10));
    let result = Export::new(&maker.reel()).windows(Windows::default());
    let result = result.to_writer(std::io::sink(), Format::Csv);
    assert!(matches!(result, Err(ExportError::EmptyTimeRange { .. })), "{result:?}");
}

#[test]
fn a_gap_recorded_after_the_time_range_is_not_missed() {
    let mut maker = Maker::new(4);
    maker.frame(OPENING, &[ltp(0x101)]);
    let hour = 3_600_000_000_000;
    maker.frame(OPENING + hour, &[ltp(0x101)]);
    maker.gap(OPENING + 2 * hour, &gap(OPENING + 5, OPENING + 2 * hour, None));
    maker.gap(OPENING + 2 * hour, &gap(OPENING + 20, OPENING + 2 * hour, None));
    let reel = maker.reel();
    let export = || Export::new(&reel).from(OPENING).to(OPENING + 10);
    let summary = count(export());
    assert_eq!((summary.rows, summary.gaps), (1, 1));
    let stopped = count(export().read_past(Duration::from_secs(3_600)));
    assert_eq!((stopped.rows, stopped.gaps), (1, 0));
}

#[test]
fn damage_is_reported_with_its_place_and_the_rest_is_exported() {
    let mut maker = Maker::new(5);
    for block in 0..4 {
        if block > 0 {
            maker.next_block();
        }
        for at in 0..10 {
            maker.frame(OPENING + block * 100 + at, &[ltp(0x101)]);
        }
    }
    let mut bytes = maker.bytes();
    let block_len = 64 + 10 * (24 + 12);
    // A byte of the second record's payload in the second block.
    bytes[42 + block_len + 64 + 36 + 24 + 5] ^= 1;
    // And the last block is cut within its records.
    bytes.truncate(bytes.len() - 40);
    let mut reported = Vec::new();
    let events = maker.path("events.csv");
    let reel = maker.reel_of(&bytes);
    let export =
        Export::new(&reel).events(&events).on_damage(|damage| reported.push(damage.clone()));
    let summary = count(export);
    assert_eq!((summary.damage, summary.records_lost), (1, 1));
    assert_eq!(summary.rows, 10 + 9 + 10 + 8);
    assert_eq!(summary.torn_files, 1);
    assert_eq!(reported.len(), 1);
    assert!(reported[0].path.ends_with("day.ktape"));
    let record = 42 + block_len + 64 + 36;
    assert!((record..record + 36).contains(&reported[0].offset), "{}", reported[0].offset);
    let events = std::fs::read_to_string(events).unwrap();
    assert_eq!(events.matches(",damage,").count(), 1, "{events}");
    assert_eq!(events.matches(",torn_end,").count(), 1, "{events}");
}

#[test]
fn a_time_that_no_column_can_hold_is_counted() {
    let mut maker = Maker::new(6);
    maker.frame(u64::MAX, &[ltp(0x101)]);
    let summary = count(Export::new(&maker.reel()));
    assert_eq!((summary.rows, summary.times_out_of_range), (1, 1));
    assert_eq!(summary.last_recv_unix_ns, Some(i64::MAX as u64));
}
