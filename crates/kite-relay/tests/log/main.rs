//! What a relay logs, and what it does not.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

#[path = "../relay/identity.rs"]
mod identity;
mod repeats;
mod secrets;
mod tls;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use kite_manager::{Credentials, Endpoint, Manager};
use kite_relay::Relay;
use kite_sim::Sim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// The log of a test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Returns a log of all that this thread does, which is all that a test does, until the guard
    /// is dropped.
    fn of_this_thread(level: tracing::Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
        (log, subscriber.with_max_level(level).set_default())
    }

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

/// Starts a simulator and a manager for it.
async fn started(token: &str) -> (Sim, Manager) {
    let sim = Sim::builder().credentials("upstream_key", token).start().await.unwrap();
    let manager = Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
        .account("mine", Credentials::new("upstream_key", token))
        .connections(1)
        .build()
        .unwrap();
    manager.start().await.unwrap();
    (sim, manager)
}

/// Sends the head of a handshake; returns the beginning of the response.
async fn ask(relay: &Relay, key: &str, token: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    let head = format!(
        "GET /?api_key={key}&access_token={token} HTTP/1.1\r\nHost: localhost\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = vec![0; 12];
    stream.read_exact(&mut response).await.unwrap();
    (stream, String::from_utf8(response).unwrap())
}
