//! A server on loopback that sends frames prepared beforehand, on the client's own thread.
//!
//! Loopback hands over what is written at once, so a client that reads behind a write finds all of
//! it: nothing depends on who runs when, and two runs count the same.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use benches::server::{header, shake_hands};
use benches::{Contents, frame_of, tick};
use kite_wire::Fields;

/// The server, before its one client has come.
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

    /// Takes the client's handshake, on a thread of its own that ends with it.
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
    /// Sends a burst of frames, the two in turn.
    pub(crate) fn feed(&mut self) -> io::Result<()> {
        self.bursts.swap(0, 1);
        self.socket.write_all(&self.bursts[0])
    }
}

/// Makes two bursts of WebSocket frames of so many full packets each, fresh by the exchange's clock.
/// Between them every instrument has traded, as those have that tick.
pub(crate) fn bursts(packets: u32, frames: u32) -> [Vec<u8>; 2] {
    [0, 1].map(|traded| burst(packets, frames, traded))
}

fn burst(packets: u32, frames: u32, traded: u32) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let payload = frame_of((0..packets).map(|n| {
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
