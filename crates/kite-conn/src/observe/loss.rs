//! Why a socket was lost, and why a connection no longer reconnects.

use std::time::Duration;

use crate::one_line::OneLine;
use crate::transport::OpenError;

/// Why a live socket was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LossCause {
    /// The server ended the stream without a close frame.
    #[error("the server ended the stream without a close frame")]
    Eof,
    /// Reading or writing failed.
    #[error("the socket failed: {0}")]
    Io(std::io::ErrorKind),
    /// The server sent a close frame.
    #[error("the server closed with code {code}{}{}", if reason.is_empty() { "" } else { ": " }, OneLine(reason))]
    CloseFrame {
        /// The close code, 1005 if the frame has none.
        code: u16,
        /// The reason as received, often empty. Access tokens in it are replaced by `[redacted]`.
        reason: String,
    },
    /// The server broke the WebSocket protocol.
    #[error("the server broke the WebSocket protocol: {}", OneLine(.0))]
    Protocol(String),
    /// A frame exceeded the configured size.
    #[error("a frame of {bytes} bytes exceeds the limit of {limit}")]
    FrameTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit (`max_frame_bytes`).
        limit: usize,
    },
    /// Not a byte was received for twice the threshold, so no pong either.
    #[error("nothing was received for {silence:.1?}, not even a pong")]
    Silence {
        /// Duration of this state.
        silence: Duration,
    },
    /// Pongs or texts were received, but no tick or heartbeat.
    #[error("the path works, but no tick or heartbeat was received for {silence:.1?}")]
    FeedSilence {
        /// Duration of this state.
        silence: Duration,
    },
    /// The socket accepted no bytes for twice the threshold while some waited to be written.
    #[error("the socket accepted no bytes for {blocked:.1?}")]
    WriteBlocked {
        /// Duration of this state.
        blocked: Duration,
    },
    /// Another process has lost the socket and reported it.
    #[error("{}", OneLine(text))]
    Reported {
        /// The kind of the cause.
        kind: LossKind,
        /// The cause in words, as that process reported it.
        text: String,
    },
}

/// The kind of a [`LossCause`], without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LossKind {
    /// [`LossCause::Eof`].
    Eof,
    /// [`LossCause::Io`].
    Io,
    /// [`LossCause::CloseFrame`].
    CloseFrame,
    /// [`LossCause::Protocol`].
    Protocol,
    /// [`LossCause::FrameTooLarge`].
    FrameTooLarge,
    /// [`LossCause::Silence`].
    Silence,
    /// [`LossCause::FeedSilence`].
    FeedSilence,
    /// [`LossCause::WriteBlocked`].
    WriteBlocked,
}

/// Returns what helps against a refusal of the credentials.
fn remedy(refused: &OpenError) -> &'static str {
    match refused.is_invalid_credentials() {
        true => "check the api_key and the access token",
        false => "renew the access token",
    }
}

impl LossKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Eof,
        Self::Io,
        Self::CloseFrame,
        Self::Protocol,
        Self::FrameTooLarge,
        Self::Silence,
        Self::FeedSilence,
        Self::WriteBlocked,
    ];

    /// Returns the kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name for reports, in snake case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::Io => "io",
            Self::CloseFrame => "close_frame",
            Self::Protocol => "protocol",
            Self::FrameTooLarge => "frame_too_large",
            Self::Silence => "silence",
            Self::FeedSilence => "feed_silence",
            Self::WriteBlocked => "write_blocked",
        }
    }
}

impl LossCause {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> LossKind {
        match self {
            Self::Eof => LossKind::Eof,
            Self::Io(_) => LossKind::Io,
            Self::CloseFrame { .. } => LossKind::CloseFrame,
            Self::Protocol(_) => LossKind::Protocol,
            Self::FrameTooLarge { .. } => LossKind::FrameTooLarge,
            Self::Silence { .. } => LossKind::Silence,
            Self::FeedSilence { .. } => LossKind::FeedSilence,
            Self::WriteBlocked { .. } => LossKind::WriteBlocked,
            Self::Reported { kind, .. } => *kind,
        }
    }
}

/// Why a connection no longer reconnects on its own.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ParkReason {
    /// Kite refused the credentials.
    #[error("authentication failed; {remedy}: {0}", remedy = remedy(.0))]
    Authentication(OpenError),
    /// Only a different configuration can help, which needs a new connection.
    #[error("cannot connect with this configuration: {0}")]
    Configuration(OpenError),
    /// The attempts are used up. Setting credentials, even the same ones, resumes.
    #[error(
        "gave up after {failures} failures in a row (max_reconnect_attempts {limit}){}",
        suffix(last)
    )]
    AttemptsUsedUp {
        /// Failures in a row since the last stable connection.
        failures: u32,
        /// The configured number of reconnects.
        limit: usize,
        /// Why the last attempt failed; `None` if a live socket was lost.
        last: Option<OpenError>,
    },
}

/// Returns ": cause", or nothing if there is none.
fn suffix(cause: &Option<OpenError>) -> String {
    cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default()
}
