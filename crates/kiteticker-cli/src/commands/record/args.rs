//! The arguments of `kite record`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use kite_tape::{Compression, Fsync, RecorderConfig};

use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::args::quiet::Quiet;
use crate::args::range::within;
use crate::format::sizes;
use crate::format::times;

const EXAMPLES: &str = "\
Examples:
  kite record --sim --to tapes --for 10s
  kite record NSE:INFY NSE:RELIANCE --to tapes
  kite record --list mine.txt --to tapes --until 15:30 --fsync 5s
  kite record --select 'NIFTY nearest ATM+-20' --to tapes --until 15:30

--select takes [EXCHANGE:]NAME EXPIRY STRIKE[+-N] [CE|PE], or NAME EXPIRY FUT;
kite watch --help explains it. ATM waits for the underlying's first price, and
the underlying is recorded too, so that cut and export find the price.

Without instruments, --sim records ten well-known ones and --replay those of the
tape's first minute; a list or another server needs them named.

Tapes are named DIR/kite-2026-11-23.ktape. The next file of a day, ….1.ktape,
begins if one reaches --rotate-size, or if kite record is started again with
another feed, mode, number of instruments or version. Otherwise it continues the
newest.

--replay records a replay of other tapes, for example to keep only some of the
instruments. The receive times are those of the replay.

The tapes hold the names of the instruments, because tokens are reused after
expiry. Instruments that never tick are reported after 30 s and at the end. The
usual cause is an exchange token in place of an instrument token: 1594 for
408065.

A server that cannot be reached is tried for as long as it takes; --for counts
from the start of the command. If it was never reached, or a connection
is down at the end, the exit status is 1.
Access tokens expire every morning. If the credentials come from a file and the
token is refused, recording resumes once the file holds a new access_token.

If the disk is full, or the file or its directory is removed, moved or
truncated, recording goes on in the same directory, and the tapes record what is
lost as gaps. Warnings say so when it begins and once a minute. The exit status
is 1.";

/// Record a feed to tapes, byte for byte
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(super) instruments: InstrumentArgs,
    /// Directory for the tapes; created if missing
    #[arg(long, value_name = "DIR")]
    pub(super) to: PathBuf,
    /// Start a new file at this size [4GiB]
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse, allow_hyphen_values = true)]
    rotate_size: Option<u64>,
    /// Pack each file when the next one has begun, as kite pack does
    #[arg(long)]
    pack: bool,
    /// Compression level: 1 to 19, or 0 for none [1]
    #[arg(long, value_name = "N", value_parser = within(0..=19), allow_hyphen_values = true)]
    zstd_level: Option<i32>,
    /// Sync to disk: never, block, or an interval such as 5s [1s]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    fsync: Option<FsyncWhen>,
    /// Prefix of file names [kite]
    #[arg(long, value_name = "NAME")]
    prefix: Option<String>,
    #[command(flatten)]
    quiet: Quiet,
    /// Without a terminal, print a line of progress this often; failures to
    /// write are repeated as often
    #[arg(long, value_name = "DURATION", default_value = "1m",
        value_parser = times::positive_duration, allow_hyphen_values = true)]
    pub(super) report_every: Duration,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) feed: FeedArgs,
}

impl Record {
    /// Returns the recorder's settings; options not given keep its defaults.
    pub(super) fn config(&self, metadata: Vec<u8>) -> RecorderConfig {
        let quiet_after = Some(self.quiet.after());
        let pack = self.pack;
        let mut config =
            RecorderConfig { metadata, quiet_after, pack, ..RecorderConfig::default() };
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

/// When written data is synced to disk.
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
                    .map_err(|_| "expected never, block or an interval such as 5s".to_owned())?,
            ),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fsync_is_never_per_block_or_at_an_interval() {
        let read = |text: &str| text.parse().map(|FsyncWhen(fsync)| fsync);
        assert_eq!(read("never"), Ok(Fsync::Never));
        assert_eq!(read("block"), Ok(Fsync::EveryBlock));
        assert_eq!(read("5s"), Ok(Fsync::Every(Duration::from_secs(5))));
        assert!(read("0s").is_err() && read("always").is_err());
    }
}
