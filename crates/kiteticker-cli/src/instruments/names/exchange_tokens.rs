//! Tokens that no list has, but that are the exchange's numbers of instruments.
//!
//! Never an error, because a list need not be complete: such a number can be the instrument token of
//! another instrument.

use std::collections::{BTreeMap, BTreeSet};

use super::{Names, named};

impl Names {
    /// Returns, for each of these tokens that is unknown and an exchange token, which one it is and
    /// what to use instead: `the exchange token of NSE:INFY: use 408065`. Scans the lists once.
    pub(crate) fn exchange_tokens(
        &self,
        tokens: impl IntoIterator<Item = u32>,
    ) -> BTreeMap<u32, String> {
        let unknown = tokens.into_iter().filter(|&token| self.instrument(token).is_none());
        let unknown: BTreeSet<u32> = unknown.collect();
        if unknown.is_empty() {
            return BTreeMap::new();
        }
        let mut owners: BTreeMap<u32, BTreeSet<(u32, String)>> = BTreeMap::new();
        for one in self.all().flat_map(|list| list.iter()) {
            if let Some(number) = one.exchange_token.filter(|number| unknown.contains(number)) {
                let owner = named(&one);
                owners.entry(number).or_default().insert((owner.token, owner.name));
            }
        }
        owners.into_iter().map(|(number, owners)| (number, described(&owners))).collect()
    }

    /// Returns a warning about such a token: `1594 is the exchange token of NSE:INFY: use 408065`.
    pub(crate) fn exchange_token_warning(&self, token: u32) -> Option<String> {
        let what = self.exchange_tokens([token]).remove(&token)?;
        Some(format!("{token} is {what}"))
    }
}

/// Exchanges number their instruments independently, so a number may have several owners.
fn described(owners: &BTreeSet<(u32, String)>) -> String {
    let one = |(token, name): &(u32, String)| format!("the exchange token of {name}: use {token}");
    owners.iter().map(one).collect::<Vec<_>>().join(", or ")
}
