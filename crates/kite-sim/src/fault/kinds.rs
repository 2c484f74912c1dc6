//! Every fault, with one table row per kind.
//!
//! A new fault needs a variant and a row here, and its effect in `client/faults` or
//! `client/connection`.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use kite_server::Refusal;
use serde_json::json;

use super::argument::{FaultArgument, Value, write_time};
use super::random::Random;
use super::table::faults;
use super::{BodyDelivery, FaultFamily, order};

/// A failure that the simulator causes on purpose.
///
/// See [`Sim::inject`](crate::Sim::inject) for when each family strikes. The ticks that a fault
/// carries are real next states of instruments that the socket is subscribed to (at most 100, in
/// turn); those that a client can decode count as sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A handshake is refused regardless of its credentials. With status 400, 401 or 403 and
    /// complete JSON, which is how Kite rejects credentials, its kind is
    /// [`FaultKind::AuthRefusal`], else [`FaultKind::Refusal`].
    Refuse {
        /// Status and body.
        refusal: Refusal,
        /// How the body is sent.
        body: BodyDelivery,
    },
    /// A handshake is answered late, but otherwise normally.
    SlowHandshake {
        /// The delay.
        delay: Duration,
    },
    /// A handshake is read and never answered; TCP stays open until the client closes it.
    HangingHandshake,
    /// A handshake is answered with 101 and the accept key of another request, and nothing follows.
    WrongAcceptKey,
    /// TCP is reset once the request has arrived.
    HandshakeReset,
    /// The stream ends once the request has arrived, without a response.
    HandshakeEnd,
    /// The client's TLS hello is not answered. Without TLS, the request is not answered.
    HangingTls,
    /// The client's TLS hello is answered with bytes that are not TLS, then the stream ends.
    /// Without TLS, the request is answered that way.
    GarbageTls,
    /// The first bytes of a frame are sent, then TCP is reset.
    Reset {
        /// Number of bytes of the WebSocket frame, including the header; at most all.
        at: usize,
    },
    /// The first bytes of a frame are sent, then the stream ends without a close frame. Over TLS,
    /// the close notification is missing too.
    EndOfStream {
        /// Number of bytes of the WebSocket frame, including the header; at most all.
        at: usize,
    },
    /// Nothing is sent, not even a heartbeat, pong or close frame. TCP stays up, and the
    /// client's messages are read and obeyed. Lasts until healed.
    HalfOpen,
    /// Only heartbeats, pongs and close frames are sent, but no ticks or text frames. Lasts until
    /// healed.
    HeartbeatsOnly,
    /// Only pongs and close frames are sent, but no ticks, text frames or heartbeats. Lasts until
    /// healed.
    PongsOnly,
    /// Nothing is read, but everything due is sent. Lasts until healed.
    StopsReading,
    /// Nothing is read and nothing is sent. Lasts until healed.
    Stalls,
    /// Everything is sent, but slowly, as over a link of little bandwidth. While a frame is being
    /// sent, pongs, heartbeats, commands and faults wait for its end, and updates due are never
    /// sent. Lasts until healed, within a frame too.
    SlowLink {
        /// Bytes per second, without TLS's overhead.
        bytes_per_second: NonZeroU32,
    },
    /// The last packet of a frame of ticks is cut short, within a complete WebSocket message.
    TruncatedFrame {
        /// Number of bytes cut, at least 1 and at most all but one of the packet and its length
        /// prefix.
        cut: usize,
    },
    /// A binary message of zeros, which declares no packets.
    OversizedFrame {
        /// Its length in bytes; at least 2.
        bytes: usize,
    },
    /// A frame of ticks declares more or fewer packets than it has.
    LyingCount {
        /// Number of surplus packets declared, negative if too few; the declared number stays
        /// within 16 bits.
        by: i16,
    },
    /// A packet of a length that no layout has, after the first packet of a valid frame.
    UnknownPacket {
        /// Its length; one byte more if a layout has this length.
        length: u16,
    },
    /// A text frame of an undocumented type.
    UnknownText,
    /// A text frame that is not JSON.
    UnparsableText,
    /// A text frame of type `error`.
    ErrorText {
        /// The message.
        message: Cow<'static, str>,
    },
    /// An order update.
    Order {
        /// Its payload. Without an `order_id`, this and the other fields that identify and date an
        /// update are added when it is sent, the same on every socket.
        data: serde_json::Value,
    },
    /// The same order update twice in a row.
    DuplicateOrder {
        /// Its payload, as for [`Fault::Order`].
        data: serde_json::Value,
    },
    /// A close frame.
    Close {
        /// The close code; 1005 sends a close frame without a code.
        code: u16,
        /// Whether to wait for the client's close frame, as the protocol requires, or to end the
        /// stream immediately.
        waits: bool,
    },
    /// Frames of ticks back to back.
    Burst {
        /// The number of frames.
        frames: usize,
    },
    /// A frame that breaks the WebSocket protocol.
    InvalidFrame(InvalidFrame),
    /// The socket is closed with code 1001, and its API key's slots stay taken: handshakes of the
    /// account receive a 429.
    LateSlot {
        /// Time for which the slots stay taken.
        held: Duration,
    },
    /// The whole server restarts. All sockets of all accounts are dropped, the port refuses
    /// connections for a while, and then the server listens again.
    Restart {
        /// Time for which the server is down.
        down: Duration,
    },
}

/// How a frame breaks the WebSocket protocol (RFC 6455, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidFrame {
    /// A reserved opcode.
    ReservedOpcode,
    /// A reserved bit without a negotiated extension.
    ReservedBit,
    /// A mask, which only clients use.
    Masked,
    /// A text frame that is not UTF-8.
    InvalidUtf8,
}

impl InvalidFrame {
    /// All variants.
    pub const ALL: [Self; 4] =
        [Self::ReservedOpcode, Self::ReservedBit, Self::Masked, Self::InvalidUtf8];

    /// Returns the name used in reports, which is stable across releases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReservedOpcode => "reserved_opcode",
            Self::ReservedBit => "reserved_bit",
            Self::Masked => "masked",
            Self::InvalidUtf8 => "invalid_utf8",
        }
    }
}

/// Codes of RFC 6455, section 7.4.
const CLOSE_CODES: [u16; 7] = [1_000, 1_001, 1_005, 1_006, 1_008, 1_011, 1_012];
const NOTHING: Option<FaultArgument> = None;
const TIME: Option<FaultArgument> = FaultArgument::TIME;
const HEAL: Option<FaultArgument> = FaultArgument::HEAL;
const BYTES: Option<FaultArgument> = FaultArgument::BYTES;
const RATE: Option<FaultArgument> =
    FaultArgument::of("BYTES", "a number of bytes per second, at least 1");
const BY: Option<FaultArgument> = FaultArgument::of("BY", "a whole number, such as -2");
const LENGTH: Option<FaultArgument> = FaultArgument::of("LENGTH", "a length up to 65535");
const TEXT: Option<FaultArgument> = FaultArgument::of("TEXT", "a text");
const CODE: Option<FaultArgument> = FaultArgument::of("CODE", "a close code such as 1006");
const FRAMES: Option<FaultArgument> = FaultArgument::of("FRAMES", "a number of frames");
const WAY: Option<FaultArgument> =
    FaultArgument::of("WAY", "reserved_opcode, reserved_bit, masked or invalid_utf8");
const ORDER_STATUS: Option<FaultArgument> =
    FaultArgument::of("STATUS", "a status such as COMPLETE, REJECTED or OPEN");
/// The documented statuses of an order update.
const ORDER_STATUSES: [&str; 5] = ["COMPLETE", "REJECTED", "CANCELLED", "UPDATE", "OPEN"];
const STATUS: Option<FaultArgument> =
    FaultArgument::of("STATUS", "an HTTP status from 300 to 999, such as 503");

faults! {
    // Handshake faults.
    AuthRefusal "auth_refusal" Handshake NOTHING,
        "Kite's refusal of credentials: 403 and JSON."
        [Self::Refuse { refusal, body } if rejects_credentials(refusal, *body)] None,
        |random, longest_delay| {
            let refusal = match random.below(4) {
                0 => Refusal::no_credentials(),
                1 => Refusal::kite(400, "Invalid auth token."),
                2 => Refusal::kite(401, "Invalid auth token."),
                _ => Refusal::auth(),
            };
            Fault::Refuse { refusal, body: BodyDelivery::draw(random, 3, longest_delay) }
        },
        |value| value.none(Fault::refuse(Refusal::auth()));
    Refusal "refusal" Handshake STATUS,
        "Any other refusal."
        [Self::Refuse { refusal, .. }] Some(refusal.status().to_string()),
        |random, longest_delay| {
            let refusal = match random.below(6) {
                0 => Refusal::too_many_sockets(),
                1 => Refusal::kite(502, "Gateway timed out"),
                2 => Refusal::new(403, "<html><body>403 Forbidden</body></html>"),
                3 => Refusal::new(401, "<html><body>401 Unauthorized</body></html>"),
                4 => Refusal::new(503, "<html><body>503 Unavailable</body></html>"),
                _ => Refusal::malformed(),
            };
            Fault::Refuse { refusal, body: BodyDelivery::draw(random, 4, longest_delay) }
        },
        |value| Some(Fault::refuse(match value.number(503)? {
            // With Kite's JSON these would be an `AuthRefusal`.
            status @ (400 | 401 | 403) => Refusal::new(status, "<html><body>refused</body></html>"),
            // A lower status refuses nothing.
            status @ 300..=999 => Refusal::kite(status, "Refused by kite sim"),
            _ => return None,
        }));
    SlowHandshake "slow_handshake" Handshake TIME,
        "Answered late, but otherwise normally."
        [Self::SlowHandshake { delay }] Some(write_time(*delay)),
        |random, longest_delay| Fault::SlowHandshake { delay: random.up_to(longest_delay) },
        |value| Some(Fault::SlowHandshake { delay: value.time(2)? });
    HangingHandshake "hanging_handshake" Handshake NOTHING,
        "The request is read and never answered."
        [Self::HangingHandshake] None,
        |_, _| Fault::HangingHandshake,
        |value| value.none(Fault::HangingHandshake);
    WrongAcceptKey "wrong_accept_key" Handshake NOTHING,
        "Answered with the accept key of another request."
        [Self::WrongAcceptKey] None,
        |_, _| Fault::WrongAcceptKey,
        |value| value.none(Fault::WrongAcceptKey);
    HandshakeReset "handshake_reset" Handshake NOTHING,
        "TCP is reset once the request has arrived."
        [Self::HandshakeReset] None,
        |_, _| Fault::HandshakeReset,
        |value| value.none(Fault::HandshakeReset);
    HandshakeEnd "handshake_end" Handshake NOTHING,
        "The stream ends once the request has arrived."
        [Self::HandshakeEnd] None,
        |_, _| Fault::HandshakeEnd,
        |value| value.none(Fault::HandshakeEnd);

    // TLS faults.
    HangingTls "hanging_tls" Tls NOTHING,
        "The TLS hello is not answered."
        [Self::HangingTls] None,
        |_, _| Fault::HangingTls,
        |value| value.none(Fault::HangingTls);
    GarbageTls "garbage_tls" Tls NOTHING,
        "The TLS hello is answered with bytes that are not TLS."
        [Self::GarbageTls] None,
        |_, _| Fault::GarbageTls,
        |value| value.none(Fault::GarbageTls);

    // Socket faults.
    Reset "reset" Socket BYTES,
        "TCP is reset within a frame."
        [Self::Reset { at }] Some(at.to_string()),
        |random, _| Fault::Reset { at: random.below(200) },
        |value| Some(Fault::Reset { at: value.number(10)? });
    EndOfStream "end_of_stream" Socket BYTES,
        "The stream ends within a frame."
        [Self::EndOfStream { at }] Some(at.to_string()),
        |random, _| Fault::EndOfStream { at: random.below(200) },
        |value| Some(Fault::EndOfStream { at: value.number(10)? });
    HalfOpen "half_open" Socket HEAL,
        "Nothing is sent; healed after TIME."
        [Self::HalfOpen] None,
        |_, _| Fault::HalfOpen,
        |value| value.none(Fault::HalfOpen);
    HeartbeatsOnly "heartbeats_only" Socket HEAL,
        "No ticks or text frames, only heartbeats and pongs."
        [Self::HeartbeatsOnly] None,
        |_, _| Fault::HeartbeatsOnly,
        |value| value.none(Fault::HeartbeatsOnly);
    PongsOnly "pongs_only" Socket HEAL,
        "No ticks, text frames or heartbeats, only pongs."
        [Self::PongsOnly] None,
        |_, _| Fault::PongsOnly,
        |value| value.none(Fault::PongsOnly);
    StopsReading "stops_reading" Socket HEAL,
        "Nothing is read, but everything is sent."
        [Self::StopsReading] None,
        |_, _| Fault::StopsReading,
        |value| value.none(Fault::StopsReading);
    Stalls "stalls" Socket HEAL,
        "Nothing is read and nothing is sent."
        [Self::Stalls] None,
        |_, _| Fault::Stalls,
        |value| value.none(Fault::Stalls);
    SlowLink "slow_link" Socket RATE,
        "Everything is sent, but slowly."
        [Self::SlowLink { bytes_per_second }] Some(bytes_per_second.to_string()),
        |random, _| {
            // Up to 65,504 bytes per second, each order of magnitude as often.
            let bytes_per_second = (1_024 + random.below(1_023) as u32) << random.below(6);
            Fault::SlowLink { bytes_per_second: at_least_one(bytes_per_second) }
        },
        |value| Some(Fault::SlowLink { bytes_per_second: value.number(at_least_one(28_000))? });
    TruncatedFrame "truncated_frame" Socket BYTES,
        "The last packet of a frame is cut short."
        [Self::TruncatedFrame { cut }] Some(cut.to_string()),
        |random, _| Fault::TruncatedFrame { cut: 1 + random.below(185) },
        |value| Some(Fault::TruncatedFrame { cut: value.number(4).filter(|&cut| cut > 0)? });
    OversizedFrame "oversized_frame" Socket BYTES,
        "A frame of zeros, larger than any valid one."
        [Self::OversizedFrame { bytes }] Some(bytes.to_string()),
        |random, _| {
            Fault::OversizedFrame { bytes: Fault::OVERSIZED_BYTES + random.below(1 << 16) }
        },
        |value| {
            let bytes = value.number(Fault::OVERSIZED_BYTES)?;
            (2..=1 << 30).contains(&bytes).then_some(Fault::OversizedFrame { bytes })
        };
    LyingCount "lying_count" Socket BY,
        "A frame declares more or fewer packets than it has."
        [Self::LyingCount { by }] Some(by.to_string()),
        |random, _| {
            let more = 1 + random.below(99) as i16;
            Fault::LyingCount { by: if random.below(2) == 0 { more } else { -more } }
        },
        |value| Some(Fault::LyingCount { by: value.number(5)? });
    UnknownPacket "unknown_packet" Socket LENGTH,
        "A packet of a length that no layout has."
        [Self::UnknownPacket { length }] Some(length.to_string()),
        |random, _| Fault::UnknownPacket { length: random.below(300) as u16 },
        |value| Some(Fault::UnknownPacket { length: value.number(64)? });
    UnknownText "unknown_text" Socket NOTHING,
        "A text frame of an undocumented type."
        [Self::UnknownText] None,
        |_, _| Fault::UnknownText,
        |value| value.none(Fault::UnknownText);
    UnparsableText "unparsable_text" Socket NOTHING,
        "A text frame that is not JSON."
        [Self::UnparsableText] None,
        |_, _| Fault::UnparsableText,
        |value| value.none(Fault::UnparsableText);
    ErrorText "error_text" Socket TEXT,
        "A text frame of type error."
        [Self::ErrorText { message }] Some(message.clone().into_owned()),
        |random, _| match random.below(2) {
            0 => Fault::limit_error(),
            _ => Fault::ErrorText { message: "Something went wrong.".into() },
        },
        |value| Some(match value.0 {
            None => Fault::limit_error(),
            Some(text) => Fault::ErrorText { message: text.to_owned().into() },
        });
    Order "order" Socket ORDER_STATUS,
        "An order update with all documented fields."
        [Self::Order { data }] data["status"].as_str().map(str::to_owned),
        |random, _| {
            Fault::Order { data: order::payload(ORDER_STATUSES[random.below(ORDER_STATUSES.len())]) }
        },
        |value| {
            let status = value.0.unwrap_or("COMPLETE");
            (!status.is_empty()).then(|| Fault::Order { data: order::payload(status) })
        };
    DuplicateOrder "duplicate_order" Socket NOTHING,
        "The same order update twice in a row."
        [Self::DuplicateOrder { .. }] None,
        |random, _| {
            let order_id = format!("{:015}", random.below(1_000_000_000));
            Fault::DuplicateOrder { data: json!({"order_id": order_id, "status": "COMPLETE"}) }
        },
        |value| {
            value.none(Fault::DuplicateOrder { data: order::payload("COMPLETE") })
        };
    Close "close" Socket CODE,
        "A close frame; 1005 stands for one without a code."
        [Self::Close { code, .. }] Some(code.to_string()),
        |random, _| {
            let code = CLOSE_CODES[random.below(CLOSE_CODES.len())];
            Fault::Close { code, waits: random.below(2) == 0 }
        },
        |value| Some(Fault::Close { code: value.number(1_001)?, waits: true });
    Burst "burst" Socket FRAMES,
        "Frames of ticks back to back."
        [Self::Burst { frames }] Some(frames.to_string()),
        |random, _| Fault::Burst { frames: 2 + random.below(31) },
        |value| Some(Fault::Burst { frames: value.number(100)? });
    InvalidFrame "invalid_frame" Socket WAY,
        "A frame that breaks the WebSocket protocol."
        [Self::InvalidFrame(way)] Some(way.name().to_owned()),
        |random, _| {
            Fault::InvalidFrame(InvalidFrame::ALL[random.below(InvalidFrame::ALL.len())])
        },
        |value| Some(Fault::InvalidFrame(value.way()?));
    LateSlot "late_slot" Socket TIME,
        "The socket is closed, and the account's slots stay taken for TIME."
        [Self::LateSlot { held }] Some(write_time(*held)),
        |random, longest_delay| Fault::LateSlot { held: random.up_to(longest_delay) },
        |value| Some(Fault::LateSlot { held: value.time(5)? });

    // Server faults.
    Restart "restart" Server TIME,
        "The server is down for TIME, then listens again."
        [Self::Restart { down }] Some(write_time(*down)),
        |random, longest_delay| Fault::Restart { down: random.up_to(longest_delay) },
        |value| Some(Fault::Restart { down: value.time(5)? });
}

const fn at_least_one(bytes: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(bytes.saturating_sub(1))
}

/// Returns whether a refusal is sent whole and is one with which Kite rejects credentials.
fn rejects_credentials(refusal: &Refusal, body: BodyDelivery) -> bool {
    matches!(refusal.status(), 400 | 401 | 403) && refusal.is_json() && body != BodyDelivery::Never
}
