//! Where a file's blocks are: what stepping over their headers tells.
//!
//! A reader that owns its file cannot hold the format's own iterators, which borrow it, so it goes
//! by this list. A day of 75 GB in blocks of 1 MiB makes 5 MB of it.

use kite_wire::tape::{BLOCK_HEADER_LEN, Block, Ending, Skipped, Tape};

/// The blocks of a tape in order, with what had to be passed over between them.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) pieces: Vec<Piece>,
    /// Earliest and latest receive time, if there are records.
    pub(crate) span: Option<(u64, u64)>,
    pub(crate) ending: Ending,
    pub(crate) tape_id: u64,
    /// The header was no longer readable when the index was made.
    pub(crate) is_changed: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece {
    Block(BlockAt),
    Skip(Skipped),
}

/// A block, by what its header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockAt {
    pub(crate) offset: usize,
    pub(crate) stored_len: usize,
    pub(crate) raw_len: u32,
    /// How many records it must have; not known of an open block.
    pub(crate) declared: Option<u32>,
    pub(crate) latest_unix_ns: u64,
    pub(crate) codec: u8,
}

impl Index {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let Ok(tape) = Tape::open(bytes) else {
            let ending = Ending::Damaged { at: 0, bytes: bytes.len() };
            return Self { pieces: Vec::new(), span: None, ending, tape_id: 0, is_changed: true };
        };
        let mut span: Option<(u64, u64)> = None;
        let mut blocks = tape.blocks();
        let mut pieces = Vec::new();
        for item in &mut blocks {
            pieces.push(match item {
                Ok(block) => {
                    if block.records_len() > 0 {
                        let (earliest, latest) = span.get_or_insert((u64::MAX, 0));
                        *earliest = (*earliest).min(block.earliest_unix_ns());
                        *latest = (*latest).max(block.latest_unix_ns());
                    }
                    Piece::Block(BlockAt::of(&block))
                }
                Err(skipped) => Piece::Skip(skipped),
            });
        }
        let ending = blocks.ending().unwrap_or(Ending::Clean { at: bytes.len() });
        Self { pieces, span, ending, tape_id: tape.tape_id(), is_changed: false }
    }
}

impl BlockAt {
    fn of(block: &Block<'_>) -> Self {
        Self {
            offset: block.offset(),
            stored_len: block.stored().len(),
            raw_len: block.raw_len(),
            declared: block.is_sealed().then_some(block.records_len()),
            latest_unix_ns: block.latest_unix_ns(),
            codec: block.codec(),
        }
    }

    pub(crate) fn body_at(&self) -> usize {
        self.offset + BLOCK_HEADER_LEN
    }

    pub(crate) fn end(&self) -> usize {
        self.body_at() + self.stored_len
    }
}
