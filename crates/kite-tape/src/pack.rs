//! Rewrites finished tapes with blocks by columns, which are many times smaller, and back.
//!
//! Every record keeps its bytes and its place, and the tape its id, so that a packed tape is the
//! same tape: named beside its original it is read once.

mod blocks;
mod error;
mod output;

use std::ops::ControlFlow;
use std::path::Path;

use crate::body::Form;
use crate::edit::OnProgress;
use crate::file::TapeFile;
use blocks::{Batch, plan};
pub use error::PackError;
use output::Output;

/// Settings of [`pack`] and [`unpack`]. All have defaults, so change only the fields that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackConfig {
    /// Number of threads, 1 to 64. The new tape does not depend on it. Default 1.
    ///
    /// Each keeps the records of two blocks in memory.
    pub threads: usize,
    /// Level of zstd, -7 to 19. Default 1; higher ones save little, as most of what is left after
    /// the columns is not compressible.
    pub level: i32,
    /// Size at which a block is written, in bytes of records, 1 KiB to 40 MiB; [`unpack`] writes
    /// those of a recorder. Default 16 MiB. A reader unpacks a whole block.
    pub block_bytes: usize,
}

impl Default for PackConfig {
    fn default() -> Self {
        Self { threads: 1, level: 1, block_bytes: 16 << 20 }
    }
}

/// The result of [`pack`] or [`unpack`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackSummary {
    /// Records on both tapes.
    pub records: u64,
    /// Blocks of the new tape.
    pub blocks: u32,
    /// Length of the tape that was read, in bytes.
    pub bytes_before: u64,
    /// Length of the new tape, in bytes.
    pub bytes_after: u64,
}

/// Writes the records of a finished tape by columns to a new tape.
///
/// The new tape is read back and compared with the first, byte for byte of each record, before it
/// gets its name. If both paths are the same file, it replaces that file; whenever the process
/// ends, the original or the packed tape is there, complete. What a killed process leaves is a
/// hidden file beside the new tape whose name ends in `.part`; the next call with that tape removes
/// it.
///
/// `on_progress` is called with the number of bytes read so far of twice the tape's length, since
/// the tape is read again to compare it. [`ControlFlow::Break`] cancels.
///
/// # Errors
/// Returns an error if the tape is being recorded, or if not all of its records can be read, if the
/// path of the new tape is another file, or if the new tape cannot be written. The first tape is
/// then unchanged, and no new one is left.
pub fn pack(
    tape: impl AsRef<Path>,
    to: impl AsRef<Path>,
    config: &PackConfig,
    on_progress: OnProgress<'_>,
) -> Result<PackSummary, PackError> {
    rewrite(tape.as_ref(), to.as_ref(), Form::Columns, config, on_progress)
}

/// Writes the records of a packed tape as a recorder writes them, to a new tape. It is the reverse
/// of [`pack`], with the same promises.
///
/// # Errors
/// Returns an error under the same conditions as [`pack`].
pub fn unpack(
    tape: impl AsRef<Path>,
    to: impl AsRef<Path>,
    config: &PackConfig,
    on_progress: OnProgress<'_>,
) -> Result<PackSummary, PackError> {
    let config = PackConfig { block_bytes: 1 << 20, ..*config };
    rewrite(tape.as_ref(), to.as_ref(), Form::Records, &config, on_progress)
}

fn rewrite(
    from: &Path,
    to: &Path,
    form: Form,
    config: &PackConfig,
    on_progress: OnProgress<'_>,
) -> Result<PackSummary, PackError> {
    config.validate()?;
    let file = TapeFile::open(from).map_err(PackError::Open)?;
    let groups = plan(&file, config.block_bytes)?;
    let mut output = Output::create(&file, to, form)?;
    let mut batch = Batch::new(form, config).map_err(|error| output.failed(error))?;
    let mut progress = |bytes: u64| match on_progress(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(PackError::Cancelled),
    };
    progress(0)?;
    let mut read = 0;
    let mut written = Vec::with_capacity(groups.len());
    for groups in groups.chunks(config.threads) {
        for blocks in batch.pack(&file, groups)? {
            written.push(blocks.len());
            blocks.iter().try_for_each(|block| output.push(block))?;
        }
        read += groups.iter().map(|group| group.stored_len).sum::<u64>();
        progress(read)?;
    }
    let new = output.finish()?;
    batch.compare(&file, &new, &groups, &written, &mut |bytes| progress(read + bytes))?;
    drop(new);
    output.persist(&file)
}

impl PackConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns [`PackError::Config`] with the first setting that is out of range.
    pub fn validate(&self) -> Result<(), PackError> {
        let check = |holds: bool, field, value: String, range| match holds {
            true => Ok(()),
            false => Err(PackError::Config { field, value, range }),
        };
        let Self { threads, level, block_bytes } = *self;
        check((1..=64).contains(&threads), "threads", threads.to_string(), "1 to 64")?;
        check((-7..=19).contains(&level), "level", level.to_string(), "-7 to 19")?;
        check(
            (1 << 10..=40 << 20).contains(&block_bytes),
            "block_bytes",
            block_bytes.to_string(),
            "1,024 to 41,943,040",
        )
    }
}
