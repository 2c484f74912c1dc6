//! Builds the dicts of ticks, equal to those of the client that programs are written for.
//!
//! Numbers are read from the packet's bytes as unsigned, as that client does. Each dict is a copy
//! of one that has all its keys already, in order: only values are written, and no dict grows.

use std::collections::HashMap;

use kite_conn::Stamp;
use kite_wire::{Packet, PacketKind};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::arguments;

/// Bytes per level of market depth.
const LEVEL_BYTES: usize = 12;
const LEVELS: usize = 5;

/// Segments whose prices are not in hundredths, and that of indices.
const CDS: u32 = 3;
const BCD: u32 = 6;
const NCO: u32 = 12;
const INDICES: u32 = 9;

/// Builds the dicts of ticks.
#[derive(Debug)]
pub(crate) struct TickBuilder {
    templates: Templates,
    from_timestamp: Py<PyAny>,
    /// The second argument of `fromtimestamp`, if a zone was chosen.
    zone: Option<Py<PyAny>>,
    /// The times that were built within the last second. Many ticks have the same.
    times: HashMap<u32, Py<PyAny>>,
    times_since: Stamp,
}

/// Dicts with all keys of a kind of packet.
#[derive(Debug)]
struct Templates {
    ltp: Py<PyDict>,
    index_quote: Py<PyDict>,
    index_full: Py<PyDict>,
    quote: Py<PyDict>,
    full: Py<PyDict>,
    index_ohlc: Py<PyDict>,
    ohlc: Py<PyDict>,
    depth: Py<PyDict>,
    level: Py<PyDict>,
}

/// Time after which times are built again, so that a change of the process' zone shows.
const TIMES_KEPT_NS: u64 = 1_000_000_000;

impl TickBuilder {
    pub(crate) fn new(py: Python<'_>, zone: Option<Py<PyAny>>) -> PyResult<Self> {
        if let Some(zone) = &zone {
            arguments::check_zone(zone.bind(py))?;
        }
        let datetime = py.import(intern!(py, "datetime"))?.getattr(intern!(py, "datetime"))?;
        Ok(Self {
            templates: Templates::new(py)?,
            from_timestamp: datetime.getattr(intern!(py, "fromtimestamp"))?.unbind(),
            zone,
            times: HashMap::new(),
            times_since: Stamp::from_nanos(0),
        })
    }

    /// Forgets times that were built a second ago.
    pub(crate) fn begin(&mut self, received: Stamp) {
        if received.as_nanos() >= self.times_since.as_nanos() + TIMES_KEPT_NS {
            self.times.clear();
            self.times_since = received;
        }
    }

    pub(crate) fn tick<'py>(
        &mut self,
        py: Python<'py>,
        packet: &Packet<'_>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let bytes = Bytes(packet.as_bytes());
        let token = bytes.u32(0);
        let segment = token & 0xff;
        let prices = Prices { bytes, divisor: divisor(segment) };
        let templates = &self.templates;
        let (template, mode) = match packet.kind() {
            PacketKind::IndexQuote => (&templates.index_quote, Some(false)),
            PacketKind::IndexFull => (&templates.index_full, Some(false)),
            PacketKind::Quote => (&templates.quote, Some(true)),
            PacketKind::Full => (&templates.full, Some(true)),
            // All other packets begin as these do.
            _ => (&templates.ltp, None),
        };
        let tick = template.bind(py).copy()?;
        if segment == INDICES {
            tick.set_item(intern!(py, "tradable"), false)?;
        }
        tick.set_item(intern!(py, "instrument_token"), token)?;
        let last_price = prices.at(4);
        tick.set_item(intern!(py, "last_price"), last_price)?;
        match mode {
            None => {}
            Some(false) => self.index(py, &tick, prices, last_price)?,
            Some(true) => self.traded(py, &tick, prices, last_price)?,
        }
        Ok(tick)
    }

    /// Sets what follows the last price of an index.
    fn index(
        &mut self,
        py: Python<'_>,
        tick: &Bound<'_, PyDict>,
        prices: Prices<'_>,
        last_price: f64,
    ) -> PyResult<()> {
        let (ohlc, close) = (self.templates.index_ohlc.bind(py).copy()?, prices.at(20));
        ohlc.set_item(intern!(py, "high"), prices.at(8))?;
        ohlc.set_item(intern!(py, "low"), prices.at(12))?;
        ohlc.set_item(intern!(py, "open"), prices.at(16))?;
        ohlc.set_item(intern!(py, "close"), close)?;
        tick.set_item(intern!(py, "ohlc"), ohlc)?;
        set_change(py, tick, last_price, close)?;
        if prices.bytes.len() == PacketKind::IndexFull.packet_len() {
            let time = self.time(py, prices.bytes.u32(28))?;
            tick.set_item(intern!(py, "exchange_timestamp"), time)?;
        }
        Ok(())
    }

    /// Sets what follows the last price of an instrument that is traded.
    fn traded(
        &mut self,
        py: Python<'_>,
        tick: &Bound<'_, PyDict>,
        prices: Prices<'_>,
        last_price: f64,
    ) -> PyResult<()> {
        let bytes = prices.bytes;
        tick.set_item(intern!(py, "last_traded_quantity"), bytes.u32(8))?;
        tick.set_item(intern!(py, "average_traded_price"), prices.at(12))?;
        tick.set_item(intern!(py, "volume_traded"), bytes.u32(16))?;
        tick.set_item(intern!(py, "total_buy_quantity"), bytes.u32(20))?;
        tick.set_item(intern!(py, "total_sell_quantity"), bytes.u32(24))?;
        let (ohlc, close) = (self.templates.ohlc.bind(py).copy()?, prices.at(40));
        ohlc.set_item(intern!(py, "open"), prices.at(28))?;
        ohlc.set_item(intern!(py, "high"), prices.at(32))?;
        ohlc.set_item(intern!(py, "low"), prices.at(36))?;
        ohlc.set_item(intern!(py, "close"), close)?;
        tick.set_item(intern!(py, "ohlc"), ohlc)?;
        set_change(py, tick, last_price, close)?;
        if bytes.len() == PacketKind::Full.packet_len() {
            self.full(py, tick, prices)?;
        }
        Ok(())
    }

    fn full(
        &mut self,
        py: Python<'_>,
        tick: &Bound<'_, PyDict>,
        prices: Prices<'_>,
    ) -> PyResult<()> {
        let bytes = prices.bytes;
        let (traded, exchange) = (self.time(py, bytes.u32(44))?, self.time(py, bytes.u32(60))?);
        tick.set_item(intern!(py, "last_trade_time"), traded)?;
        tick.set_item(intern!(py, "oi"), bytes.u32(48))?;
        tick.set_item(intern!(py, "oi_day_high"), bytes.u32(52))?;
        tick.set_item(intern!(py, "oi_day_low"), bytes.u32(56))?;
        tick.set_item(intern!(py, "exchange_timestamp"), exchange)?;
        let depth = self.templates.depth.bind(py).copy()?;
        depth.set_item(intern!(py, "buy"), self.levels(py, prices, 64)?)?;
        depth.set_item(intern!(py, "sell"), self.levels(py, prices, 64 + LEVELS * LEVEL_BYTES)?)?;
        tick.set_item(intern!(py, "depth"), depth)
    }

    /// Returns five levels of market depth.
    fn levels<'py>(
        &self,
        py: Python<'py>,
        prices: Prices<'_>,
        start: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let template = self.templates.level.bind(py);
        let level = |number: usize| {
            let (level, at) = (template.copy()?, start + number * LEVEL_BYTES);
            level.set_item(intern!(py, "quantity"), prices.bytes.u32(at))?;
            level.set_item(intern!(py, "price"), prices.at(at + 4))?;
            level.set_item(intern!(py, "orders"), prices.bytes.u16(at + 8))?;
            Ok::<_, PyErr>(level)
        };
        let levels: [_; LEVELS] = [level(0)?, level(1)?, level(2)?, level(3)?, level(4)?];
        PyList::new(py, levels)
    }

    /// Returns a time, or `None` where Python cannot represent it.
    fn time<'py>(&mut self, py: Python<'py>, seconds: u32) -> PyResult<Bound<'py, PyAny>> {
        if let Some(time) = self.times.get(&seconds) {
            return Ok(time.bind(py).clone());
        }
        let from_timestamp = self.from_timestamp.bind(py);
        let time = match &self.zone {
            None => from_timestamp.call1((seconds,)),
            Some(zone) => from_timestamp.call1((seconds, zone)),
        };
        let time = time.unwrap_or_else(|_| py.None().into_bound(py));
        self.times.insert(seconds, time.clone().unbind());
        Ok(time)
    }
}

impl Templates {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let first = ["tradable", "mode", "instrument_token", "last_price"];
        let index = ["ohlc", "change"];
        let traded = [
            "last_traded_quantity",
            "average_traded_price",
            "volume_traded",
            "total_buy_quantity",
            "total_sell_quantity",
            "ohlc",
            "change",
        ];
        let full =
            ["last_trade_time", "oi", "oi_day_high", "oi_day_low", "exchange_timestamp", "depth"];
        let tick = |mode: &str, parts: &[&[&str]]| {
            let tick = dict(py, &[&[first.as_slice()], parts].concat())?;
            tick.set_item("tradable", true)?;
            tick.set_item("mode", PyString::intern(py, mode))?;
            tick.set_item("change", 0).and_then(|()| match parts {
                [] => tick.del_item("change"),
                _ => Ok(()),
            })?;
            Ok::<_, PyErr>(tick.unbind())
        };
        let part = |keys: &[&str]| dict(py, &[keys]).map(Bound::unbind);
        Ok(Self {
            ltp: tick("ltp", &[])?,
            index_quote: tick("quote", &[&index])?,
            index_full: tick("full", &[&index, &["exchange_timestamp"]])?,
            quote: tick("quote", &[&traded])?,
            full: tick("full", &[&traded, &full])?,
            index_ohlc: part(&["high", "low", "open", "close"])?,
            ohlc: part(&["open", "high", "low", "close"])?,
            depth: part(&["buy", "sell"])?,
            level: part(&["quantity", "price", "orders"])?,
        })
    }
}

/// Returns a dict with these keys, interned, in order.
fn dict<'py>(py: Python<'py>, parts: &[&[&str]]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for key in parts.iter().copied().flatten() {
        dict.set_item(PyString::intern(py, key), py.None())?;
    }
    Ok(dict)
}

/// Sets the change in per cent; the integer 0 stays if there is no closing price.
fn set_change(
    py: Python<'_>,
    tick: &Bound<'_, PyDict>,
    last_price: f64,
    close: f64,
) -> PyResult<()> {
    if close == 0.0 {
        return Ok(());
    }
    // In this order of operations, because another one rounds differently.
    tick.set_item(intern!(py, "change"), (last_price - close) * 100.0 / close)
}

fn divisor(segment: u32) -> f64 {
    match segment {
        CDS => 10_000_000.0,
        BCD | NCO => 10_000.0,
        _ => 100.0,
    }
}

/// The bytes of a packet, whose length is one of the five known ones.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn len(self) -> usize {
        self.0.len()
    }

    /// Reads an unsigned number; 0 beyond the end.
    fn u32(self, at: usize) -> u32 {
        self.0.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |it| u32::from_be_bytes(*it))
    }

    fn u16(self, at: usize) -> u16 {
        self.0.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |it| u16::from_be_bytes(*it))
    }
}

/// The prices of a packet.
#[derive(Clone, Copy)]
struct Prices<'a> {
    bytes: Bytes<'a>,
    divisor: f64,
}

impl Prices<'_> {
    fn at(self, at: usize) -> f64 {
        f64::from(self.bytes.u32(at)) / self.divisor
    }
}
