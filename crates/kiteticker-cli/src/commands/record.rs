//! `kite record`: the feed, byte for byte, into tapes.

use std::path::PathBuf;

use clap::Args;

use crate::args::feed::{FeedArgs, InstrumentArgs};

const EXAMPLES: &str = "\
Examples:
  kite record --sim --to tapes --for 10s
  kite record NSE:INFY NSE:RELIANCE --to tapes
  kite record --list mine.txt --to tapes --rotate-size 1GB --fsync 5s";

/// Record a feed to tapes, byte for byte
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(crate) instruments: InstrumentArgs,
    #[command(flatten)]
    pub(crate) feed: FeedArgs,
    /// The directory of the tapes
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
}
