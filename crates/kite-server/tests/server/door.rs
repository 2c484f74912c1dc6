//! Handshakes with clients that are not trusted.

use std::collections::BTreeMap;
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kite_server::listener::accept;
use kite_server::{
    Account, Accounts, Admission, Changes, Door, DoorConfig, HandshakeError, Opened, Refusal,
    Socket, Transport, texts,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error as ClientError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const PEER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

fn admission() -> Arc<Admission<()>> {
    let mut accounts = Accounts::default();
    accounts.add(Account::new("desk", "key-1", "token-1").unwrap()).unwrap();
    let one = Account::new("one", "key-2", "token-2").unwrap().max_sockets(Some(1));
    accounts.add(one).unwrap();
    Arc::new(Admission::new(accounts, Arc::new(Changes::default())))
}

/// A handshake in memory: what the door said, and what the client read until its end.
async fn ask(
    door: &Door,
    admission: &Arc<Admission<()>>,
    query: &str,
    headers: &str,
) -> (Result<Opened<Transport, (), String>, HandshakeError>, String) {
    let (mut client, server) = duplex(1 << 16);
    let head = format!(
        "GET /?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let asking = async {
        client.write_all(head.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        read(&mut client).await
    };
    let place = door.place().await;
    let enter = |admitted: kite_server::Admitted<'_>| ((), admitted.name.to_owned());
    let connect = ready(Ok(Transport::from(server)));
    let opening = door.open(place, connect, PEER, admission, enter);
    tokio::join!(opening, asking)
}

/// Reads a response's head and body.
async fn read(client: &mut DuplexStream) -> String {
    let mut response = Vec::new();
    loop {
        let ended = client.read_buf(&mut response).await.unwrap() == 0;
        let text = String::from_utf8_lossy(&response);
        if ended || text.contains(" 101 ") && text.ends_with("\r\n\r\n") {
            return text.into_owned();
        }
    }
}

fn refusal(result: Result<Opened<Transport, (), String>, HandshakeError>) -> Refusal {
    match result {
        Err(HandshakeError::Refused { refusal }) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn each_account_has_its_own_limit_of_sockets() {
    let (door, admission) = (Door::new(DoorConfig::default()), admission());
    let mut open = Vec::new();
    for _ in 0..20 {
        let (opened, response) =
            ask(&door, &admission, "api_key=key-1&access_token=token-1&user_id=x", "").await;
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        open.push(opened.unwrap());
    }
    assert_eq!(open[0].membership.owned, "desk");
    let query = "api_key=key-2&access_token=token-2";
    let (opened, _) = ask(&door, &admission, query, "").await;
    assert_eq!(opened.as_ref().unwrap().membership.owned, "one");
    let (second, response) = ask(&door, &admission, query, "").await;
    assert_eq!(refusal(second), Refusal::too_many_sockets());
    assert!(response.starts_with("HTTP/1.1 429 "), "{response}");
    drop(opened);
    assert!(ask(&door, &admission, query, "").await.0.is_ok());
    assert_eq!(admission.refused(), BTreeMap::from([(429, 1)]));
}

#[tokio::test]
async fn a_web_page_is_refused_unless_its_origin_is_listed() {
    let origins = vec!["https://desk.example".parse().unwrap()];
    let mut config = DoorConfig::default();
    config.origins = origins;
    let (door, admission) = (Door::new(config), admission());
    let query = "api_key=key-1&access_token=token-1";
    for origin in ["https://evil.example", "null", "", "https://desk.example.evil"] {
        let (result, response) =
            ask(&door, &admission, query, &format!("Origin: {origin}\r\n")).await;
        assert_eq!(refusal(result), Refusal::foreign_origin());
        assert!(response.starts_with("HTTP/1.1 403 Forbidden"), "{response}");
    }
    let (opened, _) = ask(&door, &admission, query, "origin: HTTPS://desk.example\r\n").await;
    assert!(opened.is_ok());
    assert_eq!(admission.refused(), BTreeMap::from([(403, 4)]));
    assert_eq!(admission.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_guess_wait_and_a_right_pair_does_not() {
    let (door, admission) = (Door::new(DoorConfig::default()), admission());
    let guesses = ["api_key=key-1&access_token=wrong", "api_key=wrong&access_token=token-1", ""];
    let begun = Instant::now();
    for count in 0..10 {
        let (result, _) = ask(&door, &admission, guesses[count % 3], "").await;
        assert!(refusal(result).is_for_credentials());
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for guess in guesses {
        let begun = Instant::now();
        let (result, _) = ask(&door, &admission, guess, "").await;
        assert!(refusal(result).is_for_credentials());
        assert_eq!(begun.elapsed().as_secs(), 1);
    }
    let begun = Instant::now();
    let (opened, _) = ask(&door, &admission, "api_key=key-1&access_token=token-1", "").await;
    assert!(opened.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_takes_too_long_is_dropped() {
    let (door, admission) = (Door::new(DoorConfig::default()), admission());
    let (mut client, server) = duplex(1 << 10);
    client.write_all(b"GET /?api_key=").await.unwrap();
    let begun = Instant::now();
    let connect = ready(Ok(Transport::from(server)));
    let place = door.place().await;
    let opened = door.open(place, connect, PEER, &admission, |_| ((), ())).await;
    assert!(matches!(opened, Err(HandshakeError::TimedOut { .. })), "{opened:?}");
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_stays_is_reported_as_refused() {
    let (door, admission) = (Door::new(DoorConfig::default()), admission());
    let (mut client, server) = duplex(1 << 10);
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let connect = ready(Ok(Transport::from(server)));
    let place = door.place().await;
    let opened = door.open(place, connect, PEER, &admission, |_| ((), String::new())).await;
    assert_eq!(refusal(opened), Refusal::malformed());
    assert!(read(&mut client).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn no_more_handshakes_are_open_than_configured() {
    let mut config = DoorConfig::default();
    config.max_open = 2;
    let (door, admission) = (Door::new(config), admission());
    let (first, second) = (door.place().await, door.place().await);
    assert!(door.place().now_or_never().is_none());
    let (_client, server) = duplex(16);
    drop(_client);
    let connect = ready(Ok(Transport::from(server)));
    let opened = door.open(first, connect, PEER, &admission, |_| ((), ())).await;
    assert!(matches!(opened, Err(HandshakeError::Connection { .. })), "{opened:?}");
    let third = door.place().now_or_never();
    assert!(third.is_some());
    drop((second, third));
}

#[tokio::test]
async fn a_client_of_another_library_is_served_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (door, admission) = (Door::new(DoorConfig::default()), admission());
    let serving = tokio::spawn(async move {
        loop {
            let place = door.place().await;
            let transport = Transport::from(accept(&listener).await);
            let peer = transport.peer().map(|peer| peer.ip());
            assert_eq!(peer, PEER);
            let opening = door.open(place, ready(Ok(transport)), peer, &admission, |_| ((), ()));
            if let Ok(Opened { connection, rest, .. }) = opening.await {
                let mut socket = Socket::new(connection, rest).await;
                let text = texts::error("hello").into();
                socket.write(kite_server::Message::Text(text)).await.unwrap();
            }
        }
    });
    let url = |token: &str| format!("ws://{address}/?api_key=key-1&access_token={token}");
    let (_client, _) = connect_async(url("token-1")).await.unwrap();
    let refused = connect_async(url("token-2").into_client_request().unwrap()).await.unwrap_err();
    let ClientError::Http(response) = refused else { panic!("{refused:?}") };
    assert_eq!(response.status(), 403);
    let body = response.body().clone().unwrap_or_default();
    assert!(String::from_utf8_lossy(&body).contains("TokenException"));
    serving.abort();
}
