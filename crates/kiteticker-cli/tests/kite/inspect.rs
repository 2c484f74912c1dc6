//! `kite inspect` on tapes whose contents are known.

use std::path::Path;

use crate::process::{Outcome, kite, run};
use crate::tape::{self, FRAMES};

fn inspect(path: &Path, more: &[&str]) -> Outcome {
    let path = path.to_str().expect("UTF-8");
    run(&mut kite(&[&["inspect", path], more].concat()))
}

#[test]
fn everything_on_a_tape_is_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    tape::write(directory.path());
    let ended = inspect(directory.path(), &["--json"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let report = ended.json();
    assert_eq!(report["frames"], FRAMES);
    assert_eq!(report["ticks"], 2 * FRAMES);
    assert_eq!((&report["heartbeats"], &report["instruments"]), (&1.into(), &2.into()));
    assert_eq!(report["records"]["binary"], FRAMES + 1);
    assert_eq!((&report["records"]["text"], &report["records"]["gap"]), (&1.into(), &1.into()));
    assert_eq!(report["span"]["from"], "2026-11-23T09:15:00.000+05:30");
    assert_eq!(report["span"]["to"], "2026-11-23T09:15:09.000+05:30");
    assert_eq!(report["gaps"][0]["reason"], "disconnected");
    assert_eq!(report["busiest"][0]["name"], "NSE:INFY");
    assert_eq!(report["damaged"], false);
}

#[test]
fn the_report_shows_both_time_zones_the_gap_and_a_chart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let ended = inspect(&path, &["--ascii"]);
    assert_eq!(ended.code, Some(0));
    for part in [
        "2026-11-23 09:15:00.000 to 2026-11-23 09:15:09.000 IST, 9.0 s",
        "2026-11-23 03:45:00.000 to 2026-11-23 03:45:09.000 UTC",
        "20, 2.2 per second",
        "NSE:INFY (408065)",
        "09:15:06.000 to 09:15:09.000 IST",
        "disconnected: unknown number of frames",
        "|##########",
        "09:15:09 IST",
        "complete all 13 records can be read",
    ] {
        assert!(ended.out.contains(part), "{part:?} is not in:\n{}", ended.out);
    }
    assert!(ended.out.is_ascii(), "{}", ended.out);
}

#[test]
fn a_flipped_bit_is_reported_with_its_offset_and_status_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let mut bytes = std::fs::read(&path).expect("the file");
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("the file");
    let ended = inspect(&path, &["--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["damaged"], true);
    let offset = report["damages"][0]["offset"].as_u64().expect("an offset");
    assert!(offset <= at as u64 && offset > 0, "{report}");
    let ended = inspect(&path, &["--verify"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains(&format!("damaged at byte {offset}")), "{ended:?}");
}

#[test]
fn a_file_that_is_not_a_tape_is_named_with_status_three() {
    let directory = tempfile::tempdir().expect("a directory");
    let foreign = directory.path().join("foreign.ktape");
    for (bytes, case) in [(&b""[..], "empty"), (b"not a tape at all, but a text file", "foreign")] {
        std::fs::write(&foreign, bytes).expect("a file");
        let ended = inspect(&foreign, &[]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{case}");
        assert!(ended.err.contains("foreign.ktape") && ended.err.contains("help: "), "{ended:?}");
    }
    let ended = inspect(&directory.path().join("nothing"), &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[test]
fn instruments_beyond_the_limit_of_those_not_subscribed_are_left_out_and_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_unsubscribed(directory.path(), 65_546);
    let ended = inspect(&path, &["--json"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""));
    let report = ended.json();
    assert_eq!((&report["ticks"], &report["instruments"]), (&65_547.into(), &65_537.into()));
    assert_eq!(
        (&report["ticks_left_out"], &report["unseen"]),
        (&10.into(), &serde_json::json!([]))
    );
    let ended = inspect(&path, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("10 ticks left out: "), "{}", ended.out);
    assert_eq!(inspect(&path, &["--verify"]).code, Some(0));
}
