//! TLS above a transport.

use std::io;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::transport::{Connection, Transport};

impl Connection for TlsStream<Transport> {
    fn transport(&mut self) -> &mut Transport {
        self.get_mut().0
    }
}

/// Accepts a TLS handshake.
///
/// # Errors
/// Returns an error if the transport or the client's handshake failed.
///
/// # Cancel safety
/// Not cancel safe: the connection is dropped.
pub async fn accept(
    acceptor: &TlsAcceptor,
    transport: Transport,
) -> io::Result<Box<dyn Connection>> {
    Ok(Box::new(acceptor.accept(transport).await?))
}
