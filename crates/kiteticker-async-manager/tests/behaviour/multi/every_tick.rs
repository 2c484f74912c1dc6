//! 18,000 instruments on six connections, where every tick sent is received exactly once, tagged
//! with its account.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_sim::universe;
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{ApiKeyId, ChannelId, Mode, TickerMessage};
use tokio::sync::broadcast::Receiver;

use super::{Tagged, manager, sim, start, up_to_marks};
use crate::rig::{Tally, add_ticks, all_in, held, mark, until, up_to_mark, within};

async fn unified_tallies(mut channel: Receiver<Tagged>) -> BTreeMap<ApiKeyId, Tally> {
    let mut tallies: BTreeMap<ApiKeyId, Tally> = BTreeMap::new();
    for (api, message) in up_to_marks(&mut channel, 6).await {
        add_ticks(tallies.entry(api).or_default(), &[message]);
    }
    tallies
}

async fn tally(mut channel: Receiver<TickerMessage>) -> Tally {
    let mut tally = Tally::new();
    add_ticks(&mut tally, &up_to_mark(&mut channel).await);
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tick_of_eighteen_thousand_instruments_arrives_once_with_its_account() {
    let sim = sim().heartbeat_every(Duration::from_millis(50)).start().await.unwrap();
    let mut manager = manager(&sim, 2).build();
    start(&mut manager).await;
    assert_eq!(sim.stats().connections_open, 6);

    let tokens = universe(18_000);
    manager.subscribe_symbols(&tokens, Some(Mode::Quote)).await.unwrap();
    let distribution = manager.get_symbol_distribution();
    assert_eq!(distribution.len(), 2);
    for connections in distribution.values() {
        assert_eq!(connections.len(), 3);
        assert!(connections.values().all(|instruments| instruments.len() == 3_000));
    }
    let error = manager.subscribe_symbols(&[u32::MAX], None).await.unwrap_err();
    assert!(error.contains("1 more instruments requested, 0 free on 6 connections"), "{error}");

    let unified = tokio::spawn(unified_tallies(manager.get_unified_channel()));
    let mut channels = Vec::new();
    for api in manager.get_api_keys() {
        for id in ChannelId::all() {
            let channel = manager.get_channel(api.clone(), id).unwrap();
            channels.push((api.clone(), id, tokio::spawn(tally(channel))));
        }
    }
    let modes = all_in(kite_wire::Mode::Quote, &tokens);
    until(&sim, "18,000 subscriptions", |sim| held(sim) == modes).await;
    // The snapshots, then about one update of each instrument.
    until(&sim, "updates", |sim| sim.stats().ticks_sent >= 36_000).await;
    within("the pause", sim.pause()).await;
    let sent = sim.sent();
    assert_eq!(sent.len(), 18_000);
    mark(&sim);

    let unified = within("the ticks", unified).await.unwrap();
    assert_eq!(unified.len(), 2);
    for (api, tally) in &unified {
        let mut has: Vec<u32> = distribution[api].values().flatten().copied().collect();
        has.sort_unstable();
        assert!(tally.keys().copied().eq(has), "{api} does not match its subscriptions");
    }
    let received: Tally = unified.into_values().flatten().collect();
    assert!(received == sent, "the unified channel does not match what was sent");

    let mut received = Tally::new();
    for (api, id, channel) in channels {
        let tally = within("the ticks", channel).await.unwrap();
        assert!(tally.keys().copied().eq(distribution[&api][&id.to_index()].iter().copied()));
        received.extend(tally);
    }
    assert!(received == sent, "the channels do not match what was sent");

    let stats = manager.get_stats().await;
    assert_eq!((stats.total_api_keys, stats.total_connections), (2, 6));
    assert_eq!((stats.total_symbols, stats.total_errors), (18_000, 0));
    within("the stop", manager.stop()).await.unwrap();
    let (sent, stats) = (sim.stats(), manager.get_stats().await);
    let all = sent.frames_sent + sent.heartbeats_sent + sent.texts_sent;
    assert_eq!((stats.total_messages_received, stats.total_messages_parsed), (all, all));
}
