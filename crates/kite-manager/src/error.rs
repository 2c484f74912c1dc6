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
    #[error("invalid configuration: {0}")]
    Config(ConfigError),
    /// There is no Tokio runtime, or it has no timers or no I/O.
    #[error("cannot spawn a task: {0}")]
    Spawn(SpawnError),
    /// Every connection was permanently refused.
    #[error("no connection could be opened; {connections} tried: {reason}")]
    Refused {
        /// Number of connections tried.
        connections: usize,
        /// Why the first connection was refused.
        reason: ParkReason,
    },
    /// No connection was up in time.
    #[error("no connection was up within {timeout:?}; {connections} tried{}", suffix(last_failure))]
    Timeout {
        /// Number of connections tried.
        connections: usize,
        /// The time limit (`connect_timeout`).
        timeout: Duration,
        /// The last failure of the first connection that has one.
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
    #[error("invalid configuration: {0}")]
    Config(ConfigError),
    /// There is no Tokio runtime for the failover task, or it has no timers or no I/O.
    #[error("cannot spawn a task: {0}")]
    Spawn(SpawnError),
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
    #[error("invalid configuration: {0}")]
    Config(ConfigError),
}

/// Not all connections were live in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{live} of {connections} connections are live{}", suffix(last_failure))]
#[non_exhaustive]
pub struct NotLive {
    /// Number of live connections.
    pub live: usize,
    /// Number of connections; 0 before the first start.
    pub connections: usize,
    /// The last failure of the first connection that has one.
    pub last_failure: Option<OpenError>,
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<SpawnError> for StartError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

impl From<ConfigError> for InPlaceError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<SpawnError> for InPlaceError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

impl From<ConfigError> for BuildError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Returns ": cause", or nothing if there is none.
fn suffix(cause: &Option<OpenError>) -> String {
    cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let config = ConfigError::new("setting", 5, "1 to 3");
        let spawn = SpawnError::from(config.clone());
        let open = OpenError::NoAddress { host: "nowhere".into() };
        let reason = ParkReason::Configuration(open.clone());
        let timeout = Duration::from_secs(30);
        let late = |last_failure| StartError::Timeout { connections: 3, timeout, last_failure };
        let not_live = |last_failure| NotLive { live: 1, connections: 3, last_failure };
        let capacity = CapacityError { asked: 3, free: 1, connections: 1, limit: 3_000 };

        assert_chain(&StartError::from(config.clone()), Some(&config));
        assert_chain(&StartError::from(spawn.clone()), Some(&spawn));
        let refused = StartError::Refused { connections: 3, reason: reason.clone() };
        assert_chain(&refused, Some(&reason));
        assert_chain(&refused, Some(&open));
        assert_chain(&late(Some(open.clone())), Some(&open));
        assert_chain(&late(None), None);
        assert_chain(&StartError::Stopped, None);
        assert_chain(&InPlaceError::from(config.clone()), Some(&config));
        assert_chain(&InPlaceError::from(spawn.clone()), Some(&spawn));
        assert_chain(&InPlaceError::Running, None);
        assert_chain(&SubscribeError::from(capacity), Some(&capacity));
        assert_chain(&BuildError::from(config.clone()), Some(&config));
        assert_chain(&BuildError::NoAccount, None);
        assert_chain(&not_live(Some(open.clone())), Some(&open));
        assert_chain(&not_live(None), None);
    }
}
