//! Turns recorded ticks, and bars made from them, into tables: Parquet, CSV and JSON lines.
//!
//! A tape (kite-tape's) becomes a table with one row per packet and, on request, a second table
//! with everything else on the tape: gaps, text frames, notes, heartbeats and damage. A field that
//! a mode does not carry is null, never zero; prices are exact; times are UTC by default. [`tick_columns`] and
//! [`event_columns`] describe every column; `docs/export.md` in the repository shows how to load
//! them.
//!
//! ```
//! use kite_export::{Export, Format};
//! use kite_tape::Reel;
//! # use kite_wire::tape::{BlockBuffer, Received, RecordKind, Source, TapeHeader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("day.ktape");
//! # let header = TapeHeader { created_unix_ns: 1, tape_id: 7, metadata: b"{}" };
//! # let mut file = [0; 256];
//! # let mut len = header.encode(&mut file)?;
//! # let mut block = BlockBuffer::new(&mut file[len..], 7, 0)?;
//! # let frame = [0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba];
//! # let source = Source { account: 0, connection: 1 };
//! # block.push(Received { recv_unix_ns: 2, source }, RecordKind::Binary, &frame)?;
//! # len += block.finish().len();
//! # std::fs::write(&path, &file[..len])?;
//! let reel = Reel::open([&path])?;
//! let mut csv = Vec::new();
//! let summary = Export::new(&reel)
//!     .symbols(|_day, token| (token == 408_065).then(|| "NSE:INFY".to_owned()))
//!     .depth(false)
//!     .to_writer(&mut csv, Format::Csv)?;
//! assert!(summary.rows == 1 && summary.is_complete());
//! let row = std::str::from_utf8(&csv)?.lines().nth(1).unwrap_or_default();
//! assert!(row.starts_with("1970-01-01T00:00:00.000000002Z,0,1,408065,NSE:INFY,NSE,ltp,1573.70,"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Export::bars`] makes bars instead, with [`bar_columns`]. [`TickLines`] and [`BarLines`] write
//! ticks and bars that are not from a tape as text, and `TickBatches` builds Arrow record batches of
//! ticks.
//!
//! Packets are decoded directly into columns, encoding is spread over threads, and memory is
//! bounded (see `Export`).
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `files` | yes | `Export`, which writes tapes, and bars of them, as Parquet, CSV and JSON lines and reads them as Arrow record batches, and `TickBatches`. Without it the crate formats ticks ([`TickLines`]) and bars ([`BarLines`]) and describes columns, and depends on `kite-wire` and `kite-candles` alone |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "files")]
mod arrow;
mod bars;
#[cfg(feature = "files")]
mod chunk;
mod column;
#[cfg(feature = "files")]
mod error;
#[cfg(feature = "files")]
mod export;
#[cfg(feature = "files")]
mod layout;
#[cfg(feature = "files")]
mod memory;
#[cfg(feature = "files")]
mod output;
#[cfg(feature = "files")]
mod parquet;
#[cfg(feature = "files")]
mod partition;
#[cfg(feature = "files")]
mod partitioned;
#[cfg(feature = "files")]
mod permit;
#[cfg(feature = "files")]
mod pool;
#[cfg(feature = "files")]
mod run;
#[cfg(feature = "files")]
mod scratch;
#[cfg(feature = "files")]
mod selection;
mod settings;
#[cfg(feature = "files")]
mod summary;
mod symbols;
#[cfg(feature = "files")]
mod table;
mod text;
#[cfg(feature = "files")]
mod tree;

#[cfg(feature = "files")]
pub use arrow::{ColumnError, TickBatches, TickSchema};
pub use bars::BarRow;
#[cfg(feature = "files")]
pub use bars::{BarSummary, Bars, windows_of_bars};
pub use column::{Column, ColumnKind, bar_columns, event_columns, live_bar_columns, tick_columns};
#[cfg(feature = "files")]
pub use error::{EncodeFailure, ExportError, Target};
#[cfg(feature = "files")]
pub use export::Export;
/// The crate that makes the bars, for [`Export::bars`].
pub use kite_candles;
#[cfg(feature = "files")]
pub use memory::Batches;
#[cfg(feature = "files")]
pub use output::write_file;
#[cfg(feature = "files")]
pub use partition::Partition;
#[cfg(feature = "files")]
pub use run::Progress;
#[cfg(feature = "files")]
pub use scratch::Scratch;
pub use settings::{Format, Prices, TimeUnit, TimeZone, Times};
#[cfg(feature = "files")]
pub use summary::Summary;
pub use text::{BarLines, TickLines};
