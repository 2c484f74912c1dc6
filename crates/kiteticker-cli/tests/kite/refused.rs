//! What the commands print of what is refused: by the server, and by `kite serve`.

use kite_sim::{Refusal, Sim};
use serde_json::Value;

use crate::process::{Outcome, Running, kite, run, with_credentials};
use crate::serve::{client_file, closed, open, packets, report, serve_two};
use crate::socket::{Socket, TEXT};

/// Starts each command that receives ticks from a server, and `kite doctor`.
fn commands(endpoint: &str, to: &str, credentials: &str) -> Vec<(&'static str, Running)> {
    let lines = [
        ("record", &["record", "408065", "--to", to][..]),
        ("watch", &["watch", "408065"]),
        ("serve", &["serve", "--relay", "127.0.0.1:0", "--json"]),
        ("doctor", &["doctor", "--json"]),
    ];
    let start = |(name, line): (&'static str, &[&str])| {
        let server = ["--endpoint", endpoint, "--credentials", credentials];
        (name, Running::start(kite(&[line, &server].concat())))
    };
    lines.map(start).into()
}

async fn ended(running: Running) -> Outcome {
    tokio::task::spawn_blocking(|| running.ended()).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_free_socket_comes_with_advice() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    server.refuse_with(Some(Refusal::kite(429, "Too many requests")));
    let credentials = client_file(directory.path(), "desk");
    let [to, file] = [directory.path(), &credentials].map(|it| it.to_str().expect("UTF-8"));
    for (name, running) in commands(&server.endpoint(), to, file) {
        let advice = "other programs hold the account's sockets, or have closed them a moment \
                      ago: close those programs";
        if name == "doctor" {
            let ended = ended(running).await;
            assert!(ended.out.contains(advice), "{ended:?}");
            continue;
        }
        let fewer = if name == "serve" { ", or use --connections 1\n" } else { "\n" };
        running.wait_until_error(&format!("429: Too many requests; {advice}{fewer}"));
        running.interrupt();
        assert_eq!(ended(running).await.code, Some(1), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_api_key_is_not_called_an_expired_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    // Its api_key is `desk`, which the server does not know.
    let credentials = client_file(directory.path(), "desk");
    let [to, file] = [directory.path(), &credentials].map(|it| it.to_str().expect("UTF-8"));
    for (name, running) in commands(&server.endpoint(), to, file) {
        if name == "doctor" {
            let ended = ended(running).await;
            assert!(
                ended.out.contains("check the api_key, and that the access token"),
                "{ended:?}"
            );
            continue;
        }
        running.wait_until_error(
            "api_key or access token refused; waiting for a new access_token in ",
        );
        running.wait_until_error("; another api_key needs a restart: ");
        running.interrupt();
        assert_eq!(ended(running).await.code, Some(1), "{name}");
    }
    let line = ["record", "408065", "--to", to, "--endpoint", &server.endpoint()];
    let mut command = kite(&line);
    command.env("KITE_API_KEY", "desk").env("KITE_ACCESS_TOKEN", "tokenofdesk");
    let ended = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("it ends");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let remedy = "authentication failed; check the api_key and the access token: ";
    assert!(ended.err.contains(remedy), "{ended:?}");
}

/// Subscribes this many instruments from `first` on.
fn subscribe(client: &mut Socket, first: u32, count: u32) {
    let tokens: Vec<String> = (first..first + count).map(|it| (it << 8 | 1).to_string()).collect();
    let text = format!(r#"{{"a":"subscribe","v":[{}]}}"#, tokens.join(","));
    client.send(TEXT, text.as_bytes());
}

fn refused(client: &mut Socket) -> Value {
    loop {
        let text: Value = serde_json::from_slice(&client.until(TEXT)).expect("JSON");
        if text["type"] == "error" {
            return text["data"].clone();
        }
    }
}

#[test]
fn commands_without_room_are_reported_with_what_is_free_without_v() {
    let directory = tempfile::tempdir().expect("a directory");
    let (serving, relay) = serve_two(directory.path(), &["--sim", "--connections", "1"]);
    let (mut research, mut desk) = (open(&relay, "research"), open(&relay, "desk"));
    subscribe(&mut research, 1_000, 2_999);
    packets(&mut research);
    for (name, client, place) in
        [("desk", &mut desk, "upstream"), ("research", &mut research, "on its socket")]
    {
        subscribe(client, 5_000, 2);
        assert_eq!(refused(client), "Can't subscribe to more than 3000 instruments.");
        let why = format!("2 more instruments asked, 1 of 3000 free {place}");
        serving.wait_until_error(&format!("warning: client {name}: 1 command refused: {why}\n"));
    }
    serving.interrupt();
    assert_eq!((closed(&mut desk), closed(&mut research)), (1_001, 1_001));
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "refused commands are no finding: {ended:?}");
    let clients = &report(&ended)["clients"];
    assert_eq!(clients[0]["refused_commands"], 1, "{clients}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_printed_once_with_and_without_v() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    let (endpoint, to) = (server.endpoint(), directory.path().to_str().expect("UTF-8"));
    for (verbose, up, lost) in
        [(None, "connection 1: up\n", "connection 1: lost: "), (Some("-v"), "event=\"up\"", "lost")]
    {
        let line = ["record", "408065", "--to", to, "--endpoint", &endpoint];
        let line: Vec<&str> = line.into_iter().chain(verbose).collect();
        let running = Running::start(with_credentials(kite(&line), "sim_access_token"));
        running.wait_until_error(up);
        server.drop_all();
        running.wait_until_error("up again");
        running.interrupt();
        let ended = ended(running).await;
        assert_eq!(ended.err.matches(lost).count(), 1, "{ended:?}");
        assert_eq!(ended.err.matches("up again").count(), 1, "{ended:?}");
    }
}
