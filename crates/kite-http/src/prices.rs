//! The table of prices of the page: which instruments are in it, and what is shown of them.
//!
//! Performs no I/O.

pub(crate) mod directory;
pub(crate) mod row;
pub(crate) mod view;
