//! Disconnects on demand, and the ends of sockets and simulators.

use std::time::Duration;

use futures_util::SinkExt;
use kite_sim::{MAX_INSTRUMENTS, Sim, universe};
use kite_wire::{Command, Mode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{Client, DEADLINE, quiet_sim, until};

const NSE: u32 = 408_065;

fn is_loss(end: &Option<Result<Message, Error>>) -> bool {
    matches!(end, None | Some(Err(Error::Io(_) | Error::Protocol(_))))
}

#[tokio::test]
async fn dropped_sockets_end_without_a_close_frame_and_free_their_slots() {
    let sim = quiet_sim().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(&sim).await);
    }
    sim.drop_all();
    assert_eq!(sim.stats().connections_open, 0);
    assert!(sim.subscriptions().is_empty());
    for client in &mut clients {
        let end = client.next().await;
        assert!(is_loss(&end), "{end:?}");
    }
    Client::connect(&sim).await;
}

#[tokio::test]
async fn closed_sockets_receive_the_close_code() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    sim.close_all(1_012);
    match client.message().await {
        Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Restart),
        other => panic!("{other:?}"),
    }
    // The client has sent its close frame; then the server ends TCP.
    assert!(matches!(client.next().await, None | Some(Err(Error::ConnectionClosed))));
    assert_eq!(sim.stats().connections_open, 0);
}

#[tokio::test]
async fn a_clients_close_is_answered() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.socket.close(None).await.unwrap();
    assert!(matches!(client.message().await, Message::Close(_)));
    until(&sim, |sim| sim.stats().connections_open == 0).await;
}

#[tokio::test]
async fn a_silent_socket_reads_but_sends_nothing() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    sim.go_silent(true);
    sim.send_text("lost");
    client.socket.send(Message::Ping("anyone?".into())).await.unwrap();
    client.say(Command::Subscribe(&[NSE])).await;
    until(&sim, |sim| sim.stats().commands_received == 1).await;
    sim.tick_now(&[NSE]);
    sim.pause().await;
    let stats = sim.stats();
    assert_eq!((stats.connections_open, stats.pings_received), (1, 1));
    assert_eq!((stats.frames_sent, stats.texts_sent), (0, 0));
    assert!(sim.sent().is_empty());

    // After healing, the first message is the one sent now.
    sim.go_silent(false);
    sim.tick_now(&[NSE]);
    assert_eq!(client.ticks().await.len(), 1);
    assert_eq!(sim.sent()[&NSE].ticks, 1);
}

#[tokio::test]
async fn a_silent_socket_does_not_even_close_but_notices_the_clients_end() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    sim.go_silent(true);
    client.socket.send(Message::Ping("anyone?".into())).await.unwrap();
    client.socket.close(None).await.unwrap();
    until(&sim, |sim| sim.stats().connections_open == 0).await;
    // Sockets opened later are not affected.
    let mut other = Client::connect(&sim).await;
    sim.send_text("hello");
    assert_eq!(other.text().await, "hello");
    let silence =
        timeout(Duration::from_millis(100), futures_util::StreamExt::next(&mut client.socket));
    assert!(silence.await.is_err(), "TCP stays until the client ends it");
}

#[tokio::test]
async fn a_silent_socket_whose_client_vanishes_frees_its_slot() {
    let sim = quiet_sim().await;
    let client = Client::connect(&sim).await;
    sim.go_silent(true);
    drop(client);
    until(&sim, |sim| sim.stats().connections_open == 0).await;
}

#[tokio::test]
async fn stop_ends_everything_and_keeps_the_counters() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[NSE])).await;
    client.ticks().await;
    // A connection that never sends anything does not hold it up either.
    let _mute = TcpStream::connect(sim.addr()).await.unwrap();
    sim.pause().await;
    timeout(DEADLINE, sim.stop()).await.unwrap();
    let end = client.next().await;
    assert!(is_loss(&end), "{end:?}");
    assert!(TcpStream::connect(sim.addr()).await.is_err());
    assert_eq!((sim.stats().ticks_sent, sim.stats().connections_open), (1, 0));
    timeout(DEADLINE, sim.stop()).await.unwrap();
}

#[tokio::test]
async fn dropping_the_simulator_ends_its_sockets() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    drop(sim);
    let end = client.next().await;
    assert!(is_loss(&end), "{end:?}");
}

/// Connects a client that leaves more unread than the operating system holds.
async fn blocked_client(sim: &Sim) -> Client {
    let mut client = Client::connect(sim).await;
    let tokens = universe(MAX_INSTRUMENTS);
    for _ in 0..30 {
        client.say(Command::Mode(Mode::Full, &tokens)).await;
        client.say(Command::Mode(Mode::Ltp, &tokens)).await;
    }
    until(sim, |sim| sim.stats().frames_sent > 0).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_cannot_hold_up_stop() {
    let sim = quiet_sim().await;
    let _client = blocked_client(&sim).await;
    timeout(DEADLINE, sim.stop()).await.unwrap();
    assert!(sim.stats().commands_received < 60, "the client was never blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_can_be_dropped() {
    let sim = quiet_sim().await;
    let _client = blocked_client(&sim).await;
    sim.drop_all();
    timeout(DEADLINE, sim.pause()).await.expect("its last frame is still being written");
    Client::connect(&sim).await;
}
