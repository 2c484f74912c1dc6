//! Output other than the live table, and signals from the user.

pub(crate) mod clean;
pub(crate) mod log_line;
pub(crate) mod logs;
pub(crate) mod output;
pub(crate) mod paths;
pub(crate) mod progress;
pub(crate) mod signals;
pub(crate) mod status_line;
