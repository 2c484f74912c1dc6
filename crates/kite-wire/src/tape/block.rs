//! The blocks of a tape, and the records within one.
//!
//! A sealed block can be skipped by its header alone. If a block has no intact seal, its record
//! headers are walked to find its end. After damage the next block is found by its marker,
//! searching forwards only, so no byte is read more than a few times.

use core::iter::FusedIterator;

use super::CODEC_STORED;
use super::checksum::crc32c;
use super::error::{Ending, SkipReason, Skipped, Tear};
use super::layout::{
    BLOCK_HEADER_LEN, BLOCK_MAGIC, BlockHead, RECORD_HEADER_LEN, RecordHead, SEAL_AT, SealState,
    Span, to_usize,
};
use super::record::{Record, RecordKind};

/// One block of a tape, whose records are not read yet.
///
/// It is `Copy` and borrows from the tape's bytes, so blocks can be handed to several threads.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    offset: usize,
    head: &'a BlockHead,
    body: &'a [u8],
    span: Span,
    is_sealed: bool,
    records_lost: Option<u32>,
}

impl<'a> Block<'a> {
    /// Returns where the block's header starts, in bytes from the start of the tape.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the block's number in the tape, counted from 0.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.head.sequence.get()
    }

    /// Returns how the block's bytes are compressed: [`CODEC_STORED`],
    /// [`CODEC_ZSTD`](super::CODEC_ZSTD) or one of a later version.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.head.codec
    }

    /// Returns whether the block was completed and is whole.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Returns the number of records: declared in a sealed block, counted in an open one.
    #[must_use]
    pub fn records_len(&self) -> u32 {
        self.span.records
    }

    /// Returns the earliest receive time of its records, in nanoseconds since the Unix epoch; 0 if
    /// it has none.
    #[must_use]
    pub fn earliest_unix_ns(&self) -> u64 {
        self.span.earliest_unix_ns
    }

    /// Returns the latest receive time of its records, in nanoseconds since the Unix epoch; 0 if it
    /// has none.
    #[must_use]
    pub fn latest_unix_ns(&self) -> u64 {
        self.span.latest_unix_ns
    }

    /// Returns the bytes after the block's header as stored, possibly compressed.
    #[must_use]
    pub fn stored(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the uncompressed length of the records in bytes, as the header declares. Compare it
    /// with [`MAX_BODY_LEN`](super::MAX_BODY_LEN) before reserving memory.
    #[must_use]
    pub fn raw_len(&self) -> u32 {
        self.span.body_len
    }

    /// Returns whether the bytes of a compressed block match their checksum. Always `true` for a
    /// stored block, which is checked record by record instead.
    #[must_use]
    pub fn is_stored_intact(&self) -> bool {
        self.codec() == CODEC_STORED || crc32c(self.body) == self.head.stored_crc.get()
    }

    /// Returns the block's records; those of a compressed block are skipped as a whole.
    #[must_use]
    pub fn records(&self) -> BlockRecords<'a> {
        let skipped = (self.codec() != CODEC_STORED).then(|| Skipped {
            from: self.offset,
            to: self.offset + BLOCK_HEADER_LEN + self.body.len(),
            records: Some(self.span.records),
            why: SkipReason::Codec { codec: self.codec() },
        });
        BlockRecords { skipped, ..self.decoded(self.body) }
    }

    /// Returns the block's records, read from its uncompressed bytes.
    #[must_use]
    pub fn decoded<'r>(&self, raw: &'r [u8]) -> BlockRecords<'r> {
        BlockRecords {
            body: raw,
            at: 0,
            base: self.offset + BLOCK_HEADER_LEN,
            declared: self.is_sealed.then_some(self.span.records),
            found: 0,
            unknown_kinds: 0,
            not_before: 0,
            skipped: None,
        }
    }

    /// Returns the header that seals the readable part of an open block; `None` if the block is
    /// sealed or too long for its length field.
    pub(super) fn seal(&self, tape_id: u64) -> Option<[u8; BLOCK_HEADER_LEN]> {
        if self.is_sealed || to_usize(self.span.body_len) != self.body.len() {
            return None;
        }
        let head = BlockHead::open(tape_id, self.sequence(), CODEC_STORED);
        Some(head.seal(&self.span, self.span.body_len, 0).to_bytes())
    }
}

/// The blocks of a tape, in order, with what had to be skipped between them.
///
/// An `Err` does not end the iteration; [`Blocks::ending`] returns how the tape ends.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
    tape_id: u64,
    at: usize,
    /// The damaged header of the tape, until it has been reported.
    header_damage: Option<Skipped>,
    /// The expected number of the next block; unknown after damage.
    expected: Option<u32>,
    /// Whether the damaged seal of the block at `at` has been reported.
    seal_reported: bool,
    /// Set if the block before `at` was open: the number of records it lacks, if known.
    open: Option<Option<u32>>,
    ending: Option<Ending>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(bytes: &'a [u8], tape_id: u64, at: usize) -> Self {
        Self {
            bytes,
            tape_id,
            at,
            header_damage: None,
            expected: Some(0),
            seal_reported: false,
            open: None,
            ending: None,
        }
    }

    /// Reports the damaged header of the tape before the blocks.
    pub(super) fn after(self, header_damage: Option<Skipped>) -> Self {
        Self { header_damage, ..self }
    }

    /// Reads the block whose header starts at `at`.
    pub(super) fn one(bytes: &'a [u8], tape_id: u64, at: usize) -> Option<Block<'a>> {
        // The block before it is unknown here, so any number is accepted.
        let blocks = Self { expected: None, ..Self::new(bytes, tape_id, at) };
        bytes.get(at..)?;
        blocks.filter_map(Result::ok).next().filter(|block| block.offset() == at)
    }

    /// Returns how the tape ends, once the iteration has ended.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Reports what is wrong at a block's header, each problem once: records missing from the block
    /// before it, an unexpected number, a damaged seal.
    fn check_header(&mut self, head: &BlockHead) -> Option<Skipped> {
        let at = self.at;
        if let Some(Some(lost @ 1..)) = self.open.take() {
            return Some(Skipped {
                from: at,
                to: at,
                records: Some(lost),
                why: SkipReason::BlockCut,
            });
        }
        let found = head.sequence.get();
        match self.expected.replace(found) {
            Some(expected) if expected != found => {
                let why = SkipReason::BlockSequence { expected, found };
                return Some(Skipped { from: at, to: at, records: None, why });
            }
            _ => {}
        }
        // A compressed block cannot be read without its seal; that is reported as its loss.
        let is_new = !self.seal_reported
            && head.codec == CODEC_STORED
            && head.seal_state() == SealState::Damaged;
        is_new.then(|| {
            self.seal_reported = true;
            let (from, to) = (at + SEAL_AT, at + BLOCK_HEADER_LEN);
            Skipped { from, to, records: Some(0), why: SkipReason::BlockSeal }
        })
    }

    /// Returns the block at `at` and advances past it.
    fn take(&mut self, head: &'a BlockHead, rest: &'a [u8]) -> Option<Result<Block<'a>, Skipped>> {
        let offset = self.at;
        let is_sealed = head.seal_state() == SealState::Sealed;
        let stored_len = to_usize(head.stored_len.get());
        let span = Span {
            records: head.records.get(),
            earliest_unix_ns: head.earliest_unix_ns.get(),
            latest_unix_ns: head.latest_unix_ns.get(),
            body_len: head.raw_len.get(),
        };
        let declared = is_sealed.then_some(span.records);
        let complete = rest
            .split_at_checked(stored_len)
            .filter(|(body, after)| is_sealed && !self.is_unwritten(head, body, after));
        let block = match complete {
            Some((body, _)) => Block { offset, head, body, span, is_sealed, records_lost: None },
            None if head.codec == CODEC_STORED => {
                let (body, span) = walk(rest, self.tape_id);
                let records_lost = declared.map(|records| records.saturating_sub(span.records));
                Block { offset, head, body, span, is_sealed: false, records_lost }
            }
            None => {
                let beyond = if is_sealed { stored_len } else { 0 };
                let needed = BLOCK_HEADER_LEN.saturating_add(beyond);
                let why = SkipReason::CompressedBlock;
                return self.lose(needed, declared, Tear::CompressedBlock, why);
            }
        };
        self.at = offset + BLOCK_HEADER_LEN + block.body.len();
        self.expected = Some(head.sequence.get().wrapping_add(1));
        self.seal_reported = false;
        self.open = (!block.is_sealed).then_some(block.records_lost);
        Some(Ok(block))
    }

    /// Returns whether the end of a block was never written although the file is long enough, so
    /// that its header is followed by zeros instead of records. This is possible only at the end of
    /// the tape, so the records of other blocks are not read.
    fn is_unwritten(&self, head: &BlockHead, body: &[u8], after: &[u8]) -> bool {
        is_blank(after)
            && body.last() == Some(&0)
            && match head.codec {
                CODEC_STORED => walk(body, self.tape_id).0.len() < body.len(),
                _ => crc32c(body) != head.stored_crc.get(),
            }
    }

    /// Advances from unreadable bytes at `at` to the next block, or ends the tape.
    fn lose_unreadable(&mut self) -> Option<Result<Block<'a>, Skipped>> {
        let rest = &self.bytes[self.at..];
        let is_block = BLOCK_MAGIC.starts_with(&rest[..rest.len().min(BLOCK_MAGIC.len())]);
        match self.open {
            Some(lost) if !is_block => match RecordHead::read(rest) {
                Some((head, payload)) => {
                    let needed = RECORD_HEADER_LEN.saturating_add(head.payload_len());
                    let length = head.payload_len.get();
                    let why = SkipReason::RecordLength { length, left: payload.len() };
                    self.lose(needed, lost, Tear::Payload, why)
                }
                None => {
                    let why = SkipReason::RecordHeader;
                    self.lose(RECORD_HEADER_LEN, lost, Tear::RecordHeader, why)
                }
            },
            lost => {
                let why = SkipReason::BlockHeader;
                self.lose(BLOCK_HEADER_LEN, lost.flatten(), Tear::BlockHeader, why)
            }
        }
    }

    /// Advances to the next block. Without one the tape ends here, torn if fewer than the `needed`
    /// bytes were written, else damaged.
    fn lose(
        &mut self,
        needed: usize,
        records: Option<u32>,
        tear: Tear,
        why: SkipReason,
    ) -> Option<Result<Block<'a>, Skipped>> {
        let from = self.at;
        self.expected = None;
        self.open = None;
        self.seal_reported = false;
        let end = self.bytes.len();
        if let Some(to) = find_block(self.bytes, from + 1, self.tape_id) {
            self.at = to;
            return Some(Err(Skipped { from, to, records, why }));
        }
        self.at = end;
        let bytes = end - from;
        if written_len(&self.bytes[from..]) < needed {
            self.ending = Some(Ending::Torn { at: from, bytes, records_lost: records, tear });
            return None;
        }
        self.ending = Some(Ending::Damaged { at: from, bytes });
        Some(Err(Skipped { from, to: end, records, why }))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, Skipped>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ending.is_some() {
            return None;
        }
        if let Some(damage) = self.header_damage.take() {
            return Some(Err(damage));
        }
        let at = self.at;
        if at == self.bytes.len() {
            self.ending = Some(match self.open {
                None => Ending::Clean { at },
                Some(records_lost) => {
                    Ending::Torn { at, bytes: 0, records_lost, tear: Tear::OpenBlock }
                }
            });
            return None;
        }
        match BlockHead::read(&self.bytes[at..], self.tape_id) {
            None => self.lose_unreadable(),
            Some((head, rest)) => match self.check_header(head) {
                Some(problem) => Some(Err(problem)),
                None => self.take(head, rest),
            },
        }
    }
}

impl FusedIterator for Blocks<'_> {}

/// The records of one block, in order, with what had to be skipped.
///
/// An `Err` does not end the iteration. Records of kinds unknown to this version are ignored and
/// counted.
#[derive(Debug, Clone)]
pub struct BlockRecords<'a> {
    body: &'a [u8],
    at: usize,
    /// Where the body starts in the tape.
    base: usize,
    declared: Option<u32>,
    found: u32,
    unknown_kinds: u64,
    /// Records received before this time are ignored until one at or after it has been returned.
    pub(super) not_before: u64,
    /// Set if the body cannot be read at all.
    skipped: Option<Skipped>,
}

impl<'a> BlockRecords<'a> {
    /// Returns the number of records of unknown kinds ignored so far.
    #[must_use]
    pub fn unknown_kinds(&self) -> u64 {
        self.unknown_kinds
    }

    /// Abandons the rest of the block.
    fn lose(&mut self, why: SkipReason) -> Skipped {
        let from = self.base + self.at;
        self.at = self.body.len();
        let records = self.declared.take().map(|declared| declared.saturating_sub(self.found));
        Skipped { from, to: self.base + self.at, records, why }
    }

    /// Reports once a count that differs from the declared one.
    fn end(&mut self) -> Option<Result<Record<'a>, Skipped>> {
        let declared = self.declared.take().filter(|declared| *declared != self.found)?;
        let why = SkipReason::RecordCount { declared, found: self.found };
        let at = self.base + self.at;
        let records = Some(declared.saturating_sub(self.found));
        Some(Err(Skipped { from: at, to: at, records, why }))
    }
}

impl<'a> Iterator for BlockRecords<'a> {
    type Item = Result<Record<'a>, Skipped>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(skipped) = self.skipped.take() {
            (self.at, self.declared) = (self.body.len(), None);
            return Some(Err(skipped));
        }
        loop {
            let at = self.at;
            if at == self.body.len() {
                return self.end();
            }
            let Some((head, rest)) = RecordHead::read(&self.body[at..]) else {
                return Some(Err(self.lose(SkipReason::RecordHeader)));
            };
            let Some(payload) = rest.get(..head.payload_len()) else {
                let (length, left) = (head.payload_len.get(), rest.len());
                return Some(Err(self.lose(SkipReason::RecordLength { length, left })));
            };
            self.at += RECORD_HEADER_LEN + payload.len();
            self.found = self.found.saturating_add(1);
            if head.recv_unix_ns.get() < self.not_before {
                continue;
            }
            let offset = self.base + at;
            let (stored, computed) = (head.payload_crc.get(), crc32c(payload));
            if stored != computed {
                let why = SkipReason::Payload { stored, computed };
                let to = self.base + self.at;
                return Some(Err(Skipped { from: offset, to, records: Some(1), why }));
            }
            match RecordKind::from_u8(head.kind) {
                Some(kind) => {
                    self.not_before = 0;
                    return Some(Ok(Record { head, kind, payload, offset }));
                }
                None => self.unknown_kinds += 1,
            }
        }
    }
}

impl FusedIterator for BlockRecords<'_> {}

/// Returns the leading bytes that are records with intact headers, and their span.
fn walk(bytes: &[u8], tape_id: u64) -> (&[u8], Span) {
    let mut span = Span::default();
    let mut before_last = (0, span);
    let mut last_payload = None;
    let mut len = 0;
    while BlockHead::read(&bytes[len..], tape_id).is_none()
        && let Some((head, rest)) = RecordHead::read(&bytes[len..])
    {
        let Some(payload) = rest.get(..head.payload_len()) else { break };
        before_last = (len, span);
        last_payload = Some((payload, head.payload_crc.get()));
        len += RECORD_HEADER_LEN + payload.len();
        let record_len = (RECORD_HEADER_LEN as u32).saturating_add(head.payload_len.get());
        span.add(head.recv_unix_ns.get(), record_len);
    }
    // The last record counts as torn, not as damaged, if the end of its payload was never written.
    if let Some((payload, crc)) = last_payload
        && payload.last() == Some(&0)
        && is_blank(&bytes[len..])
        && crc32c(payload) != crc
    {
        (len, span) = before_last;
    }
    (&bytes[..len], span)
}

/// Finds the next intact block header of this tape.
fn find_block(bytes: &[u8], from: usize, tape_id: u64) -> Option<usize> {
    find_header(bytes, from, |bytes| BlockHead::read(bytes, tape_id).is_some())
}

/// Finds the next intact block header of any tape.
pub(super) fn find_any_block(bytes: &[u8], from: usize) -> Option<usize> {
    find_header(bytes, from, |bytes| BlockHead::read_any(bytes).is_some())
}

fn find_header(bytes: &[u8], from: usize, is_header: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut at = from;
    loop {
        let step = bytes.get(at..)?.iter().position(|byte| *byte == BLOCK_MAGIC[0]);
        #[cfg(test)]
        super::checksum::work::add(step.unwrap_or(bytes.len() - at));
        at += step?;
        if is_header(&bytes[at..]) {
            return Some(at);
        }
        at += 1;
    }
}

/// Returns whether only zeros are left. Stops at the first other byte, because every open block
/// calls it.
fn is_blank(bytes: &[u8]) -> bool {
    let zeros = bytes.iter().position(|byte| *byte != 0);
    #[cfg(test)]
    super::checksum::work::add(zeros.unwrap_or(bytes.len()));
    zeros.is_none()
}

/// Returns the length without trailing zeros, such as those of a preallocated file.
fn written_len(bytes: &[u8]) -> usize {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    #[cfg(test)]
    super::checksum::work::add(bytes.len() - written);
    written
}
