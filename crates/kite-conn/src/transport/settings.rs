//! What can be set of the way to the server. Where it is, is the endpoint's.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};

use super::proxy::Proxy;
use super::tls::Tls;
use crate::error::{ConfigError, check_duration, check_range};

/// How a socket is opened and read.
#[derive(Debug, Clone)]
pub struct Transport {
    /// For everything from the look-up of the host to the last byte of the handshake, or of a
    /// refusal. Default 30 s; above 0 and at most a day.
    pub connect_timeout: Duration,
    /// What is read from the socket at once, in bytes; memory is taken in blocks of twice this.
    /// Default 64 KiB; from 1 byte to 16 MiB.
    pub read_buffer_bytes: usize,
    /// The largest frame, and the largest message made of frames, that is accepted, in bytes: memory
    /// of this size is allocated as soon as a frame's header announces it. Default 1 MiB; from 1
    /// byte to 1 GiB. The largest frame that Kite can send has 558,002 bytes.
    pub max_frame_bytes: usize,
    /// Further headers of the handshake; default none. `User-Agent` and `X-Kite-Version` replace
    /// ours; those of the handshake itself are refused ([`HandshakeError::ReservedHeader`]). `Debug`
    /// shows their values unless they are marked by [`HeaderValue::set_sensitive`].
    ///
    /// [`HandshakeError::ReservedHeader`]: crate::HandshakeError::ReservedHeader
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose certificates are trusted over `wss://`. Default [`Tls::web_pki`]: the roots of
    /// Mozilla's list, as compiled in.
    pub tls: Tls,
    /// An HTTP proxy to connect through. Default none; the environment is not consulted. A `ws://`
    /// endpoint takes one on loopback only, since it would see the access token.
    pub proxy: Option<Proxy>,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            read_buffer_bytes: 64 * 1024,
            max_frame_bytes: 1024 * 1024,
            headers: Vec::new(),
            tls: Tls::default(),
            proxy: None,
        }
    }
}

/// Two of them are a block.
const MAX_READ: usize = 16 * 1024 * 1024;

/// Memory for a frame is allocated as soon as its header announces its length.
const MAX_FRAME: usize = 1024 * 1024 * 1024;

impl Transport {
    /// Checks every setting that has a range.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting outside of its range, such as
    /// `transport.connect_timeout`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_duration("transport.connect_timeout", self.connect_timeout)?;
        let read = self.read_buffer_bytes;
        check_range("transport.read_buffer_bytes", read, 1..=MAX_READ, "from 1 to 16777216")?;
        let frame = self.max_frame_bytes;
        check_range("transport.max_frame_bytes", frame, 1..=MAX_FRAME, "from 1 to 1073741824")
    }
}
