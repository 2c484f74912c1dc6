//! The records of one file, block by block, on the caller's thread.

use std::sync::Arc;

use crate::decode::{RecordWalk, Unpacker};
use crate::entry::Entry;
use crate::error::{Damage, DamageReason};
use crate::file::TapeFile;
use crate::index::{BlockAt, Piece};

/// A file being read.
pub(crate) struct FileStream {
    file: TapeFile,
    /// The next of the index's pieces.
    next: usize,
    unpacker: Unpacker,
    current: Option<(BlockAt, RecordWalk)>,
    /// What is wrong with the present block as a whole, told behind its records.
    untold: Option<Damage>,
    /// The time sought, 0 once a record from then on has been found.
    not_before: u64,
    /// Bytes of the file that lie behind.
    at: u64,
    unknown_kinds: u64,
}

impl FileStream {
    pub(crate) fn new(file: TapeFile, not_before: u64) -> Self {
        let untold = file.index().is_changed.then(|| Damage {
            path: Arc::clone(file.shared_path()),
            offset: 0,
            bytes: file.len_bytes(),
            records: None,
            why: DamageReason::Changed,
        });
        Self {
            file,
            next: 0,
            unpacker: Unpacker::default(),
            current: None,
            untold,
            not_before,
            at: 0,
            unknown_kinds: 0,
        }
    }

    /// Bytes of the file that lie behind.
    pub(crate) fn position_bytes(&self) -> u64 {
        let within = self.current.as_ref().map_or(0, |(block, walk)| {
            let (at, of) = walk.progress();
            // Of a compressed block, as many parts of it as of its records.
            (block.stored_len as u64 * at as u64) / (of as u64).max(1)
        });
        self.at + within
    }

    /// Takes how many records of unknown kinds were passed over since it was last asked.
    pub(crate) fn take_unknown_kinds(&mut self) -> u64 {
        std::mem::take(&mut self.unknown_kinds)
    }

    /// Steps into the next block that matters.
    fn step(&mut self) -> Option<Result<(), Damage>> {
        loop {
            let Some(piece) = self.file.index().pieces.get(self.next) else {
                self.at = self.file.len_bytes();
                return None;
            };
            self.next += 1;
            match *piece {
                Piece::Skip(skipped) => {
                    self.at = skipped.to as u64;
                    return Some(Err(Damage {
                        path: Arc::clone(self.file.shared_path()),
                        offset: skipped.from as u64,
                        bytes: (skipped.to - skipped.from) as u64,
                        records: skipped.records,
                        why: DamageReason::Skipped(skipped.why),
                    }));
                }
                Piece::Block(block) if is_before(&block, self.not_before) => {
                    self.at = block.end() as u64;
                }
                Piece::Block(block) => {
                    self.at = block.body_at() as u64;
                    let (walk, damage) = self.unpacker.open(&self.file, &block);
                    self.current = walk.map(|walk| (block, walk));
                    self.untold = damage;
                    return Some(Ok(()));
                }
            }
        }
    }
}

/// Tells whether a block can be stepped over when records from a time on are sought.
pub(crate) fn is_before(block: &BlockAt, not_before: u64) -> bool {
    block.declared.is_some() && block.latest_unix_ns < not_before
}

impl Iterator for FileStream {
    type Item = Result<Entry, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((block, walk)) = &mut self.current {
                match walk.next() {
                    Some(Ok(entry)) if entry.received.recv_unix_ns < self.not_before => continue,
                    Some(Ok(entry)) => {
                        self.not_before = 0;
                        return Some(Ok(entry));
                    }
                    Some(Err(damage)) => return Some(Err(damage)),
                    None => {
                        self.unknown_kinds += walk.unknown_kinds;
                        self.at = block.end() as u64;
                        self.current = None;
                    }
                }
            }
            if let Some(damage) = self.untold.take() {
                return Some(Err(damage));
            }
            if let Err(damage) = self.step()? {
                return Some(Err(damage));
            }
        }
    }
}
