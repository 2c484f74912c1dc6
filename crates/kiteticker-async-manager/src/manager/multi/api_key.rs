//! How accounts are told apart, and what opens their sockets.

use std::fmt;

use kite_conn::Credentials;
use kite_manager::AccountId;

/// The name of an account, as the application chose it.
///
/// It is shown in messages and errors: no place for an api_key or a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyId(pub String);

impl ApiKeyId {
    /// Makes a name.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Gives the name that the layer beneath knows it by.
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

/// The api_key of an account and its access token of the day.
///
/// `Debug` shows at most the first four characters of the key and nothing of the token.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiCredentials {
    /// The key of the application.
    pub api_key: String,
    /// The token of the day. Who takes it from here keeps it out of logs and errors.
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
        // How much may be shown is decided in one place.
        fmt::Debug::fmt(&Credentials::from(self.clone()), f)
    }
}
