//! The class `Frames`: what was recorded, frame by frame.

use std::sync::Mutex;

use bytes::Bytes;
use kite_tape::{Entries, RecordKind, Windows};
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use super::outcome::Outcome;
use crate::feed::lock;

/// Records that are read at a time, without the interpreter.
const CHUNK: usize = 256;

/// A frame of a recording.
#[pyclass(module = "kiteticker", frozen, get_all)]
#[derive(Debug)]
pub struct RecordedFrame {
    /// When it was received, in nanoseconds since the Unix epoch.
    recv_unix_ns: u64,
    /// The account that received it, counted from 0.
    account: u8,
    /// The connection of the account, counted from 0.
    connection: u8,
    /// The bytes, not copied.
    data: Py<PyMemoryView>,
}

#[pymethods]
impl RecordedFrame {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (len, at) = (self.data.bind(py).len()?, self.recv_unix_ns);
        Ok(format!("<RecordedFrame of {len} bytes, recv_unix_ns={at}>"))
    }
}

/// Iterates over the binary frames of tapes, heartbeats left out.
#[pyclass(module = "kiteticker", frozen)]
#[derive(Debug)]
pub struct Frames {
    state: Mutex<State>,
    outcome: Outcome,
}

#[derive(Debug)]
struct State {
    entries: Entries,
    windows: Option<Windows>,
    stop_unix_ns: Option<u64>,
    /// Frames that were read, the next one last.
    read: Vec<(kite_tape::Received, Bytes)>,
    is_warned: bool,
}

impl Frames {
    /// Creates an iterator over the frames within the windows. Reading ends at a time after them,
    /// since a clock may have stepped back.
    pub(crate) fn new(
        entries: Entries,
        windows: Option<Windows>,
        stop_unix_ns: Option<u64>,
    ) -> Self {
        let state = State { entries, windows, stop_unix_ns, read: Vec::new(), is_warned: false };
        Self { state: Mutex::new(state), outcome: Outcome::default() }
    }
}

#[pymethods]
impl Frames {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<RecordedFrame>> {
        loop {
            let next = py.detach(|| lock(&self.state).next(&self.outcome));
            match next {
                Next::Frame(received, bytes) => {
                    let data = Bound::new(py, pyo3_bytes::PyBytes::new(bytes))?;
                    let data = PyMemoryView::from(data.as_any())?.unbind();
                    let (account, connection) =
                        (received.source.account, received.source.connection);
                    let recv_unix_ns = received.recv_unix_ns;
                    return Ok(Some(RecordedFrame { recv_unix_ns, account, connection, data }));
                }
                Next::Pending => py.check_signals()?,
                Next::End => {
                    let is_warned = std::mem::replace(&mut lock(&self.state).is_warned, true);
                    if !is_warned {
                        self.outcome.warn(py, |token| token.to_string())?;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Descriptions of what could not be read so far.
    #[getter]
    fn damage(&self) -> Vec<String> {
        self.outcome.damage()
    }
}

enum Next {
    Frame(kite_tape::Received, Bytes),
    /// Records were read, and none of them is a frame.
    Pending,
    End,
}

impl State {
    fn next(&mut self, outcome: &Outcome) -> Next {
        if let Some((received, bytes)) = self.read.pop() {
            return Next::Frame(received, bytes);
        }
        let mut is_end = true;
        for entry in self.entries.by_ref().take(CHUNK) {
            is_end = false;
            match entry {
                Ok(entry) if self.stop_unix_ns.is_some_and(|stop| entry.recv_unix_ns() >= stop) => {
                    is_end = self.read.is_empty();
                    break;
                }
                Ok(entry) => {
                    let at = entry.recv_unix_ns();
                    let is_within = self.windows.as_ref().is_none_or(|it| it.contains(at));
                    if is_within && entry.kind == RecordKind::Binary && entry.payload.len() > 1 {
                        self.read.push((entry.received, entry.payload));
                    }
                }
                Err(damage) => outcome.add_damage(&damage),
            }
        }
        self.read.reverse();
        if is_end { Next::End } else { Next::Pending }
    }
}
