//! The record format of a tick file, which holds what a feed received, byte for byte, and when.
//!
//! A tape is a header and blocks of records. Each record carries its own checksums and each block
//! its own marker, so every complete record can be read even if a crash cut the tape off or the
//! disk damaged it, and the reader reports what it skipped and how the tape ends.
//! `docs/tape-format.md` in the repository describes every byte.
//!
//! Everything works on byte slices, and only the conversion of records to columns and back
//! allocates; files, compression and clocks are left to the caller.
//!
//! ```
//! use kite_wire::tape::{BlockBuffer, Ending, RecordKind, Source, Received, Tape, TapeHeader};
//!
//! let frame = [0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba];
//! let header = TapeHeader { created_unix_ns: 1, tape_id: 7, metadata: b"{}" };
//! let mut file = [0; 256];
//! let mut len = header.encode(&mut file)?;
//! let mut block = BlockBuffer::new(&mut file[len..], header.tape_id, 0)?;
//! let received = Received { recv_unix_ns: 2, source: Source { account: 0, connection: 1 } };
//! block.push(received, RecordKind::Binary, &frame)?;
//! len += block.finish().len();
//!
//! let tape = Tape::open(&file[..len])?;
//! let mut records = tape.records();
//! let record = records.next().unwrap()?;
//! assert_eq!((record.recv_unix_ns(), record.payload()), (2, &frame[..]));
//! assert!(records.next().is_none());
//! assert_eq!(records.ending(), Some(Ending::Clean { at: len }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod checksum;
#[cfg(feature = "alloc")]
mod columns;
mod error;
mod gap;
mod layout;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use block::{Block, BlockRecords, Blocks};
#[cfg(feature = "alloc")]
pub use columns::{ColumnsEncoder, ColumnsError, MAX_COLUMNS_BODY_LEN, decode_columns};
pub use error::{Ending, SkipReason, Skipped, TapeError, TapeWriteError, Tear};
pub use gap::{Gap, GapReason};
pub use layout::{BLOCK_HEADER_LEN, FILE_HEADER_LEN, RECORD_HEADER_LEN};
pub use reader::{Records, Resume, Seal, Tally, Tape};
pub use record::{RawRecord, RawRecords, Received, Record, RecordKind, Source};
pub use writer::{BlockBuffer, BlockEncoder, TapeHeader, record_len};

/// The major version that this code writes, and the only one it reads.
pub const VERSION_MAJOR: u16 = 1;

/// The latest minor version that this code knows. It reads all minor versions of its major one. A
/// tape without blocks of [`CODEC_COLUMNS`] is written as of minor version 0.
pub const VERSION_MINOR: u16 = 1;

/// The maximum length of a tape's metadata, in bytes.
pub const MAX_METADATA_LEN: usize = 1 << 20;

/// The maximum length of a record's payload, in bytes: 16 MiB, 16 times the largest frame that a
/// connection accepts.
pub const MAX_PAYLOAD_LEN: usize = 1 << 24;

/// The maximum total length of a block's records before compression, in bytes: 64 MiB. It limits
/// the memory that a reader needs for a compressed block.
pub const MAX_BODY_LEN: usize = 1 << 26;

/// Codec of a block whose records are not compressed.
pub const CODEC_STORED: u8 = 0;

/// Codec of a block whose records are one zstd frame. This crate returns such blocks compressed.
pub const CODEC_ZSTD: u8 = 1;

/// Codec of a block whose records are columns, which are one zstd frame. This crate returns such
/// blocks compressed; `decode_columns` turns the columns into records. Since version 1.1.
pub const CODEC_COLUMNS: u8 = 2;
