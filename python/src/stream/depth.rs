//! The classes `Depth` and `DepthLevel`: the market depth of a tick.

use kite_wire::{DepthEntry, Segment};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

const LEVELS: usize = 5;

/// Five bids and five asks.
#[pyclass(module = "kiteticker", frozen, eq)]
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    bids: [DepthLevel; LEVELS],
    asks: [DepthLevel; LEVELS],
}

/// One level of market depth.
#[pyclass(module = "kiteticker", frozen, eq, get_all)]
#[derive(Debug, Clone, PartialEq)]
pub struct DepthLevel {
    /// The price in rupees.
    price: f64,
    /// The quantity at this price; 0 if the level is empty.
    quantity: u32,
    /// The number of orders at this price.
    orders: u16,
}

impl Depth {
    pub(crate) fn new(depth: &kite_wire::Depth, segment: Segment) -> Self {
        let level = |entry: &DepthEntry| DepthLevel {
            price: entry.price(segment).to_f64(),
            quantity: entry.quantity(),
            orders: entry.orders(),
        };
        Self { bids: depth.bids().each_ref().map(level), asks: depth.asks().each_ref().map(level) }
    }
}

#[pymethods]
impl Depth {
    /// Five bids, from the highest price to the lowest.
    #[getter]
    fn bids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.bids.clone())
    }

    /// Five asks, from the lowest price to the highest.
    #[getter]
    fn asks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.asks.clone())
    }

    fn __repr__(&self) -> String {
        format!("<Depth {} / {}>", self.bids[0].shown(), self.asks[0].shown())
    }
}

#[pymethods]
impl DepthLevel {
    fn __repr__(&self) -> String {
        format!("<DepthLevel {}>", self.shown())
    }
}

impl DepthLevel {
    fn shown(&self) -> String {
        format!("{} × {}", self.quantity, self.price)
    }
}
