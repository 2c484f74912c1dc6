//! What the user sees besides the live table, and the signals the user sends.

pub(crate) mod logs;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod signals;
pub(crate) mod status_line;
