//! Constructors, methods and traits.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use kiteticker_async_manager::manager::{ConnectionStats, ProcessorStats};
use kiteticker_async_manager::{
    ChannelId, Depth, DepthItem, Exchange, HealthSummary, KiteManagerConfig, KiteTickerAsync,
    KiteTickerManager, KiteTickerManagerBuilder, KiteTickerRawSubscriber184, KiteTickerSubscriber,
    ManagerStats, Mode, OHLC, Order, OrderStatus, OrderTransactionType, OrderValidity,
    ParseTickError, Request, TextMessage, Tick, TickBatch, TickMessage, TickRaw, TickerMessage,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

type Outcome = Result<(), String>;

#[test]
#[expect(clippy::type_complexity, reason = "the published signatures are this complex")]
fn the_manager_has_the_published_methods() {
    signatures! {
        fn(String, String, KiteManagerConfig) -> KiteTickerManager = KiteTickerManager::new;
        fn(KiteTickerManager, bool) -> KiteTickerManager = KiteTickerManager::with_raw_only;
        fn(KiteTickerManager, String) -> KiteTickerManager = KiteTickerManager::with_endpoint;
        fn(KiteTickerManager, &'static str) -> KiteTickerManager = KiteTickerManager::with_endpoint;
        fn(&KiteTickerManager, String) = KiteTickerManager::set_access_token;
        fn(&KiteTickerManager, &'static str) = KiteTickerManager::set_access_token;
        fn(&KiteTickerManager) -> &kiteticker_async_manager::kite_manager::Manager
            = KiteTickerManager::typed;
        fn(&KiteTickerManager, ChannelId) -> Option<broadcast::Receiver<TickerMessage>>
            = KiteTickerManager::get_channel;
        fn(&mut KiteTickerManager) -> Vec<(ChannelId, broadcast::Receiver<TickerMessage>)>
            = KiteTickerManager::get_all_channels;
        fn(&KiteTickerManager, ChannelId) -> Option<broadcast::Receiver<Bytes>>
            = KiteTickerManager::get_raw_frame_channel;
        fn(&KiteTickerManager) -> Vec<(ChannelId, broadcast::Receiver<Bytes>)>
            = KiteTickerManager::get_all_raw_frame_channels;
        fn(&KiteTickerManager, ChannelId) -> Option<KiteTickerRawSubscriber184>
            = KiteTickerManager::get_full_raw_subscriber;
        fn(&KiteTickerManager) -> HashMap<ChannelId, Vec<u32>>
            = KiteTickerManager::get_symbol_distribution;
    }
    async_signatures! {
        (&mut KiteTickerManager) -> Outcome = KiteTickerManager::start;
        (&mut KiteTickerManager) -> Outcome = KiteTickerManager::stop;
        (&mut KiteTickerManager, &[u32], Option<Mode>) -> Outcome
            = KiteTickerManager::subscribe_symbols;
        (&mut KiteTickerManager, &[u32]) -> Outcome = KiteTickerManager::unsubscribe_symbols;
        (&mut KiteTickerManager, &[u32], Mode) -> Outcome = KiteTickerManager::change_mode;
        (&KiteTickerManager) -> Result<ManagerStats, String> = KiteTickerManager::get_stats;
        (&KiteTickerManager) -> Result<HealthSummary, String> = KiteTickerManager::get_health;
        (&KiteTickerManager) -> Vec<(ChannelId, ProcessorStats)>
            = KiteTickerManager::get_processor_stats;
    }
}

#[test]
fn the_builder_has_the_published_methods_by_value() {
    type Builder = KiteTickerManagerBuilder;
    signatures! {
        fn(String, String) -> Builder = Builder::new;
        fn(&'static str, &'static str) -> Builder = Builder::new;
        fn(Builder, usize) -> Builder = Builder::max_connections;
        fn(Builder, usize) -> Builder = Builder::max_symbols_per_connection;
        fn(Builder, Duration) -> Builder = Builder::connection_timeout;
        fn(Builder, Duration) -> Builder = Builder::health_check_interval;
        fn(Builder, usize) -> Builder = Builder::reconnect_attempts;
        fn(Builder, Duration) -> Builder = Builder::reconnect_delay;
        fn(Builder, bool) -> Builder = Builder::enable_dedicated_parsers;
        fn(Builder, Mode) -> Builder = Builder::default_mode;
        fn(Builder, Duration) -> Builder = Builder::heartbeat_liveness_threshold;
        fn(Builder, usize) -> Builder = Builder::connection_buffer_size;
        fn(Builder, usize) -> Builder = Builder::parser_buffer_size;
        fn(Builder, bool) -> Builder = Builder::raw_only;
        fn(Builder, KiteManagerConfig) -> Builder = Builder::config;
        fn(Builder, String) -> Builder = Builder::endpoint;
        fn(Builder, &'static str) -> Builder = Builder::endpoint;
        fn(Builder) -> KiteTickerManager = Builder::build;
    }
}

#[test]
fn the_ticker_and_its_readers_have_the_published_methods() {
    type Subscriber = KiteTickerSubscriber;
    type Raw = KiteTickerRawSubscriber184;
    signatures! {
        fn(&KiteTickerAsync) -> bool = KiteTickerAsync::is_connected;
        fn(&KiteTickerAsync) -> Arc<AtomicU64> = KiteTickerAsync::last_activity;
        fn(&KiteTickerAsync) -> usize = KiteTickerAsync::receiver_count;
        fn(&KiteTickerAsync) -> usize = KiteTickerAsync::channel_capacity;
        fn(&KiteTickerAsync) -> broadcast::Receiver<Bytes> = KiteTickerAsync::subscribe_raw_frames;
        fn(&KiteTickerAsync) -> Raw = KiteTickerAsync::subscribe_full_raw;
        fn(&Subscriber) -> Vec<u32> = Subscriber::get_subscribed;
        fn(&Subscriber) -> u64 = Subscriber::lagged;
        fn(&Raw) -> u64 = Raw::lagged;
    }
    #[expect(deprecated, reason = "the old alias is kept and pinned too")]
    let _: fn(&KiteTickerAsync) -> broadcast::Receiver<Bytes> = KiteTickerAsync::subscribe_raw;
    async_signatures! {
        (&str, &str) -> Result<KiteTickerAsync, String> = KiteTickerAsync::connect;
        (&str, &str, bool) -> Result<KiteTickerAsync, String>
            = KiteTickerAsync::connect_with_options;
        (&str, &str, &str, bool) -> Result<KiteTickerAsync, String> = KiteTickerAsync::connect_to;
        (&mut KiteTickerAsync, &[u32], Option<Mode>) -> Result<Subscriber, String>
            = KiteTickerAsync::subscribe;
        (&mut KiteTickerAsync) -> Outcome = KiteTickerAsync::close;
        (&mut KiteTickerAsync) -> Outcome = KiteTickerAsync::ping;
        (&mut Subscriber, &[u32], Option<Mode>) -> Outcome = Subscriber::subscribe;
        (&mut Subscriber, &[u32], Mode) -> Outcome = Subscriber::set_mode;
        (&mut Subscriber, &[u32]) -> Outcome = Subscriber::unsubscribe;
        (&mut Subscriber) -> Result<Option<TickerMessage>, String> = Subscriber::next_message;
        (&mut Subscriber) -> Outcome = Subscriber::close;
        (&mut Raw) -> Result<Option<Bytes>, String> = Raw::recv_raw;
        (&mut Raw) -> Result<Option<&[u8; 184]>, String> = Raw::recv_raw_ref;
        (&mut Raw) -> Result<Option<&TickRaw>, String> = Raw::recv_raw_tickraw;
        (&mut Raw, usize) -> Result<Vec<Bytes>, String> = Raw::recv_batch_raw;
    }
}

fn is_send<T: Send>(_: T) {}

/// Every future is `Send`, so it can be awaited in a spawned task. Compiled only, never polled.
fn futures_are_send(
    manager: &mut KiteTickerManager,
    ticker: &mut KiteTickerAsync,
    subscriber: &mut KiteTickerSubscriber,
    raw: &mut KiteTickerRawSubscriber184,
) {
    is_send(manager.start());
    is_send(manager.stop());
    is_send(manager.subscribe_symbols(&[], None));
    is_send(manager.unsubscribe_symbols(&[]));
    is_send(manager.change_mode(&[], Mode::Full));
    is_send(manager.get_stats());
    is_send(manager.get_health());
    is_send(manager.get_processor_stats());
    is_send(KiteTickerAsync::connect("", ""));
    is_send(KiteTickerAsync::connect_with_options("", "", false));
    is_send(KiteTickerAsync::connect_to("", "", "", false));
    is_send(ticker.subscribe(&[], None));
    is_send(ticker.close());
    is_send(ticker.ping());
    is_send(subscriber.subscribe(&[], None));
    is_send(subscriber.set_mode(&[], Mode::Full));
    is_send(subscriber.unsubscribe(&[]));
    is_send(subscriber.next_message());
    is_send(subscriber.close());
    is_send(raw.recv_raw());
    is_send(raw.recv_raw_ref());
    is_send(raw.recv_raw_tickraw());
    is_send(raw.recv_batch_raw(1));
}

#[test]
fn types_have_the_traits_that_programs_rely_on() {
    let _ = futures_are_send;
    traits! {
        KiteTickerManager: Send, Sync, Debug;
        KiteTickerManagerBuilder: Send, Sync, Debug, Clone;
        KiteTickerAsync: Send, Sync, Debug;
        KiteTickerSubscriber: Send, Sync, Debug;
        KiteTickerRawSubscriber184: Send, Sync, Debug;
        broadcast::Receiver<TickerMessage>: Send, Sync;
        broadcast::Receiver<Bytes>: Send, Sync;
        KiteManagerConfig: Send, Sync, Debug, Clone, Default;
        ConnectionStats: Send, Sync, Debug, Clone, Default;
        ManagerStats: Send, Sync, Debug, Clone, Default;
        ProcessorStats: Send, Sync, Debug, Clone, Default;
        HealthSummary: Send, Sync, Debug, Clone, Default;
        ChannelId: Send, Sync, Debug, Copy, Eq, Hash;
        Mode: Send, Sync, Debug, Copy, Eq, PartialOrd, Default, Serialize, DeserializeOwned;
        Exchange: Send, Sync, Debug, Copy, Eq, Serialize, DeserializeOwned;
        TickerMessage: Send, Sync, Debug, Clone, Serialize, DeserializeOwned;
        TickBatch: Send, Sync, Debug, Clone, Serialize, DeserializeOwned,
            IntoIterator<Item = TickMessage>;
        TickMessage: Send, Sync, Debug, Clone, Default, Serialize, DeserializeOwned;
        Tick: Send, Sync, Debug, Clone, Default, Serialize, DeserializeOwned;
        OHLC: Send, Sync, Debug, Clone, Default, Serialize, DeserializeOwned;
        Depth: Send, Sync, Debug, Clone, Default, Serialize, DeserializeOwned;
        DepthItem: Send, Sync, Debug, Clone, Default, Serialize, DeserializeOwned;
        TextMessage: Send, Sync, Debug, Clone, Serialize, DeserializeOwned;
        Order: Send, Sync, Debug, Clone, Serialize, DeserializeOwned;
        OrderStatus: Send, Sync, Debug, Clone, Eq, Serialize, DeserializeOwned;
        OrderTransactionType: Send, Sync, Debug, Clone, Eq, Serialize, DeserializeOwned;
        OrderValidity: Send, Sync, Debug, Clone, Eq, Serialize, DeserializeOwned;
        ParseTickError: Send, Sync, Debug, std::error::Error;
        Request: Send, Sync, Debug, Clone, Display;
        TickRaw: Send, Sync, Debug, Copy;
    }
    fn tick_from_bytes<'a>() -> impl Fn(&'a [u8]) -> Result<Tick, ParseTickError> {
        <Tick as TryFrom<&'a [u8]>>::try_from
    }
    assert!(matches!(tick_from_bytes()(&[]), Err(ParseTickError::UnknownLength { length: 0 })));
}
