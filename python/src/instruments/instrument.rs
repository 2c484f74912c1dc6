//! The class `Instrument`: one row of the list.

use kite_instruments::{Amount, Date};
use pyo3::prelude::*;
use pyo3::types::PyDate;

/// One instrument of the list. Equal to another if all columns are.
#[pyclass(module = "kiteticker", frozen, eq)]
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// The number that identifies the instrument in subscriptions and ticks.
    #[pyo3(get)]
    instrument_token: u32,
    /// The number that the exchange assigned.
    #[pyo3(get)]
    exchange_token: Option<u32>,
    /// The symbol, unique within the exchange.
    #[pyo3(get)]
    tradingsymbol: String,
    /// The company's name, or the underlying of a derivative.
    #[pyo3(get)]
    name: String,
    /// The strike of an option.
    #[pyo3(get)]
    strike: Option<f64>,
    /// The smallest price step; an index has none.
    #[pyo3(get)]
    tick_size: Option<f64>,
    /// The number of units in one lot; an index has none.
    #[pyo3(get)]
    lot_size: Option<u32>,
    /// EQ, FUT, CE or PE.
    #[pyo3(get)]
    instrument_type: String,
    /// The segment as the list names it: NSE, NFO-OPT, INDICES and others.
    #[pyo3(get)]
    segment: String,
    /// The exchange.
    #[pyo3(get)]
    exchange: String,
    expiry: Option<(i32, u8, u8)>,
}

impl Instrument {
    pub(crate) fn new(one: &kite_instruments::Instrument<'_>) -> Self {
        Self {
            instrument_token: one.instrument_token,
            exchange_token: one.exchange_token,
            tradingsymbol: one.tradingsymbol.to_owned(),
            name: one.name.to_owned(),
            strike: one.strike.map(Amount::to_f64),
            tick_size: one.tick_size.map(Amount::to_f64),
            lot_size: one.lot_size,
            instrument_type: one.instrument_type.to_string(),
            segment: one.segment.to_owned(),
            exchange: one.exchange.to_string(),
            expiry: one.expiry.and_then(parts),
        }
    }
}

#[pymethods]
impl Instrument {
    /// Exchange and symbol, such as "NSE:INFY".
    #[getter]
    fn symbol(&self) -> String {
        format!("{}:{}", self.exchange, self.tradingsymbol)
    }

    /// The day on which a derivative expires.
    #[getter]
    fn expiry<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDate>>> {
        self.expiry.map(|(year, month, day)| PyDate::new(py, year, month, day)).transpose()
    }

    /// Returns the token, so that an instrument is accepted wherever one is.
    fn __index__(&self) -> u32 {
        self.instrument_token
    }

    fn __hash__(&self) -> u64 {
        self.instrument_token.into()
    }

    fn __repr__(&self) -> String {
        format!("<Instrument {} {}>", self.symbol(), self.instrument_token)
    }
}

fn parts(date: Date) -> Option<(i32, u8, u8)> {
    let text = date.to_string();
    let mut parts = text.split('-');
    let mut next = || parts.next()?.parse::<i32>().ok();
    let (year, month, day) = (next()?, next()?, next()?);
    Some((year, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}
