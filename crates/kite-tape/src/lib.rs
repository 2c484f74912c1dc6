//! Records a market-data feed to tick files (tapes) and reads them back.
//!
//! The format is that of [`kite_wire::tape`], described byte by byte in `docs/tape-format.md` of
//! the repository.
//!
//! ```no_run
//! use kite_tape::Reel;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reel = Reel::open(["recordings"])?;
//! for entry in reel.entries() {
//!     match entry {
//!         Ok(entry) => {
//!             for packet in entry.frame().into_iter().flat_map(|frame| frame.packets()) {
//!                 println!("{} {}", entry.recv_unix_ns(), packet.last_price());
//!             }
//!         }
//!         Err(damage) => eprintln!("{damage}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `conn` | no | `Recorder::sink` and `RecorderSink`, which record the connections of `kite-conn` and `kite-manager` |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ahead;
mod background;
mod body;
mod config;
mod edit;
mod entries;
mod entry;
mod error;
mod file;
mod instruments;
mod live;
mod name;
mod pack;
mod queue;
mod recorder;
mod reel;
mod roster;
mod silence;
#[cfg(feature = "conn")]
mod sink;
mod unpack;
mod windows;
mod writer;

pub use config::{Compression, Fsync, RecorderConfig, Rotation};
pub use edit::{Cut, EditError, EditSummary, OnProgress, cut, merge, repair};
pub use entries::{Entries, ReadConfig, Tally};
pub use entry::Entry;
pub use error::{Damage, DamageCause, OpenError, PassedOver, RecordError};
pub use file::TapeFile;
pub use instruments::{InstrumentRow, InstrumentsNote, Listing};
pub use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};
pub use name::EXTENSION;
pub use pack::{PackConfig, PackError, PackSummary, pack, unpack};
pub use recorder::{Recorder, RecorderStats, RecorderSummary};
pub use reel::Reel;
pub use silence::{ClockStep, Silence, SilenceDetector, SilenceKind, Silences};
#[cfg(feature = "conn")]
pub use sink::RecorderSink;
pub use windows::Windows;
