//! What clients can repeat at will does not fill the log.

use std::time::Duration;

use futures_util::SinkExt;
use futures_util::future::join_all;
use kite_manager::{Credentials, Manager};
use kite_relay::{Relay, RelayClient};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::{Log, ask, started};

async fn relay(manager: &Manager) -> Relay {
    let client = RelayClient::new("one", Credentials::new("key", "token")).max_instruments(5);
    let builder = Relay::builder().listen("127.0.0.1:0".parse().unwrap()).client(client);
    builder.start(manager).await.unwrap()
}

/// Asserts that the first of 100 is a line and the others are another.
fn assert_two_lines(log: &Log, message: &str) {
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(message)).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(!lines[0].contains("count"), "{text}");
    assert!(lines[1].contains("count=99"), "{text}");
}

#[tokio::test]
async fn a_hundred_wrong_pairs_are_at_most_two_lines() {
    let (log, _logging) = Log::of_this_thread(tracing::Level::INFO);
    let (_sim, manager) = started("upstream_token").await;
    let relay = relay(&manager).await;
    let guesses = (0..100).map(|number| format!("guess{number}"));
    let answers = guesses.map(|guess| {
        let relay = &relay;
        async move { ask(relay, "key", &guess).await.1 }
    });
    assert_eq!(join_all(answers).await, ["HTTP/1.1 403"; 100]);
    while !log.text().contains("client refused") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stopped = relay.stop(Duration::ZERO).await;
    assert_eq!(stopped.stats.refused, [(403, 100)].into());
    // How many the second line counts depends on how many handshakes the relay has ended.
    let text = log.text();
    assert!((1..=2).contains(&text.matches("client refused").count()), "{text}");
    manager.stop().await;
}

#[tokio::test]
async fn a_flood_of_commands_is_two_lines_for_each_outcome() {
    let (log, _logging) = Log::of_this_thread(tracing::Level::INFO);
    let (_sim, manager) = started("upstream_token").await;
    let relay = relay(&manager).await;
    let url = format!("{}/?api_key=key&access_token=token", relay.endpoint());
    let (mut socket, _) = connect_async(url).await.unwrap();
    for _ in 0..100 {
        for text in ["no command", r#"{"a":"subscribe","v":[1,2,3,4,5,6]}"#] {
            socket.send(Message::text(text)).await.unwrap();
        }
    }
    let counts = || {
        let stats = relay.stats();
        (stats.clients[0].ignored_commands, stats.clients[0].refused_commands)
    };
    while counts() != (100, 100) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(socket);
    relay.stop(Duration::ZERO).await;
    assert_two_lines(&log, "command ignored");
    assert_two_lines(&log, "command refused: socket is full");
    manager.stop().await;
}
