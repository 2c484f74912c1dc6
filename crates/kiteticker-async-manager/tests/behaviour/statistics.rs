//! The manager's counters match the simulator's.

use std::time::{Duration, Instant};

use kite_sim::{Sim, universe};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{ChannelId, Mode};

use crate::rig::{
    all_in, held, manager, mark, next_ticks, only_channel, quiet_sim, start, until, until_manager,
    up_to_mark, within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_equal_the_simulators_while_updates_are_paused() {
    let builder = Sim::builder().updates_per_second(20.0).no_heartbeats();
    let sim = builder.start().await.unwrap();
    let mut manager = manager(&sim).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    let started = Instant::now();
    let tokens = universe(301);
    manager.subscribe_symbols(&tokens, Some(Mode::Full)).await.unwrap();
    let modes = all_in(kite_wire::Mode::Full, &tokens);
    until(&sim, "301 subscriptions", |sim| held(sim) == modes).await;
    // Rates are computed over at least 200 ms.
    until(&sim, "300 ms of updates", |sim| {
        sim.stats().ticks_sent > 3_000 && started.elapsed() > Duration::from_millis(300)
    })
    .await;
    within("the pause", sim.pause()).await;
    mark(&sim);
    for (_, channel) in &mut channels {
        up_to_mark(channel).await;
    }
    // A text frame is counted as sent slightly after it can be received.
    until(&sim, "two greetings and a mark each", |sim| sim.stats().texts_sent == 9).await;

    let sent = sim.stats();
    let stats = manager.get_stats().await.unwrap();
    assert_eq!(stats.total_messages_received, sent.frames_sent + sent.texts_sent);
    assert_eq!(stats.total_messages_parsed, stats.total_messages_received);
    assert_eq!((stats.total_errors, stats.total_symbols, stats.active_connections), (0, 301, 3));
    assert!(stats.uptime >= started.elapsed().min(Duration::from_millis(300)));
    let mut symbols = Vec::new();
    for (index, connection) in stats.connection_stats.iter().enumerate() {
        assert_eq!((connection.connection_id, connection.is_connected), (index, true));
        assert!(connection.messages_received > 3);
        assert_eq!(connection.messages_parsed, connection.messages_received);
        assert!(connection.last_message_time.is_some_and(|time| time >= started - stats.uptime));
        assert!(connection.average_latency > Duration::ZERO);
        assert!(connection.connection_uptime > Duration::ZERO);
        assert!(connection.connection_uptime <= stats.uptime);
        symbols.push(connection.symbol_count);
    }
    assert_eq!(symbols.iter().sum::<usize>(), 301);
    assert!(symbols.iter().all(|count| (90..=110).contains(count)), "{symbols:?}");
    let sum = |field: fn(&kiteticker_async_manager::manager::ConnectionStats) -> u64| {
        stats.connection_stats.iter().map(field).sum::<u64>()
    };
    assert_eq!(sum(|one| one.messages_received), stats.total_messages_received);

    let processors = manager.get_processor_stats().await;
    let ids: Vec<_> = processors.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, ChannelId::all());
    let processed: u64 = processors.iter().map(|(_, one)| one.messages_processed).sum();
    assert_eq!(processed, sent.frames_sent);
    for (_, processor) in &processors {
        assert!(processor.messages_processed > 0 && processor.messages_per_second > 0.0);
        assert!(processor.processing_latency_avg > Duration::ZERO);
        assert!(processor.last_processed_time.is_some());
        assert_eq!((processor.queue_size, processor.errors_count), (0, 0));
    }

    let health = manager.get_health().await.unwrap();
    assert!(health.is_healthy() && !health.is_degraded() && !health.is_critical());
    assert_eq!((health.healthy_connections, health.active_message_flows), (3, 3));
    assert_eq!((health.total_symbols, health.total_errors), (301, 0));
    assert_eq!(health.total_messages, stats.total_messages_received);
    assert!((health.health_percentage() - 100.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_the_counters_are_those_of_the_run_including_heartbeats() {
    let builder = Sim::builder().heartbeat_every(Duration::from_millis(5));
    let sim = builder.updates_per_second(50.0).start().await.unwrap();
    let mut manager = manager(&sim).build();
    start(&mut manager).await;
    manager.subscribe_symbols(&universe(90), Some(Mode::Quote)).await.unwrap();
    until(&sim, "heartbeats and ticks", |sim| {
        sim.stats().heartbeats_sent > 50 && sim.stats().ticks_sent > 1_000
    })
    .await;
    // Everything sent before the server answers the close is read, so nothing in flight is lost.
    within("the stop", manager.stop()).await.unwrap();
    let sent = sim.stats();
    let stats = manager.get_stats().await.unwrap();
    let all = sent.frames_sent + sent.heartbeats_sent + sent.texts_sent;
    assert_eq!(stats.total_messages_received, all);
    assert_eq!(stats.total_messages_parsed, all);
    assert_eq!((stats.active_connections, stats.uptime), (0, Duration::ZERO));
    let processors = manager.get_processor_stats().await;
    let processed: u64 = processors.iter().map(|(_, one)| one.messages_processed).sum();
    assert_eq!(processed, sent.frames_sent + sent.heartbeats_sent);

    // A new run counts from zero.
    let _channels = manager.get_all_channels();
    start(&mut manager).await;
    within("the pause", sim.pause()).await;
    let stats = manager.get_stats().await.unwrap();
    assert_eq!(stats.active_connections, 3);
    assert!(stats.total_messages_received < all);
}

#[tokio::test]
async fn before_the_start_nothing_is_counted_and_health_is_critical() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    manager.subscribe_symbols(&[408_065], None).await.unwrap();
    let stats = manager.get_stats().await.unwrap();
    assert_eq!((stats.total_symbols, stats.active_connections), (1, 0));
    assert_eq!((stats.total_messages_received, stats.uptime), (0, Duration::ZERO));
    let health = manager.get_health().await.unwrap();
    assert!(health.is_critical() && !health.is_healthy() && !health.is_degraded());
    assert!(manager.get_processor_stats().await.is_empty());
}

#[tokio::test]
async fn health_is_critical_while_no_connection_is_up_and_healthy_afterwards() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    start(&mut manager).await;
    assert!(manager.get_health().await.unwrap().is_healthy());
    sim.refuse_with(Some(kite_sim::Refusal::new(503, "")));
    sim.drop_all();
    until_manager(&manager, "the loss", |manager| !manager.typed().is_live()).await;
    let health = manager.get_health().await.unwrap();
    assert!(health.is_critical() && health.total_errors >= 3);
    assert_eq!(health.unhealthy_connections, [0, 1, 2]);
    assert!(health.health_percentage().abs() < f64::EPSILON);

    sim.refuse_with(None);
    until(&sim, "three sockets", |sim| sim.stats().connections_open == 3).await;
    let is_up = |manager: &kiteticker_async_manager::KiteTickerManager| {
        let connections = manager.typed().snapshot().connections;
        connections.iter().all(|one| one.uptime_s > 0.0)
    };
    until_manager(&manager, "three connections", is_up).await;
    assert!(manager.get_health().await.unwrap().is_healthy());
}

#[tokio::test]
async fn uptime_and_message_flow_are_those_of_the_current_socket() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    manager.subscribe_symbols(&[408_065], None).await.unwrap();
    start(&mut manager).await;
    next_ticks(&mut channel).await;
    let uptime = async |manager: &kiteticker_async_manager::KiteTickerManager| {
        manager.get_stats().await.unwrap().connection_stats[0].connection_uptime
    };
    assert_eq!(manager.get_health().await.unwrap().active_message_flows, 1);
    assert!(uptime(&manager).await > Duration::ZERO);

    let lost = Instant::now();
    manager.unsubscribe_symbols(&[408_065]).await.unwrap();
    sim.drop_all();
    let again = |manager: &kiteticker_async_manager::KiteTickerManager| {
        let connection = &manager.typed().snapshot().connections[0];
        connection.figures.connects == 2 && connection.uptime_s > 0.0
    };
    until_manager(&manager, "another socket", again).await;
    let (up, manager_up) = (uptime(&manager).await, manager.get_stats().await.unwrap().uptime);
    assert!(up <= lost.elapsed() && up < manager_up, "{up:?} of {manager_up:?}");
    // A past error, and a socket without messages so far: healthy, but no message flow.
    let health = manager.get_health().await.unwrap();
    assert!(health.is_healthy() && health.total_errors == 1, "{health:?}");
    assert_eq!((health.healthy_connections, health.active_message_flows), (1, 0));
    assert!(health.total_messages > 0);
    mark(&sim);
    up_to_mark(&mut channel).await;
    assert_eq!(manager.get_health().await.unwrap().active_message_flows, 1);
}

#[tokio::test]
async fn the_rate_covers_the_last_one_to_two_seconds_however_often_it_is_read() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    manager.subscribe_symbols(&[408_065], None).await.unwrap();
    start(&mut manager).await;
    next_ticks(&mut channel).await;
    /// Reads the rate until `is_it` matches; returns it.
    async fn read(
        manager: &kiteticker_async_manager::KiteTickerManager,
        is_it: fn(f64) -> bool,
    ) -> f64 {
        loop {
            let rate = manager.get_processor_stats().await[0].1.messages_per_second;
            if is_it(rate) {
                return rate;
            }
            tokio::task::yield_now().await;
        }
    }
    // The first nonzero rate includes the snapshot; two seconds later it is zero again.
    within("a rate", read(&manager, |rate| rate > 0.0)).await;
    within("a zero rate", read(&manager, |rate| rate == 0.0)).await;
    let before = Instant::now();
    for _ in 0..50 {
        sim.tick_now(&[408_065]);
    }
    for _ in 0..50 {
        next_ticks(&mut channel).await;
    }
    let rate = within("a rate", read(&manager, |rate| rate > 0.0)).await;
    // A sample is at least one second old, and at most two unless the machine was late.
    let least = 50.0 / (2.5 + before.elapsed().as_secs_f64());
    assert!((least..=50.0).contains(&rate), "{rate} is not between {least} and 50");
    within("a zero rate", read(&manager, |rate| rate == 0.0)).await;
}
