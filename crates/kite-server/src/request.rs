//! One plain HTTP request and its response, for the pages and endpoints beside the socket.
//!
//! One request a connection: no keep-alive, no chunked bodies, no compression. What a client sends
//! is bounded in bytes and headers; the owner bounds its time.

use std::fmt;
use std::io;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::handshake::finish;

/// A request's head must end within this many bytes.
const MAX_HEAD_BYTES: usize = 16 * 1_024;
const MAX_HEADERS: usize = 64;
const READ_BYTES: usize = 2_048;
/// The largest body that is read: a form.
const MAX_BODY_BYTES: usize = 16 * 1_024;

/// A request. `Debug` shows the method and the path alone, because queries, headers and bodies hold
/// secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is not a request of HTTP/1, or has a body of unknown length.
    #[error("not an HTTP request")]
    Malformed,
    /// Its head or its body is too long.
    #[error("the request is too long")]
    TooLong,
    /// The connection failed or ended before the request did.
    #[error("the connection failed: {source}")]
    Connection {
        /// The error of the connection.
        r#source: io::Error,
    },
}

impl From<io::Error> for RequestError {
    fn from(source: io::Error) -> Self {
        Self::Connection { source }
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Reads a request: a head of at most 16 KiB and 64 headers, and a body of at most 16 KiB.
    ///
    /// # Errors
    /// Returns an error if it is malformed or too long, or if the connection fails.
    ///
    /// # Cancel safety
    /// Not cancel safe: what has been read is lost.
    pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Result<Self, RequestError> {
        let mut bytes = Vec::with_capacity(READ_BYTES);
        let (mut request, head_bytes) = loop {
            if socket.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            match Self::parse(&bytes)? {
                Some((request, length)) if length <= MAX_HEAD_BYTES => break (request, length),
                Some(_) => return Err(RequestError::TooLong),
                None if bytes.len() > MAX_HEAD_BYTES => return Err(RequestError::TooLong),
                None => {}
            }
        };
        let length = request.body_bytes()?;
        request.body = bytes.split_off(head_bytes);
        while request.body.len() < length {
            if socket.read_buf(&mut request.body).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        request.body.truncate(length);
        Ok(request)
    }

    /// Parses a head; returns the request without its body, and the length of the head.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, RequestError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(RequestError::TooLong),
            Err(_) => return Err(RequestError::Malformed),
        };
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        let headers = request.headers.iter();
        let parsed = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.map(|it| (it.name.to_owned(), text(it.value))).collect(),
            body: Vec::new(),
        };
        Ok(Some((parsed, length)))
    }

    fn body_bytes(&self) -> Result<usize, RequestError> {
        if self.header("Transfer-Encoding").is_some() {
            return Err(RequestError::Malformed);
        }
        let Some(length) = self.header("Content-Length") else { return Ok(0) };
        match length.parse::<usize>() {
            Ok(length) if length <= MAX_BODY_BYTES => Ok(length),
            Ok(_) => Err(RequestError::TooLong),
            Err(_) => Err(RequestError::Malformed),
        }
    }

    /// Returns the method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path as it was sent, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns a header; the first if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the query as it was sent, for [`form_value`].
    #[must_use]
    pub fn query_text(&self) -> &str {
        &self.query
    }

    /// Returns a parameter of the query, decoded; the first if there are several.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        form_value(&self.query, name)
    }

    /// Returns a field of a form in the body, decoded; the first if there are several.
    #[must_use]
    pub fn form(&self, name: &str) -> Option<String> {
        form_value(std::str::from_utf8(&self.body).ok()?, name)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Returns a value of a query or of a form (`application/x-www-form-urlencoded`), decoded; `None`
/// if it is missing or not text.
#[must_use]
pub fn form_value(pairs: &str, name: &str) -> Option<String> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
    };
    let mut pairs = pairs.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(other, _)| decoded(other).as_deref() == Some(name))?;
    decoded(value)
}

impl Response {
    /// Creates a response with this status, type and body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// Adds a header. The value must be one line.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends the response and waits until the client has closed its side.
    ///
    /// # Errors
    /// Returns an error if the connection fails.
    ///
    /// # Cancel safety
    /// Not cancel safe: part of the response may have been sent.
    pub async fn send(&self, socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|it| it.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Response"));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        socket.write_all(&bytes).await?;
        finish(socket).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Request, RequestError> {
        Request::read(&mut &*bytes).await
    }

    #[tokio::test]
    async fn a_request_in_pieces_is_read_with_its_query_headers_and_form() {
        let bytes = "POST /session/token?a=1%202&b=x+y&a=2&c HTTP/1.1\r\nHost: sim\r\n\
                     x-kite-version: 3\r\nContent-Length: 25\r\n\r\nkey=a%26b&empty=&t=%C3%A9more";
        for at in 0..bytes.len() {
            let (front, back) = bytes.as_bytes().split_at(at.max(1));
            let request = Request::read(&mut front.chain(back)).await.unwrap();
            assert_eq!((request.method(), request.path()), ("POST", "/session/token"));
            assert_eq!(request.query("a").as_deref(), Some("1 2"));
            assert_eq!(request.query("b").as_deref(), Some("x y"));
            assert_eq!((request.query("c").as_deref(), request.query("d")), (Some(""), None));
            assert_eq!(request.header("X-Kite-Version"), Some("3"));
            assert_eq!(request.form("key").as_deref(), Some("a&b"));
            assert_eq!(request.form("empty").as_deref(), Some(""));
            assert_eq!(request.form("t").as_deref(), Some("é"), "no more than its length");
            assert!(!format!("{request:?}").contains("a%26b"));
        }
    }

    #[tokio::test]
    async fn what_is_no_request_or_too_long_is_an_error() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
        for bytes in [
            long.as_str(),
            &long[..MAX_HEAD_BYTES + 1],
            &many,
            "POST / HTTP/1.1\r\nContent-Length: 16385\r\n\r\n",
        ] {
            assert!(matches!(read(bytes.as_bytes()).await, Err(RequestError::TooLong)), "{bytes}");
        }
        for bytes in [
            "\u{16}\u{3}\u{1}",
            "GET / HTTP/2.0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert!(matches!(read(bytes.as_bytes()).await, Err(RequestError::Malformed)));
        }
        for bytes in ["", "GET / HT", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"] {
            let error = read(bytes.as_bytes()).await.unwrap_err();
            assert!(matches!(error, RequestError::Connection { .. }), "{bytes:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_response_has_its_headers_and_length() {
        let mut written = Vec::new();
        let mut socket = tokio::io::join(tokio::io::empty(), &mut written);
        let response = Response::new(302, "text/plain", "gone").header("Location", "http://x/");
        response.send(&mut socket).await.unwrap();
        let expected = "HTTP/1.1 302 Found\r\nContent-Type: text/plain\r\nLocation: http://x/\r\n\
                        Content-Length: 4\r\nConnection: close\r\n\r\ngone";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
