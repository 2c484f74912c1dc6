//! The records of a block by columns, which compress better than the records themselves.
//!
//! zstd sees a feed as bytes without an order: an instrument's next packet is far away and differs
//! in most bytes that matter. Here every packet is compared with the one of the same instrument
//! before it in the block, number by number, and only what differs from the expectation is written,
//! the numbers of each field next to each other. The result is meant to be compressed;
//! `docs/tape-columns.md` in the repository describes every byte.
//!
//! Any bytes come back as they were: packets of unknown lengths, damaged frames, texts and what is
//! not a record at all are kept as they are.
//!
//! ```
//! use kite_wire::tape::{BlockBuffer, ColumnsEncoder, RecordKind, Received, Source, decode_columns};
//!
//! let frame = [0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba];
//! let mut buffer = [0; 4_096];
//! let mut block = BlockBuffer::new(&mut buffer, 7, 0)?;
//! for recv_unix_ns in 0..100 {
//!     let received = Received { recv_unix_ns, source: Source { account: 0, connection: 1 } };
//!     block.push(received, RecordKind::Binary, &frame)?;
//! }
//! let mut columns = Vec::new();
//! ColumnsEncoder::new().encode(block.body(), &mut columns)?;
//!
//! let mut body = vec![0; block.body().len()];
//! decode_columns(&columns, &mut body)?;
//! assert_eq!(body, block.body());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod error;
mod field;
mod mask;
mod packet;
mod shape;
#[cfg(test)]
mod tests;
mod unit;
mod value;

pub use decode::decode_columns;
pub use encode::ColumnsEncoder;
pub use error::ColumnsError;

/// The maximum total length of the records of a block with columns, in bytes: 40 MiB, 12 s of 9,000
/// instruments in full mode with two updates per second.
pub const MAX_COLUMNS_BODY_LEN: usize = 40 << 20;

/// Payloads from this length on keep their checksum; those of shorter ones are computed when they
/// are read, because four bytes that do not compress are much beside a short payload.
const CHECKSUM_KEPT_FROM: usize = 512;

/// A unit of quantities is at most this; larger ones are written as 1.
const MAX_UNIT: u32 = 1 << 20;

/// The maximum number of groups of kind and source in a block. What follows the last one is kept as
/// it is, so that a reader needs little memory besides the records.
const MAX_SOURCES: usize = 1 << 12;

/// The maximum number of instruments in a block, of all sources together; packets of further ones
/// are kept as they are.
const MAX_INSTRUMENTS: usize = 1 << 17;

/// In the column of kinds: a packet that is kept as it is, such as one of a length that is not known.
const KEPT: u8 = 5;

/// The columns, in their order.
mod column {
    use super::packet::DEPTH;

    /// Of each record: 0 and its kind, reserved byte and source in [`RAW`], or one more than the
    /// number of an earlier such group.
    pub(super) const SOURCE: usize = 0;
    /// The difference of the receive time from that of the record before.
    pub(super) const RECEIVED: usize = 1;
    /// 0 for a payload in [`RAW`], whose length is in [`LENGTH`]; else one more than twice the
    /// frame's number of packets, and one more if its bytes end before or after them.
    pub(super) const FORM: usize = 2;
    /// Lengths of payloads and of packets in [`RAW`].
    pub(super) const LENGTH: usize = 3;
    /// Whether a checksum is in [`CHECKSUM`] although it would be computed.
    pub(super) const IS_KEPT: usize = 4;
    /// Checksums of payloads.
    pub(super) const CHECKSUM: usize = 5;
    /// Of each packet: 0 for an instrument not seen before, else one more than how far it is from
    /// the one that was after its predecessor in the order of first packets.
    pub(super) const INSTRUMENT: usize = 6;
    /// The kind of a first packet.
    pub(super) const KIND: usize = 7;
    /// Its token.
    pub(super) const TOKEN: usize = 8;
    /// The unit of its quantities.
    pub(super) const UNIT: usize = 9;
    /// Which numbers of a packet differ from the expectation.
    pub(super) const MASKS: usize = 10;
    /// The differences, by field.
    const VALUES: usize = 14;
    const FIELDS: usize = 18;
    /// Bytes that are kept as they are.
    pub(super) const RAW: usize = VALUES + 2 * FIELDS;
    /// The open bits of all numbers.
    pub(super) const BITS: usize = RAW + 1;
    pub(super) const COUNT: usize = BITS + 1;

    /// Returns the column for the number at a place, of first packets or of others. The levels of
    /// the depth share three.
    pub(super) const fn of_place(place: usize, is_first: bool) -> usize {
        let field = match place {
            0 => 0,
            1..DEPTH => place - 1,
            _ => 15 + (place - DEPTH) % 3,
        };
        VALUES + field + if is_first { FIELDS } else { 0 }
    }
}
