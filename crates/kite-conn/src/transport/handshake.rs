//! The WebSocket handshake of a client (RFC 6455, section 4.1).
//!
//! Generic over the stream, so that tests run it in memory. It offers no extension and no
//! subprotocol, follows no redirect, and logs nothing, because the request contains the token.

use http::header::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::Transport;
use super::body::{Body, read_body};
use super::dial::Deadline;
use super::endpoint::Endpoint;
use super::error::{HandshakeError, OpenError, OpenStage};
use super::head::{Head, read_head};
use super::refusal::Refusal;
use super::spelling::Spellings;
use crate::credentials::Credentials;
use crate::websocket::{Limits, WebSocket};

/// The default `User-Agent` for the server, and the one for a proxy.
pub(super) const USER_AGENT: &str = concat!("kite-conn/", env!("CARGO_PKG_VERSION"));

/// Headers that the handshake or HTTP itself sets.
const RESERVED: [HeaderName; 11] = [
    http::header::HOST,
    http::header::UPGRADE,
    http::header::CONNECTION,
    http::header::SEC_WEBSOCKET_KEY,
    http::header::SEC_WEBSOCKET_VERSION,
    http::header::SEC_WEBSOCKET_ACCEPT,
    http::header::SEC_WEBSOCKET_EXTENSIONS,
    http::header::SEC_WEBSOCKET_PROTOCOL,
    http::header::CONTENT_LENGTH,
    http::header::TRANSFER_ENCODING,
    http::header::EXPECT,
];

/// Turns a connected stream into a WebSocket; returns the head of the response too.
///
/// Frames received in the same segment as the server's response are delivered. A refusal contains
/// none of `secrets`.
///
/// # Errors
/// Returns [`OpenError::Refused`] for any status but 101, [`OpenError::Handshake`] for an invalid
/// response, and [`OpenError::Timeout`] if the head of the response is not complete by the
/// deadline. A status whose body is incomplete is still a refusal.
///
/// # Cancel safety
/// Cancel safe: dropping the future drops the stream.
pub(crate) async fn handshake<S>(
    mut stream: S,
    endpoint: &Endpoint,
    credentials: &Credentials,
    settings: &Transport,
    secrets: &Spellings,
    deadline: Deadline,
) -> Result<(WebSocket<S>, Head), OpenError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = generate_key();
    let request =
        request(endpoint, credentials, &settings.headers, &key).map_err(OpenError::Handshake)?;
    let exchange = async {
        let written = match stream.write_all(&request).await {
            Ok(()) => stream.flush().await,
            Err(error) => Err(error),
        };
        written.map_err(|error| HandshakeError::Io { received: 0, source: error.into() })?;
        read_head(&mut stream).await
    };
    let (head, mut rest) =
        deadline.bound(OpenStage::Handshake, exchange).await?.map_err(OpenError::Handshake)?;

    if head.status != 101 {
        let reading = read_body(&mut stream, head.body_end, &mut rest);
        let closed = deadline.bound(OpenStage::Handshake, reading).await.unwrap_or(false);
        let body = Body::decode(head.body_end, &rest, closed);
        let refusal = Refusal::new(head.status, &body, head.retry_after(), secrets);
        return Err(OpenError::Refused(refusal));
    }

    head.check_switch(&key).map_err(OpenError::Handshake)?;
    let limits =
        Limits { read_bytes: settings.read_buffer_bytes, message_bytes: settings.max_frame_bytes };
    Ok((WebSocket::new(stream, &rest, limits), head))
}

/// Writes the request. Header values cannot contain line breaks, which their type guarantees.
fn request(
    endpoint: &Endpoint,
    credentials: &Credentials,
    headers: &[(HeaderName, HeaderValue)],
    key: &str,
) -> Result<Vec<u8>, HandshakeError> {
    if let Some((name, _)) = headers.iter().find(|(name, _)| RESERVED.contains(name)) {
        return Err(HandshakeError::ReservedHeader { name: name.to_string() });
    }
    let mut request = format!(
        "GET {} HTTP/1.1\r\n\
         Host: {}\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n",
        endpoint.request_target(credentials),
        endpoint.host_header(),
    )
    .into_bytes();
    let is_set =
        |ours: &str| headers.iter().any(|(name, _)| name.as_str().eq_ignore_ascii_case(ours));
    for (name, value) in [("X-Kite-Version", "3"), ("User-Agent", USER_AGENT)] {
        if !is_set(name) {
            push_header(&mut request, name, value.as_bytes());
        }
    }
    for (name, value) in headers {
        push_header(&mut request, name.as_str(), value.as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    Ok(request)
}

fn push_header(request: &mut Vec<u8>, name: &str, value: &[u8]) {
    request.extend_from_slice(name.as_bytes());
    request.extend_from_slice(b": ");
    request.extend_from_slice(value);
    request.extend_from_slice(b"\r\n");
}
