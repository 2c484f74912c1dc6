//! The body of a refusal, read to its end or up to a limit.
//!
//! Faults in the body are not errors, because the status is what matters and is already known.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Maximum number of bytes of a body that are read, including chunk framing.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;
const READ_BYTES: usize = 2 * 1024;

/// How the end of a body is determined (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// The status has no body, regardless of the headers.
    NoBody,
    /// After this many bytes.
    Length(u64),
    /// After the chunk of length zero.
    Chunked,
    /// When the server closes the connection.
    Close,
}

impl BodyEnd {
    pub(super) fn of_status(status: u16) -> Self {
        if matches!(status, 100..=199 | 204 | 304) { Self::NoBody } else { Self::Close }
    }

    /// Handles `Transfer-Encoding: chunked`, which overrides any length.
    pub(super) fn on_chunked(&mut self) {
        if *self != Self::NoBody {
            *self = Self::Chunked;
        }
    }

    /// Handles a `Content-Length`. Of two, the smaller one counts, because the other would wait for
    /// bytes that may never arrive.
    pub(super) fn on_content_length(&mut self, value: &[u8]) {
        let length = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        match (length, &*self) {
            (Some(length), Self::Close) => *self = Self::Length(length),
            (Some(length), Self::Length(known)) => *self = Self::Length(length.min(*known)),
            _ => {}
        }
    }
}

/// The part of a body that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Whether this is the whole body.
    pub(super) complete: bool,
}

impl Body {
    /// Decodes the body from the bytes read. `closed` means that the server ended the stream.
    pub(super) fn decode(end: BodyEnd, raw: &[u8], closed: bool) -> Self {
        match end {
            BodyEnd::NoBody => Self { bytes: Vec::new(), complete: true },
            BodyEnd::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let bytes = raw[..length.min(raw.len())].to_vec();
                Self { complete: bytes.len() == length, bytes }
            }
            BodyEnd::Chunked => dechunk(raw),
            BodyEnd::Close => Self { bytes: raw.to_vec(), complete: closed },
        }
    }
}

/// Reads more into `raw` until the body is complete, the limit is reached or the stream ends.
/// Returns whether the server ended the stream.
///
/// # Cancel safety
/// Cancel safe: the bytes read are kept in `raw`.
pub(super) async fn read_body<S>(stream: &mut S, end: BodyEnd, raw: &mut Vec<u8>) -> bool
where
    S: AsyncRead + Unpin,
{
    loop {
        let room = MAX_BODY_BYTES.saturating_sub(raw.len());
        if room == 0 || Body::decode(end, raw, false).complete {
            return false;
        }
        raw.reserve(room.min(READ_BYTES));
        match (&mut *stream).take(room as u64).read_buf(raw).await {
            Ok(0) => return true,
            Ok(_) => {}
            // Many servers end a refusal over TLS without a close_notify.
            Err(error) => return error.kind() == std::io::ErrorKind::UnexpectedEof,
        }
    }
}

/// Joins chunks, up to the first that is malformed or incomplete.
fn dechunk(raw: &[u8]) -> Body {
    let mut bytes = Vec::new();
    let mut rest = raw;
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(rest) {
        if length == 0 {
            return Body { bytes, complete: true };
        }
        let data = &rest[start..];
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(data.len());
        bytes.extend_from_slice(&data[..length]);
        match data[length..].strip_prefix(b"\r\n") {
            Some(next) => rest = next,
            None => break,
        }
    }
    Body { bytes, complete: false }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunked(raw: &[u8]) -> (String, bool) {
        let body = Body::decode(BodyEnd::Chunked, raw, false);
        (String::from_utf8(body.bytes).unwrap(), body.complete)
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(chunked(b"4\r\nKite\r\n3;x=y\r\n no\r\n0\r\n\r\n"), ("Kite no".into(), true));
        assert_eq!(chunked(b"4\r\nKite\r\n3\r\n n"), ("Kite n".into(), false));
        assert_eq!(chunked(b"4\r\nKiteXX"), ("Kite".into(), false));
        assert_eq!(chunked(b"zz\r\n"), (String::new(), false));
        assert_eq!(chunked(b"FFFFFFFFFFFFFFFF\r\nab"), ("ab".into(), false));
    }

    #[test]
    fn chunked_overrides_length_and_the_smaller_length_counts() {
        let mut end = BodyEnd::of_status(403);
        assert_eq!(end, BodyEnd::Close);
        end.on_content_length(b"nonsense");
        assert_eq!(end, BodyEnd::Close);
        end.on_content_length(b"12");
        end.on_content_length(b"10");
        assert_eq!(end, BodyEnd::Length(10));
        end.on_chunked();
        end.on_content_length(b"5");
        assert_eq!(end, BodyEnd::Chunked);
    }

    #[test]
    fn a_status_without_a_body_ignores_the_headers() {
        let mut end = BodyEnd::of_status(304);
        end.on_content_length(b"10");
        end.on_chunked();
        assert_eq!(end, BodyEnd::NoBody);
    }

    proptest! {
        #[test]
        fn any_chunks_decode_to_no_more_than_was_received(raw in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "([0-9a-fA-F]{1,3}\r\n[ -~]{0,20}(\r\n)?){0,8}".prop_map(String::into_bytes),
        ]) {
            prop_assert!(Body::decode(BodyEnd::Chunked, &raw, true).bytes.len() <= raw.len());
        }

        #[test]
        fn chunked_bodies_round_trip(parts in prop::collection::vec("[ -~]{1,40}", 0..6)) {
            let mut raw = String::new();
            for part in &parts {
                raw.push_str(&format!("{:X}\r\n{part}\r\n", part.len()));
            }
            prop_assert!(!Body::decode(BodyEnd::Chunked, raw.as_bytes(), true).complete);
            raw.push_str("0\r\n\r\n");
            prop_assert_eq!(chunked(raw.as_bytes()), (parts.concat(), true));
        }
    }
}
