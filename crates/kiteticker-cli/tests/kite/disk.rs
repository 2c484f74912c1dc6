//! `kite record` on a disk that fails, and with files that are removed under it.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::{Outcome, Running, kite, run};

/// Starts to record the simulator into a directory.
fn start(tapes: &Path, more: &[&str]) -> Running {
    let to = tapes.to_str().expect("UTF-8");
    let arguments = ["record", "--sim", "--rate", "50", "--json", "--to", to];
    Running::start(kite(&[&arguments, more].concat()))
}

fn inspect(tapes: &Path) -> Value {
    let ended = run(&mut kite(&["inspect", "--json", tapes.to_str().expect("UTF-8")]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.json()
}

/// Returns whether a directory has a tape longer than this.
fn has_tape(directory: &Path, len: u64) -> bool {
    let Ok(files) = fs::read_dir(directory) else { return false };
    let tapes = files.flatten().filter(|it| it.path().extension().is_some_and(|it| it == "ktape"));
    tapes.filter_map(|it| it.metadata().ok()).any(|metadata| metadata.len() > len)
}

/// Checks that the report counts what is on the tapes, and the gaps what is not.
fn check_report(ended: &Outcome, tapes: &Path) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let (report, found) = (ended.json(), inspect(tapes));
    assert_eq!((&report["frames"], &report["ticks"]), (&found["frames"], &found["ticks"]));
    let gaps = found["gaps"].as_array().expect("gaps");
    let failed = gaps.iter().filter(|gap| gap["reason"] == "write_failed");
    let lost: u64 = failed.map(|gap| gap["frames"].as_u64().expect("known")).sum();
    assert!(lost > 0, "{found}");
    assert_eq!(report["lost"].as_u64(), Some(lost), "{report} {found}");
    let is_said = ended.err.contains("lost; the tapes record them as gaps");
    let is_of_a_file = report["failures"] == report["files_lost"];
    assert!(is_said != is_of_a_file, "{ended:?}");
}

#[test]
fn a_removed_directory_is_created_again_and_its_tape_reported_as_lost() {
    let parent = tempfile::tempdir().expect("a directory");
    let tapes = parent.path().join("tapes");
    let recording = start(&tapes, &[]);
    recording.wait_until(|| has_tape(&tapes, 10_000));
    fs::remove_dir_all(&tapes).expect("removed");
    recording.wait_until(|| has_tape(&tapes, 10_000));
    recording.interrupt();
    let ended = recording.ended();
    check_report(&ended, &tapes);
    let warnings: Vec<&str> = ended.err.lines().filter(|it| it.starts_with("warning: ")).collect();
    assert!(matches!(&warnings[..], [one] if one.contains("was removed")), "{ended:?}");
    assert_eq!(ended.json()["files_lost"], 1, "{ended:?}");
}

#[test]
fn a_finished_file_that_was_deleted_is_listed_as_missing() {
    let parent = tempfile::tempdir().expect("a directory");
    let tapes = parent.path().join("tapes");
    let to = tapes.to_str().expect("UTF-8");
    let small = ["--zstd-level", "0", "--rotate-size", "64KiB", "--rate", "1000"];
    let arguments = ["record", "--sim", "--json", "--to", to];
    let recording = Running::start(kite(&[&arguments[..], &small].concat()));
    let tapes_now = || {
        let files = fs::read_dir(&tapes).into_iter().flatten().flatten().map(|it| it.path());
        let mut files: Vec<_> =
            files.filter(|it| it.extension().is_some_and(|it| it == "ktape")).collect();
        files.sort_by_key(|it| (it.as_os_str().len(), it.clone()));
        files
    };
    recording.wait_until(|| tapes_now().len() > 1);
    let first = tapes_now().remove(0);
    fs::remove_file(&first).expect("removed");
    recording.interrupt();
    let ended = recording.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (report, first) = (ended.json(), Value::from(first.to_str().expect("UTF-8")));
    assert_eq!(report["files_missing"], Value::from(vec![first.clone()]), "{ended:?}");
    assert!(!report["files"].as_array().expect("files").contains(&first), "{ended:?}");
}

#[test]
fn a_failure_is_reported_while_it_lasts_and_when_it_is_over() {
    let parent = tempfile::tempdir().expect("a directory");
    let tapes = parent.path().join("tapes");
    let recording = start(&tapes, &["--report-every", "100ms"]);
    recording.wait_until(|| has_tape(&tapes, 1_000));
    fs::remove_dir_all(&tapes).expect("removed");
    // Neither root nor others can create a directory in its place.
    while fs::write(&tapes, "").is_err() {
        fs::remove_dir_all(&tapes).expect("removed again");
    }
    recording.wait_until_error("lost so far");
    fs::remove_file(&tapes).expect("removed");
    recording.wait_until_error("writing works again after ");
    recording.interrupt();
    let ended = recording.ended();
    check_report(&ended, &tapes);
    assert!(ended.err.contains("warning: cannot write to "), "{ended:?}");
}

#[test]
fn a_recording_that_never_could_write_still_has_a_summary() {
    let parent = tempfile::tempdir().expect("a directory");
    let tapes = parent.path().join("tapes");
    let recording = start(&tapes, &["--quiet", "--report-every", "100ms"]);
    recording.wait_until(|| has_tape(&tapes, 0));
    fs::remove_dir_all(&tapes).expect("removed");
    while fs::write(&tapes, "").is_err() {
        fs::remove_dir_all(&tapes).expect("removed again");
    }
    recording.wait_until_error("lost so far");
    recording.interrupt();
    let ended = recording.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!((&report["frames"], &report["ticks"]), (&0.into(), &0.into()), "{report}");
    assert!(report["lost"].as_u64() > Some(0), "{report}");
    assert!(ended.err.contains("the end of the recording is not on the tapes"), "{ended:?}");
    assert!(!ended.err.contains("the tapes record them"), "{ended:?}");
}

#[test]
fn the_gap_of_a_disk_that_takes_no_block_is_on_the_tape() {
    let tapes = tempfile::tempdir().expect("a directory");
    // Each file can take 512 bytes, or 1,024 in some shells, which is less than a block of frames.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let to = tapes.path().to_str().expect("UTF-8");
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_kite"), "record", "--sim", "--rate", "50"]);
    command.args(["--zstd-level", "0", "--json", "--for", "3s", "--to", to]);
    command.env_clear().env("HOME", "/nonexistent").stdin(Stdio::null()).stdout(Stdio::piped());
    let ended = run(&mut command);
    check_report(&ended, tapes.path());
    assert_eq!(ended.json()["frames"], 0, "{ended:?}");
    assert!(ended.err.contains("warning: cannot write to "), "{ended:?}");
}

#[test]
fn a_line_of_progress_is_printed_without_a_terminal() {
    let tapes = tempfile::tempdir().expect("a directory");
    let recording = start(tapes.path(), &["--report-every", "100ms"]);
    recording.wait_until_error(" ticks, 1 of 1 connection up, 0 gaps, 0 lost frames, ");
    recording.interrupt();
    let ended = recording.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let quiet = start(tapes.path(), &["--report-every", "10ms", "--quiet", "--for", "500ms"]);
    let ended = quiet.ended();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
}
