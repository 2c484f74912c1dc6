//! Errors returned by a manager.

use std::time::Duration;

use kite_conn::{ConfigError, OpenError, ParkReason, SpawnError};

use crate::account_id::AccountId;

/// The connections cannot carry that many instruments. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} more instruments requested, {free} free on {connections} connections of {limit}; \
     unsubscribe some first"
)]
#[non_exhaustive]
pub struct CapacityError {
    /// New instruments in the request.
    pub asked: usize,
    /// Instruments that can still be added.
    pub free: usize,
    /// Number of connections.
    pub connections: usize,
    /// Maximum number of instruments per connection.
    pub limit: usize,
}

/// Why a manager could not be started. No socket is left open, subscriptions are kept, and a
/// later start may succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside its range.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
    /// There is no Tokio runtime, or it has no timers or no I/O.
    #[error("cannot spawn a task")]
    Spawn(#[from] SpawnError),
    /// Every connection was permanently refused.
    #[error("no connection could be opened; {connections} tried")]
    Refused {
        /// Number of connections tried.
        connections: usize,
        /// Why the first connection was refused.
        #[source]
        reason: ParkReason,
    },
    /// No connection was up in time.
    #[error("no connection was up within {timeout:?}; {connections} tried")]
    Timeout {
        /// Number of connections tried.
        connections: usize,
        /// The time limit (`connect_timeout`).
        timeout: Duration,
        /// The last failure of the first connection that has one.
        #[source]
        last_failure: Option<OpenError>,
    },
    /// The manager was stopped while it started.
    #[error("stopped while starting")]
    Stopped,
}

/// Why a manager could not be started in place. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InPlaceError {
    /// A setting is outside its range.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
    /// There is no Tokio runtime for the failover task, or it has no timers or no I/O.
    #[error("cannot spawn a task")]
    Spawn(#[from] SpawnError),
    /// The manager is already running, in place or on its own tasks.
    #[error("the manager is already running; stop it before starting in place")]
    Running,
}

/// No account of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no account is named {account}")]
#[non_exhaustive]
pub struct UnknownAccount {
    /// The name.
    pub account: AccountId,
}

/// Why instruments could not be subscribed with an account. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The connections cannot carry that many instruments.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// There is no such account.
    #[error(transparent)]
    UnknownAccount(#[from] UnknownAccount),
}

/// Why a manager could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No account was added.
    #[error("a manager needs an account: add one")]
    NoAccount,
    /// Two accounts have the same name.
    #[error("two accounts are named {account}; each needs its own name")]
    SameName {
        /// The name.
        account: AccountId,
    },
    /// Two accounts have the same api_key.
    #[error(
        "account {account} has the api_key of another account, but an api_key allows only three sockets"
    )]
    SameApiKey {
        /// The name of the later one.
        account: AccountId,
    },
    /// A setting is outside its range.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
}

/// Not all connections were live in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{live} of {connections} connections are live")]
#[non_exhaustive]
pub struct NotLive {
    /// Number of live connections.
    pub live: usize,
    /// Number of connections; 0 before the first start.
    pub connections: usize,
    /// The last failure of the first connection that has one.
    #[source]
    pub last_failure: Option<OpenError>,
}
