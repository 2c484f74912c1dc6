//! `kite record`: the feed, byte for byte, into tapes.

mod args;
mod follow;
mod report;
mod run;

pub(crate) use self::args::Record;
pub(crate) use self::run::run;
