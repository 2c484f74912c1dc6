//! A plain WebSocket client whose every read has a deadline.

use std::fmt::Display;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};
use kite_wire::{Frame, Tick};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Timeout for each step; generous for a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub(crate) async fn try_connect(sim: &Sim, key: &str, token: &str) -> Result<Self, Error> {
        let url = format!("{}/?api_key={key}&access_token={token}", sim.endpoint());
        let (socket, _) = timeout(DEADLINE, connect_async(url)).await.expect("handshake hangs")?;
        Ok(Self { socket })
    }

    pub(crate) async fn connect(sim: &Sim) -> Self {
        Self::try_connect(sim, API_KEY, ACCESS_TOKEN).await.unwrap()
    }

    pub(crate) async fn say(&mut self, command: impl Display) {
        self.socket.send(Message::text(command.to_string())).await.unwrap();
    }

    /// Returns the next message of any kind, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(DEADLINE, self.socket.next()).await.expect("no message arrived")
    }

    pub(crate) async fn message(&mut self) -> Message {
        self.next().await.expect("socket ended").unwrap()
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.message().await {
            Message::Text(text) => text.to_string(),
            other => panic!("expected a text frame, not {other:?}"),
        }
    }

    pub(crate) async fn binary(&mut self) -> Bytes {
        match self.message().await {
            Message::Binary(bytes) => bytes,
            other => panic!("expected a binary frame, not {other:?}"),
        }
    }

    /// Returns the ticks of the next frame, which must have only undamaged packets.
    pub(crate) async fn ticks(&mut self) -> Vec<Tick> {
        ticks(&self.binary().await)
    }
}

pub(crate) fn ticks(frame: &[u8]) -> Vec<Tick> {
    let frame = Frame::walk(frame);
    assert_eq!((frame.fault(), frame.skipped(), frame.is_heartbeat()), (None, 0, false));
    frame.packets().map(Tick::from).collect()
}

/// Returns a simulator that sends only what a test requests.
pub(crate) async fn quiet_sim() -> Sim {
    let builder = Sim::builder().updates_per_second(0.0).no_heartbeats().greet(false);
    builder.start().await.unwrap()
}

/// Waits for the simulator with a deadline.
pub(crate) async fn until(sim: &Sim, holds: impl FnMut(&Sim) -> bool) {
    timeout(DEADLINE, sim.wait_until(holds)).await.expect("the condition never held");
}
