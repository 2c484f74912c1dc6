//! Accepted and refused handshakes.

use kite_sim::{API_KEY, Refusal, Sim};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;

use crate::client::{Client, DEADLINE, quiet_sim, until};

const UPGRADE: &str = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends a raw request; returns status, head and body of the response.
async fn ask(sim: &Sim, target: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(sim.addr()).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

async fn status_of(sim: &Sim, api_key: &str, access_token: &str) -> u16 {
    match Client::try_connect(sim, api_key, access_token).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_403_and_a_wrong_api_key_with_400_and_kites_json() {
    let sim = quiet_sim().await;
    for (query, refused, message, error_type) in [
        ("api_key=sim_api_key&access_token=old", 403, "Authentication failed.", "TokenException"),
        (
            "api_key=who&access_token=sim_access_token",
            400,
            "Invalid `access_token` or `api_key`.",
            "InputException",
        ),
    ] {
        let (status, head, body) = ask(&sim, &format!("/?{query}"), UPGRADE).await;
        assert_eq!(status, refused);
        assert!(head.contains("application/json"), "{head}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["status"], &body["message"]), (&"error".into(), &message.into()));
        assert_eq!(body["error_type"], error_type);
    }
    assert_eq!(sim.stats().refused, [(400, 1), (403, 1)].into());
    assert_eq!(sim.stats().connections_total, 0);
}

#[tokio::test]
async fn missing_credentials_are_refused_with_400_and_json() {
    let sim = quiet_sim().await;
    let (status, _, body) = ask(&sim, "/?api_key=sim_api_key", UPGRADE).await;
    assert_eq!(status, 400);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["message"], "Invalid `access_token` or `api_key`.");
}

#[tokio::test]
async fn a_request_that_is_not_for_a_websocket_is_refused_with_400_and_html() {
    let sim = quiet_sim().await;
    let target = "/?api_key=sim_api_key&access_token=sim_access_token";
    let no_slash = target.trim_start_matches('/');
    for (target, headers) in [(target, "Host: localhost\r\n"), (no_slash, UPGRADE)] {
        let (status, head, body) = ask(&sim, target, headers).await;
        assert_eq!(status, 400);
        assert!(head.contains("text/html"), "{head}");
        assert!(body.starts_with("<html>"), "{body}");
    }
    assert_eq!(sim.stats().refused, [(400, 2)].into());
}

#[tokio::test]
async fn credentials_are_percent_decoded() {
    let sim = Sim::builder().credentials("a&b", "c=/d").start().await.unwrap();
    assert_eq!(status_of(&sim, "a%26b", "c%3D%2Fd").await, 101);
    assert_eq!(status_of(&sim, API_KEY, "sim_access_token").await, 400);
}

#[tokio::test]
async fn a_fourth_socket_is_refused_with_429_and_the_three_stay() {
    let sim = Sim::builder().credentials("one", "1").account("two", "2").greet(false);
    let sim = sim.no_heartbeats().start().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::try_connect(&sim, "one", "1").await.unwrap());
    }
    assert_eq!(status_of(&sim, "one", "1").await, 429);
    assert_eq!(status_of(&sim, "two", "2").await, 101);
    sim.send_text("still here");
    for client in &mut clients {
        assert_eq!(client.text().await, "still here");
    }
    assert_eq!(sim.stats().refused, [(429, 1)].into());
    assert_eq!(sim.stats().connections_total, 4);

    // A slot is free as soon as its socket has ended, with or without a close frame.
    clients.pop().unwrap().socket.close(None).await.unwrap();
    assert_eq!(status_of(&sim, "one", "1").await, 101);
    drop(clients);
    until(&sim, |sim| sim.stats().connections_open == 0).await;
}

#[tokio::test]
async fn a_new_token_replaces_the_old_one_for_new_sockets_only() {
    let sim = quiet_sim().await;
    let mut old = Client::connect(&sim).await;
    sim.set_access_token(API_KEY, "tuesday");
    assert_eq!(status_of(&sim, API_KEY, "sim_access_token").await, 403);
    assert_eq!(status_of(&sim, API_KEY, "tuesday").await, 101);
    sim.revoke_token(API_KEY);
    assert_eq!(status_of(&sim, API_KEY, "tuesday").await, 403);
    sim.send_text("alive");
    assert_eq!(old.text().await, "alive");
}

#[tokio::test]
async fn a_chosen_refusal_is_sent_until_it_is_withdrawn() {
    let sim = quiet_sim().await;
    let target = "/?api_key=sim_api_key&access_token=sim_access_token";
    sim.refuse_with(Some(Refusal::new(502, "<html>Bad Gateway</html>")));
    let (status, head, body) = ask(&sim, target, UPGRADE).await;
    assert_eq!((status, body.as_str()), (502, "<html>Bad Gateway</html>"));
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    sim.refuse_with(Some(Refusal::auth()));
    let (status, _, body) = ask(&sim, target, UPGRADE).await;
    assert_eq!((status, body.as_str()), (403, Refusal::auth().body()));
    sim.refuse_with(None);
    assert_eq!(status_of(&sim, API_KEY, "sim_access_token").await, 101);
}
