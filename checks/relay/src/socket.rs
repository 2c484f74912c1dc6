//! A client's side of a WebSocket, written by hand, so that it can break every rule and logs
//! nothing.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The receive buffer of clients that read slowly.
const SMALL_BUFFER: u32 = 8 * 1_024;
/// The segments of an Ethernet, which the loopback interface lacks.
const SEGMENT: u32 = 1_460;

/// The longest frame of the relay: 3,000 packets of 186 bytes.
const MAX_PAYLOAD: u64 = 1 << 20;

/// A message from the relay.
#[derive(Debug)]
pub(crate) enum Incoming {
    Binary(Vec<u8>),
    Text(String),
    Ping,
    Pong,
    /// A close frame and its code, if any.
    Close(Option<u16>),
}

/// How a handshake ended.
#[derive(Debug)]
pub(crate) enum Handshake {
    Open(Box<Socket>),
    Refused(u16),
}

/// An open socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// What was received; everything before `start` has been returned.
    received: Vec<u8>,
    start: usize,
}

/// Connects without a handshake; `is_slow` for a small receive buffer and small segments.
pub(crate) async fn connect(address: SocketAddr, is_slow: bool) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if is_slow {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
        socket2::SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns a request with this query and further header lines.
pub(crate) fn request(query: &str, headers: &str) -> String {
    format!(
        "GET /?{query} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// Ends a connection with an RST.
pub(crate) fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// Sends a request and reads the response.
pub(crate) async fn handshake(mut stream: TcpStream, request: &str) -> io::Result<Handshake> {
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::new();
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status.ok_or(ErrorKind::InvalidData)? {
        101 => Ok(Handshake::Open(Box::new(Socket { stream, received, start: end }))),
        status => Ok(Handshake::Refused(status)),
    }
}

impl Socket {
    /// Returns the next message; `None` at the end of the stream.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Incoming>> {
        loop {
            if let Some(message) = self.parse()? {
                return Ok(Some(message));
            }
            self.received.drain(..self.start);
            self.start = 0;
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a text.
    pub(crate) async fn text(&mut self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes()).await
    }

    pub(crate) async fn ping(&mut self) -> io::Result<()> {
        self.send(PING, b"are you there").await
    }

    /// Answers a ping, which has no payload.
    pub(crate) async fn pong(&mut self) -> io::Result<()> {
        self.send(PONG, &[]).await
    }

    /// Sends a close frame with code 1000.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.send(CLOSE, &1_000_u16.to_be_bytes()).await
    }

    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(opcode, payload)).await
    }

    /// Sends bytes that need not be a frame.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends the connection with an RST.
    pub(crate) fn reset(self) -> io::Result<()> {
        reset(&self.stream)
    }

    fn parse(&mut self) -> io::Result<Option<Incoming>> {
        let bytes = &self.received[self.start..];
        let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
        // The relay sends whole messages, without a mask and without reserved bits.
        if first & !0x0f != FINAL || second & MASKED != 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "a frame breaks the protocol"));
        }
        let (head, length) = match second {
            126 => (
                4,
                bytes
                    .get(2..4)
                    .and_then(|it| it.try_into().ok())
                    .map(u16::from_be_bytes)
                    .map(u64::from),
            ),
            127 => (10, bytes.get(2..10).and_then(|it| it.try_into().ok()).map(u64::from_be_bytes)),
            short => (2, Some(u64::from(short))),
        };
        let Some(length) = length else { return Ok(None) };
        if length > MAX_PAYLOAD {
            return Err(io::Error::new(ErrorKind::InvalidData, "a frame is too long"));
        }
        let end = head + length as usize;
        let Some(payload) = bytes.get(head..end) else { return Ok(None) };
        let payload = payload.to_vec();
        self.start += end;
        let message = match first & 0x0f {
            TEXT => String::from_utf8(payload).ok().map(Incoming::Text),
            BINARY => Some(Incoming::Binary(payload)),
            PING => Some(Incoming::Ping),
            PONG => Some(Incoming::Pong),
            CLOSE => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                Some(Incoming::Close(code))
            }
            _ => None,
        };
        message.map(Some).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not a message"))
    }
}

/// Returns a frame with a mask.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = fastrand::u32(..).to_be_bytes();
    let mut frame = vec![FINAL | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => frame.push(MASKED | short),
        (_, Ok(medium)) => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
