//! Settings of a recorder.

use std::path::PathBuf;
use std::time::Duration;

use kite_wire::tape::MAX_METADATA_LEN;

use crate::error::RecordError;

/// Settings of a recorder. All have defaults, so change only the fields that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderConfig {
    /// Prefix of the file names: letters, digits, `-`, `_` and `.`. Default `kite`.
    pub prefix: String,
    /// Maximum number of frames that wait for the writer, 1 to 1,048,576. 64 bytes are allocated
    /// for each at the start. Default 65,536.
    pub queue_frames: usize,
    /// Maximum bytes of frames that wait for the writer, 1 KiB to 16 GiB. Default 256 MiB, more
    /// than a minute of 9,000 instruments in full mode with two updates per second while the disk
    /// stalls.
    pub queue_bytes: usize,
    /// Size at which a block is written, in bytes of records, 1 KiB to 16 MiB. Default 1 MiB.
    pub block_bytes: usize,
    /// Maximum time from the first record of a block until it is written, up to an hour. A killed
    /// process loses at most this much. Default 1 s.
    pub block_age: Duration,
    /// How blocks are compressed. Default zstd, level 1.
    pub compression: Compression,
    /// When the next file is started.
    pub rotation: Rotation,
    /// Whether the files before the one being written are packed in the background, as by
    /// [`pack`](crate::pack), those of earlier runs too. Default false, because releases that know
    /// only version 1.0 of the format cannot read packed tapes.
    ///
    /// A thread of its own does it, at most half of the time: a second of work for a minute of
    /// 9,000 instruments in full mode. Where there is only one processor, it competes with the feed
    /// for it. [`Recorder::finish`](crate::Recorder::finish) stops it within a few blocks; the next
    /// recorder goes on. Files that cannot be packed are logged and stay as they are.
    pub pack: bool,
    /// When written data is synced to the disk. Default every second.
    pub fsync: Fsync,
    /// Metadata in the header of each file, at most 1 MiB, preferably a JSON object in UTF-8. Must
    /// not contain a token. Default empty.
    pub metadata: Vec<u8>,
    /// Time after which a connection counts as silent in [`RecorderSummary::silences`]. Default
    /// `None`, with which silences are not looked for.
    ///
    /// [`RecorderSummary::silences`]: crate::RecorderSummary::silences
    pub quiet_after: Option<Duration>,
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// With zstd, at a level from -7 (fastest) to 19 (smallest).
    Zstd {
        /// The level.
        level: i32,
    },
    /// No compression, so that readers share the memory of the mapped file.
    Stored,
}

/// When the next file is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Maximum size of a file in bytes, at least 64 KiB. A block that would exceed it starts the
    /// next file. `None` for no limit. Default 4 GiB.
    pub max_bytes: Option<u64>,
    /// Whether the first record of a new day in India (UTC+5:30) starts a new file. Default true.
    pub by_day: bool,
}

/// When written data is synced to the disk, so that it survives a failure of the machine. Written
/// data survives a failure of the process in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Never; the operating system decides.
    Never,
    /// After each block.
    EveryBlock,
    /// After a block if the last sync is at least this long ago, and at the end of a file.
    Every(Duration),
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            prefix: "kite".into(),
            queue_frames: 65_536,
            queue_bytes: 256 << 20,
            block_bytes: 1 << 20,
            block_age: Duration::from_secs(1),
            compression: Compression::Zstd { level: 1 },
            rotation: Rotation::default(),
            pack: false,
            fsync: Fsync::Every(Duration::from_secs(1)),
            metadata: Vec::new(),
            quiet_after: None,
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self { max_bytes: Some(4 << 30), by_day: true }
    }
}

impl RecorderConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns [`RecordError::Config`] with the first setting that is out of range.
    pub fn validate(&self) -> Result<(), RecordError> {
        let check = |holds: bool, field, value: String, range| match holds {
            true => Ok(()),
            false => Err(RecordError::Config { field, value, range }),
        };
        let allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
        check(
            !self.prefix.is_empty() && self.prefix.len() <= 64 && self.prefix.chars().all(allowed),
            "prefix",
            format!("{:?}", self.prefix),
            "1 to 64 letters, digits, '-', '_' or '.'",
        )?;
        let frames = self.queue_frames;
        check(
            (1..=1 << 20).contains(&frames),
            "queue_frames",
            frames.to_string(),
            "1 to 1,048,576",
        )?;
        let bytes = self.queue_bytes;
        check(
            (1 << 10..=16 << 30).contains(&bytes),
            "queue_bytes",
            bytes.to_string(),
            "1,024 to 17,179,869,184",
        )?;
        let block = self.block_bytes;
        check(
            (1 << 10..=16 << 20).contains(&block),
            "block_bytes",
            block.to_string(),
            "1,024 to 16,777,216",
        )?;
        let (age, hour) = (self.block_age, Duration::from_secs(3_600));
        check(age <= hour, "block_age", format!("{age:?}"), "at most an hour")?;
        if let Compression::Zstd { level } = self.compression {
            check((-7..=19).contains(&level), "compression level", level.to_string(), "-7 to 19")?;
        }
        if let Some(max) = self.rotation.max_bytes {
            check(max >= 64 << 10, "rotation.max_bytes", max.to_string(), "at least 65,536")?;
        }
        let metadata = self.metadata.len();
        check(
            metadata <= MAX_METADATA_LEN,
            "metadata",
            format!("{metadata} bytes"),
            "at most 1,048,576 bytes",
        )
    }
}

/// Returns the name of a recorder's lock file in its directory.
pub(crate) fn lock_name(prefix: &str) -> PathBuf {
    format!("{prefix}.lock").into()
}
