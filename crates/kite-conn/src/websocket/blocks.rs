//! Reusable memory for reading.
//!
//! A frame that waits for its consumer keeps its block from being reused; another block is used
//! until the last of its frames is gone. Fresh memory for every read would cost more, in page
//! faults, than all other work on a tick.

use bytes::BytesMut;

/// Number of reads that fit into a block.
const READS: usize = 2;

/// Number of blocks kept besides the one in use. More, needed by a slow consumer, are freed once it
/// has consumed them.
const MOST_KEPT: usize = 15;

/// A socket's blocks except the one in use.
#[derive(Debug)]
pub(super) struct Blocks {
    read_bytes: usize,
    kept: Vec<BytesMut>,
}

impl Blocks {
    /// Creates blocks for reads of `read_bytes`.
    pub(super) fn new(read_bytes: usize) -> Self {
        Self { read_bytes, kept: Vec::new() }
    }

    /// Makes room in the block in use for `wanted` more bytes and for a read of useful size. Its
    /// contents are kept.
    #[inline]
    pub(super) fn make_room(&mut self, block: &mut BytesMut, wanted: usize) {
        // If nothing has to be copied, keep room for a whole read, because a frame that starts in a
        // small rest is copied when that is full.
        let least = if block.is_empty() { self.read_bytes } else { self.read_bytes.div_ceil(4) };
        if block.capacity() - block.len() < wanted.max(least) {
            self.change(block, wanted);
        }
    }

    fn change(&mut self, block: &mut BytesMut, wanted: usize) {
        // One more read than wanted, so that a frame is copied at most once, regardless of its
        // size.
        let room = wanted + self.read_bytes;
        if block.try_reclaim(room) {
            return;
        }
        let bytes = block.len() + room;
        let mut next = match self.take_free(bytes) {
            Some(next) => next,
            None => {
                let least = self.read_bytes * READS;
                if self.kept.len() == MOST_KEPT {
                    // Drops a free block that is too small; otherwise larger ones would be
                    // allocated again and again.
                    drop(self.take_free(least));
                }
                // Rounded, so that it serves frames of about this size.
                BytesMut::with_capacity(bytes.next_multiple_of(least))
            }
        };
        next.extend_from_slice(block);
        let mut full = std::mem::replace(block, next);
        if self.kept.len() < MOST_KEPT && full.capacity() > 0 {
            full.clear();
            self.kept.push(full);
        }
    }

    /// Returns a kept block of at least `bytes` whose frames are all gone.
    fn take_free(&mut self, bytes: usize) -> Option<BytesMut> {
        let place = self.kept.iter_mut().position(|kept| kept.try_reclaim(bytes))?;
        Some(self.kept.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use allocation_counter::measure;
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// Reads one frame and returns it.
    fn read(blocks: &mut Blocks, block: &mut BytesMut, n: usize, bytes: usize) -> Bytes {
        blocks.make_room(block, bytes);
        let address = block.as_ptr();
        block.extend((0..bytes).map(|at| (n + at) as u8));
        assert_eq!(block.as_ptr(), address, "there was room");
        block.split_to(bytes).freeze()
    }

    #[test]
    fn waiting_frames_are_not_overwritten() {
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
    fn memory_is_reused_once_its_frames_are_consumed() {
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
        let allocated = measure(|| reads(1_000));
        assert_eq!(allocated.count_total, 0);
    }

    #[test]
    fn blocks_needed_by_a_slow_consumer_are_not_kept_for_ever() {
        let (mut blocks, mut block) = (Blocks::new(16 * 1024), BytesMut::new());
        let waiting: Vec<Bytes> =
            (0..100).map(|n| read(&mut blocks, &mut block, n, 60_000)).collect();
        assert_eq!(blocks.kept.len(), MOST_KEPT);
        drop(waiting);
        read(&mut blocks, &mut block, 1, 500_000);
        assert_eq!(blocks.kept.len(), MOST_KEPT);
    }

    #[test]
    fn the_part_of_a_frame_already_read_is_copied() {
        let (mut blocks, mut block) = (Blocks::new(1_024), BytesMut::new());
        let waiting = read(&mut blocks, &mut block, 0, 4_000);
        block.extend_from_slice(b"head");
        blocks.make_room(&mut block, 100_000);
        assert_eq!(&block[..], b"head");
        assert!(block.capacity() >= 100_004);
        drop(waiting);
    }

    #[test]
    fn blocks_that_have_become_too_small_are_replaced() {
        let (mut blocks, mut block) = (Blocks::new(1_024), BytesMut::new());
        let small: Vec<Bytes> = (0..40).map(|n| read(&mut blocks, &mut block, n, 900)).collect();
        assert_eq!(blocks.kept.len(), MOST_KEPT);
        drop(small);
        let mut waiting = VecDeque::with_capacity(5);
        let mut reads = |reads: usize| {
            for n in 0..reads {
                if waiting.len() == 5 {
                    waiting.pop_front();
                }
                waiting.push_back(read(&mut blocks, &mut block, n, 9_000 + n % 7));
            }
        };
        reads(20);
        let allocated = measure(|| reads(100));
        assert_eq!(allocated.count_total, 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// A frame of this many bytes, received in portions of this size.
        Read(usize, usize),
        /// Waiting frames are consumed: the first one and their number.
        Take(Index, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = prop_oneof![4 => 1..300_usize, 2 => 300..3_000_usize, 1 => 1..FRAME];
        prop_oneof![
            3 => (bytes, 1..2_000_usize).prop_map(|(bytes, portion)| Step::Read(bytes, portion)),
            2 => (any::<Index>(), 0..5_usize).prop_map(|(at, count)| Step::Take(at, count)),
        ]
    }

    /// The largest frame in this test.
    const FRAME: usize = 20_000;

    /// The stream's byte at this offset.
    fn byte(at: usize) -> u8 {
        (at ^ at >> 8) as u8
    }

    proptest! {
        #[test]
        fn frames_stay_intact_and_memory_within_its_bound(
            read_bytes in prop_oneof![1..8_usize, 8..3_000_usize],
            steps in vec(step(), 1..200),
        ) {
            let (mut blocks, mut block) = (Blocks::new(read_bytes), BytesMut::new());
            // Each frame with its offset in the stream and the number of its block; a block that is
            // switched to has no waiting frames.
            let mut waiting: Vec<(usize, usize, Bytes)> = Vec::new();
            let is_whole = |at: usize, frame: &[u8]| (at..).map(byte).zip(frame).all(|(a, b)| a == *b);
            let (mut received, mut in_use, mut live) = (0, 0, 0);
            let largest = (FRAME + read_bytes).next_multiple_of(read_bytes * READS);
            for step in steps {
                match step {
                    Step::Read(bytes, portion) => {
                        let mut frame = None;
                        let spent = measure(|| {
                            while block.len() < bytes {
                                let (before, wanted) = (block.as_ptr(), bytes - block.len());
                                blocks.make_room(&mut block, wanted);
                                in_use += usize::from(block.as_ptr() != before);
                                let room = block.capacity() - block.len();
                                assert!(room >= wanted);
                                // Bytes after the frame are read along with it.
                                let portion = portion.min(room);
                                block.extend((received..).map(byte).take(portion));
                                received += portion;
                            }
                            let start = received - block.len();
                            frame = Some((start, in_use, block.split_to(bytes).freeze()));
                        });
                        waiting.extend(frame);
                        live += spent.bytes_current;
                    }
                    Step::Take(at, count) if !waiting.is_empty() => {
                        let first = at.index(waiting.len());
                        let last = waiting.len().min(first + count);
                        let taken: Vec<_> = waiting.drain(first..last).collect();
                        prop_assert!(taken.iter().all(|(at, _, frame)| is_whole(*at, frame)));
                        let taken: Vec<Bytes> = taken.into_iter().map(|(.., frame)| frame).collect();
                        live += measure(|| taken.into_iter().for_each(drop)).bytes_current;
                    }
                    Step::Take(..) => {}
                }
                let pinned: HashSet<usize> = waiting.iter().map(|(_, block, _)| *block).collect();
                let most = (pinned.len() + MOST_KEPT + 1) * (largest + 100);
                prop_assert!(live <= most as i64, "{live} bytes, {} blocks pinned", pinned.len());
            }
            prop_assert!(blocks.kept.len() <= MOST_KEPT);
            prop_assert!(waiting.iter().all(|(at, _, frame)| is_whole(*at, frame)));
        }
    }
}
