//! The record format of a tick file: what a feed received, when, byte for byte.
//!
//! A tape is a header and blocks of records. Each record carries its own checksums and each block
//! its own mark, so a tape that was cut by a crash or damaged on disk gives back every complete
//! record, tells what it passed over and why it ended. `docs/tape-format.md` in the repository
//! describes every byte.
//!
//! Everything works on byte slices, without allocation: opening and mapping files, compression
//! and clocks are the caller's.
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
mod error;
mod gap;
mod layout;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use block::{Block, BlockRecords, Blocks};
pub use error::{Ending, SkipReason, Skipped, TapeError, TapeWriteError, Tear};
pub use gap::{Gap, GapReason};
pub use layout::{BLOCK_HEADER_LEN, FILE_HEADER_LEN, RECORD_HEADER_LEN};
pub use reader::{Records, Resume, Seal, Tally, Tape};
pub use record::{Received, Record, RecordKind, Source};
pub use writer::{BlockBuffer, BlockEncoder, TapeHeader, record_len};

/// The major version that this code writes, and the only one it reads.
pub const VERSION_MAJOR: u16 = 1;

/// The minor version that this code writes. It reads all minor versions of its major one.
pub const VERSION_MINOR: u16 = 0;

/// The most metadata that a tape's header is given, in bytes.
pub const MAX_METADATA_LEN: usize = 1 << 20;

/// The longest payload that a record is given, in bytes: 16 MiB, sixteen times the largest frame
/// that a connection takes.
pub const MAX_PAYLOAD_LEN: usize = 1 << 24;

/// The most that a block's records are given together before compression, in bytes: 64 MiB. It
/// bounds what a reader must hold of a compressed block.
pub const MAX_BODY_LEN: usize = 1 << 26;

/// Codec of a block whose records stand in it as they are.
pub const CODEC_STORED: u8 = 0;

/// Codec of a block whose records are one zstd frame. This crate passes such blocks on as they
/// are.
pub const CODEC_ZSTD: u8 = 1;
