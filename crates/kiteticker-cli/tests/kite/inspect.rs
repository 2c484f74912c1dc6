//! `kite inspect` on tapes whose contents are known.

use std::path::Path;

use crate::process::{Ended, kite, run};
use crate::tape::{self, FRAMES};

fn inspect(path: &Path, more: &[&str]) -> Ended {
    let path = path.to_str().expect("UTF-8");
    run(&mut kite(&[&["inspect", path], more].concat()))
}

#[test]
fn everything_on_a_tape_is_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let ended = inspect(directory.path(), &["--json"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let said = ended.json();
    assert_eq!(said["frames"], FRAMES);
    assert_eq!(said["ticks"], 2 * FRAMES);
    assert_eq!((&said["heartbeats"], &said["instruments"]), (&1.into(), &2.into()));
    assert_eq!(said["records"]["binary"], FRAMES + 1);
    assert_eq!((&said["records"]["text"], &said["records"]["gap"]), (&1.into(), &1.into()));
    assert_eq!(said["span"]["from"], "2026-11-23T09:15:00.000+05:30");
    assert_eq!(said["span"]["to"], "2026-11-23T09:15:09.000+05:30");
    assert_eq!(said["gaps"][0]["reason"], "disconnected");
    assert_eq!(said["busiest"][0]["name"], "NSE:INFY");
    assert_eq!(said["damaged"], false);
}

#[test]
fn people_read_both_clocks_the_gap_and_a_chart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let ended = inspect(&path, &["--ascii"]);
    assert_eq!(ended.code, Some(0));
    for part in [
        "2026-11-23 09:15:00.000 to 2026-11-23 09:15:09.000 IST, 9.0 s",
        "2026-11-23 03:45:00.000 to 2026-11-23 03:45:09.000 UTC",
        "20, 2.2 a second",
        "NSE:INFY (408065)",
        "09:15:06.000 to 09:15:09.000 IST",
        "disconnected: frames not known",
        "|##########",
        "09:15:09 IST",
        "whole all 13 records can be read",
    ] {
        assert!(ended.out.contains(part), "{part:?} is not in:\n{}", ended.out);
    }
    assert!(ended.out.is_ascii(), "{}", ended.out);
}

#[test]
fn a_flipped_bit_is_found_with_its_place_and_status_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let mut bytes = std::fs::read(&path).expect("the file");
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("the file");
    let ended = inspect(&path, &["--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.json();
    assert_eq!(said["damaged"], true);
    let offset = said["damages"][0]["offset"].as_u64().expect("an offset");
    assert!(offset <= at as u64 && offset > 0, "{said}");
    let ended = inspect(&path, &["--verify"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains(&format!("damaged at byte {offset}")), "{ended:?}");
}

#[test]
fn what_is_no_tape_is_status_three_and_says_where() {
    let directory = tempfile::tempdir().expect("a directory");
    let foreign = directory.path().join("foreign.ktape");
    for (bytes, says) in
        [(&b""[..], "empty"), (b"not a tape at all, but a text of a file", "foreign")]
    {
        std::fs::write(&foreign, bytes).expect("a file");
        let ended = inspect(&foreign, &[]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{says}");
        assert!(ended.err.contains("foreign.ktape") && ended.err.contains("help: "), "{ended:?}");
    }
    let ended = inspect(&directory.path().join("nothing"), &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
}
