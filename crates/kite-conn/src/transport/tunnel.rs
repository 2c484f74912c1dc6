//! Tunnels through an HTTP proxy: `CONNECT` and the proxy's response (RFC 9110, section 9.3.6).
//!
//! The target's name is sent, not an address, so the proxy looks it up. This code has access to
//! neither the access token nor the endpoint's path.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::body::{Body, read_body};
use super::dial::Deadline;
use super::error::{HandshakeError, OpenError, OpenStage};
use super::handshake::USER_AGENT;
use super::head::read_head;
use super::proxy::Proxy;
use super::refusal::Refusal;
use super::spelling::Spellings;

/// Asks a proxy at the other end of `stream` for a connection to `target`, a host and port.
///
/// # Errors
/// Returns [`OpenError::ProxyRefused`] for any status but 2xx, [`OpenError::Proxy`] for an invalid
/// response, and [`OpenError::Timeout`] if its head is not complete by the deadline.
///
/// # Cancel safety
/// Cancelling leaves nothing behind, but the stream cannot be used afterwards.
pub(super) async fn open_tunnel<S>(
    stream: &mut S,
    proxy: &Proxy,
    address: SocketAddr,
    target: &str,
    deadline: Deadline,
) -> Result<(), OpenError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(proxy, target);
    let exchange = async {
        let written = match stream.write_all(request.as_bytes()).await {
            Ok(()) => stream.flush().await,
            Err(error) => Err(error),
        };
        written.map_err(|error| HandshakeError::Io { received: 0, source: error.into() })?;
        read_head(stream).await
    };
    let fault = |source| OpenError::Proxy { proxy: proxy.authority(), address, source };
    let (head, mut rest) = deadline.bound(OpenStage::Proxy, exchange).await?.map_err(fault)?;
    match head.status {
        // The client speaks first, in TLS as in HTTP.
        200..=299 if rest.is_empty() => Ok(()),
        200..=299 => Err(fault(HandshakeError::EarlyBytes { bytes: rest.len() })),
        status => {
            let reading = read_body(stream, head.body_end, &mut rest);
            let closed = deadline.bound(OpenStage::Proxy, reading).await.unwrap_or(false);
            let body = Body::decode(head.body_end, &rest, closed);
            let secrets = Spellings::of(proxy.secrets());
            let refusal = Refusal::by_proxy(status, &body, head.retry_after(), &secrets);
            Err(OpenError::ProxyRefused { proxy: proxy.authority(), refusal })
        }
    }
}

fn request(proxy: &Proxy, target: &str) -> String {
    let authorization = proxy.authorization();
    let authorization =
        authorization.map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
    format!(
        "CONNECT {target} HTTP/1.1\r\n\
         Host: {target}\r\n\
         {authorization}\
         User-Agent: {USER_AGENT}\r\n\
         \r\n"
    )
}
