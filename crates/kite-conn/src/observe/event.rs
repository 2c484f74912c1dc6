//! Events of a connection, as data and as text.
//!
//! Events on the [`EventLane`](crate::EventLane) are never displaced by ticks. Once read from the
//! socket, they never wait for a tick consumer. A sink receives them in order with its batches. A
//! sink that blocks ([`Overflow::Block`](crate::Overflow::Block)) stops the connection from reading
//! its socket, which delays what the server sends after those ticks, including order updates. If
//! these must not wait, choose another policy or a separate connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kite_wire::FrameFault;
use kite_wire::text::{TextError, TextMessage};

use super::gap::Gap;
use super::loss::{LossCause, ParkReason};
use super::wording::{counted, grouped};
use crate::clock::Stamp;
use crate::config::TokenSourceError;
use crate::one_line::OneLine;
use crate::transport::OpenError;

/// Something that happened to a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A socket is being opened.
    Opening {
        /// Number of the attempt since the last stable connection, from 1.
        attempt: u32,
    },
    /// The handshake is done; subscriptions are sent now.
    Up {
        /// Number of this socket on its connection, from 1.
        epoch: u32,
        /// Number of instruments being subscribed.
        instruments: usize,
    },
    /// A live socket was lost. What the server sends until the next [`Event::Up`] is missed;
    /// [`Event::Gap`] reports what that was.
    Down {
        /// The socket's number.
        epoch: u32,
        /// The cause.
        cause: LossCause,
        /// When the last message of any kind, including a pong, was received.
        last_heard: Stamp,
    },
    /// What was missed between a loss and the ticks after it. Sent once for each reconnect, and once
    /// for each move of instruments from a lost connection, by the connection they were moved to, as
    /// soon as one of these happens: every instrument that had ticked has ticked again; a frame
    /// arrives `silence_threshold` or more after the handshake or the move; the socket is lost; the
    /// connection ends.
    Gap(Arc<Gap>),
    /// A socket could not be opened.
    OpenFailed {
        /// Number of the attempt since the last stable connection, from 1.
        attempt: u32,
        /// The cause.
        error: OpenError,
    },
    /// The next attempt is scheduled. A [`Severity::Warning`] if the delay is a minute or longer,
    /// such as after a refusal with `Retry-After`.
    Retry {
        /// Number of that attempt, from 1.
        attempt: u32,
        /// Time until then.
        delay: Duration,
    },
    /// Credentials are requested from the token source.
    Renewing {
        /// Number of the attempt that needs the credentials, from 1.
        attempt: u32,
        /// Whether the current credentials were refused; otherwise they have no access token.
        refused: bool,
    },
    /// The token source failed. It is called again, with growing delays.
    RenewalFailed {
        /// Number of the attempt that needed the credentials, from 1.
        attempt: u32,
        /// The cause.
        error: TokenSourceError,
    },
    /// The connection no longer reconnects on its own. Subscriptions are kept; new credentials
    /// resume it.
    Parked(ParkReason),
    /// For twice the `silence_threshold` no tick or heartbeat was received, although pongs or texts
    /// were. The path works, but the feed does not. The time that a long text takes to arrive does
    /// not count.
    FeedSilent {
        /// Time without a tick or heartbeat.
        silence: Duration,
        /// Time until the socket is replaced. Zero at first; grows each time a replacement socket
        /// is silent too.
        grace: Duration,
    },
    /// Heartbeats arrive, but no ticks have for `stale_after`. The market may be closed or the
    /// instruments idle, so the connection stays open. Sent once for each silence.
    TicksStale {
        /// Time without ticks.
        silence: Duration,
        /// Number of instruments subscribed.
        instruments: usize,
    },
    /// Ticks have resumed after [`Event::TicksStale`].
    TicksResumed {
        /// Time without ticks.
        silence: Duration,
    },
    /// The machine slept. A live socket is pinged immediately; a scheduled attempt is brought
    /// forward by this much.
    ///
    /// On Linux and Android this is the time by which `CLOCK_BOOTTIME` ran ahead of
    /// `CLOCK_MONOTONIC`. Elsewhere it is the time by which the wall clock did, so that a clock set
    /// forward is reported as sleep too.
    Suspended {
        /// Time asleep.
        slept: Duration,
    },
    /// The wall clock was set, by 500 ms or more. Nothing is missing, but times of day before and
    /// after it do not fit together: stamps from here on have the new time
    /// ([`Stamp::to_system_time`]).
    ///
    /// A sink receives it once a step, in order with its frames and within a second. The lane
    /// receives it once a step, from the first of its connections that noticed it. Where time asleep
    /// is not known (see [`Event::Suspended`]), sleep is reported as a step too.
    ClockStepped {
        /// The new time minus the old one in nanoseconds; negative if the clock was set back.
        by_ns: i64,
    },
    /// The server rejected instruments because the limit is reached. They stay in the desired set
    /// and are sent again once others have been unsubscribed, and on the next socket.
    LimitRefused {
        /// The server's message.
        message: String,
        /// Number of instruments that may be affected. The message does not name them, so these are
        /// the ones of the last subscribe command and of earlier ones that were rejected.
        instruments: usize,
    },
    /// The application's sink panicked and receives nothing more; the connection closes.
    DeliveryFailed,
    /// The connection has ended, because it was closed, its sink panicked, or its runtime shut
    /// down. No event follows.
    Closed {
        /// Whether the end lost nothing ([`Stopped::clean`](crate::Stopped::clean)).
        clean: bool,
    },
    /// A frame's tail was unreadable. The packets before it are delivered.
    FrameDamaged {
        /// The fault.
        fault: FrameFault,
        /// Number of bytes discarded.
        bytes_left: usize,
        /// Number of further damaged frames suppressed since the previous event of this kind.
        suppressed: u64,
    },
    /// Packets of unknown length were skipped. The other packets of the frame are delivered.
    PacketsSkipped {
        /// Length of the first of them in bytes.
        length: usize,
        /// Number of such packets in this frame.
        packets: u16,
        /// Number of further frames with such packets suppressed since the previous event of this
        /// kind.
        suppressed: u64,
    },
    /// Ticks of instruments arrived that were not subscribed on this socket. They are delivered, and
    /// counted in [`Stats::unsubscribed_ticks`](crate::Stats::unsubscribed_ticks). Sent at the first,
    /// once for each socket; not at all unless instruments are tracked
    /// ([`ConnectionConfig::track_instruments`](crate::ConnectionConfig::track_instruments)).
    NotSubscribed {
        /// The first of them.
        token: u32,
    },
    /// A text frame was unreadable. A sink receives every one of these, the lane at most one per
    /// second.
    TextUnreadable {
        /// The text as received.
        text: Bytes,
        /// The cause.
        error: TextError,
        /// When it was read from the socket.
        received: Stamp,
        /// Number of further such frames suppressed on the lane since the previous event of this
        /// kind.
        suppressed: u64,
    },
    /// The server sent a text frame: an order update, an error, a broadcast or something unknown.
    Text {
        /// The text as received; it is UTF-8.
        text: Bytes,
        /// Its content.
        message: Arc<TextMessage>,
        /// When it was read from the socket.
        received: Stamp,
    },
}

/// How much an event matters to the operator of a feed, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// An intermediate step, such as the next attempt.
    Detail,
    /// Something worth reading that needs no action.
    Notice,
    /// Something works again.
    Recovery,
    /// Something may be missing.
    Warning,
    /// Something is missing or was rejected.
    Error,
}

/// A delay from which the next attempt is worth a warning: ticks are missed until then.
const LONG_WAIT: Duration = Duration::from_secs(60);

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
            Self::ClockStepped { .. } => "clock_stepped",
            Self::LimitRefused { .. } => "limit_refused",
            Self::DeliveryFailed => "delivery_failed",
            Self::Closed { .. } => "closed",
            Self::FrameDamaged { .. } => "frame_damaged",
            Self::PacketsSkipped { .. } => "packets_skipped",
            Self::NotSubscribed { .. } => "not_subscribed",
            Self::TextUnreadable { .. } => "text_unreadable",
            Self::Text { .. } => "text",
        }
    }

    /// Returns how much the event matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Retry { delay, .. } if *delay >= LONG_WAIT => Severity::Warning,
            Self::Opening { .. }
            | Self::Retry { .. }
            | Self::Renewing { .. }
            | Self::Closed { clean: true } => Severity::Detail,
            Self::Up { epoch: 1, .. } | Self::Closed { clean: false } => Severity::Notice,
            Self::Gap(gap) if gap.instruments.is_empty() => Severity::Notice,
            Self::Up { .. } | Self::TicksResumed { .. } => Severity::Recovery,
            Self::Gap(_)
            | Self::FeedSilent { .. }
            | Self::TicksStale { .. }
            | Self::Suspended { .. }
            | Self::ClockStepped { .. }
            | Self::NotSubscribed { .. }
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

    fn write_to(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening { attempt } => write!(out, "opening a socket, attempt {attempt}"),
            Self::Up { epoch: 1, .. } => out.write_str("up"),
            Self::Up { .. } => out.write_str("up again"),
            Self::Down { cause, .. } => write!(out, "lost: {cause}"),
            Self::Gap(gap) => write!(out, "gap: {gap}"),
            Self::OpenFailed { attempt, error } => {
                write!(out, "connection attempt {attempt} failed: {error}")
            }
            Self::Retry { attempt, delay } => write!(out, "attempt {attempt} in {delay:.1?}"),
            Self::Renewing { refused: true, .. } => {
                out.write_str("asking for new credentials; the current ones were refused")
            }
            Self::Renewing { .. } => out.write_str("asking for credentials"),
            // The cause is left out, because it is the application's own text, which may hold a
            // token.
            Self::RenewalFailed { error, .. } => write!(out, "no new credentials: {error}"),
            Self::Parked(reason) => write!(out, "parked: {reason}"),
            Self::FeedSilent { silence, .. } => write!(
                out,
                "the path works, but no tick or heartbeat was received for {silence:.1?}"
            ),
            Self::TicksStale { silence, instruments } => write!(
                out,
                "no ticks from {} for {silence:.1?}; is the market open?",
                counted(*instruments, "instrument")
            ),
            Self::TicksResumed { silence } => write!(out, "ticks resumed after {silence:.1?}"),
            Self::Suspended { slept } => write!(out, "the machine slept for {slept:.1?}"),
            Self::ClockStepped { by_ns } => {
                let direction = if *by_ns < 0 { "back" } else { "forward" };
                let by = Duration::from_nanos(by_ns.unsigned_abs());
                write!(out, "the wall clock was set {direction} by {by:.1?}")
            }
            Self::LimitRefused { message, instruments } => {
                write!(out, "{} rejected: {message}", counted(*instruments, "instrument"))
            }
            Self::DeliveryFailed => out.write_str("the sink panicked; closing the connection"),
            Self::Closed { clean: true } => out.write_str("closed"),
            Self::Closed { clean: false } => {
                out.write_str("closed; what the server sent last may be missing")
            }
            Self::FrameDamaged { fault, bytes_left, suppressed } => {
                let cut = counted(*bytes_left, "byte");
                write!(out, "{fault}, {cut} cut off{}", more(*suppressed, "damaged frame"))
            }
            Self::PacketsSkipped { length, packets, suppressed } => write!(
                out,
                "{} of unknown length ({}) skipped{}",
                counted((*packets).into(), "packet"),
                counted(*length, "byte"),
                more(*suppressed, "such frame")
            ),
            Self::NotSubscribed { token } => write!(
                out,
                "ticks of instruments that are not subscribed arrive, the first of {token}"
            ),
            Self::TextUnreadable { error, suppressed, .. } => {
                write!(out, "text frame unreadable: {error}{}", more(*suppressed, "such frame"))
            }
            Self::Text { message, .. } => match &**message {
                TextMessage::Error(error) => write!(out, "server error: {error}"),
                TextMessage::Message(data) => match data.as_str() {
                    Some(text) => write!(out, "broker: {text}"),
                    None => write!(out, "broker: {data}"),
                },
                TextMessage::Order(_) => out.write_str("an order update"),
                TextMessage::UnreadableOrder { .. } => out.write_str("an unreadable order update"),
                TextMessage::Other { kind: Some(kind), .. } => {
                    write!(out, "text frame of type {kind}")
                }
                _ => out.write_str("text frame without a type"),
            },
        }
    }
}

/// One line of plain English, without secrets, cleaned by [`OneLine`](crate::OneLine).
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(Words(self)).fmt(f)
    }
}

/// An event in words that may contain the server's.
struct Words<'a>(&'a Event);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_to(f)
    }
}

fn more(suppressed: u64, noun: &str) -> String {
    match suppressed {
        0 => String::new(),
        1 => format!(", and 1 more {noun}"),
        more => format!(", and {} more {noun}s", grouped(more)),
    }
}

#[cfg(test)]
mod tests;
