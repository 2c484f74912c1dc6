//! A client's stream that can be muted, so that writes are discarded while reads continue.
//!
//! This simulates a half-open connection without touching the WebSocket's state.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::transport::{Connection, Transport};

/// A stream whose writing side can be cut off.
#[derive(Debug)]
pub(crate) struct MuteStream<S> {
    stream: S,
    is_muted: bool,
}

impl<S> MuteStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, is_muted: false }
    }

    /// Cuts off the writing side, or restores it. Call it only between frames, or the peer receives
    /// garbage.
    pub(crate) fn mute(&mut self, is_muted: bool) {
        self.is_muted = is_muted;
    }
}

impl<S: Connection> Connection for MuteStream<S> {
    fn transport(&mut self) -> &mut Transport {
        self.stream.transport()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MuteStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MuteStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_muted {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_muted {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_muted_stream_reads_but_does_not_write() {
        let (near, mut far) = duplex(64);
        let mut near = MuteStream::new(near);
        near.mute(true);
        near.write_all(b"lost").await.unwrap();
        far.write_all(b"input").await.unwrap();
        let mut input = [0; 5];
        near.read_exact(&mut input).await.unwrap();
        assert_eq!(&input, b"input");

        near.mute(false);
        near.write_all(b"output").await.unwrap();
        let mut output = [0; 6];
        far.read_exact(&mut output).await.unwrap();
        assert_eq!(&output, b"output");
    }
}
