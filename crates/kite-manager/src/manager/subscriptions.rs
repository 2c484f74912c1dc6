//! Changes to the subscribed instruments and their modes.
//!
//! Requests change the desired state, so they work before a start and while disconnected.

use kite_wire::Mode;

use crate::account_id::AccountId;
use crate::balance::sorted;
use crate::error::{CapacityError, SubscribeError, UnknownAccount};
use crate::events::ManagerEvent;
use crate::manager::account::Account;
use crate::manager::{Core, Manager};

impl Manager {
    /// Subscribes instruments, balanced across all connections of all accounts. Instruments that an
    /// account already has are skipped and keep their mode.
    ///
    /// `Ok` means only that the request was accepted and assigned to connections: Kite sends no
    /// acknowledgement. Works before a start and while disconnected; the request is sent once
    /// connected.
    ///
    /// # Errors
    /// Returns [`CapacityError`] if the connections cannot carry them all; nothing is changed then.
    pub fn subscribe(&self, tokens: &[u32], mode: Mode) -> Result<(), CapacityError> {
        let mut control = self.lock();
        self.core.subscribe(&mut control.accounts, tokens, mode)
    }

    /// Subscribes instruments with one account, balanced across its connections. Instruments that
    /// this account already has are skipped and keep their mode. Another account may have them too.
    ///
    /// # Errors
    /// Returns [`SubscribeError`] if the connections cannot carry them all or there is no such
    /// account; nothing is changed then.
    pub fn subscribe_on(
        &self,
        account: &AccountId,
        tokens: &[u32],
        mode: Mode,
    ) -> Result<(), SubscribeError> {
        let mut control = self.lock();
        let account = control.account_mut(account)?;
        Ok(self.core.subscribe(std::slice::from_mut(account), tokens, mode)?)
    }

    /// Unsubscribes instruments from all accounts; unknown instruments are ignored.
    pub fn unsubscribe(&self, tokens: &[u32]) {
        for account in &mut self.lock().accounts {
            account.unsubscribe(tokens);
        }
        self.core.recheck.notify_one();
    }

    /// Unsubscribes instruments from one account; unknown instruments are ignored.
    ///
    /// # Errors
    /// Returns [`UnknownAccount`] if there is no such account.
    pub fn unsubscribe_on(
        &self,
        account: &AccountId,
        tokens: &[u32],
    ) -> Result<(), UnknownAccount> {
        self.lock().account_mut(account)?.unsubscribe(tokens);
        self.core.recheck.notify_one();
        Ok(())
    }

    /// Changes the mode of subscribed instruments; unknown ones are ignored.
    pub fn set_mode(&self, tokens: &[u32], mode: Mode) {
        for account in &mut self.lock().accounts {
            account.set_mode(tokens, mode);
        }
    }
}

impl Core {
    /// Subscribes instruments, balanced across `accounts` and their connections. Instruments that
    /// one of them already has are skipped.
    fn subscribe(
        &self,
        accounts: &mut [Account],
        tokens: &[u32],
        mode: Mode,
    ) -> Result<(), CapacityError> {
        let mut new = sorted(tokens);
        for account in &*accounts {
            account.retain_unknown(&mut new);
        }
        let shares = shares(accounts, new)?;
        for (account, share) in accounts.iter_mut().zip(shares) {
            account.subscribe(&share, mode)?;
            for (connection, tokens) in account.dark_among(&share) {
                let (account, tokens) = (account.name.clone(), tokens.into());
                self.notify(ManagerEvent::Dark { account, connection, tokens });
            }
        }
        Ok(())
    }
}

/// Divides new instruments among accounts; each account then balances its share.
fn shares(accounts: &[Account], new: Vec<u32>) -> Result<Vec<Vec<u32>>, CapacityError> {
    let mut free: Vec<usize> = accounts.iter().map(Account::free).collect();
    let all_free: usize = free.iter().sum();
    if new.len() > all_free {
        let connections = accounts.iter().map(Account::connections).sum();
        let limit = accounts.first().map_or(0, Account::limit);
        return Err(CapacityError { asked: new.len(), free: all_free, connections, limit });
    }
    if accounts.len() == 1 {
        return Ok(vec![new]);
    }
    let mut shares = vec![Vec::new(); accounts.len()];
    for token in new {
        // The account with the most room, the first among equals. One has room, because the total
        // does.
        let most = (0..free.len()).rev().max_by_key(|&account| free[account]);
        let Some(account) = most else { break };
        free[account] -= 1;
        shares[account].push(token);
    }
    Ok(shares)
}
