//! What the ticks of a stream are shown with: the time zone, names, and the builder of their dicts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use kite_conn::{Batch, Stamp};
use kite_wire::Packet;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use crate::feed::lock;
use crate::ticks::TickBuilder;

/// Shared by a stream, its batches and their ticks.
///
/// Nothing waits for the builder: a thread that has it may be waiting for the interpreter.
#[derive(Debug)]
pub(crate) struct Shown {
    zone: Option<Py<PyAny>>,
    builder: Mutex<TickBuilder>,
    /// The names of instruments that were subscribed by name.
    names: Mutex<HashMap<u32, Py<PyString>>>,
}

impl Shown {
    pub(crate) fn new(py: Python<'_>, zone: Option<Py<PyAny>>) -> PyResult<Arc<Self>> {
        let builder = TickBuilder::new(py, zone.as_ref().map(|zone| zone.clone_ref(py)))?;
        Ok(Arc::new(Self { zone, builder: Mutex::new(builder), names: Mutex::default() }))
    }

    /// Adds the name of an instrument.
    pub(crate) fn add_name(&self, token: u32, name: Bound<'_, PyString>) {
        // The one that it replaces is dropped after the lock.
        let _replaced = lock(&self.names).insert(token, name.unbind());
    }

    /// Returns the name of an instrument, if it was subscribed by name.
    pub(crate) fn name<'py>(&self, py: Python<'py>, token: u32) -> Option<Bound<'py, PyString>> {
        lock(&self.names).get(&token).map(|name| name.bind(py).clone())
    }

    /// Returns a time in whole seconds since the Unix epoch.
    pub(crate) fn time<'py>(&self, py: Python<'py>, seconds: u64) -> PyResult<Bound<'py, PyAny>> {
        let from_timestamp = datetime(py)?.getattr(intern!(py, "fromtimestamp"))?;
        match &self.zone {
            None => from_timestamp.call1((seconds,)),
            Some(zone) => from_timestamp.call1((seconds, zone)),
        }
    }

    /// Returns the time of a stamp, in microseconds.
    pub(crate) fn stamp<'py>(&self, py: Python<'py>, stamp: Stamp) -> PyResult<Bound<'py, PyAny>> {
        let unix_ns = stamp.to_unix_ns();
        let time = self.time(py, unix_ns / 1_000_000_000)?;
        let rest = PyDict::new(py);
        rest.set_item(intern!(py, "microsecond"), unix_ns % 1_000_000_000 / 1_000)?;
        time.call_method(intern!(py, "replace"), (), Some(&rest))
    }

    /// Appends the dicts of the ticks of these frames to `dicts`.
    pub(crate) fn append_dicts<'py, 'b>(
        &self,
        py: Python<'py>,
        frames: impl Iterator<Item = &'b Batch>,
        dicts: &mut Vec<Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        self.with_builder(py, |builder| {
            for batch in frames {
                builder.begin(batch.received);
                for packet in batch.ticks.packets() {
                    dicts.push(builder.tick(py, &packet)?);
                }
            }
            Ok(())
        })
    }

    /// Returns the dict of a tick.
    pub(crate) fn dict<'py>(
        &self,
        py: Python<'py>,
        received: Stamp,
        packet: &Packet<'_>,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.with_builder(py, |builder| {
            builder.begin(received);
            builder.tick(py, packet)
        })
    }

    fn with_builder<T>(
        &self,
        py: Python<'_>,
        build: impl FnOnce(&mut TickBuilder) -> PyResult<T>,
    ) -> PyResult<T> {
        match self.builder.try_lock() {
            Ok(mut builder) => build(&mut builder),
            Err(_) => {
                let zone = self.zone.as_ref().map(|zone| zone.clone_ref(py));
                build(&mut TickBuilder::new(py, zone)?)
            }
        }
    }
}

fn datetime(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static DATETIME: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DATETIME.import(py, "datetime", "datetime")
}
