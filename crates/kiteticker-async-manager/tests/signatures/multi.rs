//! Several accounts: names, signatures, fields and traits.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::time::Duration;

use kiteticker_async_manager::kite_conn::{ConnectionConfig, TokenSource};
use kiteticker_async_manager::kite_manager::{FailoverConfig, Manager};
use kiteticker_async_manager::manager::ConnectionStats;
use kiteticker_async_manager::{
    ApiCredentials, ApiKeyId, ApiKeyStats, ChannelId, DistributionStrategy, KiteManagerConfig,
    KiteTickerManagerBuilder, Mode, MultiApiConfig, MultiApiKiteTickerManager,
    MultiApiKiteTickerManagerBuilder, MultiApiStats, TickerMessage,
};
use tokio::sync::broadcast;

type Multi = MultiApiKiteTickerManager;
type Outcome = Result<(), String>;

#[test]
#[expect(clippy::type_complexity, reason = "the published signatures are this complex")]
fn the_manager_has_the_published_methods() {
    signatures! {
        fn() -> MultiApiKiteTickerManagerBuilder = Multi::builder;
        fn(&Multi) -> broadcast::Receiver<(ApiKeyId, TickerMessage)> = Multi::get_unified_channel;
        fn(&Multi, &'static str, ChannelId) -> Option<broadcast::Receiver<TickerMessage>>
            = Multi::get_channel;
        fn(&Multi, ApiKeyId, ChannelId) -> Option<broadcast::Receiver<TickerMessage>>
            = Multi::get_channel;
        fn(&Multi) -> HashMap<ApiKeyId, HashMap<usize, Vec<u32>>> = Multi::get_symbol_distribution;
        fn(&Multi) -> Vec<ApiKeyId> = Multi::get_api_keys;
        fn(&Multi, &'static str, String) -> Outcome = Multi::set_access_token;
        fn(&Multi) -> &Manager = Multi::typed;
    }
    async_signatures! {
        (&mut Multi) -> Outcome = Multi::start;
        (&mut Multi) -> Outcome = Multi::stop;
        (&mut Multi, &[u32], Option<Mode>) -> Outcome = Multi::subscribe_symbols;
        (&mut Multi, &'static str, &[u32], Option<Mode>) -> Outcome
            = Multi::subscribe_symbols_to_api;
        (&mut Multi, String, &[u32], Option<Mode>) -> Outcome = Multi::subscribe_symbols_to_api;
        (&mut Multi, ApiKeyId, &[u32], Option<Mode>) -> Outcome = Multi::subscribe_symbols_to_api;
        (&mut Multi, &[u32]) -> Outcome = Multi::unsubscribe_symbols;
        (&mut Multi, &[u32], Mode) -> Outcome = Multi::change_mode;
        (&Multi) -> MultiApiStats = Multi::get_stats;
        (&Multi, &'static str) -> Result<ApiKeyStats, String> = Multi::get_api_stats;
        (&Multi, ApiKeyId) -> Result<ApiKeyStats, String> = Multi::get_api_stats;
    }
}

#[test]
fn the_builder_has_the_published_methods_by_value() {
    type Builder = MultiApiKiteTickerManagerBuilder;
    signatures! {
        fn() -> Builder = Builder::new;
        fn(Builder, &'static str, &'static str, &'static str) -> Builder = Builder::add_api_key;
        fn(Builder, ApiKeyId, String, String) -> Builder = Builder::add_api_key;
        fn(Builder, usize) -> Builder = Builder::max_connections_per_api;
        fn(Builder, DistributionStrategy) -> Builder = Builder::distribution_strategy;
        fn(Builder, KiteManagerConfig) -> Builder = Builder::base_config;
        fn(Builder, usize) -> Builder = Builder::max_symbols_per_connection;
        fn(Builder, Duration) -> Builder = Builder::connection_timeout;
        fn(Builder, Duration) -> Builder = Builder::health_check_interval;
        fn(Builder, bool) -> Builder = Builder::enable_health_monitoring;
        fn(Builder, Mode) -> Builder = Builder::default_mode;
        fn(Builder, MultiApiConfig) -> Builder = Builder::config;
        fn(Builder, String) -> Builder = Builder::endpoint;
        fn(Builder, TokenSource) -> Builder = Builder::token_source;
        fn(Builder, fn(&mut ConnectionConfig)) -> Builder = Builder::connection;
        fn(Builder, Option<FailoverConfig>) -> Builder = Builder::failover;
        fn(Builder, bool) -> Builder = Builder::latest;
        fn(Builder) -> Multi = Builder::build;
    }
}

#[test]
fn the_builder_for_one_account_has_the_methods_added_in_0_5() {
    type Builder = KiteTickerManagerBuilder;
    signatures! {
        fn(Builder, TokenSource) -> Builder = Builder::token_source;
        fn(Builder, fn(&mut ConnectionConfig)) -> Builder = Builder::connection;
        fn(Builder, Option<FailoverConfig>) -> Builder = Builder::failover;
        fn(Builder, bool) -> Builder = Builder::latest;
    }
}

#[test]
fn names_credentials_and_settings_have_the_published_fields() {
    signatures! {
        fn(&'static str) -> ApiKeyId = ApiKeyId::new;
        fn(&'static str) -> ApiKeyId = ApiKeyId::from;
        fn(String) -> ApiKeyId = ApiKeyId::from;
        fn(&'static str, String) -> ApiCredentials = ApiCredentials::new;
    }
    let ApiKeyId(text) = ApiKeyId::new("mine");
    assert_eq!((text.as_str(), ApiKeyId(text.clone())), ("mine", ApiKeyId::from("mine")));
    let ApiCredentials { api_key, access_token } = ApiCredentials::new("key", "token");
    assert_eq!((api_key.as_str(), access_token.as_str()), ("key", "token"));

    let number = |strategy: DistributionStrategy| match strategy {
        DistributionStrategy::RoundRobin => 0,
        DistributionStrategy::Manual => 1,
    };
    assert_eq!(number(DistributionStrategy::default()), 0);
    let config = MultiApiConfig {
        base_config: KiteManagerConfig::default(),
        max_connections_per_api: 3_usize,
        distribution_strategy: DistributionStrategy::RoundRobin,
        enable_health_monitoring: true,
    };
    assert_eq!(MultiApiConfig::default(), config);
}

#[test]
fn statistics_have_the_published_fields() {
    let of_one = ApiKeyStats {
        api_key_id: String::new(),
        active_connections: 0_usize,
        total_symbols: 0_usize,
        total_messages_received: 0_u64,
        total_messages_parsed: 0_u64,
        total_errors: 0_u64,
        connection_stats: Vec::<ConnectionStats>::new(),
    };
    assert_eq!(format!("{of_one:?}"), format!("{:?}", ApiKeyStats::default()));
    let of_all = MultiApiStats {
        total_api_keys: 0_usize,
        total_connections: 0_usize,
        total_symbols: 0_usize,
        total_messages_received: 0_u64,
        total_messages_parsed: 0_u64,
        total_errors: 0_u64,
        uptime: Duration::ZERO,
        per_api_stats: Vec::<ApiKeyStats>::new(),
    };
    assert_eq!(format!("{of_all:?}"), format!("{:?}", MultiApiStats::default()));
}

fn is_send<T: Send>(_: T) {}

/// Every future is `Send`, so it can be awaited in a spawned task. Compiled only, never polled.
fn futures_are_send(manager: &mut Multi) {
    is_send(manager.start());
    is_send(manager.stop());
    is_send(manager.subscribe_symbols(&[], None));
    is_send(manager.subscribe_symbols_to_api("mine", &[], None));
    is_send(manager.unsubscribe_symbols(&[]));
    is_send(manager.change_mode(&[], Mode::Full));
    is_send(manager.get_stats());
    is_send(manager.get_api_stats("mine"));
}

#[test]
fn types_have_the_traits_that_programs_rely_on() {
    let _ = futures_are_send;
    traits! {
        Multi: Send, Sync, Debug;
        MultiApiKiteTickerManagerBuilder: Send, Sync, Debug, Clone, Default;
        broadcast::Receiver<(ApiKeyId, TickerMessage)>: Send, Sync;
        ApiKeyId: Send, Sync, Debug, Display, Clone, Eq, Ord, Hash;
        ApiCredentials: Send, Sync, Debug, Clone;
        DistributionStrategy: Send, Sync, Debug, Copy, Eq, Default;
        MultiApiConfig: Send, Sync, Debug, Clone, Default;
        MultiApiStats: Send, Sync, Debug, Clone, Default;
        ApiKeyStats: Send, Sync, Debug, Clone, Default;
    }
}
