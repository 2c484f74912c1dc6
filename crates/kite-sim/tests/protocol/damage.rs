//! Damaged, excessive and unexpected frames, with exact counts of the ticks in them.

use kite_sim::{API_KEY, Fault, FaultKind, InvalidFrame, Sim, universe};
use kite_wire::Frame;
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use crate::bare::{BINARY, Bare, Door, PING, PONG, Received};
use crate::client::Client;

/// Returns the binary frames that a fault sends to a client of ten instruments, after checking that
/// the packets that can be decoded are those that count as sent.
async fn frames_of(door: Door, fault: Fault, count: usize) -> Vec<Vec<u8>> {
    let sim = door.quiet_sim().await;
    let (mut client, mut received) = Bare::subscribed(&sim, door, &universe(10)).await;
    let kind = fault.kind();
    assert_eq!(sim.inject(API_KEY, fault), 1);
    let mut frames = Vec::new();
    for _ in 0..count {
        frames.push(client.frame_of(BINARY).await);
    }
    // The socket and its instruments continue.
    sim.tick_now(&universe(10));
    frames.push(client.frame_of(BINARY).await);
    sim.pause().await;
    frames.iter().for_each(|frame| received.add(frame));
    assert_accounts(&sim, &received);
    assert_eq!(sim.stats().faults, [(kind, 1)].into());
    assert_eq!(sim.sockets(API_KEY)[0].faults, [kind]);
    let whole = Frame::walk(&frames.pop().unwrap()).packets().len();
    assert_eq!(whole, 10);
    frames
}

fn assert_accounts(sim: &Sim, received: &Received) {
    assert!(sim.sent() == received.sent, "the decoded packets are not those that count as sent");
    assert_eq!(sim.stats().ticks_sent, received.ticks);
    assert_eq!(sim.stats().frames_sent, received.frames as u64);
    let record = &sim.sockets(API_KEY)[0];
    assert_eq!((record.frames(), record.ticks), (received.frames, received.ticks));
    assert!(record.has_prefix(received.frames, received.chain));
}

#[tokio::test]
async fn a_truncated_frame_loses_its_last_packet_only() {
    for &door in Door::ALL {
        let frames = frames_of(door, Fault::TruncatedFrame { cut: 5 }, 1).await;
        let frame = Frame::walk(&frames[0]);
        assert_eq!(frame.packets().len(), 9);
        assert!(frame.fault().is_some());
    }
}

#[tokio::test]
async fn a_frame_can_declare_too_many_or_too_few_packets() {
    for (by, decodable) in [(3, 10), (-4, 6)] {
        let frames = frames_of(Door::Tcp, Fault::LyingCount { by }, 1).await;
        let frame = Frame::walk(&frames[0]);
        assert_eq!(i32::from(u16::from_be_bytes([frames[0][0], frames[0][1]])), 10 + i32::from(by));
        assert_eq!(frame.packets().len(), decodable);
        assert!(frame.fault().is_some());
    }
}

#[tokio::test]
async fn an_unknown_packet_is_sent_among_valid_ones() {
    let frames = frames_of(Door::Tcp, Fault::UnknownPacket { length: 64 }, 1).await;
    let frame = Frame::walk(&frames[0]);
    assert_eq!((frame.packets().len(), frame.skipped(), frame.fault()), (10, 1, None));
    assert_eq!(frame.bodies().nth(1).unwrap().len(), 64);
}

#[tokio::test]
async fn an_oversized_frame_carries_no_ticks() {
    for &door in Door::ALL {
        let bytes = Fault::OVERSIZED_BYTES;
        let frames = frames_of(door, Fault::OversizedFrame { bytes }, 1).await;
        assert_eq!(frames[0].len(), bytes);
        assert!(bytes > 1 << 20);
    }
}

#[tokio::test]
async fn a_burst_is_a_series_of_next_states() {
    for &door in Door::ALL {
        let frames = frames_of(door, Fault::Burst { frames: 20 }, 20).await;
        let times = |frame: &Vec<u8>| {
            let walked = Frame::walk(frame);
            walked.packets().map(|packet| packet.volume()).collect::<Vec<_>>()
        };
        assert!(frames.iter().all(|frame| Frame::walk(frame).packets().len() == 10));
        assert!(frames.windows(2).all(|pair| times(&pair[0]) < times(&pair[1])));
    }
}

#[tokio::test]
async fn faults_that_need_instruments_are_ignored_without_them() {
    let sim = Door::Tcp.quiet_sim().await;
    let mut client = Bare::connect(&sim, Door::Tcp).await;
    for fault in [
        Fault::TruncatedFrame { cut: 1 },
        Fault::Burst { frames: 2 },
        Fault::LyingCount { by: -1 },
        Fault::LyingCount { by: 1 },
        Fault::UnknownPacket { length: 5 },
    ] {
        sim.inject(API_KEY, fault);
    }
    assert_eq!(client.frame_of(BINARY).await, [0, 1]);
    assert_eq!(client.frame_of(BINARY).await.len(), 2 + 2 + 5);
    sim.pause().await;
    let faults = [(FaultKind::LyingCount, 1), (FaultKind::UnknownPacket, 1)];
    assert_eq!(sim.stats().faults, faults.into());
    assert!(sim.sent().is_empty());
}

#[tokio::test]
async fn unexpected_text_frames_are_sent_as_documented() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        let mut client = Bare::connect(&sim, door).await;
        sim.inject(API_KEY, Fault::UnknownText);
        assert_eq!(client.text().await, r#"{"type":"sim_unknown","data":{"answer":42}}"#);
        sim.inject(API_KEY, Fault::UnparsableText);
        assert!(serde_json::from_str::<serde_json::Value>(&client.text().await).is_err());
        sim.inject(API_KEY, Fault::limit_error());
        let limit = r#"{"type":"error","data":"Can't subscribe to more than 3000 instruments."}"#;
        assert_eq!(client.text().await, limit);
        sim.inject(API_KEY, Fault::ErrorText { message: "no \"luck\"".into() });
        assert_eq!(client.text().await, r#"{"type":"error","data":"no \"luck\""}"#);
        sim.inject(API_KEY, Fault::DuplicateOrder { data: json!({"order_id": "1"}) });
        let order = client.text().await;
        assert_eq!(order, r#"{"type":"order","data":{"order_id":"1"}}"#);
        assert_eq!(client.text().await, order);
    }
}

#[tokio::test]
async fn an_invalid_frame_breaks_the_protocol_and_nothing_else() {
    let sim = Door::Tcp.quiet_sim().await;
    for way in InvalidFrame::ALL {
        let mut client = Client::connect(&sim).await;
        sim.inject(API_KEY, Fault::InvalidFrame(way));
        let error = client.next().await.unwrap().unwrap_err();
        let is_expected = match way {
            InvalidFrame::ReservedOpcode => {
                matches!(error, Error::Protocol(ProtocolError::InvalidOpcode(3)))
            }
            InvalidFrame::ReservedBit => {
                matches!(error, Error::Protocol(ProtocolError::NonZeroReservedBits))
            }
            InvalidFrame::Masked => {
                matches!(error, Error::Protocol(ProtocolError::MaskedFrameFromServer))
            }
            _ => matches!(error, Error::Utf8(_)),
        };
        assert!(is_expected, "{way:?}: {error:?}");
        sim.drop_all();
    }
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        let mut client = Bare::connect(&sim, door).await;
        sim.inject(API_KEY, Fault::InvalidFrame(InvalidFrame::ReservedOpcode));
        assert_eq!(client.frame().await, (3, b"ok".to_vec()));
        client.say(PING, b"still there?").await;
        assert_eq!(client.frame_of(PONG).await, b"still there?");
    }
}

#[tokio::test]
async fn one_socket_of_several_can_be_struck() {
    let sim = Door::Tcp.quiet_sim().await;
    let mut clients = [Bare::connect(&sim, Door::Tcp).await, Bare::connect(&sim, Door::Tcp).await];
    let ids: Vec<u64> = sim.sockets(API_KEY).iter().map(|record| record.id).collect();
    assert!(sim.inject_socket(ids[1], Fault::UnknownText));
    assert!(!sim.inject_socket(99, Fault::UnknownText));
    assert!(clients[1].text().await.contains("sim_unknown"));
    sim.send_text("to both");
    assert_eq!(clients[0].text().await, "to both");
}

#[tokio::test]
async fn an_order_fault_is_one_update_on_each_socket_of_the_account_with_all_fields() {
    let sim = Sim::builder().account("other", "token").updates_per_second(0.0).no_heartbeats();
    let sim = sim.greet(false).start().await.unwrap();
    let mut mine = [Client::connect(&sim).await, Client::connect(&sim).await];
    let mut other = Client::try_connect(&sim, "other", "token").await.unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for (text, status) in [("order", "COMPLETE"), ("order:REJECTED", "REJECTED")] {
        assert_eq!(sim.inject(API_KEY, text.parse().unwrap()), 2);
        let [one, two] = &mut mine;
        let update = one.text().await;
        assert_eq!(two.text().await, update);
        let update: serde_json::Value = serde_json::from_str(&update).unwrap();
        assert_eq!((&update["type"], &update["data"]["status"]), (&"order".into(), &status.into()));
        ids.insert(update["data"]["order_id"].as_str().unwrap().to_owned());
        assert_eq!(update["data"]["order_timestamp"], "2025-08-04 09:15:00");
    }
    assert_eq!(ids.len(), 2);
    sim.send_text("last");
    assert_eq!(other.text().await, "last");
    for client in &mut mine {
        assert_eq!(client.text().await, "last");
    }
}
