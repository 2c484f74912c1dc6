//! The accounts that may connect, which are API keys with one access token at a time.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::admission::MAX_SOCKETS;
use crate::refusal::Refusal;

/// An account: who may connect, and with how many sockets. `Debug` omits the credentials.
#[derive(Clone)]
pub struct Account {
    name: String,
    api_key: String,
    /// `None` from when a token is revoked until a new one is set.
    access_token: Option<String>,
    max_sockets: Option<usize>,
}

/// Why an account is not accepted. No text contains a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The API key is empty or has a character that URLs would have to escape.
    #[error("client `{name}`: the api_key must consist of A-Z, a-z, 0-9, `_` and `-`")]
    ApiKey {
        /// The account's name.
        name: String,
    },
    /// The access token is empty or has a character that URLs would have to escape.
    #[error("client `{name}`: the access_token must consist of A-Z, a-z, 0-9, `_` and `-`")]
    AccessToken {
        /// The account's name.
        name: String,
    },
    /// Another account has the same name.
    #[error("there are two clients called `{name}`")]
    SameName {
        /// The name.
        name: String,
    },
    /// Another account has the same API key.
    #[error("clients `{name}` and `{other}` have the same api_key")]
    SameApiKey {
        /// The account's name.
        name: String,
        /// The name of the account that has the API key already.
        other: String,
    },
}

impl Account {
    /// Creates an account with no limit of sockets. The name is for logs and counts.
    ///
    /// # Errors
    /// Returns an error unless both credentials are made of `[A-Za-z0-9_-]`, so that no client has
    /// to escape them.
    pub fn new(
        name: impl Into<String>,
        api_key: impl Into<String>,
        access_token: impl Into<String>,
    ) -> Result<Self, AccountError> {
        let (name, api_key, access_token) = (name.into(), api_key.into(), access_token.into());
        if !is_plain(&api_key) {
            return Err(AccountError::ApiKey { name });
        }
        if !is_plain(&access_token) {
            return Err(AccountError::AccessToken { name });
        }
        Ok(Self { name, api_key, access_token: Some(access_token), max_sockets: None })
    }

    /// Sets how many sockets the account may have open; `None` is no limit.
    #[must_use]
    pub fn max_sockets(mut self, max_sockets: Option<usize>) -> Self {
        self.max_sockets = max_sockets;
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("max_sockets", &self.max_sockets)
            .finish_non_exhaustive()
    }
}

/// The accounts that a server knows. `Debug` shows their number only, because access tokens are
/// secrets.
#[derive(Clone, Default)]
pub struct Accounts {
    accounts: Vec<Account>,
}

impl Accounts {
    /// Adds an account.
    ///
    /// # Errors
    /// Returns an error if another account has its name or its API key; nothing has changed then.
    pub fn add(&mut self, account: Account) -> Result<(), AccountError> {
        for other in &self.accounts {
            if other.name == account.name {
                return Err(AccountError::SameName { name: account.name });
            }
            if other.api_key == account.api_key {
                let other = other.name.clone();
                return Err(AccountError::SameApiKey { name: account.name, other });
            }
        }
        self.accounts.push(account);
        Ok(())
    }

    /// Replaces the token of an API key, so that the old one is no longer valid, or adds an account
    /// that is named after its key and has Kite's limit of sockets. The characters of either are
    /// not checked.
    pub fn set(&mut self, api_key: String, access_token: String) {
        let access_token = Some(access_token);
        match self.accounts.iter_mut().find(|account| account.api_key == api_key) {
            Some(account) => account.access_token = access_token,
            None => self.accounts.push(Account {
                name: api_key.clone(),
                api_key,
                access_token,
                max_sockets: Some(MAX_SOCKETS),
            }),
        }
    }

    /// Revokes the token of an account.
    pub fn revoke(&mut self, api_key: &str) {
        if let Some(account) = self.accounts.iter_mut().find(|it| it.api_key == api_key) {
            account.access_token = None;
        }
    }

    /// Checks whether these credentials open a socket, and returns the account.
    ///
    /// The time it takes depends on lengths only, not on which characters are right.
    ///
    /// # Errors
    /// Returns Kite's refusal: 400 for an unknown API key, 403 for a token that is not the key's.
    pub fn check(&self, api_key: &str, access_token: &str) -> Result<&Account, Refusal> {
        let mut found = None;
        for account in &self.accounts {
            let token = account.access_token.as_deref().unwrap_or_default();
            let is_key = account.api_key.as_bytes().ct_eq(api_key.as_bytes());
            let is_token = token.as_bytes().ct_eq(access_token.as_bytes());
            if bool::from(is_key) {
                found = Some((account, bool::from(is_token) && !token.is_empty()));
            }
        }
        match found {
            Some((account, true)) => Ok(account),
            Some((_, false)) => Err(Refusal::auth()),
            None => Err(Refusal::no_credentials()),
        }
    }

    /// Returns how many sockets an API key may have open; `None` is no limit.
    pub(crate) fn max_sockets(&self, api_key: &str) -> Option<usize> {
        let account = self.accounts.iter().find(|account| account.api_key == api_key);
        account.map_or(Some(MAX_SOCKETS), |account| account.max_sockets)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("count", &self.accounts.len()).finish()
    }
}

/// Returns whether a credential needs no escapes in a URL.
fn is_plain(credential: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !credential.is_empty() && credential.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accounts: &Accounts, api_key: &str, access_token: &str) -> Result<String, Refusal> {
        accounts.check(api_key, access_token).map(|account| account.name().to_owned())
    }

    #[test]
    fn debug_shows_neither_key_nor_token() {
        let mut accounts = Accounts::default();
        let account = Account::new("desk", "key", "monday").unwrap();
        assert_eq!(format!("{account:?}"), "Account { name: \"desk\", max_sockets: None, .. }");
        accounts.add(account).unwrap();
        assert_eq!(format!("{accounts:?}"), "Accounts { count: 1 }");
    }

    #[test]
    fn a_new_token_replaces_the_old_one() {
        let mut accounts = Accounts::default();
        accounts.set("key".into(), "monday".into());
        assert_eq!(check(&accounts, "key", "monday"), Ok("key".into()));
        accounts.set("key".into(), "tuesday".into());
        assert_eq!(check(&accounts, "key", "monday"), Err(Refusal::auth()));
        assert_eq!(check(&accounts, "key", "tuesday"), Ok("key".into()));
        assert_eq!(accounts.max_sockets("key"), Some(MAX_SOCKETS));
    }

    #[test]
    fn a_revoked_or_unknown_account_is_refused() {
        let mut accounts = Accounts::default();
        accounts.set("key".into(), "token".into());
        assert_eq!(check(&accounts, "other", "token"), Err(Refusal::no_credentials()));
        accounts.revoke("key");
        accounts.revoke("other");
        for token in ["token", ""] {
            assert_eq!(check(&accounts, "key", token), Err(Refusal::auth()));
            assert_eq!(check(&accounts, "other", token), Err(Refusal::no_credentials()));
        }
    }

    #[test]
    fn each_account_is_found_by_its_own_pair_only() {
        let mut accounts = Accounts::default();
        accounts.add(Account::new("one", "key-1", "token-1").unwrap()).unwrap();
        let two = Account::new("two", "key-2", "token-2").unwrap();
        accounts.add(two.max_sockets(Some(7))).unwrap();
        assert_eq!(check(&accounts, "key-1", "token-1"), Ok("one".into()));
        assert_eq!(check(&accounts, "key-2", "token-2"), Ok("two".into()));
        for (api_key, access_token) in
            [("key-1", "token-2"), ("key-2", "token-1"), ("key-1", "token-"), ("key-1", "token-11")]
        {
            assert_eq!(check(&accounts, api_key, access_token), Err(Refusal::auth()));
        }
        assert_eq!((accounts.max_sockets("key-1"), accounts.max_sockets("key-2")), (None, Some(7)));
    }

    #[test]
    fn accounts_that_cannot_be_told_apart_are_rejected() {
        let mut accounts = Accounts::default();
        let account = |name: &str, key: &str| Account::new(name, key, "secret").unwrap();
        accounts.add(account("one", "key")).unwrap();
        let same_name = accounts.add(account("one", "other"));
        assert_eq!(same_name, Err(AccountError::SameName { name: "one".into() }));
        let same_key = accounts.add(account("two", "key")).unwrap_err();
        assert_eq!(same_key.to_string(), "clients `two` and `one` have the same api_key");
    }

    #[test]
    fn credentials_that_would_have_to_be_escaped_are_rejected_and_not_shown() {
        for bad in ["", "a b", "a&b", "ä", "a%20", "a\n", "sêcret"] {
            for error in [
                Account::new("desk", bad, "token").unwrap_err(),
                Account::new("desk", "key", bad).unwrap_err(),
            ] {
                let text = error.to_string();
                assert!(text.starts_with("client `desk`: the a"), "{text}");
                assert!(bad.len() < 3 || !text.contains(bad), "{text}");
            }
        }
    }
}
