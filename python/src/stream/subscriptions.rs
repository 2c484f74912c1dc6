//! Changes of a stream's instruments.

use std::collections::BTreeMap;

use kite_manager::Mode;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{Connections, check_process};
use crate::feed::{lock, mode};

impl Connections {
    /// Changes all or nothing.
    pub(super) fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Mode>)) -> PyResult<()> {
        let _alone = lock(&self.subscribing);
        let mut all = self.subscribed()?;
        change(&mut all);
        let set = self.manager.set_subscriptions(all);
        set.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Adds the names of tokens that have none yet and are known without a list.
    pub(super) fn name(&self, wanted: &BTreeMap<u32, Mode>) {
        let unnamed =
            wanted.keys().copied().filter(|&token| self.shown.symbols().name(token).is_none());
        let named = self.names.of_tokens(unnamed);
        if !named.is_empty() {
            self.shown.symbols().add(named);
        }
    }

    pub(super) fn subscribed(&self) -> PyResult<BTreeMap<u32, Mode>> {
        check_process(self.process)?;
        Ok(self.manager.distribution().into_iter().flatten().collect())
    }
}

pub(super) fn with_modes(wanted: Vec<(u32, String)>) -> PyResult<BTreeMap<u32, Mode>> {
    wanted.into_iter().map(|(token, name)| Ok((token, mode(&name)?))).collect()
}
