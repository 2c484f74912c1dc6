//! The names and credentials of accounts.

use std::fmt;

use kite_conn::Credentials;
use kite_manager::AccountId;

/// The name of an account, chosen by the application.
///
/// It appears in messages and errors, so it must not contain an api_key or a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyId(pub String);

impl ApiKeyId {
    /// Creates a name.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the typed manager's name of the account.
    pub(crate) fn account(&self) -> AccountId {
        AccountId::from(self.0.as_str())
    }
}

impl From<&str> for ApiKeyId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for ApiKeyId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The api_key of an account and its access token.
///
/// `Debug` shows at most the first four characters of the key, and no part of the token.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiCredentials {
    /// The application's api_key.
    pub api_key: String,
    /// The access token, which expires daily. Keep it out of logs and errors.
    pub access_token: String,
}

impl ApiCredentials {
    /// Pairs a key with a token.
    pub fn new(api_key: impl Into<String>, access_token: impl Into<String>) -> Self {
        Self { api_key: api_key.into(), access_token: access_token.into() }
    }
}

impl From<ApiCredentials> for Credentials {
    fn from(credentials: ApiCredentials) -> Self {
        Self::new(credentials.api_key, credentials.access_token)
    }
}

impl fmt::Debug for ApiCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Credentials` decides how much to show.
        fmt::Debug::fmt(&Credentials::from(self.clone()), f)
    }
}
