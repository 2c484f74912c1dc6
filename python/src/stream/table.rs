//! The class `Table`: chosen columns of a batch, for Arrow.

use std::sync::Arc;

use arrow_array::RecordBatch;
use kite_export::{EncodeFailure, Prices};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::arguments;
use crate::arrow;
use crate::counted::counted;
use crate::stream::batch::Batch;
use crate::stream::layout::Layout;

/// Columns of a batch.
#[pyclass(module = "kiteticker", frozen)]
#[derive(Debug)]
pub struct Table {
    batch: Py<Batch>,
    layout: Arc<Layout>,
}

impl Table {
    pub(crate) fn new(
        batch: Bound<'_, Batch>,
        columns: Option<Vec<String>>,
        prices: &str,
    ) -> PyResult<Self> {
        let prices = match prices {
            "decimal" => Prices::Decimal,
            "float" => Prices::Float,
            other => {
                return Err(PyValueError::new_err(format!(
                    "prices is {other:?}; it must be \"decimal\" or \"float\""
                )));
            }
        };
        let layout =
            batch.get().shown().layout(columns, prices).map_err(arguments::invalid_columns)?;
        Ok(Self { batch: batch.unbind(), layout })
    }

    fn build(&self) -> PyResult<RecordBatch> {
        self.layout.build(self.batch.get().packets()).map_err(failed)
    }
}

#[pymethods]
impl Table {
    fn __repr__(&self) -> String {
        let (rows, columns) = (self.batch.get().len(), self.layout.arrow().fields().len());
        format!("<Table of {}, {}>", counted(rows, "tick"), counted(columns, "column"))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::schema(py, &self.layout.arrow())
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        arrow::array(py, self.build()?, requested_schema)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::stream_of(py, self.build()?, requested_schema)
    }
}

pub(crate) fn failed(error: EncodeFailure) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}
