//! Builder for a manager of one or several accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use kite_conn::{ConnectionConfig, Credentials, Endpoint, Sink};

use crate::account_id::AccountId;
use crate::config::{FailoverConfig, ManagerConfig};
use crate::error::BuildError;
use crate::manager::Manager;
use crate::seat::Seat;
use crate::tap::Tap;

/// Builds a [`Manager`] step by step.
///
/// ```
/// use kite_manager::{Credentials, Manager};
///
/// # fn main() -> Result<(), kite_manager::BuildError> {
/// let manager = Manager::builder()
///     .account("mine", Credentials::new("api_key", "access_token"))
///     .account("hers", Credentials::new("other_key", "other_token"))
///     .connections(2)
///     .build()?;
/// assert_eq!(manager.accounts().len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ManagerBuilder {
    accounts: Vec<(AccountId, Credentials)>,
    config: ManagerConfig,
}

impl ManagerBuilder {
    /// Adds an account under a name chosen by the application. Each account has its own api_key,
    /// and therefore its own three sockets and 9,000 instruments.
    pub fn account(mut self, name: impl Into<AccountId>, credentials: Credentials) -> Self {
        self.accounts.push((name.into(), credentials));
        self
    }

    /// Sets [`ManagerConfig::connections`].
    pub fn connections(mut self, connections: usize) -> Self {
        self.config.connections = connections;
        self
    }

    /// Sets the endpoint to connect to instead of Kite.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.config.connection.endpoint = endpoint;
        self
    }

    /// Sets [`ManagerConfig::failover`]; `None` turns it off.
    pub fn failover(mut self, failover: Option<FailoverConfig>) -> Self {
        self.config.failover = failover;
        self
    }

    /// Sets [`ManagerConfig::stagger`].
    pub fn stagger(mut self, stagger: Duration) -> Self {
        self.config.stagger = stagger;
        self
    }

    /// Sets [`ManagerConfig::latest`].
    pub fn latest(mut self, latest: bool) -> Self {
        self.config.latest = latest;
        self
    }

    /// Adds a tap to [`ManagerConfig::taps`]: `make_sink` creates a sink for each connection of
    /// each run, which receives everything the connection receives. Taps are called in the order in
    /// which they were added.
    ///
    /// ```
    /// use kite_manager::{Batch, Credentials, Event, Manager, Sink};
    ///
    /// struct Printer(usize);
    ///
    /// impl Sink for Printer {
    ///     fn on_batch(&mut self, batch: &Batch) {
    ///         println!("connection {}: {} ticks", self.0, batch.ticks.len());
    ///     }
    ///
    ///     fn on_event(&mut self, _: &Event) {}
    /// }
    ///
    /// # fn main() -> Result<(), kite_manager::BuildError> {
    /// let manager = Manager::builder()
    ///     .account("mine", Credentials::new("api_key", "access_token"))
    ///     .tap(|seat| Printer(seat.connection))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tap<S, F>(mut self, make_sink: F) -> Self
    where
        S: Sink,
        F: Fn(Seat) -> S + Send + Sync + 'static,
    {
        self.config.taps.push(Tap::new(make_sink));
        self
    }

    /// Changes the settings of each connection.
    pub fn connection(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        change(&mut self.config.connection);
        self
    }

    /// Replaces all settings.
    pub fn config(mut self, config: ManagerConfig) -> Self {
        self.config = config;
        self
    }

    /// Builds the manager; nothing is connected yet.
    ///
    /// # Errors
    /// Returns [`BuildError`] if there is no account, two accounts share a name or an api_key, or a
    /// setting is outside its range.
    pub fn build(self) -> Result<Manager, BuildError> {
        if self.accounts.is_empty() {
            return Err(BuildError::NoAccount);
        }
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for (name, credentials) in &self.accounts {
            if !names.insert(name) {
                return Err(BuildError::SameName { account: name.clone() });
            }
            if !keys.insert(credentials.api_key()) {
                return Err(BuildError::SameApiKey { account: name.clone() });
            }
        }
        self.config.validate()?;
        Ok(Manager::with_accounts(self.accounts, self.config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_errors_name_the_cause() {
        let credentials = |key: &str| Credentials::new(key, "token");
        let error = |builder: ManagerBuilder| builder.build().unwrap_err().to_string();
        assert_eq!(error(Manager::builder()), "a manager needs an account: add one");
        let twice = Manager::builder().account("a", credentials("k"));
        assert_eq!(
            error(twice.clone().account("a", credentials("l"))),
            "two accounts are named a; each needs its own name"
        );
        assert_eq!(
            error(twice.clone().account("b", credentials("k"))),
            "account b has the api_key of another account, but an api_key allows only three sockets"
        );
        assert_eq!(
            error(twice.connections(7)),
            "invalid configuration: connections is 7; it must be from 1 to 3"
        );
    }
}
