//! Invalid input from the server is reported, and the feed continues.

use bytes::Bytes;
use kite_sim::Sim;
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{
    ChannelId, Exchange, KiteTickerManager, Mode, OrderStatus, TickerMessage, as_tick_raw,
};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::rig::{
    all_in, errors_of, manager, mark, only_channel, quiet_sim, settle, start, ticks_of, up_to_mark,
    within,
};

const TOKEN: u32 = 408_065;

struct Feed {
    sim: Sim,
    manager: KiteTickerManager,
    channel: Receiver<TickerMessage>,
    frames: Receiver<Bytes>,
}

/// A connection with one instrument in full mode whose snapshots have been received.
async fn feed() -> Feed {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    let mut frames = manager.get_raw_frame_channel(ChannelId::Connection1).unwrap();
    start(&mut manager).await;
    manager.subscribe_symbols(&[TOKEN], Some(Mode::Full)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &[TOKEN])).await;
    mark(&sim);
    up_to_mark(&mut channel).await;
    for _ in 0..2 {
        within("a snapshot", frames.recv()).await.unwrap();
    }
    Feed { sim, manager, channel, frames }
}

impl Feed {
    /// Returns the messages caused by what was just sent, after checking that ticks still arrive on
    /// the same socket.
    async fn report(&mut self) -> Vec<TickerMessage> {
        mark(&self.sim);
        let report = up_to_mark(&mut self.channel).await;
        self.sim.tick_now(&[TOKEN]);
        let ticks = crate::rig::next_ticks(&mut self.channel).await;
        assert_eq!((ticks.len(), ticks[0].instrument_token), (1, TOKEN));
        assert_eq!(self.sim.stats().connections_total, 1, "the socket was replaced");
        report
    }

    async fn report_of_text(&mut self, text: &str) -> TickerMessage {
        self.sim.send_text(text);
        let mut report = self.report().await;
        assert_eq!(report.len(), 1, "{text}: {report:?}");
        report.remove(0)
    }
}

#[tokio::test]
async fn order_updates_with_null_missing_or_unreadable_fields_are_orders() {
    let mut feed = feed().await;
    let order = |order: TickerMessage| match order {
        TickerMessage::OrderPostback(Ok(order)) => order,
        other => panic!("{other:?}"),
    };
    for data in [
        json!({}),
        json!({"order_id": null, "status": null, "exchange": null, "quantity": null, "meta": null}),
        json!({"order_id": "7", "surprise": {"deep": [1, null]}}),
    ] {
        feed.sim.send_order(data.clone());
        let report = order(feed.report().await.remove(0));
        assert_eq!(Value::Object(report.raw().clone()), data);
        assert!(report.unreadable().is_empty(), "{report:?}");
    }
    let odd = json!({
        "order_id": 7, "status": "UNKNOWN STATUS", "exchange": "MARS", "quantity": "12",
        "filled_quantity": -1, "price": "99.5", "average_price": [], "order_timestamp": "soon",
        "transaction_type": 3, "tag": {"x": 1}, "instrument_token": 408_065.0,
    });
    feed.sim.send_order(odd.clone());
    let report = order(feed.report().await.remove(0));
    assert_eq!((&*report.order_id, report.quantity, report.price), ("7", 12, 99.5));
    assert_eq!(report.status, OrderStatus::Other("UNKNOWN STATUS".into()));
    assert_eq!((report.exchange, report.instrument_token), (Exchange::Unknown, TOKEN));
    for field in ["filled_quantity", "average_price", "order_timestamp"] {
        assert!(report.unreadable().contains(&field), "{field}: {:?}", report.unreadable());
    }
    assert_eq!(Value::Object(report.raw().clone()), odd);
    assert_eq!(feed.manager.get_stats().await.unwrap().total_errors, 0);
}

#[tokio::test]
async fn order_updates_without_an_order_are_reported_as_errors() {
    let mut feed = feed().await;
    for text in [
        r#"{"type":"order","data":null}"#,
        r#"{"type":"order"}"#,
        r#"{"type":"order","data":"later"}"#,
        r#"{"type":"order","data":[1]}"#,
    ] {
        match feed.report_of_text(text).await {
            TickerMessage::OrderPostback(Err(error)) => {
                assert!(error.contains("not an object"), "{text}: {error}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn unknown_text_types_arrive_whole() {
    let mut feed = feed().await;
    for frame in [
        json!({"type": "brand_new", "data": {"a": [1, 2]}, "beside": true}),
        json!({"type": "app_code", "timestamp": "2025-08-04T13:50:28+05:30"}),
        json!({"type": 5, "data": "x"}),
        json!({"no_type": true}),
        json!({"type": "message"}),
    ] {
        match feed.report_of_text(&frame.to_string()).await {
            TickerMessage::Message(received) => assert_eq!(received, frame),
            other => panic!("{frame}: {other:?}"),
        }
    }
    let text = r#"{"type":"error","data":"Can't subscribe to more than 3000 instruments."}"#;
    let received = feed.report_of_text(text).await;
    assert_eq!(errors_of(&[received]), ["Can't subscribe to more than 3000 instruments."]);
    assert_eq!(feed.manager.get_stats().await.unwrap().total_errors, 0);
}

#[tokio::test]
async fn texts_that_are_not_json_objects_are_reported_and_counted() {
    let mut feed = feed().await;
    let texts = ["", "hello", r#"{"type":"order","data":{"#, "[1,2]", "null", "\"text\"", "{}{}"];
    for text in texts {
        match feed.report_of_text(text).await {
            TickerMessage::Error(error) => {
                assert!(error.contains("text frame unreadable"), "{text}: {error}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let stats = feed.manager.get_stats().await.unwrap();
    assert_eq!(stats.total_errors, texts.len() as u64);
    assert_eq!(stats.total_messages_received - stats.total_messages_parsed, texts.len() as u64);
}

/// A frame with these packet bodies that declares `declared` packets.
fn frame(declared: u16, bodies: &[&[u8]]) -> Vec<u8> {
    let mut frame = declared.to_be_bytes().to_vec();
    for body in bodies {
        frame.extend((body.len() as u16).to_be_bytes());
        frame.extend_from_slice(body);
    }
    frame
}

/// The body of a packet with this token, this length and a price of one rupee.
fn body(token: u32, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    body[..4].copy_from_slice(&token.to_be_bytes());
    body[4..8].copy_from_slice(&100_i32.to_be_bytes());
    body
}

#[tokio::test]
async fn a_packet_of_unknown_length_is_reported_and_the_others_arrive() {
    let mut feed = feed().await;
    let bodies = [body(257, 8), body(513, 64), body(769, 44), body(1_025, 8)];
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let sent = frame(5, &[bodies[0], bodies[1], &[], bodies[2], bodies[3]]);
    feed.sim.send_binary(sent.clone());
    let report = feed.report().await;
    let tokens: Vec<u32> = ticks_of(&report).iter().map(|tick| tick.instrument_token).collect();
    assert_eq!(tokens, [257, 769, 1_025]);
    let errors = errors_of(&report);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("2 packets of unknown length") && errors[0].contains("64 bytes"));
    // The raw frame is unchanged, because its lengths are consistent.
    assert_eq!(within("a frame", feed.frames.recv()).await.unwrap(), sent);
    let (_, processor) = feed.manager.get_processor_stats().await.remove(0);
    assert_eq!(processor.errors_count, 2);
    assert_eq!(feed.manager.get_stats().await.unwrap().total_errors, 2);
}

/// The specification's loop over a raw frame, which slices without a bounds check.
#[expect(clippy::collapsible_if, reason = "copied from the specification")]
fn spec_loop(frame: &Bytes) -> Vec<u32> {
    let mut tokens = Vec::new();
    if frame.len() < 2 {
        return tokens;
    }
    let mut off = 2usize;
    let num = u16::from_be_bytes([frame[0], frame[1]]) as usize;
    for _ in 0..num {
        if off + 2 > frame.len() {
            break;
        }
        let len = u16::from_be_bytes([frame[off], frame[off + 1]]) as usize;
        let body = frame.slice(off + 2..off + 2 + len);
        if len == 184 {
            if let Some(view) = as_tick_raw(&body) {
                tokens.push(view.header.instrument_token.get());
            }
        }
        off += 2 + len;
    }
    tokens
}

#[tokio::test]
async fn a_damaged_frame_is_reported_and_truncated_to_its_valid_packets() {
    let good = [body(257, 184), body(513, 184)];
    let good: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
    let whole = frame(2, &good);
    let cut = |length: usize| whole[..length].to_vec();
    let with_tail = |tail: &[u8]| [whole.as_slice(), tail].concat();
    let mut beyond = frame(3, &good);
    beyond.extend(u16::MAX.to_be_bytes());
    beyond.extend([0; 184]);
    // Each frame with the tokens of its valid part.
    let cases: [(&str, Vec<u8>, &[u32]); 10] = [
        ("cut within the second packet", cut(2 + 186 + 2 + 100), &[257]),
        ("cut within the second length", cut(2 + 186 + 1), &[257]),
        ("cut after the first packet", cut(2 + 186), &[257]),
        ("cut within the first packet", cut(2 + 2 + 8), &[]),
        ("cut after the count", cut(2), &[]),
        ("more packets declared than present", frame(9, &good), &[257, 513]),
        ("fewer packets declared than present", frame(1, &good), &[257]),
        ("bytes after the last packet", with_tail(&[1, 2, 3]), &[257, 513]),
        ("a length beyond the end", beyond, &[257, 513]),
        ("an empty frame", Vec::new(), &[]),
    ];
    for (what, sent, tokens) in cases {
        let mut feed = feed().await;
        let mut full = feed.manager.get_full_raw_subscriber(ChannelId::Connection1).unwrap();
        feed.sim.send_binary(sent.clone());
        let report = feed.report().await;
        let received: Vec<u32> =
            ticks_of(&report).iter().map(|tick| tick.instrument_token).collect();
        assert_eq!(received, tokens, "{what}");
        let errors = errors_of(&report);
        assert_eq!(errors.len(), 1, "{what}: {errors:?}");
        assert!(errors[0].contains("byte"), "{what}: {errors:?}");

        let raw = within("a frame", feed.frames.recv()).await.unwrap();
        assert!(raw.len() <= sent.len() && sent.starts_with(&raw), "{what}");
        let in_raw = spec_loop(&raw);
        assert_eq!(in_raw, tokens, "{what}");
        for &token in tokens {
            let view = within("a packet", full.recv_raw_tickraw()).await.unwrap().unwrap();
            assert_eq!(view.header.instrument_token.get(), token, "{what}");
        }
        let view = within("a packet", full.recv_raw_tickraw()).await.unwrap().unwrap();
        assert_eq!(view.header.instrument_token.get(), TOKEN, "{what}: the next frame is intact");

        let (_, processor) = feed.manager.get_processor_stats().await.remove(0);
        assert_eq!(processor.errors_count, 1, "{what}");
        assert_eq!(feed.manager.get_stats().await.unwrap().total_errors, 1, "{what}");
    }
}

#[tokio::test]
async fn a_flood_of_damaged_frames_is_counted_fully_and_reported_rarely() {
    const FLOOD: u64 = 500;
    let mut feed = feed().await;
    for _ in 0..FLOOD {
        feed.sim.send_binary(vec![0, 1, 0, 184]);
    }
    let report = feed.report().await;
    let reported = errors_of(&report).len() as u64;
    // One per second, since the flood takes far less than the deadline of 20 s.
    assert!((1..=20).contains(&reported), "{reported}");
    assert_eq!(feed.manager.get_stats().await.unwrap().total_errors, FLOOD);
}
