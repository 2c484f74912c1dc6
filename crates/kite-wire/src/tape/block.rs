//! The blocks of a tape, and the records within one.
//!
//! Of a sealed block only the header is read to step over it. Where a block has no intact seal,
//! its record headers are walked to find where it ends. After damage the next block is searched
//! for by its mark, forwards only: no byte is looked at more than a few times.

use core::iter::FusedIterator;

use super::CODEC_STORED;
use super::checksum::crc32c;
use super::error::{Ending, SkipReason, Skipped, Tear};
use super::layout::{
    BLOCK_HEADER_LEN, BLOCK_MAGIC, BlockHead, RECORD_HEADER_LEN, RecordHead, SEAL_AT, SealState,
    Span, to_usize,
};
use super::record::{Record, RecordKind};

/// One block of a tape, its records not yet looked at.
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
    /// Where the block's header starts, in bytes from the start of the tape.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The block's number in the tape, counted from 0.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.head.sequence.get()
    }

    /// How the block's bytes are compressed: [`CODEC_STORED`], [`CODEC_ZSTD`](super::CODEC_ZSTD)
    /// or one of a later version.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.head.codec
    }

    /// Whether the block was completed and is all there.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// The number of records: of a sealed block as its header says, of an open one as counted.
    #[must_use]
    pub fn records_len(&self) -> u32 {
        self.span.records
    }

    /// The earliest receive time of its records, in nanoseconds since the Unix epoch; 0 if it has
    /// none.
    #[must_use]
    pub fn earliest_unix_ns(&self) -> u64 {
        self.span.earliest_unix_ns
    }

    /// The latest receive time of its records, in nanoseconds since the Unix epoch; 0 if it has
    /// none.
    #[must_use]
    pub fn latest_unix_ns(&self) -> u64 {
        self.span.latest_unix_ns
    }

    /// The bytes after the block's header as they stand on the tape, perhaps compressed.
    #[must_use]
    pub fn stored(&self) -> &'a [u8] {
        self.body
    }

    /// How many bytes the records take when they are not compressed, as the header says. A reader
    /// that reserves memory by it holds it against [`MAX_BODY_LEN`](super::MAX_BODY_LEN) first.
    #[must_use]
    pub fn raw_len(&self) -> u32 {
        self.span.body_len
    }

    /// Tells whether the bytes of a compressed block are as they were written. A stored block is
    /// checked record by record instead and always gives `true`.
    #[must_use]
    pub fn is_stored_intact(&self) -> bool {
        self.codec() == CODEC_STORED || crc32c(self.body) == self.head.stored_crc.get()
    }

    /// Gives the block's records; those of a compressed block are skipped as a whole.
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

    /// Gives the block's records out of its uncompressed bytes.
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

    /// Gives the header that makes the readable part of an open block a sealed one. A sealed block
    /// needs none; one too long for its own length field stays open.
    pub(super) fn seal(&self, tape_id: u64) -> Option<[u8; BLOCK_HEADER_LEN]> {
        if self.is_sealed || to_usize(self.span.body_len) != self.body.len() {
            return None;
        }
        let head = BlockHead::open(tape_id, self.sequence(), CODEC_STORED);
        Some(head.seal(&self.span, self.span.body_len, 0).to_bytes())
    }
}

/// The blocks of a tape, in order, with what had to be passed over between them.
///
/// An `Err` does not end the iteration; [`Blocks::ending`] tells how the tape ends.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
    tape_id: u64,
    at: usize,
    /// The number that the next block should have; not known after damage.
    expected: Option<u32>,
    /// The seal of the block at `at` is damaged, and that has been told.
    seal_told: bool,
    /// Set if the block before `at` was open: what it should have held beyond what it does.
    open: Option<Option<u32>>,
    ending: Option<Ending>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(bytes: &'a [u8], tape_id: u64, at: usize) -> Self {
        Self { bytes, tape_id, at, expected: Some(0), seal_told: false, open: None, ending: None }
    }

    /// Reads the one block whose header starts there.
    pub(super) fn one(bytes: &'a [u8], tape_id: u64, at: usize) -> Option<Block<'a>> {
        // What came before it is not known here, and so its number is as good as any.
        let blocks = Self { expected: None, ..Self::new(bytes, tape_id, at) };
        bytes.get(at..)?;
        blocks.filter_map(Result::ok).next().filter(|block| block.offset() == at)
    }

    /// Tells how the tape ends, once the iteration has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Tells what is wrong around a block's header, each thing once: records that the block before
    /// should have held, a number that is not the next one, a damaged seal.
    fn complain(&mut self, head: &BlockHead) -> Option<Skipped> {
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
        // A compressed block cannot be read without its seal: that is told as its loss.
        let is_new = !self.seal_told
            && head.codec == CODEC_STORED
            && head.seal_state() == SealState::Damaged;
        is_new.then(|| {
            self.seal_told = true;
            let (from, to) = (at + SEAL_AT, at + BLOCK_HEADER_LEN);
            Skipped { from, to, records: Some(0), why: SkipReason::BlockSeal }
        })
    }

    /// Gives the block at `at` and steps behind it.
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
        self.seal_told = false;
        self.open = (!block.is_sealed).then_some(block.records_lost);
        Some(Ok(block))
    }

    /// Tells whether the end of a block is missing though the file is long enough: the header was
    /// written, zeros stand where its records should. That can only be so at the end of the tape,
    /// so the records of all other blocks are left alone.
    fn is_unwritten(&self, head: &BlockHead, body: &[u8], after: &[u8]) -> bool {
        is_blank(after)
            && body.last() == Some(&0)
            && match head.codec {
                CODEC_STORED => walk(body, self.tape_id).0.len() < body.len(),
                _ => crc32c(body) != head.stored_crc.get(),
            }
    }

    /// Steps to the next block, or ends the tape, where what stands at `at` is not readable.
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

    /// Goes to the next block. If there is none the tape ends here: torn if fewer than the
    /// `needed` bytes were written, else damaged.
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
        self.seal_told = false;
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
            Some((head, rest)) => match self.complain(head) {
                Some(complaint) => Some(Err(complaint)),
                None => self.take(head, rest),
            },
        }
    }
}

impl FusedIterator for Blocks<'_> {}

/// The records of one block, in order, with those that had to be passed over.
///
/// An `Err` does not end the iteration. Records of kinds that this version does not know are
/// passed over and counted.
#[derive(Debug, Clone)]
pub struct BlockRecords<'a> {
    body: &'a [u8],
    at: usize,
    /// Where the body starts in the tape.
    base: usize,
    declared: Option<u32>,
    found: u32,
    unknown_kinds: u64,
    /// Records received before it are passed over until one from then on was given.
    pub(super) not_before: u64,
    /// Set if the body cannot be read at all.
    skipped: Option<Skipped>,
}

impl<'a> BlockRecords<'a> {
    /// How many records of unknown kinds were passed over so far.
    #[must_use]
    pub fn unknown_kinds(&self) -> u64 {
        self.unknown_kinds
    }

    /// Gives up the rest of the block.
    fn lose(&mut self, why: SkipReason) -> Skipped {
        let from = self.base + self.at;
        self.at = self.body.len();
        let records = self.declared.take().map(|declared| declared.saturating_sub(self.found));
        Skipped { from, to: self.base + self.at, records, why }
    }

    /// Tells once of a count that is not the declared one.
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

/// Gives the part of the bytes that is records with intact headers, and what they span.
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
    // The last record counts as cut, not as damaged, if its payload was never written to its end.
    if let Some((payload, crc)) = last_payload
        && payload.last() == Some(&0)
        && is_blank(&bytes[len..])
        && crc32c(payload) != crc
    {
        (len, span) = before_last;
    }
    (&bytes[..len], span)
}

/// Finds the next intact block header of this tape's.
fn find_block(bytes: &[u8], from: usize, tape_id: u64) -> Option<usize> {
    let mut at = from;
    loop {
        let step = bytes.get(at..)?.iter().position(|byte| *byte == BLOCK_MAGIC[0]);
        #[cfg(test)]
        super::checksum::work::add(step.unwrap_or(bytes.len() - at));
        at += step?;
        if BlockHead::read(&bytes[at..], tape_id).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

/// Tells whether nothing but zeros is left, looking no further than to the first other byte: this
/// is asked once for each open block.
fn is_blank(bytes: &[u8]) -> bool {
    let zeros = bytes.iter().position(|byte| *byte != 0);
    #[cfg(test)]
    super::checksum::work::add(zeros.unwrap_or(bytes.len()));
    zeros.is_none()
}

/// Gives the length without the zeros at the end: those of a file that is longer than what was
/// written to it.
fn written_len(bytes: &[u8]) -> usize {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    #[cfg(test)]
    super::checksum::work::add(bytes.len() - written);
    written
}
