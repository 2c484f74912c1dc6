//! The account and number of a connection.
//!
//! A slot is the number of a connection across all accounts, ordered by account as they were added,
//! then by connection number.

use std::fmt;
use std::sync::Arc;

use crate::account_id::AccountId;

/// The account and number of a connection. Orders by account as they were added, then by
/// connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Seat {
    // First, because it decides the order.
    /// The account's number within its manager, in the order the accounts were added, from 0.
    pub account_index: usize,
    /// The account.
    pub account: AccountId,
    /// The connection's number within the account, from 0.
    pub connection: usize,
}

/// "connection 1", "connection 2 of mine": counted from 1, with the account if it has a name.
impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_connection(f, &self.account, self.connection)
    }
}

pub(crate) fn write_connection(
    f: &mut fmt::Formatter<'_>,
    account: &AccountId,
    connection: usize,
) -> fmt::Result {
    write!(f, "connection {}", connection + 1)?;
    if *account == AccountId::default() { Ok(()) } else { write!(f, " of {account}") }
}

/// The seat of each slot. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    accounts: Arc<[AccountId]>,
    per_account: usize,
}

impl Seats {
    /// Creates the seats of accounts with `per_account` connections each.
    pub(crate) fn new(accounts: Arc<[AccountId]>, per_account: usize) -> Self {
        Self { accounts, per_account }
    }

    /// Returns the number of slots.
    pub(crate) fn len(&self) -> usize {
        self.accounts.len() * self.per_account
    }

    /// Returns the names of the accounts, in the order they were added.
    pub(crate) fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    pub(crate) fn seat(&self, slot: usize) -> Seat {
        let account_index = slot / self.per_account.max(1);
        let account = self.accounts.get(account_index).cloned().unwrap_or_default();
        Seat { account, account_index, connection: slot % self.per_account.max(1) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn seats_order_by_account_as_added_then_by_connection() {
        let seats = Seats::new(["zulu", "alpha"].map(AccountId::from).into(), 3);
        let by_slot: Vec<Seat> = (0..seats.len()).map(|slot| seats.seat(slot)).collect();
        let sorted: BTreeSet<Seat> = by_slot.iter().rev().cloned().collect();
        assert!(sorted.iter().eq(&by_slot));
        assert_eq!(by_slot.iter().chain(&by_slot).collect::<HashSet<_>>().len(), 6);
    }
}
