//! What the ticks of a stream are shown with: the time zone, names, and builders of dicts and tables.

use std::sync::{Arc, Mutex};

use kite_conn::{Batch, Stamp};
use kite_export::{ColumnError, Prices};
use kite_wire::Packet;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::stream::layout::{Layout, Layouts};
use crate::stream::symbols::Symbols;
use crate::ticks::TickBuilder;

/// Shared by a stream, its batches and their ticks.
///
/// Nothing waits for the builder of dicts: a thread that has it may be waiting for the interpreter.
#[derive(Debug)]
pub(crate) struct Shown {
    zone: Option<Py<PyAny>>,
    builder: Mutex<TickBuilder>,
    symbols: Symbols,
    layouts: Layouts,
}

impl Shown {
    pub(crate) fn new(py: Python<'_>, zone: Option<Py<PyAny>>) -> PyResult<Arc<Self>> {
        let builder = TickBuilder::new(py, zone.as_ref().map(|zone| zone.clone_ref(py)))?;
        Ok(Arc::new(Self {
            zone,
            builder: Mutex::new(builder),
            symbols: Symbols::default(),
            layouts: Layouts::default(),
        }))
    }

    /// Returns what batches without a stream share: naive times, and no names.
    pub(crate) fn without_stream(py: Python<'_>) -> PyResult<Arc<Self>> {
        static SHARED: PyOnceLock<Arc<Shown>> = PyOnceLock::new();
        SHARED.get_or_try_init(py, || Self::new(py, None)).map(Arc::clone)
    }

    /// Returns the names of instruments that were subscribed by name.
    pub(crate) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Returns the layout of tables with these columns; `None` is all.
    pub(crate) fn layout(
        &self,
        columns: Option<Vec<String>>,
        prices: Prices,
    ) -> Result<Arc<Layout>, ColumnError> {
        self.layouts.get(columns, prices, &self.symbols)
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
