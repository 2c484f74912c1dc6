//! A client at byte level, for what no WebSocket library lets a test do: reading late, not reading,
//! resetting a connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Timeout for each step; generous, so that it expires only if a test hangs.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Opens a WebSocket with the credentials of the simulator.
    pub(crate) fn open(endpoint: &str) -> Self {
        let (socket, head) =
            Self::ask(&format!("{endpoint}/?api_key=sim_api_key&access_token=sim_access_token"));
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        socket
    }

    /// Requests a WebSocket at `url`; returns the head of the answer too.
    pub(crate) fn ask(url: &str) -> (Self, String) {
        let (root, query) = url.split_once('?').expect("a query");
        let host = root.trim_start_matches("ws://").trim_end_matches('/');
        let stream = TcpStream::connect(host).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!(
            "GET /?{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let mut socket = Self { stream };
        socket.stream.write_all(request.as_bytes()).expect("the request is sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(socket.bytes::<1>());
        }
        (socket, String::from_utf8(head).expect("UTF-8"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("an address")
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).expect("more bytes");
        bytes
    }

    /// Reads one frame; returns its opcode and payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let [first, second] = self.bytes();
        let length = match second {
            126 => usize::from(u16::from_be_bytes(self.bytes())),
            127 => usize::try_from(u64::from_be_bytes(self.bytes())).expect("it fits"),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).expect("the payload");
        (first & 0xf, payload)
    }

    /// Reads to the next frame of a kind; returns its payload.
    pub(crate) fn until(&mut self, opcode: u8) -> Vec<u8> {
        loop {
            let (found, payload) = self.frame();
            if found == opcode {
                return payload;
            }
        }
    }

    /// Sends a frame of at most 64 KiB, masked with zeros.
    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        let length = u16::try_from(payload.len()).expect("a short frame");
        let mut frame = vec![0x80 | opcode];
        match u8::try_from(length) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
        }
        self.send_raw(&[&frame, &[0; 4][..], payload].concat());
    }

    /// Sends bytes that need not be a frame.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the bytes are sent");
    }

    /// Waits until there are bytes to read, and reads none.
    pub(crate) fn wait_for_bytes(&self) {
        self.stream.peek(&mut [0]).expect("bytes");
    }

    /// Reads to the end of the stream, which must be empty.
    pub(crate) fn end(mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the stream ends");
        assert!(rest.is_empty(), "{rest:?}");
    }
}
