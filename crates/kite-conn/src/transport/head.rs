//! The head of the server's response: status line and headers.
//!
//! Values may echo the request and its token. They are handed out without it, on request only.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::body::BodyEnd;
use super::error::HandshakeError;
use super::retry_after::{RetryAfter, parse_date};
use super::spelling::Spellings;

/// Maximum number of bytes of a head, including interim responses.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
const READ_BYTES: usize = 4 * 1024;

/// A complete head.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Head {
    pub(super) status: u16,
    pub(super) body_end: BodyEnd,
    retry_after: Option<RetryAfter>,
    /// The time by the server's clock.
    date: Option<SystemTime>,
    len_bytes: usize,
    minor_version: u8,
    upgrade: bool,
    connection_upgrade: bool,
    accept: Option<Vec<u8>>,
    accepts: usize,
    extension: bool,
    protocol: bool,
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Parses a head at the start of `bytes`; `None` if it is not complete yet.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, HandshakeError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let len_bytes = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(HandshakeError::TooManyHeaders { limit: MAX_HEADERS });
            }
            Err(_) => return Err(HandshakeError::NotHttp),
        };
        let (Some(status @ 100..), Some(minor_version)) = (response.code, response.version) else {
            return Err(HandshakeError::NotHttp);
        };

        let mut head = Self {
            status,
            body_end: BodyEnd::of_status(status),
            retry_after: None,
            date: None,
            len_bytes,
            minor_version,
            upgrade: false,
            connection_upgrade: false,
            accept: None,
            accepts: 0,
            extension: false,
            protocol: false,
            headers: Vec::new(),
        };
        for header in response.headers.iter() {
            head.take(header.name, header.value.trim_ascii());
        }
        Ok(Some(head))
    }

    fn take(&mut self, name: &str, value: &[u8]) {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "upgrade" => self.upgrade |= names(value, "websocket"),
            "connection" => self.connection_upgrade |= names(value, "upgrade"),
            "sec-websocket-accept" => {
                self.accepts += 1;
                self.accept = Some(value.to_vec());
            }
            "sec-websocket-extensions" => self.extension |= !value.is_empty(),
            "sec-websocket-protocol" => self.protocol |= !value.is_empty(),
            "transfer-encoding" if names(value, "chunked") => self.body_end.on_chunked(),
            "content-length" => self.body_end.on_content_length(value),
            "retry-after" => self.retry_after = RetryAfter::parse(value),
            "date" => self.date = parse_date(value),
            _ => {}
        }
        self.headers.push((name, value.to_vec()));
    }

    /// Returns the headers with none of the secrets; bytes that are not UTF-8 are replaced.
    pub(super) fn into_headers(self, secrets: &Spellings) -> Vec<(String, String)> {
        let text = |value: Vec<u8>| secrets.redact(String::from_utf8_lossy(&value).into_owned());
        self.headers.into_iter().map(|(name, value)| (secrets.redact(name), text(value))).collect()
    }

    /// Returns the time until a retry is allowed, by the server's clock if it sent its date, else
    /// by the local one.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after?.delay(self.date.unwrap_or_else(SystemTime::now)))
    }

    /// Checks that a 101 matches the key that was sent.
    pub(super) fn check_switch(&self, key: &str) -> Result<(), HandshakeError> {
        let accept = derive_accept_key(key.as_bytes());
        if self.minor_version == 0 {
            Err(HandshakeError::HttpVersion)
        } else if !self.upgrade {
            Err(HandshakeError::NoUpgrade)
        } else if !self.connection_upgrade {
            Err(HandshakeError::NoConnectionUpgrade)
        } else if self.accepts != 1 || self.accept.as_deref() != Some(accept.as_bytes()) {
            Err(HandshakeError::WrongAccept)
        } else if self.extension {
            Err(HandshakeError::UnexpectedExtension)
        } else if self.protocol {
            Err(HandshakeError::UnexpectedProtocol)
        } else {
            Ok(())
        }
    }
}

/// Reads up to the end of the final head; returns it and the bytes after it.
pub(super) async fn read_head<S>(stream: &mut S) -> Result<(Head, Vec<u8>), HandshakeError>
where
    S: AsyncRead + Unpin,
{
    let mut bytes = Vec::with_capacity(READ_BYTES);
    let mut parsed_bytes = 0;
    loop {
        while let Some(head) = Head::parse(&bytes[parsed_bytes..])? {
            parsed_bytes += head.len_bytes;
            // Interim responses (100, 103) precede the final one; 101 is final.
            if head.status == 101 || head.status >= 200 {
                return Ok((head, bytes.split_off(parsed_bytes)));
            }
        }
        let room = MAX_HEAD_BYTES - bytes.len();
        if room == 0 {
            return Err(HandshakeError::HeadTooLong { limit: MAX_HEAD_BYTES });
        }
        bytes.reserve(room.min(READ_BYTES));
        let received = bytes.len();
        match (&mut *stream).take(room as u64).read_buf(&mut bytes).await {
            Ok(0) => return Err(HandshakeError::Closed { received }),
            Ok(_) => {}
            // TLS without a close_notify, because the server was killed or does not send one.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(HandshakeError::Closed { received });
            }
            Err(error) => return Err(HandshakeError::Io { received, source: Arc::new(error) }),
        }
    }
}

/// Returns whether a comma-separated header value contains a token, in any case.
fn names(value: &[u8], token: &str) -> bool {
    value.split(|&b| b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    // The pair of RFC 6455, section 1.3.
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    /// Yields the segments, one per read, then the end.
    struct Segments(VecDeque<Vec<u8>>);

    impl AsyncRead for Segments {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(mut segment) = self.0.pop_front() {
                let rest = segment.split_off(segment.len().min(buf.remaining()));
                buf.put_slice(&segment);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    /// Splits bytes at `cuts` and reads a head from the pieces.
    fn read(bytes: &[u8], cuts: &[usize]) -> Result<(Head, Vec<u8>), String> {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|w| bytes[w[0]..w[1]].to_vec());
        let mut stream = Segments(pieces.filter(|piece| !piece.is_empty()).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (head, mut rest) =
            runtime.block_on(read_head(&mut stream)).map_err(|error| error.to_string())?;
        rest.extend(stream.0.into_iter().flatten());
        Ok((head, rest))
    }

    fn switch(headers: &str) -> Result<(), String> {
        let answer = format!("HTTP/1.1 101 Switching\r\n{headers}\r\n");
        let head = Head::parse(answer.as_bytes()).unwrap().unwrap();
        head.check_switch(KEY).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_switch_is_checked_header_by_header() {
        let upgrade = "upgrade: h2c, WebSocket\r\n";
        let connection = "CONNECTION: keep-alive, Upgrade\r\n";
        let accept = format!("Sec-WebSocket-Accept: {ACCEPT}\r\n");
        let good = format!("{upgrade}{connection}{accept}");
        let case = |headers: String| switch(&headers).unwrap_err();
        assert_eq!(switch(&good), Ok(()));
        assert_eq!(case(format!("{connection}{accept}")), "NoUpgrade");
        assert_eq!(case(format!("{upgrade}{accept}")), "NoConnectionUpgrade");
        assert_eq!(case(format!("{upgrade}{connection}")), "WrongAccept");
        assert_eq!(case(format!("{good}{accept}")), "WrongAccept");
        assert_eq!(case(good.replace("s3pP", "S3PP")), "WrongAccept");
        let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        assert_eq!(case(format!("{good}{extension}")), "UnexpectedExtension");
        assert_eq!(case(format!("{good}Sec-WebSocket-Protocol: kite\r\n")), "UnexpectedProtocol");
    }

    #[test]
    fn a_switch_in_http_1_0_is_rejected() {
        let head = Head::parse(b"HTTP/1.0 101 x\r\n\r\n").unwrap().unwrap();
        assert!(matches!(head.check_switch(KEY), Err(HandshakeError::HttpVersion)));
    }

    #[test]
    fn a_retry_date_counts_from_the_servers_clock() {
        let retry_after = |headers: &str| {
            let answer = format!("HTTP/1.1 503 x\r\n{headers}\r\n");
            Head::parse(answer.as_bytes()).unwrap().unwrap().retry_after()
        };
        let at = "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n";
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let later = "Date: Sun, 06 Nov 1994 08:51:37 GMT\r\n";
        let minute = Some(Duration::from_secs(60));
        assert_eq!(retry_after(&format!("{at}{date}")), minute);
        assert_eq!(retry_after(&format!("{date}{at}")), minute);
        assert_eq!(retry_after(&format!("{later}{at}")), Some(Duration::ZERO));
        // By the local clock it is long past.
        assert_eq!(retry_after(at), Some(Duration::ZERO));
        assert_eq!(retry_after(&format!("Date: today\r\n{at}")), Some(Duration::ZERO));
        assert_eq!(retry_after(&format!("{later}Retry-After: 5\r\n")), minute.map(|it| it / 12));
        assert_eq!(retry_after(date), None);
    }

    #[test]
    fn interim_answers_are_skipped() {
        let bytes = b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 403 No\r\n\r\nbody";
        let (head, rest) = read(bytes, &[40]).unwrap();
        assert_eq!((head.status, rest.as_slice()), (403, b"body".as_slice()));
    }

    #[test]
    fn an_oversize_head_is_rejected_at_the_limit() {
        let mut bytes = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        bytes.resize(MAX_HEAD_BYTES + 100, b'a');
        assert_eq!(read(&bytes, &[]).unwrap_err(), "the head of the response exceeds 16384 bytes");
        let hints = b"HTTP/1.1 103 Hints\r\n\r\n".repeat(1000);
        assert_eq!(read(&hints, &[]).unwrap_err(), "the head of the response exceeds 16384 bytes");
    }

    #[test]
    fn too_many_headers_are_rejected() {
        let head = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(count));
        assert!(read(head(MAX_HEADERS).as_bytes(), &[]).is_ok());
        let error = read(head(MAX_HEADERS + 1).as_bytes(), &[]).unwrap_err();
        assert_eq!(error, "the head of the response has more than 64 headers");
    }

    #[test]
    fn an_answer_in_another_protocol_is_not_http() {
        for bytes in
            [b"SSH-2.0-x\r\n".as_slice(), b"\x15\x03\x01\x00\x02", b"HTTP/1.1 099 x\r\n\r\n"]
        {
            assert!(read(bytes, &[]).unwrap_err().contains("not HTTP/1"));
        }
        assert!(read(b"", &[]).unwrap_err().contains("after 0 bytes"));
        assert!(read(b"HTTP/1.1 2", &[]).unwrap_err().contains("after 10 bytes"));
    }

    fn answers() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "[a-zA-Z-]{1,12}: ?[ -~]{0,20}\r\n",
            "(content-length|Retry-After|Transfer-Encoding): ?[0-9a-z,]{0,20}\r\n",
            "[ -~\r\n\t]{0,12}",
        ];
        let http = ("HTTP/1\\.[01] [0-9]{3} [a-z]{0,4}\r\n", prop::collection::vec(line, 0..6))
            .prop_map(|(start, lines)| format!("{start}{}\r\n", lines.concat()).into_bytes());
        let noise = || prop::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            noise(),
            (prop::collection::vec(http, 1..4), noise()).prop_map(|(answers, noise)| [
                answers.concat(),
                noise
            ]
            .concat()),
        ]
    }

    proptest! {
        #[test]
        fn any_segmentation_reads_like_a_single_segment(
            bytes in answers(),
            cuts in prop::collection::vec(any::<usize>(), 0..40),
        ) {
            let whole = read(&bytes, &[]);
            prop_assert_eq!(read(&bytes, &cuts), whole.clone());
            if let Ok((_, rest)) = whole {
                prop_assert!(bytes.ends_with(&rest));
            }
        }
    }
}
