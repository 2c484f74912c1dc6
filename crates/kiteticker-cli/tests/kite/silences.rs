//! Silences and steps of the clock, as the recorder, `kite inspect` and `kite export` list them.

use std::path::Path;

use kite_tape::{Received, RecordKind, Recorder, RecorderConfig, Source};
use serde_json::{Value, json};

use crate::process::{Outcome, kite, run};
use crate::tape::{OPENING, SECOND};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn export(tapes: &Path, to: &Path, more: &[&str]) -> Outcome {
    run(&mut kite(&[&["export", text(tapes), "--to", text(to)], more].concat()))
}

fn inspect(tapes: &Path, more: &[&str]) -> Outcome {
    run(&mut kite(&[&["inspect", text(tapes)], more].concat()))
}

/// Records 60 s with two ticks a second, except for 8 s without any frame and 10 s with heartbeats
/// alone, and a step of the clock.
fn record(directory: &Path) {
    let recorder = Recorder::start(directory, RecorderConfig::default()).expect("a recorder");
    let source = Source { account: 0, connection: 1 };
    let mut tick = vec![0, 2];
    for token in [408_065_u32, 738_561] {
        tick.extend([0, 8]);
        tick.extend(token.to_be_bytes());
        tick.extend([0, 1, 0, 0]);
    }
    let push = |second: u64, kind, payload: &[u8]| {
        let received = Received { recv_unix_ns: OPENING + second * SECOND, source };
        recorder.record(received, kind, payload.to_vec().into());
    };
    for second in (0..10).chain(18..60) {
        let is_quiet = (30..40).contains(&second);
        push(second, RecordKind::Binary, if is_quiet { &[0] } else { &tick });
    }
    push(120, RecordKind::Event, br#"{"event":"clock_stepped","by_ms":60000}"#);
    push(120, RecordKind::Binary, &tick);
    recorder.finish().expect("a whole tape");
}

#[test]
fn silences_and_clock_steps_are_listed_and_change_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    record(directory.path());
    let at = |second: u64| OPENING + second * SECOND;
    let silence = |kind: &str, from, to| {
        json!({
            "account": 0, "connection": 1, "kind": kind,
            "from_unix_ns": at(from), "to_unix_ns": at(to),
        })
    };
    let silences = json!([silence("no_frames", 9, 18), silence("no_ticks", 29, 40)]);
    let steps = json!([{"at_unix_ns": at(120), "by_ms": 60_000}]);

    let ended = inspect(directory.path(), &["--json"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let report = ended.json();
    assert_eq!((&report["silences"], &report["clock_steps"]), (&silences, &steps));
    assert_eq!(report["damaged"], false);
    let ended = inspect(directory.path(), &[]);
    assert!(ended.out.contains("2 silences, 20.0 s in total"), "{ended:?}");
    let longest = "09:15:29.000 to 09:15:40.000 IST    11.0 s  account 1 connection 2: no ticks";
    assert!(ended.out.contains(longest), "{ended:?}");
    assert!(ended.out.contains("the clock was set forward by 1 min 00 s"), "{ended:?}");

    let (to, events) = (directory.path().join("day.csv"), directory.path().join("events.csv"));
    let ended = export(directory.path(), &to, &["--json", "--events", text(&events)]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let report = ended.json();
    assert_eq!((&report["silences"], &report["clock_steps"]), (&silences, &steps));
    assert_eq!(report["complete"], true);
    let events = std::fs::read_to_string(&events).expect("the events");
    let rows: Vec<_> = events.lines().filter(|line| line.contains(",silence,")).collect();
    assert_eq!(
        rows[0],
        "2026-11-23T03:45:18.000000000Z,0,1,silence,no_frames,\
         2026-11-23T03:45:09.000000000Z,2026-11-23T03:45:18.000000000Z,,"
    );
    assert_eq!(rows.len(), 2, "{events}");

    // Only those that overlap the chosen times.
    let ended = inspect(directory.path(), &["--json", "--from", "09:15:35"]);
    assert_eq!(ended.json()["silences"], json!([]), "{ended:?}");
    let ended = inspect(directory.path(), &["--json", "--until", "09:15:15"]);
    assert_eq!(ended.json()["silences"], json!([silences[0]]), "{ended:?}");
    let ended = inspect(directory.path(), &["--json", "--quiet-after", "10s"]);
    assert_eq!(ended.json()["silences"], json!([silences[1]]), "{ended:?}");
    assert_eq!(inspect(directory.path(), &["--quiet-after", "0s"]).code, Some(2));
}

#[test]
fn the_recorder_finds_the_silences_that_are_found_on_its_tape() {
    let directory = tempfile::tempdir().expect("a directory");
    let quiet = ["--json", "--quiet-after", "20ms"];
    let recorded = run(&mut kite(
        &[
            &["record", "--sim", "--rate", "1", "--for", "2s", "--to", text(directory.path())],
            &quiet[..],
        ]
        .concat(),
    ));
    assert_eq!(recorded.code, Some(0), "{recorded:?}");
    let found = |outcome: &Outcome| -> Value { outcome.json()["silences"].clone() };
    let silences = found(&recorded);
    assert!(silences.as_array().is_some_and(|it| !it.is_empty()), "{recorded:?}");
    assert_eq!(silences, found(&inspect(directory.path(), &quiet)));
    let to = directory.path().join("day.csv");
    assert_eq!(silences, found(&export(directory.path(), &to, &quiet)));
}
