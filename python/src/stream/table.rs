//! The class `Table`: chosen columns of a batch, for Arrow.

use arrow_array::RecordBatch;
use kite_export::{EncodeFailure, Prices, TickBatches, TickSchema};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::arrow;
use crate::stream::batch::Batch;

/// Columns of a batch.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Table {
    batch: Py<Batch>,
    schema: TickSchema,
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
        let mut schema = batch.get().shown().schema().prices(prices);
        if let Some(columns) = columns {
            let chosen = schema.columns(columns);
            schema = chosen.map_err(|error| PyValueError::new_err(error.to_string()))?;
        }
        Ok(Self { batch: batch.unbind(), schema })
    }

    fn build(&self) -> PyResult<RecordBatch> {
        TickBatches::new(&self.schema).build(self.batch.get().packets()).map_err(failed)
    }
}

#[pymethods]
impl Table {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::schema(py, &self.schema.arrow())
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
