//! Passes a broadcast on once, although each account receives a copy.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kite_manager::AccountId;

/// How long after the first copy those of other accounts may arrive.
const WINDOW: Duration = Duration::from_secs(10);

/// Broadcasts remembered; the oldest is forgotten first.
const REMEMBERED: usize = 64;

/// The broadcasts of the last seconds. The same text from another account is a copy; the same text
/// again from an account is another broadcast.
#[derive(Debug, Default)]
pub(super) struct Broadcasts {
    recent: VecDeque<Recent>,
}

#[derive(Debug)]
struct Recent {
    text: Arc<str>,
    at: Instant,
    /// The accounts that have received it.
    accounts: Vec<AccountId>,
}

impl Broadcasts {
    /// Records a text of an account and returns whether it is to be passed on.
    pub(super) fn is_new(&mut self, account: &AccountId, text: &Arc<str>, now: Instant) -> bool {
        self.recent.retain(|recent| now.saturating_duration_since(recent.at) < WINDOW);
        let is_copy = |it: &&mut Recent| it.text == *text && !it.accounts.contains(account);
        if let Some(first) = self.recent.iter_mut().find(is_copy) {
            first.accounts.push(account.clone());
            return false;
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        let (text, accounts) = (Arc::clone(text), vec![account.clone()]);
        self.recent.push_back(Recent { text, at: now, accounts });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_other_accounts_are_not_passed_on() {
        let (mut broadcasts, start) = (Broadcasts::default(), Instant::now());
        let mut is_new = |account: &str, text: &str, seconds| {
            let now = start + Duration::from_secs(seconds);
            broadcasts.is_new(&account.into(), &Arc::from(text), now)
        };
        assert!(is_new("a", "text", 0));
        assert!(is_new("a", "text", 1), "the account's second");
        assert!(!is_new("b", "text", 2) && !is_new("b", "text", 3));
        assert!(is_new("b", "text", 4), "the other account's third");
        assert!(!is_new("a", "text", 5) && is_new("a", "other", 5));
        assert!(is_new("b", "other", 15), "too late for a copy");
        for number in 0..1_000 {
            assert!(is_new("a", &number.to_string(), 20));
        }
        assert_eq!(broadcasts.recent.len(), REMEMBERED);
    }
}
