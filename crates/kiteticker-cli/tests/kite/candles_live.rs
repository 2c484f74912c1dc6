//! `kite candles --live`: bars of a running feed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::candles::write;
use crate::process::{Running, kite, run};

#[test]
fn bars_of_a_replay_are_those_of_its_tape() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let tapes = directory.path().to_str().expect("UTF-8");
    let batch = run(&mut kite(&["candles", tapes]));
    let live = run(&mut kite(&["candles", "--live", "--replay", tapes, "--speed", "max"]));
    assert_eq!((batch.code, live.code), (Some(0), Some(0)), "{live:?}");
    let mut last = BTreeMap::new();
    let mut corrections = 0;
    for line in live.out.lines() {
        let (bar, state) = line.rsplit_once(',').expect("a state");
        let key: Vec<&str> = bar.splitn(3, ',').take(2).collect();
        let before = last.insert(key.join(","), bar.to_owned());
        assert_eq!(before.is_some(), state == "corrected", "{line}");
        corrections += usize::from(before.is_some());
    }
    let recorded: BTreeMap<String, String> = batch
        .out
        .lines()
        .map(|bar| (bar.splitn(3, ',').take(2).collect::<Vec<_>>().join(","), bar.to_owned()))
        .collect();
    // The tape ends in the last minute of both instruments.
    assert_eq!(recorded.len() - last.len(), 2, "{live:?}");
    for (key, bar) in &last {
        assert_eq!(Some(bar), recorded.get(key));
    }
    assert!(live.err.contains("2 bars had not ended: NSE:INFY 09:34:00 (1m), "), "{live:?}");
    let said = format!("78 bars, {corrections} correction");
    assert!(corrections == 0 || live.err.contains(&said), "{live:?}");
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
    ] {
        let ended = run(&mut kite(&[&["candles"], line].concat()));
        assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
        assert!(ended.err.contains(text), "{line:?}: {ended:?}");
    }
}
