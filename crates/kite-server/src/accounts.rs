//! The accounts that may connect, which are API keys with one access token at a time.

use std::collections::BTreeMap;
use std::fmt;

use crate::refusal::Refusal;

/// The accounts that a server knows. `Debug` shows their number only, because access tokens are
/// secrets.
#[derive(Clone, Default)]
pub struct Accounts {
    /// `None` from when a token is revoked until a new one is set.
    token_by_key: BTreeMap<String, Option<String>>,
}

impl Accounts {
    /// Adds an account, or replaces its token, so that the old one is no longer valid.
    pub fn set(&mut self, api_key: String, access_token: String) {
        self.token_by_key.insert(api_key, Some(access_token));
    }

    /// Revokes the token of an account.
    pub fn revoke(&mut self, api_key: &str) {
        if let Some(token) = self.token_by_key.get_mut(api_key) {
            *token = None;
        }
    }

    /// Checks whether these credentials open a socket.
    ///
    /// # Errors
    /// Returns Kite's refusal: 400 for an unknown API key, 403 for a token that is not the key's.
    pub fn check(&self, api_key: &str, access_token: &str) -> Result<(), Refusal> {
        let token = self.token_by_key.get(api_key).ok_or_else(Refusal::no_credentials)?;
        if token.as_deref() == Some(access_token) { Ok(()) } else { Err(Refusal::auth()) }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("count", &self.token_by_key.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_key_nor_token() {
        let mut accounts = Accounts::default();
        accounts.set("key".into(), "monday".into());
        assert_eq!(format!("{accounts:?}"), "Accounts { count: 1 }");
    }

    #[test]
    fn a_new_token_replaces_the_old_one() {
        let mut accounts = Accounts::default();
        accounts.set("key".into(), "monday".into());
        assert_eq!(accounts.check("key", "monday"), Ok(()));
        accounts.set("key".into(), "tuesday".into());
        assert_eq!(accounts.check("key", "monday"), Err(Refusal::auth()));
        assert_eq!(accounts.check("key", "tuesday"), Ok(()));
    }

    #[test]
    fn a_revoked_or_unknown_account_is_refused() {
        let mut accounts = Accounts::default();
        accounts.set("key".into(), "token".into());
        assert_eq!(accounts.check("other", "token"), Err(Refusal::no_credentials()));
        accounts.revoke("key");
        accounts.revoke("other");
        assert_eq!(accounts.check("key", "token"), Err(Refusal::auth()));
        assert_eq!(accounts.check("other", "token"), Err(Refusal::no_credentials()));
    }
}
