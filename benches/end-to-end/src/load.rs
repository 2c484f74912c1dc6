//! The load: a server in a separate process that sends frames prepared in advance.
//!
//! It speaks just enough HTTP and WebSocket for any client, and discards what clients send. The
//! first packet of each frame carries the time of sending.

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

/// Offset of the volume and the total buy quantity in a frame's first packet: eight bytes that
/// every client decodes unchanged.
pub const STAMP_AT: usize = 4 + 16;

/// What the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct Load {
    /// Number of sockets; nothing is sent until all are open.
    #[arg(long, default_value_t = 3)]
    pub connections: usize,
    /// Full packets per frame, at least two, because a frame with one packet is the last.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    pub packets: u32,
    /// Frames on each connection, followed by a last one with a single packet.
    #[arg(long, default_value_t = 6_000)]
    pub frames: u64,
    /// Frames per second on each connection; 0 sends as fast as the socket accepts them.
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Instruments on each connection; successive frames cycle through them.
    #[arg(long, default_value_t = 3_000)]
    pub instruments: u32,
    /// Sends only heartbeats, one per second, for this many seconds.
    #[arg(long, default_value_t = 0)]
    pub idle: u64,
}

impl Load {
    /// Returns the number of ticks on all connections, including those of the last frames.
    pub fn ticks(&self) -> u64 {
        self.connections as u64 * (self.frames * u64::from(self.packets) + 1)
    }
}

/// Writes a line to the parent process.
pub fn send_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Waits for a line from the parent process.
pub fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Serves one load.
///
/// Writes its port, then a line when all clients are connected; waits for a line, sends the load,
/// and writes the seconds that this took.
pub fn serve(load: Load) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    send_line(&listener.local_addr()?.port().to_string())?;
    let mut sockets = Vec::new();
    while sockets.len() < load.connections {
        let mut socket = listener.accept()?.0;
        shake_hands(&mut socket)?;
        let mut incoming = socket.try_clone()?;
        // Discarded, so that what clients send does not fill the socket.
        thread::spawn(move || io::copy(&mut incoming, &mut io::sink()));
        sockets.push(socket);
    }
    send_line("connected")?;
    read_line()?;
    let started = Instant::now();
    let (done, all_done) = mpsc::channel();
    for (number, socket) in (0_u32..).zip(sockets) {
        let done = done.clone();
        thread::spawn(move || done.send(send(socket, &load, number, started)));
    }
    for _ in 0..load.connections {
        all_done.recv()??;
    }
    send_line(&started.elapsed().as_secs_f64().to_string())?;
    // Keeps the sockets open until the parent is done.
    read_line()?;
    Ok(())
}

/// A complete WebSocket frame, and the offset of its payload.
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
                // The connections are offset, so that no two frames are due at the same time.
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
