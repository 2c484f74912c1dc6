use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use kite_conn::{Event, LaneConfig, Sink, Stamp, lane};
use kite_wire::TickBatch;
use kite_wire::text::TextMessage;
use proptest::prelude::*;

use super::*;
use crate::FeedSink;

/// A socket that the test plays.
struct Socket {
    sink: FeedSink,
    sequence: u64,
    epoch: u32,
}

fn open(inbox: &mut Inbox, config: LaneConfig) -> Socket {
    let (sink, lane) = lane(config).unwrap();
    let heartbeats = Arc::new(AtomicBool::new(true));
    let notices = Arc::new(Notices::new(heartbeats, Arc::clone(&inbox.wake)));
    inbox.add(Source::new(lane, Arc::clone(&notices)));
    Socket { sink: FeedSink::new(sink, notices, Arc::default()), sequence: 0, epoch: 0 }
}

impl Socket {
    /// Receives a frame with one packet, or a heartbeat.
    fn frame(&mut self, bytes: &'static [u8]) {
        self.sequence += 1;
        let ticks = TickBatch::new(Bytes::from_static(bytes)).unwrap();
        self.sink.on_batch(&Batch::new(ticks, Stamp::now(), self.epoch, self.sequence));
    }

    fn up(&mut self) {
        self.epoch += 1;
        self.sink.on_event(&Event::Up { epoch: self.epoch, instruments: 0 });
    }

    fn text(&mut self, text: &str) {
        let message = Arc::new(TextMessage::parse(text).unwrap());
        let (text, received) = (Bytes::copy_from_slice(text.as_bytes()), Stamp::now());
        self.sink.on_event(&Event::Text { text, message, received });
    }

    /// Something that is known by its number.
    fn retry(&mut self, seconds: u64) {
        let delay = Duration::from_secs(seconds);
        self.sink.on_event(&Event::Retry { attempt: 1, delay });
    }
}

const PACKET: &[u8] = b"\0\x01\0\x08\0\x06\x3a\x01\0\0\0\x07";
const HEARTBEAT: &[u8] = b"\0";

/// An item in a comparable form.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Frame(u64),
    Lag(u64),
    Retry(u64),
    Text(String),
    Other,
}

fn next(inbox: &mut Inbox) -> Option<(usize, Seen)> {
    let (socket, item) = inbox.try_next()?;
    let seen = match item {
        Item::Frame(batch) => Seen::Frame(batch.sequence),
        Item::Lag(ticks) => Seen::Lag(ticks),
        Item::Notice(Notice::Retry(delay)) => Seen::Retry(delay.as_secs()),
        Item::Notice(Notice::Text { text, .. }) => {
            Seen::Text(String::from_utf8(text.to_vec()).unwrap())
        }
        Item::Notice(_) => Seen::Other,
    };
    Some((socket, seen))
}

fn texts(inbox: &mut Inbox) -> Vec<String> {
    let items = std::iter::from_fn(|| next(inbox));
    items
        .filter_map(|(_, seen)| if let Seen::Text(text) = seen { Some(text) } else { None })
        .collect()
}

fn inbox() -> Inbox {
    Inbox::new(Arc::default())
}

#[test]
fn texts_and_events_keep_their_place_among_the_frames() {
    let mut inbox = inbox();
    let mut socket = open(&mut inbox, LaneConfig::default());
    socket.retry(1);
    socket.frame(PACKET);
    socket.retry(2);
    socket.text(r#"{"type":"order","data":{}}"#);
    socket.frame(HEARTBEAT);
    socket.frame(PACKET);
    socket.frame(PACKET);
    socket.retry(3);
    let items: Vec<_> = std::iter::from_fn(|| next(&mut inbox)).map(|(_, seen)| seen).collect();
    let order = Seen::Text(r#"{"type":"order","data":{}}"#.to_owned());
    let expected = [
        Seen::Retry(1),
        Seen::Frame(1),
        Seen::Retry(2),
        order,
        Seen::Other,
        Seen::Frame(3),
        Seen::Frame(4),
        Seen::Retry(3),
    ];
    assert_eq!(items, expected);
}

const ORDERS: [&str; 3] = [
    r#"{"type":"order","data":{"order_id":"1"}}"#,
    r#"{"type":"order","data":{"order_id":"2"}}"#,
    r#"{"type":"order","data":{"order_id":"3"}}"#,
];

#[test]
fn an_order_update_that_every_socket_receives_is_passed_on_once() {
    let mut inbox = inbox();
    let mut sockets: Vec<_> = (0..3).map(|_| open(&mut inbox, LaneConfig::default())).collect();
    sockets.iter_mut().for_each(Socket::up);
    for order in ORDERS {
        sockets.iter_mut().for_each(|socket| socket.text(order));
    }
    assert_eq!(texts(&mut inbox), ORDERS);
    // Kite sent the same text again.
    sockets.iter_mut().for_each(|socket| socket.text(ORDERS[0]));
    assert_eq!(texts(&mut inbox), [ORDERS[0]]);
}

#[test]
fn order_updates_arrive_while_the_first_socket_is_down() {
    let mut inbox = inbox();
    let mut sockets: Vec<_> = (0..2).map(|_| open(&mut inbox, LaneConfig::default())).collect();
    sockets.iter_mut().for_each(Socket::up);
    sockets.iter_mut().for_each(|socket| socket.text(ORDERS[0]));
    sockets[1].text(ORDERS[1]);
    assert_eq!(texts(&mut inbox), &ORDERS[..2]);
    sockets[0].up();
    sockets.iter_mut().rev().for_each(|socket| socket.text(ORDERS[2]));
    assert_eq!(texts(&mut inbox), [ORDERS[2]]);
}

#[test]
fn an_error_answers_one_socket_and_is_passed_on_for_each() {
    let mut inbox = inbox();
    let mut sockets: Vec<_> = (0..2).map(|_| open(&mut inbox, LaneConfig::default())).collect();
    let error = r#"{"type":"error","data":"too many"}"#;
    sockets.iter_mut().for_each(|socket| socket.text(error));
    assert_eq!(texts(&mut inbox), [error, error]);
}

#[test]
fn no_socket_waits_for_a_busy_one() {
    let mut inbox = inbox();
    let mut sockets: Vec<_> = (0..3).map(|_| open(&mut inbox, LaneConfig::default())).collect();
    for socket in &mut sockets {
        (0..10).for_each(|_| socket.frame(PACKET));
    }
    let turns: Vec<_> = std::iter::from_fn(|| next(&mut inbox)).map(|(socket, _)| socket).collect();
    assert_eq!(turns[..6], [0, 1, 2, 0, 1, 2]);
    assert_eq!(turns.len(), 30);
}

#[test]
fn a_wait_ends_for_a_frame_an_event_and_a_wake_on_any_socket() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_time().build().unwrap();
    let causes: [fn(&mut Socket, &Notify); 3] = [
        |socket, _| socket.frame(PACKET),
        |socket, _| socket.retry(1),
        |_, wake| wake.notify_one(),
    ];
    for (cause, items) in causes.into_iter().zip([1, 1, 0]) {
        let mut inbox = inbox();
        let mut sockets = [0, 1].map(|_| open(&mut inbox, LaneConfig::default()));
        let wake = Arc::clone(&inbox.wake);
        let thread = std::thread::spawn(move || {
            cause(&mut sockets[1], &wake);
            // A sink that is dropped ends its lane.
            sockets
        });
        inbox.wait(runtime.handle(), Duration::MAX);
        drop(thread.join().unwrap());
        assert_eq!(std::iter::from_fn(|| next(&mut inbox)).count(), items);
    }
    inbox().wait(runtime.handle(), Duration::ZERO);
}

/// What happens on one of three sockets, or to the consumer.
#[derive(Debug, Clone, Copy)]
enum Op {
    Frame(usize),
    Retry(usize),
    Take(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0..3_usize).prop_map(Op::Frame),
        2 => (0..3_usize).prop_map(Op::Retry),
        2 => (1..4_usize).prop_map(Op::Take),
    ];
    prop::collection::vec(op, 0..60)
}

/// What happened on three sockets, and what was delivered of it.
struct Outcome {
    seen: Vec<(usize, Seen)>,
    /// For each socket, the frame before each event.
    after: [Vec<u64>; 3],
    frames: [u64; 3],
}

/// Runs the operations and takes the rest.
fn run(config: &LaneConfig, ops: &[Op]) -> Outcome {
    let mut inbox = inbox();
    let mut sockets = [0, 1, 2].map(|_| open(&mut inbox, config.clone()));
    let (mut after, mut seen) = ([vec![], vec![], vec![]], vec![]);
    for op in ops {
        match *op {
            Op::Frame(socket) => sockets[socket].frame(PACKET),
            Op::Retry(socket) => {
                let number = after[socket].len() as u64;
                after[socket].push(sockets[socket].sequence);
                sockets[socket].retry(number);
            }
            Op::Take(items) => seen.extend((0..items).map_while(|_| next(&mut inbox))),
        }
    }
    seen.extend(std::iter::from_fn(|| next(&mut inbox)));
    Outcome { seen, after, frames: sockets.map(|socket| socket.sequence) }
}

proptest! {
    /// For every policy: no event is lost, and each frame is on its side of each event. What is not
    /// delivered of the frames is reported.
    #[test]
    fn events_are_complete_and_in_order_with_the_frames(ops in ops()) {
        let bounded = |config: LaneConfig| LaneConfig { frames: 2, ..config };
        for config in
            [LaneConfig::default(), bounded(LaneConfig::drop_oldest()), bounded(LaneConfig::conflate())]
        {
            let is_complete = config == LaneConfig::default();
            let Outcome { seen, after, frames } = run(&config, &ops);
            for socket in 0..3 {
                let of_socket = seen.iter().filter(|(from, _)| *from == socket);
                let (mut events, mut last, mut ticks) = (0, 0, 0);
                for (_, item) in of_socket {
                    match item {
                        Seen::Frame(sequence) => {
                            prop_assert!(*sequence > last);
                            let before = after[socket].iter().filter(|frame| **frame < *sequence);
                            prop_assert_eq!(before.count(), events);
                            (last, ticks) = (*sequence, ticks + 1);
                        }
                        Seen::Retry(number) => {
                            prop_assert_eq!(*number, events as u64);
                            prop_assert!(!is_complete || last == after[socket][events]);
                            events += 1;
                        }
                        Seen::Lag(missing) => ticks += missing,
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                prop_assert_eq!(events, after[socket].len());
                prop_assert_eq!(ticks, frames[socket]);
            }
        }
    }
}
