//! `kite replay`, with `kite doctor` and with clients that read late or not at all.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::clients;
use crate::process::{Running, kite, run, with_credentials};
use crate::socket::{BINARY, CLOSE, PING, PONG, Socket, TEXT};
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

/// The ticks of a subscribed instrument on the tape of [`serve_long`].
const TICKS: usize = 1_000;
/// The payload of the close frame at the end: 1001 and the reason.
const ENDED: &[u8] = b"\x03\xe9the tape has ended";

/// Replays a tape of [`TICKS`] frames, and returns the command with its endpoint.
fn serve_long(directory: &Path, arguments: &[&str]) -> (Running, String) {
    let path = tape::write_long(directory, TICKS as u64);
    let line = ["replay", path.to_str().expect("UTF-8"), "--json"];
    let mut replay = Running::start(kite(&[&line, arguments].concat()));
    let report: Value = serde_json::from_str(&replay.line()).expect("JSON");
    (replay, report["endpoint"].as_str().expect("an endpoint").to_owned())
}

/// Opens a socket that is subscribed to one instrument of the tape.
fn subscribed(endpoint: &str) -> Socket {
    let mut socket = Socket::open(endpoint);
    socket.send(TEXT, br#"{"a":"mode","v":["ltp",[408065]]}"#);
    socket
}

#[test]
fn a_client_with_work_for_each_frame_receives_every_tick_and_then_the_close_frame() {
    let directory = tempfile::tempdir().expect("a directory");
    let (replay, endpoint) = serve_long(directory.path(), &["--speed", "max"]);
    let mut client = subscribed(&endpoint);
    let mut ticks = 0;
    let close = loop {
        match client.frame() {
            (BINARY, frame) if frame.len() > 1 => {
                ticks += 1;
                // Long after the end of the tape the server has bytes to read.
                client.send(if ticks % 2 == 0 { PING } else { TEXT }, b"at work");
                std::thread::sleep(Duration::from_millis(1));
            }
            (CLOSE, close) => break close,
            _ => {}
        }
    };
    assert_eq!((ticks, close.as_slice()), (TICKS, ENDED));
    client.send(CLOSE, &close[..2]);
    client.end();
    let ended = replay.ended();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(ended.json()["unfinished_clients"], Value::Array(Vec::new()));
}

#[test]
fn a_client_that_never_reads_is_named_after_the_linger_and_is_status_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (replay, endpoint) = serve_long(directory.path(), &["--speed", "max", "--linger", "50ms"]);
    let client = subscribed(&endpoint);
    let ended = replay.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let address = client.address();
    let named = format!("warning: client {address} had not closed its connection at the end: ");
    assert!(ended.err.starts_with(&named), "{ended:?}");
    assert!(ended.err.contains("a longer --linger waits"), "{ended:?}");
    let report = ended.json();
    let named = &report["unfinished_clients"][0];
    assert_eq!((&named["peer"], &named["end"]), (&address.to_string().into(), &"stayed".into()));
    assert_eq!((&report["finished"], &named["ticks_sent"]), (&true.into(), &TICKS.into()));
    if cfg!(target_os = "linux") {
        let packets = TICKS as u64 * 14;
        assert!(named["unread_bytes"].as_u64().is_some_and(|it| it > packets), "{named}");
    }
}

#[test]
fn a_client_that_resets_its_connection_is_named_and_is_status_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (replay, endpoint) = serve_long(directory.path(), &["--speed", "100"]);
    let mut client = subscribed(&endpoint);
    let address = client.address();
    while client.until(BINARY).len() == 1 {}
    // A connection that is closed with unread bytes is reset.
    client.wait_for_bytes();
    drop(client);
    let ended = replay.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let named = format!("warning: client {address} reset its connection: ");
    assert!(ended.err.starts_with(&named), "{ended:?}");
    let named = &ended.json()["unfinished_clients"][0];
    assert_eq!((&named["peer"], &named["end"]), (&address.to_string().into(), &"reset".into()));
}

#[test]
fn a_tape_that_stands_still_because_its_only_client_left_says_so_once() {
    let directory = tempfile::tempdir().expect("a directory");
    // More than the buffers of a connection hold.
    let path = tape::write_long(directory.path(), 1_000_000);
    let path = path.to_str().expect("UTF-8");
    let mut replay = Running::start(kite(&["replay", path, "--json", "--speed", "max"]));
    let report: Value = serde_json::from_str(&replay.line()).expect("JSON");
    let mut client = subscribed(report["endpoint"].as_str().expect("an endpoint"));
    while client.until(BINARY).len() == 1 {}
    drop(client);
    let note = "no client is subscribed: the tape stands still; Ctrl-C ends";
    replay.wait_until_error(note);
    replay.interrupt();
    let ended = replay.ended();
    assert_eq!(ended.err.matches(note).count(), 1, "{ended:?}");
    assert_eq!(ended.json()["finished"], false, "{ended:?}");
}

#[test]
fn an_interrupt_ends_the_wait_for_a_client() {
    let directory = tempfile::tempdir().expect("a directory");
    let (replay, endpoint) = serve_long(directory.path(), &["--speed", "max", "--linger", "1h"]);
    let mut client = subscribed(&endpoint);
    assert_eq!(client.until(CLOSE), ENDED);
    replay.interrupt();
    let ended = replay.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.json()["unfinished_clients"][0]["end"], "stayed");
}

#[test]
fn with_stay_clients_get_heartbeats_after_the_end_and_may_reconnect() {
    let directory = tempfile::tempdir().expect("a directory");
    let (replay, endpoint) = serve_long(directory.path(), &["--speed", "max", "--stay"]);
    let mut client = subscribed(&endpoint);
    replay.wait_until_error("the tape has ended; heartbeats continue until Ctrl-C");
    let mut late = subscribed(&endpoint);
    for client in [&mut client, &mut late] {
        while client.until(BINARY).len() > 1 {}
        client.send(PING, b"");
        assert_eq!(client.until(PONG), b"");
    }
    replay.interrupt();
    for mut client in [client, late] {
        assert_eq!(client.until(CLOSE), ENDED);
        client.end();
    }
    let ended = replay.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.json()["finished"], true);
}

#[test]
fn a_replay_stops_after_the_given_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (replay, _) = serve_long(directory.path(), &["--stay", "--for", "10ms"]);
    let ended = replay.ended();
    assert_eq!((ended.code, &ended.json()["finished"]), (Some(0), &false.into()), "{ended:?}");
}

#[test]
fn more_sockets_than_an_account_may_open_are_invalid_usage() {
    for sockets in ["0", "4", "-1"] {
        let ended = run(&mut kite(&["replay", "tapes", "--sockets", sockets]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("expected 1 to 3, as many as an account may open"), "{ended:?}");
    }
}
