//! A manager as the client of a relay, over TLS.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_manager::{
    Credentials, Endpoint, LaneConfig, Manager, StreamConfig, StreamItem, TickStream, Tls,
};
use kite_relay::{Relay, SlowClients};
use kite_wire::Mode;
use tempfile::TempDir;

use crate::client::Packets;
use crate::identity::write_identity;
use crate::stage::{relay, sim, started, until};

const INSTRUMENTS: u32 = 100;

/// Takes what is queued.
fn take(stream: &mut TickStream, packets: &mut Packets) {
    while let Ok(item) = stream.try_recv() {
        assert!(!matches!(item, StreamItem::Dropped { .. }), "{item:?}");
        for packet in item.packets() {
            let of_token = packets.entry(packet.instrument_token()).or_default();
            of_token.push(packet.as_bytes().to_vec());
        }
    }
}

fn unbounded() -> StreamConfig {
    let lane = LaneConfig { frames: 1 << 20, bytes: 1 << 30, ..LaneConfig::default() };
    StreamConfig { lane, ..StreamConfig::default() }
}

async fn client(relay: &Relay, root: &[u8]) -> Manager {
    let tls = Tls::only([root]).unwrap();
    let manager = Manager::builder()
        .endpoint(Endpoint::parse(&relay.endpoint()).unwrap())
        .account("downstream", Credentials::new("one_key", "one_token"))
        .stagger(Duration::from_millis(1))
        .connection(|it| it.transport.tls = tls)
        .build()
        .unwrap();
    manager.start().await.unwrap();
    manager
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_behind_a_relay_receives_the_packets_of_the_one_before_it() {
    let sim = sim(|it| it.updates_per_second(50.0)).await;
    let upstream = started(&sim).await;
    let directory = TempDir::new().unwrap();
    let (files, root) = write_identity(&directory);
    let relay = relay().policy(SlowClients::Block).tls(files).start(&upstream).await.unwrap();
    assert!(relay.endpoint().starts_with("wss://127.0.0.1:"));
    let downstream = client(&relay, &root).await;
    let tokens: Vec<u32> = (1..=INSTRUMENTS).map(|number| number << 8 | 1).collect();
    let (mut before, mut after) =
        (upstream.stream(unbounded()).unwrap(), downstream.stream(unbounded()).unwrap());
    downstream.subscribe(&tokens, Mode::Full).unwrap();
    let (mut sent, mut received) = (Packets::new(), Packets::new());
    until("ticks", || {
        take(&mut after, &mut received);
        received.len() == tokens.len() && received.values().all(|it| it.len() > 100)
    })
    .await;
    sim.pause().await;
    let last = |packets: &Packets| -> BTreeMap<u32, Option<Vec<u8>>> {
        packets.iter().map(|(&token, packets)| (token, packets.last().cloned())).collect()
    };
    // The simulator has stopped; what is on its way arrives.
    until("the same end", || {
        take(&mut before, &mut sent);
        take(&mut after, &mut received);
        last(&sent) == last(&received)
    })
    .await;
    for token in tokens {
        let mut full: Vec<_> = sent[&token].iter().filter(|it| it.len() == 184).collect();
        let all: Vec<_> = received[&token].iter().collect();
        // The client's connections may have been subscribed after the first packets.
        full.drain(..full.len().saturating_sub(all.len()));
        assert_eq!(full, all);
    }
    assert_eq!(relay.stats().ticks_missed, 0);
    downstream.stop().await;
}
