//! Clients that join and leave a moving market.

use std::time::Duration;

use kite_manager::{LaneConfig, StreamConfig, TickStream};
use kite_wire::Mode;

use crate::client::{Client, Packets};
use crate::stage::{relay, sim, started, until};

/// Takes what is queued.
fn take(stream: &mut TickStream, packets: &mut Packets) {
    while let Ok(item) = stream.try_recv() {
        for packet in item.packets() {
            let of_token = packets.entry(packet.instrument_token()).or_default();
            of_token.push(packet.as_bytes().to_vec());
        }
    }
}

/// Each client's packets of an instrument are a run of those that the relay received: the first is
/// the newest at that time, none is missing after it, and none is older than the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_its_snapshot_on_a_client_misses_nothing_until_the_relay_stops() {
    let sim = sim(|it| it.updates_per_second(200.0)).await;
    let manager = started(&sim).await;
    let tokens: Vec<u32> = (1..=20).map(|number| number << 8 | 1).collect();
    let fixed: Vec<_> = tokens.iter().map(|&token| (token, Mode::Full)).collect();
    let relay = relay().instruments(&fixed).start(&manager).await.unwrap();
    let lane = LaneConfig { frames: 1 << 20, bytes: 1 << 30, ..LaneConfig::default() };
    let stream = StreamConfig { lane, ..StreamConfig::default() };
    let (mut stream, mut sent) = (manager.stream(stream).unwrap(), Packets::new());
    until("full packets", || {
        take(&mut stream, &mut sent);
        sent.len() == tokens.len() && sent.values().all(|it| it.iter().any(|it| it.len() == 184))
    })
    .await;
    let mut clients = Vec::new();
    for (number, mode) in Mode::ALL.into_iter().cycle().take(6).enumerate() {
        let mut client = Client::connect(&relay, ["one", "two"][number % 2]).await;
        client.mode(mode, &tokens[number..]).await;
        client.read_until("snapshots", |it| it.packets.len() == tokens.len() - number).await;
        clients.push((mode, client));
    }
    for (_, client) in &mut clients {
        client.read_until("ticks", |it| it.packets.values().all(|it| it.len() > 50)).await;
    }
    let stopping = relay.stop(Duration::from_secs(20));
    let reading = clients.into_iter().map(async |(mode, mut client)| {
        client.read_to_end().await.unwrap();
        (mode, client.packets)
    });
    let (stopped, received) = tokio::join!(stopping, futures_util::future::join_all(reading));
    take(&mut stream, &mut sent);
    assert!(stopped.is_complete, "{stopped:?}");
    let count: usize = received.iter().flat_map(|(_, it)| it.values()).map(Vec::len).sum();
    let stats = stopped.stats;
    assert_eq!((stats.ticks_queued, stats.ticks_out), (count as u64, count as u64));
    assert_eq!(stats.ticks_missed, 0);
    for (mode, packets) in received {
        for (token, packets) in packets {
            let cut = |full: &Vec<u8>| full[..packets[0].len()].to_vec();
            let all = sent[&token].iter().filter(|it| it.len() == 184).map(cut);
            let all: Vec<_> = all.collect();
            let is_run = all.windows(packets.len()).any(|run| run == packets);
            assert!(is_run, "{token} in {mode:?}");
        }
    }
}
