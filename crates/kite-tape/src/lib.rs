//! Records market-data feeds to files and reads them back.
//!
//! The files are tapes as [`kite_wire::tape`] and `docs/tape-format.md` describe them. This crate
//! does what those leave open: files and their maps, compression, several files as one stream,
//! threads, and what becomes of a recording that was killed.
//!
//! - [`Reel`] reads: one or more files as one stream of [`Entry`]s ordered by time.
//!
//! What is damaged is told by [`Damage`] and passed over; what can be read is given.

mod decode;
mod entries;
mod entry;
mod error;
mod file;
mod index;
mod reel;
mod stream;

pub use entries::Entries;
pub use entry::Entry;
pub use error::{Damage, DamageReason, OpenError};
pub use file::TapeFile;
pub use kite_wire::tape;
pub use reel::{ReadConfig, Reel};

/// What the names of tape files end with, without the dot.
pub const EXTENSION: &str = "ktape";
