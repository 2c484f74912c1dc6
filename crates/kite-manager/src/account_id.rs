//! Names of accounts.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of an account, chosen by the application. Cheap to clone.
///
/// It is printed in logs and errors, so do not put an api_key or a token in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `main`, the name of an account that has no other. Texts leave it out.
impl Default for AccountId {
    fn default() -> Self {
        Self::from("main")
    }
}

impl From<&str> for AccountId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for AccountId {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_compared_and_shown_by_name() {
        let id = AccountId::from("second");
        assert_eq!(id, AccountId::from("second".to_owned()));
        assert_eq!((id.as_str(), format!("{id:>8}").as_str()), ("second", "  second"));
        assert!(AccountId::from("first") < id);
    }
}
