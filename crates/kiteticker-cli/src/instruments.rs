//! Instruments as people name them, and which of them a command takes.

pub(crate) mod directory;
pub(crate) mod known;
pub(crate) mod lists;
pub(crate) mod names;
pub(crate) mod wanted;
