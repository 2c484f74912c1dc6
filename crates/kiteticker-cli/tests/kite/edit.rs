//! `kite repair`, `kite cut` and `kite merge`: the new tapes, as the other commands read them.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::process::{Outcome, kite, run};
use crate::tape::{self, FRAMES, OPENING, SECOND};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn edit(command: &str, tapes: &[&Path], to: &Path, more: &[&str]) -> Outcome {
    let tapes: Vec<&str> = tapes.iter().map(|path| text(path)).collect();
    run(&mut kite(&[&[command, "--to", text(to), "--json"], more, &tapes].concat()))
}

fn rows(tapes: &Path, more: &[&str]) -> String {
    let ended =
        run(&mut kite(&[&["export", text(tapes), "--to", "-", "--format", "csv"], more].concat()));
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    ended.out
}

fn inspected(tapes: &Path) -> serde_json::Value {
    let ended = run(&mut kite(&["inspect", "--json", text(tapes)]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.json()
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(files) = std::fs::read_dir(directory) else { return Vec::new() };
    files.map(|file| file.expect("a file").path()).collect()
}

#[test]
fn a_repaired_tape_has_what_can_be_read_and_a_gap_for_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let mut bytes = std::fs::read(&path).expect("the file");
    // In the file header, and in the third frame: records have 24 bytes and frames 22.
    bytes[30] ^= 1;
    bytes[40 + 2 + 64 + 3 * (24 + 22) - 1] ^= 1;
    std::fs::write(&path, &bytes).expect("the file");
    let to = directory.path().join("repaired");
    let ended = edit("repair", &[&path], &to, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("2 damaged places"), "{ended:?}");
    let report = ended.json();
    assert_eq!((&report["records_lost"], &report["whole"]), (&json!(1), &json!(false)));
    assert_eq!(report["files"], json!([text(&to.join("day.ktape"))]));
    assert_eq!(std::fs::read(&path).expect("the file"), bytes, "the tape itself is unchanged");
    let found = inspected(&to);
    assert_eq!((&found["ticks"], &found["damaged"]), (&json!(2 * FRAMES - 2), &json!(false)));
    assert_eq!(found["gaps"][0]["reason"], "damaged");
    assert_eq!(found["gaps"][0]["from_unix_ns"], OPENING + SECOND);
    assert_eq!(found["gaps"][0]["to_unix_ns"], OPENING + 3 * SECOND);
    assert_eq!(rows(&to, &[]), rows(&path, &[]));
    // The file is not replaced.
    let ended = edit("repair", &[&path], &to, &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("day.ktape exists") && ended.err.contains("help: "), "{ended:?}");
}

#[test]
fn a_cut_tape_has_the_chosen_times_and_instruments() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    for (number, part) in [
        &["--from", "09:15:02", "--until", "09:15:05"][..],
        &["--day", "2026-11-23", "--until", "2026-11-23T09:15:04"],
        &["--instruments", "NSE:RELIANCE", "--from", "09:15:03"],
    ]
    .into_iter()
    .enumerate()
    {
        let to = directory.path().join(format!("cut-{number}"));
        let ended = edit("cut", &[&path], &to, part);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{part:?}");
        let cut = rows(&to, &[]);
        assert_eq!(cut, rows(&path, part), "{part:?}");
        assert!(cut.lines().count() > 5);
        let report = ended.json();
        let count = |key: &str| report[key].as_u64().expect("a count");
        assert_eq!(count("records") + count("records_left_out"), FRAMES + 3, "{part:?}");
    }
    let gaps = inspected(&directory.path().join("cut-2"))["gaps"].clone();
    assert_eq!(gaps, inspected(&path)["gaps"]);
    let to = directory.path().join("nothing");
    let ended = edit("cut", &[&path], &to, &["--from", "10:00"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("nothing is left"), "{ended:?}");
    assert_eq!(files_in(&to), [] as [PathBuf; 0]);
    let to = directory.path().join("unseen");
    let ended = edit("cut", &[&path], &to, &["--instruments", "NSE:RELIANCE,999424"]);
    assert_eq!((ended.code, &ended.json()["unseen"]), (Some(1), &json!([999_424])), "{ended:?}");
    assert_eq!(ended.err, "warning: no tick of 999424 is on the new tapes\n");
    let ended = edit("cut", &[&path], &to, &["--day", "2026-11-24"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn the_time_between_the_windows_of_a_cut_is_not_a_silence() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    tape::write_day(directory.path(), "later", 1);
    let to = directory.path().join("cut");
    let ended = edit("cut", &[directory.path()], &to, &["--until", "09:15:05"]);
    assert_eq!(ended.json()["files"].as_array().map(Vec::len), Some(2), "{ended:?}");
    let found = inspected(&to);
    assert_eq!((&found["ticks"], &found["silences"]), (&json!(20), &json!([])));
}

#[test]
fn the_parts_of_a_tape_merge_to_the_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let [early, late, whole] = ["early", "late", "whole"].map(|name| directory.path().join(name));
    edit("cut", &[&path], &early, &["--until", "09:15:05"]);
    edit("cut", &[&path], &late, &["--from", "09:15:05"]);
    let ended = edit("merge", &[&early, &late], &whole, &[]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(ended.json()["records_filled"].as_u64(), Some(FRAMES / 2 + 3));
    let found = inspected(&whole);
    let original = inspected(&path);
    for key in ["ticks", "frames", "heartbeats", "span", "instruments"] {
        assert_eq!(found[key], original[key], "{key}");
    }
    let accounts: Vec<_> =
        found["sources"].as_array().expect("sources").iter().map(|it| &it["account"]).collect();
    assert_eq!(accounts, [0, 1].map(|it| json!(it)).iter().collect::<Vec<_>>());
    let ended = edit("merge", &[&path, &path], &directory.path().join("same"), &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("same tape"), "{ended:?}");
}

#[test]
fn the_time_that_neither_of_two_merged_recordings_has_is_a_gap() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let [early, late] = ["early", "late"].map(|name| directory.path().join(name));
    edit("cut", &[&path], &early, &["--until", "09:15:02"]);
    edit("cut", &[&path], &late, &["--from", "09:15:09"]);
    for (name, parts) in [("forward", [&early, &late]), ("backward", [&late, &early])] {
        let whole = directory.path().join(name);
        let ended = edit("merge", &parts.map(PathBuf::as_path), &whole, &[]);
        assert_eq!((ended.code, &ended.json()["gaps_added"]), (Some(0), &json!(1)), "{ended:?}");
        let found = inspected(&whole);
        assert_eq!(found["silences"], json!([]), "{name}");
        let gap = &found["gaps"][0];
        assert_eq!(gap["reason"], "recorder_stopped", "{name}");
        let span = [&gap["from_unix_ns"], &gap["to_unix_ns"]];
        let expected = [OPENING + SECOND, OPENING + 9 * SECOND].map(|it| json!(it));
        assert_eq!(span, expected.each_ref(), "{name}");
    }
}
