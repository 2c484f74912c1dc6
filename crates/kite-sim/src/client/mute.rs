//! A client's stream whose writing side can be cut off or slowed down while reads continue.
//!
//! This simulates a half-open connection and a slow link without touching the WebSocket's state.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use kite_server::{Connection, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pace::{Pace, Speed};

/// A stream whose writing side can be cut off or slowed down.
#[derive(Debug)]
pub(crate) struct MuteStream<S> {
    stream: S,
    is_muted: bool,
    pace: Pace,
}

impl<S> MuteStream<S> {
    pub(crate) fn new(stream: S, speed: Speed) -> Self {
        Self { stream, is_muted: false, pace: Pace::new(speed) }
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
        let Self { stream, pace, .. } = &mut *self;
        let room = ready!(pace.poll_room(cx)).min(bytes.len());
        let written = ready!(Pin::new(stream).poll_write(cx, &bytes[..room]))?;
        pace.written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = slices.iter().map(|slice| slice.len()).sum();
        if self.is_muted {
            return Poll::Ready(Ok(total));
        }
        let Self { stream, pace, .. } = &mut *self;
        let room = ready!(pace.poll_room(cx));
        let written = match slices.iter().find(|slice| !slice.is_empty()) {
            // A slow link carries one part at a time.
            Some(first) if room < total => {
                let part = &first[..room.min(first.len())];
                ready!(Pin::new(stream).poll_write(cx, part))?
            }
            _ => ready!(Pin::new(stream).poll_write_vectored(cx, slices))?,
        };
        pace.written(written);
        Poll::Ready(Ok(written))
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
        let mut near = MuteStream::new(near, Speed::default());
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
