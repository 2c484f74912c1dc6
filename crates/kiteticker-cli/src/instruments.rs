//! Instrument names, and the instruments that a command uses.

pub(crate) mod choosing;
pub(crate) mod directory;
pub(crate) mod known;
pub(crate) mod lists;
pub(crate) mod loading;
pub(crate) mod names;
pub(crate) mod rows;
pub(crate) mod selection;
pub(crate) mod unseen;
