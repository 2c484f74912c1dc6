//! Sockets that a server resets while the client writes, or while nothing is read.

use std::time::Duration;

use futures_util::SinkExt;
use kite_conn::{
    Connection, ConnectionConfig, Endpoint, Event, EventLane, LaneConfig, LaneItem, Liveness,
    LossCause, Overflow, Phase, lane,
};
use kite_sim::{API_KEY, Fault, Sim};
use kite_wire::Mode;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::probe::{Seen, config, connect, credentials, in_time};

const REASON: &str = "too many requests";
/// Number of frames before the close frame.
const FRAMES: usize = 20;

/// Accepts a connection, sends frames and a close frame, and resets TCP.
async fn send_and_reset(listener: &TcpListener) {
    let (stream, _) = in_time("a connection", listener.accept()).await.unwrap();
    let mut socket = in_time("a handshake", tokio_tungstenite::accept_async(stream)).await.unwrap();
    for _ in 0..FRAMES {
        socket.feed(Message::binary(vec![0, 0])).await.unwrap();
    }
    let close = CloseFrame { code: 1008.into(), reason: REASON.into() };
    socket.send(Message::Close(Some(close))).await.unwrap();
    SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
}

fn assert_whole(seen: &Seen, epoch: u32) {
    assert_eq!(seen.sockets[&epoch].frames, FRAMES, "socket {epoch}");
    let cause = seen.events.iter().find_map(|event| match event {
        Event::Down { epoch: lost, cause, .. } if *lost == epoch => Some(cause.clone()),
        _ => None,
    });
    let expected = LossCause::CloseFrame { code: 1008, reason: REASON.to_owned() };
    assert_eq!(cause, Some(expected), "socket {epoch}");
}

async fn server() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("ws://{}", listener.local_addr().unwrap());
    (listener, Endpoint::parse(&endpoint).unwrap())
}

#[tokio::test]
async fn a_write_that_fails_loses_nothing_that_was_received() {
    let ((listener, endpoint), sim) = (server().await, Sim::builder().start().await.unwrap());
    let (connection, probe) = connect(ConnectionConfig { endpoint, ..config(&sim) });
    probe.take_frames(false);
    send_and_reset(&listener).await;
    probe.until("the socket", |seen| !seen.events.is_empty()).await;
    // Written to a socket that is reset, before anything is read.
    connection.subscribe(&[257], Mode::Full).unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    probe.take_frames(true);
    probe.until("the loss", |seen| seen.losses() == 1).await;
    probe.look(|seen| assert_whole(seen, 1));
    drop(connection);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_resets_while_the_client_writes_loses_nothing() {
    let ((listener, endpoint), sim) = (server().await, Sim::builder().start().await.unwrap());
    let (connection, probe) = connect(ConnectionConfig { endpoint, ..config(&sim) });
    let writer = connection.clone();
    let writing = tokio::spawn(async move {
        for mode in Mode::ALL.into_iter().cycle() {
            writer.subscribe(&[257], mode).unwrap();
            tokio::task::yield_now().await;
        }
    });
    for epoch in 1..=100 {
        send_and_reset(&listener).await;
        probe.until("the loss", |seen| seen.losses() == epoch as usize).await;
        probe.look(|seen| assert_whole(seen, epoch));
    }
    writing.abort();
    drop(connection);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_reported_while_a_consumer_that_blocks_stands_still() {
    let sim = Sim::builder().greet(false).updates_per_second(50.0).start().await.unwrap();
    let config = ConnectionConfig {
        liveness: Liveness { silence_threshold: Duration::from_millis(200), ..Default::default() },
        ..config(&sim)
    };
    let blocks = LaneConfig { frames: 4, overflow: Overflow::Block, ..LaneConfig::default() };
    let (sink, mut lane) = lane(blocks).unwrap();
    let event_lane = EventLane::default();
    let mut events = event_lane.subscribe();
    let connection = Connection::spawn(config, credentials(), sink, &event_lane, 0).unwrap();
    connection.subscribe(&[257], Mode::Full).unwrap();
    in_time("a full lane", async {
        sim.wait_until(|_| lane.stats().queued_frames == 4).await;
    })
    .await;
    // On a slow machine the simulator may have been silent before, and a socket lost for it.
    while events.try_recv().is_ok() {}
    let epoch = connection.status().epoch;
    sim.inject(API_KEY, Fault::Reset { at: 0 });
    let cause = in_time("the loss", async {
        loop {
            if let Event::Down { cause, .. } = events.recv().await.unwrap().event {
                return cause;
            }
        }
    })
    .await;
    let reset = LossCause::Io(std::io::ErrorKind::ConnectionReset);
    assert_eq!(cause, reset);
    assert_ne!(connection.status().phase, Phase::Parked);
    // What waits in the lane is still delivered, in order and before the loss.
    let mut sequences = Vec::new();
    loop {
        match in_time("an item", lane.recv()).await.unwrap() {
            LaneItem::Batch(batch) => sequences.push(batch.sequence),
            LaneItem::Down { cause, epoch: lost, .. } if lost == epoch => {
                assert_eq!(cause, reset);
                break;
            }
            LaneItem::Up { epoch: of, .. } | LaneItem::Down { epoch: of, .. } => {
                assert!(of <= epoch, "socket {of} before the loss of {epoch}");
            }
            LaneItem::Gap(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sequences.len(), 4);
    assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
    connection.close().await;
}
