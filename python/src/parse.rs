//! The function `parse`: the ticks of a frame that a program has kept.

use std::sync::Mutex;

use kite_conn::Stamp;
use kite_wire::Frame;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;

use crate::ticks::TickBuilder;

/// The builder of naive times, which is the same for all callers.
static BUILDER: PyOnceLock<Mutex<TickBuilder>> = PyOnceLock::new();

/// Returns the ticks of a frame as on_ticks receives them. If the frame is damaged, those before the
/// damage.
#[pyfunction]
#[pyo3(signature = (frame, tz = None))]
pub(crate) fn parse<'py>(
    py: Python<'py>,
    frame: pyo3_bytes::PyBytes,
    tz: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let frame = frame.as_ref();
    let shared = BUILDER.get_or_try_init(py, || TickBuilder::new(py, None).map(Mutex::new))?;
    // Not waited for: a thread that has it may be waiting for the interpreter.
    match (tz, shared.try_lock()) {
        (None, Ok(mut builder)) => list(py, frame, &mut builder),
        (tz, _) => list(py, frame, &mut TickBuilder::new(py, tz)?),
    }
}

fn list<'py>(
    py: Python<'py>,
    frame: &[u8],
    builder: &mut TickBuilder,
) -> PyResult<Bound<'py, PyList>> {
    builder.begin(Stamp::now());
    let ticks = Frame::walk(frame).packets().map(|packet| builder.tick(py, &packet));
    PyList::new(py, ticks.collect::<PyResult<Vec<_>>>()?)
}
