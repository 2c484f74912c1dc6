//! Memory that is read into, used again and again.
//!
//! A frame that waits for its taker keeps the block in which it lies from being read into; another
//! is taken then, and the block comes back when the last of its frames is gone. Fresh memory for
//! every read would cost more, in page faults, than all that is done with a tick.

use bytes::BytesMut;

/// So many reads fit into a block.
const READS: usize = 2;

/// How many blocks are kept besides the one in use; what a slow consumer needs beyond them is freed
/// when it has been taken.
const MOST_KEPT: usize = 15;

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
        // Where nothing would have to move along, room for a whole read; a frame that is begun in
        // little room is copied when that runs out.
        let least = if block.is_empty() { self.read_bytes } else { self.read_bytes.div_ceil(4) };
        if block.capacity() - block.len() < wanted.max(least) {
            self.change(block, wanted);
        }
    }

    fn change(&mut self, block: &mut BytesMut, wanted: usize) {
        // A read's worth behind what is wanted: so a frame moves once at most, however large it is.
        let room = wanted + self.read_bytes;
        if block.try_reclaim(room) {
            return;
        }
        let bytes = block.len() + room;
        let mut next = match self.came_back(bytes) {
            Some(next) => next,
            None => {
                let least = self.read_bytes * READS;
                if self.kept.len() == MOST_KEPT {
                    // One that is there and yet too small gives way, or larger ones would be
                    // allocated again and again.
                    drop(self.came_back(least));
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

    /// Gives a kept block of at least this size whose frames are all gone.
    fn came_back(&mut self, bytes: usize) -> Option<BytesMut> {
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
        let allocated = measure(|| reads(1_000));
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

    #[test]
    fn blocks_that_are_too_small_by_now_give_way() {
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
        /// A frame of so many bytes, of which so many come at once.
        Read(usize, usize),
        /// One of the frames that wait is taken, or so many.
        Take(Index, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = prop_oneof![4 => 1..300_usize, 2 => 300..3_000_usize, 1 => 1..FRAME];
        prop_oneof![
            3 => (bytes, 1..2_000_usize).prop_map(|(bytes, portion)| Step::Read(bytes, portion)),
            2 => (any::<Index>(), 0..5_usize).prop_map(|(at, count)| Step::Take(at, count)),
        ]
    }

    /// The largest frame here.
    const FRAME: usize = 20_000;

    /// The stream's byte at this place.
    fn byte(at: usize) -> u8 {
        (at ^ at >> 8) as u8
    }

    proptest! {
        #[test]
        fn frames_stay_as_they_are_and_memory_within_its_bound(
            read_bytes in prop_oneof![1..8_usize, 8..3_000_usize],
            steps in vec(step(), 1..200),
        ) {
            let (mut blocks, mut block) = (Blocks::new(read_bytes), BytesMut::new());
            // With each frame its place in the stream, and the number of its block: a block that
            // is changed to has no frames that wait.
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
                                // What follows the frame comes with it.
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
