//! `kite record`: records the feed to tapes, byte for byte.

mod args;
mod daily;
mod follow;
mod progress;
mod report;
mod run;

pub(crate) use self::args::Record;
pub(crate) use self::run::run;
