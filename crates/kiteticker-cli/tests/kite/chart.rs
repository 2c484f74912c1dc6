//! `kite chart`: bars from tapes, in a terminal and as pictures.

use std::fs;
use std::path::Path;

use kite_wire::tape::{BlockBuffer, Gap, GapReason, Received, RecordKind, Source, TapeHeader};
use kite_wire::{Fields, FrameEncoder, FullFields, IndexFields, QuoteFields, Tick};

use crate::process::{Outcome, kite, run};
use crate::tape::{OPENING, SECOND, flip};

const INFY: u32 = 408_065;
const NIFTY: u32 = 256_265;
/// Seconds of a session of NSE.
const SESSION_S: u64 = 22_500;
/// Seconds between two frames.
const EVERY_S: u64 = 10;
/// The gap of each day, in seconds after the opening: from 11:00 to 11:20.
const GAP_S: (u64, u64) = (6_300, 7_500);

/// Writes a tape of sessions with a gap each: INFY in full mode, and the NIFTY 50.
fn write(directory: &Path, days: u64) {
    let source = Source { account: 0, connection: 0 };
    let header = TapeHeader { created_unix_ns: OPENING, tape_id: 41, metadata: b"{}" };
    let mut file = vec![0; 1 << 10];
    let len = header.encode(&mut file).expect("room");
    file.truncate(len);
    let mut space = vec![0; 1 << 20];
    for day in 0..days {
        let opening = OPENING + day * 86_400 * SECOND;
        let mut block =
            BlockBuffer::new(&mut space, 41, u32::try_from(day).expect("few")).expect("room");
        for second in (0..SESSION_S).step_by(EVERY_S as usize) {
            let received = Received { recv_unix_ns: opening + second * SECOND, source };
            if second == GAP_S.1 {
                let (from_unix_ns, to_unix_ns) =
                    (opening + GAP_S.0 * SECOND, opening + GAP_S.1 * SECOND);
                let reason = GapReason::Disconnected;
                let gap = Gap { reason, from_unix_ns, to_unix_ns, frames: None };
                block.push_gap(received, &gap).expect("room");
            }
            if !(GAP_S.0..GAP_S.1).contains(&second) {
                let at = u32::try_from(received.recv_unix_ns / SECOND).expect("32 bits");
                block.push(received, RecordKind::Binary, &frame(at, second)).expect("room");
            }
        }
        // The heartbeat at the end of the session shows that nothing is missing.
        let received = Received { recv_unix_ns: opening + SESSION_S * SECOND, source };
        block.push(received, RecordKind::Binary, &[0]).expect("room");
        file.extend_from_slice(block.finish());
    }
    fs::write(directory.join("days.ktape"), &file).expect("a file");
}

/// A frame of this second after the opening. The price swings, and the volume rises.
fn frame(at: u32, second: u64) -> Vec<u8> {
    let swing = (second as f64 / 2_000.0).sin() * 1_500.0 + (second as f64 / 77.0).sin() * 200.0;
    let volume = u32::try_from(second * 40 + second * second / 2_000 + 1_000).expect("32 bits");
    let quote = QuoteFields { volume, ..QuoteFields::default() };
    let full =
        FullFields { last_trade_timestamp: at, exchange_timestamp: at, ..FullFields::default() };
    let infy = Tick {
        instrument_token: INFY,
        last_price: 157_000 + swing as i32,
        fields: Fields::Full { quote, full },
    };
    let nifty = Tick {
        instrument_token: NIFTY,
        last_price: 2_600_000 + 9 * swing as i32,
        fields: Fields::IndexQuote(IndexFields::default()),
    };
    let mut bytes = [0; 512];
    let mut frame = FrameEncoder::new(&mut bytes).expect("room");
    frame.push(&infy).expect("room");
    frame.push(&nifty).expect("room");
    frame.finish().to_vec()
}

fn chart(directory: &Path, arguments: &[&str]) -> Outcome {
    let tapes = directory.to_str().expect("UTF-8");
    run(&mut kite(&[&["chart", tapes], arguments].concat()))
}

/// Returns a directory with a tape of this many days.
fn tapes(days: u64) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), days);
    directory
}

#[test]
fn candles_volumes_and_gaps_are_drawn_without_escapes_if_piped() {
    let tapes = tapes(1);
    let drawn = chart(tapes.path(), &["NSE:INFY"]);
    assert_eq!((drawn.code, drawn.err.as_str()), (Some(0), ""), "{drawn:?}");
    let lines: Vec<&str> = drawn.out.lines().collect();
    assert!(lines.len() < 24 && lines.iter().all(|line| line.chars().count() <= 80), "{drawn:?}");
    assert!(!drawn.out.contains('\u{1b}'), "{drawn:?}");
    assert_eq!(lines[0], "NSE:INFY  5m  2026-11-23  drawn as 10m");
    let prices = "open 1,570.33  high 1,586.97  low 1,553.04  close 1,555.65  -0.93%  volume 1.10M";
    assert_eq!(lines[1], prices);
    assert!(lines.contains(&"        │║        │┃░░        ║        ╿┃"), "{drawn:?}");
    assert!(lines.contains(&"         09:15       11:15       13:15       15:15"), "{drawn:?}");
    assert_eq!(lines.last(), Some(&"║ rose  ┃ fell  ░ no feed"));
    let painted = chart(tapes.path(), &["NSE:INFY", "--color", "always"]);
    assert!(painted.out.contains("\u{1b}["), "{painted:?}");
    let ascii = chart(tapes.path(), &["NSE:INFY", "--ascii"]);
    assert!(ascii.out.is_ascii(), "{ascii:?}");
}

#[test]
fn days_are_drawn_beside_each_other_or_chosen() {
    let tapes = tapes(3);
    let week = chart(tapes.path(), &["INFY", "--every", "1m"]);
    assert!(
        week.out.starts_with("NSE:INFY  1m  2026-11-23 to 2026-11-25  drawn as 20m\n"),
        "{week:?}"
    );
    assert!(week.out.contains("\n         23 Nov              24 Nov"), "{week:?}");
    let day = ["NSE:NIFTY 50", "--every", "1m", "--day", "2026-11-24", "--until", "10:00"];
    let index = chart(tapes.path(), &day);
    assert!(index.out.starts_with("NSE:NIFTY 50  1m  2026-11-24\n"), "{index:?}");
    assert!(!index.out.contains("volume"), "{index:?}");
    // A bar of the day each.
    let daily = chart(tapes.path(), &["408065", "--every", "1d"]);
    assert!(daily.out.contains("\n         23 Nov\n"), "{daily:?}");
}

#[test]
fn pictures_are_complete_files_that_are_not_replaced_unless_asked() {
    let tapes = tapes(1);
    for (name, start) in [("infy.svg", &b"<svg xmlns="[..]), ("infy.png", b"\x89PNG\r\n")] {
        let to = tapes.path().join(name);
        let to_text = to.to_str().expect("UTF-8");
        let ended = chart(tapes.path(), &["NSE:INFY", "--to", to_text]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        assert_eq!(ended.out, format!("NSE:INFY in {to_text}\n"));
        let written = fs::read(&to).expect("the picture");
        assert!(written.starts_with(start), "{name}");
        fs::write(&to, "mine").expect("a file");
        let refused = chart(tapes.path(), &["NSE:INFY", "--to", to_text]);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.err.contains("already exists"), "{refused:?}");
        assert_eq!(fs::read(&to).expect("the file"), b"mine");
        let replaced = chart(tapes.path(), &["NSE:INFY", "--to", to_text, "--overwrite"]);
        assert_eq!(replaced.code, Some(0), "{replaced:?}");
        assert_eq!(fs::read(&to).expect("the picture"), written);
    }
    let names = fs::read_dir(tapes.path()).expect("the directory").count();
    assert_eq!(names, 3, "no temporary file is left");
}

#[test]
fn what_cannot_be_drawn_is_reported() {
    let tapes = tapes(1);
    for (arguments, code, message) in [
        (&["NSE:ABSENT"][..], 2, "no instrument is named NSE:ABSENT"),
        (&["NSE:SBIN"], 1, "no tick of NSE:SBIN is in this part of the tapes"),
        (&["NSE:INFY", "--day", "2026-11-24"], 2, "--day 2026-11-24 is not on the tapes"),
        (&["NSE:INFY", "--every", "2d"], 2, "not the length of a bar"),
        (&["NSE:INFY", "--to", "infy.gif"], 2, "cannot infer the format from the name infy.gif"),
        (&["NSE:INFY", "--to", "no/such/infy.svg"], 3, "cannot write the picture"),
    ] {
        let ended = chart(tapes.path(), arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{ended:?}");
        assert!(ended.err.contains(message), "{ended:?}");
    }
    let hours = tapes.path().join("hours");
    fs::write(&hours, "all 18:00-19:00\n").expect("a file");
    let hours = ["NSE:INFY", "--sessions", hours.to_str().expect("UTF-8")];
    let outside = chart(tapes.path(), &hours);
    assert_eq!((outside.code, outside.out.as_str()), (Some(1), ""), "{outside:?}");
    assert!(
        outside.err.contains("no trade of NSE:INFY is within the trading session"),
        "{outside:?}"
    );
}

#[test]
fn what_is_missing_of_tapes_and_instrument_is_named() {
    let tapes = tapes(1);
    let path = tapes.path().to_str().expect("UTF-8");
    for (arguments, message) in [
        (&[path][..], "the instrument is missing"),
        (&["NSE:INFY"], "the tape is missing"),
        (&[path, "NSE:INFY", "NSE:TCS"], "NSE:INFY is no tape: a chart has one instrument"),
    ] {
        let ended = run(&mut kite(&[&["chart"], arguments].concat()));
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.err.contains(message), "{ended:?}");
    }
}

#[test]
fn a_tape_without_its_end_is_drawn_and_reported() {
    let tapes = tapes(2);
    flip(&tapes.path().join("days.ktape"));
    let drawn = chart(tapes.path(), &["NSE:INFY"]);
    assert_eq!(drawn.code, Some(1), "{drawn:?}");
    assert!(drawn.err.contains("days.ktape is cut off"), "{drawn:?}");
    assert!(drawn.out.starts_with("NSE:INFY  5m  2026-11-2"), "{drawn:?}");
}
