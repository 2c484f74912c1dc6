//! A client that keeps what it receives.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use kite_relay::Relay;
use kite_wire::{Command, Frame, Mode};
use serde_json::Value;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stage::in_time;

/// The bytes of an instrument's packets, in order.
pub(crate) type Packets = BTreeMap<u32, Vec<Vec<u8>>>;

/// A client of tokio-tungstenite.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// All packets so far.
    pub(crate) packets: Packets,
    /// All texts so far.
    pub(crate) texts: Vec<Value>,
    pub(crate) heartbeats: usize,
    pub(crate) pongs: usize,
    /// The close frame; `Some(None)` if it has none.
    pub(crate) closed: Option<Option<CloseFrame>>,
}

impl Client {
    /// Connects with the credentials of a client of [`crate::stage::listed`].
    pub(crate) async fn connect(relay: &Relay, name: &str) -> Self {
        let (key, token) = (format!("{name}_key"), format!("{name}_token"));
        Self::try_connect(relay, &key, &token).await.unwrap()
    }

    /// Connects, subscribes instruments in full mode and waits for the snapshot of each.
    pub(crate) async fn with_snapshots(relay: &Relay, name: &str, tokens: &[u32]) -> Self {
        let mut client = Self::connect(relay, name).await;
        client.mode(Mode::Full, tokens).await;
        client.read_until("snapshots", |it| it.packets.len() == tokens.len()).await;
        client
    }

    pub(crate) async fn try_connect(relay: &Relay, key: &str, token: &str) -> Result<Self, Error> {
        let url = format!("{}/?api_key={key}&access_token={token}", relay.endpoint());
        let (socket, _) = in_time("the handshake", connect_async(url)).await?;
        Ok(Self {
            socket,
            packets: Packets::new(),
            texts: Vec::new(),
            heartbeats: 0,
            pongs: 0,
            closed: None,
        })
    }

    pub(crate) async fn subscribe(&mut self, tokens: &[u32]) {
        self.send(Command::Subscribe(tokens)).await;
    }

    pub(crate) async fn unsubscribe(&mut self, tokens: &[u32]) {
        self.send(Command::Unsubscribe(tokens)).await;
    }

    pub(crate) async fn mode(&mut self, mode: Mode, tokens: &[u32]) {
        self.send(Command::Mode(mode, tokens)).await;
    }

    async fn send(&mut self, command: Command<'_>) {
        self.socket.send(Message::text(command.to_string())).await.unwrap();
    }

    /// Waits until the commands before this have been applied and what they cause has arrived.
    pub(crate) async fn sync(&mut self) {
        // A pong may overtake what was queued before it; a second one does not.
        for _ in 0..2 {
            let pongs = self.pongs;
            self.socket.send(Message::Ping("sync".into())).await.unwrap();
            self.read_until("a pong", |client| client.pongs > pongs).await;
        }
    }

    /// Reads until a condition holds.
    pub(crate) async fn read_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let read = async {
            while !holds(self) {
                let message = self.socket.next().await;
                self.keep(message.unwrap().unwrap());
            }
        };
        in_time(what, read).await;
    }

    /// Ends as a program does that is killed with unread data: TCP is reset.
    pub(crate) fn reset(self) {
        let MaybeTlsStream::Plain(stream) = self.socket.get_ref() else { unreachable!() };
        SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads one message every millisecond until a condition holds.
    pub(crate) async fn read_slowly_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let read = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let message = self.socket.next().await;
                self.keep(message.unwrap().unwrap());
            }
        };
        in_time(what, read).await;
    }

    /// Reads until the socket ends; returns how.
    pub(crate) async fn read_to_end(&mut self) -> Result<(), Error> {
        let read = async {
            while let Some(message) = self.socket.next().await {
                self.keep(message?);
            }
            Ok(())
        };
        in_time("the end", read).await
    }

    /// Returns the newest packet of an instrument.
    pub(crate) fn last(&self, token: u32) -> Option<&[u8]> {
        Some(self.packets.get(&token)?.last()?)
    }

    /// Returns the data of the last text of a type.
    pub(crate) fn text(&self, kind: &str) -> Option<&Value> {
        let text = self.texts.iter().rev().find(|text| text["type"] == kind)?;
        Some(&text["data"])
    }

    fn keep(&mut self, message: Message) {
        match message {
            Message::Binary(frame) if frame.len() == 1 => self.heartbeats += 1,
            Message::Binary(frame) => {
                let frame = Frame::walk(&frame);
                assert_eq!((frame.fault(), frame.skipped()), (None, 0));
                for packet in frame.packets() {
                    let packets = self.packets.entry(packet.instrument_token()).or_default();
                    packets.push(packet.as_bytes().to_vec());
                }
            }
            Message::Text(text) => self.texts.push(serde_json::from_str(&text).unwrap()),
            Message::Pong(_) => self.pongs += 1,
            Message::Close(frame) => self.closed = Some(frame),
            _ => {}
        }
    }
}
