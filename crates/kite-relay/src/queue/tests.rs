use std::collections::BTreeMap;
use std::time::Duration;

use kite_wire::Frame;
use proptest::prelude::*;
use serde_json::Value;

use super::notice::NOTICE_EVERY;
use super::*;

/// Creates a frame of LTP packets from token and price.
fn frame(packets: &[(u32, u32)]) -> (Bytes, u16) {
    let count = packets.len() as u16;
    let mut frame = Vec::from(count.to_be_bytes());
    for (token, price) in packets {
        frame.extend([&[0, 8], &token.to_be_bytes()[..], &price.to_be_bytes()].concat());
    }
    (frame.into(), count)
}

fn packets(bytes: &[u8]) -> Vec<(u32, u32)> {
    let packets = Frame::walk(bytes).packets();
    packets.map(|it| (it.instrument_token(), it.last_price().raw().cast_unsigned())).collect()
}

fn queue(policy: SlowClients, bytes: usize) -> Queue {
    Queue::new(QueueConfig { policy, bytes, frames: 8, text_bytes: 300 })
}

#[derive(Debug, Clone)]
enum Op {
    /// Tokens of a frame.
    Push(Vec<u32>),
    Snapshot(Vec<u32>),
    Pop,
    Wait(u64),
    Text,
    Unsubscribe(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => prop::collection::vec(0_u32..6, 1..10).prop_map(Op::Push),
        1 => prop::collection::vec(0_u32..6, 1..30).prop_map(Op::Snapshot),
        3 => Just(Op::Pop),
        1 => (0_u64..1_500).prop_map(Op::Wait),
        1 => Just(Op::Text),
        1 => (0_u32..6).prop_map(Op::Unsubscribe),
    ]
}

/// What a test knows about a queue from outside.
#[derive(Default)]
struct Seen {
    pushed: u64,
    sent: u64,
    /// The price last pushed and last sent of each instrument.
    newest: BTreeMap<u32, u32>,
    received: BTreeMap<u32, u32>,
    texts_pushed: u64,
    texts: u64,
    frames_reported: u64,
    packets_reported: u64,
    last_notice: Option<Instant>,
}

impl Seen {
    fn push(&mut self, tokens: &[u32]) -> (Bytes, u16) {
        let priced: Vec<(u32, u32)> = tokens
            .iter()
            .map(|&token| {
                self.pushed += 1;
                // Every packet has its own price, and prices rise.
                self.newest.insert(token, self.pushed as u32);
                (token, self.pushed as u32)
            })
            .collect();
        frame(&priced)
    }

    fn take(&mut self, outgoing: Outgoing, now: Instant) -> Result<(), TestCaseError> {
        match outgoing {
            Outgoing::Frame { bytes, packets: count } => {
                let packets = packets(&bytes);
                prop_assert_eq!(packets.len(), usize::from(count));
                self.sent += packets.len() as u64;
                for (token, price) in packets {
                    let before = self.received.insert(token, price);
                    prop_assert!(before < Some(price), "{token}: {price} after {before:?}");
                }
            }
            Outgoing::Text(text) => {
                let value: Value = serde_json::from_str(&text).unwrap();
                let Some(dropped) = value["data"].get("dropped") else {
                    self.texts += 1;
                    return Ok(());
                };
                let last = self.last_notice.replace(now);
                prop_assert!(last.is_none_or(|last| now - last >= NOTICE_EVERY));
                self.frames_reported += dropped["frames"].as_u64().unwrap();
                self.packets_reported += dropped["ticks"].as_u64().unwrap();
            }
        }
        Ok(())
    }
}

fn check(queue: &Queue, seen: &Seen) -> Result<(), TestCaseError> {
    let counts = queue.counts();
    prop_assert_eq!((counts.pushed, counts.sent), (seen.pushed, seen.sent));
    let gone = counts.sent + counts.replaced + counts.dropped + counts.unsubscribed;
    prop_assert_eq!(counts.pushed, gone + queue.queued_packets());
    if queue.config.policy != SlowClients::Block {
        let frames = queue.frames.len() - usize::from(queue.has_snapshot());
        prop_assert!(queue.bytes <= queue.config.bytes || frames == 1);
        prop_assert!(frames <= queue.config.frames);
    }
    prop_assert!(queue.newest.memory() <= MEMORY);
    Ok(())
}

/// Memory of conflated packets of up to 256 instruments.
const MEMORY: usize = 256 * 192;

proptest! {
    #[test]
    fn every_packet_is_accounted_for_and_the_newest_arrives(
        policy in prop::sample::select(&[SlowClients::Conflate, SlowClients::DropOldest, SlowClients::Block][..]),
        bytes in 0_usize..200,
        ops in prop::collection::vec(op(), 0..80),
    ) {
        let (mut queue, mut seen, mut now) = (queue(policy, bytes), Seen::default(), Instant::now());
        for op in ops {
            match op {
                Op::Push(tokens) => {
                    let (frame, packets) = seen.push(&tokens);
                    queue.push(frame, packets).unwrap();
                }
                Op::Snapshot(tokens) => {
                    if !queue.has_snapshot() {
                        let (frame, packets) = seen.push(&tokens);
                        queue.push_snapshot(frame, packets);
                    }
                }
                Op::Pop => {
                    if let Some(outgoing) = queue.pop(now) {
                        seen.take(outgoing, now)?;
                    }
                }
                Op::Wait(ms) => now += Duration::from_millis(ms),
                Op::Text => {
                    seen.texts_pushed += 1;
                    queue.push_text(r#"{"type":"order","data":{}}"#.into()).ok();
                }
                Op::Unsubscribe(token) => {
                    let before = queue.counts().unsubscribed;
                    queue.forget([token]);
                    if queue.counts().unsubscribed > before {
                        seen.newest.remove(&token);
                        // Its newest packet is not sent, so a client may have an older one.
                        seen.received.remove(&token);
                    }
                }
            }
            check(&queue, &seen)?;
        }
        for _ in 0..2 {
            while let Some(outgoing) = queue.pop(now) {
                seen.take(outgoing, now)?;
            }
            now = queue.next_deadline().unwrap_or(now);
        }
        check(&queue, &seen)?;
        let counts = queue.counts();
        prop_assert!(queue.is_empty() && queue.next_deadline().is_none());
        prop_assert_eq!((seen.frames_reported, seen.packets_reported), (counts.dropped_frames, counts.dropped));
        prop_assert_eq!(seen.texts, seen.texts_pushed);
        if policy != SlowClients::DropOldest {
            prop_assert_eq!(&seen.received, &seen.newest);
        }
        if policy == SlowClients::Block {
            prop_assert_eq!(counts.sent, counts.pushed);
        }
        prop_assert_eq!(queue.newest.memory(), 0);
    }
}

#[test]
fn a_slow_client_gets_the_newest_packets_after_what_it_can_still_get() {
    let mut queue = queue(SlowClients::Conflate, 2 * 12);
    for price in 1..=4 {
        let (frame, packets) = frame(&[(7, price)]);
        queue.push(frame, packets).unwrap();
    }
    let (last, count) = frame(&[(8, 1), (7, 5)]);
    queue.push(last, count).unwrap();
    let Some(Outgoing::Frame { bytes, .. }) = queue.pop(Instant::now()) else { panic!() };
    assert_eq!(packets(&bytes), [(7, 5), (8, 1)]);
    assert_eq!((queue.counts().replaced, queue.counts().sent), (4, 2));
    // It has caught up, so frames are queued as they are again.
    let (next, count) = frame(&[(7, 6), (7, 7)]);
    queue.push(next.clone(), count).unwrap();
    assert_eq!(queue.pop(Instant::now()), Some(Outgoing::Frame { bytes: next, packets: 2 }));
}

#[test]
fn conflated_packets_are_sent_in_frames_of_limited_size() {
    let mut queue = queue(SlowClients::Conflate, 0);
    let all: Vec<(u32, u32)> = (0..10_000).map(|token| (token, 1)).collect();
    for _ in 0..2 {
        let (frame, packets) = frame(&all);
        queue.push(frame, packets).unwrap();
    }
    let Some(Outgoing::Frame { bytes, packets: first }) = queue.pop(Instant::now()) else {
        panic!()
    };
    assert!(bytes.len() <= CONFLATED_FRAME_BYTES + 2, "{}", bytes.len());
    // A newer packet replaces the one that is still queued.
    let (newer, count) = frame(&[(9_999, 2), (0, 2)]);
    queue.push(newer, count).unwrap();
    let mut rest = Vec::new();
    while let Some(Outgoing::Frame { bytes, .. }) = queue.pop(Instant::now()) {
        rest.extend(packets(&bytes));
    }
    assert_eq!(rest.len(), 10_000 - usize::from(first) + 1);
    assert_eq!(rest.last(), Some(&(0, 2)));
    assert!(rest.contains(&(9_999, 2)) && !rest.contains(&(9_999, 1)));
}

#[test]
fn a_client_that_subscribes_and_unsubscribes_in_turn_holds_no_more_memory() {
    let mut queue = queue(SlowClients::Conflate, 0);
    for token in 0..10_000 {
        let (frame, packets) = frame(&[(0, token), (1 + token, 1)]);
        queue.push(frame, packets).unwrap();
        queue.forget([1 + token]);
        assert!(queue.newest.memory() <= MEMORY);
    }
}

#[test]
fn small_frames_that_wait_do_not_keep_the_blocks_they_were_read_into() {
    let config = QueueConfig { frames: 100, ..QueueConfig::default() };
    let mut queue = Queue::new(config);
    let (small, packets) = frame(&[(7, 1)]);
    let block = || Bytes::from([&small[..], &[0; 128 * 1024]].concat());
    let blocks: Vec<Bytes> = std::iter::repeat_with(block).take(100).collect();
    for block in &blocks {
        queue.push(block.slice(..small.len()), packets).unwrap();
    }
    let kept = blocks.iter().filter(|block| !block.is_unique()).count();
    assert_eq!((queue.frames.len(), kept), (100, SHARED_FRAMES));
    assert!(queue.frames.iter().all(|frame| frame.bytes == small));
}

#[test]
fn a_client_that_must_not_fall_behind_is_disconnected() {
    let mut queue = queue(SlowClients::Disconnect, 30);
    for _ in 0..2 {
        let (frame, packets) = frame(&[(7, 1)]);
        queue.push(frame, packets).unwrap();
    }
    let (third, count) = frame(&[(7, 2)]);
    let overrun = queue.push(third, count).unwrap_err();
    assert_eq!(overrun, Overrun::Frames { frames: 2, bytes: 24 });
    let counts = queue.close();
    assert_eq!((counts.dropped, counts.dropped_frames, counts.unsent), (1, 1, 2));
}

#[test]
fn texts_are_sent_first_and_a_client_that_takes_none_is_disconnected() {
    let mut queue = queue(SlowClients::Conflate, 100);
    let long: Arc<str> = "x".repeat(1_000).into();
    queue.push_text(Arc::clone(&long)).unwrap();
    let (frame, packets) = frame(&[(7, 1)]);
    queue.push(frame, packets).unwrap();
    let overrun = queue.push_text("y".into()).unwrap_err();
    assert_eq!(overrun, Overrun::Texts { texts: 2, bytes: 1_001 + 2 * TEXT_OVERHEAD });
    assert_eq!(queue.pop(Instant::now()), Some(Outgoing::Text(long)));
}

#[test]
fn a_snapshot_is_neither_dropped_nor_a_reason_to_disconnect() {
    let all: Vec<(u32, u32)> = (0..100).map(|token| (token, 1)).collect();
    for policy in [SlowClients::DropOldest, SlowClients::Disconnect] {
        let mut queue = queue(policy, 2 * 12);
        let (snapshot, count) = frame(&all);
        queue.push_snapshot(snapshot.clone(), count);
        let mut push = |price| {
            let (frame, packets) = frame(&[(7, price)]);
            queue.push(frame, packets)
        };
        push(2).unwrap();
        push(3).unwrap();
        assert_eq!(push(4).is_err(), policy == SlowClients::Disconnect);
        assert_eq!(queue.counts().dropped, 1);
        let sent = std::iter::from_fn(|| queue.pop(Instant::now()));
        let frames = sent.filter_map(|it| match it {
            Outgoing::Frame { bytes, .. } => Some(bytes),
            Outgoing::Text(_) => None,
        });
        assert_eq!(frames.collect::<Vec<_>>()[0], snapshot);
        assert!(!queue.has_snapshot());
    }
}
