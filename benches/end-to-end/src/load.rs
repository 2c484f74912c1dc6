//! The load: a server in a process of its own, that sends frames prepared beforehand.
//!
//! It speaks just enough HTTP and WebSocket for any client, and takes what clients send without
//! looking at it. The time of sending is in the first packet of a frame.

use std::io::{self, BufRead, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use benches::server::{header, shake_hands};
use benches::{Contents, frame};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::machine::clock_ns;

/// Where a frame's first packet, a full one, has its volume and what is behind it: eight bytes that
/// every client decodes as they are.
pub const STAMP_AT: usize = 4 + 16;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct Load {
    /// How many sockets are waited for before anything is sent.
    #[arg(long, default_value_t = 3)]
    pub connections: usize,
    /// Full packets a frame, at least two: one alone is the end.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    pub packets: u32,
    /// Frames on each connection. A last one with a single packet follows them.
    #[arg(long, default_value_t = 6_000)]
    pub frames: u64,
    /// Frames a second on each connection; as fast as the socket takes them if 0.
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Instruments on each connection, over which the frames go round.
    #[arg(long, default_value_t = 3_000)]
    pub instruments: u32,
    /// Sends a heartbeat a second for so many seconds, and nothing else.
    #[arg(long, default_value_t = 0)]
    pub idle: u64,
}

impl Load {
    /// Gives the ticks on all connections together, those of the last frames among them.
    pub fn ticks(&self) -> u64 {
        self.connections as u64 * (self.frames * u64::from(self.packets) + 1)
    }
}

/// Says what has happened, to whoever has started this process.
pub fn tell(word: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{word}")?;
    out.flush()
}

/// Waits for a word of whoever has started this process.
pub fn hear() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Serves one load: tells its port, then that all are connected, sends when told to, tells the
/// seconds that it took.
pub fn serve(load: Load) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    tell(&listener.local_addr()?.port().to_string())?;
    let mut sockets = Vec::new();
    while sockets.len() < load.connections {
        let mut socket = listener.accept()?.0;
        shake_hands(&mut socket)?;
        let mut heard = socket.try_clone()?;
        // What clients say must not fill the socket.
        thread::spawn(move || io::copy(&mut heard, &mut io::sink()));
        sockets.push(socket);
    }
    tell("connected")?;
    hear()?;
    let started = Instant::now();
    let (done, all_done) = mpsc::channel();
    for (number, socket) in (0_u32..).zip(sockets) {
        let done = done.clone();
        thread::spawn(move || done.send(send(socket, &load, number, started)));
    }
    for _ in 0..load.connections {
        all_done.recv()??;
    }
    tell(&started.elapsed().as_secs_f64().to_string())?;
    // Until nobody needs the sockets.
    hear()?;
    Ok(())
}

/// A WebSocket frame, whole, and where its payload begins.
struct Prepared {
    bytes: Vec<u8>,
    payload: usize,
}

impl Prepared {
    fn new(payload: &[u8]) -> Self {
        let mut bytes = header(payload.len());
        let at = bytes.len();
        bytes.extend_from_slice(payload);
        Self { bytes, payload: at }
    }

    fn send(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        let at = self.payload + STAMP_AT;
        self.bytes[at..at + 8].copy_from_slice(&clock_ns().to_be_bytes());
        socket.write_all(&self.bytes)
    }
}

fn send(mut socket: TcpStream, load: &Load, number: u32, started: Instant) -> io::Result<()> {
    if load.idle > 0 {
        for _ in 0..load.idle {
            thread::sleep(Duration::from_secs(1));
            socket.write_all(&Prepared::new(&[0]).bytes)?;
        }
    } else {
        let first = number * load.instruments;
        let mut frames: Vec<Prepared> = (0..load.instruments.div_ceil(load.packets))
            .map(|n| Prepared::new(&frame(Contents::Full, first + n * load.packets, load.packets)))
            .collect();
        let kinds = frames.len() as u64;
        for n in 0..load.frames {
            if let Some(every) = 1_000_000_000_u64.checked_div(load.rate) {
                // The connections take turns, so that no two frames are due at once.
                let offset = every * u64::from(number) / load.connections as u64;
                let due = started + Duration::from_nanos(n * every + offset);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            frames[(n % kinds) as usize].send(&mut socket)?;
        }
        Prepared::new(&frame(Contents::Full, first, 1)).send(&mut socket)?;
    }
    socket.shutdown(Shutdown::Write)
}
