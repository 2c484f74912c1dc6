//! The feed: a server that sends what each of its sockets has subscribed, at an even pace.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use benches::server::{header, shake_hands};
use benches::{Contents, frame_from, tick};
use kite_wire::{CommandKind, Mode, ParsedCommand};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

use super::shape::{Shape, UPSTREAMS};
use crate::Failure;
use crate::load::{STAMP_AT, read_line, send_line};
use crate::machine::clock_ns;

/// A full packet and its length prefix.
const PACKET: usize = 186;

/// Serves the feed once.
///
/// Writes its port; once everything is subscribed, sends one packet of each instrument; waits for a
/// line, sends the feed, and writes the seconds that this took.
pub fn serve(shape: Shape) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    send_line(&listener.local_addr()?.port().to_string())?;
    let (commands, subscribed) = mpsc::channel();
    let mut sockets = Vec::new();
    for number in 0..UPSTREAMS {
        let mut socket = listener.accept()?.0;
        shake_hands(&mut socket)?;
        let (incoming, commands) = (socket.try_clone()?, commands.clone());
        thread::spawn(move || read_commands(incoming, number, &commands));
        sockets.push((socket, BTreeSet::new()));
    }
    while sockets.iter().map(|(_, book)| book.len()).sum::<usize>() < shape.instruments as usize {
        let (number, tokens) = subscribed.recv()?;
        sockets[number as usize].1.extend(tokens);
    }
    let mut feeds: Vec<Feed> =
        sockets.into_iter().map(|(socket, book)| Feed::new(socket, &book, &shape)).collect();
    for feed in &mut feeds {
        (0..feed.frames.len()).try_for_each(|n| feed.send(n))?;
    }
    read_line()?;
    let started = Instant::now();
    let (done, all_done) = mpsc::channel();
    for (number, mut feed) in (0..UPSTREAMS).zip(feeds) {
        let done = done.clone();
        thread::spawn(move || {
            let sent = feed.send_all(&shape, number, started);
            // Returned, so that the socket stays open.
            done.send((sent, feed))
        });
    }
    let feeds: Vec<_> = all_done.iter().take(UPSTREAMS as usize).collect();
    for (sent, _) in &feeds {
        if let Err(error) = sent {
            return Err(error.to_string().into());
        }
    }
    send_line(&started.elapsed().as_secs_f64().to_string())?;
    // Keeps the sockets open until the parent is done.
    read_line()?;
    Ok(())
}

/// Passes on the instruments that become full, until the socket ends.
fn read_commands(socket: TcpStream, number: u32, commands: &Sender<(u32, Vec<u32>)>) {
    let mut socket = WebSocket::from_raw_socket(socket, Role::Server, None);
    while let Ok(message) = socket.read() {
        if let Ok(text) = message.to_text()
            && let Ok(command) = ParsedCommand::parse(text)
            && command.kind == CommandKind::Mode(Mode::Full)
        {
            // Fails once the feed has started, which no longer receives.
            let _ = commands.send((number, command.tokens.collect()));
        }
    }
}

/// One socket with its frames, which are prepared in advance.
struct Feed {
    socket: TcpStream,
    frames: Vec<Prepared>,
}

/// A complete WebSocket frame, the offset of its payload, and its number of packets.
struct Prepared {
    bytes: Vec<u8>,
    payload: usize,
    packets: usize,
}

impl Feed {
    fn new(socket: TcpStream, book: &BTreeSet<u32>, shape: &Shape) -> Self {
        let tokens: Vec<u32> = book.iter().copied().collect();
        let frames = tokens.chunks(shape.packets as usize).map(Prepared::new).collect();
        Self { socket, frames }
    }

    /// Sends a frame with the present time in each packet, because a relay may cut any of them out.
    fn send(&mut self, number: usize) -> io::Result<()> {
        let Prepared { bytes, payload, packets } = &mut self.frames[number];
        for packet in 0..*packets {
            let at = *payload + STAMP_AT + packet * PACKET;
            bytes[at..at + 8].copy_from_slice(&clock_ns().to_be_bytes());
        }
        self.socket.write_all(bytes)
    }

    fn send_all(&mut self, shape: &Shape, number: u32, started: Instant) -> io::Result<()> {
        let rounds = shape.speed * shape.seconds;
        let every = Duration::from_secs(1) / shape.speed / self.frames.len().max(1) as u32;
        // The connections are offset, so that no two frames are due at the same time.
        let mut due = started + every * number / UPSTREAMS;
        for _ in 0..rounds {
            for frame in 0..self.frames.len() {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                self.send(frame)?;
                due += every;
            }
        }
        Ok(())
    }
}

impl Prepared {
    fn new(tokens: &[u32]) -> Self {
        let ticks = tokens.iter().map(|token| tick(Contents::Full, token >> 8));
        let frame = frame_from(ticks);
        let mut bytes = header(frame.len());
        let payload = bytes.len();
        bytes.extend_from_slice(&frame);
        Self { bytes, payload, packets: tokens.len() }
    }
}
