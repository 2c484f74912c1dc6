//! The names of the instruments that were subscribed by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::feed::lock;

/// Names by instrument token, shared by what shows them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Symbols(Arc<Mutex<Named>>);

#[derive(Debug, Default)]
struct Named {
    names: HashMap<u32, String>,
    changes: u64,
}

impl Symbols {
    /// Adds names of instruments.
    pub(crate) fn add(&self, named: impl IntoIterator<Item = (u32, String)>) {
        let mut all = lock(&self.0);
        for (token, name) in named {
            if all.names.get(&token) != Some(&name) {
                all.names.insert(token, name);
                all.changes += 1;
            }
        }
    }

    /// Returns the name of an instrument, if it was subscribed by name.
    pub(crate) fn name(&self, token: u32) -> Option<String> {
        lock(&self.0).names.get(&token).cloned()
    }

    /// Returns how often names have changed.
    pub(crate) fn changes(&self) -> u64 {
        lock(&self.0).changes
    }
}
