//! `kite serve --http`: what the relay shows of itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Running, kite, run, with_credentials};
use crate::serve::{assert_no_secrets, client_file, open, packets};
use crate::socket::TEXT;

/// Requests a path and returns the whole response.
fn get(address: &str, path: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    response
}

fn started(command: std::process::Command) -> (Running, String, String) {
    let mut serving = Running::start(command);
    let first: Value = serde_json::from_str(&serving.line()).expect("JSON");
    let text = |value: &Value| value["endpoint"].as_str().expect("an endpoint").to_owned();
    let http = text(&first["http"]).replace("http://", "");
    (serving, text(&first["relay"]), http)
}

fn address_of(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("UTF-8").to_owned()
}

#[test]
fn metrics_status_and_the_newest_ticks_are_shown_without_secrets() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_sim, endpoint) = crate::process::sim(&["--rate", "50"]);
    let client = format!("research={}", client_file(directory.path(), "research").display());
    let tapes = address_of(directory.path(), "tapes");
    let line = [
        "serve",
        "--json",
        "--relay",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--client",
        &client,
        "--endpoint",
        &endpoint,
        "--record",
        &tapes,
        "-vv",
    ];
    let (serving, relay, http) = started(with_credentials(kite(&line), "sim_access_token"));
    let mut research = open(&relay, "research");
    research.send(TEXT, br#"{"a":"mode","v":["full",[408065]]}"#);
    packets(&mut research);
    let mut shown = String::new();
    serving.wait_until(|| get(&http, "/readyz", "").starts_with("HTTP/1.1 200"));
    // The snapshot is at most a second old.
    serving.wait_until(|| {
        shown = get(&http, "/metrics", "");
        shown.contains("kite_relay_clients 1\n") || shown.contains("kite_relay_clients{")
    });
    assert!(shown.contains("kite_build_info{"), "{shown}");
    assert!(shown.contains("kite_connection_up{account=\"main\""), "{shown}");
    assert!(shown.contains("kite_recorder_"), "{shown}");
    shown += &get(&http, "/api/status", "");
    let latest = get(&http, "/api/latest?i=NSE:INFY&i=408065", "");
    assert!(latest.starts_with("HTTP/1.1 200") && latest.contains("408065"), "{latest}");
    shown += &latest;
    for secret in ["sim_access_token", "tokenofresearch"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    drop(research);
    serving.interrupt();
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_no_secrets(&ended);
}

#[test]
fn bars_of_today_are_kept_by_choice() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("always.txt"), "all 00:00-24:00\n").expect("a file");
    let text = "[feed]\nsim = true\nrate = 50\ninstruments = ['NSE:INFY', '256265']\n\
                [relay]\nlisten = '127.0.0.1:0'\n\
                [http]\nlisten = '127.0.0.1:0'\ncandles = ['1m', '1h']\nsessions = 'always.txt'\n";
    std::fs::write(directory.path().join("kite.toml"), text).expect("a file");
    let file = address_of(directory.path(), "kite.toml");
    let (serving, _, http) = started(kite(&["serve", "--json", "--config", &file]));
    let bars = |every: &str| -> Vec<Value> {
        let answer = get(&http, &format!("/api/candles?i=NSE:INFY&every={every}"), "");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).expect("JSON")
    };
    for every in ["1m", "1h"] {
        serving.wait_until(|| bars(every).iter().any(|bar| bar["volume"].as_u64() > Some(0)));
        let bar = &bars(every)[0];
        assert_eq!(
            (&bar["symbol"], &bar["instrument_token"]),
            (&"NSE:INFY".into(), &408_065.into())
        );
    }
    assert!(get(&http, "/api/candles?i=NSE:INFY&every=5m", "").starts_with("HTTP/1.1 404"));
    serving.interrupt();
    assert_eq!(serving.ended().code, Some(0));
}

#[test]
fn readers_send_the_token_of_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = client_file(directory.path(), "http");
    std::fs::write(&token, "0123456789abcdef\n").expect("a file");
    let text = "[feed]\nsim = true\n[relay]\nlisten = '127.0.0.1:0'\n\
                [http]\nlisten = '127.0.0.1:0'\ntoken_file = 'http.credentials'\n";
    std::fs::write(directory.path().join("kite.toml"), text).expect("a file");
    let file = address_of(directory.path(), "kite.toml");
    let (serving, _, http) = started(kite(&["serve", "--json", "--config", &file]));
    assert!(get(&http, "/metrics", "").starts_with("HTTP/1.1 401"));
    let head = "Authorization: Bearer 0123456789abcdef\r\n";
    assert!(get(&http, "/metrics", head).starts_with("HTTP/1.1 200"));
    serving.interrupt();
    let ended = serving.ended();
    assert!(!ended.err.contains("0123456789abcdef") && !ended.out.contains("0123456789abcdef"));
}

#[test]
fn what_keeps_the_server_from_starting_is_said_with_advice() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (line, code, text, advice) in [
        (&["--http", &address][..], 3, "cannot start the HTTP server", "choose another port"),
        (&["--http", "0.0.0.0:0"], 2, "can be reached from other machines", "--http-tls-cert"),
        (
            &["--http", "0.0.0.0:0", "--http-insecure"],
            2,
            "readers need a token",
            "--http-token-file",
        ),
        (&["--http", "127.0.0.1:0", "--http-host", "a/b"], 2, "is not a host name", ""),
        (&["--http-host", "a"], 2, "--http <ADDR>", ""),
        (&["--http-candles", "1m"], 2, "--http <ADDR>", ""),
        (&["--http", "127.0.0.1:0", "--http-candles", "1m,5s"], 2, "must be 1m or longer", ""),
        (
            &["--http", "127.0.0.1:0", "--http-candles", "1m", "--http-sessions", "/no such file"],
            3,
            "cannot read",
            "",
        ),
    ] {
        let line = [&["serve", "--sim", "--relay", "127.0.0.1:0", "--check"], line].concat();
        let ended = run(&mut kite(&line));
        assert_eq!(ended.code, Some(code), "{line:?}: {ended:?}");
        assert!(ended.err.contains(text) && ended.err.contains(advice), "{ended:?}");
    }
}
