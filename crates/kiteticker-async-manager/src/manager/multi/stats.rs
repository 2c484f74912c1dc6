//! The published statistics of several accounts.

use std::time::Duration;

use crate::manager::{ConnectionStats, ManagerStats};

/// Counts of one account since the start.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyStats {
    /// The account's name.
    pub api_key_id: String,
    /// Its connections whose socket is up.
    pub active_connections: usize,
    /// Instruments subscribed on it.
    pub total_symbols: usize,
    /// Sum over its connections.
    pub total_messages_received: u64,
    /// Sum over its connections.
    pub total_messages_parsed: u64,
    /// Sum over its connections.
    pub total_errors: u64,
    /// Counts of each connection, by index within the account.
    pub connection_stats: Vec<ConnectionStats>,
}

/// Counts of all accounts since the start.
#[derive(Debug, Clone, Default)]
pub struct MultiApiStats {
    /// Number of accounts.
    pub total_api_keys: usize,
    /// Connections whose socket is up, of all accounts.
    pub total_connections: usize,
    /// Sum over the accounts; an instrument subscribed on two of them counts twice.
    pub total_symbols: usize,
    /// Sum over the accounts.
    pub total_messages_received: u64,
    /// Sum over the accounts.
    pub total_messages_parsed: u64,
    /// Sum over the accounts, plus the messages that the unified channel had already dropped when
    /// its first receiver was taken.
    pub total_errors: u64,
    /// Time since the start; zero while stopped.
    pub uptime: Duration,
    /// Counts of each account, in the order in which they were added.
    pub per_api_stats: Vec<ApiKeyStats>,
}

impl ApiKeyStats {
    pub(crate) fn of(api_key_id: String, stats: ManagerStats) -> Self {
        Self {
            api_key_id,
            active_connections: stats.active_connections,
            total_symbols: stats.total_symbols,
            total_messages_received: stats.total_messages_received,
            total_messages_parsed: stats.total_messages_parsed,
            total_errors: stats.total_errors,
            connection_stats: stats.connection_stats,
        }
    }
}

impl MultiApiStats {
    /// Sums up the accounts, plus the messages lost by the unified channel.
    pub(crate) fn of(per_api_stats: Vec<ApiKeyStats>, uptime: Duration, lagged: u64) -> Self {
        let count = |field: fn(&ApiKeyStats) -> usize| per_api_stats.iter().map(field).sum();
        let sum = |field: fn(&ApiKeyStats) -> u64| per_api_stats.iter().map(field).sum::<u64>();
        Self {
            total_api_keys: per_api_stats.len(),
            total_connections: count(|one| one.active_connections),
            total_symbols: count(|one| one.total_symbols),
            total_messages_received: sum(|one| one.total_messages_received),
            total_messages_parsed: sum(|one| one.total_messages_parsed),
            total_errors: sum(|one| one.total_errors) + lagged,
            uptime,
            per_api_stats,
        }
    }
}
