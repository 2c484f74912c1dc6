//! Clients without TLS at a port that has it.

use std::time::Duration;

use kite_manager::Credentials;
use kite_relay::{Relay, RelayClient};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;

use crate::identity::write_identity;
use crate::{Log, started};

#[tokio::test]
async fn a_client_without_tls_is_counted_and_logged_with_the_reason() {
    let (log, _logging) = Log::of_this_thread(tracing::Level::INFO);
    let (_sim, manager) = started("upstream_token").await;
    let directory = TempDir::new().unwrap();
    let (files, _) = write_identity(&directory);
    let client = RelayClient::new("one", Credentials::new("key", "client_token"));
    let builder = Relay::builder().listen("127.0.0.1:0".parse().unwrap()).client(client);
    let relay = builder.tls(files).start(&manager).await.unwrap();
    // One that only disconnects, as a check of the port does, is none of them.
    drop(TcpStream::connect(relay.address()).await.unwrap());
    for _ in 0..2 {
        let url = format!("ws://{}/?api_key=key&access_token=client_token", relay.address());
        connect_async(url).await.unwrap_err();
    }
    while relay.stats().refused_tls < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stopped = relay.stop(Duration::ZERO).await;
    assert_eq!((stopped.stats.refused_tls, stopped.stats.refused), (2, [].into()));
    let text = log.text();
    let lines: Vec<_> = text.lines().filter(|it| it.contains("client refused: TLS")).collect();
    assert!(!lines.is_empty() && lines.len() <= 2, "{text}");
    assert!(lines[0].contains("reason=received corrupt message"), "{text}");
    assert!(!text.contains("client_token"), "{text}");
    manager.stop().await;
}
