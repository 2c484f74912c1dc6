//! The clients, as cheap as possible: they read bytes and look at the head of each frame.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use kite_wire::Command;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

use super::shape::Shape;
use crate::Failure;
use crate::load::{STAMP_AT, read_line, send_line};
use crate::machine::clock_ns;

/// The credentials that the relay expects.
pub const API_KEY: &str = "bench";
pub const ACCESS_TOKEN: &str = "bench-token";

/// After this long without a byte everything has arrived.
const QUIET: Duration = Duration::from_millis(300);

/// Stamps older than this are values of packets that were never stamped.
const OLDEST_NS: u64 = 60_000_000_000;

/// The longest header and what is looked at of a payload.
const HEAD: usize = 10 + STAMP_AT + 8;

/// What all clients have received together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Received {
    pub ticks: u64,
    pub frames: u64,
    pub texts: u64,
    /// p50, p99, p99.9 and the longest.
    pub latency_us: [f64; 4],
}

/// Connects all clients and subscribes, writes a line once each has its first frame, and writes what
/// they have received after another line.
pub fn run(shape: Shape, port: u16) -> Result<(), Failure> {
    let (mut readers, mut stuck) = (Vec::new(), Vec::new());
    for number in 0..shape.sockets() {
        let socket = connect(port, &shape, number)?;
        if number >= shape.clients {
            stuck.push(socket);
            continue;
        }
        let counts = Arc::new(Mutex::new(Counts::new()?));
        let (first, has_first) = mpsc::channel();
        let reader = Arc::clone(&counts);
        thread::spawn(move || read(socket, &reader, &first));
        has_first.recv()?;
        readers.push(counts);
    }
    for reader in &readers {
        *lock(reader) = Counts::new()?;
    }
    send_line("ready")?;
    read_line()?;
    loop {
        let bytes = || readers.iter().map(|reader| lock(reader).bytes).sum::<u64>();
        let before = bytes();
        thread::sleep(QUIET);
        if bytes() == before {
            break;
        }
    }
    let mut all = Counts::new()?;
    readers.iter().try_for_each(|reader| all.add(&lock(reader)))?;
    send_line(&serde_json::to_string(&all.received())?)?;
    Ok(())
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects and subscribes, without reading what follows.
fn connect(port: u16, shape: &Shape, number: u32) -> Result<TcpStream, Failure> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    write!(
        socket,
        "GET /?api_key={API_KEY}&access_token={ACCESS_TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    // One byte at a time, so that nothing after the response is consumed.
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(String::from_utf8_lossy(&head).into());
    }
    let command = Command::Mode(shape.wanted.mode(), &shape.tokens_of(number)).to_string();
    let mut websocket = WebSocket::from_raw_socket(socket, Role::Client, None);
    websocket.send(Message::text(command))?;
    Ok(websocket.into_inner())
}

/// Reads on a thread of its own, so that each write wakes one client, as if it were a program of its
/// own.
fn read(mut socket: TcpStream, counts: &Mutex<Counts>, first: &Sender<()>) {
    let (mut parser, mut buffer) = (Parser::default(), vec![0; 64 * 1024]);
    let mut has_any = false;
    while let Ok(read @ 1..) = socket.read(&mut buffer) {
        let mut counts = lock(counts);
        counts.bytes += read as u64;
        parser.read(&buffer[..read], &mut counts);
        if !has_any && parser.ticks > 0 && parser.is_between_frames() {
            has_any = first.send(()).is_ok();
        }
    }
}

#[derive(Debug)]
struct Counts {
    bytes: u64,
    ticks: u64,
    frames: u64,
    texts: u64,
    latency_ns: Histogram<u64>,
}

impl Counts {
    fn new() -> Result<Self, Failure> {
        let latency_ns = Histogram::new_with_bounds(1_000, OLDEST_NS, 3)?;
        Ok(Self { bytes: 0, ticks: 0, frames: 0, texts: 0, latency_ns })
    }

    fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.bytes += other.bytes;
        self.ticks += other.ticks;
        self.frames += other.frames;
        self.texts += other.texts;
        self.latency_ns.add(&other.latency_ns)?;
        Ok(())
    }

    fn received(&self) -> Received {
        let us = |share| self.latency_ns.value_at_quantile(share) as f64 / 1e3;
        let longest = self.latency_ns.max() as f64 / 1e3;
        let latency_us = [us(0.5), us(0.99), us(0.999), longest];
        Received { ticks: self.ticks, frames: self.frames, texts: self.texts, latency_us }
    }

    fn on_frame(&mut self, opcode: u8, payload: &[u8]) -> u64 {
        if opcode == 1 {
            self.texts += 1;
        }
        let Some(&packets) = payload.first_chunk().filter(|_| opcode == 2) else { return 0 };
        let packets = u64::from(u16::from_be_bytes(packets));
        self.ticks += packets;
        self.frames += 1;
        if let Some(&stamp) = payload.get(STAMP_AT..).and_then(<[u8]>::first_chunk) {
            let age = clock_ns().checked_sub(u64::from_be_bytes(stamp));
            if let Some(age) = age.filter(|&age| age < OLDEST_NS) {
                self.latency_ns.saturating_record(age);
            }
        }
        packets
    }
}

/// Finds the frames in a stream of bytes.
#[derive(Debug)]
struct Parser {
    head: [u8; HEAD],
    filled: usize,
    /// Bytes of the payload that follow the head.
    rest: usize,
    ticks: u64,
}

impl Default for Parser {
    fn default() -> Self {
        Self { head: [0; HEAD], filled: 0, rest: 0, ticks: 0 }
    }
}

impl Parser {
    fn is_between_frames(&self) -> bool {
        self.filled == 0 && self.rest == 0
    }

    fn read(&mut self, mut bytes: &[u8], counts: &mut Counts) {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.filled] = bytes[0];
            self.filled += 1;
            bytes = &bytes[1..];
            self.on_head(counts);
        }
    }

    /// Counts the frame once enough of its head is there.
    fn on_head(&mut self, counts: &mut Counts) {
        let head = &self.head[..self.filled];
        let [first, second, rest @ ..] = head else { return };
        let (header, payload) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, rest) => match rest.first_chunk() {
                Some(&length) => (10, u64::from_be_bytes(length) as usize),
                None => return,
            },
            (126, _) => return,
            (length, _) => (2, usize::from(length)),
        };
        let wanted = header + payload.min(STAMP_AT + 8);
        if head.len() == wanted {
            self.ticks += counts.on_frame(first & 0x0f, &head[header..]);
            self.rest = header + payload - wanted;
            self.filled = 0;
        }
    }
}
