//! Checks of arguments, whose texts are those of the Python module `_arguments`.

use kite_export::{ColumnError, tick_columns};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Raises TypeError for what is no time zone.
pub(crate) fn check_zone(zone: &Bound<'_, PyAny>) -> PyResult<()> {
    module(zone.py())?.getattr("check_zone")?.call1((zone,)).map(drop)
}

/// Returns what an error adds about a name that is unknown: similar ones, else all.
pub(crate) fn choice<'k>(
    py: Python<'_>,
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> PyResult<String> {
    let known: Vec<_> = known.into_iter().collect();
    module(py)?.getattr("choice")?.call1((name, known))?.extract()
}

/// Returns names of columns: one, or several.
pub(crate) fn column_names(columns: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(one) = columns.extract() {
        return Ok(vec![one]);
    }
    let several = columns.try_iter().and_then(|names| names.map(|it| it?.extract()).collect());
    several.map_err(|_: PyErr| {
        PyTypeError::new_err(format!("columns is {columns:?}; it must be names of columns"))
    })
}

/// Returns the exception of columns that cannot be chosen, with similar names.
pub(crate) fn invalid_columns(error: ColumnError) -> PyErr {
    let ColumnError::Unknown { name } = &error else {
        return PyValueError::new_err(error.to_string());
    };
    let known = tick_columns(true, true);
    let advice = Python::attach(|py| choice(py, name, known.iter().map(|column| &*column.name)));
    match advice {
        Ok(advice) => PyValueError::new_err(format!("there is no column {name:?}{advice}")),
        Err(error) => error,
    }
}

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("kiteticker._arguments")
}
