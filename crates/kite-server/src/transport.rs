//! The transport of a client's bytes, over TCP or in memory, plain or with TLS.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Interval at which a write is tried that waits for room.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Whether the operating system has `TCP_NOTSENT_LOWAT`.
const HAS_UNSENT_LIMIT: bool = cfg!(any(target_os = "android", target_os = "linux"));

/// `MSG_NOSIGNAL` of these systems: a client that is gone is an error, not a signal.
const NO_SIGNAL: i32 = if HAS_UNSENT_LIMIT { 0x4000 } else { 0 };

/// A byte stream to a client.
#[derive(Debug)]
pub struct Transport {
    stream: ByteStream,
    bytes_written: u64,
    /// When a write was last tried although the operating system had announced no room.
    tried: Option<Instant>,
}

#[derive(Debug)]
enum ByteStream {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self { stream: ByteStream::Tcp(stream), bytes_written: 0, tried: None }
    }
}

impl From<DuplexStream> for Transport {
    fn from(stream: DuplexStream) -> Self {
        Self { stream: ByteStream::Memory(stream), bytes_written: 0, tried: None }
    }
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
        match &self.stream {
            ByteStream::Tcp(stream) => stream.peer_addr().ok(),
            ByteStream::Memory(_) => None,
        }
    }

    /// Returns the number of bytes that the operating system, or the other end in memory, has
    /// taken.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Limits how many bytes the operating system takes before it has sent them
    /// (`TCP_NOTSENT_LOWAT`), so that what waits for a slow client waits where newer data can
    /// replace it. What is on its way is not limited. The system announces room only once half of
    /// that is sent, so a write that waits is also tried once a second: otherwise a client that reads
    /// little would look like one that takes nothing. Has no effect in memory and on systems other
    /// than Linux and Android.
    ///
    /// # Errors
    /// Returns an error if the operating system refuses.
    pub fn set_unsent_limit(&self, bytes: u32) -> io::Result<()> {
        match &self.stream {
            #[cfg(any(target_os = "android", target_os = "linux"))]
            ByteStream::Tcp(stream) => SockRef::from(stream).set_tcp_notsent_lowat(bytes),
            _ => {
                let _ = bytes;
                Ok(())
            }
        }
    }

    /// Makes dropping this connection reset it. In memory, dropping only ends the stream.
    pub fn reset_on_drop(&self) {
        if let ByteStream::Tcp(stream) = &self.stream {
            let lingering = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            if let Err(error) = lingering {
                tracing::debug!(%error, "socket is closed, not reset");
            }
        }
    }

    /// Returns whether the client has closed its side or disconnected, without reading anything. In
    /// memory, only a disconnected client is noticed.
    pub fn is_over(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match &mut self.stream {
            ByteStream::Tcp(stream) => {
                let ready = std::pin::pin!(stream.ready(Interest::READABLE));
                matches!(ready.poll(&mut cx), Poll::Ready(Ok(ready)) if ready.is_read_closed())
            }
            ByteStream::Memory(stream) => {
                matches!(Pin::new(stream).poll_write(&mut cx, &[]), Poll::Ready(Err(_)))
            }
        }
    }
}

impl Transport {
    /// Counts what was written; tries again with `send` if that is due.
    fn count(
        &mut self,
        written: Poll<io::Result<usize>>,
        send: impl FnOnce(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let written = if written.is_pending() { self.try_to(send) } else { written };
        let written = ready!(written)?;
        self.bytes_written += written as u64;
        Poll::Ready(Ok(written))
    }

    /// Tries a write for which the operating system has announced no room, at most once a second.
    fn try_to(
        &mut self,
        send: impl FnOnce(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let ByteStream::Tcp(stream) = &self.stream else { return Poll::Pending };
        let now = Instant::now();
        if !HAS_UNSENT_LIMIT || now - *self.tried.get_or_insert(now) < TRY_EVERY {
            return Poll::Pending;
        }
        self.tried = Some(now);
        match send(&SockRef::from(stream)) {
            Err(error) if is_temporary(&error) => Poll::Pending,
            written => Poll::Ready(written),
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            ByteStream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            ByteStream::Memory(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            ByteStream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            ByteStream::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.count(written, |socket| socket.send_with_flags(bytes, NO_SIGNAL))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            ByteStream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            ByteStream::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        this.count(written, |socket| socket.send_vectored_with_flags(slices, NO_SIGNAL))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            ByteStream::Tcp(stream) => stream.is_write_vectored(),
            ByteStream::Memory(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            ByteStream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            ByteStream::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            ByteStream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            ByteStream::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
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
        (listener.accept().await.unwrap().0.into(), client)
    }

    #[tokio::test]
    async fn a_reset_is_not_an_end_of_stream() {
        let (server, mut client) = tcp().await;
        server.reset_on_drop();
        drop(server);
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[tokio::test]
    async fn a_client_that_reads_less_than_half_of_the_unsent_bytes_takes_some() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::net::TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4_096).unwrap();
        let mut client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = Transport::from(listener.accept().await.unwrap().0);
        server.set_unsent_limit(256 * 1024).unwrap();
        let bytes = [7; 1_000];
        let mut cx = Context::from_waker(Waker::noop());
        // Until tries find no room either.
        let mut progress = (0, Instant::now());
        while progress.1.elapsed() < TRY_EVERY * 3 {
            if Pin::new(&mut server).poll_write(&mut cx, &bytes).is_ready() {
                progress = (server.bytes_written(), Instant::now());
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let mut read = vec![0; 16 * 1024];
        client.read_exact(&mut read).await.unwrap();
        let taking = async {
            while server.bytes_written() == progress.0 {
                let _ = Pin::new(&mut server).poll_write(&mut cx, &bytes);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), taking).await.unwrap();
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[tokio::test]
    async fn the_limit_of_unsent_bytes_reaches_the_operating_system() {
        let (server, _client) = tcp().await;
        server.set_unsent_limit(64 * 1024).unwrap();
        let ByteStream::Tcp(stream) = &server.stream else { panic!("not TCP") };
        assert_eq!(SockRef::from(stream).tcp_notsent_lowat().unwrap(), 64 * 1024);
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
        let mut server = Transport::from(server);
        client.write_all(b"unread").await.unwrap();
        assert!(!server.is_over());
        drop(client);
        assert!(server.is_over());
    }
}
