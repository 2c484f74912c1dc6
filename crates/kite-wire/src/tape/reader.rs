//! Opens a tape and reads its records across blocks.

use core::iter::FusedIterator;

use zerocopy::FromBytes;

use super::block::{Block, BlockRecords, Blocks, find_any_block};
use super::checksum::crc32c;
use super::error::{Ending, SkipReason, Skipped, TapeError};
use super::layout::{BLOCK_HEADER_LEN, BlockHead, FILE_HEADER_LEN, FILE_MAGIC, FileHead, to_usize};
use super::record::Record;
use super::{VERSION_MAJOR, VERSION_MINOR};

/// A tape in memory, such as a mapped file, whose header or one of whose blocks has been checked.
#[derive(Debug, Clone, Copy)]
pub struct Tape<'a> {
    bytes: &'a [u8],
    head: &'a FileHead,
    metadata: &'a [u8],
    tape_id: u64,
    /// Set if the header is damaged: the bytes before the first intact block.
    header_damage: Option<Skipped>,
}

impl<'a> Tape<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// Returns an error if the tape has no header of a supported version, or the header is cut off
    /// or damaged. Damaged metadata is not an error here; see [`Tape::metadata`]. A tape with a
    /// damaged header can be read by its blocks; see [`Tape::recover`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, TapeError> {
        if bytes.is_empty() {
            return Err(TapeError::Empty);
        }
        let known = bytes.len().min(FILE_MAGIC.len());
        if bytes[..known] != FILE_MAGIC[..known] {
            let mut found = [0; 8];
            found[..known].copy_from_slice(&bytes[..known]);
            return Err(TapeError::ForeignMagic { found });
        }
        let found = bytes.len();
        let head = FileHead::ref_from_prefix(bytes);
        // The magic and the version have the same offsets in all versions; the rest may differ.
        if let Some(&[a, b, c, d]) = bytes.get(8..12).and_then(<[u8]>::first_chunk) {
            let (major, minor) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
            // The checksum shows whether only the version of this layout is damaged.
            let is_damaged = || head.as_ref().is_ok_and(|(head, _)| head.is_intact_but_version());
            if major != VERSION_MAJOR && !is_damaged() {
                return Err(TapeError::UnsupportedVersion { major, minor });
            }
        }
        let (head, rest) =
            head.map_err(|_| TapeError::HeaderCut { needed: FILE_HEADER_LEN, found })?;
        let (stored, computed) = (head.crc.get(), head.computed_crc());
        if stored != computed {
            return Err(TapeError::HeaderChecksum { stored, computed });
        }
        let metadata_len = to_usize(head.metadata_len.get());
        let needed = FILE_HEADER_LEN.saturating_add(metadata_len);
        let metadata = rest.get(..metadata_len).ok_or(TapeError::HeaderCut { needed, found })?;
        Ok(Self { bytes, head, metadata, tape_id: head.tape_id.get(), header_damage: None })
    }

    /// Reads the header or, if it is damaged, the first intact block, which has the tape's
    /// identifier too. [`Tape::header_damage`] reports which it was.
    ///
    /// # Errors
    /// Returns the error of [`Tape::open`] if the header is of another version or cut off, or if
    /// there is no intact block.
    pub fn recover(bytes: &'a [u8]) -> Result<Self, TapeError> {
        Self::open(bytes).or_else(|error| {
            let is_damaged =
                matches!(error, TapeError::ForeignMagic { .. } | TapeError::HeaderChecksum { .. });
            let block = if is_damaged { find_any_block(bytes, FILE_HEADER_LEN) } else { None };
            block.and_then(|offset| Self::at_block(bytes, offset)).ok_or(error)
        })
    }

    /// Opens a tape with a damaged header by an intact block, for callers that keep the offset from
    /// [`Tape::header_damage`]; `None` if no block starts at this offset. Everything before it
    /// counts as the header.
    #[must_use]
    pub fn at_block(bytes: &'a [u8], offset: usize) -> Option<Self> {
        let (head, rest) = FileHead::ref_from_prefix(bytes).ok()?;
        let block = BlockHead::read_any(bytes.get(offset..)?)?;
        let metadata = rest.get(..offset.checked_sub(FILE_HEADER_LEN)?)?;
        let records = (block.sequence.get() == 0).then_some(0);
        let header_damage = Skipped { from: 0, to: offset, records, why: SkipReason::FileHeader };
        let tape_id = block.tape_id();
        Some(Self { bytes, head, metadata, tape_id, header_damage: Some(header_damage) })
    }

    /// Returns the part of the tape that could not be read because its header is damaged, up to the
    /// first intact block; `None` if the header is intact.
    #[must_use]
    pub fn header_damage(&self) -> Option<Skipped> {
        self.header_damage
    }

    /// Returns the version in which the tape is written, major and minor. A damaged header counts
    /// as one of the supported version.
    #[must_use]
    pub fn version(&self) -> (u16, u16) {
        match self.header_damage {
            None => (self.head.major.get(), self.head.minor.get()),
            Some(_) => (VERSION_MAJOR, VERSION_MINOR),
        }
    }

    /// Returns when the tape was begun, in nanoseconds since the Unix epoch; 0 if the header is
    /// damaged.
    #[must_use]
    pub fn created_unix_ns(&self) -> u64 {
        if self.header_damage.is_some() { 0 } else { self.head.created_unix_ns.get() }
    }

    /// Returns the identifier that all blocks of this tape carry.
    #[must_use]
    pub fn tape_id(&self) -> u64 {
        self.tape_id
    }

    /// Returns the free-form metadata. It has its own checksum, so it can be intact although the
    /// header is damaged.
    ///
    /// # Errors
    /// Returns [`TapeError::MetadataChecksum`] if the metadata is damaged; the records can still be
    /// read.
    pub fn metadata(&self) -> Result<&'a [u8], TapeError> {
        let (stored, computed) = (self.head.metadata_crc.get(), crc32c(self.metadata));
        if stored != computed {
            return Err(TapeError::MetadataChecksum { stored, computed });
        }
        Ok(self.metadata)
    }

    /// Returns the bytes of the tape.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Iterates over the blocks. Only the headers of complete blocks are read.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'a> {
        let first = FILE_HEADER_LEN + self.metadata.len();
        Blocks::new(self.bytes, self.tape_id(), first).after(self.header_damage)
    }

    /// Returns the block whose header starts at the offset, for callers that keep [`Block::offset`]
    /// instead of the block; `None` if no block starts there.
    #[must_use]
    pub fn block_at(&self, offset: usize) -> Option<Block<'a>> {
        Blocks::one(self.bytes, self.tape_id(), offset)
    }

    /// Iterates over all records, in the order of the tape.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        self.seek(0)
    }

    /// Iterates over the first record received at or after the time, in nanoseconds since the Unix
    /// epoch, and all that follow it on the tape.
    ///
    /// If the recorder's clock stepped back, earlier records can be among those that follow. Blocks
    /// that end before the time are skipped by their headers, without reading their records, at a
    /// cost linear in their number. Damage in that part is not reported, unless blocks or record
    /// headers could not be found.
    #[must_use]
    pub fn seek(&self, unix_ns: u64) -> Records<'a> {
        Records {
            blocks: self.blocks(),
            current: None,
            not_before: unix_ns,
            tally: Tally::default(),
        }
    }

    /// Determines where a writer continues the tape, for instance after a crash.
    ///
    /// The writer first writes all [`seals`](Self::seals) at their offsets, then truncates the file
    /// to [`Resume::append_at`] bytes and begins the next block there. The truncation matters
    /// because bytes left after the end could be read as records of the new block after another
    /// crash.
    ///
    /// Reads the headers of all blocks, and of the records in incomplete blocks.
    #[must_use]
    pub fn resume(&self) -> Resume {
        let mut blocks = self.blocks();
        let last = blocks.by_ref().filter_map(Result::ok).last();
        let ending = blocks.ending().unwrap_or(Ending::Clean { at: self.bytes.len() });
        let append_at = match ending {
            Ending::Clean { at } | Ending::Torn { at, .. } => at,
            Ending::Damaged { .. } => self.bytes.len(),
        };
        let next_sequence = last.map_or(0, |block| block.sequence().wrapping_add(1));
        Resume { ending, append_at, next_sequence }
    }

    /// Iterates over the headers that seal the blocks left open or cut off, such as the last one
    /// after a crash. A block sealed this way holds only its readable records.
    pub fn seals(&self) -> impl Iterator<Item = Seal> + use<'a> {
        let tape_id = self.tape_id();
        self.blocks().filter_map(Result::ok).filter_map(move |block| {
            let header = block.seal(tape_id)?;
            Some(Seal { offset: block.offset(), header })
        })
    }

    /// Returns where the last complete record or block ends, which is the offset of
    /// [`Resume::ending`].
    #[must_use]
    pub fn valid_prefix_len(&self) -> usize {
        self.resume().ending.at()
    }
}

/// Where a writer continues a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resume {
    /// How the tape ends.
    pub ending: Ending,
    /// Where the next block begins: after the last complete record or block, or after the damaged
    /// bytes that follow it, so that those are kept. In the second case the writer first writes
    /// [`BLOCK_HEADER_LEN`] zero bytes there, because the damage may end in the first bytes of a
    /// header that the new block would complete.
    pub append_at: usize,
    /// The number of the next block.
    pub next_sequence: u32,
}

/// The header that completes a block, and where in the tape it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Where the block starts.
    pub offset: usize,
    /// What to write there.
    pub header: [u8; BLOCK_HEADER_LEN],
}

/// The records of a tape, in order, with what had to be skipped between them.
///
/// An `Err` does not end the iteration: `for record in tape.records().flatten()` reads every
/// readable record. Once it has ended, [`Records::ending`] returns how the tape ends, and
/// [`Records::tally`] returns what was lost.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    blocks: Blocks<'a>,
    current: Option<BlockRecords<'a>>,
    /// The time sought; 0 once a record at or after it has been found.
    not_before: u64,
    tally: Tally,
}

/// Counts of reading a tape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Records returned.
    pub records: u64,
    /// Records ignored because this version does not know their kind.
    pub unknown_kinds: u64,
    /// Number of other parts skipped.
    pub skips: u64,
    /// Number of bytes skipped.
    pub bytes_skipped: u64,
    /// Number of records known to be lost, a lower bound.
    pub records_lost: u64,
}

impl Records<'_> {
    /// Returns how the tape ends, once the iteration has ended.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.blocks.ending()
    }

    /// Returns what was read and what was lost so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let unknown_kinds = self.current.as_ref().map_or(0, BlockRecords::unknown_kinds);
        Tally { unknown_kinds: self.tally.unknown_kinds + unknown_kinds, ..self.tally }
    }

    fn skip(&mut self, skipped: Skipped) -> Skipped {
        self.tally.skips += 1;
        self.tally.bytes_skipped += (skipped.to - skipped.from) as u64;
        self.tally.records_lost += u64::from(skipped.records.unwrap_or(0));
        skipped
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Skipped>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next() {
                    Some(Ok(record)) => {
                        self.tally.records += 1;
                        return Some(Ok(record));
                    }
                    Some(Err(skipped)) => return Some(Err(self.skip(skipped))),
                    None => {
                        self.tally.unknown_kinds += current.unknown_kinds();
                        self.not_before = current.not_before;
                        self.current = None;
                    }
                }
            }
            match self.blocks.next()? {
                Err(skipped) => return Some(Err(self.skip(skipped))),
                Ok(block) if block.is_sealed() && block.latest_unix_ns() < self.not_before => {}
                Ok(block) => {
                    let mut records = block.records();
                    records.not_before = self.not_before;
                    self.current = Some(records);
                }
            }
        }
    }
}

impl FusedIterator for Records<'_> {}
