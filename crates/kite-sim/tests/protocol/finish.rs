//! An end at which no client loses what was sent to it.

use std::time::Duration;

use kite_sim::{API_KEY, Fault, Sim, SocketEnd};
use kite_wire::Command;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::MaybeTlsStream;

use crate::bare::{BINARY, Bare, CLOSE, Door, TEXT};
use crate::client::{Client, DEADLINE, quiet_sim, until};

const REASON: &str = "the tape has ended";
/// More than the buffers of a connection hold.
const FRAMES: usize = 400;
const FRAME_BYTES: usize = 32 * 1_024;

/// Ends a simulator with a deadline, and returns how the unfinished sockets ended.
async fn finish(sim: &Sim, linger: Duration) -> Vec<Option<SocketEnd>> {
    let unfinished = timeout(DEADLINE, sim.finish(REASON, linger)).await.expect("it ends");
    assert!(unfinished.iter().all(|record| record.peer.is_some()), "{unfinished:?}");
    unfinished.iter().map(|record| record.end).collect()
}

/// Returns the payload of the close frame.
fn close_payload() -> Vec<u8> {
    [1_001_u16.to_be_bytes().as_slice(), REASON.as_bytes()].concat()
}

#[tokio::test]
async fn a_client_that_reads_late_receives_everything_and_then_the_close_frame() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        let mut client = Bare::connect(&sim, door).await;
        for _ in 0..FRAMES {
            sim.send_binary(vec![0; FRAME_BYTES]);
        }
        let read = async {
            for number in 0..FRAMES {
                // Bytes that the server has not read when it closes the socket would reset it.
                client.say(TEXT, b"ignored").await;
                let frame = client.frame_of(BINARY).await;
                assert_eq!(frame.len(), FRAME_BYTES, "{door:?}, frame {number}");
            }
            assert_eq!(client.frame_of(CLOSE).await, close_payload());
            client.say(TEXT, b"ignored").await;
            client.say(CLOSE, &1_001_u16.to_be_bytes()).await;
            assert_eq!(client.rest().await, (Vec::new(), Ok(())), "{door:?}");
            drop(client);
        };
        let (unfinished, ()) = tokio::join!(sim.finish(REASON, DEADLINE), read);
        assert!(unfinished.is_empty(), "{door:?}: {unfinished:?}");
        assert_eq!(sim.sockets(API_KEY)[0].end, Some(SocketEnd::Closed));
    }
}

#[tokio::test]
async fn a_client_that_stays_is_waited_for_until_the_deadline_and_named() {
    let sim = quiet_sim().await;
    let client = Client::connect(&sim).await;
    let MaybeTlsStream::Plain(stream) = client.socket.get_ref() else { panic!("TLS") };
    let address = stream.local_addr().unwrap();
    let (begun, linger) = (Instant::now(), Duration::from_millis(50));
    assert_eq!(finish(&sim, linger).await, [Some(SocketEnd::ClientStayed)]);
    assert!(begun.elapsed() >= linger);
    assert_eq!(sim.unfinished()[0].peer, Some(address));
}

#[tokio::test]
async fn a_client_that_has_answered_the_close_frame_has_read_everything() {
    let sim = quiet_sim().await;
    let mut client = Bare::connect(&sim, Door::Tcp).await;
    let answer = async {
        assert_eq!(client.frame_of(CLOSE).await, close_payload());
        client.say(CLOSE, &1_001_u16.to_be_bytes()).await;
        until(&sim, |sim| sim.sockets(API_KEY)[0].end == Some(SocketEnd::Closed)).await;
        sim.stop().await;
    };
    let (ends, ()) = tokio::join!(finish(&sim, Duration::MAX), answer);
    assert_eq!(ends, []);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_named_although_its_close_frame_was_never_sent() {
    let sim = quiet_sim().await;
    let _client = Client::connect(&sim).await;
    for _ in 0..FRAMES {
        sim.send_binary(vec![0; FRAME_BYTES]);
    }
    let ends = finish(&sim, Duration::from_millis(50)).await;
    assert_eq!(ends, [Some(SocketEnd::ClientStayed)]);
    let record = &sim.unfinished()[0];
    assert!(record.frames() < FRAMES);
    if cfg!(target_os = "linux") {
        let unread = record.unread_bytes.unwrap();
        assert!(unread >= (record.frames() * FRAME_BYTES) as u64, "{unread} of {record:?}");
    }
}

#[tokio::test]
async fn a_reset_is_named_whenever_it_occurs_and_a_plain_end_is_not() {
    let sim = quiet_sim().await;
    drop(Client::connect(&sim).await);
    until(&sim, |sim| sim.stats().connections_open == 0).await;
    // To this one nothing was sent.
    reset(Client::connect(&sim).await);
    until(&sim, |sim| sim.stats().connections_open == 0).await;
    let early = Client::connect(&sim).await;
    sim.send_text("{}");
    until(&sim, |sim| sim.stats().texts_sent == 1).await;
    reset(early);
    until(&sim, |sim| sim.stats().connections_open == 0).await;
    let late = Client::connect(&sim).await;
    sim.send_binary(vec![0, 0]);
    let ends = async {
        let mut late = late;
        assert_eq!(late.binary().await.len(), 2);
        assert!(late.message().await.is_close());
        reset(late);
    };
    let (ends, ()) = tokio::join!(finish(&sim, DEADLINE), ends);
    // The last would answer the close frame with its next read.
    assert_eq!(ends, [Some(SocketEnd::ClientReset); 2]);
    assert_eq!(sim.unfinished().iter().map(|record| record.id).collect::<Vec<_>>(), [2, 3]);
}

/// Resets a connection, as the operating system does if a program ends with unread bytes.
fn reset(client: Client) {
    let MaybeTlsStream::Plain(stream) = client.socket.get_ref() else { panic!("TLS") };
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn new_sockets_are_refused_and_a_stop_ends_the_wait() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    let finish = async {
        let mut finish = std::pin::pin!(finish(&sim, Duration::MAX));
        tokio::select! {
            _ = &mut finish => panic!("the client is still there"),
            message = client.message() => assert!(message.is_close()),
        }
        assert!(Client::try_connect(&sim, API_KEY, "any").await.is_err());
        tokio::join!(finish, sim.stop()).0
    };
    assert_eq!(finish.await, [Some(SocketEnd::ClientStayed)]);
    assert!(self::finish(&sim, Duration::MAX).await.len() == 1, "it has ended already");
}

#[tokio::test]
async fn a_server_that_is_down_finishes_immediately() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[408_065])).await;
    sim.inject(API_KEY, Fault::Restart { down: Duration::from_secs(86_400) });
    until(&sim, |sim| sim.sockets(API_KEY)[0].end.is_some()).await;
    assert!(finish(&sim, Duration::MAX).await.is_empty());
}
