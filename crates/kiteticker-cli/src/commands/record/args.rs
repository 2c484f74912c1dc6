//! What `kite record` takes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use kite_tape::{Compression, Fsync, RecorderConfig};

use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::format::sizes;
use crate::format::times;

const EXAMPLES: &str = "\
Examples:
  kite record --sim --to tapes --for 10s
  kite record NSE:INFY NSE:RELIANCE --to tapes
  kite record --list mine.txt --to tapes --rotate-size 1GB --fsync 5s

Tapes are DIR/kite-2026-11-23.ktape and so on: one a day, more where they grow.
Recording again on the same day goes on with the last.

With credentials from a file, a new access_token in it is taken when the old one
is refused: access tokens die every morning.

Exit status: 0 done, 1 when frames were lost here, on their way to the disk.";

/// Record a feed to tapes, byte for byte
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(super) instruments: InstrumentArgs,
    /// Directory of the tapes; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub(super) to: PathBuf,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = times::positive_duration)]
    pub(super) lasts: Option<Duration>,
    /// Begin another file at this size [4GiB]
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse)]
    rotate_size: Option<u64>,
    /// How hard to compress: 1 to 19, 0 not at all [1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=19))]
    zstd_level: Option<i32>,
    /// Force to the disk: never, block or every 5s [1s]
    #[arg(long, value_name = "WHEN")]
    fsync: Option<FsyncWhen>,
    /// How the names of files begin [kite]
    #[arg(long, value_name = "NAME")]
    prefix: Option<String>,
    /// Print for machines
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) feed: FeedArgs,
}

impl Record {
    /// The recorder's settings; the defaults are its own.
    pub(super) fn config(&self, metadata: Vec<u8>) -> RecorderConfig {
        let mut config = RecorderConfig { metadata, ..RecorderConfig::default() };
        if let Some(prefix) = &self.prefix {
            config.prefix.clone_from(prefix);
        }
        if let Some(size) = self.rotate_size {
            config.rotation.max_bytes = Some(size);
        }
        config.compression = match self.zstd_level {
            Some(0) => Compression::Stored,
            Some(level) => Compression::Zstd { level },
            None => config.compression,
        };
        if let Some(FsyncWhen(fsync)) = self.fsync {
            config.fsync = fsync;
        }
        config
    }
}

/// When what is written is forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FsyncWhen(Fsync);

impl FromStr for FsyncWhen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "never" => Fsync::Never,
            "block" => Fsync::EveryBlock,
            time => Fsync::Every(
                times::positive_duration(time)
                    .map_err(|_| "write never, block or a time such as 5s".to_owned())?,
            ),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forcing_to_the_disk_is_never_by_block_or_by_time() {
        let read = |text: &str| text.parse().map(|FsyncWhen(fsync)| fsync);
        assert_eq!(read("never"), Ok(Fsync::Never));
        assert_eq!(read("block"), Ok(Fsync::EveryBlock));
        assert_eq!(read("5s"), Ok(Fsync::Every(Duration::from_secs(5))));
        assert!(read("0s").is_err() && read("always").is_err());
    }
}
