//! `kite export`, and `kite replay --stdout`, which prints the same rows.

use std::path::Path;

use serde_json::Value;

use crate::process::{Outcome, Running, kite, run};
use crate::tape::{self, FRAMES};

const ROWS: u64 = 2 * FRAMES;

fn export(tapes: &Path, to: &Path, more: &[&str]) -> Outcome {
    let (tapes, to) = (tapes.to_str().expect("UTF-8"), to.to_str().expect("UTF-8"));
    run(&mut kite(&[&["export", tapes, "--to", to], more].concat()))
}

#[test]
fn every_tick_becomes_a_row_of_each_format() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    for name in ["day.parquet", "day.csv", "day.jsonl"] {
        let to = directory.path().join(name);
        let ended = export(directory.path(), &to, &["--json"]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{name}");
        let report = ended.json();
        assert_eq!((&report["rows"], &report["gaps"]), (&ROWS.into(), &1.into()), "{name}");
        assert_eq!(report["bytes"].as_u64(), std::fs::metadata(&to).ok().map(|file| file.len()));
    }
    let csv = std::fs::read_to_string(directory.path().join("day.csv")).expect("the file");
    assert_eq!(csv.lines().count() as u64, 1 + ROWS);
    let jsonl = std::fs::read_to_string(directory.path().join("day.jsonl")).expect("the file");
    let first: Value = serde_json::from_str(jsonl.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["recv_time"], "2026-11-23T03:45:00.000000000Z");
    assert_eq!((&first["symbol"], &first["last_price"]), (&"NSE:INFY".into(), &1000.0.into()));
}

#[test]
fn a_part_is_chosen_by_times_of_day_and_names() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let to = directory.path().join("part.csv");
    let part = ["--json", "--from", "09:15:02", "--until", "09:15:05", "--instruments", "INFY"];
    let ended = export(directory.path(), &to, &part);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.json()["rows"], 3);
}

#[test]
fn times_are_written_in_the_chosen_unit_and_zone() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let first = |more: &[&str]| {
        let ended =
            export(directory.path(), Path::new("-"), &[&["--format", "jsonl"], more].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let row = ended.out.lines().next().expect("a line").to_owned();
        let row: Value = serde_json::from_str(&row).expect("JSON");
        row["recv_time"].as_str().expect("a time").to_owned()
    };
    assert_eq!(first(&[]), "2026-11-23T03:45:00.000000000Z");
    assert_eq!(first(&["--times", "us"]), "2026-11-23T03:45:00.000000Z");
    assert_eq!(first(&["--time-zone", "ist"]), "2026-11-23T09:15:00.000000000+05:30");
    let ended = export(directory.path(), Path::new("-"), &["--times", "ms", "--format", "csv"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn every_line_of_json_has_every_key_from_whichever_command() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let tapes = directory.path().to_str().expect("UTF-8");
    let mut keys = Vec::new();
    for line in [
        &["export", tapes, "--to", "-", "--format", "jsonl"][..],
        &["replay", tapes, "--stdout", "--speed", "max"],
        &["watch", "--sim", "NSE:INFY", "--json"],
    ] {
        let mut command = Running::start(kite(line));
        let row: Value = serde_json::from_str(&command.line()).expect("JSON");
        let row = row.as_object().expect("an object");
        assert!(row.contains_key("ask_orders_5") && row.contains_key("oi"), "{row:?}");
        keys.push(row.keys().cloned().collect::<Vec<_>>());
    }
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
}

#[test]
fn a_partitioned_export_has_a_file_for_each_date_and_symbol() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let to = directory.path().join("ticks");
    let ended = export(directory.path(), &to, &["--partition-by", "date,symbol", "--json"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!((&ended.json()["rows"], &ended.json()["files"]), (&ROWS.into(), &2.into()));
    for symbol in ["INFY", "RELIANCE"] {
        let path = format!("date=2026-11-23/symbol=NSE%3A{symbol}/ticks.parquet");
        assert!(to.join(&path).is_file(), "{path}");
    }
    let again = export(directory.path(), &to, &["--partition-by", "date,symbol"]);
    assert_eq!(again.code, Some(3), "{again:?}");
    assert!(again.err.contains("--overwrite"), "{again:?}");
    let csv = ["--partition-by", "symbol", "--format", "csv"];
    let ended = export(directory.path(), &directory.path().join("csv"), &csv);
    assert!(ended.out.starts_with("20 rows, ") && ended.out.contains(", 2 files, "), "{ended:?}");
    let infy = directory.path().join("csv/symbol=NSE%3AINFY/ticks.csv");
    assert_eq!(std::fs::read_to_string(infy).expect("the file").lines().count(), 11);
}

#[test]
fn one_directory_holds_partitions_by_the_same_keys_only() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    for (first, other) in [("date,symbol", "date"), ("date", "date,symbol"), ("symbol", "date")] {
        let to = directory.path().join(first);
        assert_eq!(export(directory.path(), &to, &["--partition-by", first]).code, Some(0));
        let refused = export(directory.path(), &to, &["--partition-by", other, "--overwrite"]);
        assert_eq!(refused.code, Some(2), "{first}, {other}: {refused:?}");
        assert!(refused.err.contains("choose another directory"), "{refused:?}");
        let again = export(directory.path(), &to, &["--partition-by", first, "--overwrite"]);
        assert_eq!(again.code, Some(0), "{first}: {again:?}");
    }
}

#[test]
fn partitions_that_cannot_be_written_are_invalid_usage() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let to = directory.path().join("ticks");
    for (to, keys) in [(&*to, "date,date"), (&*to, "month"), (Path::new("-"), "date")] {
        let ended = export(directory.path(), to, &["--partition-by", keys, "--format", "csv"]);
        assert_eq!(ended.code, Some(2), "{keys}: {ended:?}");
        assert!(ended.err.contains("--partition-by"), "{ended:?}");
    }
    assert!(!to.exists());
}

#[test]
fn an_existing_file_is_replaced_only_with_overwrite() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let to = directory.path().join("day.csv");
    std::fs::write(&to, "mine").expect("a file");
    let ended = export(directory.path(), &to, &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let error =
        format!("error: {} already exists\nhelp: use --overwrite to replace it", to.display());
    assert!(ended.err.starts_with(&error), "{ended:?}");
    assert!(!ended.err.contains('`'), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&to).expect("the file"), "mine");
    let ended = export(directory.path(), &to, &["--overwrite"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("20 rows, "), "{ended:?}");
}

#[test]
fn a_file_name_without_a_format_is_invalid_usage() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let ended = export(directory.path(), Path::new("-"), &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("--format"), "{ended:?}");
}

#[test]
fn standard_output_holds_only_rows_and_may_be_closed() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let ended = export(directory.path(), Path::new("-"), &["--format", "jsonl"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out.lines().count() as u64, ROWS);
    assert!(ended.err.starts_with("20 rows, "), "{ended:?}");

    let tapes = directory.path().to_str().expect("UTF-8");
    for line in [
        &["export", tapes, "--to", "-", "--format", "csv"][..],
        &["replay", tapes, "--stdout", "--speed", "max"],
        &["inspect", tapes],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = run(kite(line).stdout(writer));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{line:?}");
    }
}

#[test]
fn a_replay_to_standard_output_prints_the_same_rows() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let tapes = directory.path().to_str().expect("UTF-8");
    let exported = export(directory.path(), Path::new("-"), &["--format", "jsonl"]);
    for speed in ["max", "1000"] {
        let replayed = run(&mut kite(&["replay", tapes, "--stdout", "--speed", speed]));
        assert_eq!((replayed.code, replayed.err.as_str()), (Some(0), "20 ticks\n"));
        assert_eq!(replayed.out, exported.out, "{speed}");
    }
}

#[test]
fn a_replay_to_standard_output_can_be_stopped_while_it_waits() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let tapes = directory.path().to_str().expect("UTF-8");
    // At a thousandth of the speed the second frame is due after a quarter of an hour.
    let mut replay = Running::start(kite(&["replay", tapes, "--stdout", "--speed", "0.001"]));
    assert!(replay.line().contains("NSE:INFY"));
    replay.interrupt();
    let ended = replay.ended();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn no_export_replaces_an_input_or_a_tape_under_any_of_its_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let day = tape::write(directory.path());
    let bytes = std::fs::read(&day).expect("the tape");
    std::fs::hard_link(&day, path("hard.csv")).expect("a link");
    std::os::unix::fs::symlink(&day, path("soft.csv")).expect("a link");
    std::fs::copy(&day, path("copy.csv")).expect("a copy");
    let list = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                tick_size,lot_size,instrument_type,segment,exchange\n\
                408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n";
    std::fs::write(path("list.csv"), list).expect("a list");
    let list_name = path("list.csv");
    let ticks = path("ticks.csv");
    for name in ["day.ktape", "hard.csv", "soft.csv", "copy.csv", "list.csv"] {
        let kept = std::fs::read(path(name)).expect("the file");
        for option in ["--to", "--events"] {
            let name = path(name);
            let mut to = vec!["--overwrite", "--format", "csv", "--instruments-file"];
            to.push(list_name.to_str().expect("UTF-8"));
            let ended = match option {
                "--to" => export(&day, &name, &to),
                _ => {
                    to.extend([option, name.to_str().expect("UTF-8")]);
                    export(&day, &ticks, &to)
                }
            };
            assert_eq!(ended.code, Some(2), "{option} {name:?}: {ended:?}");
            assert!(ended.err.contains("is not replaced"), "{ended:?}");
        }
        assert_eq!(std::fs::read(path(name)).expect("the file"), kept, "{name}");
    }
    assert_eq!(std::fs::read(&day).expect("the tape"), bytes);
    assert!(!ticks.exists());
}

#[test]
fn events_have_the_format_of_their_own_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let day = tape::write(directory.path());
    let events = directory.path().join("events.csv");
    let to = directory.path().join("day.parquet");
    let ended = export(&day, &to, &["--events", events.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(&events).expect("text");
    assert!(text.lines().any(|line| line.contains(",gap,")), "{text}");
    assert!(std::fs::read(&to).expect("the file").starts_with(b"PAR1"));
}

#[test]
fn a_token_that_is_on_no_tape_is_a_finding_with_a_warning() {
    let directory = tempfile::tempdir().expect("a directory");
    let day = tape::write(directory.path());
    let to = directory.path().join("part.csv");
    let ended = export(&day, &to, &["--instruments", "408065,5633", "--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("warning: no tick of 5633 was exported"), "{ended:?}");
    assert_eq!((&ended.json()["rows"], &ended.json()["unseen"][0]), (&10.into(), &5633.into()));
}
