//! The HTTP side of a connection: reads the request's head and writes the response.
//!
//! Knows no accounts or limits; the server decides whether to accept a request.

use std::fmt;
use std::io;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::refusal::Refusal;

/// A request's head must end within this many bytes.
const MAX_HEAD_BYTES: usize = 16 * 1_024;
const MAX_HEADERS: usize = 64;
const READ_BYTES: usize = 2_048;

/// A well-formed request for a WebSocket. `Debug` omits the credentials, because the access token is
/// a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The API key of the query, decoded.
    pub api_key: String,
    /// The access token of the query, decoded.
    pub access_token: String,
    /// The `Origin` header, which browsers send and other clients do not.
    pub origin: Option<String>,
    /// The value of `Sec-WebSocket-Accept`.
    accept_key: String,
}

impl Upgrade {
    /// Replaces the accept key with that of another request, which makes a client reject the response.
    #[must_use]
    pub fn with_wrong_key(mut self) -> Self {
        self.accept_key = derive_accept_key(self.accept_key.as_bytes());
        self
    }
}

/// The data that a client sent before the first frame.
#[derive(Debug)]
pub struct Request {
    /// The requested upgrade, or its refusal.
    pub upgrade: Result<Upgrade, Refusal>,
    /// Bytes received after the head, the beginning of the first frame.
    pub rest: Vec<u8>,
}

/// Reads the head of a request, of at most 16 KiB and 64 headers; a longer one is refused.
///
/// # Errors
/// Returns an error if the socket failed or ended before the head did.
///
/// # Cancel safety
/// Not cancel safe: what has been read is lost.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Request> {
    let mut bytes = Vec::with_capacity(READ_BYTES);
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((length, upgrade)) = parse(&bytes)
            && length <= MAX_HEAD_BYTES
        {
            return Ok(Request { upgrade, rest: bytes.split_off(length) });
        }
        if bytes.len() > MAX_HEAD_BYTES {
            return Ok(Request { upgrade: Err(Refusal::malformed()), rest: Vec::new() });
        }
    }
}

/// Switches the connection to the WebSocket protocol.
///
/// # Errors
/// Returns an error if the socket failed.
///
/// # Cancel safety
/// Not cancel safe: part of the response may have been sent.
pub async fn accept(socket: &mut (impl AsyncWrite + Unpin), upgrade: &Upgrade) -> io::Result<()> {
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        upgrade.accept_key
    );
    socket.write_all(response.as_bytes()).await?;
    socket.flush().await
}

/// Reads to the end of the stream.
///
/// # Errors
/// Returns an error if the socket failed.
///
/// # Cancel safety
/// Cancel safe. What has been read is discarded.
pub async fn discard(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut bytes = [0; READ_BYTES];
    while socket.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// Ends a response and waits until the client has closed its side, because a socket closed with
/// unread bytes is reset, which could lose the response in flight.
///
/// # Errors
/// Returns an error if the socket failed.
///
/// # Cancel safety
/// Cancel safe: calling it again continues.
pub async fn finish(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    socket.shutdown().await?;
    discard(socket).await
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

/// Parses a head; returns its length and the upgrade, or `None` while it is incomplete.
fn parse(bytes: &[u8]) -> Option<(usize, Result<Upgrade, Refusal>)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Some((length, upgrade(&request))),
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some((bytes.len(), Err(Refusal::malformed()))),
    }
}

fn upgrade(request: &httparse::Request<'_, '_>) -> Result<Upgrade, Refusal> {
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| str::from_utf8(header.value).ok()).map(str::trim)
    };
    let lists = |name: &str, word: &str| {
        header(name).is_some_and(|value| {
            value.split(',').any(|item| item.trim().eq_ignore_ascii_case(word))
        })
    };
    // Kite's load balancer refuses a target without the slash before the query (users' reports).
    let target = request.path.filter(|target| target.starts_with('/'));
    let websocket = request.method == Some("GET")
        && request.version == Some(1)
        && lists("Upgrade", "websocket")
        && lists("Connection", "upgrade")
        && header("Sec-WebSocket-Version") == Some("13");
    let key = header("Sec-WebSocket-Key").filter(|_| websocket);
    let (Some(target), Some(key)) = (target, key) else { return Err(Refusal::malformed()) };

    let query = target.split_once('?').map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
        let value = percent_decode_str(value).decode_utf8().ok()?.into_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    match (parameter("api_key"), parameter("access_token")) {
        (Some(api_key), Some(access_token)) => {
            let origin = origin(request);
            let accept_key = derive_accept_key(key.as_bytes());
            Ok(Upgrade { api_key, access_token, origin, accept_key })
        }
        _ => Err(Refusal::no_credentials()),
    }
}

/// Returns the `Origin` header; one that is not text is kept as far as it is.
fn origin(request: &httparse::Request<'_, '_>) -> Option<String> {
    let found = request.headers.iter().find(|it| it.name.eq_ignore_ascii_case("Origin"));
    found.map(|header| String::from_utf8_lossy(header.value).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nconnection: keep-alive, Upgrade\r\n\
             upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    }

    fn parsed(head: &str) -> Result<Upgrade, Refusal> {
        parse(head.as_bytes()).unwrap().1
    }

    #[test]
    fn credentials_are_decoded() {
        let upgrade = parsed(&head("/?user_id=x&api_key=a%26b&access_token=t%3D%2f"));
        let upgrade = upgrade.ok().unwrap();
        assert_eq!((upgrade.api_key.as_str(), upgrade.access_token.as_str()), ("a&b", "t=/"));
        assert_eq!(upgrade.origin, None);
        // The sample of RFC 6455, section 1.3.
        assert_eq!(upgrade.accept_key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn an_origin_is_kept_even_if_it_is_empty_or_no_text() {
        for (value, expected) in
            [("https://example.com", "https://example.com"), ("null", "null"), ("", "")]
        {
            let header = format!("origin: {value}\r\nHost");
            let request = head("/?api_key=a&access_token=t").replace("Host", &header);
            assert_eq!(parsed(&request).ok().unwrap().origin.as_deref(), Some(expected));
        }
        let mut bytes = head("/?api_key=a&access_token=t").into_bytes();
        let end = bytes.len() - 2;
        bytes.splice(end..end, *b"Origin: \xff\r\n");
        let (_, upgrade) = parse(&bytes).unwrap();
        assert_eq!(upgrade.ok().unwrap().origin.as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn missing_credentials_are_refused_in_json() {
        for target in
            ["/", "/?api_key=a", "/?access_token=t", "/?api_key=&access_token=t", "/?api_key"]
        {
            assert_eq!(parsed(&head(target)).err(), Some(Refusal::no_credentials()), "{target}");
        }
    }

    #[test]
    fn a_malformed_request_is_refused_in_html() {
        let good = head("/?api_key=a&access_token=t");
        assert!(parsed(&good).is_ok());
        for bad in [
            good.replace("GET", "POST"),
            good.replace("HTTP/1.1", "HTTP/1.0"),
            good.replace("WebSocket\r", "h2c\r"),
            good.replace("keep-alive, Upgrade", "close"),
            good.replace("Version: 13", "Version: 8"),
            good.replace("Sec-WebSocket-Key", "X-Key"),
            good.replace("/?api_key", "?api_key"),
            good.replace("Host: localhost", "Host"),
            "\u{1}\u{2}\r\n\r\n".to_owned(),
        ] {
            assert_eq!(parsed(&bad).err(), Some(Refusal::malformed()), "{bad}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_head_in_pieces_is_joined_and_the_rest_kept() {
        let bytes = head("/?api_key=a&access_token=t") + "first frame";
        let (front, back) = bytes.as_bytes().split_at(40);
        let request = read(&mut front.chain(back)).await.unwrap();
        assert!(request.upgrade.is_ok());
        assert_eq!(request.rest, b"first frame");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_endless_or_truncated_head_is_refused() {
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD_BYTES));
        let request = read(&mut endless.as_bytes()).await.unwrap();
        assert_eq!(request.upgrade.err(), Some(Refusal::malformed()));
        // However it arrives: here the end of the head is read together with what exceeds the limit.
        let good = head("/?api_key=a&access_token=t");
        for (length, is_admitted) in [(MAX_HEAD_BYTES, true), (MAX_HEAD_BYTES + 1, false)] {
            let padding = "x".repeat(length - good.len() - "X: \r\n".len());
            let long = good.replace("Host:", &format!("X: {padding}\r\nHost:"));
            assert_eq!(long.len(), length);
            let request = read(&mut long.as_bytes()).await.unwrap();
            assert_eq!(request.upgrade.is_ok(), is_admitted);
        }
        assert!(read(&mut &b"GET / HT"[..]).await.is_err());
    }
}
