//! Received packets equal those sent, and the same seed sends the same bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_sim::{Instrument, Sent, Sim, universe};
use kite_wire::{Command, Frame, Mode};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, quiet_sim, until};

/// Adds up packets until the text frame that ends the run.
async fn received(mut client: Client) -> BTreeMap<u32, Sent> {
    let mut received = BTreeMap::<u32, Sent>::new();
    loop {
        match client.message().await {
            Message::Binary(frame) => {
                let frame = Frame::walk(&frame);
                assert_eq!((frame.fault(), frame.skipped()), (None, 0));
                for packet in frame.packets() {
                    let sent = received.entry(packet.instrument_token()).or_default();
                    sent.add(packet.as_bytes());
                }
            }
            Message::Text(_) => return received,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_after_a_pause_equal_those_of_three_clients() {
    let sim = Sim::builder().heartbeat_every(Duration::from_millis(20)).greet(false);
    let sim = sim.start().await.unwrap();
    let tokens = universe(9_000);
    let mut clients = Vec::new();
    for share in tokens.chunks(3_000) {
        let mut client = Client::connect(&sim).await;
        client.say(Command::Subscribe(share)).await;
        client.say(Command::Mode(Mode::Full, &share[..1_000])).await;
        client.say(Command::Mode(Mode::Ltp, &share[2_000..])).await;
        clients.push(tokio::spawn(received(client)));
    }
    let held = |sim: &Sim| sim.subscriptions().iter().map(BTreeMap::len).sum::<usize>();
    until(&sim, |sim| held(sim) == 9_000).await;
    // Snapshots of 9,000 and of 6,000 whose mode changed, then about three updates of each.
    until(&sim, |sim| sim.stats().ticks_sent >= 15_000 + 27_000).await;
    sim.pause().await;
    let sent = sim.sent();
    sim.send_text("the end");

    let mut sum = BTreeMap::new();
    for client in clients {
        sum.extend(client.await.unwrap());
    }
    assert_eq!(sent.len(), 9_000);
    assert!(sum == sent, "the clients did not receive what was sent");
    assert_eq!(sent.values().map(|sent| sent.ticks).sum::<u64>(), sim.stats().ticks_sent);
    assert_eq!(sim.sent(), sent);
}

/// Returns the first packets of each instrument, subscribed and updated in this order.
async fn first_packets(seed: u64, tokens: &[u32], rate: f64) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let sim = Sim::builder().seed(seed).updates_per_second(rate).no_heartbeats().greet(false);
    let sim = sim.start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    for &token in tokens {
        client.say(Command::Mode(Mode::Full, &[token])).await;
    }
    let mut packets = BTreeMap::<u32, Vec<Vec<u8>>>::new();
    while packets.len() < tokens.len() || packets.values().any(|packets| packets.len() < 6) {
        let frame = client.binary().await;
        for body in Frame::walk(&frame).bodies() {
            let token = u32::from_be_bytes(body[..4].try_into().unwrap());
            packets.entry(token).or_default().push(body.to_vec());
        }
    }
    packets.values_mut().for_each(|packets| packets.truncate(6));
    packets
}

#[tokio::test]
async fn the_same_seed_sends_the_same_bytes_per_instrument() {
    let tokens = universe(40);
    let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
    let first = first_packets(7, &tokens, 30.0).await;
    assert_eq!(first, first_packets(7, &reversed, 90.0).await);
    assert_ne!(first, first_packets(8, &tokens, 30.0).await);
    // The packets are the walk of a single instrument, from its first step on.
    for (&token, packets) in &first {
        let mut instrument = Instrument::new(7, token, 1_754_279_100);
        for packet in packets {
            let mut expected = [0; 184];
            let length = instrument.tick(Mode::Full).encode(&mut expected).unwrap();
            assert_eq!(packet, &expected[..length]);
            instrument.advance();
        }
    }
}

#[tokio::test]
async fn one_update_on_demand_is_one_step() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[408_065, 884_737])).await;
    let snapshot = client.ticks().await;
    sim.tick_now(&[884_737, 738_561]);
    sim.pause().await;
    let update = client.ticks().await;
    assert_eq!(update.len(), 1);
    let (before, after) = (snapshot[1].quote().unwrap(), update[0].quote().unwrap());
    assert_eq!(after.volume, before.volume + after.last_quantity);
    assert_eq!(sim.sent().values().map(|sent| sent.ticks).collect::<Vec<_>>(), [1, 2]);
}
