//! The parts of a WebSocket server that a load needs, namely the response to a handshake and the
//! header of a frame. Frames from the client are not parsed.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Answers the opening handshake.
///
/// # Errors
/// Returns an error if reading or writing failed, or if the request has no key.
pub fn shake_hands(socket: &mut TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    let mut byte = [0];
    // One byte at a time, so that nothing after the request is consumed.
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
    });
    let key = key.ok_or_else(|| io::Error::other("the handshake has no Sec-WebSocket-Key"))?;
    let accept = derive_accept_key(key.as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(response.as_bytes())
}

/// Returns the header of a final, unmasked binary frame with this payload length.
#[must_use]
pub fn header(payload_bytes: usize) -> Vec<u8> {
    let mut header = vec![0x82];
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(length @ ..126), _) => header.push(length),
        (_, Ok(length)) => {
            header.push(126);
            header.extend(length.to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend((payload_bytes as u64).to_be_bytes());
        }
    }
    header
}
