//! The stream below a WebSocket.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream that counts the bytes read from it and written to it.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns the number of bytes received so far, including TLS overhead.
    fn bytes_read(&self) -> u64;

    /// Returns the number of bytes accepted so far, including TLS overhead.
    fn bytes_written(&self) -> u64;

    /// Returns the failure of the connection, without reading anything. A failure is returned once
    /// at most, by this or by a write; what was received before it can still be read.
    fn take_failure(&self) -> Option<io::Error>;

    /// Makes dropping the stream reset the connection. With a peer that accepts no bytes, a normal
    /// end would wait for them, and the peer would count the socket as open.
    fn reset_on_drop(&self);
}
