//! A client at byte level, over every kind of connection that the simulator serves.

use std::io;

use kite_sim::{ACCESS_TOKEN, API_KEY, Chain, Sim};
use kite_wire::Frame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::DEADLINE;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Tcp,
    Memory,
    #[cfg(feature = "tls")]
    Tls,
}

impl Door {
    pub(crate) const ALL: &[Self] = &[
        Self::Tcp,
        Self::Memory,
        #[cfg(feature = "tls")]
        Self::Tls,
    ];

    /// Starts a simulator that sends only what a test requests.
    pub(crate) async fn quiet_sim(self) -> Sim {
        let builder = Sim::builder().updates_per_second(0.0).no_heartbeats().greet(false);
        self.secure(builder).start().await.unwrap()
    }

    #[cfg(feature = "tls")]
    pub(crate) fn secure(self, builder: kite_sim::SimBuilder) -> kite_sim::SimBuilder {
        if self == Self::Tls { builder.tls() } else { builder }
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn secure(self, builder: kite_sim::SimBuilder) -> kite_sim::SimBuilder {
        builder
    }

    /// Returns how a stream ends that is closed below TLS.
    pub(crate) fn abrupt_end(self) -> Result<(), io::ErrorKind> {
        match self {
            Self::Tcp | Self::Memory => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls => Err(io::ErrorKind::UnexpectedEof),
        }
    }

    /// Returns how a stream ends that is reset.
    pub(crate) fn reset_end(self) -> Result<(), io::ErrorKind> {
        match self {
            Self::Memory => Ok(()),
            _ => Err(io::ErrorKind::ConnectionReset),
        }
    }

    pub(crate) async fn open(self, sim: &Sim) -> Box<dyn Stream> {
        let tcp = || async { TcpStream::connect(sim.addr()).await.unwrap() };
        match self {
            Self::Tcp => Box::new(tcp().await),
            Self::Memory => Box::new(sim.connect()),
            #[cfg(feature = "tls")]
            Self::Tls => {
                Box::new(crate::tls::handshake(sim, "localhost", tcp().await).await.unwrap())
            }
        }
    }
}

pub(crate) struct Bare {
    pub(crate) stream: Box<dyn Stream>,
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

impl Bare {
    /// Opens a connection and requests a WebSocket.
    pub(crate) async fn ask(sim: &Sim, door: Door) -> Self {
        let mut stream = door.open(sim).await;
        stream.write_all(&request()).await.unwrap();
        stream.flush().await.unwrap();
        Self { stream }
    }

    /// Opens a WebSocket.
    pub(crate) async fn connect(sim: &Sim, door: Door) -> Self {
        let mut bare = Self::ask(sim, door).await;
        let head = bare.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        bare
    }

    /// Opens a WebSocket that is subscribed, its snapshots read.
    pub(crate) async fn subscribed(sim: &Sim, door: Door, tokens: &[u32]) -> (Self, Received) {
        let mut bare = Self::connect(sim, door).await;
        bare.say(TEXT, kite_wire::Command::Subscribe(tokens).to_string().as_bytes()).await;
        let mut received = Received::default();
        received.add(&bare.frame_of(BINARY).await);
        (bare, received)
    }

    /// Requests a WebSocket and returns the status of the response.
    pub(crate) async fn status(sim: &Sim, door: Door) -> u16 {
        let head = Self::ask(sim, door).await.head().await;
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn byte(&mut self) -> u8 {
        timeout(DEADLINE, self.stream.read_u8()).await.expect("no byte arrived").unwrap()
    }

    /// Reads the head of a response.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte().await);
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads one frame; returns its opcode and payload.
    pub(crate) async fn frame(&mut self) -> (u8, Vec<u8>) {
        let [first, second] = [self.byte().await, self.byte().await];
        assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "a whole frame without a mask");
        let header = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut length = if header == 0 { usize::from(second) } else { 0 };
        for _ in 0..header {
            length = length << 8 | usize::from(self.byte().await);
        }
        let mut payload = vec![0; length];
        timeout(DEADLINE, self.stream.read_exact(&mut payload)).await.unwrap().unwrap();
        (first & 0xf, payload)
    }

    pub(crate) async fn frame_of(&mut self, opcode: u8) -> Vec<u8> {
        let (found, payload) = self.frame().await;
        assert_eq!(found, opcode, "{payload:?}");
        payload
    }

    pub(crate) async fn text(&mut self) -> String {
        String::from_utf8(self.frame_of(TEXT).await).unwrap()
    }

    /// Reads to the end; returns the bytes and how it ended.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Result<(), io::ErrorKind>) {
        let mut bytes = Vec::new();
        let end = timeout(DEADLINE, self.stream.read_to_end(&mut bytes)).await;
        let end = end.expect("the stream does not end");
        (bytes, end.map(|_| ()).map_err(|error| error.kind()))
    }

    /// Sends a frame.
    pub(crate) async fn say(&mut self, opcode: u8, payload: &[u8]) {
        self.stream.write_all(&masked(opcode, payload)).await.unwrap();
        self.stream.flush().await.unwrap();
    }
}

/// Returns a request for a WebSocket, with the key of RFC 6455, section 1.3.
pub(crate) fn request() -> Vec<u8> {
    format!(
        "GET /?api_key={API_KEY}&access_token={ACCESS_TOKEN} HTTP/1.1\r\nHost: localhost\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// Returns a client's frame, masked with zeros.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ ..=125 => frame.push(0x80 | short as u8),
        medium => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The messages that a client received on one socket.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) frames: usize,
    pub(crate) ticks: u64,
    pub(crate) chain: Chain,
    pub(crate) sent: std::collections::BTreeMap<u32, kite_sim::Sent>,
}

impl Received {
    /// Adds a binary message, damaged or not.
    pub(crate) fn add(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.chain.add(frame);
        for packet in Frame::walk(frame).packets() {
            self.ticks += 1;
            self.sent.entry(packet.instrument_token()).or_default().add(packet.as_bytes());
        }
    }
}
