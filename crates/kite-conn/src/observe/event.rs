//! What happens to a connection, as data and in words.
//!
//! On the [`EventLane`](crate::EventLane) events are never pushed out by ticks, and never wait for a
//! consumer of ticks once they have been read from the socket. A sink gets them in order with its
//! batches. A sink that blocks ([`Overflow::Block`](crate::Overflow::Block)) stops the reading, and
//! so what the server sends behind those ticks, order updates among it: take another policy, or a
//! connection of their own, where they must not wait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kite_wire::FrameFault;
use kite_wire::text::{TextError, TextMessage};

use super::gap::Gap;
use super::loss::{LossCause, ParkReason};
use super::wording::{OneLine, counted};
use crate::clock::Stamp;
use crate::config::TokenSourceError;
use crate::error::ErrorChain;
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
    /// first.
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

/// How much an event matters to those who look after a feed, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// A step on the way, such as the next try.
    Detail,
    /// Something worth reading that needs no action.
    Notice,
    /// Something is as it should be again.
    Recovery,
    /// Something may be missing.
    Warning,
    /// Something is missing, or was refused.
    Error,
}

impl Event {
    /// Returns the name for tapes and reports, in snake case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opening { .. } => "opening",
            Self::Up { .. } => "up",
            Self::Down { .. } => "down",
            Self::Gap(_) => "gap",
            Self::OpenFailed { .. } => "open_failed",
            Self::Retry { .. } => "retry",
            Self::Renewing { .. } => "renewing",
            Self::RenewalFailed { .. } => "renewal_failed",
            Self::Parked(_) => "parked",
            Self::FeedSilent { .. } => "feed_silent",
            Self::TicksStale { .. } => "ticks_stale",
            Self::TicksResumed { .. } => "ticks_resumed",
            Self::Suspended { .. } => "suspended",
            Self::LimitRefused { .. } => "limit_refused",
            Self::DeliveryFailed => "delivery_failed",
            Self::Closed => "closed",
            Self::FrameDamaged { .. } => "frame_damaged",
            Self::PacketsSkipped { .. } => "packets_skipped",
            Self::TextUnreadable { .. } => "text_unreadable",
            Self::Text { .. } => "text",
        }
    }

    /// Returns how much the event matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Opening { .. } | Self::Retry { .. } | Self::Renewing { .. } | Self::Closed => {
                Severity::Detail
            }
            Self::Up { epoch: 1, .. } => Severity::Notice,
            Self::Up { .. } | Self::TicksResumed { .. } => Severity::Recovery,
            Self::Gap(_)
            | Self::FeedSilent { .. }
            | Self::TicksStale { .. }
            | Self::Suspended { .. }
            | Self::TextUnreadable { .. } => Severity::Warning,
            Self::Down { .. }
            | Self::OpenFailed { .. }
            | Self::RenewalFailed { .. }
            | Self::Parked(_)
            | Self::LimitRefused { .. }
            | Self::DeliveryFailed
            | Self::FrameDamaged { .. }
            | Self::PacketsSkipped { .. } => Severity::Error,
            Self::Text { message, .. } => match **message {
                TextMessage::Error(_) => Severity::Error,
                TextMessage::Message(_) => Severity::Notice,
                _ => Severity::Detail,
            },
        }
    }

    fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        match self {
            Self::Opening { attempt } => write!(out, "opening a socket, try {attempt}"),
            Self::Up { epoch: 1, .. } => out.write_str("up"),
            Self::Up { .. } => out.write_str("up again"),
            Self::Down { cause, .. } => write!(out, "lost: {cause}"),
            Self::Gap(gap) => write!(out, "gap: {gap}"),
            Self::OpenFailed { attempt, error } => {
                write!(out, "try {attempt} to connect failed: {}", ErrorChain(error))
            }
            Self::Retry { attempt, delay } => write!(out, "try {attempt} in {delay:.1?}"),
            Self::Renewing { refused: true, .. } => {
                out.write_str("asking for new credentials, the present ones were refused")
            }
            Self::Renewing { .. } => out.write_str("asking for credentials"),
            // Without its cause: that is the application's own text, which may hold a token.
            Self::RenewalFailed { error, .. } => write!(out, "no new credentials: {error}"),
            Self::Parked(reason) => write!(out, "parked: {}", ErrorChain(reason)),
            Self::FeedSilent { silence, .. } => write!(
                out,
                "the socket answers pings, but neither ticks nor a heartbeat came for {silence:.1?}"
            ),
            Self::TicksStale { silence, instruments } => write!(
                out,
                "no ticks of {} for {silence:.1?}, is the market open?",
                counted(*instruments, "instrument")
            ),
            Self::TicksResumed { silence } => write!(out, "ticks again after {silence:.1?}"),
            Self::Suspended { slept } => write!(out, "the machine slept for {slept:.1?}"),
            Self::LimitRefused { message, instruments } => {
                write!(out, "{} refused: {message}", counted(*instruments, "instrument"))
            }
            Self::DeliveryFailed => out.write_str("the sink panicked, closing"),
            Self::Closed => out.write_str("closed"),
            Self::FrameDamaged { fault, bytes_left, untold } => {
                let cut = counted(*bytes_left, "byte");
                write!(out, "{fault}, {cut} cut off{}", more(*untold, "damaged frame"))
            }
            Self::PacketsSkipped { length, packets, untold } => write!(
                out,
                "{} of unknown length ({}) skipped{}",
                counted((*packets).into(), "packet"),
                counted(*length, "byte"),
                more(*untold, "such frame")
            ),
            Self::TextUnreadable { error, untold, .. } => {
                write!(out, "text frame unreadable: {error}{}", more(*untold, "such text"))
            }
            Self::Text { message, .. } => match &**message {
                TextMessage::Error(error) => write!(out, "the server says: {error}"),
                TextMessage::Message(data) => match data.as_str() {
                    Some(text) => write!(out, "broker: {text}"),
                    None => write!(out, "broker: {data}"),
                },
                TextMessage::Order(_) => out.write_str("an order update"),
                TextMessage::UnreadableOrder { .. } => {
                    out.write_str("an order update that cannot be read")
                }
                _ => out.write_str("a text of another kind"),
            },
        }
    }
}

/// One line of plain English, without secrets and without control characters: parts of it come
/// from the server, and must not steer a terminal or break a log into lines.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(&mut OneLine(f))
    }
}

fn more(untold: u64, noun: &str) -> String {
    match untold {
        0 => String::new(),
        1 => format!(", and 1 more {noun}"),
        more => format!(", and {more} more {noun}s"),
    }
}

#[cfg(test)]
mod tests;
