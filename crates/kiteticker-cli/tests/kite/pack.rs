//! `kite pack`: packed tapes, as the other commands read them.

use std::fs;
use std::path::{Path, PathBuf};

use kite_tape::TapeFile;
use serde_json::json;

use crate::process::{Outcome, Running, kite, run};
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

/// Returns the unfinished new tapes in a directory.
fn parts(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).expect("a directory").flatten().map(|it| it.path());
    files.filter(|it| it.extension().is_some_and(|it| it == "part")).collect()
}

#[test]
fn a_killed_command_leaves_the_original_or_the_packed_tape() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 5_000);
    let original = fs::read(&path).expect("the file");
    assert_eq!(pack(&path, &[]).code, Some(0));
    let packed = fs::read(&path).expect("the file");
    for round in 0..20 {
        // How far the command is when it is killed: at its start, with a new tape that is begun or
        // complete, or with one that has its name.
        let stage = round % 4;
        fs::write(&path, &original).expect("the file");
        let begun_before = parts(directory.path());
        let packing = Running::start(kite(&["pack", text(&path)]));
        packing.wait_until(|| {
            let is_packed = fs::read(&path).is_ok_and(|found| found == packed);
            let part = parts(directory.path()).into_iter().find(|it| !begun_before.contains(it));
            let len = part.map(|it| it.metadata().map_or(0, |it| it.len()));
            is_packed
                || match stage {
                    0 => true,
                    1 => len.is_some(),
                    2 => len == Some(packed.len() as u64),
                    _ => false,
                }
        });
        packing.signal("-KILL");
        let ended = packing.ended();
        let found = fs::read(&path).expect("the file");
        assert!(found == original || found == packed, "round {round}: {ended:?}");
        assert!(stage < 3 || found == packed, "round {round}: {ended:?}");
        assert!(parts(directory.path()).len() <= 1, "the one before was removed: {round}");
    }
    fs::write(&path, &original).expect("the file");
    assert_eq!(pack(directory.path(), &[]).code, Some(0));
    assert_eq!(fs::read(&path).expect("the file"), packed);
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "no other files");
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_packed_tape_keeps_the_original() {
    let directory = tempfile::tempdir().expect("a directory");
    // A note that no compression makes small.
    let mixed =
        |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let note: String = (1..200).map(|n| format!("{:016x}", mixed(n))).collect();
    let path = tape::write_noted(directory.path(), "day", 0, Some(&note));
    let original = fs::read(&path).expect("the file");
    let packed_to = directory.path().join("packed");
    // Each file can take 512 bytes, or 1,024 in some shells.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let limited = |more: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_kite"), "pack", "--json", text(&path)]);
        command.args(more).env_clear().env("HOME", "/nonexistent");
        run(command.stdout(std::process::Stdio::piped()))
    };
    for more in [&[][..], &["--to", text(&packed_to)]] {
        let ended = limited(more);
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{ended:?}");
        let is_clear = ended.err.contains("cannot pack ") && ended.err.contains("File too large");
        assert!(is_clear, "{ended:?}");
        assert_eq!(fs::read(&path).expect("the file"), original);
        assert_eq!(parts(directory.path()), [] as [PathBuf; 0]);
    }
    assert_eq!(fs::read_dir(&packed_to).expect("a directory").count(), 0);
    assert_eq!(pack(&path, &[]).code, Some(0));
}

#[test]
fn commands_that_record_pack_what_an_earlier_run_has_left() {
    for recording in [
        &["record", "--sim", "--pack", "--to"][..],
        &["serve", "--sim", "--relay", "127.0.0.1:0", "--pack", "--record"],
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let to = text(directory.path());
        // Another number of instruments, so that the next recorder begins a new file.
        let first = ["record", "--sim", "--for", "1s", "--count", "2", "--json", "--to", to];
        let ended = run(&mut kite(&first));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let first = PathBuf::from(ended.json()["files"][0].as_str().expect("a path"));
        let running = Running::start(kite(&[recording, &[to]].concat()));
        running.wait_until(|| TapeFile::open(&first).is_ok_and(|it| it.is_packed()));
        running.interrupt();
        let ended = running.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let found = run(&mut kite(&["inspect", "--verify", to]));
        assert_eq!(found.code, Some(0), "{found:?}");
    }
}
