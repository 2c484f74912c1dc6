//! `kite replay`, with the doctor's client as somebody who connects.

use crate::process::{Running, kite, run, with_credentials};
use crate::tape;

#[test]
fn a_tape_is_served_to_whoever_connects_and_ends_with_what_was_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let path = path.to_str().expect("UTF-8");
    let mut replay = Running::start(kite(&["replay", path, "--speed", "max", "--json"]));
    let said: serde_json::Value = serde_json::from_str(&replay.line()).expect("JSON");
    let endpoint = said["endpoint"].as_str().expect("an endpoint");
    let doctor = kite(&["doctor", "--json", "--endpoint", endpoint]);
    let doctor = run(&mut with_credentials(doctor, "sim_access_token"));
    assert!(doctor.out.contains("accepted"), "{doctor:?}");
    let ended = replay.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = ended.json();
    assert_eq!((&said["finished"], &said["ticks"]), (&true.into(), &20.into()));
}

#[test]
fn it_ends_cleanly_while_it_waits() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let mut replay = Running::start(kite(&["replay", path.to_str().expect("UTF-8")]));
    assert!(replay.line().starts_with("endpoint  ws://127.0.0.1:"));
    replay.interrupt();
    let ended = replay.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.ends_with("ended before the tape did"), "{ended:?}");
}
