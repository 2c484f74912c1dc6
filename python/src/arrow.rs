//! Tables for other libraries, without a copy and without a dependency on any of them: Arrow's
//! PyCapsule interface, as polars, pyarrow, DuckDB and pandas read it.
//!
//! A capsule owns a structure of Arrow's C interface. A consumer moves the structure out and marks
//! the capsule's as released; an unconsumed one is released with its capsule.

use std::ffi::CStr;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array as _, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, Schema};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// Returns the capsule of `__arrow_c_schema__`.
pub(crate) fn schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    let exported = FFI_ArrowSchema::try_from(schema).map_err(failed)?;
    PyCapsule::new_with_value(py, exported, SCHEMA)
}

/// Returns the capsules of `__arrow_c_array__` for one batch: its schema and its columns.
pub(crate) fn array<'py>(
    py: Python<'py>,
    batch: RecordBatch,
    requested_schema: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
    check(requested_schema)?;
    let schema = self::schema(py, &batch.schema())?;
    let exported = FFI_ArrowArray::new(&StructArray::from(batch).to_data());
    Ok((schema, PyCapsule::new_with_value(py, exported, ARRAY)?))
}

/// Returns the capsule of `__arrow_c_stream__` for one batch.
pub(crate) fn stream_of<'py>(
    py: Python<'py>,
    batch: RecordBatch,
    requested_schema: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = batch.schema();
    stream(py, RecordBatchIterator::new([Ok(batch)], schema), requested_schema)
}

/// Returns the capsule of `__arrow_c_stream__`. The consumer reads, and drops, from any thread, with
/// or without the interpreter.
pub(crate) fn stream<'py>(
    py: Python<'py>,
    batches: impl RecordBatchReader + Send + 'static,
    requested_schema: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    check(requested_schema)?;
    let exported = FFI_ArrowArrayStream::new(Box::new(batches));
    PyCapsule::new_with_value(py, exported, STREAM)
}

/// Checks that what a consumer requests is a schema. A table has its own schema whatever is
/// requested, which the interface permits: the request is for one of several representations, and
/// there is one here.
fn check(requested_schema: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(requested) = requested_schema else { return Ok(()) };
    match requested.cast::<PyCapsule>() {
        Ok(capsule) if capsule.is_valid_checked(Some(SCHEMA)) => Ok(()),
        _ => Err(PyTypeError::new_err("requested_schema must be an arrow_schema capsule")),
    }
}

fn failed(error: ArrowError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}
