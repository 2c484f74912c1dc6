use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_util::FutureExt;
use kite_conn::{Batch, Event, LossCause, Overflow, Sink, Stamp, TryRecvError};
use kite_wire::{Command, Packet, TickBatch};

use super::*;
use crate::stream::item::StreamItem;
use crate::stream::select::tests::frame;

/// Two accounts of two connections each, in slots 0 and 1, 2 and 3.
fn hub() -> Hub {
    Hub::new(&Seats::new(["first".into(), "second".into()].into(), 2))
}

fn begun() -> (Hub, [HubSink; 4]) {
    let hub = hub();
    hub.begin();
    let sinks = [0, 1, 2, 3].map(|slot| hub.sink(slot));
    (hub, sinks)
}

fn batch_of(sequence: u64, tokens: &[u32]) -> Batch {
    let packets: Vec<_> = tokens.iter().map(|&token| (token, 8)).collect();
    Batch::new(TickBatch::new(frame(&packets)).unwrap(), Stamp::now(), 1, sequence)
}

fn batch(sequence: u64) -> Batch {
    batch_of(sequence, &[7])
}

/// An item in comparable form: account, connection, sequence or dropped counts, tokens.
type Seen = (String, usize, Result<u64, (u64, u64)>, Vec<u32>);

fn seen(item: StreamItem) -> Seen {
    match item {
        StreamItem::Ticks(it) | StreamItem::Conflated { ticks: it, .. } => {
            let tokens = it.packets().map(Packet::instrument_token).collect();
            (it.account.to_string(), it.connection, Ok(it.batch.sequence), tokens)
        }
        StreamItem::Dropped { account, connection, frames, ticks, .. } => {
            (account.to_string(), connection, Err((frames, ticks)), Vec::new())
        }
        other => panic!("{other:?}"),
    }
}

fn drain(stream: &mut TickStream) -> Vec<Seen> {
    std::iter::from_fn(|| stream.try_recv().ok().map(seen)).collect()
}

fn sequences(stream: &mut TickStream) -> Vec<u64> {
    drain(stream).into_iter().map(|(_, _, sequence, _)| sequence.unwrap()).collect()
}

fn all() -> StreamConfig {
    StreamConfig::default()
}

fn is_ready(sink: &mut HubSink) -> bool {
    sink.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Counts wake-ups.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn every_stream_gets_every_frame_without_a_copy_and_tagged() {
    let (hub, mut sinks) = begun();
    let mut streams = [0; 3].map(|_| hub.subscribe(&all()).unwrap());
    let given = batch(5);
    sinks[3].on_batch(&given);
    for stream in &mut streams {
        let Ok(StreamItem::Ticks(taken)) = stream.try_recv() else { panic!("no ticks") };
        assert_eq!(taken.batch.frame().as_ptr(), given.frame().as_ptr());
        assert_eq!((taken.account.as_str(), taken.connection), ("second", 1));
        assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Empty);
    }
}

#[test]
fn a_stream_created_during_a_run_gets_later_frames() {
    let (hub, mut sinks) = begun();
    let mut before = hub.subscribe(&all()).unwrap();
    sinks[0].on_batch(&batch(1));
    let mut later = hub.subscribe(&all()).unwrap();
    sinks[0].on_batch(&batch(2));
    assert_eq!(sequences(&mut before), [1, 2]);
    assert_eq!(sequences(&mut later), [2]);
}

#[test]
fn a_stream_created_before_a_start_lasts_until_the_end_of_that_run() {
    let hub = hub();
    let mut stream = hub.subscribe(&all()).unwrap();
    assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Empty);
    hub.begin();
    let mut sinks = [0, 1, 2, 3].map(|slot| hub.sink(slot));
    sinks[0].on_batch(&batch(1));
    hub.end();
    sinks[1].on_batch(&batch(9));
    assert_eq!(sequences(&mut stream), [1, 9], "frames received while closing are delivered");
    let alarm = Arc::<Alarm>::default();
    let waker = Waker::from(Arc::clone(&alarm));
    let mut cx = Context::from_waker(&waker);
    assert!(stream.poll_recv(&mut cx).is_pending());
    sinks[2].on_batch(&batch(4));
    drop(sinks);
    assert!(alarm.0.load(Ordering::SeqCst) > 0, "the end wakes the consumer");
    assert_eq!(sequences(&mut stream), [4], "queued frames are delivered");
    assert!(matches!(stream.poll_recv(&mut cx), Poll::Ready(None)));
    assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Ended);
}

#[test]
fn a_stream_created_between_runs_gets_every_frame_of_the_next_one() {
    let (hub, [mut first, second, ..]) = begun();
    // The run of `late` ends before a sink has picked it up, and one connection is still closing.
    let mut late = hub.subscribe(&all()).unwrap();
    drop(second);
    hub.end();
    let mut next = hub.subscribe(&all()).unwrap();
    first.on_batch(&batch(1));
    assert!(matches!(late.recv().now_or_never(), Some(None)), "a stream of the run that ended");
    hub.begin();
    let mut sinks = [0, 1, 2, 3].map(|slot| hub.sink(slot));
    first.on_batch(&batch(2));
    drop(first);
    for (sink, sequence) in sinks.iter_mut().zip(10..) {
        sink.on_batch(&batch(sequence));
    }
    assert_eq!(sequences(&mut next), [10, 11, 12, 13]);
    assert_eq!(next.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn a_connection_that_ends_early_does_not_end_the_streams() {
    let (hub, [first, mut second, ..]) = begun();
    drop(first);
    let mut stream = hub.subscribe(&all()).unwrap();
    second.on_batch(&batch(1));
    assert_eq!(sequences(&mut stream), [1]);
    drop(second);
    assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Empty, "the run goes on");
    hub.end();
    assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Ended);
}

#[test]
fn streams_end_with_the_hub_even_before_a_run() {
    let hub = hub();
    let mut stream = hub.subscribe(&all()).unwrap();
    drop(hub);
    assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Ended);
}

#[test]
fn a_dropped_stream_is_removed_while_waiting_and_when_subscribed() {
    let (hub, mut sinks) = begun();
    for _ in 0..100 {
        drop(hub.subscribe(&all()).unwrap());
    }
    assert_eq!(hub.ports.lock().ports[0].waiting.len(), 1, "the last one is removed later");
    let kept = hub.subscribe(&all()).unwrap();
    drop(hub.subscribe(&all()).unwrap());
    sinks[0].on_batch(&batch(1));
    assert_eq!(sinks[0].subscribers.len(), 1);
    drop(kept);
    sinks[0].on_batch(&batch(2));
    assert!(sinks[0].subscribers.is_empty());
}

#[test]
fn a_blocking_stream_holds_back_until_it_is_read_or_dropped() {
    let (hub, [mut sink, mut other, ..]) = begun();
    let short = |overflow| LaneConfig { frames: 1, overflow, ..LaneConfig::default() };
    let config = |overflow| StreamConfig { lane: short(overflow), ..all() };
    let mut blocking = hub.subscribe(&config(Overflow::Block)).unwrap();
    let mut dropping = hub.subscribe(&config(Overflow::DropOldest)).unwrap();
    assert!(is_ready(&mut sink));
    sink.on_batch(&batch(1));
    assert!(!is_ready(&mut sink));
    assert!(is_ready(&mut other), "other connections are not held back");
    assert_eq!(sequences(&mut blocking), [1]);
    assert!(is_ready(&mut sink));
    sink.on_batch(&batch(2));
    sink.on_batch(&batch(3));
    let tag = || ("first".to_owned(), 0);
    let (account, connection) = tag();
    assert_eq!(drain(&mut dropping)[0], (account, connection, Err((2, 2)), vec![]));
    let alarm = Arc::<Alarm>::default();
    let waker = Waker::from(Arc::clone(&alarm));
    assert!(sink.poll_ready(&mut Context::from_waker(&waker)).is_pending());
    drop(blocking);
    assert_eq!(alarm.0.load(Ordering::SeqCst), 1);
    assert!(is_ready(&mut sink));
    let stats = dropping.stats();
    assert_eq!((stats.delivered_ticks, stats.dropped_ticks), (1, 2));
}

#[test]
fn a_stream_of_chosen_instruments_counts_nothing_else() {
    let (hub, mut sinks) = begun();
    let tokens = Some(BTreeSet::from([1, 2]));
    let lane = LaneConfig { frames: 2, overflow: Overflow::DropOldest, ..LaneConfig::default() };
    let mut chosen = hub.subscribe(&StreamConfig { lane, tokens, ..all() }).unwrap();
    let mut none = hub
        .subscribe(&StreamConfig { tokens: Some(BTreeSet::new()), ..StreamConfig::default() })
        .unwrap();
    sinks[0].on_batch(&batch_of(1, &[1, 2, 1]));
    for sequence in 2..50 {
        sinks[0].on_batch(&batch_of(sequence, &[8, 9]));
    }
    sinks[0].on_batch(&batch_of(50, &[3, 2, 4]));
    let seen: Vec<_> = drain(&mut chosen).into_iter().map(|it| (it.2, it.3)).collect();
    assert_eq!(seen, [(Ok(1), vec![1, 2, 1]), (Ok(50), vec![2])]);
    assert_eq!(chosen.stats().delivered_ticks, 4);
    assert_eq!(none.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn a_conflating_stream_reports_how_many_packets_it_replaced() {
    let (hub, [mut sink, ..]) = begun();
    let lane = LaneConfig { frames: 1, overflow: Overflow::Conflate, ..LaneConfig::default() };
    let mut stream = hub.subscribe(&StreamConfig { lane, ..StreamConfig::default() }).unwrap();
    for sequence in 1..=5 {
        sink.on_batch(&batch_of(sequence, &[1, 2]));
    }
    let Ok(StreamItem::Conflated { ticks, replaced }) = stream.try_recv() else { panic!("frame") };
    assert_eq!((ticks.account.as_str(), ticks.connection, replaced), ("first", 0, 8));
    assert_eq!((ticks.batch.sequence, ticks.batch.ticks.len()), (5, 2));
    assert_eq!(stream.stats().conflated_ticks, 8);
}

#[test]
fn frames_without_ticks_are_not_delivered() {
    let (hub, mut sinks) = begun();
    let mut stream = hub.subscribe(&all()).unwrap();
    for bytes in [&[0][..], &[0, 1, 0, 3, 9, 9, 9]] {
        let ticks = TickBatch::new(bytes.to_vec().into()).unwrap();
        sinks[0].on_batch(&Batch::new(ticks, Stamp::now(), 1, 1));
    }
    assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn instruments_that_left_a_connection_are_left_out_until_its_server_has_stopped_sending_them() {
    let (hub, [mut first, mut second, ..]) = begun();
    let mut stream = hub.subscribe(&all()).unwrap();
    let tokens = |stream: &mut TickStream| -> Vec<_> {
        drain(stream).into_iter().map(|it| (it.1, it.3)).collect()
    };
    hub.leave(0, &[1, 3]);
    hub.leave(0, &[3, 4]);
    first.on_batch(&batch_of(1, &[1, 2, 3, 4]));
    first.on_batch(&batch_of(2, &[4, 1]));
    second.on_batch(&batch_of(1, &[1, 2, 3, 4]));
    assert_eq!(tokens(&mut stream), [(0, vec![2]), (1, vec![1, 2, 3, 4])]);
    assert_eq!((hub.departed_ticks(0), hub.departed_ticks(1)), (5, 0));

    // 3 joins again before its unsubscribe command is sent, 4 after it.
    hub.join(0, &[3, 9]);
    first.on_command(Command::Unsubscribe(&[1, 4]));
    hub.join(0, &[4]);
    first.on_batch(&batch_of(3, &[1, 2, 3, 4]));
    assert_eq!(tokens(&mut stream), [(0, vec![2, 3])]);
    first.on_departed(&[1, 4]);
    let whole = batch_of(4, &[1, 2, 3, 4]);
    first.on_batch(&whole);
    let Ok(StreamItem::Ticks(taken)) = stream.try_recv() else { panic!("no ticks") };
    assert_eq!(taken.batch.frame().as_ptr(), whole.frame().as_ptr(), "not a copy");

    // A new socket subscribes only what belongs to it.
    hub.leave(0, &[1]);
    first.on_event(&Event::Up { epoch: 2, instruments: 3 });
    first.on_batch(&batch_of(5, &[1]));
    assert_eq!(stream.try_recv().map(|it| matches!(it, StreamItem::Up { .. })), Ok(true));
    assert_eq!(tokens(&mut stream), [(0, vec![1])]);

    hub.leave(0, &[1]);
    hub.begin();
    let mut next = hub.subscribe(&all()).unwrap();
    let mut sink = hub.sink(0);
    first.on_command(Command::Unsubscribe(&[1]));
    sink.on_batch(&batch_of(2, &[1]));
    assert_eq!(tokens(&mut next), [(0, vec![1])], "a new run leaves out nothing");
    assert_eq!(hub.departed_ticks(0), 0);
}

#[test]
fn connections_take_turns_however_many_frames_one_has_queued() {
    let (hub, mut sinks) = begun();
    let mut stream = hub.subscribe(&all()).unwrap();
    for sequence in 0..4 {
        sinks[0].on_batch(&batch(sequence));
        sinks[2].on_batch(&batch(100 + sequence));
    }
    sinks[3].on_batch(&batch(200));
    assert_eq!(sequences(&mut stream), [0, 100, 200, 1, 101, 2, 102, 3, 103]);
}

#[tokio::test]
async fn a_stream_wakes_for_each_of_its_connections() {
    let (hub, sinks) = begun();
    let mut stream = hub.subscribe(&all()).unwrap();
    for (slot, mut sink) in sinks.into_iter().enumerate() {
        let (item, ()) = tokio::join!(stream.recv(), async { sink.on_batch(&batch(1)) });
        let (account, connection, ..) = seen(item.unwrap());
        assert_eq!((account == "second", connection), (slot >= 2, slot % 2));
        // Kept alive, because dropping it would also wake the stream.
        std::mem::forget(sink);
    }
}

#[tokio::test]
async fn a_stream_that_is_never_empty_lets_other_tasks_run() {
    let (hub, [mut sink, ..]) = begun();
    let mut stream = hub.subscribe(&all()).unwrap();
    sink.on_batch(&batch(0));
    let other = tokio::spawn(async {});
    let mut sequence = 0;
    while !other.is_finished() {
        assert!(sequence < 10_000, "the other task never ran");
        sequence += 1;
        sink.on_batch(&batch(sequence));
        stream.recv().await.unwrap();
    }
}

#[test]
fn streams_created_and_dropped_under_load_miss_no_frame_in_between() {
    let hub = hub();
    hub.begin();
    let (done, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let (hub, done, taken) = (hub.clone(), Arc::clone(&done), Arc::clone(&taken));
            thread::spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let mut stream = hub.subscribe(&all()).unwrap();
                    let mut before: Option<u64> = None;
                    let mut left = 20;
                    while left > 0 && !done.load(Ordering::Acquire) {
                        match stream.try_recv() {
                            Ok(StreamItem::Ticks(it)) => {
                                let sequence = it.batch.sequence;
                                assert!(before.is_none_or(|before| before + 1 == sequence));
                                before = Some(sequence);
                                left -= 1;
                                taken.fetch_add(1, Ordering::AcqRel);
                            }
                            Err(TryRecvError::Empty) => thread::yield_now(),
                            other => panic!("{other:?}"),
                        }
                    }
                }
            })
        })
        .collect();
    let mut sink = hub.sink(0);
    let mut sequence = 0;
    while taken.load(Ordering::Acquire) < 4_000 && !consumers.iter().any(|it| it.is_finished()) {
        if is_ready(&mut sink) {
            sequence += 1;
            sink.on_batch(&batch(sequence));
        } else {
            thread::yield_now();
        }
    }
    done.store(true, Ordering::Release);
    for consumer in consumers {
        consumer.join().unwrap();
    }
}

#[test]
fn several_items_are_received_together_up_to_a_limit() {
    let (hub, mut sinks) = begun();
    let mut stream = hub.subscribe(&all()).unwrap();
    for sequence in 0..3 {
        sinks[0].on_batch(&batch(sequence));
        sinks[1].on_batch(&batch(10 + sequence));
    }
    let mut items = Vec::new();
    let mut counts = Vec::new();
    for limit in [0, 4, 9] {
        counts.push(stream.recv_many(&mut items, limit).now_or_never());
    }
    assert_eq!(counts, [Some(0), Some(4), Some(2)]);
    let order: Vec<u64> = items.iter().map(|it| it.ticks().unwrap().batch.sequence).collect();
    assert_eq!(order, [0, 10, 1, 11, 2, 12]);
    assert_eq!(stream.recv_many(&mut items, 9).now_or_never(), None);
    sinks[0].on_batch(&batch(3));
    hub.end();
    drop(sinks);
    assert_eq!(stream.recv_many(&mut items, 9).now_or_never(), Some(1));
    assert_eq!(stream.recv_many(&mut items, 9).now_or_never(), Some(0));
}

#[test]
fn a_plain_thread_receives_every_item_and_the_end() {
    let (hub, mut sinks) = begun();
    let mut stream = hub.subscribe(&all()).unwrap();
    let reading = thread::spawn(move || {
        let items = std::iter::from_fn(|| stream.blocking_recv());
        items
            .flat_map(|item| item.packets().map(|it| it.instrument_token()).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    });
    for token in 0..50 {
        while !is_ready(&mut sinks[0]) {
            thread::yield_now();
        }
        sinks[0].on_batch(&batch_of(token.into(), &[token]));
    }
    hub.end();
    drop(sinks);
    assert_eq!(reading.join().unwrap(), Vec::from_iter(0..50));
}

#[test]
fn a_filter_changes_what_later_frames_deliver() {
    let (hub, mut sinks) = begun();
    let config = StreamConfig { tokens: Some(BTreeSet::from([1])), mark_first: true, ..all() };
    let mut stream = hub.subscribe(&config).unwrap();
    let filter = stream.filter();
    let mut received = move |marked: bool| -> Vec<u32> {
        let items = std::iter::from_fn(|| stream.try_recv().ok());
        let taken = |item: StreamItem| {
            let Some(ticks) = item.ticks() else { panic!("{item:?}") };
            let packets = ticks.packets().filter(|packet| !marked || ticks.is_first(packet));
            packets.map(|packet| packet.instrument_token()).collect::<Vec<_>>()
        };
        items.flat_map(taken).collect()
    };
    sinks[0].on_batch(&batch_of(1, &[1, 2, 3]));
    filter.set(Some(BTreeSet::from([2, 3])));
    assert_eq!(received(false), [1], "queued before the change");
    sinks[0].on_batch(&batch_of(2, &[1, 2, 3]));
    sinks[3].on_batch(&batch_of(1, &[1, 2]));
    assert_eq!(received(false), [2, 2, 3]);

    // The first packets of instruments that are not chosen are not awaited.
    sinks[0].on_command(Command::Subscribe(&[1, 2, 3]));
    sinks[0].on_batch(&batch_of(3, &[1, 2, 2, 3]));
    assert_eq!(received(true), [2, 3]);
    filter.set(None);
    sinks[0].on_batch(&batch_of(4, &[1, 2, 3]));
    assert!(received(true).is_empty());
    sinks[0].on_command(Command::Subscribe(&[1]));
    sinks[0].on_batch(&batch_of(5, &[1, 2, 3]));
    assert_eq!(received(true), [1]);

    drop(hub);
    drop(sinks);
    filter.set(Some(BTreeSet::new()));
}

#[test]
fn events_reach_streams_created_before_and_after_them_in_order() {
    let (hub, mut sinks) = begun();
    let mut before = hub.subscribe(&all()).unwrap();
    sinks[1].on_event(&Event::Up { epoch: 1, instruments: 2 });
    let mut after = hub.subscribe(&all()).unwrap();
    sinks[1].on_batch(&batch(1));
    let last_heard = Stamp::now();
    sinks[1].on_event(&Event::Down { epoch: 1, cause: LossCause::Eof, last_heard });
    let words = |stream: &mut TickStream| -> Vec<String> {
        let items = std::iter::from_fn(|| stream.try_recv().ok());
        let word = |item| match item {
            StreamItem::Ticks(ticks) => format!("tick on {}", ticks.connection),
            StreamItem::Up { connection, epoch, .. } => format!("up {epoch} on {connection}"),
            StreamItem::Down { connection, epoch, .. } => format!("down {epoch} on {connection}"),
            other => panic!("{other:?}"),
        };
        items.map(word).collect()
    };
    assert_eq!(words(&mut before), ["up 1 on 1", "tick on 1", "down 1 on 1"]);
    assert_eq!(words(&mut after), ["tick on 1", "down 1 on 1"]);
}
