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

    pub(super) fn subscribed(&self) -> PyResult<BTreeMap<u32, Mode>> {
        check_process(self.process)?;
        Ok(self.manager.distribution().into_iter().flatten().collect())
    }
}

pub(super) fn with_modes(wanted: Vec<(u32, String)>) -> PyResult<BTreeMap<u32, Mode>> {
    wanted.into_iter().map(|(token, name)| Ok((token, mode(&name)?))).collect()
}
