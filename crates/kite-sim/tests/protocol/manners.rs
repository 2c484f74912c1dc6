//! Lasting faults, with which a socket sends or reads less than it should.

use std::num::NonZeroU32;
use std::time::Duration;

use kite_sim::{API_KEY, Fault, FaultKind, Sim, SocketEnd};
use kite_wire::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::bare::{BINARY, Bare, CLOSE, Door, PING, PONG, TEXT, masked};
use crate::client::until;

const NSE: u32 = 408_065;
const SECOND: Duration = Duration::from_secs(1);

/// Returns a simulator with a heartbeat and an update each second, and a client of it.
async fn lively() -> (Sim, Bare) {
    let sim = Sim::builder().updates_per_second(1.0).greet(false).start().await.unwrap();
    let (client, _) = Bare::subscribed(&sim, Door::Memory, &[NSE]).await;
    (sim, client)
}

/// Returns opcode and length of each frame received within a time.
async fn received(client: &mut Bare, time: Duration) -> Vec<(u8, usize)> {
    let mut received = Vec::new();
    let listen = async {
        loop {
            let (opcode, payload) = client.frame().await;
            received.push((opcode, payload.len()));
        }
    };
    assert!(timeout(time, listen).await.is_err());
    received
}

async fn strike(sim: &Sim, fault: Fault) {
    let kind = fault.kind();
    assert_eq!(sim.inject(API_KEY, fault), 1);
    until(sim, |sim| sim.stats().faults.get(&kind) == Some(&1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_open_socket_sends_nothing_and_reads_everything() {
    let (sim, mut client) = lively().await;
    strike(&sim, Fault::HalfOpen).await;
    client.say(PING, b"anyone?").await;
    client.say(TEXT, Command::Subscribe(&[NSE + 256]).to_string().as_bytes()).await;
    assert_eq!(received(&mut client, SECOND * 15).await, []);
    assert_eq!((sim.stats().pings_received, sim.subscriptions()[0].len()), (1, 2));
    // A fault that needs to send is ignored.
    sim.inject(API_KEY, Fault::Burst { frames: 3 });
    sim.inject(API_KEY, Fault::UnknownText);
    sim.heal(API_KEY);
    assert!(received(&mut client, SECOND * 3).await.contains(&(BINARY, 1)));
    assert_eq!(sim.stats().faults, [(FaultKind::HalfOpen, 1)].into());
    // Updates due in between were not caught up on.
    assert!(sim.stats().ticks_sent <= 8, "{:?}", sim.stats());
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_delays_every_frame_until_it_is_healed() {
    let sim = Door::Memory.quiet_sim().await;
    let mut client = Bare::connect(&sim, Door::Memory).await;
    let bytes_per_second = NonZeroU32::new(100).unwrap();
    strike(&sim, Fault::SlowLink { bytes_per_second }).await;
    let timed = async |client: &mut Bare| {
        let sent = Instant::now();
        let frame = client.frame().await;
        (frame.1.len(), sent.elapsed())
    };
    sim.send_binary(vec![0; 1_000]);
    let (bytes, took) = timed(&mut client).await;
    assert_eq!(bytes, 1_000);
    assert!((SECOND * 9..SECOND * 11).contains(&took), "{took:?}");
    // A frame that is being sent is not delayed further.
    sim.send_binary(vec![0; 1_000]);
    tokio::time::sleep(SECOND).await;
    sim.heal(API_KEY);
    assert!(timed(&mut client).await.1 < SECOND);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_only_sends_no_ticks() {
    let (sim, mut client) = lively().await;
    strike(&sim, Fault::HeartbeatsOnly).await;
    let ticks = sim.stats().ticks_sent;
    sim.send_text("lost");
    client.say(PING, b"").await;
    let received = received(&mut client, SECOND * 10 + SECOND / 2).await;
    assert_eq!(received.iter().filter(|&&frame| frame == (BINARY, 1)).count(), 10);
    assert_eq!(received.iter().filter(|&&frame| frame == (PONG, 0)).count(), 1);
    assert_eq!(received.len(), 11);
    assert_eq!(sim.stats().ticks_sent, ticks);
}

#[tokio::test(start_paused = true)]
async fn pongs_only_answer_pings_and_closes() {
    let (sim, mut client) = lively().await;
    strike(&sim, Fault::PongsOnly).await;
    client.say(PING, b"there?").await;
    assert_eq!(received(&mut client, SECOND * 15).await, [(PONG, 6)]);
    // A weaker fault does not undo a stronger one.
    strike(&sim, Fault::HalfOpen).await;
    sim.inject(API_KEY, Fault::HeartbeatsOnly);
    assert_eq!(received(&mut client, SECOND * 15).await, []);
    sim.heal(API_KEY);
    strike(&sim, Fault::HeartbeatsOnly).await;
    client.say(CLOSE, &[]).await;
    let (rest, end) = client.rest().await;
    assert_eq!((rest.last_chunk(), end), (Some(&[0x88, 0]), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_stops_reading_still_sends() {
    let (sim, client) = lively().await;
    strike(&sim, Fault::StopsReading).await;
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    // More than the connection holds in flight, so it fits only if the simulator reads.
    let pings = masked(PING, &[7; 125]).repeat(1_000);
    let writing = tokio::spawn(async move {
        writer.write_all(&pings).await.unwrap();
        writer
    });
    let mut bytes = Vec::new();
    let listen = reader.read_to_end(&mut bytes);
    assert!(timeout(SECOND * 20 + SECOND / 2, listen).await.is_err());
    assert_eq!(bytes.windows(3).filter(|bytes| *bytes == [0x82, 1, 0]).count(), 20);
    assert_eq!(sim.stats().pings_received, 0);
    assert!(!writing.is_finished(), "the simulator read");

    sim.heal(API_KEY);
    let listen = reader.read_to_end(&mut bytes);
    assert!(timeout(SECOND, listen).await.is_err());
    writing.await.unwrap();
    assert_eq!(sim.stats().pings_received, 1_000);
}

#[tokio::test]
async fn a_socket_that_stops_reading_fills_the_buffers_of_tcp() {
    let sim = Door::Tcp.quiet_sim().await;
    let mut client = Bare::connect(&sim, Door::Tcp).await;
    strike(&sim, Fault::StopsReading).await;
    // Commands that need no reply, more than any loopback buffer holds.
    let commands = masked(TEXT, &[b' '; 60_000]).repeat(400);
    let mut left = commands.as_slice();
    let fill = async {
        while !left.is_empty() {
            let written = client.stream.write(left).await.unwrap();
            left = &left[written..];
        }
    };
    assert!(timeout(Duration::from_millis(500), fill).await.is_err(), "the simulator read");
    sim.heal(API_KEY);
    client.stream.write_all(left).await.unwrap();
    until(&sim, |sim| sim.stats().ignored_commands == 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_socket_neither_reads_nor_sends_but_frees_its_slot() {
    let (sim, mut client) = lively().await;
    strike(&sim, Fault::Stalls).await;
    client.say(PING, b"anyone?").await;
    assert_eq!(received(&mut client, SECOND * 15).await, []);
    assert_eq!(sim.stats().pings_received, 0);
    drop(client);
    until(&sim, |sim| sim.stats().connections_open == 0).await;
    assert_eq!(sim.sockets(API_KEY)[0].end, Some(SocketEnd::ClientGone));
}

#[tokio::test]
async fn a_stalled_tcp_socket_whose_client_vanishes_frees_its_slot() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        let mut client = Bare::connect(&sim, door).await;
        strike(&sim, Fault::Stalls).await;
        client.say(PING, b"never read").await;
        drop(client);
        until(&sim, |sim| sim.stats().connections_open == 0).await;
    }
}
