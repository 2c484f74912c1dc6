//! Faults that end a socket, and how the ledger records them.

use std::time::Duration;

use kite_sim::{API_KEY, Fault, FaultKind, Sim, SocketEnd, SocketRecord};
use kite_wire::{Command, Mode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::bare::{BINARY, Bare, CLOSE, Door, PING, PONG, TEXT};
use crate::client::{Client, DEADLINE, until};

const NSE: u32 = 408_065;
/// A quote packet of one instrument with its length and the count, after a header of two bytes.
const FRAME_BYTES: usize = 2 + 2 + 2 + 44;

fn only(sim: &Sim) -> SocketRecord {
    let [record] = sim.sockets(API_KEY).try_into().unwrap();
    record
}

/// Ends a socket at a byte of a frame; returns the received bytes, how the stream ended, and the
/// record.
async fn cut(door: Door, fault: Fault) -> (Vec<u8>, Result<(), std::io::ErrorKind>, SocketRecord) {
    let sim = door.quiet_sim().await;
    let (mut client, mut received) = Bare::subscribed(&sim, door, &[NSE]).await;
    assert_eq!(sim.inject(API_KEY, fault), 1);
    let (bytes, end) = client.rest().await;
    drop(client);
    until(&sim, |sim| only(sim).end.is_some()).await;
    if bytes.len() == FRAME_BYTES {
        received.add(&bytes[2..]);
    }
    let record = only(&sim);
    assert_eq!((record.frames(), record.ticks), (received.frames, received.ticks));
    assert!(record.has_prefix(received.frames, received.chain));
    assert_eq!(sim.sent(), received.sent);
    (bytes, end, record)
}

#[tokio::test]
async fn a_reset_happens_at_its_byte() {
    for &door in Door::ALL {
        for at in [0, 1, 3, 7, FRAME_BYTES - 1, FRAME_BYTES, 9_999] {
            let (bytes, end, record) = cut(door, Fault::Reset { at }).await;
            assert_eq!((bytes.len(), end), (at.min(FRAME_BYTES), door.reset_end()), "{door:?}");
            assert_eq!(record.end, Some(SocketEnd::Reset));
            assert_eq!(record.faults, [FaultKind::Reset]);
        }
    }
}

#[tokio::test]
async fn the_stream_ends_at_its_byte() {
    for &door in Door::ALL {
        for at in [0, 1, 3, 7, FRAME_BYTES - 1, FRAME_BYTES, 9_999] {
            let (bytes, end, record) = cut(door, Fault::EndOfStream { at }).await;
            assert_eq!((bytes.len(), end), (at.min(FRAME_BYTES), door.abrupt_end()), "{door:?}");
            assert_eq!(record.end, Some(SocketEnd::EndOfStream));
            assert_eq!(record.subscriptions, [(NSE, Mode::Quote)].into());
        }
    }
}

#[tokio::test]
async fn without_instruments_the_frame_is_a_heartbeat() {
    let sim = Door::Tcp.quiet_sim().await;
    let mut client = Bare::connect(&sim, Door::Tcp).await;
    sim.inject(API_KEY, Fault::EndOfStream { at: 9 });
    assert_eq!(client.rest().await, (vec![0x82, 1, 0], Ok(())));
    assert_eq!((only(&sim).frames(), sim.stats().frames_sent), (0, 0));
}

#[tokio::test]
async fn a_close_that_waits_ends_with_the_clients_close() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        let mut client = Bare::connect(&sim, door).await;
        sim.inject(API_KEY, Fault::Close { code: 1_012, waits: true });
        assert_eq!(client.frame_of(CLOSE).await, 1_012_u16.to_be_bytes());
        let silence = timeout(Duration::from_millis(50), client.stream.read_u8()).await;
        assert!(silence.is_err(), "{door:?} does not wait: {silence:?}");
        client.say(CLOSE, &1_012_u16.to_be_bytes()).await;
        assert!(client.rest().await.0.is_empty());
        assert_eq!(only(&sim).end, Some(SocketEnd::Closed));
    }
}

#[tokio::test]
async fn a_close_that_does_not_wait_ends_immediately() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        for (code, payload) in [(1_006, 1_006_u16.to_be_bytes().to_vec()), (1_005, Vec::new())] {
            let mut client = Bare::connect(&sim, door).await;
            sim.inject(API_KEY, Fault::Close { code, waits: false });
            assert_eq!(client.frame_of(CLOSE).await, payload);
            assert_eq!(client.rest().await, (Vec::new(), Ok(())), "{door:?}");
        }
        assert_eq!(sim.stats().faults, [(FaultKind::Close, 2)].into());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_slot_is_free_after_its_time() {
    let sim = Door::Memory.quiet_sim().await;
    let mut client = Bare::connect(&sim, Door::Memory).await;
    let held = Duration::from_secs(20);
    let begun = Instant::now();
    sim.inject(API_KEY, Fault::LateSlot { held });
    assert_eq!(client.frame_of(CLOSE).await, 1_001_u16.to_be_bytes());
    client.say(CLOSE, &[]).await;
    assert!(client.rest().await.0.is_empty());
    let mut refused = 0;
    while Bare::status(&sim, Door::Memory).await == 429 {
        refused += 1;
    }
    assert!(begun.elapsed() >= held && begun.elapsed() < held + Duration::from_secs(1));
    assert!(refused > 10);
}

#[tokio::test]
async fn a_restart_drops_all_sockets_refuses_and_returns_on_the_same_port() {
    for &door in Door::ALL {
        let builder = Sim::builder().account("other", "token").no_heartbeats().greet(false);
        let sim = door.secure(builder).start().await.unwrap();
        let mut client = Bare::connect(&sim, door).await;
        let waiting = Bare::ask(&sim, door).await;
        assert_eq!(sim.inject("other", Fault::Restart { down: Duration::from_secs(1) }), 0);
        let (bytes, _) = client.rest().await;
        assert!(bytes.is_empty());
        match door {
            // Not accepted, so it ends immediately.
            Door::Memory => assert_eq!(sim.connect().read(&mut [0]).await.unwrap(), 0),
            _ => {
                let error = TcpStream::connect(sim.addr()).await.unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            }
        }
        drop(waiting);
        let back = async {
            while TcpStream::connect(sim.addr()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, back).await.expect("the server does not return");
        Bare::connect(&sim, door).await;
        assert!(sim.sockets(API_KEY).iter().any(|record| record.end == Some(SocketEnd::Dropped)));
        assert_eq!(sim.stats().faults, [(FaultKind::Restart, 1)].into());
    }
}

#[tokio::test]
async fn the_record_names_the_side_that_ended_it() {
    let sim = Door::Tcp.quiet_sim().await;
    let ends = |sim: &Sim| {
        let records = sim.sockets(API_KEY);
        records.iter().filter_map(|record| record.end).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for end in [SocketEnd::ClientClosed, SocketEnd::ClientGone, SocketEnd::Dropped] {
        let mut client = Client::connect(&sim).await;
        match end {
            SocketEnd::ClientClosed => client.socket.close(None).await.unwrap(),
            SocketEnd::Dropped => sim.drop_all(),
            _ => drop(client),
        }
        expected.push(end);
        until(&sim, |sim| ends(sim) == expected).await;
    }
    // A client that breaks the protocol counts as disconnected too.
    let mut client = Bare::connect(&sim, Door::Tcp).await;
    client.say(3, b"reserved").await;
    expected.push(SocketEnd::ClientGone);
    until(&sim, |sim| ends(sim) == expected).await;

    let _open = Client::connect(&sim).await;
    sim.forget_ended(API_KEY);
    assert_eq!(only(&sim).end, None);
    assert_eq!(only(&sim).id, 4, "numbers continue");
}

#[tokio::test]
async fn a_receiver_proves_a_prefix_and_raw_frames_count_in_it() {
    let sim = Door::Tcp.quiet_sim().await;
    let (mut client, mut received) = Bare::subscribed(&sim, Door::Tcp, &[NSE]).await;
    sim.send_binary(vec![0, 0]);
    sim.send_binary(vec![7]);
    for _ in 0..3 {
        sim.tick_now(&[NSE]);
    }
    sim.pause().await;
    let record = only(&sim);
    assert_eq!((record.end, record.frames(), record.ticks), (None, 5, 4));
    let mut heartbeats = 0;
    for count in 1..=6 {
        assert!(record.has_prefix(received.frames, received.chain));
        assert!(!record.has_prefix(received.frames + 1, received.chain));
        if count < 6 {
            match client.frame_of(BINARY).await {
                frame if frame.len() > 1 => received.add(&frame),
                _ => heartbeats += 1,
            }
        }
    }
    assert_eq!((received.frames, received.ticks, heartbeats), (5, 4, 1));
    assert_eq!(record.chain(), received.chain);
    assert_eq!(record.subscriptions, [(NSE, Mode::Quote)].into());
    client.say(TEXT, Command::Unsubscribe(&[NSE]).to_string().as_bytes()).await;
    client.say(PING, b"done?").await;
    assert_eq!(client.frame_of(PONG).await, b"done?");
    assert!(only(&sim).subscriptions.is_empty());
}

/// Queues every kind of message for every socket, and returns the bytes that each receives.
fn send_each_kind(sim: &Sim) -> Vec<u8> {
    let order = serde_json::json!({"order_id": "1"});
    sim.send_order(order);
    sim.send_binary(vec![0, 0]);
    sim.tick_now(&[NSE]);
    sim.send_text("last");
    let order = br#"{"type":"order","data":{"order_id":"1"}}"#;
    let head = [&[0x81, order.len() as u8], order.as_slice(), &[0x82, 2, 0, 0]].concat();
    [head.as_slice(), &[0x81, 4], b"last"].concat()
}

#[tokio::test]
async fn what_was_sent_before_a_drop_a_restart_or_a_stop_arrives_first() {
    for &door in Door::ALL {
        for round in 0..12 {
            let sim = door.quiet_sim().await;
            let mut clients = Vec::new();
            for _ in 0..3 {
                clients.push(Bare::connect(&sim, door).await);
            }
            // Bytes that the server may not have read when it drops the socket.
            clients[0].say(TEXT, b"unread").await;
            let expected = send_each_kind(&sim);
            match round % 3 {
                0 => {
                    sim.drop_all();
                    sim.send_text("too late");
                }
                1 => assert_eq!(sim.inject(API_KEY, Fault::Restart { down: Duration::ZERO }), 3),
                _ => sim.stop().await,
            }
            for client in &mut clients {
                let (bytes, _) = client.rest().await;
                assert_eq!(bytes, expected, "{door:?}, round {round}");
            }
            until(&sim, |sim| sim.sockets(API_KEY).iter().all(|it| it.end.is_some())).await;
            for record in sim.sockets(API_KEY) {
                assert_eq!((record.end, record.frames()), (Some(SocketEnd::Dropped), 1));
            }
        }
    }
}

#[tokio::test]
async fn a_close_frame_sent_before_a_stop_arrives() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        let mut client = Bare::connect(&sim, door).await;
        sim.close_all(1_012);
        sim.stop().await;
        assert_eq!(client.frame_of(CLOSE).await, 1_012_u16.to_be_bytes(), "{door:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped_after_a_second() {
    let sim = Door::Memory.quiet_sim().await;
    let client = Bare::connect(&sim, Door::Memory).await;
    sim.send_binary(vec![0; 1 << 20]);
    sim.drop_all();
    let begun = Instant::now();
    assert_eq!(sim.stats().connections_open, 0);
    until(&sim, |sim| only(sim).end == Some(SocketEnd::Dropped)).await;
    let waited = begun.elapsed();
    assert!(waited <= Duration::from_millis(1_010), "{waited:?}");
    drop(client);
}
