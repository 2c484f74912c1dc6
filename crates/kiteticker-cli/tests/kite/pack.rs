//! `kite pack`: packed tapes, as the other commands read them.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::process::{Outcome, kite, run};
use crate::tape;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn pack(tapes: &Path, more: &[&str]) -> Outcome {
    run(&mut kite(&[&["pack", "--json", text(tapes)], more].concat()))
}

/// What other commands print of a tape.
fn seen(tapes: &Path) -> [String; 2] {
    let export = run(&mut kite(&["export", text(tapes), "--to", "-", "--format", "csv"]));
    let mut inspected = run(&mut kite(&["inspect", "--json", text(tapes)])).json();
    // Only the sizes of the files differ.
    let report = inspected.as_object_mut().expect("an object");
    report.retain(|key, _| !key.contains("bytes") && key != "files");
    [export.out, inspected.to_string()]
}

#[test]
fn packed_tapes_replace_their_originals_and_all_commands_read_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 20_000);
    tape::write(directory.path());
    let before = (seen(directory.path()), fs::metadata(&path).expect("the file").len());
    let ended = pack(directory.path(), &[]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["tapes"].as_array().map(Vec::len), Some(2), "{report}");
    assert!(fs::metadata(&path).expect("the file").len() * 4 < before.1, "{report}");
    assert_eq!(seen(directory.path()), before.0);
    let verified = run(&mut kite(&["inspect", "--verify", text(directory.path())]));
    assert_eq!(verified.code, Some(0), "{verified:?}");

    // A second run has nothing to do.
    let report = pack(directory.path(), &[]).json();
    assert_eq!((&report["tapes"], &report["done_before"]), (&json!([]), &json!(2)));
    let ended = pack(directory.path(), &["--undo"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(seen(directory.path()), before.0);
    assert_eq!(pack(directory.path(), &["--undo"]).json()["done_before"], 2);
    let left: Vec<_> = fs::read_dir(directory.path()).expect("a directory").collect();
    assert_eq!(left.len(), 2, "no other files");
}

#[test]
fn a_directory_for_packed_tapes_is_created_and_gone_on_with() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 5_000);
    let original = fs::read(&path).expect("the file");
    let to = directory.path().join("new").join("packed");
    let ended = pack(&path, &["--to", text(&to)]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let new = to.join(path.file_name().expect("a name"));
    assert_eq!(ended.json()["tapes"][0]["path"], text(&new));
    assert_eq!(seen(&new), seen(&path));
    assert_eq!(fs::read(&path).expect("the file"), original);
    assert_eq!(pack(&path, &["--to", text(&to)]).json()["done_before"], 1);

    // Named beside its original, it is read once.
    let both = run(&mut kite(&["inspect", "--json", text(&path), text(&new)]));
    assert_eq!(both.json()["ticks"], 10_000, "{both:?}");

    // Another file of the name is not replaced.
    fs::write(&new, "mine").expect("the file");
    let ended = pack(&path, &["--to", text(&to)]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("exists") && ended.err.contains("help: "), "{ended:?}");
    assert_eq!(fs::read(&new).expect("the file"), b"mine");
}

#[test]
fn a_damaged_tape_is_refused_and_the_others_are_packed() {
    let directory = tempfile::tempdir().expect("a directory");
    let damaged = tape::write(directory.path());
    let mut bytes = fs::read(&damaged).expect("the file");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&damaged, &bytes).expect("the file");
    tape::write_long(directory.path(), 5_000);
    let ended = pack(directory.path(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("day.ktape") && ended.err.contains("repair"), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["tapes"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(fs::read(&damaged).expect("the file"), bytes);
}
