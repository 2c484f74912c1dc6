//! The class `Tick`: one packet, of which the fields that a program reads are decoded.

use std::sync::Arc;

use kite_conn::Stamp;
use kite_wire::{FullPacket, Packet, PacketKind, Price, UnixSeconds};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::stream::depth::Depth;
use crate::stream::shown::Shown;

/// A tick. It has its own copy of the packet, so that a program which keeps it does not keep the
/// memory that the socket was read into.
#[pyclass(module = "kiteticker", frozen)]
#[derive(Debug)]
pub struct Tick {
    shown: Arc<Shown>,
    received: Stamp,
    kind: PacketKind,
    connection: u8,
    is_first: bool,
    bytes: [u8; FullPacket::LEN],
}

impl Tick {
    pub(crate) fn new(
        shown: &Arc<Shown>,
        received: Stamp,
        connection: u8,
        is_first: bool,
        packet: Packet<'_>,
    ) -> Self {
        let mut bytes = [0; FullPacket::LEN];
        let packet_bytes = packet.as_bytes();
        bytes[..packet_bytes.len()].copy_from_slice(packet_bytes);
        let kind = packet.kind();
        Self { shown: Arc::clone(shown), received, kind, connection, is_first, bytes }
    }

    #[expect(clippy::expect_used, reason = "the bytes are as long as a packet of their kind")]
    fn packet(&self) -> Packet<'_> {
        Packet::from_bytes(&self.bytes[..self.kind.packet_len()]).expect("a packet of its kind")
    }

    fn time<'py>(
        &self,
        py: Python<'py>,
        seconds: Option<UnixSeconds>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        seconds.map(|seconds| self.shown.time(py, seconds.get().into())).transpose()
    }
}

/// Each attribute has the name and the meaning of its column in docs/export.md; `None` where the
/// mode of the packet does not carry it.
#[pymethods]
impl Tick {
    /// When the frame was received.
    #[getter]
    fn recv_time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.shown.stamp(py, self.received)
    }

    /// `recv_time` in nanoseconds since the Unix epoch.
    #[getter]
    fn recv_unix_ns(&self) -> u64 {
        self.received.to_unix_ns()
    }

    /// The number of the connection, from 0.
    #[getter]
    fn connection(&self) -> u8 {
        self.connection
    }

    /// Whether it is the first of its instrument after a subscribe, a change of the mode or a
    /// reconnect: the newest values, no matter how old, rather than a trade.
    #[getter]
    fn is_first(&self) -> bool {
        self.is_first
    }

    /// The number that identifies the instrument.
    #[getter]
    fn instrument_token(&self) -> u32 {
        self.packet().instrument_token()
    }

    /// The name, if the instrument was subscribed by its name.
    #[getter]
    fn symbol(&self) -> Option<String> {
        self.shown.symbols().name(self.packet().instrument_token())
    }

    /// The segment, such as "NSE" or "INDICES".
    #[getter]
    fn segment(&self) -> String {
        self.packet().segment().to_string()
    }

    /// The mode of the tick: "full", "quote" or "ltp".
    #[getter]
    fn mode<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::intern(py, self.kind.mode().as_str())
    }

    /// The price of the last trade; of an index, its value.
    #[getter]
    fn last_price(&self) -> f64 {
        self.packet().last_price().to_f64()
    }

    /// The quantity of the last trade.
    #[getter]
    fn last_quantity(&self) -> Option<u32> {
        self.packet().last_quantity()
    }

    /// The average price of the day, weighted by volume.
    #[getter]
    fn average_price(&self) -> Option<f64> {
        self.packet().average_price().map(Price::to_f64)
    }

    /// The volume of the day.
    #[getter]
    fn volume(&self) -> Option<u32> {
        self.packet().volume()
    }

    /// The quantity of all pending buy orders.
    #[getter]
    fn total_buy_quantity(&self) -> Option<u32> {
        self.packet().total_buy_quantity()
    }

    /// The quantity of all pending sell orders.
    #[getter]
    fn total_sell_quantity(&self) -> Option<u32> {
        self.packet().total_sell_quantity()
    }

    /// The first price of the day.
    #[getter]
    fn open(&self) -> Option<f64> {
        self.packet().ohlc().map(|ohlc| ohlc.open.to_f64())
    }

    /// The highest price of the day.
    #[getter]
    fn high(&self) -> Option<f64> {
        self.packet().ohlc().map(|ohlc| ohlc.high.to_f64())
    }

    /// The lowest price of the day.
    #[getter]
    fn low(&self) -> Option<f64> {
        self.packet().ohlc().map(|ohlc| ohlc.low.to_f64())
    }

    /// The close of the day before.
    #[getter]
    fn close(&self) -> Option<f64> {
        self.packet().ohlc().map(|ohlc| ohlc.close.to_f64())
    }

    /// The change since the close in points; only an index has it.
    #[getter]
    fn change(&self) -> Option<f64> {
        self.packet().index().map(|index| index.change().to_f64())
    }

    /// Last price minus close in percent of the close; None if the close is 0.
    #[getter]
    fn change_percent(&self) -> Option<f64> {
        self.packet().change_percent()
    }

    /// When the last trade was made.
    #[getter]
    fn last_trade_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.time(py, self.packet().last_trade_timestamp())
    }

    /// The open interest.
    #[getter]
    fn oi(&self) -> Option<u32> {
        self.packet().open_interest()
    }

    /// The highest open interest of the day.
    #[getter]
    fn oi_day_high(&self) -> Option<u32> {
        self.packet().open_interest_high()
    }

    /// The lowest open interest of the day.
    #[getter]
    fn oi_day_low(&self) -> Option<u32> {
        self.packet().open_interest_low()
    }

    /// When the exchange sent the tick.
    #[getter]
    fn exchange_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.time(py, self.packet().exchange_timestamp())
    }

    /// Five bids and five asks.
    #[getter]
    fn depth(&self) -> Option<Depth> {
        let packet = self.packet();
        packet.depth().map(|depth| Depth::new(depth, packet.segment()))
    }

    /// Returns the tick as `on_ticks` of a KiteTicker receives it.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.shown.dict(py, self.received, &self.packet())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.received == other.received
            && self.connection == other.connection
            && self.packet().as_bytes() == other.packet().as_bytes()
    }

    fn __hash__(&self) -> u64 {
        self.received.as_nanos() ^ u64::from(self.packet().instrument_token())
    }

    fn __repr__(&self) -> String {
        let packet = self.packet();
        let name = self.symbol().unwrap_or_else(|| packet.instrument_token().to_string());
        format!("<Tick {name} {} {}>", self.kind.mode(), packet.last_price())
    }
}
