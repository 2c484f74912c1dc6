//! The accounts that may connect, which are API keys with one access token at a time.

use std::collections::BTreeMap;

/// The accounts the simulator knows. No `Debug`, because access tokens are secrets.
#[derive(Clone, Default)]
pub(crate) struct Accounts {
    /// `None` from when a token is revoked until a new one is set.
    token_by_key: BTreeMap<String, Option<String>>,
}

impl Accounts {
    /// Adds an account, or replaces its token, so that the old one is no longer valid.
    pub(crate) fn set(&mut self, api_key: String, access_token: String) {
        self.token_by_key.insert(api_key, Some(access_token));
    }

    /// Revokes the token of an account.
    pub(crate) fn revoke(&mut self, api_key: &str) {
        if let Some(token) = self.token_by_key.get_mut(api_key) {
            *token = None;
        }
    }

    /// Returns whether these credentials open a socket.
    pub(crate) fn admits(&self, api_key: &str, access_token: &str) -> bool {
        let valid = self.token_by_key.get(api_key).and_then(Option::as_deref);
        valid == Some(access_token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_replaces_the_old_one() {
        let mut accounts = Accounts::default();
        accounts.set("key".into(), "monday".into());
        assert!(accounts.admits("key", "monday"));
        accounts.set("key".into(), "tuesday".into());
        assert!(!accounts.admits("key", "monday"));
        assert!(accounts.admits("key", "tuesday"));
    }

    #[test]
    fn a_revoked_or_unknown_account_is_refused() {
        let mut accounts = Accounts::default();
        accounts.set("key".into(), "token".into());
        assert!(!accounts.admits("other", "token"));
        accounts.revoke("key");
        accounts.revoke("other");
        assert!(!accounts.admits("key", "token"));
    }
}
