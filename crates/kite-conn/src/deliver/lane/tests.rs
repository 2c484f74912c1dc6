use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use kite_wire::{Command, Mode, TickBatch};

use super::*;
use crate::clock::Stamp;
use crate::deliver::Sink;
use crate::observe::Event;

mod model;
mod races;

/// Token, last price and length of a packet.
type PacketSpec = (u32, i32, usize);

fn frame(packets: &[PacketSpec]) -> Bytes {
    let mut bytes = u16::try_from(packets.len()).unwrap().to_be_bytes().to_vec();
    for &(token, price, len) in packets {
        let mut packet = vec![0; len];
        packet[..4].copy_from_slice(&token.to_be_bytes());
        packet[4..8].copy_from_slice(&price.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        bytes.extend_from_slice(&packet);
    }
    bytes.into()
}

fn batch(sequence: u64, packets: &[PacketSpec]) -> Batch {
    let ticks = TickBatch::new(frame(packets)).unwrap();
    Batch::new(ticks, Stamp::from_nanos(sequence + 1), 1 + sequence as u32 / 3, sequence)
}

fn packets(batch: &Batch) -> Vec<PacketSpec> {
    let packet = |packet: kite_wire::Packet<'_>| {
        (packet.instrument_token(), packet.last_price().raw(), packet.as_bytes().len())
    };
    batch.ticks.packets().map(packet).collect()
}

/// A lane's item in a comparable form.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Batch(u64, Vec<PacketSpec>),
    Conflated(u64, Vec<PacketSpec>, u64),
    /// Frames, ticks and notices.
    Dropped(u64, u64, u64),
    /// An `Up` of this epoch.
    Notice(u32),
    Command(CommandKind, Vec<u32>),
}

impl From<LaneItem> for Seen {
    fn from(item: LaneItem) -> Self {
        let stamped = |batch: &Batch| {
            assert_eq!(batch.received, Stamp::from_nanos(batch.sequence + 1));
            assert_eq!(batch.epoch, 1 + batch.sequence as u32 / 3);
            assert_eq!(TickBatch::new(batch.frame().clone()).unwrap(), batch.ticks);
            (batch.sequence, packets(batch))
        };
        match item {
            LaneItem::Batch(batch) => {
                let (sequence, packets) = stamped(&batch);
                Self::Batch(sequence, packets)
            }
            LaneItem::Conflated { batch, replaced } => {
                let (sequence, packets) = stamped(&batch);
                Self::Conflated(sequence, packets, replaced)
            }
            LaneItem::Dropped { frames, ticks, notices } => Self::Dropped(frames, ticks, notices),
            LaneItem::Up { epoch, .. } => Self::Notice(epoch),
            LaneItem::Command { kind, tokens } => Self::Command(kind, tokens.to_vec()),
            other => panic!("{other:?}"),
        }
    }
}

fn bounded(overflow: Overflow, frames: usize, bytes: usize) -> (LaneSink, Lane) {
    lane(LaneConfig { frames, bytes, overflow, ..LaneConfig::default() }).unwrap()
}

fn next(lane: &mut Lane) -> Option<Seen> {
    lane.try_recv().ok().map(Seen::from)
}

fn drain(lane: &mut Lane) -> Vec<Seen> {
    std::iter::from_fn(|| next(lane)).collect()
}

/// Sends an event that a lane delivers.
fn notify(sink: &mut LaneSink, epoch: u32) {
    sink.on_event(&Event::Up { epoch, instruments: 3 });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Alarm(AtomicU32);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn alarm() -> (Arc<Alarm>, Waker) {
    let alarm = Arc::<Alarm>::default();
    (Arc::clone(&alarm), alarm.into())
}

fn ready(sink: &mut LaneSink, waker: &Waker) -> bool {
    sink.poll_ready(&mut Context::from_waker(waker)).is_ready()
}

const EVERY: [Overflow; 3] = [Overflow::Block, Overflow::DropOldest, Overflow::Conflate];

#[test]
fn the_defaults_are_valid_and_every_bound_is_named() {
    assert_eq!(LaneConfig::default().validate(), Ok(()));
    let error = |frames, bytes| {
        lane(LaneConfig { frames, bytes, ..LaneConfig::default() }).unwrap_err().to_string()
    };
    assert_eq!(error(0, 1), "frames is 0; it must be from 1 to 1,048,576");
    assert_eq!(error(MAX_QUEUE + 1, 1), "frames is 1048577; it must be from 1 to 1,048,576");
    assert_eq!(error(1, 0), "bytes is 0; it must be above 0");
}

#[test]
fn frames_pass_without_a_copy_while_the_consumer_keeps_up() {
    for overflow in EVERY {
        let (mut sink, mut lane) = bounded(overflow, 2, 1_000);
        for sequence in 1..100 {
            let given = batch(sequence, &[(7, 1, 44), (8, 2, 8)]);
            sink.on_batch(&given);
            let Ok(LaneItem::Batch(taken)) = lane.try_recv() else { panic!("{overflow:?}") };
            assert_eq!(taken.frame().as_ptr(), given.frame().as_ptr());
            assert_eq!(taken.sequence, sequence);
        }
    }
}

#[test]
fn heartbeats_are_left_out_but_frames_without_readable_packets_are_not() {
    for overflow in EVERY {
        let (mut sink, mut lane) = bounded(overflow, 1, 1_000);
        let beat = TickBatch::new(Bytes::from_static(&[0])).unwrap();
        for _ in 0..10 {
            sink.on_batch(&Batch::new(beat.clone(), Stamp::now(), 1, 1));
        }
        assert_eq!(sink.stats(), LaneStats { bytes_limit: 1_000, ..LaneStats::default() });
        let unknown = TickBatch::new(Bytes::from_static(&[0, 1, 0, 3, 1, 2, 3])).unwrap();
        sink.on_batch(&Batch::new(unknown, Stamp::from_nanos(3), 1, 2));
        assert_eq!(drain(&mut lane), [Seen::Batch(2, vec![])], "{overflow:?}");
    }
}

#[test]
fn a_full_blocking_lane_is_ready_again_when_the_consumer_receives() {
    let (mut sink, mut lane) = bounded(Overflow::Block, 2, 1_000);
    let (woken, waker) = alarm();
    for sequence in 1..=2 {
        assert!(ready(&mut sink, &waker));
        sink.on_batch(&batch(sequence, &[(7, 1, 8)]));
    }
    assert!(!ready(&mut sink, &waker) && !ready(&mut sink, &waker));
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    assert_eq!(next(&mut lane), Some(Seen::Batch(1, vec![(7, 1, 8)])));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(ready(&mut sink, &waker));
}

#[test]
fn a_blocking_lane_accepts_the_frame_that_exceeds_its_bytes_and_no_more() {
    let (mut sink, mut lane) = bounded(Overflow::Block, 100, 300);
    let (woken, waker) = alarm();
    for sequence in 1..=2 {
        assert!(ready(&mut sink, &waker));
        sink.on_batch(&batch(sequence, &[(7, 1, 184)]));
    }
    assert!(!ready(&mut sink, &waker));
    assert_eq!(lane.stats().queued_bytes, 2 * 188);
    assert_eq!(next(&mut lane), Some(Seen::Batch(1, vec![(7, 1, 184)])));
    assert_eq!(woken.0.load(Ordering::SeqCst), 0, "more than half still waits");
    assert_eq!(next(&mut lane), Some(Seen::Batch(2, vec![(7, 1, 184)])));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(ready(&mut sink, &waker));
}

#[test]
fn a_blocking_lane_reports_drops_if_the_caller_ignores_readiness() {
    let (mut sink, mut lane) = bounded(Overflow::Block, 2, 1_000);
    for sequence in 1..=5 {
        sink.on_batch(&batch(sequence, &[(7, 1, 8), (8, 1, 8)]));
    }
    let expected = [
        Seen::Dropped(3, 6, 0),
        Seen::Batch(4, vec![(7, 1, 8), (8, 1, 8)]),
        Seen::Batch(5, vec![(7, 1, 8), (8, 1, 8)]),
    ];
    assert_eq!(drain(&mut lane), expected);
}

#[test]
fn drops_are_reported_where_the_frames_are_missing() {
    let (mut sink, mut lane) = bounded(Overflow::DropOldest, 3, 10_000);
    let mut give = |sequence| sink.on_batch(&batch(sequence, &[(7, sequence as i32, 8)]));
    let one = |sequence| Seen::Batch(sequence, vec![(7, sequence as i32, 8)]);
    (1..=3).for_each(&mut give);
    assert_eq!(next(&mut lane), Some(one(1)));
    (4..=6).for_each(&mut give);
    assert_eq!(next(&mut lane), Some(Seen::Dropped(2, 2, 0)));
    (7..=8).for_each(&mut give);
    assert_eq!(drain(&mut lane), [one(4), Seen::Dropped(1, 1, 0), one(6), one(7), one(8)]);
    let stats = lane.stats();
    assert_eq!((stats.dropped_frames, stats.dropped_ticks, stats.delivered_frames), (3, 3, 5));
}

#[test]
fn a_frame_larger_than_the_byte_bound_passes_alone() {
    for overflow in EVERY {
        let (mut sink, mut lane) = bounded(overflow, 4, 100);
        sink.on_batch(&batch(1, &[(7, 1, 184)]));
        assert_eq!(drain(&mut lane), [Seen::Batch(1, vec![(7, 1, 184)])], "{overflow:?}");
    }
    let (mut sink, mut lane) = bounded(Overflow::DropOldest, 4, 100);
    sink.on_batch(&batch(1, &[(7, 1, 8)]));
    sink.on_batch(&batch(2, &[(7, 2, 184)]));
    assert_eq!(drain(&mut lane), [Seen::Dropped(1, 1, 0), Seen::Batch(2, vec![(7, 2, 184)])]);
}

#[test]
fn the_last_value_of_every_instrument_arrives_even_if_no_tick_follows() {
    let (mut sink, mut lane) = bounded(Overflow::Conflate, 2, 10_000);
    let (woken, waker) = alarm();
    assert!(lane.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    for sequence in 1..=10 {
        assert!(ready(&mut sink, Waker::noop()), "never blocks");
        sink.on_batch(&batch(sequence, &[(sequence as u32 % 4, sequence as i32, 8)]));
    }
    assert!(woken.0.load(Ordering::SeqCst) > 0);
    let last = vec![(1, 9, 8), (2, 10, 8), (3, 7, 8), (0, 8, 8)];
    assert_eq!(drain(&mut lane), [Seen::Conflated(10, last, 6)]);
    let stats = sink.stats();
    assert_eq!((stats.conflated_ticks, stats.delivered_ticks, stats.dropped_ticks), (6, 4, 0));
    assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0));
    sink.on_batch(&batch(11, &[(1, 11, 8)]));
    assert_eq!(drain(&mut lane), [Seen::Batch(11, vec![(1, 11, 8)])], "it keeps up again");
}

#[test]
fn a_table_keeps_the_newest_layout_of_an_instrument_and_copies_it() {
    let (mut sink, mut lane) = bounded(Overflow::Conflate, 1, 10_000);
    let first = batch(1, &[(7, 1, 44)]);
    let kept: Vec<Batch> = (2..=6)
        .zip([8, 184, 44, 44, 28])
        .map(|(n, len)| batch(n, &[(7, n as i32, len), (8, n as i32, 8)]))
        .collect();
    sink.on_batch(&first);
    for batch in &kept {
        sink.on_batch(batch);
    }
    let pinned: Vec<bool> = kept.into_iter().map(|batch| batch.frame().is_unique()).collect();
    assert_eq!(pinned, [true; 5], "folded frames are not kept");
    assert_eq!(drain(&mut lane), [Seen::Conflated(6, vec![(7, 6, 28), (8, 6, 8)], 9)]);
}

#[test]
fn the_later_of_two_packets_of_an_instrument_in_a_frame_is_the_newer() {
    let (mut sink, mut lane) = bounded(Overflow::Conflate, 1, 10_000);
    sink.on_batch(&batch(1, &[(7, 1, 8), (7, 2, 8), (9, 3, 8)]));
    sink.on_batch(&batch(2, &[(8, 4, 8), (8, 5, 8)]));
    let rows = vec![(7, 2, 8), (9, 3, 8), (8, 5, 8)];
    assert_eq!(drain(&mut lane), [Seen::Conflated(2, rows, 2)]);
}

#[test]
fn a_table_is_bounded_and_reports_packets_it_has_no_row_for() {
    let (mut sink, mut lane) = bounded(Overflow::Conflate, 1, 10_000_000);
    let many = |range: std::ops::Range<u32>| range.map(|n| (n, 5, 8)).collect::<Vec<PacketSpec>>();
    sink.on_batch(&batch(1, &many(0..30_000)));
    sink.on_batch(&batch(2, &many(20_000..60_000)));
    sink.on_batch(&batch(3, &many(50_000..100_000)));
    assert_eq!(sink.stats().dropped_ticks, 100_000 - 20_000 - 65_535);
    let lost = 100_000 - 65_535;
    assert_eq!(next(&mut lane), Some(Seen::Dropped(0, lost, 0)));
    assert_eq!(lane.stats().dropped_ticks, lost);
    let Some(Seen::Conflated(3, rows, 20_000)) = next(&mut lane) else { panic!("no table") };
    assert!(rows.into_iter().map(|(token, ..)| token).eq(0..65_535));
}

#[tokio::test]
async fn the_stream_ends_when_the_sink_is_gone_and_everything_was_received() {
    for overflow in EVERY {
        let (mut sink, mut lane) = bounded(overflow, 2, 1_000);
        assert_eq!(lane.try_recv().unwrap_err(), TryRecvError::Empty);
        assert!(lane.recv().now_or_never().is_none(), "a dropped future consumes nothing");
        for sequence in 1..=2 {
            sink.on_batch(&batch(sequence, &[(7, 1, 8)]));
        }
        let waiting = tokio::spawn(async move {
            let seen: Vec<Seen> = lane.by_ref().map(Seen::from).collect().await;
            (seen, lane)
        });
        tokio::task::yield_now().await;
        drop(sink);
        let (seen, mut lane) = waiting.await.unwrap();
        assert_eq!(seen, [1, 2].map(|sequence| Seen::Batch(sequence, vec![(7, 1, 8)])));
        assert!(lane.recv().await.is_none());
        assert_eq!(lane.try_recv().unwrap_err(), TryRecvError::Ended);
    }
}

#[test]
fn a_table_is_delivered_after_the_sink_is_gone() {
    let (mut sink, mut lane) = bounded(Overflow::Conflate, 1, 1_000);
    for sequence in 1..=3 {
        sink.on_batch(&batch(sequence, &[(7, sequence as i32, 8)]));
    }
    drop(sink);
    assert_eq!(next(&mut lane), Some(Seen::Conflated(3, vec![(7, 3, 8)], 2)));
    assert_eq!(lane.try_recv().unwrap_err(), TryRecvError::Ended);
}

#[test]
fn a_sink_without_a_consumer_accepts_everything_and_keeps_nothing() {
    for overflow in EVERY {
        let (mut sink, lane) = bounded(overflow, 1, 1_000);
        let (woken, waker) = alarm();
        let waits = batch(1, &[(7, 1, 8)]);
        sink.on_batch(&waits);
        assert_eq!(ready(&mut sink, &waker), overflow != Overflow::Block);
        if overflow != Overflow::Block {
            sink.on_batch(&batch(2, &[(7, 2, 8)]));
        }
        drop(lane);
        assert_eq!(woken.0.load(Ordering::SeqCst), u32::from(overflow == Overflow::Block));
        assert!(waits.frame().is_unique(), "waiting frames are released");
        for sequence in 3..100 {
            assert!(ready(&mut sink, &waker));
            let given = batch(sequence, &[(7, 1, 8)]);
            sink.on_batch(&given);
            assert!(given.frame().is_unique());
        }
        let stats = sink.stats();
        assert_eq!((stats.queued_frames, stats.queued_bytes, stats.delivered_frames), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_consumer_of_a_lane_that_is_never_empty_still_yields() {
    let (mut sink, mut lane) = bounded(Overflow::Block, 10_000, usize::MAX);
    for sequence in 1..=10_000 {
        sink.on_batch(&batch(sequence, &[(7, 1, 8)]));
    }
    let mut taken = 0;
    let consumer = async {
        while lane.recv().await.is_some() {
            taken += 1;
        }
    };
    tokio::select! {
        biased;
        () = consumer => panic!("the sink is still there"),
        () = std::future::ready(()) => {}
    }
    assert!(taken > 0 && taken < 10_000, "{taken}");
}

#[test]
fn notices_need_no_room_and_wait_between_the_frames() {
    for overflow in EVERY {
        let (mut sink, mut lane) = bounded(overflow, 1, 1_000);
        let (woken, waker) = alarm();
        notify(&mut sink, 1);
        assert!(ready(&mut sink, Waker::noop()));
        sink.on_batch(&batch(1, &[(1, 1, 8)]));
        assert_eq!(ready(&mut sink, Waker::noop()), overflow != Overflow::Block);
        notify(&mut sink, 2);
        let (first, second) = (Seen::Notice(1), Seen::Notice(2));
        assert_eq!(drain(&mut lane), [first, Seen::Batch(1, vec![(1, 1, 8)]), second]);
        assert!(lane.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        notify(&mut sink, 3);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        drop(sink);
        assert_eq!(drain(&mut lane), [Seen::Notice(3)]);
        assert_eq!(lane.try_recv().unwrap_err(), TryRecvError::Ended);
    }
}

#[test]
fn a_frame_that_waits_after_a_notice_still_takes_its_room() {
    let (mut sink, mut lane) = bounded(Overflow::Block, 2, 1_000);
    notify(&mut sink, 1);
    for sequence in 1..=2 {
        assert!(ready(&mut sink, Waker::noop()));
        sink.on_batch(&batch(sequence, &[(1, 1, 8)]));
    }
    assert_eq!(next(&mut lane), Some(Seen::Notice(1)));
    assert!(!ready(&mut sink, Waker::noop()), "two frames wait");
    assert_eq!(next(&mut lane), Some(Seen::Batch(1, vec![(1, 1, 8)])));
    assert!(ready(&mut sink, Waker::noop()));
    sink.stop_waiting();
    notify(&mut sink, 2);
    for sequence in 3..=4 {
        sink.on_batch(&batch(sequence, &[(1, 1, 8)]));
    }
    assert_eq!((sink.stats().queued_frames, sink.unread().discarded_frames), (2, 1));
}

#[test]
fn dropped_frames_are_reported_on_their_side_of_a_notice() {
    let (mut sink, mut lane) = bounded(Overflow::DropOldest, 1, 1_000);
    for sequence in 1..=4 {
        sink.on_batch(&batch(sequence, &[(1, 1, 8)]));
        if sequence == 2 {
            notify(&mut sink, 7);
        }
    }
    let last = Seen::Batch(4, vec![(1, 1, 8)]);
    assert_eq!(
        drain(&mut lane),
        [Seen::Dropped(2, 2, 0), Seen::Notice(7), Seen::Dropped(1, 1, 0), last]
    );
}

#[test]
fn notices_beyond_their_limit_are_dropped_and_reported() {
    let most = notice::MOST_NOTICES as u32;
    for overflow in EVERY {
        let (mut sink, mut lane) = bounded(overflow, 1, 1_000);
        let is_folding = overflow == Overflow::Conflate;
        for sequence in 1..=2 {
            if sequence == 1 || is_folding {
                sink.on_batch(&batch(sequence, &[(1, sequence as i32, 8)]));
            }
        }
        for epoch in 0..most + 3 {
            notify(&mut sink, epoch);
        }
        let mut seen = drain(&mut lane);
        let frame = seen.remove(0);
        assert!(matches!(frame, Seen::Batch(1, _) | Seen::Conflated(2, ..)), "{frame:?}");
        let kept = (3..most + 3).map(Seen::Notice);
        let expected: Vec<Seen> = [Seen::Dropped(0, 0, 3)].into_iter().chain(kept).collect();
        assert_eq!(seen, expected);
    }
}

#[test]
fn commands_are_delivered_only_if_requested() {
    for commands in [false, true] {
        let (mut sink, mut lane) = lane(LaneConfig { commands, ..LaneConfig::default() }).unwrap();
        sink.on_command(Command::Subscribe(&[5, 6]));
        sink.on_command(Command::Mode(Mode::Full, &[5]));
        let all = [(CommandKind::Subscribe, vec![5, 6]), (CommandKind::Mode(Mode::Full), vec![5])];
        let all: Vec<Seen> = all.map(|(kind, tokens)| Seen::Command(kind, tokens)).into();
        assert_eq!(drain(&mut lane), if commands { all } else { Vec::new() });
    }
}

#[test]
fn frames_lost_before_the_sink_are_reported_at_their_place_and_at_the_end() {
    for overflow in EVERY {
        let (mut sink, mut lane) = bounded(overflow, 8, 8 * 1024);
        let spec = (1, 2, 8);
        sink.on_batch(&batch(1, &[spec]));
        sink.on_lost(3, 5);
        sink.on_batch(&batch(2, &[spec]));
        sink.on_lost(0, 7);
        let found = drain(&mut lane);
        let expected =
            [Seen::Batch(1, vec![spec]), Seen::Dropped(3, 5, 0), Seen::Batch(2, vec![spec])];
        assert_eq!(found, expected, "{overflow:?}");
        assert_eq!(lane.stats().dropped_ticks, 12);
        sink.on_batch(&batch(3, &[spec]));
        sink.on_lost(1, 1);
        drop(sink);
        let rest = [Seen::Dropped(1, 7, 0), Seen::Batch(3, vec![spec]), Seen::Dropped(1, 1, 0)];
        assert_eq!(drain(&mut lane), rest, "{overflow:?}");
    }
}

#[test]
fn frames_lost_among_conflated_ones_are_reported_with_them() {
    let (mut sink, mut lane) = bounded(Overflow::Conflate, 2, 8 * 1024);
    sink.on_batch(&batch(1, &[(1, 2, 8)]));
    sink.on_lost(1, 4);
    for sequence in 2..5 {
        sink.on_batch(&batch(sequence, &[(1, 2, 8)]));
    }
    sink.on_lost(1, 2);
    let found = [Seen::Dropped(0, 4, 0), Seen::Conflated(4, vec![(1, 2, 8)], 3)];
    assert_eq!(drain(&mut lane), found);
    sink.on_batch(&batch(5, &[(1, 2, 8)]));
    let rest = [Seen::Dropped(1, 2, 0), Seen::Batch(5, vec![(1, 2, 8)])];
    assert_eq!(drain(&mut lane), rest);
}
