//! `start` reports invalid accounts and settings without connecting.

use std::time::Duration;

use kiteticker_async_manager::{
    KiteManagerConfig, MultiApiConfig, MultiApiKiteTickerManager, MultiApiKiteTickerManagerBuilder,
};

use super::{manager, quiet_sim};
use crate::rig::within;

#[tokio::test]
async fn start_names_invalid_settings_and_accounts() {
    type Builder = MultiApiKiteTickerManagerBuilder;
    type Change = fn(Builder) -> Builder;
    let sim = quiet_sim().await;
    let cases: [(Change, &str); 7] = [
        (
            |it| it.max_connections_per_api(4),
            "max_connections_per_api is 4; it must be from 1 to 3",
        ),
        (
            |it| it.max_connections_per_api(0),
            "max_connections_per_api is 0; it must be from 1 to 3",
        ),
        (
            |it| it.max_symbols_per_connection(3_001),
            "max_symbols_per_connection is 3001; it must be from 1 to 3,000",
        ),
        (|it| it.connection_timeout(Duration::ZERO), "connection_timeout is 0ns"),
        (|it| it.connection(|it| it.transport.read_buffer_bytes = 0), "read_buffer_bytes is 0"),
        (
            |it| it.add_api_key("another", "first_key", "its token"),
            "account another has the api_key of another",
        ),
        (|it| it.endpoint("ws.kite.trade"), "has no scheme"),
    ];
    for (change, expected) in cases {
        let mut manager = change(manager(&sim, 2)).build();
        let error = within("the start", manager.start()).await.unwrap_err();
        assert!(error.starts_with("start: ") && error.contains(expected), "{error}");
        // A manager that failed to start can still be stopped and queried.
        manager.stop().await.unwrap();
        let stats = manager.get_stats().await;
        assert_eq!((stats.total_connections, stats.total_errors), (0, 0));
        assert_eq!(stats.total_api_keys, manager.get_api_keys().len());
        assert_eq!(manager.get_symbol_distribution().len(), stats.total_api_keys);
        assert!(!manager.get_unified_channel().is_closed());
    }
    assert_eq!(sim.stats().connections_total, 0);
}

#[tokio::test]
async fn without_an_account_every_operation_reports_it() {
    let mut manager = MultiApiKiteTickerManager::builder().build();
    let reason = "a manager needs an account: add one";
    assert_eq!(manager.start().await, Err(format!("start: {reason}")));
    assert_eq!(manager.subscribe_symbols(&[1], None).await, Err(format!("subscribe: {reason}")));
    let subscribed = manager.subscribe_symbols_to_api("first", &[1], None).await;
    assert_eq!(subscribed, Err(format!("subscribe: {reason}")));
    assert!(manager.set_access_token("first", "token").is_err());
    assert!(manager.get_symbol_distribution().is_empty() && manager.get_api_keys().is_empty());
    assert!(manager.typed().start().await.is_err(), "no account exists to start");
}

#[tokio::test]
async fn an_account_of_the_same_name_is_replaced() {
    let sim = quiet_sim().await;
    let mut manager = MultiApiKiteTickerManager::builder()
        .endpoint(sim.endpoint())
        .add_api_key("mine", "other_key", "other_token")
        .add_api_key("mine", "first_key", "first_token")
        .build();
    within("the start", manager.start()).await.unwrap();
    assert_eq!(manager.get_api_keys().len(), 1);
}

#[tokio::test]
async fn the_base_configurations_number_of_connections_is_ignored() {
    let sim = quiet_sim().await;
    let base_config = KiteManagerConfig { max_connections: 9, ..Default::default() };
    let config = MultiApiConfig { base_config, max_connections_per_api: 1, ..Default::default() };
    let mut manager = manager(&sim, 2).config(config).build();
    within("the start", manager.start()).await.unwrap();
    assert_eq!(sim.stats().connections_open, 2);
}
