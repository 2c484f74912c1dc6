//! Changes to the subscribed instruments and their modes.
//!
//! Requests change the desired state, so they work before a start and while disconnected.

use std::collections::BTreeMap;

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

    /// Makes the subscriptions of all accounts equal to `wanted`, and sends only the differences.
    ///
    /// Instruments that are not in `wanted` are unsubscribed from every account. Those in it keep
    /// their connection and switch mode if theirs differs; new ones are balanced across all
    /// connections as by [`Manager::subscribe`]. What is unsubscribed makes room for what is new,
    /// so a full account can exchange instruments. Of several modes for one instrument the last
    /// counts. `Ok` means the same as for [`Manager::subscribe`].
    ///
    /// ```
    /// use kite_manager::{Credentials, Manager, Mode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let manager = Manager::builder().account("mine", Credentials::new("key", "token")).build()?;
    /// manager.subscribe(&[256_265, 738_561], Mode::Quote)?;
    /// // Unsubscribes 738561 and subscribes 408065; 256265 stays.
    /// manager.set_subscriptions([(256_265, Mode::Quote), (408_065, Mode::Full)])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`CapacityError`] if the connections cannot carry them all; nothing is changed then.
    pub fn set_subscriptions(
        &self,
        wanted: impl IntoIterator<Item = (u32, Mode)>,
    ) -> Result<(), CapacityError> {
        // Collected before the lock, because the iterator may be slow or use this manager.
        let wanted = wanted.into_iter().collect();
        self.core.set_subscriptions(&mut self.lock().accounts, &wanted)
    }

    /// Makes the subscriptions of one account equal to `wanted`, as [`Manager::set_subscriptions`]
    /// does for all. Other accounts keep theirs.
    ///
    /// # Errors
    /// Returns [`SubscribeError`] if the connections cannot carry them all or there is no such
    /// account; nothing is changed then.
    pub fn set_subscriptions_on(
        &self,
        account: &AccountId,
        wanted: impl IntoIterator<Item = (u32, Mode)>,
    ) -> Result<(), SubscribeError> {
        let wanted = wanted.into_iter().collect();
        let mut control = self.lock();
        let account = control.account_mut(account)?;
        Ok(self.core.set_subscriptions(std::slice::from_mut(account), &wanted)?)
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
        let free = accounts.iter().map(Account::free).collect();
        let shares = shares(accounts, free, new)?;
        for (account, share) in accounts.iter_mut().zip(shares) {
            self.subscribe_share(account, &share, mode)?;
        }
        Ok(())
    }

    /// Makes the subscriptions of `accounts` equal to `wanted`.
    fn set_subscriptions(
        &self,
        accounts: &mut [Account],
        wanted: &BTreeMap<u32, Mode>,
    ) -> Result<(), CapacityError> {
        let mut new: Vec<u32> = wanted.keys().copied().collect();
        let mut unwanted = Vec::new();
        for account in &*accounts {
            account.retain_unknown(&mut new);
            unwanted.push(account.not_among(wanted));
        }
        let free = accounts.iter().zip(&unwanted);
        let free = free.map(|(account, unwanted)| account.free() + unwanted.len()).collect();
        let shares = shares(accounts, free, new)?;
        // Removed first, to make room.
        for (account, unwanted) in accounts.iter_mut().zip(&unwanted) {
            if !unwanted.is_empty() {
                account.unsubscribe(unwanted);
                self.recheck.notify_one();
            }
        }
        for mode in Mode::ALL {
            let in_mode = |token: &u32| wanted.get(token) == Some(&mode);
            let tokens: Vec<u32> = wanted.keys().copied().filter(in_mode).collect();
            for (account, share) in accounts.iter_mut().zip(&shares) {
                account.set_mode(&tokens, mode);
                let share: Vec<u32> = share.iter().copied().filter(in_mode).collect();
                self.subscribe_share(account, &share, mode)?;
            }
        }
        Ok(())
    }

    /// Subscribes new instruments with one account, and reports those that are dark.
    fn subscribe_share(
        &self,
        account: &mut Account,
        share: &[u32],
        mode: Mode,
    ) -> Result<(), CapacityError> {
        account.subscribe(share, mode)?;
        for (connection, tokens) in account.dark_among(share) {
            let (account, tokens) = (account.name.clone(), tokens.into());
            self.notify(ManagerEvent::Dark { account, connection, tokens });
        }
        Ok(())
    }
}

/// Divides new instruments among accounts that have `free` room; each account then balances its
/// share.
fn shares(
    accounts: &[Account],
    mut free: Vec<usize>,
    new: Vec<u32>,
) -> Result<Vec<Vec<u32>>, CapacityError> {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Credentials;

    const LIMIT: usize = 3;
    const ACCOUNTS: [&str; 2] = ["first", "second"];

    #[derive(Debug, Clone)]
    enum Op {
        Subscribe(Option<usize>, Vec<u32>, Mode),
        Unsubscribe(Vec<u32>),
        Set(Option<usize>, Vec<(u32, Mode)>),
    }

    fn op() -> impl Strategy<Value = Op> {
        let tokens = || prop::collection::vec(0_u32..20, 0..16);
        let mode = || prop::sample::select(&Mode::ALL[..]);
        let account = || prop::option::of(0..ACCOUNTS.len());
        let wanted = prop::collection::vec((0_u32..20, mode()), 0..20);
        prop_oneof![
            (account(), tokens(), mode())
                .prop_map(|(account, it, mode)| Op::Subscribe(account, it, mode)),
            tokens().prop_map(Op::Unsubscribe),
            (account(), wanted).prop_map(|(account, wanted)| Op::Set(account, wanted)),
        ]
    }

    /// Checks one `set_subscriptions` of the accounts with the slots `slots`.
    fn check(
        manager: &Manager,
        slots: std::ops::Range<usize>,
        wanted: &[(u32, Mode)],
        set: impl FnOnce() -> Result<(), CapacityError>,
    ) -> Result<(), TestCaseError> {
        let before = manager.distribution();
        let result = set();
        let after = manager.distribution();
        let wanted: BTreeMap<u32, Mode> = wanted.iter().copied().collect();
        let known =
            |token: &u32| before[slots.clone()].iter().filter(|it| it.contains_key(token)).count();
        let kept: usize = wanted.keys().map(known).sum();
        let asked = wanted.keys().filter(|token| known(token) == 0).count();
        let free = LIMIT * slots.len() - kept;
        if asked > free {
            let connections = slots.len();
            prop_assert_eq!(result, Err(CapacityError { asked, free, connections, limit: LIMIT }));
            prop_assert_eq!(after, before);
            return Ok(());
        }
        prop_assert_eq!(result, Ok(()));
        let all: BTreeMap<u32, Mode> =
            after[slots.clone()].iter().flatten().map(|(&token, &mode)| (token, mode)).collect();
        prop_assert_eq!(&all, &wanted);
        for (slot, (before, after)) in before.iter().zip(&after).enumerate() {
            if slots.contains(&slot) {
                prop_assert!(after.len() <= LIMIT);
                let mut stayed = before.keys().filter(|token| wanted.contains_key(token));
                prop_assert!(stayed.all(|token| after.contains_key(token)));
            } else {
                prop_assert_eq!(after, before, "another account keeps its instruments");
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn exactly_the_wanted_instruments_are_subscribed_or_nothing_changes(
            ops in prop::collection::vec(op(), 1..20),
        ) {
            let manager = Manager::builder()
                .account(ACCOUNTS[0], Credentials::new("first", "token"))
                .account(ACCOUNTS[1], Credentials::new("second", "token"))
                .connections(2)
                .connection(|it| it.instrument_limit = LIMIT)
                .build()
                .unwrap();
            for op in ops {
                match op {
                    Op::Subscribe(None, tokens, mode) => drop(manager.subscribe(&tokens, mode)),
                    Op::Subscribe(Some(account), tokens, mode) => {
                        drop(manager.subscribe_on(&ACCOUNTS[account].into(), &tokens, mode));
                    }
                    Op::Unsubscribe(tokens) => manager.unsubscribe(&tokens),
                    Op::Set(None, wanted) => {
                        check(&manager, 0..4, &wanted, || manager.set_subscriptions(wanted.clone()))?;
                    }
                    Op::Set(Some(account), wanted) => {
                        let slots = account * 2..account * 2 + 2;
                        let set = || {
                            let name = ACCOUNTS[account].into();
                            manager.set_subscriptions_on(&name, wanted.clone()).map_err(|error| {
                                let SubscribeError::Capacity(error) = error else { panic!("{error}") };
                                error
                            })
                        };
                        check(&manager, slots, &wanted, set)?;
                    }
                }
            }
        }
    }
}
