//! How to reach the server. Its address is the endpoint's.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};

use super::accepted::OnAccepted;
use super::proxy::Proxy;
use super::tls::Tls;
use crate::error::{ConfigError, check_duration, check_range};

/// How a socket is opened and read.
#[derive(Debug, Clone)]
pub struct Transport {
    /// Limit for a whole connection attempt, from DNS lookup to WebSocket handshake or the end of a
    /// refusal. Default 30 s; above 0 and at most a day.
    pub connect_timeout: Duration,
    /// Maximum size of one read from the socket, in bytes; memory is allocated in blocks of twice
    /// this. Default 64 KiB; from 1 byte to 16 MiB.
    pub read_buffer_bytes: usize,
    /// The largest frame, and the largest fragmented message, that is accepted, in bytes. Memory of
    /// this size is allocated as soon as a frame's header announces it. Default 1 MiB; from 1 byte
    /// to 1 GiB. The largest frame that Kite can send has 558,002 bytes.
    pub max_frame_bytes: usize,
    /// Additional headers of the handshake; default none. `User-Agent` and `X-Kite-Version` replace
    /// the default ones; headers that the handshake itself sets are rejected
    /// ([`HandshakeError::ReservedHeader`]). `Debug` shows the values unless they are marked by
    /// [`HeaderValue::set_sensitive`].
    ///
    /// [`HandshakeError::ReservedHeader`]: crate::HandshakeError::ReservedHeader
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose certificates are trusted over `wss://`. Default [`Tls::web_pki`], the roots of
    /// Mozilla's list, as compiled in.
    pub tls: Tls,
    /// An HTTP proxy to connect through. Default none; the environment is not consulted. A `ws://`
    /// endpoint accepts only a proxy on loopback, since it would see the access token.
    pub proxy: Option<Proxy>,
    /// Receives the server's address and headers at each handshake that it accepts. Default none.
    pub on_accepted: Option<Arc<dyn OnAccepted>>,
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
            on_accepted: None,
        }
    }
}

/// A block is twice this size.
const MAX_READ: usize = 16 * 1024 * 1024;

/// Memory for a frame is allocated as soon as its header announces its length.
const MAX_FRAME: usize = 1024 * 1024 * 1024;

impl Transport {
    /// Checks every setting that has a range.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range, such as
    /// `transport.connect_timeout`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_duration("transport.connect_timeout", self.connect_timeout)?;
        let read = self.read_buffer_bytes;
        check_range("transport.read_buffer_bytes", read, 1..=MAX_READ, "from 1 to 16,777,216")?;
        let frame = self.max_frame_bytes;
        check_range("transport.max_frame_bytes", frame, 1..=MAX_FRAME, "from 1 to 1,073,741,824")
    }
}
