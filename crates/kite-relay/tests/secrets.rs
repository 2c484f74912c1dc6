//! Neither the account's credentials nor a client's are in the log, an error or `Debug` output.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kite_manager::{Credentials, Endpoint, Manager};
use kite_relay::{Relay, RelayClient};
use kite_sim::Sim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing_subscriber::fmt::MakeWriter;

const SECRETS: [&str; 4] =
    ["upstream-secret-token", "client-secret-token", "guessed-secret-token", "client-api-key"];

/// The log of all threads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Sends the head of a handshake; returns the beginning of the response.
async fn ask(relay: &Relay, token: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    let head = format!(
        "GET /?api_key=client-api-key&access_token={token} HTTP/1.1\r\nHost: localhost\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = vec![0; 12];
    stream.read_exact(&mut response).await.unwrap();
    (stream, String::from_utf8(response).unwrap())
}

#[tokio::test]
async fn no_credential_is_logged_or_shown() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone());
    subscriber.with_max_level(tracing::Level::TRACE).init();
    let sim = Sim::builder().credentials("upstream_key", SECRETS[0]).start().await.unwrap();
    let manager = Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
        .account("mine", Credentials::new("upstream_key", SECRETS[0]))
        .connections(1)
        .build()
        .unwrap();
    manager.start().await.unwrap();
    let client = RelayClient::new("one", Credentials::new(SECRETS[3], SECRETS[1]));
    let builder = Relay::builder().listen("127.0.0.1:0".parse().unwrap()).client(client);
    let mut shown = format!("{builder:?}");
    let relay = builder.start(&manager).await.unwrap();

    let (_socket, accepted) = ask(&relay, SECRETS[1]).await;
    let (refusal, refused) = ask(&relay, SECRETS[2]).await;
    drop(refusal);
    while !log.text().contains("client refused") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((&accepted[..], &refused[..]), ("HTTP/1.1 101", "HTTP/1.1 403"));
    let same = RelayClient::new("two", Credentials::new(SECRETS[3], SECRETS[2]));
    let twice = [same.clone(), RelayClient::new("one", Credentials::new(SECRETS[3], SECRETS[1]))];
    let error = relay.set_clients(twice).unwrap_err();
    let invalid = RelayClient::new("two", Credentials::new("a b", SECRETS[1]));
    let invalid = relay.set_clients([invalid]).unwrap_err();
    shown += &format!("{error} {error:?} {invalid} {invalid:?} {same:?}");
    shown += &format!("{relay:?} {:?}", relay.stats());
    shown += &format!("{:?}", relay.stop(Duration::ZERO).await);
    manager.stop().await;
    shown += &log.text();
    assert!(shown.contains("relay stopped"), "{shown}");
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
