//! Both ends of a lane running concurrently with varied timing.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::*;
use crate::deliver::Unread;

/// A notice with the number of frames sent follows after this many frames.
const NOTICE_EVERY: u32 = 4;

/// What the consumer of a race has received.
#[derive(Default)]
struct Account {
    sequence: u64,
    prices: BTreeMap<u32, i32>,
    delivered: u64,
    replaced: u64,
    dropped: (u64, u64),
    batches: u64,
    /// The last frame sent before the last notice received.
    noticed: u32,
}

impl Account {
    fn see(&mut self, item: LaneItem) {
        let batch = match item {
            LaneItem::Dropped { frames, ticks, notices } => {
                assert!(frames > 0);
                assert_eq!(notices, 0, "fewer are sent than are kept");
                self.dropped.0 += frames;
                self.dropped.1 += ticks;
                return;
            }
            LaneItem::Conflated { batch, replaced } => {
                self.replaced += replaced;
                batch
            }
            LaneItem::Batch(batch) => {
                self.batches += 1;
                batch
            }
            LaneItem::Up { epoch, .. } => {
                assert_eq!(epoch, self.noticed + NOTICE_EVERY, "every notice, in order");
                assert!(self.sequence <= epoch.into(), "a frame overtook a notice");
                self.noticed = epoch;
                return;
            }
            other => panic!("{other:?}"),
        };
        assert!(batch.sequence > self.sequence);
        let next_notice = u64::from(self.noticed + NOTICE_EVERY);
        assert!(batch.sequence <= next_notice, "a frame overtook a notice");
        self.sequence = batch.sequence;
        for (token, price, _) in packets(&batch) {
            let before = self.prices.insert(token, price);
            assert!(before.is_none_or(|before| before < price), "an older value arrived later");
            self.delivered += 1;
        }
    }

    fn ticks(&self) -> u64 {
        self.delivered + self.replaced + self.dropped.1
    }
}

/// Waits for a random time, so that the ends are out of step.
async fn delay(random: &mut fastrand::Rng, most: u32) {
    match random.u32(..8) {
        0..4 => {}
        4 | 5 => {
            for _ in 0..random.u32(..most) {
                tokio::task::yield_now().await;
            }
        }
        6 => std::thread::yield_now(),
        _ => {
            for _ in 0..random.u32(..200) {
                std::hint::spin_loop();
            }
        }
    }
}

/// Runs both ends concurrently. The sink is kept until everything was received, so that a lost
/// wake-up would leave the consumer waiting.
async fn race(overflow: Overflow, seed: u64) {
    const FRAMES: u64 = 600;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut price = 0;
    let frames: Vec<Vec<PacketSpec>> = (0..FRAMES)
        .map(|_| {
            let packets = random.u32(1..5);
            let packet = |_| {
                price += 1;
                (random.u32(..8), price, if price % 5 == 0 { 44 } else { 8 })
            };
            (0..packets).map(packet).collect()
        })
        .collect();
    let given: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
    let last: BTreeMap<u32, i32> =
        frames.iter().flatten().map(|&(token, price, _)| (token, price)).collect();
    let bytes = random.usize(20..600);
    let (mut sink, mut lane) = bounded(overflow, random.usize(1..8), bytes);
    let mut pace = random.fork();
    let producer = tokio::spawn(async move {
        for (index, frame) in frames.iter().enumerate() {
            poll_fn(|cx| sink.poll_ready(cx)).await;
            sink.on_batch(&batch(index as u64 + 1, frame));
            let sent = index as u32 + 1;
            if sent.is_multiple_of(NOTICE_EVERY) {
                notify(&mut sink, sent);
            }
            delay(&mut pace, 4).await;
        }
        poll_fn(|cx| sink.poll_drained(cx)).await;
        assert_eq!(sink.unread(), Unread::default());
        sink.stats()
    });
    let mut account = Account::default();
    while account.ticks() < given || u64::from(account.noticed) < FRAMES {
        match random.u32(..4) {
            0 => {
                if let Some(item) = lane.recv().now_or_never() {
                    account.see(item.unwrap());
                }
            }
            1 => {
                if let Ok(item) = lane.try_recv() {
                    account.see(item);
                }
            }
            _ => account.see(lane.recv().await.unwrap()),
        }
        delay(&mut random, 12).await;
    }
    let stats = producer.await.unwrap();
    assert_eq!(stats, lane.stats());
    assert!(lane.recv().await.is_none());
    assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0));
    assert_eq!(stats.delivered_ticks, account.delivered);
    assert_eq!((stats.dropped_frames, stats.dropped_ticks), account.dropped);
    assert_eq!(stats.conflated_ticks, account.replaced);
    assert_eq!(account.ticks(), given);
    match overflow {
        Overflow::Block => assert_eq!(account.batches, FRAMES),
        Overflow::DropOldest => assert_eq!(account.batches + account.dropped.0, FRAMES),
        Overflow::Conflate => assert_eq!(account.prices, last),
    }
    assert_eq!(account.sequence, FRAMES);
}

async fn races(overflow: Overflow) {
    for seed in 0..60 {
        let racing = tokio::spawn(race(overflow, seed));
        let ended = tokio::time::timeout(Duration::from_secs(60), racing).await;
        ended.unwrap_or_else(|_| panic!("{overflow:?} hangs with seed {seed}")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn racing_ends_of_a_lane_that_blocks_lose_nothing() {
    races(Overflow::Block).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn racing_ends_of_a_lane_that_drops_account_for_every_frame() {
    races(Overflow::DropOldest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn racing_ends_of_a_lane_that_conflates_end_with_the_newest_values() {
    races(Overflow::Conflate).await;
}

/// Calls `poll` until it returns a value. Fails after a minute: then a wake-up was lost.
fn spin<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let mut turn = 0_u64;
    loop {
        turn += 1;
        if let Some(found) = poll() {
            return found;
        }
        std::hint::spin_loop();
        if turn.is_multiple_of(256) {
            thread::yield_now();
            assert!(begun.elapsed() < Duration::from_secs(60), "never woken");
        }
    }
}

/// Polls like an executor: again only when woken.
fn run<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let (woken, waker) = alarm();
    let mut seen = 0;
    loop {
        if let Poll::Ready(value) = poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        seen = spin(|| Some(woken.0.load(Ordering::SeqCst)).filter(|&count| count > seen));
    }
}

fn pause(random: &mut fastrand::Rng) {
    for _ in 0..random.u32(..60) {
        std::hint::spin_loop();
    }
}

const ROUNDS: u64 = 30_000;

#[test]
fn ends_in_lockstep_always_wake_each_other() {
    // More threads than processors, so that they are also preempted at arbitrary points.
    let pairs = [1, 2, 3, 4, 5, 6].map(|seed| thread::spawn(move || lockstep(seed)));
    pairs.into_iter().for_each(|pair| pair.join().unwrap());
}

fn lockstep(seed: u64) {
    let (mut sink, mut lane) = bounded(Overflow::Block, 1, 1_000);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pace = random.fork();
    let given = batch(1, &[(1, 1, 8)]);
    let producer = thread::spawn(move || {
        for round in 0..ROUNDS {
            match round % 2 {
                0 => run(|cx| sink.poll_ready(cx)),
                _ => run(|cx| sink.poll_drained(cx)),
            }
            sink.on_batch(&given);
            pause(&mut pace);
        }
    });
    for _ in 0..ROUNDS {
        let item = run(|cx| lane.poll_recv(cx)).unwrap();
        assert!(matches!(item, LaneItem::Batch(_)));
        pause(&mut random);
    }
    producer.join().unwrap();
    assert!(run(|cx| lane.poll_recv(cx)).is_none());
}

#[test]
fn a_table_replaces_exactly_the_frames_between_its_neighbours() {
    let (mut sink, mut lane) = bounded(Overflow::Conflate, 3, 1_000);
    let producer = thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(3);
        for sequence in 1..=ROUNDS {
            sink.on_batch(&batch(sequence, &[(1, sequence as i32, 8)]));
            pause(&mut random);
        }
    });
    let mut random = fastrand::Rng::with_seed(4);
    let (mut last, mut tables) = (0, 0);
    while let Some(item) = run(|cx| lane.poll_recv(cx)) {
        let (sequence, packets, replaced) = match Seen::from(item) {
            Seen::Batch(sequence, packets) => (sequence, packets, 0),
            Seen::Conflated(sequence, packets, replaced) => {
                tables += 1;
                (sequence, packets, replaced)
            }
            Seen::Notice(_) | Seen::Command(..) => continue,
            Seen::Dropped(..) => panic!("a conflating lane drops nothing"),
        };
        assert_eq!(packets, [(1, sequence as i32, 8)]);
        assert_eq!(replaced, sequence - last - 1);
        last = sequence;
        pause(&mut random);
    }
    producer.join().unwrap();
    assert_eq!(last, ROUNDS);
    assert!(tables > 0, "the consumer was never slower, so nothing was tested");
}

#[test]
fn items_added_just_before_the_sink_is_dropped_are_found() {
    let (give, given) = std::sync::mpsc::sync_channel::<LaneSink>(1);
    let producer = thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(5);
        for mut sink in given {
            pause(&mut random);
            sink.on_batch(&batch(1, &[(1, 1, 8)]));
        }
    });
    for _ in 0..ROUNDS {
        let (sink, mut lane) = bounded(Overflow::DropOldest, 1, 1_000);
        give.send(sink).unwrap();
        let first = spin(|| match lane.try_recv() {
            Err(TryRecvError::Empty) => None,
            other => Some(other),
        });
        assert_eq!(first.map(Seen::from), Ok(Seen::Batch(1, vec![(1, 1, 8)])));
    }
    drop(give);
    producer.join().unwrap();
}
