//! The transport of a client's bytes, over TCP or in memory, plain or with TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A byte stream to a client.
#[derive(Debug)]
pub enum Transport {
    /// Over TCP.
    Tcp(TcpStream),
    /// In memory.
    Memory(DuplexStream),
}

/// The stream of a client's request and frames, which is a transport or layers above one.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    /// Returns the transport below all layers.
    fn transport(&mut self) -> &mut Transport;
}

impl Connection for Transport {
    fn transport(&mut self) -> &mut Transport {
        self
    }
}

impl Connection for Box<dyn Connection> {
    fn transport(&mut self) -> &mut Transport {
        (**self).transport()
    }
}

impl Transport {
    /// Returns the client's address; `None` in memory.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Memory(_) => None,
        }
    }

    /// Makes dropping this connection reset it. In memory, dropping only ends the stream.
    pub fn reset_on_drop(&self) {
        if let Self::Tcp(stream) = self {
            let lingering = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
            if let Err(error) = lingering {
                tracing::debug!(%error, "socket is closed, not reset");
            }
        }
    }

    /// Returns whether the client has closed its side or disconnected, without reading anything. In
    /// memory, only a disconnected client is noticed.
    pub fn is_over(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match self {
            Self::Tcp(stream) => {
                let ready = std::pin::pin!(stream.ready(Interest::READABLE));
                matches!(ready.poll(&mut cx), Poll::Ready(Ok(ready)) if ready.is_read_closed())
            }
            Self::Memory(stream) => {
                matches!(Pin::new(stream).poll_write(&mut cx, &[]), Poll::Ready(Err(_)))
            }
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::TcpListener;

    use super::*;

    async fn tcp() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Transport::Tcp(listener.accept().await.unwrap().0), client)
    }

    #[tokio::test]
    async fn a_reset_is_not_an_end_of_stream() {
        let (server, mut client) = tcp().await;
        server.reset_on_drop();
        drop(server);
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn an_end_after_unread_bytes_is_noticed() {
        let (mut server, mut client) = tcp().await;
        client.write_all(b"unread").await.unwrap();
        assert!(!server.is_over());
        drop(client);
        while !server.is_over() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn in_memory_a_disconnected_client_is_noticed() {
        let (server, mut client) = duplex(8);
        let mut server = Transport::Memory(server);
        client.write_all(b"unread").await.unwrap();
        assert!(!server.is_over());
        drop(client);
        assert!(server.is_over());
    }
}
