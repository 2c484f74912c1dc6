//! Memory for frames that wait, used again and again.
//!
//! A frame that waits in the socket's read buffer keeps that buffer from being used for the next
//! read, and a fresh buffer for every read costs more in page faults than the copy of a frame. So
//! what goes to another task is copied once, into memory that comes back when it has been taken.

use bytes::{Bytes, BytesMut};

/// Room for some frames of common size; a larger frame gets a block of its own size.
const BLOCK_BYTES: usize = 128 * 1024;

/// How many blocks are kept. Those that wait beyond them are freed when they have been taken.
const MOST_BLOCKS: usize = 8;

/// Copies frames into blocks, and uses the blocks again that nobody holds a frame of.
#[derive(Debug, Default)]
pub(crate) struct Recycler {
    blocks: Vec<BytesMut>,
    /// The block in use.
    current: usize,
}

impl Recycler {
    /// Copies a frame.
    pub(crate) fn copy(&mut self, frame: &[u8]) -> Bytes {
        let block = self.block_for(frame.len());
        block.extend_from_slice(frame);
        block.split().freeze()
    }

    /// Gives a block with room for so many bytes: the one in use, one that has come back, or a new
    /// one.
    fn block_for(&mut self, bytes: usize) -> &mut BytesMut {
        let has_room = |block: &mut BytesMut| block.capacity() >= bytes || block.try_reclaim(bytes);
        let kept = self.blocks.len();
        let places = (self.current..kept).chain(0..self.current);
        let found = places.into_iter().find(|&place| has_room(&mut self.blocks[place]));
        self.current = found.unwrap_or_else(|| {
            let block = BytesMut::with_capacity(bytes.max(BLOCK_BYTES));
            if kept < MOST_BLOCKS {
                self.blocks.push(block);
                return kept;
            }
            let next = (self.current + 1) % kept;
            self.blocks[next] = block;
            next
        });
        &mut self.blocks[self.current]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn frame(n: usize, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (n + at) as u8).collect()
    }

    #[test]
    fn frames_that_wait_are_not_written_over() {
        let mut recycler = Recycler::default();
        let mut waiting: VecDeque<(Vec<u8>, Bytes)> = VecDeque::new();
        for n in 0..5_000 {
            let frame = frame(n, 1 + n * 7_919 % 60_000);
            let copy = recycler.copy(&frame);
            assert_eq!(copy, frame);
            waiting.push_back((frame, copy));
            if waiting.len() > 1 + n % 70 {
                for (frame, copy) in waiting.drain(..n % waiting.len()) {
                    assert_eq!(copy, frame);
                }
            }
        }
    }

    #[test]
    fn memory_comes_back_once_its_frames_have_been_taken() {
        let mut recycler = Recycler::default();
        let frame = frame(0, 37_202);
        let mut waiting = VecDeque::new();
        for _ in 0..16 {
            waiting.push_back(recycler.copy(&frame));
        }
        let blocks = recycler.blocks.len();
        let allocated = allocation_counter::measure(|| {
            for _ in 0..10_000 {
                waiting.pop_front();
                waiting.push_back(recycler.copy(&frame));
            }
        });
        assert_eq!((allocated.count_total, recycler.blocks.len()), (0, blocks));
    }

    #[test]
    fn what_a_slow_consumer_needed_is_not_kept_for_ever() {
        let mut recycler = Recycler::default();
        let waiting: Vec<Bytes> = (0..100).map(|n| recycler.copy(&frame(n, 60_000))).collect();
        assert_eq!(recycler.blocks.len(), MOST_BLOCKS);
        drop(waiting);
        let large = frame(1, 500_000);
        assert_eq!(recycler.copy(&large), large);
        assert_eq!(recycler.blocks.len(), MOST_BLOCKS);
    }
}
