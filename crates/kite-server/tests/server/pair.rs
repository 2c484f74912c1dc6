//! A socket and its client.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use kite_server::{Connection, Socket, Transport};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Connects over TCP, without a handshake.
pub(crate) async fn tcp() -> (Socket<Transport>, WebSocketStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = listener.accept().await.unwrap().0;
    let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
    let client = WebSocketStream::from_raw_socket(client, Role::Client, Some(config)).await;
    (Socket::new(server.into(), Vec::new()).await, client)
}

/// Connects in memory, with room for this many bytes, without a handshake.
pub(crate) async fn memory(
    room: usize,
) -> (Socket<Recorder>, WebSocketStream<DuplexStream>, Arc<Mutex<Vec<Write>>>) {
    let (client, server) = tokio::io::duplex(room);
    let writes = Arc::<Mutex<Vec<Write>>>::default();
    let server = Recorder { transport: server.into(), writes: Arc::clone(&writes) };
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    (Socket::new(server, Vec::new()).await, client, writes)
}

/// The addresses of the slices of one write.
pub(crate) type Write = Vec<usize>;

/// Records the writes to a transport.
pub(crate) struct Recorder {
    transport: Transport,
    writes: Arc<Mutex<Vec<Write>>>,
}

impl Connection for Recorder {
    fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = slices.iter().map(|slice| slice.as_ptr().addr()).collect();
        self.writes.lock().unwrap().push(write);
        Pin::new(&mut self.transport).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
