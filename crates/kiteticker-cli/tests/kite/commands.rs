//! The commands of clients that a server refuses or ignores: its log, its summary.

use std::path::Path;

use serde_json::Value;

use crate::process::{Running, kite, sim};
use crate::serve::{closed, open, serve_two};
use crate::socket::{PING, PONG, Socket, TEXT};
use crate::tape;

/// Subscribes too many instruments and tokens out of range, then breaks the protocol.
fn misbehave(server: &Running, mut client: Socket) {
    let tokens: Vec<String> = kite_sim::universe(3_001).iter().map(u32::to_string).collect();
    let subscribe = format!(r#"{{"a":"subscribe","v":[{}]}}"#, tokens.join(","));
    client.send(TEXT, subscribe.as_bytes());
    let error = loop {
        let text: Value = serde_json::from_slice(&client.until(TEXT)).expect("JSON");
        if text["type"] == "error" {
            break text;
        }
    };
    assert_eq!(error["data"], "Can't subscribe to more than 3000 instruments.");
    client.send(TEXT, br#"{"a":"subscribe","v":[-1]}"#);
    client.send(PING, b"");
    client.until(PONG);
    // Not masked, as a frame of a client must be.
    client.send_raw(b"\x81\x02{}");
    server.wait_until_error("client broke the WebSocket protocol");
    assert_eq!(closed(&mut client), 1_002);
}

/// Stops the server; returns its summary.
fn logged(server: Running) -> Value {
    server.interrupt();
    let ended = server.ended();
    for text in [
        "command refused: socket is full",
        "instrument tokens must be from 0 to 4,294,967,295; 1 of the list is not",
        "unmasked",
    ] {
        assert!(ended.err.contains(text), "no {text:?} in {}", ended.err);
    }
    let last = ended.out.lines().last().expect("a summary");
    serde_json::from_str(last).expect("JSON")
}

fn counts(summary: &Value) -> [Option<u64>; 2] {
    ["refused_commands", "ignored_commands"].map(|name| summary[name].as_u64())
}

#[test]
fn a_simulator_and_a_replay_log_and_count_what_they_refuse_and_ignore() {
    let (simulator, endpoint) = sim(&["-v"]);
    misbehave(&simulator, Socket::open(&endpoint));
    assert_eq!(counts(&logged(simulator)), [Some(1), Some(1)]);

    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let (replay, endpoint) = replay(&path);
    misbehave(&replay, Socket::open(&endpoint));
    assert_eq!(counts(&logged(replay)), [Some(1), Some(1)]);
}

fn replay(tape: &Path) -> (Running, String) {
    let tape = tape.to_str().expect("UTF-8");
    let mut replay = Running::start(kite(&["replay", tape, "--json", "-v", "--sockets", "2"]));
    let report: Value = serde_json::from_str(&replay.line()).expect("JSON");
    (replay, report["endpoint"].as_str().expect("an endpoint").to_owned())
}

#[test]
fn a_relay_logs_and_counts_what_it_refuses_and_ignores_by_client() {
    let (_simulator, endpoint) = sim(&[]);
    let directory = tempfile::tempdir().expect("a directory");
    let (serving, relay) = serve_two(directory.path(), &["--endpoint", &endpoint, "-v"]);
    misbehave(&serving, open(&relay, "desk"));
    let summary = logged(serving);
    let clients = summary["clients"].as_array().expect("clients");
    let desk = clients.iter().find(|client| client["name"] == "desk").expect("desk");
    assert_eq!(counts(desk), [Some(1), Some(1)], "{summary}");
    assert_eq!(desk["violations"], 1, "{summary}");
}

#[test]
fn a_replay_that_waits_for_more_sockets_says_for_how_many() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = tape::write(directory.path());
    let (replay, endpoint) = replay(&path);
    let mut client = Socket::open(&endpoint);
    client.send(TEXT, br#"{"a":"subscribe","v":[408065]}"#);
    replay.wait_until_error("waiting for 1 more socket to subscribe");

    let line = ["--replay", path.to_str().expect("UTF-8"), "--sockets", "3"];
    let (serving, relay) = serve_two(directory.path(), &line);
    serving.wait_until_error("no client is subscribed: the tape stands still; Ctrl-C ends");
    let mut desk = open(&relay, "desk");
    desk.send(TEXT, br#"{"a":"subscribe","v":[408065]}"#);
    serving.wait_until_error("waiting for 2 more sockets to subscribe");
}
