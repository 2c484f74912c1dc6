//! Why a request to a manager was refused.

use std::time::Duration;

use kite_conn::{ConfigError, OpenError, ParkReason, SpawnError};

use crate::account_id::AccountId;

/// More instruments than the connections take. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} more instruments asked, {free} free on {connections} connections of {limit}; \
     unsubscribe some first"
)]
#[non_exhaustive]
pub struct CapacityError {
    /// How many new instruments were asked for.
    pub asked: usize,
    /// How many can still be taken.
    pub free: usize,
    /// How many connections there are.
    pub connections: usize,
    /// How many instruments one connection takes.
    pub limit: usize,
}

/// Why a manager could not be started. No socket is left open, subscriptions are kept, and a
/// later start may succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside of its range.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
    /// There is no runtime to run on.
    #[error("cannot run")]
    Spawn(#[from] SpawnError),
    /// Every connection was refused for good.
    #[error("no connection could be opened, {connections} tried")]
    Refused {
        /// How many connections were tried.
        connections: usize,
        /// Why the first of them was refused.
        #[source]
        reason: ParkReason,
    },
    /// No connection was up in time.
    #[error("no connection was up within {timeout:?}, {connections} tried")]
    Timeout {
        /// How many connections were tried.
        connections: usize,
        /// The time they had (`connect_timeout`).
        timeout: Duration,
        /// Why the last try of the first of them that failed did.
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
    /// A setting is outside of its range.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
    /// There is no runtime for the task that looks after failover.
    #[error("cannot run")]
    Spawn(#[from] SpawnError),
    /// It is running, in place or on tasks of its own.
    #[error("the manager is running, stop it before a start in place")]
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
    /// There is not enough room.
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
    /// Without an account there is nothing to connect.
    #[error("a manager needs an account: add one")]
    NoAccount,
    /// Two accounts have one name.
    #[error("two accounts are named {account}: give each its own name")]
    SameName {
        /// The name.
        account: AccountId,
    },
    /// Two accounts have one api_key.
    #[error("account {account} has the api_key of another: its three sockets are shared already")]
    SameApiKey {
        /// The later one's name.
        account: AccountId,
    },
    /// A setting is outside of its range.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
}

/// Not all connections were live in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{live} of {connections} connections are live")]
#[non_exhaustive]
pub struct NotLive {
    /// How many are.
    pub live: usize,
    /// How many there are; none before a start.
    pub connections: usize,
    /// Why the last try of the first of them that failed did.
    #[source]
    pub last_failure: Option<OpenError>,
}
