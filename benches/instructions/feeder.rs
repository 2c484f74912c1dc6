//! A server on loopback that sends frames prepared beforehand, on the client's own thread.
//!
//! Loopback hands over what is written at once, so a client that reads behind a write finds all of
//! it: nothing depends on who runs when, and two runs count the same.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use benches::{Contents, tick};
use kite_wire::{Fields, FrameEncoder};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

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
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte)?;
                request.extend(byte);
            }
            let request = String::from_utf8_lossy(&request);
            let key = request.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
            });
            let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
            socket.write_all(
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                     connection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
                )
                .as_bytes(),
            )?;
            socket.set_nodelay(true)?;
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
    let mut payload = vec![0; 2 + packets as usize * 186];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Ok(mut frame) = FrameEncoder::new(&mut payload) {
        for n in 0..packets {
            let mut tick = tick(Contents::Full, n);
            if let Fields::Full { quote, full } = &mut tick.fields {
                quote.volume += traded;
                full.exchange_timestamp = u32::try_from(now).unwrap_or_default();
            }
            let _ = frame.push(&tick);
        }
        let _ = frame.finish();
    }
    let mut burst = Vec::new();
    for _ in 0..frames {
        // Final, binary, not masked.
        burst.push(0x82);
        match u16::try_from(payload.len()) {
            Ok(length @ ..126) => burst.push(length.to_le_bytes()[0]),
            Ok(length) => {
                burst.push(126);
                burst.extend(length.to_be_bytes());
            }
            Err(_) => {
                burst.push(127);
                burst.extend((payload.len() as u64).to_be_bytes());
            }
        }
        burst.extend(&payload);
    }
    burst
}
