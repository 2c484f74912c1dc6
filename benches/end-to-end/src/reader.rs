//! A hand-written WebSocket reader: shows how fast a replacement for tungstenite could be.
//!
//! It reads into memory that is not zeroed first and trusts the server: no pings, no fragments, no
//! checks. The missing parts run rarely and would cost little.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::Failure;

/// Frames of one socket.
pub struct Reader {
    socket: TcpStream,
    buffer: BytesMut,
    read_buffer: usize,
}

impl Reader {
    /// Creates a reader for a socket after its handshake, which reads `read_buffer` bytes at a
    /// time.
    pub fn new(socket: TcpStream, read_buffer: usize) -> Self {
        Self { socket, buffer: BytesMut::with_capacity(read_buffer), read_buffer }
    }

    /// Returns the payload of the next frame, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let (header, payload) = loop {
            if let Some(header) = self.header() {
                break header;
            }
            if !self.read(self.read_buffer).await? {
                return Ok(None);
            }
        };
        self.buffer.advance(header);
        while let missing @ 1.. = payload.saturating_sub(self.buffer.len()) {
            if !self.read(missing.max(self.read_buffer)).await? {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer.split_to(payload).freeze()))
    }

    /// Returns the lengths of the header and the payload.
    fn header(&self) -> Option<(usize, usize)> {
        match *self.buffer.get(1)? & 0x7f {
            126 => {
                let length = self.buffer.get(2..)?.first_chunk()?;
                Some((4, usize::from(u16::from_be_bytes(*length))))
            }
            127 => {
                let length = self.buffer.get(2..)?.first_chunk()?;
                Some((10, u64::from_be_bytes(*length) as usize))
            }
            length => Some((2, usize::from(length))),
        }
    }

    async fn read(&mut self, room: usize) -> Result<bool, Failure> {
        if self.buffer.capacity() == self.buffer.len() || room > self.read_buffer {
            self.buffer.reserve(room);
        }
        Ok(self.socket.read_buf(&mut self.buffer).await? > 0)
    }
}
