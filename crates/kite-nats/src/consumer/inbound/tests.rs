use std::collections::BTreeMap;

use async_nats::{HeaderMap, StatusCode};
use bytes::Bytes;
use kite_manager::Stamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::book::Book;
use crate::headers::PacketPlace;

const TOKEN: u32 = 408_065;

fn inbound(choice: Choice) -> Inbound {
    let mine = AccountId::from("mine");
    let subjects = Subjects::new("kite", &mine).unwrap();
    let mut inbound = Inbound::new(vec![(mine, subjects)], choice, Arc::default());
    inbound.accounts[0].inbox = "_INBOX.1".into();
    inbound
}

fn message(subject: &str, headers: HeaderMap, payload: impl Into<Bytes>) -> Message {
    let (payload, subject) = (payload.into(), subject.into());
    Message {
        length: payload.len(),
        subject,
        reply: None,
        payload,
        headers: Some(headers),
        status: None,
        description: None,
    }
}

fn packet(token: u32, price: u8) -> Vec<u8> {
    [&token.to_be_bytes()[..], &[0, 0, 0, price]].concat()
}

/// A packet of the frame with this number.
fn tick(term: u64, sequence: u64, index: u16, count: u16, token: u32, number: u64) -> Message {
    let headers = Headers {
        term,
        account: "mine".into(),
        connection: 1,
        epoch: 2,
        sequence,
        received_unix_ns: Stamp::now().to_unix_ns(),
        packet: Some(PacketPlace { index, count, tick: number }),
    };
    let mut map = HeaderMap::new();
    headers.write(|name, value| map.insert(name, value));
    message(&format!("kite.mine.tick.NSE.{token}"), map, packet(token, number as u8))
}

/// An answer with one packet.
fn answer(term: u64, token: u32, number: u64) -> Message {
    let mut map = HeaderMap::new();
    for (name, value) in [
        (names::TERM, term),
        (names::TIME, Stamp::now().to_unix_ns()),
        (names::CONNECTION, 1),
        (names::PART, 0),
        (names::PARTS, 1),
        (names::TICKS, number),
    ] {
        map.insert(name, value.to_string());
    }
    let payload = [&[0, 1, 0, 8][..], &packet(token, number as u8)].concat();
    message("_INBOX.1", map, payload)
}

/// What an output is, in short.
fn words(inbound: &mut Inbound) -> Vec<String> {
    let ticks = |batch: &Batch| {
        let packet = |it: Packet<'_>| format!(" {}:{}", it.instrument_token(), it.as_bytes()[7]);
        batch.ticks.packets().map(packet).collect::<String>()
    };
    let word = |output| match output {
        Output::Batch(slot, batch) => format!("{slot} ticks{}", ticks(&batch)),
        Output::Snapshot(slot, batch) => format!("{slot} newest{}", ticks(&batch)),
        Output::Lost(slot, frames, ticks) => format!("{slot} lost {frames} {ticks}"),
        Output::Event(slot, event) => format!("{slot} {event}"),
        Output::Notify(ManagerEvent::Reported { name, .. }) => name,
        Output::Notify(event) => event.to_string(),
    };
    inbound.take().into_iter().map(word).collect()
}

#[test]
fn packets_of_a_frame_are_delivered_together_and_holes_before_what_follows() {
    let mut inbound = inbound(Choice::All);
    inbound.accept(tick(5, 1, 0, 2, 256, 1));
    assert!(inbound.is_waiting() && words(&mut inbound).is_empty());
    inbound.accept(tick(5, 1, 1, 2, 512, 1));
    assert_eq!(words(&mut inbound), ["1 ticks 256:1 512:1"]);
    inbound.accept(tick(5, 2, 0, 3, 256, 2));
    inbound.accept(tick(5, 3, 0, 3, 256, 5));
    inbound.flush();
    assert_eq!(words(&mut inbound), ["1 ticks 256:2", "1 lost 1 2", "1 ticks 256:5"]);
    inbound.accept(tick(5, 3, 0, 3, 256, 5));
    inbound.accept(tick(4, 9, 0, 3, 256, 9));
    inbound.accept(tick(4, 9, 1, 3, 256, 9));
    inbound.flush();
    assert_eq!(words(&mut inbound), ["publisher_refused"], "once for each term");
    let stats = inbound.figures.stats(&Default::default());
    assert_eq!((stats.ticks, stats.missed, stats.repeated, stats.refused), (4, 2, 1, 2));
}

#[test]
fn an_answer_waits_for_the_ticks_before_it_and_repeats_none() {
    let mut inbound = inbound(Choice::All);
    inbound.accept(answer(5, 256, 3));
    inbound.accept(tick(5, 1, 0, 1, 256, 2));
    inbound.accept(tick(5, 2, 0, 1, 256, 3));
    inbound.flush();
    assert_eq!(words(&mut inbound), ["1 ticks 256:2", "1 ticks 256:3"]);
    assert!(!inbound.accounts[0].awaits_newest);
    // After a loss, the answer shows what is missing even of instruments that do not tick again.
    inbound.accept(answer(5, 256, 7));
    inbound.flush();
    assert_eq!(words(&mut inbound), ["1 lost 1 3", "1 newest 256:7"]);
    inbound.accept(tick(5, 9, 0, 1, 256, 7));
    inbound.accept(tick(5, 10, 0, 1, 256, 8));
    assert_eq!(words(&mut inbound), ["1 ticks 256:8"]);
}

#[test]
fn another_publisher_is_reported_and_asked_for_the_newest_packets() {
    let mut inbound = inbound(Choice::All);
    inbound.accept(answer(5, 256, 3));
    inbound.flush();
    inbound.accept(tick(6, 1, 0, 1, 256, 2));
    assert!(inbound.accounts[0].awaits_newest);
    let expected = ["1 newest 256:3", "publisher_changed", "1 lost 1 1", "1 ticks 256:2"];
    assert_eq!(words(&mut inbound), expected);
}

#[test]
fn events_gaps_and_orders_come_after_the_ticks_that_arrived_before_them() {
    let mut inbound = inbound(Choice::All);
    inbound.accept(tick(5, 1, 0, 2, 256, 1));
    let send = |inbound: &mut Inbound, topic: &str, value: serde_json::Value| {
        let mut headers = HeaderMap::new();
        headers.insert(names::TIME, Stamp::now().to_unix_ns().to_string());
        inbound.accept(message(&format!("kite.mine.{topic}"), headers, value.to_string()));
    };
    let up = json!({"event": "up", "connection": 2, "epoch": 1, "instruments": 3});
    send(&mut inbound, "event", up);
    let down = json!({
        "event": "down", "connection": 2, "epoch": 1, "cause": "eof", "why": "it ended",
        "last_heard_unix_ns": 5,
    });
    send(&mut inbound, "event", down);
    send(
        &mut inbound,
        "gap",
        json!({"reason": "dropped", "connection": 0, "frames": 2, "ticks": 9}),
    );
    let expected = ["1 ticks 256:1", "2 up", "2 lost: it ended", "0 lost 2 9"];
    assert_eq!(words(&mut inbound), expected);
    send(&mut inbound, "order", json!({"type": "order", "data": {"order_id": "1"}}));
    let outputs = inbound.take();
    assert!(matches!(&outputs[..], [Output::Event(0, Event::Text { .. })]), "{outputs:?}");
}

#[test]
fn messages_that_no_publisher_sends_are_counted_and_reported_once() {
    let mut inbound = inbound(Choice::All);
    let other = tick(5, 1, 0, 1, 256, 1);
    inbound.accept(Message { subject: "kite.mine.tick.NSE.512".into(), ..other });
    inbound.accept(Message { headers: None, ..tick(5, 1, 0, 1, 256, 1) });
    inbound.accept(message("kite.mine.event", HeaderMap::new(), "{"));
    inbound.accept(message("kite.mine.gap", HeaderMap::new(), r#"{"reason":"dropped"}"#));
    inbound.accept(message("kite.mine.order", HeaderMap::new(), "[]"));
    inbound.accept(message("kite.mine", HeaderMap::new(), ""));
    inbound.accept(message("_INBOX.1", HeaderMap::new(), ""));
    inbound.flush();
    assert_eq!(words(&mut inbound), ["invalid_message"]);
    assert_eq!(inbound.figures.stats(&Default::default()).invalid, 7);
    inbound.accept(message("kite.other.event", HeaderMap::new(), "{"));
    assert!(words(&mut inbound).is_empty(), "of another account");
}

#[test]
fn a_publisher_that_does_not_answer_is_reported_once() {
    let mut inbound = inbound(Choice::All);
    for _ in 0..3 {
        let none = message("_INBOX.1", HeaderMap::new(), "");
        inbound.accept(Message { status: Some(StatusCode::NO_RESPONDERS), ..none });
        inbound.flush();
    }
    assert_eq!(words(&mut inbound), ["no_publisher"]);
    assert!(inbound.accounts[0].awaits_newest);
}

#[test]
fn only_chosen_instruments_of_an_answer_are_delivered() {
    let mut inbound = inbound(Choice::Tokens([TOKEN].into()));
    inbound.accept(answer(5, 256, 3));
    inbound.accept(answer(5, TOKEN, 3));
    inbound.flush();
    assert_eq!(words(&mut inbound), ["1 newest 408065:3"]);
}

proptest! {
    /// A consumer joins, loses messages, and asks for the newest packets at times.
    #[test]
    fn every_tick_is_delivered_once_in_order_or_counted(
        ticks in prop::collection::vec((1..6_u32, any::<bool>(), prop::bool::weighted(0.2)), 1..80),
    ) {
        let mut inbound = inbound(Choice::All);
        let mut book = Book::new("kite", &"mine".into()).unwrap();
        let mut delivered: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut take = |inbound: &mut Inbound| {
            for output in inbound.take() {
                if let Output::Batch(_, batch) | Output::Snapshot(_, batch) = output {
                    for packet in batch.ticks.packets() {
                        let of = delivered.entry(packet.instrument_token()).or_default();
                        of.push(packet.as_bytes()[7]);
                    }
                }
            }
        };
        let mut published = 0;
        let ask = |inbound: &mut Inbound, book: &Book| {
            for part in book.newest(&[], 100) {
                let mut message = answer(5, 1, 1);
                let headers = message.headers.as_mut().unwrap();
                headers.insert(names::TICKS, part.ticks);
                headers.insert(names::CONNECTION, part.connection.to_string());
                inbound.accept(Message { payload: part.frame, ..message });
            }
            inbound.flush();
        };
        for (sequence, (token, is_lost, asks)) in ticks.into_iter().enumerate() {
            let number = {
                let next = book.newest(&[token], 100).pop().unwrap().ticks;
                next.parse::<u64>().unwrap_or(0) + 1
            };
            let bytes = packet(token, number as u8);
            book.on_packet(1, Packet::from_bytes(&bytes).unwrap());
            published += 1;
            if !is_lost {
                inbound.accept(tick(5, sequence as u64 + 1, 0, 1, token, number));
            }
            if asks {
                ask(&mut inbound, &book);
            }
            take(&mut inbound);
        }
        ask(&mut inbound, &book);
        take(&mut inbound);
        let mut before = 0;
        for prices in delivered.values() {
            prop_assert!(prices.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", prices);
            before += u64::from(prices[0]) - 1;
        }
        let stats = inbound.figures.stats(&Default::default());
        let count = delivered.values().map(|it| it.len() as u64).sum::<u64>();
        prop_assert_eq!(stats.ticks + stats.snapshot_ticks, count);
        prop_assert_eq!(count + stats.missed + before, published);
        prop_assert_eq!((stats.invalid, stats.refused), (0, 0));
    }
}
