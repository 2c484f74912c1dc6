//! Faults as data: what can go wrong on purpose.
//!
//! What a fault does to a handshake is in `client/connection`, to an open socket in
//! `client/faults`.

pub(crate) mod chance;
pub(crate) mod damage;
pub(crate) mod delivery;
pub(crate) mod pending;
mod random;
pub(crate) mod script;
pub(crate) mod texts;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub use delivery::BodyDelivery;

use crate::server::refusal::Refusal;

/// Something that goes wrong on purpose.
///
/// See [`Sim::inject`](crate::Sim::inject) for when each family strikes. Where a fault carries
/// ticks, they are real next states of instruments the socket is subscribed to (at most 100, in
/// turn), and what a client can decode of them counts as sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A handshake is refused, whatever its credentials.
    Refuse {
        /// Status and body.
        refusal: Refusal,
        /// How the body comes.
        body: BodyDelivery,
    },
    /// A handshake is answered late, and then as it would have been.
    SlowHandshake {
        /// How late.
        delay: Duration,
    },
    /// A handshake is read and never answered; TCP stays until the client ends it.
    HangingHandshake,
    /// A handshake is answered with 101 and the accept key of another request, then by nothing.
    WrongAcceptKey,
    /// TCP is reset once the request has come.
    HandshakeReset,
    /// The stream ends once the request has come, without an answer.
    HandshakeEnd,
    /// The client's TLS hello is not answered. Without TLS, the request is not.
    HangingTls,
    /// The client's TLS hello is answered by bytes that are no TLS, then the stream ends. Without
    /// TLS, the request is answered so.
    GarbageTls,
    /// The first bytes of a frame are sent, then TCP is reset.
    Reset {
        /// How many bytes of the WebSocket frame, its header included; at most all.
        at: usize,
    },
    /// The first bytes of a frame are sent, then the stream ends without a close frame. Over TLS
    /// without TLS's own farewell.
    EndOfStream {
        /// How many bytes of the WebSocket frame, its header included; at most all.
        at: usize,
    },
    /// Nothing is sent any more: no tick, heartbeat, text, pong or close frame. TCP stays, and what
    /// the client says is read and obeyed. Lasts.
    HalfOpen,
    /// Heartbeats, pongs and close frames only: no ticks and texts. Lasts.
    HeartbeatsOnly,
    /// Pongs and close frames only: no ticks, texts and heartbeats. Lasts.
    PongsOnly,
    /// Nothing is read any more, while everything due is sent. Lasts.
    StopsReading,
    /// Nothing is read and nothing is sent any more. Lasts.
    Stalls,
    /// The last packet of a frame of ticks lacks its end, within a whole WebSocket message.
    TruncatedFrame {
        /// How many bytes it lacks: at least 1, at most all but one of the packet with its length.
        cut: usize,
    },
    /// A binary message of zeros, which declares no packet.
    OversizedFrame {
        /// Its length; at least 2.
        bytes: usize,
    },
    /// A frame of ticks declares more or fewer packets than it has.
    LyingCount {
        /// How many more, or fewer if negative; the declared number stays within 16 bits.
        by: i16,
    },
    /// A packet of a length that no layout has, behind the first of a frame of good ones.
    UnknownPacket {
        /// Its length; one more is taken where this is a known one.
        length: u16,
    },
    /// A text frame of a type that nobody has documented.
    UnknownText,
    /// A text frame that is no JSON.
    UnparsableText,
    /// A text frame of type `error`.
    ErrorText {
        /// What it says.
        message: Cow<'static, str>,
    },
    /// The same order update twice in a row.
    DuplicateOrder {
        /// Its payload.
        data: Value,
    },
    /// A close frame.
    Close {
        /// Its code; 1005: a close frame without one.
        code: u16,
        /// Whether the client's close frame is awaited, as the protocol has it, or the stream ends
        /// at once.
        waits: bool,
    },
    /// Frames of ticks back to back.
    Burst {
        /// How many.
        frames: usize,
    },
    /// A frame that breaks the WebSocket protocol.
    InvalidFrame(InvalidFrame),
    /// The socket is closed with code 1001, and its API key's slots stay taken: handshakes of the
    /// account get a 429.
    LateSlot {
        /// For how long.
        held: Duration,
    },
    /// The whole server goes away and comes back: all sockets of all accounts are dropped, the port
    /// refuses connections, and then it is served again.
    Restart {
        /// For how long it is away.
        down: Duration,
    },
}

/// How a frame breaks the WebSocket protocol (RFC 6455, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidFrame {
    /// An opcode that is reserved.
    ReservedOpcode,
    /// A reserved bit that no extension was agreed on for.
    ReservedBit,
    /// A mask, which only clients use.
    Masked,
    /// A text that is not UTF-8.
    InvalidUtf8,
}

impl InvalidFrame {
    /// All ways.
    pub const ALL: [Self; 4] =
        [Self::ReservedOpcode, Self::ReservedBit, Self::Masked, Self::InvalidUtf8];
}

/// What a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FaultFamily {
    /// A TLS handshake, of whichever account: the account shows only afterwards.
    Tls,
    /// A handshake of an account.
    Handshake,
    /// An open socket.
    Socket,
    /// The whole server.
    Server,
}

macro_rules! kinds {
    ($($kind:ident $name:literal $family:ident $doc:literal;)*) => {
        /// The kind of a [`Fault`], without its values.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum FaultKind {
            $(#[doc = $doc] $kind,)*
        }

        impl Fault {
            /// All kinds of faults, in a fixed order.
            pub const KINDS: &'static [FaultKind] = &[$(FaultKind::$kind,)*];
        }

        impl FaultKind {
            /// Gives the name for reports, which stays the same over releases.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Says what faults of this kind strike.
            #[must_use]
            pub const fn family(self) -> FaultFamily {
                match self { $(Self::$kind => FaultFamily::$family,)* }
            }
        }
    };
}

kinds! {
    AuthRefusal "auth_refusal" Handshake
        "[`Fault::Refuse`] with 400, 401 or 403 and JSON that comes whole: Kite's word on credentials.";
    Refusal "refusal" Handshake "Any other [`Fault::Refuse`].";
    SlowHandshake "slow_handshake" Handshake "[`Fault::SlowHandshake`].";
    HangingHandshake "hanging_handshake" Handshake "[`Fault::HangingHandshake`].";
    WrongAcceptKey "wrong_accept_key" Handshake "[`Fault::WrongAcceptKey`].";
    HandshakeReset "handshake_reset" Handshake "[`Fault::HandshakeReset`].";
    HandshakeEnd "handshake_end" Handshake "[`Fault::HandshakeEnd`].";
    HangingTls "hanging_tls" Tls "[`Fault::HangingTls`].";
    GarbageTls "garbage_tls" Tls "[`Fault::GarbageTls`].";
    Reset "reset" Socket "[`Fault::Reset`].";
    EndOfStream "end_of_stream" Socket "[`Fault::EndOfStream`].";
    HalfOpen "half_open" Socket "[`Fault::HalfOpen`].";
    HeartbeatsOnly "heartbeats_only" Socket "[`Fault::HeartbeatsOnly`].";
    PongsOnly "pongs_only" Socket "[`Fault::PongsOnly`].";
    StopsReading "stops_reading" Socket "[`Fault::StopsReading`].";
    Stalls "stalls" Socket "[`Fault::Stalls`].";
    TruncatedFrame "truncated_frame" Socket "[`Fault::TruncatedFrame`].";
    OversizedFrame "oversized_frame" Socket "[`Fault::OversizedFrame`].";
    LyingCount "lying_count" Socket "[`Fault::LyingCount`].";
    UnknownPacket "unknown_packet" Socket "[`Fault::UnknownPacket`].";
    UnknownText "unknown_text" Socket "[`Fault::UnknownText`].";
    UnparsableText "unparsable_text" Socket "[`Fault::UnparsableText`].";
    ErrorText "error_text" Socket "[`Fault::ErrorText`].";
    DuplicateOrder "duplicate_order" Socket "[`Fault::DuplicateOrder`].";
    Close "close" Socket "[`Fault::Close`].";
    Burst "burst" Socket "[`Fault::Burst`].";
    InvalidFrame "invalid_frame" Socket "[`Fault::InvalidFrame`].";
    LateSlot "late_slot" Socket "[`Fault::LateSlot`].";
    Restart "restart" Server "[`Fault::Restart`].";
}

impl FaultKind {
    /// Says whether the socket stays and its state lasts until it is healed.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::HalfOpen
                | Self::HeartbeatsOnly
                | Self::PongsOnly
                | Self::StopsReading
                | Self::Stalls
        )
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Fault {
    /// A length just above the largest message that a client of this protocol should take:
    /// 1 MiB, nearly twice the largest lawful frame.
    pub const OVERSIZED_BYTES: usize = (1 << 20) + 1;

    /// Gives the kind.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Refuse { refusal, body } => {
                let is_auth = matches!(refusal.status(), 400 | 401 | 403)
                    && refusal.is_json()
                    && *body != BodyDelivery::Never;
                if is_auth { FaultKind::AuthRefusal } else { FaultKind::Refusal }
            }
            Self::SlowHandshake { .. } => FaultKind::SlowHandshake,
            Self::HangingHandshake => FaultKind::HangingHandshake,
            Self::WrongAcceptKey => FaultKind::WrongAcceptKey,
            Self::HandshakeReset => FaultKind::HandshakeReset,
            Self::HandshakeEnd => FaultKind::HandshakeEnd,
            Self::HangingTls => FaultKind::HangingTls,
            Self::GarbageTls => FaultKind::GarbageTls,
            Self::Reset { .. } => FaultKind::Reset,
            Self::EndOfStream { .. } => FaultKind::EndOfStream,
            Self::HalfOpen => FaultKind::HalfOpen,
            Self::HeartbeatsOnly => FaultKind::HeartbeatsOnly,
            Self::PongsOnly => FaultKind::PongsOnly,
            Self::StopsReading => FaultKind::StopsReading,
            Self::Stalls => FaultKind::Stalls,
            Self::TruncatedFrame { .. } => FaultKind::TruncatedFrame,
            Self::OversizedFrame { .. } => FaultKind::OversizedFrame,
            Self::LyingCount { .. } => FaultKind::LyingCount,
            Self::UnknownPacket { .. } => FaultKind::UnknownPacket,
            Self::UnknownText => FaultKind::UnknownText,
            Self::UnparsableText => FaultKind::UnparsableText,
            Self::ErrorText { .. } => FaultKind::ErrorText,
            Self::DuplicateOrder { .. } => FaultKind::DuplicateOrder,
            Self::Close { .. } => FaultKind::Close,
            Self::Burst { .. } => FaultKind::Burst,
            Self::InvalidFrame(_) => FaultKind::InvalidFrame,
            Self::LateSlot { .. } => FaultKind::LateSlot,
            Self::Restart { .. } => FaultKind::Restart,
        }
    }

    /// Says whether the fault awaits a handshake.
    pub(crate) fn awaits_handshake(&self) -> bool {
        matches!(self.kind().family(), FaultFamily::Tls | FaultFamily::Handshake)
    }

    /// Gives a refusal whose body comes with its head.
    #[must_use]
    pub fn refuse(refusal: Refusal) -> Self {
        Self::Refuse { refusal, body: BodyDelivery::AtOnce }
    }

    /// Gives Kite's error text about too many instruments, out of place: no limit was exceeded.
    #[must_use]
    pub fn limit_error() -> Self {
        Self::ErrorText { message: "Can't subscribe to more than 3000 instruments.".into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_in_snake_case() {
        let names: BTreeSet<_> = Fault::KINDS.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Fault::KINDS.len());
        let is_plain =
            |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(names.iter().all(is_plain));
        assert_eq!(format!("{:>6}", FaultKind::Burst), " burst");
    }

    #[test]
    fn only_kites_whole_json_about_credentials_is_an_auth_refusal() {
        let kind = |refusal, body| Fault::Refuse { refusal, body }.kind();
        let html = || Refusal::new(403, "<html>");
        assert_eq!(kind(Refusal::auth(), BodyDelivery::Chunked), FaultKind::AuthRefusal);
        assert_eq!(kind(Refusal::auth(), BodyDelivery::Never), FaultKind::Refusal);
        assert_eq!(kind(html(), BodyDelivery::AtOnce), FaultKind::Refusal);
        assert_eq!(Fault::refuse(Refusal::kite(429, "wait")).kind(), FaultKind::Refusal);
    }
}
