//! The bounds of the event lane, and what a receiver learns of what was taken back.

use allocation_counter::measure;
use proptest::prelude::*;

use super::*;

fn text(json: String) -> Event {
    let message = Arc::new(TextMessage::parse(&json).unwrap());
    // Like the connection, without the spare capacity of the string.
    let text = Bytes::copy_from_slice(json.as_bytes());
    Event::Text { text, message, received: Stamp::now() }
}

/// A text of about `bytes` whose parsed form is a hundred times as large.
fn bomb(number: usize, bytes: usize) -> Event {
    let item = r#"{"":0}"#;
    let items = vec![item; bytes / (item.len() + 1)].join(",");
    text(format!(r#"{{"type":"x{number}","data":[{items}]}}"#))
}

fn order(number: usize, bytes: usize) -> Event {
    let filler = "x".repeat(bytes);
    text(format!(r#"{{"type":"order","data":{{"order_id":"{number}","meta":"{filler}"}}}}"#))
}

/// Reads all that is queued: the events, and the number of missed ones.
fn read(receiver: &mut EventReceiver) -> (Vec<Tagged>, u64) {
    let (mut events, mut missed) = (Vec::new(), 0);
    loop {
        match receiver.try_recv() {
            Ok(tagged) => events.push(tagged),
            Err(TryRecvError::Lagged(more)) => missed += more,
            Err(_) => return (events, missed),
        }
    }
}

#[test]
fn large_texts_that_wait_stay_within_the_bound_and_the_rest_is_reported() {
    let lane = EventLane::default();
    let (sender, mut receiver) = (lane.sender(1), lane.subscribe());
    let spent = measure(|| (0..100).for_each(|number| sender.send(bomb(number, 200_000))));
    let most = MOST_BYTES + 64 * 1024;
    assert!(spent.bytes_current <= most as i64, "{spent:?}");
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Lagged(_))));
    let mut again = lane.subscribe();
    assert!(matches!(again.try_recv(), Err(TryRecvError::Empty)));
    sender.send(bomb(100, 200_000));
    let (events, _) = read(&mut receiver);
    assert!((80..=84).contains(&events.len()), "{} were kept", events.len());
    let Event::Text { message, .. } = &events.last().unwrap().event else { panic!() };
    assert_eq!(message.kind(), Some("x100"), "the newest is kept, with its message");
    assert_eq!(read(&mut again).0.len(), 1);
    assert_eq!(lane.buffered.lock().total.load(Ordering::Relaxed), 0, "all were read");
}

#[test]
fn order_updates_that_wait_stay_within_the_bound() {
    let lane = EventLane::default();
    let (sender, mut receiver) = (lane.sender(1), lane.subscribe());
    let spent = measure(|| (0..1_000).for_each(|number| sender.send(order(number, 40_000))));
    assert!(spent.bytes_current <= (MOST_BYTES + 256 * 1024) as i64, "{spent:?}");
    let (events, missed) = read(&mut receiver);
    assert_eq!(events.len() as u64 + missed, 1_000);
    assert!(events.len() > 100, "{} were kept", events.len());
}

#[test]
fn a_text_beyond_the_bound_is_kept_alone() {
    let lane = EventLane::default();
    let (sender, mut receiver) = (lane.sender(1), lane.subscribe());
    sender.send(order(1, 10));
    sender.send(order(2, MOST_BYTES));
    let (events, missed) = read(&mut receiver);
    assert_eq!((events.len(), missed), (1, 1));
}

#[test]
fn a_receiver_that_skips_parses_nothing() {
    let lane = EventLane::default();
    let (sender, mut receiver) = (lane.sender(1), lane.subscribe());
    (0..3).for_each(|number| sender.send(bomb(number, 200_000)));
    let spent = measure(|| {
        for _ in 0..3 {
            let skipped = std::pin::pin!(receiver.skip());
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(skipped.poll(&mut cx).is_ready());
        }
    });
    assert!(spent.bytes_total < 1_000, "{spent:?}");
    assert!(receiver.try_recv().is_err());
}

#[test]
fn nothing_is_buffered_without_a_receiver_or_for_one_that_is_dropped() {
    let lane = EventLane::default();
    let sender = lane.sender(1);
    let receiver = lane.subscribe();
    sender.send(order(1, 1_000));
    drop(receiver);
    assert_eq!(lane.buffered.lock().total.load(Ordering::Relaxed), 0);
    sender.send(order(2, 1_000));
    assert_eq!(lane.buffered.lock().total.load(Ordering::Relaxed), 0);
}

#[derive(Debug, Clone)]
enum Op {
    Send(usize),
    Read(usize),
    Subscribe,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => prop_oneof![1..100_usize, 10_000..3_000_000_usize].prop_map(Op::Send),
        6 => (1..30_usize).prop_map(Op::Read),
        1 => Just(Op::Subscribe),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Each receiver gets every event since it subscribed, in order, or learns how many it missed
    /// there.
    #[test]
    fn what_is_received_and_what_is_missed_add_up_to_what_was_sent(
        ops in prop::collection::vec(op(), 1..150),
    ) {
        let lane = EventLane::default();
        let (sender, mut sent) = (lane.sender(1), 0_u64);
        // With the number of the event that comes next.
        let mut receivers = vec![(lane.subscribe(), 0_u64)];
        let numbered = |tagged: &Tagged| match &tagged.event {
            Event::LimitRefused { instruments, .. } => *instruments as u64,
            other => panic!("{other:?}"),
        };
        let step = |receiver: &mut EventReceiver, next: &mut u64| match receiver.try_recv() {
            Ok(tagged) => {
                assert_eq!(numbered(&tagged), *next);
                *next += 1;
                true
            }
            Err(TryRecvError::Lagged(missed)) => {
                *next += missed;
                true
            }
            Err(_) => false,
        };
        for op in ops {
            match op {
                Op::Send(bytes) => {
                    let message = "x".repeat(bytes);
                    let instruments = usize::try_from(sent).unwrap();
                    sender.send(Event::LimitRefused { message, instruments });
                    sent += 1;
                }
                Op::Read(count) => {
                    for (receiver, next) in &mut receivers {
                        for _ in 0..count {
                            step(receiver, next);
                        }
                    }
                }
                Op::Subscribe => receivers.push((lane.subscribe(), sent)),
            }
            prop_assert!(lane.buffered.lock().total.load(Ordering::Relaxed) <= MOST_BYTES);
        }
        for (mut receiver, mut next) in receivers {
            while step(&mut receiver, &mut next) {}
            prop_assert_eq!(next, sent);
        }
        prop_assert_eq!(lane.buffered.lock().total.load(Ordering::Relaxed), 0);
    }
}

/// JSON with the most memory for its length, and ordinary JSON.
fn dense_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("0".to_owned()), Just(r#""""#.to_owned()), "\"[a-z]{0,30}\""];
    leaf.prop_recursive(5, 200, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12)
                .prop_map(|it| format!("[{}]", it.join(","))),
            prop::collection::btree_map("[a-z]{0,2}", inner, 0..14).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_message_takes_no_more_memory_than_its_bound(
        kind in prop_oneof![Just("order"), Just("message"), Just("error"), Just("x")],
        data in dense_json(),
    ) {
        let json = format!(r#"{{"type":"{kind}","data":{data}}}"#);
        let mut message = None;
        let spent = measure(|| message = Some(TextMessage::parse(&json)));
        let most = TextMessage::most_bytes(json.as_bytes());
        prop_assert!(spent.bytes_current <= most as i64, "{spent:?}, at most {most}: {json}");
    }
}
