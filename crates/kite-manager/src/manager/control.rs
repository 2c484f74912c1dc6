//! The state behind a manager's lock: settings, accounts and the current run.

use kite_conn::{Connection, Stamp};
use tokio::task::AbortHandle;

use crate::account_id::AccountId;
use crate::config::ManagerConfig;
use crate::error::UnknownAccount;
use crate::manager::account::Account;

#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) config: ManagerConfig,
    pub(crate) accounts: Vec<Account>,
    /// When the current run was started; `None` while stopped.
    pub(crate) started: Option<Stamp>,
    /// Whether the start of the current run has no outcome yet, because no caller has waited for it
    /// to the end.
    pub(crate) undecided: bool,
    /// The failover task.
    pub(crate) watchman: Option<AbortHandle>,
}

impl Control {
    pub(crate) fn new(config: ManagerConfig, accounts: Vec<Account>) -> Self {
        Self { config, accounts, started: None, undecided: false, watchman: None }
    }

    /// Returns the connections of the current run, or of the last one while stopped, by slot.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.accounts.iter().flat_map(|account| account.open.iter().cloned()).collect()
    }

    pub(crate) fn account_mut(&mut self, name: &AccountId) -> Result<&mut Account, UnknownAccount> {
        let found = self.accounts.iter_mut().find(|account| account.name == *name);
        found.ok_or_else(|| UnknownAccount { account: name.clone() })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(watchman) = self.watchman.take() {
            watchman.abort();
        }
    }
}
