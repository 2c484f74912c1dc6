//! What must hold for any bytes from outside, target by target.
//!
//! Apart from the targets themselves, so that ordinary tests replay the corpus through the very
//! same checks: see `tests/replay.rs`. The corpus is kept in packs: see [`corpus`].

pub mod command;
pub mod corpus;
pub mod frame;
pub mod instruments;
pub mod packet;
pub mod tape;
pub mod text;
