//! What a connection tells about itself.
//!
//! On the [`EventLane`](crate::EventLane) events are never pushed out by ticks, and never wait for a
//! consumer of ticks once they have been read from the socket. A sink gets them in order with its
//! batches. A sink that blocks ([`Overflow::Block`](crate::Overflow::Block)) stops the reading, and
//! so what the server sends behind those ticks, order updates among it: take another policy, or a
//! connection of their own, where they must not wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kite_wire::FrameFault;
use kite_wire::text::{TextError, TextMessage};

use super::gap::Gap;
use crate::clock::Stamp;
use crate::config::TokenSourceError;
use crate::transport::OpenError;

/// Something that happened to a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A socket is being opened.
    Opening {
        /// Which try since the last stable connection, from 1.
        attempt: u32,
    },
    /// The handshake is done; subscriptions go out now.
    Up {
        /// Number of this socket among the connection's, from 1.
        epoch: u32,
        /// How many instruments are being subscribed.
        instruments: usize,
    },
    /// A live socket is gone. What the server sent from here to the next [`Event::Up`] is lost;
    /// [`Event::Gap`] says what that was.
    Down {
        /// The socket's number.
        epoch: u32,
        /// Why.
        cause: LossCause,
        /// When anything came from the server last, a pong included.
        last_heard: Stamp,
    },
    /// What was missed between a loss and the ticks after it. Comes once for each reconnect: when
    /// every instrument that had ticked before has ticked again, or with the first frame that comes
    /// a `silence_threshold` after the handshake, or with the next loss or the end, whichever is
    /// first. Behind a parser queue it may come after the [`Event::Down`] of the next loss.
    Gap(Arc<Gap>),
    /// A socket could not be opened.
    OpenFailed {
        /// Which try since the last stable connection, from 1.
        attempt: u32,
        /// Why.
        error: OpenError,
    },
    /// The next try is set.
    Retry {
        /// Which try it will be, from 1.
        attempt: u32,
        /// How long from now.
        delay: Duration,
    },
    /// The token source is asked for credentials.
    Renewing {
        /// Which try this is for, from 1.
        attempt: u32,
        /// Whether the present credentials were refused.
        refused: bool,
    },
    /// The token source failed. Credentials that were not refused are used all the same; else it
    /// is asked again, later each time.
    RenewalFailed {
        /// Which try this was for, from 1.
        attempt: u32,
        /// Why.
        error: TokenSourceError,
    },
    /// No further try by itself. Subscriptions are kept; new credentials resume.
    Parked(ParkReason),
    /// The socket answers pings, and for twice the `silence_threshold` neither ticks nor a
    /// heartbeat came: the path lives, the feed does not.
    FeedSilent {
        /// How long.
        silence: Duration,
        /// How long from now the socket is given before it is replaced. Zero at first, longer
        /// each time that a new socket was as silent.
        grace: Duration,
    },
    /// Heartbeats come, but no ticks for `stale_after`. The market may be closed or the
    /// instruments at rest, so nothing is done about it. Told once for each silence.
    TicksStale {
        /// How long none came.
        silence: Duration,
        /// How many instruments are wanted.
        instruments: usize,
    },
    /// Ticks come again after [`Event::TicksStale`].
    TicksResumed {
        /// How long none had come.
        silence: Duration,
    },
    /// The machine slept, or its wall clock was set forward. A live socket is asked for a sign of
    /// life at once, a waiting try comes sooner by this time.
    Suspended {
        /// How far the wall clock ran ahead of the monotonic one.
        slept: Duration,
    },
    /// The server refused instruments for want of room. They stay wanted: they are told again once
    /// others have been unsubscribed, and with the next socket.
    LimitRefused {
        /// What the server said.
        message: String,
        /// How many instruments are in doubt: its text does not name them, so these are those of
        /// the last subscribe, and of earlier ones that were refused.
        instruments: usize,
    },
    /// The application's sink panicked and takes nothing any more; the connection closes.
    DeliveryFailed,
    /// The connection has ended: it was asked to, its sink panicked, or its runtime went away.
    /// Nothing follows.
    Closed,
    /// A frame's tail was unreadable. The packets before it are delivered.
    FrameDamaged {
        /// What was wrong.
        fault: FrameFault,
        /// How many bytes were cut off.
        bytes_left: usize,
        /// How many further damaged frames went untold since the last such event.
        untold: u64,
    },
    /// Packets of unknown length were skipped. Their neighbours are delivered.
    PacketsSkipped {
        /// Length of the first of them in bytes.
        length: usize,
        /// How many in this frame.
        packets: u16,
        /// How many further frames with such packets went untold since the last such event.
        untold: u64,
    },
    /// A text frame was unreadable. A sink gets every one of them, the lane one a second.
    TextUnreadable {
        /// The text as received.
        text: Bytes,
        /// Why.
        error: TextError,
        /// When it was read from the socket.
        received: Stamp,
        /// How many such texts the lane was not told since the last one it was.
        untold: u64,
    },
    /// The server sent a text frame: an order update, an error, a broadcast or something unknown.
    Text {
        /// The text as received, in the socket's own memory; it is UTF-8.
        text: Bytes,
        /// What it says.
        message: Arc<TextMessage>,
        /// When it was read from the socket.
        received: Stamp,
    },
}

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
    #[error("the server closed with code {code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    CloseFrame {
        /// The close code, 1005 if there was none.
        code: u16,
        /// The reason, often empty.
        reason: String,
    },
    /// The server broke the WebSocket protocol.
    #[error("the server broke the WebSocket protocol: {0}")]
    Protocol(String),
    /// A frame exceeded the configured size.
    #[error("a frame of {bytes} bytes came, at most {limit} are taken")]
    FrameTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit (`max_frame_bytes`).
        limit: usize,
    },
    /// Nothing came for twice the threshold, not even a pong.
    #[error("nothing came for {silence:.1?}, not even a pong")]
    Silence {
        /// How long.
        silence: Duration,
    },
    /// Pongs came, but neither ticks nor a heartbeat.
    #[error("the socket answers pings, but neither ticks nor a heartbeat came for {silence:.1?}")]
    FeedSilence {
        /// How long.
        silence: Duration,
    },
    /// Bytes of ours waited for twice the threshold, in which the socket took none of them.
    #[error("the socket took none of our bytes for {blocked:.1?}")]
    WriteBlocked {
        /// How long.
        blocked: Duration,
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

    /// Gives the name for reports, in snake case.
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
    /// Gives the kind.
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
        }
    }
}

/// Why a connection no longer tries.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ParkReason {
    /// Kite refused the credentials.
    #[error("authentication failed, renew the access token")]
    Authentication(#[source] OpenError),
    /// Only another configuration can help, and so a new connection.
    #[error("cannot connect with this configuration")]
    Configuration(#[source] OpenError),
    /// The tries are used up. Setting credentials, also the same ones, resumes.
    #[error("gave up after {failures} failures in a row (max_reconnect_attempts {limit})")]
    AttemptsUsedUp {
        /// Failures in a row since the last stable connection.
        failures: u32,
        /// The configured number of reconnects.
        limit: usize,
        /// Why the last try failed; `None` where it was a live socket that was lost.
        #[source]
        last: Option<OpenError>,
    },
}
