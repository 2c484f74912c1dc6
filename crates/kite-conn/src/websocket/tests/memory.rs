//! What a server can make a client spend: memory by false lengths, work by small portions.

use std::collections::VecDeque;

use allocation_counter::measure;

use super::super::differential::{Wire, put_header, settle};
use super::super::*;

const LIMITS: Limits = Limits { read_bytes: 64 * 1_024, message_bytes: 1_024 * 1_024 };

fn next(socket: &mut WebSocket<Wire>) -> Result<Message, Error> {
    settle(socket, |socket, cx| socket.poll_next(cx))
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_header(&mut bytes, first, payload.len() as u64, None);
    bytes.extend_from_slice(payload);
    bytes
}

/// The memory of a message's block, which is its size and one more read, rounded up to four reads.
fn block(bytes: usize) -> u64 {
    (bytes + LIMITS.read_bytes).next_multiple_of(4 * LIMITS.read_bytes) as u64
}

/// The bookkeeping of `bytes` in addition to the memory itself.
const SHARES: u64 = 1_000;

#[test]
fn a_false_length_costs_one_block_of_the_largest_message() {
    for first in [0x82, 0x81, 0x02] {
        let mut bytes = Vec::new();
        put_header(&mut bytes, first, LIMITS.message_bytes as u64, None);
        bytes.resize(bytes.len() + 100_000, 1);
        let wire = Wire::new(bytes, &[], &[]);
        let spent = measure(|| {
            let mut socket = WebSocket::new(wire, &[], LIMITS);
            assert!(next(&mut socket).is_err());
        });
        // The first block is kept.
        assert!(spent.bytes_max <= block(0) + block(LIMITS.message_bytes) + SHARES, "{spent:?}");
    }
}

#[test]
fn a_rejected_header_costs_no_further_block() {
    for header in [&[0x89, 127, 0, 0, 0, 0, 0, 15, 0, 0][..], &[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]]
    {
        let wire = Wire::new(header.to_vec(), &[], &[]);
        let spent = measure(|| {
            let mut socket = WebSocket::new(wire, &[], LIMITS);
            assert!(next(&mut socket).is_err());
        });
        assert!(spent.bytes_max <= block(0) + SHARES, "{spent:?}");
    }
}

#[test]
fn a_fragment_above_the_limit_costs_no_block_of_its_own() {
    let mut bytes = frame(0x02, &[1; 100_000]);
    put_header(&mut bytes, 0, 1_000_000, None);
    let wire = Wire::new(bytes, &[], &[]);
    let spent = measure(|| {
        let mut socket = WebSocket::new(wire, &[], LIMITS);
        assert!(matches!(next(&mut socket), Err(Error::Capacity(_))));
    });
    assert!(spent.bytes_max <= block(0) + 100_000 + SHARES, "{spent:?}");
}

#[test]
fn a_large_frame_is_copied_at_most_once() {
    for bytes in [150_000, 300_000, 524_200, 1_000_000] {
        let frames = [frame(0x82, &vec![1; 200_000]), frame(0x82, &vec![2; bytes])].concat();
        let mut cuts = Vec::new();
        // A refusal after each portion returns control between two reads.
        (0..frames.len() / 64).for_each(|_| cuts.extend_from_slice(&[64, 0]));
        let mut socket = WebSocket::new(Wire::new(frames, &cuts, &[]), &[], LIMITS);
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let (mut messages, mut moved) = (VecDeque::new(), 0);
        while messages.len() < 2 {
            let (before, length) = (socket.input.as_ptr(), socket.input.len());
            match socket.poll_next(cx) {
                Poll::Ready(message) => messages.push_back(message.unwrap()),
                // Advancing over a header is not a copy.
                Poll::Pending => {
                    let by = (socket.input.as_ptr() as usize).wrapping_sub(before as usize);
                    moved += usize::from(messages.len() == 1 && length > 14 && by > 14);
                }
            }
        }
        assert!(moved <= 1, "a frame of {bytes} bytes was copied {moved} times");
    }
}

#[test]
fn large_frames_in_small_portions_cost_no_more_memory_than_whole_ones() {
    let frames = frame(0x82, &vec![1; 500_000]).repeat(10);
    let spent = |cuts: &[u8]| {
        let mut socket = WebSocket::new(Wire::new(frames.clone(), cuts, &[]), &[], LIMITS);
        measure(|| (0..10).for_each(|_| drop(next(&mut socket).unwrap()))).bytes_total
    };
    let in_portions = spent(&vec![9; frames.len() / 9]);
    assert!(in_portions <= spent(&[]).max(2 * block(500_000)) + SHARES, "{in_portions}");
}

#[test]
fn thousands_of_fragments_cost_as_much_as_their_message() {
    let mut bytes = frame(0x02, b"");
    for _ in 0..200_000 {
        bytes.extend_from_slice(&[0, 1, 7]);
    }
    bytes.extend_from_slice(&[0x80, 0]);
    let mut socket = WebSocket::new(Wire::new(bytes, &[], &[]), &[], LIMITS);
    let expected = Message::binary(vec![7; 200_000]);
    let spent = measure(|| assert_eq!(next(&mut socket).unwrap(), expected));
    // The buffer doubles as it grows.
    assert!(spent.bytes_total <= 4 * 200_000 + 2 * block(0), "{spent:?}");
    assert!(spent.count_total < 50, "{spent:?}");
}

/// At full speed a reader allocates nothing, whether or not frames wait.
#[test]
fn consumed_frames_release_their_memory_for_reuse() {
    for (payload, waiting) in [(37_202, 1), (37_202, 20), (1, 1_000), (558_002, 5)] {
        let bytes = frame(0x82, &vec![7; payload]);
        let frames = 40_000_000 / bytes.len().max(10_000);
        let warm = frames / 2;
        let mut socket = WebSocket::new(Wire::new(bytes.repeat(frames), &[], &[]), &[], LIMITS);
        let mut held = VecDeque::with_capacity(waiting + 1);
        let mut take = |frames: usize| {
            for _ in 0..frames {
                held.push_back(next(&mut socket).unwrap());
                if held.len() > waiting {
                    held.pop_front();
                }
            }
        };
        take(warm);
        let spent = measure(|| take(frames - warm));
        assert_eq!(spent.count_total, 0, "{waiting} frames of {payload} bytes wait: {spent:?}");
    }
}
