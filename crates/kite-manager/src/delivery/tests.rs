use std::sync::Arc;

use bytes::Bytes;
use kite_conn::{Gap, LossCause, LossKind, Stamp};
use kite_wire::TickBatch;
use kite_wire::text::TextMessage;

use super::*;
use crate::events::OrderItem;
use crate::stream::StreamItem;

/// A batch of packets by token and length.
fn batch(sequence: u64, packets: &[(u32, usize)]) -> Batch {
    let mut frame = (packets.len() as u16).to_be_bytes().to_vec();
    for &(token, len) in packets {
        frame.extend_from_slice(&(len as u16).to_be_bytes());
        frame.extend_from_slice(&token.to_be_bytes());
        frame.resize(frame.len() + len - 4, 0);
    }
    Batch::new(TickBatch::new(frame.into()).unwrap(), Stamp::now(), 2, sequence)
}

fn two_accounts() -> (Delivery, Vec<DeliverySink>) {
    Delivery::new(["a", "b"].map(AccountId::from), 2)
}

#[test]
fn a_sink_delivers_to_the_streams_and_the_table_of_its_seat() {
    let (delivery, mut sinks) = two_accounts();
    let mut stream = delivery.stream(StreamConfig::default()).unwrap();
    sinks[3].on_batch(&batch(7, &[(256, 8), (512, 44)]));
    let Ok(StreamItem::Ticks(ticks)) = stream.try_recv() else { panic!("no ticks") };
    let seat = sinks[3].seat().clone();
    assert_eq!((&ticks.account, ticks.connection), (&AccountId::from("b"), 1));
    assert_eq!((ticks.batch.epoch, ticks.batch.sequence, ticks.batch.ticks.len()), (2, 7, 2));
    let newest = delivery.latest().get(512).unwrap();
    assert_eq!((newest.packet().as_bytes().len(), delivery.seat_of(&newest)), (44, seat));
    assert!(delivery.latest().get(1_024).is_none());
}

#[test]
fn packets_of_a_snapshot_are_first_and_ticks_are_not() {
    let (delivery, mut sinks) = two_accounts();
    let config = StreamConfig { mark_first: true, ..StreamConfig::default() };
    let mut stream = delivery.stream(config).unwrap();
    let packets = [(256, 8), (512, 44), (768, 184)];
    sinks[0].on_snapshot(&batch(1, &packets));
    sinks[0].on_batch(&batch(2, &packets));
    for is_first in [true, false] {
        let Ok(StreamItem::Ticks(ticks)) = stream.try_recv() else { panic!("no ticks") };
        assert!(ticks.packets().all(|packet| ticks.is_first(&packet) == is_first));
    }
}

#[test]
fn what_was_lost_is_reported_between_the_ticks() {
    let (delivery, mut sinks) = two_accounts();
    let mut stream = delivery.stream(StreamConfig::default()).unwrap();
    sinks[1].on_batch(&batch(1, &[(256, 8)]));
    sinks[1].on_lost(2, 9);
    sinks[1].on_batch(&batch(2, &[(256, 8)]));
    assert!(matches!(stream.try_recv(), Ok(StreamItem::Ticks(_))));
    let item = stream.try_recv().unwrap();
    let StreamItem::Dropped { account, connection, frames, ticks, .. } = item else {
        panic!("{item:?}")
    };
    assert_eq!((account.as_str(), connection, frames, ticks), ("a", 1, 2, 9));
    assert!(matches!(stream.try_recv(), Ok(StreamItem::Ticks(_))));
}

#[test]
fn events_reach_the_streams_and_the_listeners_and_end_with_the_sinks() {
    let (delivery, mut sinks) = two_accounts();
    let mut stream = delivery.stream(StreamConfig::default()).unwrap();
    let (mut events, mut orders) = (delivery.events(), delivery.orders());
    let now = Stamp::now();
    let cause = LossCause::Reported { kind: LossKind::Eof, text: "the server\nended".into() };
    assert_eq!((cause.kind(), cause.to_string().as_str()), (LossKind::Eof, "the server ended"));
    sinks[2].on_event(&Event::Down { epoch: 1, cause, last_heard: now });
    sinks[2].on_event(&Event::Gap(Arc::new(Gap::new(now, now, now))));
    let text = r#"{"type":"order","data":{"order_id":"1"}}"#;
    let message = Arc::new(TextMessage::parse(text).unwrap());
    let text = Bytes::from_static(text.as_bytes());
    sinks[2].on_event(&Event::Text { text, message, received: now });
    delivery.notify(ManagerEvent::Lagged { missed: 4 });

    assert!(matches!(stream.try_recv(), Ok(StreamItem::Down { epoch: 1, .. })));
    assert!(matches!(stream.try_recv(), Ok(StreamItem::Gap { connection: 0, .. })));
    assert!(matches!(events.try_recv(), Ok(ManagerEvent::Lagged { missed: 4 })));
    let Ok(ManagerEvent::Connection { seat, event }) = events.try_recv() else {
        panic!("no event")
    };
    assert_eq!((seat.account.as_str(), event.name()), ("b", "down"));
    let Ok(OrderItem::Update(order)) = orders.try_recv() else { panic!("no order") };
    assert_eq!(order.account.as_str(), "b");

    delivery.end();
    drop(sinks);
    assert!(matches!(stream.try_recv(), Err(kite_conn::TryRecvError::Ended)));
    drop(delivery);
    assert_eq!(std::iter::from_fn(|| events.try_recv().ok()).count(), 2);
    assert!(matches!(events.try_recv(), Err(kite_conn::TryRecvError::Ended)));
}
