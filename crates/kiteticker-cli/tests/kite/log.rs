//! `--log json`: standard error as one JSON object a line.

use serde_json::Value;

use crate::process::{Outcome, Running, kite, run, with_credentials};
use crate::serve::{assert_no_secrets, client_file, open, packets};
use crate::socket::TEXT;

/// Reads the lines of standard error.
fn lines(ended: &Outcome) -> Vec<Value> {
    let parsed = |line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let lines: Vec<Value> = ended.err.lines().map(parsed).collect();
    for line in &lines {
        for key in ["time", "level", "target", "message"] {
            assert!(line[key].as_str().is_some_and(|it| !it.is_empty()), "{line}");
        }
    }
    lines
}

fn messages(lines: &[Value], level: &str) -> Vec<String> {
    let of_level = lines.iter().filter(|line| line["level"] == level);
    of_level.map(|line| line["message"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn notes_warnings_and_logs_of_a_relay_are_objects_without_secrets() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_sim, endpoint) = crate::process::sim(&["--rate", "50"]);
    let client = format!("research={}", client_file(directory.path(), "research").display());
    let line = [
        "serve",
        "--log",
        "json",
        "-vvv",
        "--relay",
        "127.0.0.1:0",
        "--json",
        "--client",
        &client,
        "--endpoint",
        &endpoint,
        "408065",
    ];
    let mut serving = Running::start(with_credentials(kite(&line), "sim_access_token"));
    let first: Value = serde_json::from_str(&serving.line()).expect("JSON");
    let relay = first["relay"]["endpoint"].as_str().expect("an endpoint");
    let mut research = open(relay, "research");
    research.send(TEXT, br#"{"a":"mode","v":["full",[408065]]}"#);
    packets(&mut research);
    drop(research);
    serving.wait_until_error("client's ticks");
    serving.interrupt();
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_no_secrets(&ended);
    let lines = lines(&ended);
    let notes = messages(&lines, "info");
    assert!(notes.iter().any(|it| it.starts_with("serving 127.0.0.1:")), "{notes:?}");
    let connected = lines.iter().find(|it| it["message"] == "client connected").expect("a log");
    assert_eq!(
        (&connected["target"], &connected["fields"]["name"]),
        (&"kite_relay::acceptor".into(), &"research".into())
    );
    assert_eq!(connected["fields"]["id"], 0);
}

#[test]
fn errors_have_their_advice_whoever_reports_them() {
    let ended = run(&mut kite(&["--log=json", "serve", "--sim", "--relay", "0.0.0.0:0"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let found = lines(&ended);
    let error = &found[0];
    assert_eq!((found.len(), &error["level"]), (1, &"error".into()));
    assert!(error["help"].as_str().is_some_and(|it| it.contains("--tls-cert")), "{error}");

    // Also what clap rejects.
    let ended = run(&mut kite(&["serve", "--log", "json", "--frobnicate"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let found = messages(&lines(&ended), "error");
    assert!(found.len() == 1 && found[0].contains("--frobnicate"), "{found:?}");

    let ended = run(&mut kite(&["--log", "xml", "sim"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("text, json") || ended.err.contains("possible values"), "{ended:?}");
}
