//! Tapes that are reached in several ways, and files that are not tapes.

use std::path::Path;

use serde_json::json;

use crate::process::{Outcome, kite, run};
use crate::tape::{self, FRAMES, OPENING, SECOND};

fn with_tapes(command: &[&str], tapes: &[&Path]) -> Outcome {
    let tapes: Vec<&str> = tapes.iter().map(|path| path.to_str().expect("UTF-8")).collect();
    run(&mut kite(&[command, &tapes].concat()))
}

const EXPORT: [&str; 5] = ["export", "--to", "-", "--format", "jsonl"];
const REPLAY: [&str; 4] = ["replay", "--stdout", "--speed", "max"];

#[test]
fn a_tape_reached_in_several_ways_is_read_once_by_every_command() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let copy = directory.path().join("a-copy.ktape");
    std::fs::copy(&path, &copy).expect("a copy");
    let tapes = [directory.path(), path.as_path()];
    for command in [&EXPORT[..], &REPLAY] {
        let ended = with_tapes(command, &tapes);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.out.lines().count() as u64, 2 * FRAMES, "{command:?}");
        let said = format!("day.ktape is the same tape as {}; read once", copy.display());
        assert_eq!(ended.err.matches(&said).count(), 2, "{ended:?}");
    }
    let ended = with_tapes(&["inspect", "--json"], &tapes);
    assert_eq!((ended.code, &ended.json()["ticks"]), (Some(0), &json!(2 * FRAMES)), "{ended:?}");
    let passed_over = ended.json()["passed_over"].clone();
    assert_eq!(passed_over.as_array().map(Vec::len), Some(2), "{passed_over}");
    assert_eq!(passed_over[0]["path"], path.to_str().expect("UTF-8"));
    assert_eq!(passed_over[0]["damaged"], false);
}

#[test]
fn a_tape_named_twice_is_not_called_a_copy_of_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let ended = with_tapes(&["inspect", "--verify"], &[&path, &path]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("day.ktape is named twice; read once"), "{ended:?}");
}

#[test]
fn a_foreign_file_in_a_directory_is_a_finding_and_the_tapes_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let foreign = directory.path().join("notes.ktape");
    std::fs::write(&foreign, "not a tape at all, but a text file").expect("a file");
    for command in [&EXPORT[..], &REPLAY] {
        let ended = with_tapes(command, &[directory.path()]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.out.lines().count() as u64, 2 * FRAMES, "{command:?}");
        let warning = "warning: skipped: ";
        assert!(ended.err.contains(warning) && ended.err.contains("notes.ktape"), "{ended:?}");
    }
    let recorded = directory.path().join("recorded");
    let to = recorded.to_str().expect("UTF-8");
    let record = ["record", "--to", to, "--speed", "max", "--json", "--replay"];
    let ended = with_tapes(&record, &[directory.path()]);
    assert_eq!((ended.code, &ended.json()["ticks"]), (Some(1), &json!(2 * FRAMES)), "{ended:?}");
    assert_eq!(ended.err.matches("notes.ktape").count(), 1, "{ended:?}");
    let to = directory.path().join("day.csv");
    let ended =
        with_tapes(&["export", "--json", "--to", to.to_str().expect("UTF-8")], &[directory.path()]);
    let report = ended.json();
    assert_eq!((&report["unreadable_files"], &report["complete"]), (&json!(1), &json!(false)));
    let ended = with_tapes(&["inspect"], &[directory.path()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!ended.out.contains("complete") && ended.out.contains("notes.ktape"), "{ended:?}");
    assert!(ended.out.contains("read, no records lost, 1 file skipped"), "{ended:?}");
    let ended = with_tapes(&["inspect", "--verify"], &[directory.path()]);
    let said = [ended.out.as_str(), &ended.err].concat();
    assert_eq!((ended.code, said.matches("notes.ktape").count()), (Some(1), 1), "{ended:?}");
    assert!(ended.out.contains("not a tape\n"), "{ended:?}");
}

#[test]
fn a_tape_with_a_flipped_bit_in_its_header_is_read_and_is_a_finding() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let mut bytes = std::fs::read(&path).expect("the file");
    bytes[25] ^= 1;
    std::fs::write(&path, bytes).expect("the file");
    let ended = with_tapes(&EXPORT, &[&path]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.out.lines().count() as u64, 2 * FRAMES);
    let ended = with_tapes(&["inspect", "--json"], &[&path]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!((&report["ticks"], &report["records_lost"]), (&json!(2 * FRAMES), &json!(0)));
    assert_eq!(report["damages"][0]["offset"], 0);
    let ended = with_tapes(&["inspect", "--verify"], &[&path]);
    assert!(ended.out.contains("read, no records lost\n"), "{ended:?}");
    let to = directory.path().join("repaired");
    let ended = with_tapes(&["repair", "--to", to.to_str().expect("UTF-8")], &[&path]);
    assert!(ended.err.contains("1 damaged place on the tapes: no records lost"), "{ended:?}");
}

#[test]
fn the_records_lost_with_the_end_of_a_tape_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    // The last frame but one and all that follows: it, another, a heartbeat, a text and a gap.
    let bytes = std::fs::read(&path).expect("the file");
    let lost = 5;
    let len = bytes.len() - (24 + 32) - (24 + 2) - (24 + 1) - 2 * (24 + 22) + 10;
    std::fs::write(&path, &bytes[..len]).expect("the file");
    let ended = with_tapes(&["inspect", "--json"], &[&path]);
    assert_eq!((ended.code, &ended.json()["records_lost"]), (Some(1), &json!(lost)), "{ended:?}");
    let ended = with_tapes(&["inspect", "--verify"], &[&path]);
    assert!(ended.out.contains(&format!("8 records read, {lost} records lost")), "{ended:?}");
    for command in ["repair", "cut"] {
        let to = directory.path().join(command);
        let line = [command, "--json", "--to", to.to_str().expect("UTF-8")];
        let ended = with_tapes(&line, &[&path]);
        let report = ended.json();
        assert_eq!((ended.code, &report["records_lost"]), (Some(1), &json!(lost)), "{ended:?}");
        assert!(ended.err.contains(&format!("place on the tapes: {lost} records lost")));
    }
}

#[test]
fn damage_has_the_times_of_the_records_around_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let mut bytes = std::fs::read(&path).expect("the file");
    // The last byte of the third frame: header of the tape and of the block, records of 24 bytes
    // and frames of 22.
    bytes[40 + 2 + 64 + 3 * (24 + 22) - 1] ^= 1;
    std::fs::write(&path, bytes).expect("the file");
    let around = [OPENING + SECOND, OPENING + 3 * SECOND];
    let ended = with_tapes(&["inspect", "--json"], &[&path]);
    let damage = ended.json()["damages"][0].clone();
    assert_eq!(
        [&damage["from_unix_ns"], &damage["to_unix_ns"]],
        around.map(|it| json!(it)).each_ref()
    );
    let events = directory.path().join("events.jsonl");
    let to = directory.path().join("day.jsonl");
    let [events_name, to] = [&events, &to].map(|path| path.to_str().expect("UTF-8"));
    let ended = with_tapes(&["export", "--to", to, "--events", events_name], &[&path]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let events = std::fs::read_to_string(&events).expect("the events");
    let line = events.lines().find(|line| line.contains("damage")).expect("the damage");
    let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(row["from_time"], "2026-11-23T03:45:01.000000000Z");
    assert_eq!(row["to_time"], "2026-11-23T03:45:03.000000000Z");
    assert_eq!(row["recv_time"], json!(null));
    // Damage outside the chosen times does not concern them.
    let ended = with_tapes(&[&EXPORT[..], &["--from", "09:15:05"]].concat(), &[&path]);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 10), "{ended:?}");
}
