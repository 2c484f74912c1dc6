//! Starting, stopping, restarting and dropping, and the statistics of each run.

use std::time::Duration;

use kite_sim::universe;
use kiteticker_async_manager::{ChannelId, Mode, TickerMessage};
use tokio::sync::broadcast::error::RecvError;

use super::{manager, quiet_sim, sim, start, up_to_marks};
use crate::rig::{held, mark, until, within};

#[tokio::test]
async fn stop_ends_every_channel_and_the_next_start_uses_new_ones() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).max_connections_per_api(2).build();
    let tokens = universe(8);
    manager.subscribe_symbols(&tokens, None).await.unwrap();
    for _ in 0..2 {
        let mut channel = manager.get_unified_channel();
        let mut one = manager.get_channel("second", ChannelId::Connection2).unwrap();
        start(&mut manager).await;
        start(&mut manager).await;
        assert_eq!(sim.stats().connections_open, 4);
        until(&sim, "the subscriptions", |sim| held(sim).len() == 8).await;
        within("the stop", manager.stop()).await.unwrap();
        assert_eq!(sim.stats().connections_open, 0);

        let (mut closed, mut ticks) = (Vec::new(), 0);
        let end = loop {
            match within("the end", channel.recv()).await {
                Ok((api, TickerMessage::ClosingMessage(message))) => {
                    closed.push((api.0, message["connection"].as_u64().unwrap()));
                }
                Ok((_, TickerMessage::Ticks(batch))) => ticks += batch.len(),
                Ok(other) => panic!("{other:?}"),
                Err(end) => break end,
            }
        };
        assert_eq!((end, ticks), (RecvError::Closed, 8));
        let closed: Vec<(&str, u64)> =
            closed.iter().map(|(api, number)| (api.as_str(), *number)).collect();
        assert_eq!(closed, [("first", 1), ("first", 2), ("second", 1), ("second", 2)]);
        let last = async {
            let mut last = None;
            while let Ok(message) = one.recv().await {
                last = Some(message);
            }
            last
        };
        let last = within("the end", last).await;
        assert!(matches!(last, Some(TickerMessage::ClosingMessage(_))), "{last:?}");
        assert_eq!(manager.get_stats().await.total_connections, 0);
    }
}

#[tokio::test]
async fn dropping_the_manager_closes_the_sockets_of_all_accounts_and_ends_the_channel() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 3).max_connections_per_api(1).build();
    let mut channel = manager.get_unified_channel();
    start(&mut manager).await;
    drop(manager);
    assert_eq!(within("the end", channel.recv()).await.unwrap_err(), RecvError::Closed);
    until(&sim, "closed sockets", |sim| sim.stats().connections_open == 0).await;
}

#[tokio::test]
async fn channels_exist_only_for_the_connections_of_the_accounts() {
    let sim = quiet_sim().await;
    let manager = manager(&sim, 2).max_connections_per_api(2).build();
    for account in ["first", "second"] {
        assert!(manager.get_channel(account, ChannelId::Connection1).is_some());
        assert!(manager.get_channel(account, ChannelId::Connection2).is_some());
        assert!(manager.get_channel(account, ChannelId::Connection3).is_none());
    }
    assert!(manager.get_channel("third", ChannelId::Connection1).is_none());
}

#[tokio::test]
async fn the_first_receiver_of_the_unified_channel_gets_the_first_snapshot() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).build();
    manager.subscribe_symbols(&universe(12), None).await.unwrap();
    start(&mut manager).await;
    until(&sim, "the snapshots", |sim| sim.stats().ticks_sent == 12).await;
    mark(&sim);
    let mut channel = manager.get_unified_channel();
    let messages = up_to_marks(&mut channel, 6).await;
    let ticks = messages.iter().map(|(_, message)| match message {
        TickerMessage::Ticks(ticks) => ticks.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(ticks.sum::<usize>(), 12);
    assert!(
        manager.get_unified_channel().is_empty(),
        "only the first receiver gets earlier messages"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counts_of_each_account_match_the_simulators() {
    let sim = sim().updates_per_second(20.0).no_heartbeats().start().await.unwrap();
    let mut manager = manager(&sim, 2).build();
    let mut channel = manager.get_unified_channel();
    manager.subscribe_symbols_to_api("first", &universe(60), Some(Mode::Full)).await.unwrap();
    manager.subscribe_symbols_to_api("second", &universe(20), Some(Mode::LTP)).await.unwrap();
    start(&mut manager).await;
    until(&sim, "updates", |sim| sim.stats().ticks_sent > 1_000).await;
    within("the pause", sim.pause()).await;
    mark(&sim);
    up_to_marks(&mut channel, 6).await;
    // Two greetings and the mark on each socket, counted slightly after they can be received.
    until(&sim, "the text frames", |sim| sim.stats().texts_sent == 18).await;

    let stats = manager.get_stats().await;
    assert!(stats.uptime > Duration::ZERO);
    let mut frames = 0;
    for (api, key) in [("first", "first_key"), ("second", "second_key")] {
        let its: usize = sim.sockets(key).iter().map(|socket| socket.frames()).sum();
        frames += its;
        let of_one = manager.get_api_stats(api).await.unwrap();
        assert_eq!((of_one.api_key_id.as_str(), of_one.active_connections), (api, 3));
        assert_eq!(of_one.total_messages_received, its as u64 + 9);
        assert_eq!(of_one.total_messages_parsed, of_one.total_messages_received);
        let ids: Vec<usize> = of_one.connection_stats.iter().map(|it| it.connection_id).collect();
        assert_eq!(ids, [0, 1, 2]);
        let symbols: usize = of_one.connection_stats.iter().map(|it| it.symbol_count).sum();
        assert_eq!(symbols, of_one.total_symbols);
    }
    assert_eq!(stats.total_messages_received, frames as u64 + 18);
    let error = manager.get_api_stats("third").await.unwrap_err();
    assert_eq!(error, "get stats: no account is named third");
}

#[tokio::test]
async fn before_the_start_the_statistics_contain_only_the_accounts() {
    let sim = quiet_sim().await;
    let manager = manager(&sim, 3).build();
    let names: Vec<String> = manager.get_api_keys().into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["first", "second", "third"]);
    let stats = manager.get_stats().await;
    assert_eq!((stats.total_api_keys, stats.total_connections, stats.total_symbols), (3, 0, 0));
    assert_eq!((stats.total_messages_received, stats.uptime), (0, Duration::ZERO));
    assert_eq!(stats.per_api_stats[2].api_key_id, "third");
}
