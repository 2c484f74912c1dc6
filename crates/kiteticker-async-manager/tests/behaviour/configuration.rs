//! `start` reports invalid settings without connecting.

use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY};
use kiteticker_async_manager::kite_conn::TokenSource;
use kiteticker_async_manager::kite_manager::FailoverConfig;
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{KiteManagerConfig, KiteTickerManager, KiteTickerManagerBuilder};

use crate::rig::{manager, next_ticks, only_channel, quiet_sim, start, until, within};

#[tokio::test]
async fn a_setting_out_of_range_is_named_with_its_value_and_range() {
    type Change = fn(&mut KiteManagerConfig);
    let sim = quiet_sim().await;
    let cases: [(Change, &str, &str, &str); 16] = [
        (|it| it.max_connections = 0, "max_connections", "is 0;", "from 1 to 3"),
        (|it| it.max_connections = 4, "max_connections", "is 4;", "from 1 to 3"),
        (|it| it.max_connections = usize::MAX, "max_connections", "is 1844", "from 1 to 3"),
        (
            |it| it.max_symbols_per_connection = 0,
            "max_symbols_per_connection",
            "is 0;",
            "from 1 to 3,000",
        ),
        (
            |it| it.max_symbols_per_connection = 3_001,
            "max_symbols_per_connection",
            "is 3001;",
            "from 1 to 3,000",
        ),
        (|it| it.connection_buffer_size = 0, "connection_buffer_size", "is 0;", "from 1 to"),
        (
            |it| it.connection_buffer_size = usize::MAX,
            "connection_buffer_size",
            "is 18446744073709551615;",
            "from 1 to 1,048,576",
        ),
        (|it| it.parser_buffer_size = 0, "parser_buffer_size", "is 0;", "from 1 to"),
        (
            |it| it.parser_buffer_size = usize::MAX,
            "parser_buffer_size",
            "is 18446744073709551615;",
            "from 1 to 1,048,576",
        ),
        (|it| it.connection_timeout = Duration::ZERO, "connection_timeout", "is 0ns;", "above 0"),
        (
            |it| it.connection_timeout = Duration::MAX,
            "connection_timeout",
            "is 18446744073709551615.999999999s;",
            "at most a day",
        ),
        (
            |it| it.health_check_interval = Duration::ZERO,
            "health_check_interval",
            "is 0ns;",
            "above 0",
        ),
        (|it| it.reconnect_delay = Duration::ZERO, "reconnect_delay", "is 0ns;", "above 0"),
        (
            |it| it.reconnect_delay = Duration::from_secs(86_401),
            "reconnect_delay",
            "is 86401s;",
            "at most a day",
        ),
        (
            |it| it.heartbeat_liveness_threshold = Duration::ZERO,
            "heartbeat_liveness_threshold",
            "is 0ns;",
            "above 0",
        ),
        (
            |it| it.heartbeat_liveness_threshold = Duration::MAX,
            "heartbeat_liveness_threshold",
            "is 18446744073709551615.999999999s;",
            "at most a day",
        ),
    ];
    for (change, field, value, range) in cases {
        let mut config = KiteManagerConfig::default();
        change(&mut config);
        let mut manager = KiteTickerManager::new(API_KEY.into(), ACCESS_TOKEN.into(), config)
            .with_endpoint(sim.endpoint());
        let error = within("the start", manager.start()).await.unwrap_err();
        let complete = [field, value, range].iter().all(|part| error.contains(part));
        assert!(complete && error.starts_with("start: "), "{error}");
        // A manager that failed to start can still be stopped and queried.
        manager.stop().await.unwrap();
        assert!(manager.get_health().await.unwrap().is_critical());
    }
    assert_eq!(sim.stats().connections_total, 0);
}

#[tokio::test]
async fn the_smallest_valid_settings_work() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim)
        .max_connections(1)
        .max_symbols_per_connection(1)
        .connection_buffer_size(1)
        .parser_buffer_size(1)
        .reconnect_attempts(0)
        .build();
    start(&mut manager).await;
    manager.subscribe_symbols(&[408_065], None).await.unwrap();
    let mut channel = crate::rig::only_channel(&mut manager);
    assert_eq!(crate::rig::next_ticks(&mut channel).await[0].instrument_token, 408_065);
}

#[tokio::test]
async fn an_endpoint_that_is_invalid_or_would_expose_the_token_is_rejected() {
    for (endpoint, named) in [
        ("ws://ws.kite.trade", "ws://ws.kite.trade would send the access token unencrypted"),
        ("ws://192.0.2.1:80", "use wss://"),
        ("ws.kite.trade", "has no scheme"),
        ("https://ws.kite.trade", "scheme https is not supported"),
        ("wss://", "has no host"),
        ("wss://host:99999", "is not from 1 to 65535"),
        ("wss://ho st", "byte 8"),
        ("wss://host/?access_token=x", "query has access_token"),
        ("", "has no scheme"),
        ("\u{0}\u{1F4C8}", "byte 0"),
    ] {
        let mut manager = KiteTickerManager::new(
            API_KEY.into(),
            ACCESS_TOKEN.into(),
            KiteManagerConfig::default(),
        )
        .with_endpoint(endpoint);
        let error = within("the start", manager.start()).await.unwrap_err();
        assert!(error.starts_with("start: ") && error.contains(named), "{endpoint}: {error}");
    }
}

#[tokio::test]
async fn an_invalid_endpoint_can_be_replaced_and_subscriptions_are_kept() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).endpoint("nonsense").max_connections(1).build();
    manager.subscribe_symbols(&[408_065], None).await.unwrap();
    assert!(within("the start", manager.start()).await.is_err());
    let mut manager = manager.with_endpoint(sim.endpoint());
    let mut channel = crate::rig::only_channel(&mut manager);
    start(&mut manager).await;
    assert_eq!(crate::rig::next_ticks(&mut channel).await[0].instrument_token, 408_065);
}

#[tokio::test]
async fn a_token_source_set_in_the_builder_provides_the_token() {
    let sim = quiet_sim().await;
    let source = TokenSource::new(|request| async move {
        Ok::<_, std::io::Error>(request.current.with_access_token(ACCESS_TOKEN))
    });
    let mut manager = KiteTickerManagerBuilder::new(API_KEY, "yesterday's")
        .endpoint(sim.endpoint())
        .max_connections(1)
        .token_source(source)
        .build();
    start(&mut manager).await;
    assert!(manager.get_health().await.unwrap().is_healthy());
}

#[tokio::test]
async fn settings_changed_through_the_connection_are_checked_too() {
    let sim = quiet_sim().await;
    for (manager, expected) in [
        (
            manager(&sim).connection(|it| it.transport.read_buffer_bytes = 0),
            "read_buffer_bytes is 0",
        ),
        // Named like the published setting, if one exists.
        (
            manager(&sim).connection(|it| it.liveness.silence_threshold = Duration::ZERO),
            "heartbeat_liveness_threshold is 0ns",
        ),
        (
            manager(&sim).failover(Some(FailoverConfig {
                after: Duration::ZERO,
                ..FailoverConfig::default()
            })),
            "failover.after is 0ns",
        ),
    ] {
        let error = within("the start", manager.build().start()).await.unwrap_err();
        assert!(error.starts_with("start: ") && error.contains(expected), "{error}");
    }
    assert_eq!(sim.stats().connections_total, 0);
}

#[tokio::test]
async fn the_instruments_of_a_connection_that_stays_down_move_to_another_channel() {
    // The handshakes of an account are 100 ms apart.
    let after = Duration::from_millis(400);
    let failover = FailoverConfig { after, stable_after: Duration::from_millis(30) };
    let is_balanced = |sim: &kite_sim::Sim| {
        let sockets = sim.subscriptions();
        sockets.len() == 2 && sockets.iter().all(|socket| socket.len() == 1)
    };
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(2).failover(Some(failover)).build();
    manager.subscribe_symbols(&[256_265, 408_065], None).await.unwrap();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    until(&sim, "one on each", is_balanced).await;
    let lost = *manager.get_symbol_distribution()[&channels[1].0].first().unwrap();
    assert_eq!(next_ticks(&mut channels[1].1).await[0].instrument_token, lost);

    sim.refuse_with(Some(kite_sim::Refusal::auth()));
    let second = sim.sockets(API_KEY).into_iter().find(|it| it.subscriptions.contains_key(&lost));
    sim.inject_socket(second.unwrap().id, kite_sim::Fault::Reset { at: 0 });
    until(&sim, "both on one socket", |sim| sim.subscriptions().iter().any(|it| it.len() == 2))
        .await;
    assert_eq!(manager.get_symbol_distribution()[&channels[0].0].len(), 2);
    sim.tick_now(&[lost]);
    let mut ticks = next_ticks(&mut channels[0].1).await;
    while ticks[0].instrument_token != lost {
        ticks = next_ticks(&mut channels[0].1).await;
    }
    assert!(manager.get_health().await.unwrap().is_degraded());

    sim.refuse_with(None);
    manager.set_access_token(ACCESS_TOKEN);
    until(&sim, "one on each again", is_balanced).await;
    assert!(manager.get_health().await.unwrap().is_healthy());
}

#[tokio::test]
async fn failover_can_be_disabled_and_the_latest_packets_kept() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).failover(None).latest(true).build();
    assert!(manager.typed().config().failover.is_none());
    manager.subscribe_symbols(&[408_065], None).await.unwrap();
    let mut channel = only_channel(&mut manager);
    start(&mut manager).await;
    next_ticks(&mut channel).await;
    let latest = manager.typed().latest().unwrap().get(408_065).unwrap();
    assert_eq!(latest.packet().mode(), kite_wire::Mode::Quote);
    assert!(crate::rig::manager(&sim).build().typed().latest().is_none());
}
