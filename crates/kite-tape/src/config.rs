//! How a recorder records.

use std::path::PathBuf;
use std::time::Duration;

use kite_wire::tape::MAX_METADATA_LEN;

use crate::error::RecordError;

/// Settings of a recorder. All have defaults: change the fields that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderConfig {
    /// How the files' names begin: letters, digits, `-`, `_` and `.`. Default `kite`.
    pub prefix: String,
    /// Frames that may wait for the writer, 1 to 1,048,576. 64 bytes are taken for each from the
    /// start. Default 65,536.
    pub queue_frames: usize,
    /// Bytes of frames that may wait for the writer, 1 KiB to 16 GiB. Default 256 MiB: more than a
    /// minute of 9,000 instruments in full mode, twice a second, while the disk does nothing.
    pub queue_bytes: usize,
    /// A block is written once its records take so many bytes, 1 KiB to 16 MiB. Default 1 MiB.
    pub block_bytes: usize,
    /// A block is written at the latest so long after its first record, up to an hour: what a
    /// process that is killed takes with it. Default 1 s.
    pub block_age: Duration,
    /// How blocks are compressed. Default zstd, level 1.
    pub compression: Compression,
    /// When the next file is begun.
    pub rotation: Rotation,
    /// When the operating system is told to put what was written onto the disk. Default every
    /// second.
    pub fsync: Fsync,
    /// Written into the header of each file, at most 1 MiB: a JSON object in UTF-8 is advised. No
    /// place for a token. Default empty.
    pub metadata: Vec<u8>,
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// By zstd: level -7 (fastest) to 19 (smallest).
    Zstd {
        /// The level.
        level: i32,
    },
    /// Not at all: readers then share the memory of the mapped file.
    Stored,
}

/// When the next file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Before a block that would make the file longer than so many bytes, 64 KiB at least; `None`:
    /// never. Default 4 GiB.
    pub max_bytes: Option<u64>,
    /// With the first record of another day in India (UTC+5:30), which is a trading day's. Default
    /// true.
    pub by_day: bool,
}

/// When what was written is put onto the disk, to outlive a failure of the machine. What was
/// written outlives a failure of the process in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// When the operating system likes.
    Never,
    /// After each block.
    EveryBlock,
    /// After a block, where the last time was so long ago, and at the end of a file.
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
            fsync: Fsync::Every(Duration::from_secs(1)),
            metadata: Vec::new(),
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
    /// [`RecordError::Config`] names the first setting outside of its range.
    pub fn validate(&self) -> Result<(), RecordError> {
        let check = |holds: bool, field, value: String, range| match holds {
            true => Ok(()),
            false => Err(RecordError::Config { field, value, range }),
        };
        let lawful = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
        check(
            !self.prefix.is_empty() && self.prefix.len() <= 64 && self.prefix.chars().all(lawful),
            "prefix",
            format!("{:?}", self.prefix),
            "1 to 64 letters, digits, '-', '_' or '.'",
        )?;
        let frames = self.queue_frames;
        check((1..=1 << 20).contains(&frames), "queue_frames", frames.to_string(), "1 to 1048576")?;
        let bytes = self.queue_bytes;
        check(
            (1 << 10..=16 << 30).contains(&bytes),
            "queue_bytes",
            bytes.to_string(),
            "1024 to 17179869184",
        )?;
        let block = self.block_bytes;
        check(
            (1 << 10..=16 << 20).contains(&block),
            "block_bytes",
            block.to_string(),
            "1024 to 16777216",
        )?;
        let (age, hour) = (self.block_age, Duration::from_secs(3_600));
        check(age <= hour, "block_age", format!("{age:?}"), "at most an hour")?;
        if let Compression::Zstd { level } = self.compression {
            check((-7..=19).contains(&level), "compression level", level.to_string(), "-7 to 19")?;
        }
        if let Some(max) = self.rotation.max_bytes {
            check(max >= 64 << 10, "rotation.max_bytes", max.to_string(), "at least 65536")?;
        }
        let metadata = self.metadata.len();
        check(
            metadata <= MAX_METADATA_LEN,
            "metadata",
            format!("{metadata} bytes"),
            "at most 1048576 bytes",
        )
    }
}

/// Gives the name of a recorder's lock in its directory.
pub(crate) fn lock_name(prefix: &str) -> PathBuf {
    format!("{prefix}.lock").into()
}
