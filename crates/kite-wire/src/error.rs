//! Errors of decoding and encoding: small values with positions and sizes.

/// Why the tail of a frame could not be read. The packets before it are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// The frame is empty; the shortest valid one, a heartbeat, has one byte.
    #[error("frame of 0 bytes")]
    Empty,
    /// The frame ends where the two length bytes of a packet should be.
    #[error(
        "frame ends at byte {offset} within the length of packet {index}, with {declared} packets declared"
    )]
    TruncatedLength {
        /// Index of the packet, counted from 0.
        index: u16,
        /// Number of packets that the frame's head declares.
        declared: u16,
        /// Where the packet's length should be, in bytes from the start of the frame.
        offset: usize,
    },
    /// A packet's length reaches beyond the end of the frame.
    #[error(
        "packet {index} of {declared} at byte {offset} declares {length} bytes, but only {left} are left"
    )]
    TruncatedPacket {
        /// Index of the packet, counted from 0.
        index: u16,
        /// Number of packets that the frame's head declares.
        declared: u16,
        /// Where the packet's body should start, in bytes from the start of the frame.
        offset: usize,
        /// The length that the packet declares, in bytes.
        length: u16,
        /// Number of bytes left for it.
        left: usize,
    },
    /// Bytes follow the last packet that the frame's head declares.
    #[error("{left} bytes follow the last of {declared} packets at byte {offset}")]
    TrailingBytes {
        /// Number of packets that the frame's head declares.
        declared: u16,
        /// Where the surplus starts, in bytes from the start of the frame.
        offset: usize,
        /// Number of bytes that follow.
        left: usize,
    },
}

/// A packet has an unknown length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("packet of {length} bytes; known lengths are 8, 28, 32, 44 and 184")]
pub struct PacketError {
    /// The length found, in bytes.
    pub length: usize,
}

/// Why a packet could not be added to a frame under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small.
    #[error("{needed} bytes needed, but only {free} are free in the buffer")]
    BufferFull {
        /// Number of bytes needed: for the packet and its two-byte length in a frame, for the
        /// packet alone in `Tick::encode`, for the two-byte packet count in a new frame.
        needed: usize,
        /// Number of bytes left in the buffer.
        free: usize,
    },
    /// A frame counts its packets in 16 bits.
    #[error("a frame holds at most 65535 packets")]
    TooManyPackets,
    /// A packet declares its length in 16 bits.
    #[error("packet of {length} bytes; at most 65535 can be declared")]
    PacketTooLong {
        /// The packet's length, in bytes.
        length: usize,
    },
}

/// Why a string or an amount is not a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The string is not a plain decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// No segment has prices with this many decimals.
    #[error("{found} decimals; segments have 2, 4 or 7")]
    Decimals {
        /// Number of decimals found.
        found: usize,
    },
    /// The amount is not a multiple of the segment's smallest unit.
    #[error("amount has more than the segment's {decimals} decimals")]
    TooFine {
        /// Number of decimals of the segment's prices.
        decimals: u8,
    },
    /// The value does not fit the wire's signed 32 bits.
    #[error("value does not fit 32 bits in the segment's smallest unit")]
    OutOfRange,
}

/// Why a string or a number of another type is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// The string is not a plain decimal number, or the float is not a number.
    #[error("not a decimal number")]
    NotANumber,
    /// The number has more than seven decimals that are not zero.
    #[error("more than 7 decimals")]
    TooFine,
    /// The number is too large.
    #[error("amount does not fit the target type")]
    OutOfRange,
}

/// The string is not the name of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("unknown mode; expected ltp, quote or full")]
pub struct UnknownMode;

/// The string is neither the name of a segment nor a number of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("unknown segment; expected a name such as NSE, or a number up to 255")]
pub struct UnknownSegment;

/// Why a client's text frame is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The text is not a JSON object.
    #[error("not a command: malformed JSON at byte {offset}")]
    Malformed {
        /// Where reading stopped, in bytes.
        offset: usize,
    },
    /// The object has no `a` (action) or no `v` (value).
    #[error("command without its {field:?} field")]
    Missing {
        /// The missing field's name.
        field: &'static str,
    },
    /// The action is not one of `subscribe`, `unsubscribe` and `mode`.
    #[error("unknown action; expected subscribe, unsubscribe or mode")]
    UnknownAction,
    /// The mode is not one of `ltp`, `quote` and `full`.
    #[error("unknown mode; expected ltp, quote or full")]
    UnknownMode,
    /// The value has the wrong shape for the action.
    #[error("the action's value has the wrong shape at byte {offset}")]
    WrongValue {
        /// Where reading stopped, in bytes.
        offset: usize,
    },
}
