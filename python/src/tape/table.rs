//! The class `TapeTable`: rows of tapes, read by any library that knows Arrow.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use kite_export::{Batches, ExportError};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};

use super::outcome::{Ended, Outcome};
use crate::arguments;
use crate::arrow;
use crate::counted::counted;
use crate::feed::lock;
use crate::instruments::DayNames;

/// Interval of checking for signals while a batch is waited for; a signal does not end the wait.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// When Ctrl-C has ended a reading.
static INTERRUPTED: Mutex<Option<Instant>> = Mutex::new(None);

/// Time within which a program that goes on reading after Ctrl-C is a loop that does not end by it,
/// and not a person at a prompt.
const GOES_ON_WITHIN: Duration = Duration::from_secs(1);

/// A table of tapes. Each consumer reads the tapes from their start.
#[pyclass(module = "kiteticker", frozen)]
pub struct TapeTable {
    schema: SchemaRef,
    names: Arc<DayNames>,
    open: Box<Open>,
    outcome: Outcome,
}

/// Prepares one reading.
type Open = dyn Fn(Outcome) -> Result<Box<dyn Reading>, ExportError> + Send + Sync;

/// One reading of a table of any kind.
pub(crate) trait Reading: Send {
    fn schema(&self) -> &SchemaRef;

    /// Waits for the next batch, as [`Batches::next_within`] does.
    fn next_within(&mut self, time: Duration) -> Option<Result<Option<RecordBatch>, ExportError>>;

    /// Returns what was counted, once all batches were read.
    fn ended(&self) -> Option<Ended>;
}

impl<S: Clone + Into<Ended> + Send + 'static> Reading for Batches<S> {
    fn schema(&self) -> &SchemaRef {
        self.schema()
    }

    fn next_within(&mut self, time: Duration) -> Option<Result<Option<RecordBatch>, ExportError>> {
        self.next_within(time)
    }

    fn ended(&self) -> Option<Ended> {
        self.summary().cloned().map(Into::into)
    }
}

impl TapeTable {
    /// Creates a table; `open` prepares one reading, and is called for each consumer.
    pub(crate) fn new<R: Reading + 'static>(
        names: Arc<DayNames>,
        open: impl Fn(Outcome) -> Result<R, ExportError> + Send + Sync + 'static,
    ) -> PyResult<Self> {
        let open =
            move |outcome| open(outcome).map(|reading| -> Box<dyn Reading> { Box::new(reading) });
        // A wrong setting is an error here, and not when the table is read.
        let schema = open(Outcome::default()).map_err(failed)?.schema().clone();
        Ok(Self { schema, names, open: Box::new(open), outcome: Outcome::default() })
    }
}

#[pymethods]
impl TapeTable {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::schema(py, &self.schema)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        check_interrupted()?;
        let reading = Outcome::default();
        let batches = (self.open)(reading.clone()).map_err(failed)?;
        let (names, shared) = (Arc::clone(&self.names), self.outcome.clone());
        let (batches, process) = (Some(batches), std::process::id());
        let reader =
            Reader { batches, process, schema: Arc::clone(&self.schema), reading, shared, names };
        arrow::stream(py, reader, requested_schema)
    }

    fn __repr__(&self) -> String {
        format!("<TapeTable, {}>", counted(self.schema.fields().len(), "column"))
    }

    /// What the last reading that has ended found, as `kite export --json` prints it; None before.
    #[getter]
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.outcome.summary(py)
    }

    /// Descriptions of what the last reading that has ended could not read.
    #[getter]
    fn damage(&self) -> Vec<String> {
        self.outcome.damage()
    }

    /// The names of the columns.
    #[getter]
    fn columns(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }
}

impl std::fmt::Debug for TapeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TapeTable").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// One reading. Any thread may drive it.
struct Reader {
    /// `None` once it is dropped.
    batches: Option<Box<dyn Reading>>,
    /// The process that began it. Threads do not survive a fork.
    process: u32,
    schema: SchemaRef,
    /// What this reading has found.
    reading: Outcome,
    /// What the last reading that has ended found.
    shared: Outcome,
    names: Arc<DayNames>,
}

impl Reader {
    /// Waits for the next batch, without the interpreter so that other threads of the program run.
    /// Python's signal handlers run in between, if this is its main thread.
    fn wait(&mut self) -> Option<Result<RecordBatch, ArrowError>> {
        let batches = self.batches.as_mut()?;
        if self.process != std::process::id() {
            let text = "the table was opened before a fork: open it in this process";
            return Some(Err(ArrowError::ExternalError(text.into())));
        }
        loop {
            let attached = Python::try_attach(|py| {
                let next = py.detach(|| batches.next_within(SIGNALS_EVERY));
                py.check_signals().map_err(|error| interrupted(py, &error))?;
                Ok(next)
            });
            let next = match attached {
                Some(Ok(next)) => next?,
                Some(Err(error)) => return Some(Err(error)),
                // The interpreter is ending.
                None => batches.next_within(SIGNALS_EVERY)?,
            };
            match next {
                Ok(Some(batch)) => return Some(Ok(batch)),
                Ok(None) => {}
                Err(error) => return Some(Err(ArrowError::ExternalError(Box::new(error)))),
            }
        }
    }

    /// Publishes what this reading has found, and warns of what is missing.
    fn finish(&self) -> Result<(), ArrowError> {
        let Some(ended) = self.batches.as_ref().and_then(|it| it.ended()) else { return Ok(()) };
        self.reading.end(ended);
        self.shared.replace(&self.reading);
        let warned = Python::try_attach(|py| {
            self.reading.warn(py, |token| self.names.label(token)).map_err(|error| external(&error))
        });
        warned.unwrap_or(Ok(()))
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.wait() {
            None => self.finish().err().map(Err),
            next => next,
        }
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let batches = self.batches.take();
        if self.process != std::process::id() {
            // Its threads are the parent's, so that waiting for them would not end.
            std::mem::forget(batches);
        }
    }
}

/// Returns the error of a signal whose handler has raised. The consumer raises an exception of its
/// own with this text, since errors pass through Arrow's interface as texts.
fn interrupted(py: Python<'_>, error: &PyErr) -> ArrowError {
    if !error.is_instance_of::<PyKeyboardInterrupt>(py) {
        return external(error);
    }
    *lock(&INTERRUPTED) = Some(Instant::now());
    ArrowError::ExternalError("interrupted by Ctrl-C".into())
}

/// Raises KeyboardInterrupt if Ctrl-C has just ended another reading: the program has caught the
/// exception of its consumer and goes on.
fn check_interrupted() -> PyResult<()> {
    match lock(&INTERRUPTED).take() {
        Some(at) if at.elapsed() < GOES_ON_WITHIN => Err(PyKeyboardInterrupt::new_err(())),
        _ => Ok(()),
    }
}

fn external(error: &PyErr) -> ArrowError {
    ArrowError::ExternalError(error.to_string().into())
}

/// Returns the exception of a table that cannot be read.
fn failed(error: ExportError) -> PyErr {
    match error {
        ExportError::Columns(error) => arguments::invalid_columns(error),
        ExportError::EmptyTimeRange { .. } | ExportError::Bars(_) | ExportError::Setting { .. } => {
            PyValueError::new_err(error.to_string())
        }
        error => PyOSError::new_err(error.to_string()),
    }
}
