//! Memory that is read into, used again and again.
//!
//! A frame that waits for its taker keeps the block in which it lies from being read into; another
//! is taken then, and the block comes back when the last of its frames is gone. Fresh memory for
//! every read would cost more, in page faults, than all that is done with a tick.

use bytes::BytesMut;

/// So many reads fit into a block.
const READS: usize = 4;

/// How many blocks are kept besides the one in use; what a slow consumer needs beyond them is freed
/// when it has been taken.
const MOST_KEPT: usize = 7;

/// Blocks of a socket, but for the one in use.
#[derive(Debug)]
pub(super) struct Blocks {
    read_bytes: usize,
    kept: Vec<BytesMut>,
}

impl Blocks {
    /// Makes room for reads of so many bytes.
    pub(super) fn new(read_bytes: usize) -> Self {
        Self { read_bytes, kept: Vec::new() }
    }

    /// Makes room in the block in use for `wanted` bytes more, and for a read that is worth it; what
    /// is in it stays in it.
    #[inline]
    pub(super) fn make_room(&mut self, block: &mut BytesMut, wanted: usize) {
        if block.capacity() - block.len() < wanted.max(self.read_bytes / 4) {
            self.change(block, wanted);
        }
    }

    fn change(&mut self, block: &mut BytesMut, wanted: usize) {
        let room = wanted.max(self.read_bytes);
        if block.try_reclaim(room) {
            return;
        }
        let bytes = block.len() + room;
        let came_back = self.kept.iter_mut().position(|kept| kept.try_reclaim(bytes));
        let mut next = match came_back {
            Some(place) => self.kept.swap_remove(place),
            None => BytesMut::with_capacity(bytes.max(self.read_bytes * READS)),
        };
        next.extend_from_slice(block);
        let mut full = std::mem::replace(block, next);
        if self.kept.len() < MOST_KEPT && full.capacity() > 0 {
            full.clear();
            self.kept.push(full);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::*;

    /// Reads one frame and gives it.
    fn read(blocks: &mut Blocks, block: &mut BytesMut, n: usize, bytes: usize) -> Bytes {
        blocks.make_room(block, bytes);
        let address = block.as_ptr();
        block.extend((0..bytes).map(|at| (n + at) as u8));
        assert_eq!(block.as_ptr(), address, "there was room");
        block.split_to(bytes).freeze()
    }

    #[test]
    fn frames_that_wait_are_not_written_over() {
        let (mut blocks, mut block) = (Blocks::new(16 * 1024), BytesMut::new());
        let mut waiting: VecDeque<(usize, Bytes)> = VecDeque::new();
        for n in 0..5_000 {
            waiting.push_back((n, read(&mut blocks, &mut block, n, 1 + n * 7_919 % 60_000)));
            if waiting.len() > 1 + n % 70 {
                for (n, frame) in waiting.drain(..n % waiting.len()) {
                    assert!((0..frame.len()).all(|at| frame[at] == (n + at) as u8));
                }
            }
        }
    }

    #[test]
    fn memory_comes_back_once_its_frames_have_been_taken() {
        let (mut blocks, mut block) = (Blocks::new(64 * 1024), BytesMut::new());
        let mut waiting: VecDeque<Bytes> = VecDeque::with_capacity(20);
        let mut reads = |reads: usize| {
            for n in 0..reads {
                if waiting.len() == 20 {
                    waiting.pop_front();
                }
                waiting.push_back(read(&mut blocks, &mut block, n, 37_202));
            }
        };
        reads(100);
        let allocated = allocation_counter::measure(|| reads(1_000));
        assert_eq!(allocated.count_total, 0);
    }

    #[test]
    fn what_a_slow_consumer_needed_is_not_kept_for_ever() {
        let (mut blocks, mut block) = (Blocks::new(16 * 1024), BytesMut::new());
        let waiting: Vec<Bytes> =
            (0..100).map(|n| read(&mut blocks, &mut block, n, 60_000)).collect();
        assert_eq!(blocks.kept.len(), MOST_KEPT);
        drop(waiting);
        read(&mut blocks, &mut block, 1, 500_000);
        assert_eq!(blocks.kept.len(), MOST_KEPT);
    }

    #[test]
    fn what_has_been_read_of_a_frame_moves_along() {
        let (mut blocks, mut block) = (Blocks::new(1_024), BytesMut::new());
        let waiting = read(&mut blocks, &mut block, 0, 4_000);
        block.extend_from_slice(b"head");
        blocks.make_room(&mut block, 100_000);
        assert_eq!(&block[..], b"head");
        assert!(block.capacity() >= 100_004);
        drop(waiting);
    }
}
