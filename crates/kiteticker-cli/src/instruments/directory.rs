//! Instrument look-up while the table runs.

use std::fmt::Debug;

use kite_conn::OneLine;

use crate::instruments::names::{Named, Names};

/// Looks up the instruments that a user adds to the table.
pub(crate) trait Directory: Debug + Send {
    /// Finds the instrument that the input names.
    ///
    /// # Errors
    /// Returns a message for the user if there is no such instrument.
    fn resolve(&self, text: &str) -> Result<Named, String>;

    /// Returns a warning if the token may have been meant for another one.
    fn doubt(&self, _token: u32) -> Option<String> {
        None
    }

    /// Returns at most `limit` completions, best match first.
    fn complete(&self, text: &str, limit: usize) -> Vec<Named>;

    /// Returns further details as pairs of a name and a value, in descending importance.
    fn facts(&self, token: u32) -> Vec<(&'static str, String)>;
}

impl Directory for Names {
    fn resolve(&self, text: &str) -> Result<Named, String> {
        Self::resolve(self, text).map_err(|error| error.below_name())
    }

    fn doubt(&self, token: u32) -> Option<String> {
        self.exchange_token_warning(token)
    }

    fn complete(&self, text: &str, limit: usize) -> Vec<Named> {
        // The list is searched by words of the symbol, without the colon after the exchange.
        let words = text.trim().replace(':', " ");
        if words.is_empty() {
            return self.default_instruments().into_iter().take(limit).collect();
        }
        self.search(&words, limit)
    }

    fn facts(&self, token: u32) -> Vec<(&'static str, String)> {
        let Some(one) = self.instrument(token) else { return Vec::new() };
        let mut facts = Vec::new();
        if let Some(expiry) = one.expiry {
            facts.push(("expiry", expiry.to_string()));
        }
        if let (Some(lot), Some(tick)) = (one.lot_size, one.tick_size) {
            facts.push(("lot / tick", format!("{lot} / {tick}")));
        }
        if !one.name.is_empty() {
            facts.push(("name", OneLine(one.name).to_string()));
        }
        facts
    }
}
