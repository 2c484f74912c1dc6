//! Which blocks become one, and their records on the way from one form to the other.

use std::io;
use std::ops::Range;
use std::thread;

use kite_wire::tape::{
    BLOCK_HEADER_LEN, Block, BlockEncoder, Ending, RawRecord, RawRecords, SkipReason, Skipped,
};

use super::PackConfig;
use super::error::PackError;
use crate::body::{self, Form, Packer};
use crate::error::{Damage, DamageCause};
use crate::file::{Part, TapeFile};
use crate::instruments::is_instruments;
use crate::live::stays_recorded;

/// Consecutive blocks whose records are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Their positions among the tape's parts.
    parts: Range<usize>,
    /// Their length in the file.
    pub(super) stored_len: u64,
    /// Length of their records.
    raw_len: usize,
}

/// A new block, still without its place on a tape.
pub(super) struct NewBlock {
    pub(super) encoder: BlockEncoder,
    /// The codec of the bytes; `None` if they are the records.
    pub(super) codec: Option<u8>,
    pub(super) bytes: Vec<u8>,
}

/// Groups the blocks of a tape. Notes of instruments stay blocks of their own, because readers look
/// for them in such blocks.
///
/// # Errors
/// Returns an error if a part of the tape cannot be read, by the headers of its blocks.
pub(super) fn plan(file: &TapeFile, block_bytes: usize) -> Result<Vec<Group>, PackError> {
    let path = || file.path().to_owned();
    // Between two blocks, a file that is being recorded ends like a finished one.
    if stays_recorded(file.path()) {
        return Err(PackError::BeingRecorded { path: path() });
    }
    if !matches!(file.ending(), Ending::Clean { .. }) {
        return Err(PackError::Incomplete { path: path(), what: file.ending().to_string() });
    }
    if let Err(error) = file.tape().metadata() {
        return Err(PackError::Incomplete { path: path(), what: error.to_string() });
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut is_open = false;
    for (number, part) in file.parts().iter().enumerate() {
        let block = block_of(file, part)?;
        let (stored_len, raw_len) = lens(&block);
        let is_alone = is_note(file, &block);
        match groups.last_mut() {
            Some(group) if is_open && !is_alone && group.raw_len + raw_len <= block_bytes => {
                group.parts.end = number + 1;
                group.stored_len += stored_len;
                group.raw_len += raw_len;
            }
            _ => groups.push(Group { parts: number..number + 1, stored_len, raw_len }),
        }
        is_open = !is_alone;
    }
    Ok(groups)
}

fn lens(block: &Block<'_>) -> (u64, usize) {
    ((BLOCK_HEADER_LEN + block.stored().len()) as u64, body::to_usize(block.raw_len()))
}

/// Returns the block of a part.
fn block_of<'f>(file: &'f TapeFile, part: &Part) -> Result<Block<'f>, PackError> {
    match *part {
        Part::Block { offset, .. } => {
            // The block was found at this offset when the file was opened.
            file.tape()
                .block_at(offset)
                .ok_or_else(|| PackError::Changed { path: file.path().to_owned() })
        }
        Part::Skipped(skipped, _) => {
            Err(damaged(file, skipped.from, skipped.records, DamageCause::Skipped(skipped)))
        }
    }
}

fn damaged(file: &TapeFile, offset: usize, records: Option<u32>, cause: DamageCause) -> PackError {
    let (from_unix_ns, to_unix_ns) = (None, None);
    let path = file.shared_path();
    let damage = Damage { path, offset, records, from_unix_ns, to_unix_ns, cause };
    PackError::Damaged { damage: Box::new(damage) }
}

/// Returns whether a block has notes of instruments, and nothing else.
fn is_note(file: &TapeFile, block: &Block<'_>) -> bool {
    // All records of such a block have one time.
    block.earliest_unix_ns() == block.latest_unix_ns()
        && body::load(file, block).is_ok_and(|raw| {
            let mut records = block.decoded(&raw).flatten();
            records.next().is_some_and(|it| is_instruments(it.kind(), it.payload()))
        })
}

/// Threads that work on as many groups at the same time.
pub(super) struct Batch {
    packers: Vec<Packer>,
    block_bytes: usize,
}

impl Batch {
    pub(super) fn new(form: Form, config: &PackConfig) -> io::Result<Self> {
        let packers = (0..config.threads).map(|_| Packer::new(form, config.level));
        Ok(Self { packers: packers.collect::<Result<_, _>>()?, block_bytes: config.block_bytes })
    }

    /// Returns the new blocks of each group.
    pub(super) fn pack(
        &mut self,
        file: &TapeFile,
        groups: &[Group],
    ) -> Result<Vec<Vec<NewBlock>>, PackError> {
        let block_bytes = self.block_bytes;
        let jobs = groups.iter().zip(&mut self.packers);
        in_parallel(jobs, |(group, packer)| pack_group(file, group, packer, block_bytes))
    }

    /// Compares the records of each group with those of its new blocks, whose numbers are `written`.
    pub(super) fn compare(
        &mut self,
        file: &TapeFile,
        new: &TapeFile,
        groups: &[Group],
        written: &[usize],
        progress: &mut dyn FnMut(u64) -> Result<(), PackError>,
    ) -> Result<(), PackError> {
        let mut end = 0;
        let pairs: Vec<(&Group, Range<usize>)> = groups
            .iter()
            .zip(written)
            .map(|(group, blocks)| {
                let start = end;
                end += blocks;
                (group, start..end)
            })
            .collect();
        let mut read = 0;
        if new.parts().len() != end || new.tape().metadata() != file.tape().metadata() {
            let path = file.path().to_owned();
            return Err(PackError::Differs { path, offset: 0 });
        }
        for pairs in pairs.chunks(self.packers.len()) {
            in_parallel(pairs.iter(), |(group, blocks)| compare_group(file, new, group, blocks))?;
            read += pairs.iter().map(|(group, _)| group.stored_len).sum::<u64>();
            progress(read)?;
        }
        Ok(())
    }
}

/// Does each job on a thread, the first on this one, and returns the results in the order of the
/// jobs.
fn in_parallel<J: Send, R: Send>(
    jobs: impl Iterator<Item = J>,
    work: impl Fn(J) -> Result<R, PackError> + Sync,
) -> Result<Vec<R>, PackError> {
    let mut jobs = jobs;
    let Some(first) = jobs.next() else { return Ok(Vec::new()) };
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> = jobs.map(|job| scope.spawn(move || work(job))).collect();
        let mut results = vec![work(first)?];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(results)
    })
}

fn pack_group(
    file: &TapeFile,
    group: &Group,
    packer: &mut Packer,
    block_bytes: usize,
) -> Result<Vec<NewBlock>, PackError> {
    let mut blocks = Vec::new();
    let mut next = (BlockEncoder::new(0, 0), Vec::with_capacity(group.raw_len.min(block_bytes)));
    let mut finish = |(encoder, body): (BlockEncoder, Vec<u8>)| {
        let (codec, bytes) = match packer.pack(&body) {
            Some((codec, bytes)) => (Some(codec), bytes),
            None => (None, body),
        };
        blocks.push(NewBlock { encoder, codec, bytes });
    };
    each_record(file, group, |record| {
        let bytes = record.as_bytes();
        let is_full = next.1.len() + bytes.len() > block_bytes && !next.1.is_empty();
        if is_full || next.0.copy(record).is_err() {
            let begun = (BlockEncoder::new(0, 0), Vec::with_capacity(block_bytes));
            finish(std::mem::replace(&mut next, begun));
            // A record fits into an empty block: it has been in one.
            let _ = next.0.copy(record);
        }
        next.1.extend_from_slice(bytes);
    })?;
    if !next.1.is_empty() {
        finish(next);
    }
    Ok(blocks)
}

/// Passes the records of a group on.
///
/// # Errors
/// Returns an error if one of them, or a block, is damaged.
fn each_record(
    file: &TapeFile,
    group: &Group,
    mut each: impl FnMut(&RawRecord<'_>),
) -> Result<(), PackError> {
    for part in &file.parts()[group.parts.clone()] {
        let block = block_of(file, part)?;
        let lost = |records, cause| damaged(file, block.offset(), Some(records), cause);
        let raw = body::load(file, &block).map_err(|cause| lost(block.records_len(), cause))?;
        let mut records = RawRecords::new(&raw);
        let mut found = 0;
        for record in records.by_ref() {
            if !record.is_intact() {
                break;
            }
            found += 1;
            each(&record);
        }
        if found != block.records_len() || !records.rest().is_empty() {
            // The reader says what is wrong.
            let skipped = block.decoded(&raw).find_map(Result::err).unwrap_or(Skipped {
                from: block.offset(),
                to: block.offset(),
                records: None,
                why: SkipReason::RecordCount { declared: block.records_len(), found },
            });
            return Err(damaged(
                file,
                block.offset(),
                skipped.records,
                DamageCause::Skipped(skipped),
            ));
        }
    }
    Ok(())
}

/// Compares the records of a group with those of the new blocks.
fn compare_group(
    file: &TapeFile,
    new: &TapeFile,
    group: &Group,
    blocks: &Range<usize>,
) -> Result<(), PackError> {
    let mut new_parts = new.parts()[blocks.clone()].iter();
    let mut other = bytes::Bytes::new();
    for part in &file.parts()[group.parts.clone()] {
        let block = block_of(file, part)?;
        let differs =
            || PackError::Differs { path: file.path().to_owned(), offset: block.offset() };
        let mut raw = body::load(file, &block).map_err(|_| differs())?;
        while !raw.is_empty() {
            if other.is_empty() {
                let part = new_parts.next().ok_or_else(differs)?;
                let block = block_of(new, part).map_err(|_| differs())?;
                other = body::load(new, &block).map_err(|_| differs())?;
            }
            let len = raw.len().min(other.len());
            if len == 0 || raw.split_to(len) != other.split_to(len) {
                return Err(differs());
            }
        }
    }
    if other.is_empty() && new_parts.next().is_none() {
        return Ok(());
    }
    Err(PackError::Differs { path: file.path().to_owned(), offset: 0 })
}
