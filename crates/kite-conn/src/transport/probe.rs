//! The stages of opening a connection one by one, for diagnosis.
//!
//! The stages are those of [`Dialer`]. The WebSocket handshake is not included, so no token is
//! sent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::ProtocolVersion;

use super::dial;
use super::error::OpenError;
use super::stream::Stream;
use super::{Deadline, Dialer, Endpoint, Inner, Transport};

/// Opens a connection stage by stage, as a connection with the same settings does.
///
/// Each stage has the whole connect timeout of the settings, and panics on a runtime without timers
/// or I/O ([`Connection::runtime`](crate::Connection::runtime) checks).
///
/// ```no_run
/// use kite_conn::{Endpoint, Probe, Transport};
///
/// # async fn look() -> Result<(), Box<dyn std::error::Error>> {
/// let probe = Probe::new(Endpoint::default(), Transport::default());
/// let addresses = probe.resolve().await?;
/// let stream = probe.connect(*addresses.first().ok_or("no address")?).await?;
/// let stream = probe.secure(stream).await?;
/// println!("{:?}", stream.tls_version());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Probe(Dialer);

impl Probe {
    /// Creates a probe of an endpoint with the proxy, TLS and connect timeout of `transport`.
    #[must_use]
    pub fn new(endpoint: Endpoint, transport: Transport) -> Self {
        Self(Dialer::new(endpoint, transport))
    }

    /// Looks up the addresses of the host, or of the proxy to it, in the order in which a connection
    /// starts to try them.
    ///
    /// # Errors
    /// Returns [`OpenError::Dns`], [`OpenError::NoAddress`] or [`OpenError::Timeout`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, OpenError> {
        let way = self.inner().way(None);
        let addresses = dial::resolve(way, self.deadline()).await?;
        match addresses.is_empty() {
            true => Err(OpenError::NoAddress { host: way.host().to_owned() }),
            false => Ok(addresses),
        }
    }

    /// Connects to one address by TCP, and through the proxy if there is one.
    ///
    /// # Errors
    /// Returns [`OpenError::NotLoopback`], [`OpenError::Connect`], [`OpenError::Timeout`], or a
    /// proxy's refusal.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes the socket.
    pub async fn connect(&self, address: SocketAddr) -> Result<ProbeStream, OpenError> {
        let way = self.inner().way(None);
        if !way.endpoint.permits(&address) {
            let host = way.host().to_owned();
            return Err(OpenError::NotLoopback { host, address: address.ip() });
        }
        let tcp = dial::connect(way, address, self.deadline()).await?;
        Ok(ProbeStream { address, stream: Stream::Plain(tcp) })
    }

    /// Performs the TLS handshake with the endpoint. A stream that already has TLS is returned
    /// unchanged.
    ///
    /// # Errors
    /// Returns [`OpenError::TlsSetup`], [`OpenError::Tls`] or [`OpenError::Timeout`].
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes the socket.
    pub async fn secure(&self, stream: ProbeStream) -> Result<ProbeStream, OpenError> {
        let ProbeStream { address, stream } = stream;
        let Stream::Plain(tcp) = stream else { return Ok(ProbeStream { address, stream }) };
        let deadline = self.deadline();
        let tls = self.inner().build_tls(deadline).await?;
        let way = self.inner().way(Some(&tls));
        let stream = dial::secure(way, &tls, tcp, address, deadline).await?;
        Ok(ProbeStream { address, stream })
    }

    fn inner(&self) -> &Inner {
        let Dialer(inner) = &self.0;
        inner
    }

    fn deadline(&self) -> Deadline {
        Deadline::within(self.inner().settings.connect_timeout)
    }
}

/// A stream to the endpoint on which nothing has been sent yet.
#[derive(Debug)]
pub struct ProbeStream {
    address: SocketAddr,
    stream: Stream,
}

impl ProbeStream {
    /// Returns the version of TLS, such as `TLS 1.3`; `None` without TLS.
    #[must_use]
    pub fn tls_version(&self) -> Option<&'static str> {
        let Stream::Tls(tls) = &self.stream else { return None };
        Some(match tls.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        })
    }
}

impl AsyncRead for ProbeStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProbeStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::transport::TlsFault;

    async fn listen(scheme: &str) -> (TcpListener, Probe) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
        let endpoint = Endpoint::parse(&endpoint).unwrap();
        (listener, Probe::new(endpoint, Transport::default()))
    }

    #[tokio::test]
    async fn the_stages_return_a_stream_on_which_nothing_was_sent() {
        let (listener, probe) = listen("ws").await;
        let addresses = probe.resolve().await.unwrap();
        assert_eq!(addresses, [listener.local_addr().unwrap()]);
        let mut stream = probe.connect(addresses[0]).await.unwrap();
        assert_eq!(stream.tls_version(), None);
        let (mut server, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut first = [0; 5];
        server.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"hello");
    }

    #[tokio::test]
    async fn each_stage_has_its_own_errors() {
        let (listener, probe) = listen("wss").await;
        let address = listener.local_addr().unwrap();
        let stream = probe.connect(address).await.unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream
        };
        let (secured, _stream) = tokio::join!(probe.secure(stream), server);
        let error = secured.unwrap_err();
        assert!(matches!(error, OpenError::Tls { fault: TlsFault::NotTls, .. }), "{error:?}");
        drop(listener);
        let error = probe.connect(address).await.unwrap_err();
        assert!(matches!(error, OpenError::Connect { tried: 1, .. }), "{error:?}");
    }

    #[tokio::test]
    async fn without_tls_only_loopback_is_connected() {
        let (_listener, probe) = listen("ws").await;
        let error = probe.connect(([192, 0, 2, 1], 80).into()).await.unwrap_err();
        assert!(matches!(error, OpenError::NotLoopback { .. }), "{error:?}");
    }
}
