//! `--from`, `--until` and `--day` on tapes of several days, alike for every command.

use std::path::Path;

use crate::process::{Outcome, kite, run};
use crate::replay::replay_serves_all_ticks;
use crate::tape::{self, FRAMES};

/// Writes the tapes of 23 and 24 November 2026.
fn two_days() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, days) in [("monday", 0), ("tuesday", 1)] {
        tape::write_day(directory.path(), name, days);
    }
    directory
}

fn words<'a>(command: &'a str, tapes: &'a Path, period: &'a str) -> Vec<&'a str> {
    let tapes = tapes.to_str().expect("UTF-8");
    let mut line = vec![command, tapes];
    line.extend(match command {
        "export" => &["--to", "-", "--format", "jsonl"][..],
        "replay" => &["--stdout", "--speed", "max"],
        _ => &["--json"],
    });
    line.extend(period.split_whitespace());
    line
}

/// Returns the ticks that the command finds in a period.
fn ticks(command: &str, tapes: &Path, period: &str) -> u64 {
    let ended: Outcome = run(&mut kite(&words(command, tapes, period)));
    assert_eq!(ended.code, Some(0), "{command} {period}: {ended:?}");
    match command {
        "inspect" => ended.json()["ticks"].as_u64().expect("a number"),
        _ => ended.out.lines().count() as u64,
    }
}

#[test]
fn a_window_is_taken_of_each_day_and_days_are_chosen_by_date() {
    let tapes = two_days();
    let day = 2 * FRAMES;
    for command in ["export", "replay", "inspect"] {
        for (period, expected) in [
            ("", 2 * day),
            ("--from 09:15:02 --until 09:15:05", 12),
            ("--from 09:15:08", 8),
            ("--until 09:15:01", 4),
            ("--day 2026-11-24", day),
            ("--day 2026-11-24 --day 2026-11-23", 2 * day),
            ("--day 2026-11-24 --from 09:15:02 --until 09:15:05", 6),
            ("--from 2026-11-24", day),
            ("--until 2026-11-24", day),
            ("--until 2026-11-24T09:15:03", day + 6),
            ("--from 2026-11-23T03:45:09Z --until 09:15:01", 2),
        ] {
            assert_eq!(ticks(command, tapes.path(), period), expected, "{command} {period}");
        }
    }
}

#[test]
fn a_replayed_recording_takes_the_windows_of_each_day_too() {
    let tapes = two_days();
    for (period, ticks) in
        [("--from 09:15:02 --until 09:15:05", 12), ("--day 2026-11-24 --from 09:15:08", 4)]
    {
        let to = tempfile::tempdir().expect("a directory");
        let (from, to) = (tapes.path().to_str(), to.path().to_str());
        let (from, to) = (from.expect("UTF-8"), to.expect("UTF-8"));
        let mut line = vec!["record", "--replay", from, "--to", to, "--speed", "max", "--json"];
        line.extend(period.split_whitespace());
        let recorded = run(&mut kite(&line));
        assert_eq!(recorded.code, Some(0), "{period}: {recorded:?}");
        assert_eq!(recorded.json()["ticks"], ticks, "{period}");
        let mut line = vec!["watch", "--replay", from, "--speed", "max", "--json"];
        line.extend(period.split_whitespace());
        let watched = run(&mut kite(&line));
        assert_eq!((watched.code, watched.out.lines().count()), (Some(0), ticks), "{watched:?}");
    }
}

#[test]
fn a_period_that_holds_nothing_is_invalid_usage() {
    let tapes = two_days();
    for command in ["export", "replay", "inspect"] {
        for (period, message) in [
            ("--from 15:30 --until 09:15", "--from 15:30:00 is not before --until 09:15:00"),
            ("--day 2026-11-25", "--day 2026-11-25 is not on the tapes"),
            ("--day 2026-11-25", "the tapes hold 2026-11-23 to 2026-11-24"),
            ("--from 2026-12-01", "--from 2026-12-01 00:00:00 IST"),
            ("--day monday", "--day"),
            ("--from 2026-11-31", "--from"),
        ] {
            let ended = run(&mut kite(&words(command, tapes.path(), period)));
            assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{period}: {ended:?}");
            assert!(ended.err.contains(message), "{period}: {ended:?}");
        }
    }
}

#[test]
fn a_window_of_the_day_without_any_record_is_invalid_usage_for_every_command() {
    let tapes = two_days();
    let (from, to) = (tapes.path(), tempfile::tempdir().expect("a directory"));
    let (from, to) = (from.to_str().expect("UTF-8"), to.path().join("cut"));
    let to = to.to_str().expect("UTF-8");
    for command in [
        &["replay", from][..],
        &["replay", from, "--stdout"],
        &["watch", "--replay", from, "--json"],
        &["record", "--replay", from, "--to", to],
        &["serve", "--relay", "127.0.0.1:0", "--replay", from],
        &["inspect", from],
        &["export", from, "--to", "-", "--format", "csv"],
        &["cut", from, "--to", to],
    ] {
        let ended = run(&mut kite(&[command, &["--from", "22:00"]].concat()));
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{command:?}: {ended:?}");
        for text in [
            "nothing is left between --from 22:00:00 and the end of the tapes",
            "the tapes hold 2026-11-23 09:15:00 IST to 2026-11-24 09:15:",
        ] {
            assert!(ended.err.contains(text), "{command:?}: {ended:?}");
        }
    }
}

#[test]
fn the_night_between_two_windows_is_not_served() {
    let tapes = two_days();
    let tapes = tapes.path().to_str().expect("UTF-8");
    // At ten times the speed the night would last more than two hours.
    let line =
        ["replay", tapes, "--speed", "10", "--json", "--from", "09:15", "--until", "09:15:05"];
    replay_serves_all_ticks(&line);
}

#[test]
fn a_gap_counts_in_the_windows_that_it_overlaps() {
    let tapes = two_days();
    for (period, gaps) in [
        ("--day 2026-11-24", 1),
        ("--from 09:15:05 --until 09:15:07", 2),
        ("--from 09:15 --until 09:15:05", 0),
    ] {
        let inspected = run(&mut kite(&words("inspect", tapes.path(), period))).json();
        assert_eq!(inspected["gaps"].as_array().map(Vec::len), Some(gaps), "{inspected}");
    }
}

#[test]
fn every_command_that_follows_a_feed_ends_after_the_time_of_for() {
    let tapes = two_days();
    let tapes = tapes.path().to_str().expect("UTF-8");
    let to = tempfile::tempdir().expect("a directory");
    let to = to.path().to_str().expect("UTF-8");
    for line in [
        &["record", "--to", to, "--sim"][..],
        &["watch", "--sim"],
        &["watch", "--sim", "--json"],
        // The ten seconds of the tape, with and without the server that replays it.
        &["watch", "--replay", tapes, "--speed", "0.1", "--json"],
        &["watch", "--replay", tapes, "--speed", "0.1", "--json", "--mode", "ltp"],
    ] {
        let ended = run(&mut kite(&[line, &["--for", "500ms"]].concat()));
        assert_eq!(ended.code, Some(0), "{line:?}: {ended:?}");
        let wrong = run(&mut kite(&[line, &["--for", "0s"]].concat()));
        assert_eq!(wrong.code, Some(2), "{line:?}: {wrong:?}");
    }
}
