//! The exit statuses: one rule for all commands.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::process::{Outcome, Running, kite, run};
use crate::tape;

/// Returns the signals that end a command. SIGHUP is left out if it is ignored, as under `nohup`,
/// because the command then ignores it too.
fn signals() -> &'static [&'static str] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is signal 1, which is SIGHUP.
    let all = &["-INT", "-TERM", "-HUP"];
    if ignored.is_some_and(|mask| mask & 1 == 1) { &all[..2] } else { all }
}

/// Returns the names in a directory, with those of temporary files.
fn names(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).expect("the directory").flatten();
    let mut names: Vec<_> =
        files.map(|file| file.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn ended(line: &str, tape: &Path, directory: &Path) -> Outcome {
    let (tape, directory) = (tape.to_str().expect("UTF-8"), directory.to_str().expect("UTF-8"));
    let line = line.replace("TAPE", tape).replace("DIR", directory);
    run(&mut kite(&line.split_whitespace().collect::<Vec<_>>()))
}

/// Every way in which a command reads a tape to its end.
const READERS: [&str; 9] = [
    "inspect TAPE",
    "inspect TAPE --verify",
    "export TAPE --to DIR/day.csv",
    "export TAPE --to DIR/ticks --partition-by date",
    "candles TAPE --to DIR/bars.csv --every 5s",
    "replay TAPE --stdout --speed max",
    "watch --replay TAPE --json --speed max",
    "watch --replay TAPE --speed max",
    "record --replay TAPE --to DIR/tapes --speed max",
];

#[test]
fn a_whole_tape_is_status_zero_and_one_with_a_flipped_bit_or_cut_off_is_one() {
    type Spoil = fn(&Path);
    let states: [(&str, Spoil, i32); 3] =
        [("whole", |_| {}, 0), ("flipped", tape::flip, 1), ("cut off", tape::cut, 1)];
    for (state, spoil, code) in states {
        for line in READERS {
            let directory = tempfile::tempdir().expect("a directory");
            let path = tape::write(directory.path());
            spoil(&path);
            let ended = ended(line, &path, directory.path());
            assert_eq!(ended.code, Some(code), "{state}: {line}: {ended:?}");
            let said = ended.err + &ended.out;
            let is_said =
                ["damaged", "cut off", "cannot be read"].iter().any(|it| said.contains(it));
            assert_eq!(is_said, code == 1, "{state}: {line}: {said}");
        }
    }
}

#[test]
fn a_served_tape_that_is_cut_off_is_a_finding_also_when_the_replay_is_stopped() {
    for (spoil, code) in [(tape::cut as fn(&Path), 1), (|_| {}, 0)] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = tape::write(directory.path());
        spoil(&path);
        for more in [&[][..], &["--stdout", "--speed", "0.001"]] {
            let line = [&["replay", path.to_str().expect("UTF-8")], more].concat();
            let mut replay = Running::start(kite(&line));
            replay.line();
            replay.interrupt();
            let ended = replay.ended();
            assert_eq!(ended.code, Some(code), "{line:?}: {ended:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn the_torn_end_of_a_tape_is_a_finding_only_if_its_recorder_is_gone() {
    use std::io::Write as _;

    let directory = tempfile::tempdir().expect("a directory");
    let tapes = directory.path().join("tapes");
    let to = tapes.to_str().expect("UTF-8");
    let recording = Running::start(kite(&["record", "--sim", "--to", to]));
    let find = || {
        let files = std::fs::read_dir(&tapes).ok()?.flatten().map(|file| file.path());
        files
            .filter(|file| file.extension().is_some_and(|it| it == "ktape"))
            .find(|file| std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > 1_000))
    };
    recording.wait_until(|| find().is_some());
    let tape: PathBuf = find().expect("a tape");
    recording.signal("-STOP");
    // The start of a block, as if the recorder was stopped within a write.
    let mut file = std::fs::OpenOptions::new().append(true).open(&tape).expect("the tape");
    file.write_all(b"\x89KBLOCK\n\x01\x02").expect("room");
    for line in ["inspect TAPE", "export TAPE --to DIR/day.csv --overwrite"] {
        let ended = ended(line, &tape, directory.path());
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        assert!((ended.out + &ended.err).contains("still being recorded"), "{line}");
    }
    let inspected = ended("inspect TAPE --json", &tape, directory.path()).json();
    assert_eq!((&inspected["whole"], &inspected["damaged"]), (&true.into(), &false.into()));
    recording.signal("-KILL");
    recording.ended();
    for line in ["inspect TAPE", "export TAPE --to DIR/day.csv --overwrite"] {
        let ended = ended(line, &tape, directory.path());
        assert_eq!(ended.code, Some(1), "{line}: {ended:?}");
        assert!((ended.out + &ended.err).contains("torn at byte"), "{line}");
    }
    let inspected = ended("inspect TAPE --json", &tape, directory.path()).json();
    assert_eq!((&inspected["whole"], &inspected["read_to_end"]), (&false.into(), &true.into()));
}

#[test]
fn interrupted_work_is_status_130_and_its_file_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 400_000);
    let tape = path.to_str().expect("UTF-8");
    let to = directory.path().join("day.parquet");
    let line = ["export", tape, "--to", to.to_str().expect("UTF-8")];
    let interrupted = |signal| {
        for _ in 0..20 {
            let export = Running::start(kite(&line));
            export.wait_until(|| names(directory.path()).len() > 1);
            export.signal(signal);
            let ended = export.ended();
            // An export that has ended before the signal arrives is complete.
            if ended.code != Some(0) {
                return ended;
            }
            std::fs::remove_file(&to).expect("the exported file");
        }
        panic!("{signal} always arrives after the end");
    };
    for &signal in signals() {
        let ended = interrupted(signal);
        assert_eq!((ended.code, ended.out.as_str()), (Some(130), ""), "{signal}: {ended:?}");
        assert!(ended.err.contains("interrupted after"), "{ended:?}");
        assert_eq!(names(directory.path()), ["long.ktape"], "{signal}");
    }
}

#[test]
fn an_interrupted_check_does_not_call_a_tape_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 400_000);
    let tape = path.to_str().expect("UTF-8");
    for form in ["--json", "--verify"] {
        let mut is_interrupted = false;
        // The signal may arrive before the command listens, or after it is done. On a busy machine
        // more than the first rounds may be needed.
        for wait_ms in (0..4_000).step_by(20) {
            if wait_ms >= 400 && is_interrupted {
                break;
            }
            let inspect = Running::start(kite(&["inspect", tape, form]));
            std::thread::sleep(Duration::from_millis(wait_ms));
            inspect.interrupt();
            let ended = inspect.ended();
            match ended.code {
                Some(130) => {}
                _ => continue,
            }
            is_interrupted = true;
            if form == "--json" {
                let report = ended.json();
                assert_eq!(report["whole"], false, "{report}");
                assert_eq!(report["read_to_end"], false, "{report}");
            } else {
                assert!(ended.out.contains("stopped after ") && !ended.out.contains("complete"));
            }
        }
        assert!(is_interrupted, "{form}");
    }
}

#[test]
fn two_signals_at_any_moment_leave_no_file_that_is_not_complete() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 60_000);
    let tape = path.to_str().expect("UTF-8");
    let to = directory.path().join("ticks");
    let to = to.to_str().expect("UTF-8");
    let line = ["export", tape, "--to", to, "--partition-by", "symbol", "--format", "csv"];
    for round in 0..12_u64 {
        let export = Running::start(kite(&line));
        if round % 2 == 0 {
            export.wait_until(|| Path::new(to).exists());
        }
        std::thread::sleep(Duration::from_millis(round * 15));
        export.interrupt();
        export.interrupt();
        let ended = export.ended();
        match ended.code {
            // Done before the first signal.
            Some(0) => {
                assert_eq!(names(Path::new(to)).len(), 2, "{ended:?}");
                std::fs::remove_dir_all(to).expect("the directory");
            }
            _ => assert_eq!(names(directory.path()), ["long.ktape"], "round {round}: {ended:?}"),
        }
    }
}

#[test]
fn two_signals_leave_no_tape_that_is_not_complete() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 400_000);
    let to = directory.path().join("repaired");
    let line = ["repair", path.to_str().expect("UTF-8"), "--to", to.to_str().expect("UTF-8")];
    for _ in 0..4 {
        let repair = Running::start(kite(&line));
        repair.wait_until(|| std::fs::read_dir(&to).is_ok_and(|mut files| files.next().is_some()));
        repair.interrupt();
        repair.interrupt();
        assert_eq!(repair.ended().code, Some(130));
        let left = std::fs::read_dir(&to).map_or(0, Iterator::count);
        assert_eq!(left, 0);
    }
}

#[test]
fn a_second_signal_ends_an_export_that_waits_for_its_reader_and_removes_its_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write_long(directory.path(), 60_000);
    let events = directory.path().join("events.csv");
    let (_unread, full) = std::io::pipe().expect("a pipe");
    let mut command = kite(&["export", path.to_str().expect("UTF-8"), "--to", "-"]);
    command.args(["--format", "jsonl", "--events", events.to_str().expect("UTF-8")]);
    let mut export = command.stdout(full).stderr(Stdio::null()).spawn().expect("it starts");
    drop(command);
    let signal = || {
        let id = export.id().to_string();
        let sent = std::process::Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.expect("kill starts").success());
    };
    while names(directory.path()).len() == 1 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    signal();
    signal();
    assert_eq!(export.wait().expect("it ends").code(), Some(130));
    assert_eq!(names(directory.path()), ["long.ktape"]);
}

#[test]
fn a_command_that_runs_until_it_is_stopped_ends_normally_with_any_signal() {
    let directory = tempfile::tempdir().expect("a directory");
    for &signal in signals() {
        let tapes = directory.path().join(signal);
        let to = tapes.to_str().expect("UTF-8");
        for line in [
            &["record", "--sim", "--to", to, "--json"][..],
            &["watch", "--sim", "--json"],
            &["sim", "--json"],
            &["serve", "--sim", "--json", "--relay", "127.0.0.1:0"],
        ] {
            let mut running = Running::start(kite(line));
            match line[0] {
                "record" => running
                    .wait_until(|| std::fs::read_dir(&tapes).is_ok_and(|files| files.count() > 1)),
                _ => drop(running.line()),
            }
            running.signal(signal);
            let ended = running.ended();
            assert_eq!(ended.code, Some(0), "{signal} {line:?}: {ended:?}");
            if line[0] == "record" {
                assert_eq!(ended.json()["lost"], 0, "{signal}: {ended:?}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_recorder_that_was_started_by_nohup_survives_its_terminal() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().to_str().expect("UTF-8");
    let mut command = std::process::Command::new("nohup");
    command.args([env!("CARGO_BIN_EXE_kite"), "record", "--sim", "--json", "--to", to]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let recording = Running::start(command);
    recording.wait_until(|| names(directory.path()).len() > 1);
    recording.signal("-HUP");
    // Ten more kilobytes show that it still records.
    let len = || -> u64 {
        let files = std::fs::read_dir(directory.path()).expect("the directory").flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    };
    let before = len();
    recording.wait_until(|| len() > before + 1_000);
    recording.signal("-TERM");
    assert_eq!(recording.ended().code, Some(0));
}

#[test]
fn the_rule_is_in_the_help_of_every_command() {
    let commands = [
        "",
        "demo",
        "watch",
        "record",
        "replay",
        "inspect",
        "export",
        "candles",
        "instruments",
        "sim",
        "doctor",
        "completions",
        "man",
    ];
    for command in commands {
        let line: Vec<&str> = [command, "--help"].into_iter().filter(|it| !it.is_empty()).collect();
        let help = run(&mut kite(&line)).out;
        for part in [
            "Exit status:",
            "  2    wrong usage",
            "  130  interrupted before it was done: export, candles, chart, inspect, cut,",
        ] {
            assert!(help.contains(part), "{command}: {help}");
        }
    }
}

#[test]
fn wrong_usage_is_status_two_and_names_option_value_and_limit() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let list = directory.path().join("mine.txt");
    std::fs::write(&list, "# nothing yet\n").expect("a list");
    for (line, parts) in [
        ("watch --sim --count 0", &["--count", "0", "expected 1 to 9,000"][..]),
        ("watch --sim --count 9001", &["--count", "9001", "expected 1 to 9,000"]),
        ("watch --sim --count -5", &["-5", "--count", "expected 1 to 9,000"]),
        ("sim --port 70000", &["--port", "70000", "expected 0 to 65,535"]),
        ("replay TAPE --port -1", &["--port", "-1", "expected 0 to 65,535"]),
        ("sim --accounts 101", &["--accounts", "expected 1 to 100"]),
        ("demo --seconds 0", &["--seconds", "expected 1 to 86,400"]),
        ("instruments x --keep-lists 0", &["--keep-lists", "expected 1 to 65,535"]),
        ("record --sim --to DIR/x --zstd-level 20", &["--zstd-level", "expected 0 to 19"]),
        ("export TAPE --to DIR/a.csv --spot -5 --select N", &["--spot", "a price above 0"]),
        ("watch --sim --list DIR/mine.txt", &["--list", "mine.txt", "names no instrument"]),
        ("record --sim --list DIR/mine.txt --to DIR/x", &["--list", "mine.txt"]),
        ("record --sim --to DIR/x --rotate-size 1", &["--rotate-size is 1", "at least 65,536"]),
        ("record --sim --to DIR/x --rotate-size 0", &["--rotate-size is 0", "at least 65,536"]),
        ("record --sim --to DIR/mine.txt", &["--to", "mine.txt is not a directory"]),
        ("cut TAPE --to DIR/mine.txt", &["--to", "mine.txt is not a directory"]),
        ("record --sim --to DIR/x --for -1s", &["-1s", "--for", "expected a duration"]),
        ("record --sim --to DIR/x --for 1m1m", &["1m1m", "--for", "expected a duration"]),
        ("replay TAPE --speed -1", &["-1", "--speed", "expected max or a number"]),
        ("watch --sim --rate -1", &["-1", "--rate", "0 to 1,000"]),
        ("record --sim --to DIR/x --prefix a/b", &["--prefix is", "a/b", "1 to 64 letters"]),
        ("record --sim --to DIR/x --for 0s", &["--for", "0s", "greater than 0"]),
        (
            "record --sim --to DIR/x --until 2020-01-01T09:15",
            &["--until 2020-01-01 09:15:00 IST is past", "in India"],
        ),
        ("watch --sim --rate 1001 --json", &["--rate", "1001", "0 to 1,000"]),
        ("sim --rate 1001", &["--rate", "1001", "0 to 1,000"]),
        ("demo --rate=-1", &["--rate", "-1", "0 to 1,000"]),
        ("watch --sim --day 2026-11-23", &["--day"]),
        (
            "watch --replay TAPE --from 15:30 --until 09:15",
            &["--from 15:30:00", "--until 09:15:00"],
        ),
        ("record --replay TAPE --to DIR/x --from 2027-01-01", &["--from 2027-01-01 00:00:00 IST"]),
        ("export TAPE --to DIR/a.csv --events DIR/./a.csv", &["ticks and events"]),
        ("export TAPE --to DIR/a.csv --instruments NSE:INFX", &["NSE:INFX"]),
    ] {
        let ended = ended(line, &path, directory.path());
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{line}: {ended:?}");
        for part in parts {
            assert!(ended.err.contains(part), "{line}: {part}: {}", ended.err);
        }
        assert_eq!(names(directory.path()), ["day.ktape", "mine.txt"], "{line}");
    }
}
