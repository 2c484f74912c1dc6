//! `kite replay`, with `kite doctor` as the client.

use crate::clients;
use crate::process::{Running, kite, run, with_credentials};
use crate::tape;

#[test]
fn a_tape_is_served_to_a_client_and_the_summary_counts_its_ticks() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let path = path.to_str().expect("UTF-8");
    replay_serves_all_ticks(&["replay", path, "--speed", "max", "--json"]);
}

/// Replays with this command line to a client, to the end of the 20 ticks.
pub(crate) fn replay_serves_all_ticks(line: &[&str]) {
    let mut replay = Running::start(kite(line));
    let report: serde_json::Value = serde_json::from_str(&replay.line()).expect("JSON");
    let endpoint = report["endpoint"].as_str().expect("an endpoint");
    let doctor = kite(&["doctor", "--json", "--endpoint", endpoint]);
    let doctor = run(&mut with_credentials(doctor, "sim_access_token"));
    assert!(doctor.out.contains("accepted"), "{doctor:?}");
    let ended = replay.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended.json();
    assert_eq!((&report["finished"], &report["ticks"]), (&true.into(), &20.into()));
}

#[test]
fn an_interrupt_stops_a_waiting_replay_cleanly() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let mut replay = Running::start(kite(&["replay", path.to_str().expect("UTF-8")]));
    let endpoint = replay.line().replace("endpoint  ", "");
    assert!(replay.line().starts_with("export KITE_API_KEY="));
    assert!(replay.line().starts_with("kite watch --endpoint ws://127.0.0.1:"));
    clients::check(&mut replay, &endpoint);
    replay.interrupt();
    let ended = replay.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.ends_with("stopped before the end of the tape"), "{ended:?}");
}
