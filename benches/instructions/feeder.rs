//! A server on loopback that sends prepared frames on the client's thread.
//!
//! Loopback delivers a write immediately, so a read after it finds all of the data. Nothing depends
//! on scheduling, and two runs have the same count.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use benches::server::{header, shake_hands};
use benches::{Contents, frame_from, tick};
use kite_wire::Fields;

/// A server that waits for its only client.
pub(crate) struct Server {
    listener: TcpListener,
}

/// The server's end of the socket.
pub(crate) struct Feeder {
    socket: TcpStream,
    bursts: [Vec<u8>; 2],
}

impl Server {
    pub(crate) fn bind() -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0")? })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts the client and answers its handshake on a blocking thread.
    pub(crate) async fn accept(self, bursts: [Vec<u8>; 2]) -> io::Result<Feeder> {
        let socket = tokio::task::spawn_blocking(move || {
            let (mut socket, _) = self.listener.accept()?;
            shake_hands(&mut socket)?;
            io::Result::Ok(socket)
        });
        Ok(Feeder { socket: socket.await.map_err(io::Error::other)??, bursts })
    }
}

impl Feeder {
    /// Sends the next burst; the two alternate.
    pub(crate) fn feed(&mut self) -> io::Result<()> {
        self.bursts.swap(0, 1);
        self.socket.write_all(&self.bursts[0])
    }
}

/// Creates two bursts of WebSocket frames with `packets` full packets each and current exchange
/// times. Every instrument trades between them, as a ticking instrument does.
pub(crate) fn bursts(packets: u32, frames: u32) -> [Vec<u8>; 2] {
    [0, 1].map(|traded| burst(packets, frames, traded))
}

fn burst(packets: u32, frames: u32, traded: u32) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let payload = frame_from((0..packets).map(|n| {
        let mut tick = tick(Contents::Full, n);
        if let Fields::Full { quote, full } = &mut tick.fields {
            quote.volume += traded;
            full.exchange_timestamp = u32::try_from(now).unwrap_or_default();
        }
        tick
    }));
    let frame = [header(payload.len()), payload].concat();
    frame.repeat(frames as usize)
}
