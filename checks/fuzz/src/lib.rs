//! The checks of the fuzz targets: what must hold for any bytes.
//!
//! Separate from the targets, so that ordinary tests can replay the corpus through the same checks
//! (`tests/replay.rs`). The corpus is stored in packs; see [`corpus`].

pub mod client;
pub mod columns;
pub mod command;
pub mod contracts;
pub mod corpus;
pub mod frame;
pub mod instruments;
pub mod packet;
pub mod tape;
pub mod text;
