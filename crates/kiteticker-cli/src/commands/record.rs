//! `kite record`: records the feed to tapes, byte for byte.

mod args;
mod follow;
mod run;

pub(crate) use self::args::Record;
pub(crate) use self::run::run;
