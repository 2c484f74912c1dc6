//! What a WebSocket runs over.

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream that says how many bytes of ours it has taken.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns the number of bytes taken so far, those of TLS included.
    fn bytes_written(&self) -> u64;

    /// Makes the stream end by a reset: towards a peer that takes no bytes, an orderly end would
    /// wait with them, and the peer would count the socket as open.
    fn reset_on_drop(&self);
}
