//! Programs written for releases 0.4.0 and 0.4.1 that must keep compiling with only the dependency line changed.
//!
//! Functions that need a connection are compiled but not run.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "such programs print and unwrap")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiteticker_async_manager::manager::{ConnectionStats, ProcessorStats};
use kiteticker_async_manager::{
    ApiCredentials, ApiKeyId, ApiKeyStats, ChannelId, DistributionStrategy, KiteManagerConfig,
    KiteTickerAsync, KiteTickerManager, KiteTickerManagerBuilder, Mode, MultiApiConfig,
    MultiApiKiteTickerManager, MultiApiKiteTickerManagerBuilder, MultiApiStats, Order, Tick,
    TickMessage, TickerMessage, as_tick_raw,
};

/// The latest ticks of a dashboard, stored as such programs do.
type Prices = Arc<Mutex<HashMap<u32, Tick>>>;

/// Matches every variant without a wildcard, and uses the ticks in all common ways.
fn handle(channel_id: ChannelId, message: TickerMessage, prices: &Prices) -> usize {
    match message {
        TickerMessage::Ticks(ticks) => {
            let count = ticks.len();
            if ticks.is_empty() {
                return 0;
            }
            if let Some(first) = ticks.first() {
                println!("{channel_id:?}: first {}", first.instrument_token);
            }
            for (index, tick) in ticks.iter().enumerate() {
                println!("{index}: {:?}", tick.content.last_price);
            }
            for tick in &ticks {
                if let (Some(last), Some(ohlc)) = (tick.content.last_price, &tick.content.ohlc) {
                    println!("{} {:+.2}", tick.instrument_token, last - ohlc.close);
                }
            }
            let full: Vec<TickMessage> =
                ticks.iter().filter(|tick| tick.content.mode == Mode::Full).collect();
            println!("{} of {count} in full", full.len());
            let mut prices = prices.lock().unwrap();
            for tick in ticks {
                prices.insert(tick.instrument_token, tick.content);
            }
            count
        }
        TickerMessage::Raw(frame) => frame.len(),
        TickerMessage::Error(error) => {
            eprintln!("error: {error}");
            0
        }
        TickerMessage::OrderPostback(Ok(order)) => {
            print_order(&order);
            0
        }
        TickerMessage::OrderPostback(Err(error)) => {
            eprintln!("order: {error}");
            0
        }
        TickerMessage::Message(value) => value.as_object().map_or(0, |object| object.len()),
        TickerMessage::ClosingMessage(value) => {
            println!("closing: {value}");
            0
        }
    }
}

fn print_order(order: &Order) {
    println!("{} {} {:?} {}", order.order_id, order.tradingsymbol, order.status, order.quantity);
}

/// A dashboard over three connections.
async fn dashboard(api_key: String, access_token: String) -> Result<(), String> {
    let config = KiteManagerConfig {
        max_symbols_per_connection: 3000,
        max_connections: 3,
        connection_buffer_size: 5000,
        parser_buffer_size: 10000,
        connection_timeout: Duration::from_secs(30),
        health_check_interval: Duration::from_secs(5),
        max_reconnect_attempts: 5,
        reconnect_delay: Duration::from_secs(2),
        enable_dedicated_parsers: true,
        default_mode: Mode::LTP,
        heartbeat_liveness_threshold: Duration::from_secs(10),
    };
    let mut manager = KiteTickerManager::new(api_key, access_token, config);
    manager.start().await?;
    let symbols: Vec<u32> = vec![256265, 408065, 738561];
    manager.subscribe_symbols(&symbols, Some(Mode::Quote)).await?;
    manager.change_mode(&[256265], Mode::Full).await?;

    let prices = Prices::default();
    let mut tasks = Vec::new();
    for (channel_id, mut receiver) in manager.get_all_channels() {
        let prices = Arc::clone(&prices);
        tasks.push(tokio::spawn(async move {
            let mut count = 0;
            while let Ok(message) = receiver.recv().await {
                count += handle(channel_id, message, &prices);
            }
            count
        }));
    }

    if let Ok(stats) = manager.get_stats().await {
        println!("{} symbols, up {:?}", stats.total_symbols, stats.uptime);
        for connection in &stats.connection_stats {
            let ConnectionStats { connection_id, messages_received, .. } = connection;
            println!("{connection_id}: {messages_received}");
        }
    }
    let health = manager.get_health().await?;
    if health.is_degraded() || health.is_critical() {
        println!(
            "{:.0} % healthy, unhealthy: {:?}",
            health.health_percentage(),
            health.unhealthy_connections
        );
    }
    for (channel_id, stats) in manager.get_processor_stats().await {
        let ProcessorStats { messages_per_second, queue_size, .. } = stats;
        println!("{channel_id:?}: {messages_per_second:.1}/s, {queue_size} waiting");
    }
    for (channel_id, symbols) in manager.get_symbol_distribution() {
        println!("{channel_id:?}: {}", symbols.len());
    }

    manager.unsubscribe_symbols(&symbols).await?;
    manager.stop().await?;
    for task in tasks {
        println!("{} ticks", task.await.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// A single connection, read by its subscriber.
async fn single(api_key: &str, access_token: &str) -> Result<(), String> {
    let mut ticker = KiteTickerAsync::connect(api_key, access_token).await?;
    let mut subscriber = ticker.subscribe(&[408065], Some(Mode::Full)).await?;
    subscriber.subscribe(&[256265], None).await?;
    subscriber.set_mode(&[256265], Mode::LTP).await?;
    println!("{:?}, connected: {}", subscriber.get_subscribed(), ticker.is_connected());
    let last_activity: Arc<AtomicU64> = ticker.last_activity();
    println!("last frame at {}", last_activity.load(Ordering::Relaxed));
    let prices = Prices::default();
    while let Ok(Some(message)) = subscriber.next_message().await {
        if handle(ChannelId::Connection1, message, &prices) == 0 {
            ticker.ping().await?;
        }
    }
    subscriber.unsubscribe(&[]).await?;
    subscriber.close().await?;
    ticker.close().await
}

/// Raw frames, parsed manually and by the helper.
async fn raw(api_key: &str, access_token: &str) -> Result<(), String> {
    let mut manager = KiteTickerManagerBuilder::new(api_key, access_token)
        .max_connections(1)
        .default_mode(Mode::Full)
        .connection_timeout(Duration::from_secs(10))
        .reconnect_attempts(3)
        .raw_only(true)
        .build();
    manager.start().await?;
    manager.subscribe_symbols(&[408065], None).await?;
    for (id, mut frames) in manager.get_all_raw_frame_channels() {
        tokio::spawn(async move {
            while let Ok(frame) = frames.recv().await {
                if frame.len() == 188
                    && let Some(tick) = as_tick_raw(&frame[4..])
                {
                    let ask = tick.depth.sell[0].price.get();
                    println!("{id:?}: {} {ask}", tick.header.last_price.get());
                }
            }
        });
    }
    let Some(mut subscriber) = manager.get_full_raw_subscriber(ChannelId::Connection1) else {
        return Err("no such connection".to_string());
    };
    while let Ok(Some(tick)) = subscriber.recv_raw_tickraw().await {
        println!("{}", tick.header.instrument_token.get());
    }
    for packet in subscriber.recv_batch_raw(64).await? {
        let tick = Tick::try_from(&packet[..]).map_err(|error| error.to_string())?;
        println!("{:?}", tick.depth.map(|depth| depth.buy[0].price));
    }
    manager.stop().await
}

/// Builds a manager from a map of accounts.
fn desk(accounts: HashMap<ApiKeyId, ApiCredentials>) -> MultiApiKiteTickerManager {
    let settings = MultiApiConfig {
        max_connections_per_api: 2,
        distribution_strategy: DistributionStrategy::Manual,
        ..Default::default()
    };
    let mut builder = MultiApiKiteTickerManagerBuilder::new()
        .base_config(settings.base_config.clone())
        .max_connections_per_api(settings.max_connections_per_api)
        .distribution_strategy(settings.distribution_strategy)
        .enable_health_monitoring(settings.enable_health_monitoring);
    for (id, credentials) in accounts {
        builder = builder.add_api_key(id, credentials.api_key, credentials.access_token);
    }
    builder.build()
}

/// Several accounts, read from the unified channel.
async fn several_accounts(keys: Vec<(String, String)>) -> Result<(), String> {
    let mut builder = MultiApiKiteTickerManager::builder()
        .max_symbols_per_connection(3000)
        .max_connections_per_api(3)
        .connection_timeout(Duration::from_secs(30))
        .health_check_interval(Duration::from_secs(5))
        .enable_health_monitoring(true)
        .distribution_strategy(DistributionStrategy::RoundRobin)
        .default_mode(Mode::LTP);
    for (number, (api_key, access_token)) in keys.into_iter().enumerate() {
        builder = builder.add_api_key(format!("desk{number}"), api_key, access_token);
    }
    let mut manager = builder.build();
    manager.start().await?;

    let symbols: Vec<u32> = vec![256265, 408065, 738561];
    manager.subscribe_symbols(&symbols, Some(Mode::Quote)).await?;
    manager.subscribe_symbols_to_api("desk1", &[884737], None).await?;
    manager.change_mode(&symbols, Mode::Full).await?;

    let mut unified = manager.get_unified_channel();
    let reader = tokio::spawn(async move {
        let mut counts: HashMap<ApiKeyId, usize> = HashMap::new();
        while let Ok((api_key_id, message)) = unified.recv().await {
            if let TickerMessage::Ticks(ticks) = message {
                println!("{}: {} ticks", api_key_id.0, ticks.len());
                *counts.entry(api_key_id).or_insert(0) += ticks.len();
            }
        }
        counts
    });
    if let Some(mut receiver) = manager.get_channel("desk0", ChannelId::Connection1) {
        let prices = Prices::default();
        if let Ok(message) = receiver.recv().await {
            handle(ChannelId::Connection1, message, &prices);
        }
    }

    let MultiApiStats { total_api_keys, total_connections, uptime, per_api_stats, .. } =
        manager.get_stats().await;
    println!("{total_api_keys} accounts, {total_connections} connections, up {uptime:?}");
    for ApiKeyStats { api_key_id, active_connections, connection_stats, .. } in &per_api_stats {
        println!("{api_key_id}: {active_connections} of {}", connection_stats.len());
    }
    for api_key_id in manager.get_api_keys() {
        let stats = manager.get_api_stats(api_key_id.clone()).await?;
        println!("{api_key_id:?}: {} symbols", stats.total_symbols);
    }
    for (api_key_id, connections) in manager.get_symbol_distribution() {
        for (index, symbols) in connections {
            println!("{}[{index}]: {}", api_key_id.0, symbols.len());
        }
    }
    manager.unsubscribe_symbols(&symbols).await?;
    manager.stop().await?;
    println!("{:?}", reader.await.map_err(|error| error.to_string())?);
    Ok(())
}

#[test]
fn old_programs_compile() {
    let _ = |key: String, token: String| dashboard(key, token);
    let _ = |keys: Vec<(String, String)>| several_accounts(keys);
    let _ = |key: &'static str, token: &'static str| (single(key, token), raw(key, token));
}

#[test]
fn a_manager_is_built_from_a_map_of_accounts() {
    let accounts = [("a", "key a"), ("b", "key b")]
        .map(|(id, key)| (ApiKeyId::new(id), ApiCredentials::new(key, "token")));
    let mut names: Vec<String> =
        desk(HashMap::from(accounts)).get_api_keys().into_iter().map(|id| id.0).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn an_old_handler_receives_every_tick_of_a_batch() {
    let mut packet = vec![0, 2, 0, 8];
    packet.extend(408_065_u32.to_be_bytes());
    packet.extend(157_370_i32.to_be_bytes());
    packet.extend([0, 8]);
    packet.extend(256_265_u32.to_be_bytes());
    packet.extend(1_752_230_i32.to_be_bytes());
    let batch = kiteticker_async_manager::kite_wire::TickBatch::new(packet.into()).unwrap();
    let prices = Prices::default();
    let count = handle(ChannelId::Connection1, TickerMessage::Ticks(batch.into()), &prices);
    assert_eq!(count, 2);
    let prices = prices.lock().unwrap();
    assert_eq!(prices[&408_065].last_price, Some(1573.70));
    assert_eq!(prices[&256_265].last_price, Some(17522.30));
}
