//! `kite record`, and `kite inspect` and `kite replay` on its tapes.

use std::path::Path;

use serde_json::Value;

use crate::process::{Outcome, Running, kite, run, sim, with_credentials};
use crate::tape;

fn inspect(tapes: &Path) -> Value {
    let ended = run(&mut kite(&["inspect", "--json", tapes.to_str().expect("UTF-8")]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.json()
}

fn record(tapes: &Path, more: &[&str]) -> Outcome {
    let to = tapes.to_str().expect("UTF-8");
    run(&mut kite(&[&["record", "--json", "--to", to], more].concat()))
}

#[test]
fn the_tape_holds_what_the_recording_reports() {
    let tapes = tempfile::tempdir().expect("a directory");
    let ended = record(tapes.path(), &["--sim", "--rate", "50", "--for", "1s"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (recorded, found) = (ended.json(), inspect(tapes.path()));
    assert!(recorded["ticks"].as_u64() > Some(100), "{recorded}");
    assert_eq!(recorded["ticks"], found["ticks"]);
    assert_eq!(recorded["frames"], found["frames"]);
    assert_eq!(recorded["heartbeats"], found["heartbeats"]);
    assert_eq!(recorded["texts"], found["records"]["text"]);
    assert_eq!((&recorded["dropped"], &recorded["lost"]), (&0.into(), &0.into()));
    assert_eq!(found["files"][0]["metadata"]["feed"], "simulator, seed 1");

    let csv = tapes.path().join("all.csv");
    let (from, to) = (tapes.path().to_str().expect("UTF-8"), csv.to_str().expect("UTF-8"));
    let exported = run(&mut kite(&["export", from, "--to", to]));
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let rows = std::fs::read_to_string(&csv).expect("the file").lines().count() as u64 - 1;
    assert_eq!(Some(rows), found["ticks"].as_u64());
}

#[test]
fn ctrl_c_finishes_the_tape() {
    let tapes = tempfile::tempdir().expect("a directory");
    let (mut server, endpoint) = sim(&["--rate", "50"]);
    let to = tapes.path().to_str().expect("UTF-8");
    let command =
        kite(&["record", "408065", "--to", to, "--endpoint", &endpoint, "--zstd-level", "0"]);
    let recording = Running::start(with_credentials(command, "sim_access_token"));
    // Once the first block is written, frames have arrived.
    recording.wait_until(|| has_tape(tapes.path()));
    recording.interrupt();
    let ended = recording.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("credentials from KITE_API_KEY and KITE_ACCESS_TOKEN"), "{ended:?}");
    assert!(!ended.err.contains("sim_access_token") && !ended.out.contains("sim_access_token"));
    let found = inspect(tapes.path());
    assert!(found["ticks"].as_u64() > Some(0), "{found}");
    assert!(found["files"][0]["ending"].as_str().expect("text").starts_with("complete"), "{found}");
    server.interrupt();
    assert!(server.line().contains("\"ticks\""));
}

/// Returns whether there is a tape with more than its header.
fn has_tape(directory: &Path) -> bool {
    let files = std::fs::read_dir(directory).expect("the directory").flatten();
    let tapes = files.filter(|file| file.path().extension().is_some_and(|it| it == "ktape"));
    tapes.filter_map(|file| file.metadata().ok()).any(|metadata| metadata.len() > 1_000)
}

#[test]
fn recording_a_replayed_tape_yields_the_same_ticks() {
    let (from, to) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let path = tape::write(from.path());
    let replay = path.to_str().expect("UTF-8");
    let ended = record(to.path(), &["--replay", replay, "--speed", "max"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let found = inspect(to.path());
    assert_eq!((&found["ticks"], &found["instruments"]), (&20.into(), &2.into()), "{found}");
}

#[test]
fn a_refused_token_is_status_three_with_advice() {
    let tapes = tempfile::tempdir().expect("a directory");
    let (_server, endpoint) = sim(&[]);
    let to = tapes.path().to_str().expect("UTF-8");
    let command = kite(&["record", "408065", "--to", to, "--endpoint", &endpoint]);
    let ended = run(&mut with_credentials(command, "yesterdaystoken"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("error: cannot start the feed: "), "{ended:?}");
    assert!(ended.err.contains("help: run kite doctor") && !ended.err.contains("yesterdaystoken"));
}

#[test]
fn a_directory_that_cannot_be_written_is_status_three() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let ended = record(&file.path().join("tapes"), &["--sim", "--for", "1s"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{ended:?}");
    assert!(ended.err.contains("error: cannot record to "), "{ended:?}");
}

#[test]
fn without_credentials_the_help_says_how_to_set_them() {
    let tapes = tempfile::tempdir().expect("a directory");
    let ended = record(tapes.path(), &["408065"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("help: set KITE_API_KEY and KITE_ACCESS_TOKEN"), "{ended:?}");
}

#[test]
fn an_unknown_name_is_invalid_usage() {
    let tapes = tempfile::tempdir().expect("a directory");
    let ended = record(tapes.path(), &["--sim", "NSE:INFX"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.starts_with("error: no instrument is named NSE:INFX\nhelp: "), "{ended:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_in_the_file_replaces_a_refused_one() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("credentials");
    let write = |token: &str| {
        let text = format!("api_key = sim_api_key\naccess_token = {token}\n");
        std::fs::write(&file, text).expect("a file");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("permissions");
    };
    write("sim_access_token");
    let server = kite_sim::Sim::builder().start().await.expect("a server");
    let (to, file_name) =
        (directory.path().to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    let recording = Running::start(kite(&[
        "record",
        "408065",
        "--to",
        to,
        "--endpoint",
        &server.endpoint(),
        "--credentials",
        file_name,
    ]));
    server.wait_until(|server| server.stats().ticks_sent > 0).await;
    server.set_access_token("sim_api_key", "tomorrowstoken");
    server.drop_all();
    server.wait_until(|server| server.stats().refused.contains_key(&403)).await;
    write("tomorrowstoken");
    let before = server.stats().ticks_sent;
    server.wait_until(|server| server.stats().connections_total == 2).await;
    server.wait_until(|server| server.stats().ticks_sent > before).await;
    recording.interrupt();
    let ended = tokio::task::spawn_blocking(|| recording.ended()).await.expect("it ends");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("waiting for a new access_token in "), "{ended:?}");
    assert!(!ended.err.contains("tomorrowstoken"), "{ended:?}");
}

/// Writes a credentials file that only its owner can read.
#[cfg(unix)]
fn write_credentials(file: &Path, token: &str) {
    use std::os::unix::fs::PermissionsExt;

    let text = format!("api_key = sim_api_key\naccess_token = {token}\n");
    std::fs::write(file, text).expect("a file");
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).expect("permissions");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_at_first_and_a_token_of_yesterday_are_waited_for() {
    for command in ["record", "watch"] {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        write_credentials(&file, "yesterdaystoken");
        let server = kite_sim::Sim::builder().start().await.expect("a server");
        server.refuse_with(Some(kite_sim::Refusal::kite(429, "Too many requests")));
        let (to, file_name, endpoint) = (
            directory.path().to_str().expect("UTF-8"),
            file.to_str().expect("UTF-8"),
            server.endpoint(),
        );
        let mut line = vec![command, "408065", "--json", "--endpoint", &endpoint];
        line.extend(["--credentials", file_name]);
        if command == "record" {
            line.extend(["--to", to]);
        }
        let address = server.addr();
        let running = Running::start(kite(&line));
        running.wait_until_error("status 429");
        server.refuse_with(None);
        let refused = "access token refused; waiting for a new access_token in ";
        running.wait_until_error(refused);
        write_credentials(&file, "sim_access_token");
        running.wait_until_error("found a new");
        running.wait_until_error("connection 1: up\n");
        server.wait_until(|server| server.stats().ticks_sent > 0).await;
        running.interrupt();
        let ended = tokio::task::spawn_blocking(|| running.ended()).await.expect("it ends");
        assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
        assert!(ended.err.contains(&format!("waiting for {address}: ")), "{command}: {ended:?}");
        let lines = ended.err.lines().filter(|line| line.contains("status 403"));
        assert_eq!(lines.count(), 1, "the refusal is announced once: {command}: {ended:?}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_recording_counts_from_its_start_also_without_a_server() {
    let tapes = tempfile::tempdir().expect("a directory");
    let server = kite_sim::Sim::builder().start().await.expect("a server");
    server.refuse_with(Some(kite_sim::Refusal::kite(503, "Unavailable")));
    let (to, endpoint) = (tapes.path().to_str().expect("UTF-8").to_owned(), server.endpoint());
    let ended = tokio::task::spawn_blocking(move || {
        let line = ["record", "408065", "--to", &to, "--endpoint", &endpoint, "--for", "2s"];
        run(&mut with_credentials(kite(&line), "sim_access_token"))
    });
    let ended = ended.await.expect("it ends");
    // What was not recorded is a finding.
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("the server had not been reached"), "{ended:?}");
    assert_eq!(ended.err.matches("503").count(), 1, "attempts are not listed: {ended:?}");
    assert!(!ended.err.contains("never ticked"), "nothing could tick: {ended:?}");
}

#[cfg(unix)]
#[test]
fn a_recording_of_a_replay_does_not_add_to_the_replayed_tape() {
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    for path in [&from, &to] {
        std::fs::create_dir(path).expect("a directory");
    }
    let day = tape::write_day(&from, "kite-2026-11-23", 0);
    let bytes = std::fs::read(&day).expect("the tape");
    std::os::unix::fs::symlink(&day, to.join("kite-2026-11-23.ktape")).expect("a link");
    let replay = from.to_str().expect("UTF-8");
    for to in [&from, &to] {
        let ended = record(to, &["--replay", replay, "--speed", "max"]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("which is replayed"), "{ended:?}");
        let other = record(to, &["--replay", replay, "--speed", "max", "--prefix", "copy"]);
        assert_eq!(other.code, Some(0), "{other:?}");
    }
    assert_eq!(std::fs::read(&day).expect("the tape"), bytes);
}

#[test]
fn forgotten_instruments_are_an_error_unless_the_market_is_simulated() {
    let directory = tempfile::tempdir().expect("a directory");
    let (list, to) = (directory.path().join("list.csv"), directory.path().join("tapes"));
    std::fs::write(&list, "token,exchange,symbol\n408065,NSE,INFY\n").expect("a file");
    let (list, to) = (list.to_str().expect("UTF-8"), to.to_str().expect("UTF-8"));
    for source in
        [&["--endpoint", "ws://127.0.0.1:1"][..], &[], &["--sim", "--instruments-file", list]]
    {
        let command = kite(&[&["record", "--to", to][..], source].concat());
        let ended = run(&mut with_credentials(command, "sim_access_token"));
        assert_eq!(ended.code, Some(2), "{source:?}: {ended:?}");
        let error = "error: no instrument to record is named\nhelp: name some, such as NSE:INFY";
        assert!(ended.err.starts_with(error), "{source:?}: {ended:?}");
    }
    assert!(!Path::new(to).exists());
    let mut watching =
        Running::start(kite(&["watch", "--sim", "--instruments-file", list, "--json"]));
    watching.line();
    watching.interrupt();
    let ended = watching.ended();
    assert!(ended.err.contains("no instrument is named: watching 10 built-in ones\n"), "{ended:?}");
}

#[test]
fn a_second_recording_of_the_day_continues_the_file_only_of_as_many_instruments() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().to_str().expect("UTF-8");
    let files = |names: &[&str]| {
        let record = ["record", "--sim", "--to", to, "--for", "1s"];
        let ended = run(&mut kite(&[&record[..], names].concat()));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let names = std::fs::read_dir(to).expect("a directory").flatten();
        names.filter(|it| it.path().extension().is_some_and(|it| it == "ktape")).count()
    };
    assert_eq!(files(&["INFY", "TCS"]), 1);
    assert_eq!(files(&["INFY", "SBIN"]), 1);
    assert_eq!(files(&["INFY"]), 2);
    assert_eq!(files(&["INFY", "--mode", "ltp"]), 3);
}
