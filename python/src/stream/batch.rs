//! The class `Batch`: what a stream had queued, decoded where it is read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use bytes::Bytes;
use kite_conn::{Gap, Stamp};
use kite_export::Prices;
use kite_manager::{AccountId, StreamItem, TaggedBatch};
use kite_wire::tape::Received;
use kite_wire::{Packet, PacketKind, TickBatch};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList, PyMemoryView, PySlice};

use crate::arguments;
use crate::arrow;
use crate::counted::counted;
use crate::items::gap_object;
use crate::stream::packets;
use crate::stream::shown::Shown;
use crate::stream::table::{self, Table};
use crate::stream::tick::Tick;

/// Bytes of the length before each packet of a frame.
const PREFIX_BYTES: usize = 2;

/// Frames, and what was lost before or between them.
#[pyclass(module = "kiteticker", frozen)]
#[derive(Debug)]
pub struct Batch {
    shown: Arc<Shown>,
    frames: Vec<TaggedBatch>,
    ticks: usize,
    gaps: Vec<Arc<Gap>>,
    lag: u64,
    damage: u64,
    lost_notices: u64,
    /// Where each tick is, once a program has asked for one.
    places: OnceLock<Box<[Place]>>,
}

/// The place of a packet: its frame, and where it begins there.
#[derive(Debug, Clone, Copy)]
struct Place {
    frame: u32,
    at: u32,
    kind: PacketKind,
}

impl Batch {
    pub(crate) fn new(shown: &Arc<Shown>) -> Self {
        Self {
            shown: Arc::clone(shown),
            frames: Vec::new(),
            ticks: 0,
            gaps: Vec::new(),
            lag: 0,
            damage: 0,
            lost_notices: 0,
            places: OnceLock::new(),
        }
    }

    /// Adds an item of the stream.
    pub(crate) fn add(&mut self, item: StreamItem) {
        match item {
            StreamItem::Ticks(ticks) => self.add_frame(ticks),
            StreamItem::Conflated { ticks, replaced } => {
                self.lag += replaced;
                self.add_frame(ticks);
            }
            StreamItem::Dropped { ticks, notices, .. } => {
                self.lag += ticks;
                self.lost_notices += notices;
            }
            StreamItem::Gap { gap, .. } => self.gaps.push(gap),
            // Sockets that open and fail are events.
            _ => {}
        }
    }

    /// Adds damaged frames and skipped packets.
    pub(crate) fn add_damage(&mut self, damage: u64) {
        self.damage += damage;
    }

    /// Returns the packets with the times and connections of their frames.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (Received, Packet<'_>)> {
        packets::of_frames(&self.frames, self.ticks)
    }

    pub(crate) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Returns the number of ticks.
    pub(crate) fn len(&self) -> usize {
        self.ticks
    }

    fn add_frame(&mut self, frame: TaggedBatch) {
        self.ticks += frame.batch.ticks.len();
        self.frames.push(frame);
    }

    /// Returns whether there is nothing in it for a program.
    pub(crate) fn is_void(&self) -> bool {
        self.frames.is_empty()
            && self.gaps.is_empty()
            && self.lag + self.lost_notices + self.damage == 0
    }

    pub(crate) fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Returns a tick by its number, which is less than the number of ticks.
    fn tick(&self, number: usize) -> Option<Tick> {
        let place = self.places.get_or_init(|| self.places()).get(number)?;
        let frame = self.frames.get(place.frame as usize)?;
        let (batch, at) = (&frame.batch, place.at as usize);
        let bytes = batch.ticks.as_bytes().get(at..at + place.kind.packet_len())?;
        let packet = Packet::from_bytes(bytes).ok()?;
        // An account has at most three connections.
        let connection = frame.connection as u8;
        Some(Tick::new(&self.shown, batch.received, connection, frame.is_first(&packet), packet))
    }

    fn places(&self) -> Box<[Place]> {
        let mut places = Vec::with_capacity(self.ticks);
        for (frame, tagged) in self.frames.iter().enumerate() {
            let start = tagged.batch.ticks.as_bytes().as_ptr().addr();
            places.extend(tagged.packets().map(|packet| Place {
                frame: frame as u32,
                at: (packet.as_bytes().as_ptr().addr() - start) as u32,
                kind: packet.kind(),
            }));
        }
        places.into_boxed_slice()
    }

    /// Returns the ticks as a table.
    fn all_columns(&self) -> PyResult<RecordBatch> {
        let layout =
            self.shown.layout(None, Prices::Decimal).map_err(arguments::invalid_columns)?;
        layout.build(self.packets()).map_err(table::failed)
    }

    /// Returns the parts of the frames that consist of packets of this kind, with their prefixes.
    fn runs_of(&self, kind: PacketKind) -> Vec<Bytes> {
        let (mut runs, len) = (Vec::new(), kind.packet_len());
        for tagged in &self.frames {
            let frame = tagged.batch.ticks.as_bytes();
            let start = frame.as_ptr().addr();
            let mut run = 0..0;
            for packet in tagged.packets().filter(|packet| packet.kind() == kind) {
                let at = packet.as_bytes().as_ptr().addr() - start;
                if at != run.end + PREFIX_BYTES {
                    runs.push(frame.slice(run));
                    run = at - PREFIX_BYTES..at;
                }
                run.end = at + len;
            }
            runs.push(frame.slice(run));
        }
        runs.retain(|run| !run.is_empty());
        runs
    }
}

#[pymethods]
impl Batch {
    /// Creates a batch of frames that a program has kept.
    #[new]
    #[pyo3(signature = (frames, tz = None))]
    fn of_frames(
        py: Python<'_>,
        frames: Vec<pyo3_bytes::PyBytes>,
        tz: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let shown = match tz {
            None => Shown::without_stream(py)?,
            zone => Shown::new(py, zone)?,
        };
        let mut batch = Self::new(&shown);
        for (number, frame) in (1..).zip(frames) {
            let ticks = TickBatch::new(frame.into_inner());
            let ticks = ticks.map_err(|error| PyValueError::new_err(error.to_string()))?;
            batch.add_damage(ticks.skipped().into());
            let received = kite_conn::Batch::new(ticks, Stamp::now(), 1, number);
            batch.add_frame(TaggedBatch::new(AccountId::default(), 0, received));
        }
        Ok(batch)
    }

    fn __len__(&self) -> usize {
        self.ticks
    }

    fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = index.py();
        if let Ok(slice) = index.cast::<PySlice>() {
            let range = slice.indices(isize::try_from(self.ticks)?)?;
            let numbers = (0..range.slicelength).map(|nth| range.start + nth as isize * range.step);
            let ticks: Vec<Tick> = numbers.filter_map(|it| self.tick(it as usize)).collect();
            return Ok(PyList::new(py, ticks)?.into_any());
        }
        let index: isize = index.extract().map_err(|error: PyErr| {
            if error.is_instance_of::<PyOverflowError>(py) { out_of_range() } else { error }
        })?;
        let number =
            if index < 0 { self.ticks.checked_add_signed(index) } else { Some(index as usize) };
        let tick = number.and_then(|number| self.tick(number));
        let tick = tick.ok_or_else(out_of_range)?;
        Ok(Bound::new(py, tick)?.into_any())
    }

    fn __iter__(slf: Bound<'_, Self>) -> BatchIterator {
        BatchIterator { batch: slf.unbind(), next: AtomicUsize::new(0) }
    }

    /// Returns the ticks as `on_ticks` of a KiteTicker receives them.
    fn to_dicts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut dicts: Vec<Bound<'py, PyDict>> = Vec::with_capacity(self.ticks);
        self.shown.append_dicts(py, self.frames.iter().map(|frame| &frame.batch), &mut dicts)?;
        PyList::new(py, dicts)
    }

    /// The frames, each as a buffer of its bytes without a copy.
    #[getter]
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyMemoryView>>> {
        let frames = self.frames.iter().map(|frame| frame.batch.ticks.as_bytes().clone());
        frames.map(|frame| view(py, frame)).collect()
    }

    /// When each frame was received, in nanoseconds since the Unix epoch.
    #[getter]
    fn recv_unix_ns(&self) -> Vec<u64> {
        self.frames.iter().map(|frame| frame.batch.received.to_unix_ns()).collect()
    }

    /// The packets of a kind as buffers without a copy: one for each sequence of adjacent packets.
    #[pyo3(signature = (kind = "full"))]
    fn runs<'py>(&self, py: Python<'py>, kind: &str) -> PyResult<Vec<Bound<'py, PyMemoryView>>> {
        self.runs_of(named_kind(kind)?).into_iter().map(|run| view(py, run)).collect()
    }

    /// What reconnects have missed.
    #[getter]
    fn gaps<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.gaps.iter().map(|gap| gap_object(py, gap)).collect()
    }

    /// The number of ticks that were left out, because the program is too slow.
    #[getter]
    fn lag(&self) -> u64 {
        self.lag
    }

    /// The number of damaged frames and skipped packets that were received since the batch before.
    #[getter]
    fn damage(&self) -> u64 {
        self.damage
    }

    /// The number of gaps and other notices that were left out, because the program is too slow.
    #[getter]
    fn lost_notices(&self) -> u64 {
        self.lost_notices
    }

    /// Chooses the columns of the table and the type of its prices.
    #[pyo3(signature = (columns = None, *, prices = "decimal"))]
    fn table(
        slf: Bound<'_, Self>,
        columns: Option<&Bound<'_, PyAny>>,
        prices: &str,
    ) -> PyResult<Table> {
        let columns = columns.map(arguments::column_names).transpose()?;
        Table::new(slf, columns, prices)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        arrow::array(py, self.all_columns()?, requested_schema)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::stream_of(py, self.all_columns()?, requested_schema)
    }

    fn __repr__(&self) -> String {
        let (ticks, frames) = (self.ticks, self.frames.len());
        format!("<Batch of {} in {}>", counted(ticks, "tick"), counted(frames, "frame"))
    }
}

/// Iterates over the ticks of a batch.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct BatchIterator {
    batch: Py<Batch>,
    next: AtomicUsize,
}

#[pymethods]
impl BatchIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self) -> Option<Tick> {
        self.batch.get().tick(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn __length_hint__(&self) -> usize {
        self.batch.get().ticks.saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

fn out_of_range() -> PyErr {
    PyIndexError::new_err("batch index out of range")
}

fn view(py: Python<'_>, bytes: Bytes) -> PyResult<Bound<'_, PyMemoryView>> {
    PyMemoryView::from(Bound::new(py, pyo3_bytes::PyBytes::new(bytes))?.as_any())
}

fn named_kind(name: &str) -> PyResult<PacketKind> {
    Ok(match name {
        "full" => PacketKind::Full,
        "quote" => PacketKind::Quote,
        "ltp" => PacketKind::Ltp,
        "index_full" => PacketKind::IndexFull,
        "index_quote" => PacketKind::IndexQuote,
        _ => {
            return Err(PyValueError::new_err(format!(
                "kind is {name:?}; it must be \"full\", \"quote\", \"ltp\", \"index_full\" or \
                 \"index_quote\""
            )));
        }
    })
}
