//! What is known of instruments by name, while the table runs.

use std::fmt::Debug;

use crate::instruments::names::{Named, Names};

/// Looks up instruments for who adds one.
pub(crate) trait Directory: Debug + Send {
    /// Finds the one that a text means.
    ///
    /// # Errors
    /// Why there is none, for people.
    fn resolve(&self, text: &str) -> Result<Named, String>;

    /// Finds those that a text may become, the likeliest first, at most so many.
    fn complete(&self, text: &str, limit: usize) -> Vec<Named>;

    /// Gives what else is known of one: pairs of a name and a value, the most important first.
    fn facts(&self, token: u32) -> Vec<(&'static str, String)>;
}

impl Directory for Names {
    fn resolve(&self, text: &str) -> Result<Named, String> {
        Self::resolve(self, text).map_err(|error| format!("{error}; {}", error.advice()))
    }

    fn complete(&self, text: &str, limit: usize) -> Vec<Named> {
        // The exchange is no word of a symbol.
        let words = text.trim().replace(':', " ");
        match self.list() {
            Some(list) if !words.is_empty() => {
                let found = list.search(&words, limit);
                found.iter().map(|one| self.named(one.instrument_token)).collect()
            }
            _ => {
                let words = words.to_uppercase();
                let has = |name: &str| words.split_whitespace().all(|word| name.contains(word));
                Self::by_heart().filter(|named| has(&named.name)).take(limit).collect()
            }
        }
    }

    fn facts(&self, token: u32) -> Vec<(&'static str, String)> {
        let Some(one) = self.list().and_then(|list| list.by_token(token)) else {
            return Vec::new();
        };
        let mut facts = Vec::new();
        if let Some(expiry) = one.expiry {
            facts.push(("expiry", expiry.to_string()));
        }
        if one.lot_size > 0 {
            facts.push(("lot / tick", format!("{} / {}", one.lot_size, one.tick_size)));
        }
        if !one.name.is_empty() {
            facts.push(("name", one.name.to_owned()));
        }
        facts
    }
}
