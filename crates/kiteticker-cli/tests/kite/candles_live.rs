//! `kite candles --live`: bars of a running feed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::candles::write;
use crate::process::{Outcome, Running, kite, run};

/// Makes the bars of a replay, and returns their last states by length, start and instrument.
fn replayed(tapes: &str, more: &[&str]) -> (Outcome, BTreeMap<String, String>) {
    let line = ["candles", "--live", "--replay", tapes, "--speed", "max"];
    let live = run(&mut kite(&[&line[..], more].concat()));
    let mut last = BTreeMap::new();
    for line in live.out.lines() {
        let (bar, state) = line.rsplit_once(',').expect("a state");
        let before = last.insert(key(bar), bar.to_owned());
        assert_eq!(before.is_some(), state == "corrected", "{line}");
    }
    (live, last)
}

/// Returns the columns that name a bar, which are two or, with several lengths, three.
fn key(bar: &str) -> String {
    bar.split(',').take_while(|it| it.parse::<u32>().is_err()).collect::<Vec<_>>().join(",")
}

#[test]
fn bars_of_a_replay_are_those_of_its_tape() {
    let directory = tempfile::tempdir().expect("a directory");
    let tape = write(directory.path());
    let tapes = directory.path().to_str().expect("UTF-8");
    let hours = directory.path().join("hours");
    std::fs::write(&hours, "NSE 09:17-09:30\n").expect("a file");
    let hours = hours.to_str().expect("UTF-8");
    let same = |more: &[&str]| {
        let batch = run(&mut kite(&[&["candles", tapes], more].concat()));
        let (live, last) = replayed(tapes, more);
        assert_eq!(live.code, batch.code, "{more:?}: {live:?} {batch:?}");
        let recorded = batch.out.lines().map(|bar| (key(bar), bar.to_owned())).collect();
        assert_eq!(last, recorded, "{more:?}: {live:?}");
        assert!(last.len() > 4 && !live.err.contains("had not ended"), "{more:?}: {live:?}");
    };
    let cases: [&[&str]; 6] = [
        &[],
        &["--every", "15s,1h,1d"],
        &["--from", "09:18:30", "--until", "09:26"],
        &["--every", "15s,1d", "--day", "2026-11-24", "--from", "09:20"],
        &["--fill", "--every", "5s", "--until", "09:17"],
        &["--sessions", hours, "--from", "09:18:30"],
    ];
    cases.iter().for_each(|more| same(more));

    let mut bytes = std::fs::read(&tape).expect("a tape");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 200].fill(0xa5);
    std::fs::write(&tape, bytes).expect("a file");
    cases.iter().for_each(|more| same(more));
}

#[test]
fn a_feed_without_a_bar_is_a_finding() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let tapes = directory.path().to_str().expect("UTF-8");
    let (ended, _) = replayed(tapes, &["--format", "table", "NSE:TCS"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("no tick of NSE:TCS is on the tapes"), "{ended:?}");
    assert!(ended.err.contains("no bar was made"), "{ended:?}");
    let hours = directory.path().join("hours");
    std::fs::write(&hours, "all closed\n").expect("a file");
    let hours = hours.to_str().expect("UTF-8");
    let line = ["candles", "--live", "--sim", "NSE:INFY", "--for", "1s", "--sessions", hours];
    let ended = run(&mut kite(&line));
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("no bar was made"), "{ended:?}");
}

#[test]
fn each_bar_is_printed_as_it_ends_and_the_last_is_reported() {
    let line = ["candles", "--live", "--sim", "--rate", "20", "NSE:INFY", "--every", "1s,1d"];
    let mut running = Running::start(kite(&[&line[..], &["--format", "jsonl"]].concat()));
    for _ in 0..2 {
        let bar: Value = serde_json::from_str(&running.line()).expect("JSON");
        assert_eq!((&bar["symbol"], &bar["state"]), (&"NSE:INFY".into(), &"ended".into()));
        assert_eq!(bar["every"], "1s");
        assert!(bar["volume"].as_u64() > Some(0), "{bar}");
    }
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("had not ended: ") && ended.err.contains("(1d)"), "{ended:?}");
    assert!(ended.err.contains("packets"), "{ended:?}");
}

#[test]
fn options_of_tapes_and_of_feeds_are_not_mixed() {
    for (line, text) in [
        (&["--sim", "tapes"][..], "--sim needs --live"),
        (&["tapes", "--endpoint", "ws://127.0.0.1:1"], "--endpoint needs --live"),
        (&["--live", "--sim", "--to", "bars.csv"], "cannot be used with"),
        (&["--live", "--sim", "--instruments", "NSE:INFY"], "cannot be used with"),
        (&["--live", "--sim", "--format", "parquet"], "not written as Parquet"),
        (&["--live", "--sim", "--from", "09:15"], "with --live it needs --replay"),
        (&["--live", "--sim", "--every", "1m,1m"], "names 1m twice"),
        (&["--mode", "ltp", "tapes"], "--live"),
        (&["--live", "day.ktape"], "day.ktape is no instrument"),
    ] {
        let ended = run(&mut kite(&[&["candles"], line].concat()));
        assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
        assert!(ended.err.contains(text), "{line:?}: {ended:?}");
    }
}
