//! A frame of which nothing is cut is dispatched without an allocation; one that is cut takes one
//! for each group of clients. What waits for a client that reads nothing is bounded.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use kite_relay::{Changes, ClientId, Dispatcher, Groups, Queue, QueueConfig};
use kite_wire::{Command, Frame, Mode, ParsedCommand};

const PACKETS: u32 = 200;

fn groups(clients: u64, mode: Mode) -> Groups {
    let mut groups = Groups::default();
    for client in 0..clients {
        // Each client leaves out another instrument, so that no two are in one group, unless there
        // is only one.
        let tokens: Vec<u32> = (0..PACKETS).filter(|&n| u64::from(n) + 1 != client).collect();
        let text = Command::Mode(mode, &tokens).to_string();
        let command = ParsedCommand::parse(&text).unwrap();
        groups.apply(ClientId(client), &Changes::of(command, |_| None));
    }
    groups
}

fn frame() -> Bytes {
    frame_of(0..PACKETS)
}

/// Returns a frame of full packets.
fn frame_of(tokens: Range<u32>) -> Bytes {
    let mut frame = Vec::from((tokens.len() as u16).to_be_bytes());
    for token in tokens {
        frame.extend([&[0, 184], &token.to_be_bytes()[..], &[1; 180]].concat());
    }
    frame.into()
}

fn allocations(groups: &Groups) -> (usize, u64) {
    let (bytes, mut dispatcher, mut shares) = (frame(), Dispatcher::default(), Vec::new());
    // The first clone of the received bytes, and the first frame of the dispatcher.
    let _clone = bytes.clone();
    dispatcher.dispatch(groups, &bytes, &Frame::walk(&bytes), &mut shares);
    let first = shares.len();
    shares.clear();
    let counted = allocation_counter::measure(|| {
        dispatcher.dispatch(groups, &bytes, &Frame::walk(&bytes), &mut shares);
    });
    assert_eq!(first, shares.len());
    (shares.len(), counted.count_total)
}

#[test]
fn a_whole_frame_takes_no_allocation_and_a_cut_one_takes_one() {
    assert_eq!(allocations(&groups(1, Mode::Full)), (1, 0));
    assert_eq!(allocations(&groups(1, Mode::Ltp)), (1, 1));
    // The first client gets the whole frame, the others all but one packet.
    assert_eq!(allocations(&groups(10, Mode::Full)), (10, 9));
}

#[test]
fn a_client_that_reads_nothing_keeps_less_than_a_mebibyte_of_3_000_instruments() {
    let frames: Vec<Bytes> = (0..30).map(|n| frame_of(100 * n..100 * (n + 1))).collect();
    let mut queue = Queue::new(QueueConfig::default());
    let mut sent = 0;
    let counted = allocation_counter::measure(|| {
        for frame in frames.iter().cycle().take(3_000) {
            queue.push(frame.clone(), 100).unwrap();
        }
        while queue.pop(Instant::now()).is_some() {
            sent += 1;
        }
    });
    let counts = queue.counts();
    assert_eq!((counts.pushed, counts.sent), (300_000, 3_000));
    assert!(sent < 20, "{sent} frames");
    assert!(counted.bytes_max < 1 << 20, "{counted:?}");
    // Nothing is kept once the client has caught up.
    assert!(counted.bytes_current < 4 * 1024, "{counted:?}");
}
