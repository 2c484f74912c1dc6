//! `kite candles`: bars of tapes.

use std::path::{Path, PathBuf};

use kite_wire::tape::{BlockBuffer, Gap, GapReason, Received, RecordKind, Source, TapeHeader};
use kite_wire::{Fields, FrameEncoder, FullFields, QuoteFields, Tick};

use crate::process::{Outcome, kite, run};
use crate::tape::{OPENING, SECOND, flip};

const INFY: u32 = 408_065;
const RELIANCE: u32 = 738_561;

fn frame(instrument_token: u32, volume: u32) -> Vec<u8> {
    let quote = QuoteFields { volume, ..QuoteFields::default() };
    let fields = Fields::Full { quote, full: FullFields::default() };
    let last_price = 157_000 + (volume % 100) as i32;
    let mut buffer = vec![0; 188];
    let mut frame = FrameEncoder::new(&mut buffer).expect("room");
    frame.push(&Tick { instrument_token, last_price, fields }).expect("room");
    frame.finish().to_vec()
}

/// Writes two days of 20 minutes with a tick of each instrument every ten seconds. INFY is on a
/// connection that misses 30 s of the eleventh minute.
pub(crate) fn write(directory: &Path) -> PathBuf {
    let header = TapeHeader { created_unix_ns: OPENING, tape_id: 5, metadata: b"{}" };
    let mut file = vec![0; 256 << 10];
    let mut len = header.encode(&mut file).expect("room");
    for day in 0..2 {
        // Blocks of five minutes.
        for first in (0..120).step_by(30) {
            let mut buffer =
                BlockBuffer::new(&mut file[len..], 5, day * 4 + first / 30).expect("room");
            for step in first..first + 30 {
                let at = OPENING + (u64::from(day) * 86_400 + u64::from(step) * 10) * SECOND;
                let received = |connection| Received {
                    recv_unix_ns: at,
                    source: Source { account: 0, connection },
                };
                if (61..63).contains(&step) {
                    continue;
                }
                if step == 63 {
                    let gap = Gap {
                        reason: GapReason::Disconnected,
                        from_unix_ns: at - 30 * SECOND,
                        to_unix_ns: at,
                        frames: None,
                    };
                    buffer.push_gap(received(0), &gap).expect("room");
                }
                for (connection, token) in [(0, INFY), (1, RELIANCE)] {
                    let frame = frame(token, 100 + step * 5);
                    buffer.push(received(connection), RecordKind::Binary, &frame).expect("room");
                }
            }
            len += buffer.finish().len();
        }
    }
    let path = directory.join("days.ktape");
    std::fs::write(&path, &file[..len]).expect("a file");
    path
}

fn candles(tapes: &Path, more: &[&str]) -> Outcome {
    run(&mut kite(&[&["candles", tapes.to_str().expect("UTF-8")], more].concat()))
}

#[test]
fn bars_are_csv_on_a_pipe_and_a_file_in_each_format() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let piped = candles(directory.path(), &[]);
    assert_eq!(piped.code, Some(0), "{piped:?}");
    assert_eq!(piped.out.lines().count(), 1 + 2 * 2 * 20, "{piped:?}");
    assert!(piped.err.contains("80 bars, ") && piped.err.contains(", 2 gaps"), "{piped:?}");
    let gap = piped.out.lines().find(|line| line.starts_with("2026-11-23T09:25:00+05:30,NSE:INFY"));
    assert!(gap.is_some_and(|line| line.ends_with(",30000,15,gap by_arrival")), "{gap:?}");
    for name in ["bars.csv", "bars.jsonl", "bars.parquet"] {
        let to = directory.path().join(name);
        let to = to.to_str().expect("UTF-8");
        let ended = candles(directory.path(), &["--to", to, "--json"]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{name}");
        let report = ended.json();
        let lengths = &report["lengths"][0];
        assert_eq!((&report["bars"], &report["gaps"]), (&80.into(), &2.into()), "{report}");
        assert_eq!((&lengths["every"], &lengths["packets"]), (&"1m".into(), &472.into()));
        let again = candles(directory.path(), &["--to", to]);
        assert_eq!(again.code, Some(3), "{again:?}");
        let replaced = candles(directory.path(), &["--to", to, "--overwrite"]);
        assert!(replaced.out.starts_with("80 bars, "), "{replaced:?}");
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("bars.csv")).ok(), Some(piped.out));
}

#[test]
fn lengths_days_hours_and_instruments_are_chosen() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let part =
        ["--every", "5m,1d", "--day", "2026-11-24", "--instruments", "INFY", "--until", "09:20"];
    let ended = candles(directory.path(), &part);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let starts: Vec<String> = ended
        .out
        .lines()
        .skip(1)
        .map(|line| line.split(',').take(3).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        starts,
        ["2026-11-24T00:00:00+05:30 1d NSE:INFY", "2026-11-24T09:15:00+05:30 5m NSE:INFY",]
    );
    let hours = directory.path().join("hours");
    std::fs::write(&hours, "NSE 2026-11-24 09:20-09:25\nall 2026-11-23 closed\n").expect("a file");
    let hours = hours.to_str().expect("UTF-8");
    let ended = candles(directory.path(), &["--sessions", hours]);
    assert_eq!(ended.out.lines().count(), 1 + 2 * 5, "{ended:?}");
    assert!(ended.err.contains("in no bar of 1m: "), "{ended:?}");
    std::fs::write(hours, "NSE\n").expect("a file");
    let refused = candles(directory.path(), &["--sessions", hours]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("hours, line 1: expected hours such as"), "{refused:?}");
}

#[test]
fn a_table_has_all_bars_of_one_instrument_and_the_last_ones_of_several() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let one = candles(directory.path(), &["--format", "table", "--instruments", "NSE:INFY"]);
    assert_eq!(one.code, Some(0), "{one:?}");
    let lines: Vec<&str> = one.out.lines().collect();
    assert_eq!((lines[0], lines[2]), ("NSE:INFY  1m", "2026-11-23"));
    assert!(lines[1].starts_with("start      open") && lines.len() == 2 + 2 * 21, "{}", one.out);
    let gap = lines.iter().find(|line| line.starts_with("09:25"));
    assert!(gap.is_some_and(|line| line.contains("30.0 s") && line.contains("gap")), "{}", one.out);
    let several = candles(directory.path(), &["--format", "table"]);
    assert!(several.out.contains("NSE:RELIANCE  1m\nafter 30 earlier bars\n"), "{several:?}");
}

#[test]
fn what_is_missing_is_a_finding() {
    let directory = tempfile::tempdir().expect("a directory");
    let tape = write(directory.path());
    let unseen = candles(directory.path(), &["--instruments", "INFY,TCS"]);
    assert_eq!(unseen.code, Some(1), "{unseen:?}");
    assert!(unseen.err.contains("no tick of NSE:TCS is on the tapes"), "{unseen:?}");
    let night =
        candles(directory.path(), &["--from", "00:00", "--until", "09:15:00.5", "--every", "1s"]);
    assert_eq!(night.code, Some(1), "{night:?}");
    assert!(night.err.contains("no bar was made"), "{night:?}");
    let hours = directory.path().join("hours");
    std::fs::write(&hours, "all 18:00-19:00\n").expect("a file");
    let outside = candles(directory.path(), &["--sessions", hours.to_str().expect("UTF-8")]);
    assert_eq!(outside.code, Some(1), "{outside:?}");
    assert!(outside.err.contains("--sessions names a file with other hours"), "{outside:?}");
    let lost = candles(directory.path(), &["--to", "no/such/bars.csv"]);
    assert!(lost.err.contains("error: cannot make bars: "), "{lost:?}");
    flip(&tape);
    let damaged = candles(directory.path(), &[]);
    assert_eq!(damaged.code, Some(1), "{damaged:?}");
    assert!(damaged.err.contains("1 file cut off"), "{damaged:?}");
}

#[test]
fn damaged_frames_and_silences_leave_volume_to_the_next_packet() {
    let directory = tempfile::tempdir().expect("a directory");
    let header = TapeHeader { created_unix_ns: OPENING, tape_id: 5, metadata: b"{}" };
    let mut file = vec![0; 16 << 10];
    let mut len = header.encode(&mut file).expect("room");
    let mut buffer = BlockBuffer::new(&mut file[len..], 5, 0).expect("room");
    let source = Source { account: 0, connection: 0 };
    for step in 0..12 {
        let received = Received { recv_unix_ns: OPENING + step * 10 * SECOND, source };
        let mut frame = frame(INFY, 100 + step as u32 * 5);
        if step == 5 {
            frame.truncate(frame.len() - 40);
        }
        buffer.push(received, RecordKind::Binary, &frame).expect("room");
    }
    // Then nothing until a heartbeat at 09:19:30, at which the tape ends.
    let received = Received { recv_unix_ns: OPENING + 270 * SECOND, source };
    buffer.push(received, RecordKind::Binary, &[0]).expect("room");
    len += buffer.finish().len();
    std::fs::write(directory.path().join("day.ktape"), &file[..len]).expect("a file");
    let ended = candles(directory.path(), &["--fill"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("1 damaged frame") && ended.err.contains("silences"), "{ended:?}");
    let column = |nth| -> Vec<&str> {
        ended.out.lines().skip(1).filter_map(|line| line.split(',').nth(nth)).collect()
    };
    // The packet of 09:15:50 is lost, and what it showed is in that of 09:16:00.
    assert_eq!(column(7)[..4], ["20", "35", "0", "0"], "{ended:?}");
    // Neither the damage nor the silence is a gap.
    assert_eq!(column(12)[..4], ["0"; 4], "{ended:?}");
    let last = column(0).pop().expect("a bar");
    assert!(last <= "2026-11-23T09:19:00+05:30", "bars are filled to the last record: {last}");
}

#[test]
fn invalid_usage_is_reported_before_the_tapes_are_read() {
    for (more, error) in [
        (&["--every", "2d"][..], "must be 1s to 1d"),
        (&["--every", "1m,60s"], "--every names 1m twice"),
        (&["--grace", "2m"], "must be at most 60 s"),
        (&["--to", "bars.txt"], "cannot infer the format"),
        (&["--prices", "float"], "--prices is for Parquet"),
        (&["--format", "table", "--json"], "--json needs a file"),
        (&["--to", "bars.csv", "--format", "table"], "--format table is for standard output"),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path());
        let refused = candles(directory.path(), more);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains(error), "{refused:?}");
    }
}
