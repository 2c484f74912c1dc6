//! Turns what the sockets deliver into tuples for Python.

use std::net::SocketAddr;
use std::sync::Mutex;

use kite_conn::{
    Batch, Gap, HandshakeError, LossCause, OpenError, OpenStage, ParkReason, Stamp, VolumeMissed,
};
use kite_wire::Packet;
use kiteticker_feed::{Item, Notice, Plan, Reconnected};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple, PyType};

use crate::feed::lock;
use crate::ticks::TickBuilder;

/// What the program has callbacks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    pub(crate) ticks: bool,
    pub(crate) messages: bool,
}

/// Turns items into tuples.
#[derive(Debug)]
pub(crate) struct Converter {
    ticks: TickBuilder,
    /// For each socket.
    reconnected: Vec<Reconnected>,
}

/// What the client that programs are written for says of a handshake that is not answered.
const TIMED_OUT: &str =
    "WebSocket opening handshake timeout (peer did not finish the opening handshake in time)";

/// A frame of this length or less has no ticks: the count alone takes two bytes, and the client that
/// programs are written for looks no further.
const WITHOUT_TICKS_LEN: usize = 4;

impl Converter {
    pub(crate) fn new(py: Python<'_>, zone: Option<Py<PyAny>>) -> PyResult<Self> {
        Ok(Self { ticks: TickBuilder::new(py, zone)?, reconnected: Vec::new() })
    }

    /// Returns the tuple of an item; `None` if the program has no use for it.
    pub(crate) fn convert<'py>(
        &mut self,
        py: Python<'py>,
        socket: usize,
        item: Item,
        wants: Wants,
        plan: &Mutex<Plan>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        if self.reconnected.len() <= socket {
            self.reconnected.resize_with(socket + 1, Reconnected::default);
        }
        let tuple = match item {
            Item::Frame(batch) => return self.frame(py, socket, &batch, wants, plan),
            Item::Lag(ticks) => (intern!(py, "lag"), ticks).into_pyobject(py)?,
            Item::Notice(notice) => {
                if let Notice::Up { epoch, .. } = notice {
                    let plan = lock(plan);
                    self.reconnected[socket]
                        .on_up(epoch, plan.of_socket(socket).map(|(token, _)| token));
                }
                return notice_tuple(py, socket, notice).map(Some);
            }
        };
        Ok(Some(tuple))
    }

    fn frame<'py>(
        &mut self,
        py: Python<'py>,
        socket: usize,
        batch: &Batch,
        wants: Wants,
        plan: &Mutex<Plan>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let payload = wants.messages.then(|| PyBytes::new(py, batch.frame()));
        let ticks = match wants.ticks && batch.frame().len() > WITHOUT_TICKS_LEN {
            true => self.list(py, socket, batch, plan)?,
            false => None,
        };
        if payload.is_none() && ticks.is_none() {
            return Ok(None);
        }
        (intern!(py, "frame"), payload, ticks).into_pyobject(py).map(Some)
    }

    /// Returns the ticks of a frame; `None` if all of them are held back.
    fn list<'py>(
        &mut self,
        py: Python<'py>,
        socket: usize,
        batch: &Batch,
        plan: &Mutex<Plan>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        self.ticks.begin(batch.received);
        let reconnected = &mut self.reconnected[socket];
        if !reconnected.is_awaiting() {
            let ticks = batch.ticks.packets().map(|packet| self.ticks.tick(py, &packet));
            return PyList::new(py, ticks.collect::<PyResult<Vec<_>>>()?).map(Some);
        }
        // Chosen before any object is made: making one may collect garbage, and so run other threads
        // of the program, which may wait for this lock.
        let admitted: Vec<_> = {
            let plan = lock(plan);
            let admits = |packet: &Packet<'_>| reconnected.admits(packet, |token| plan.mode(token));
            batch.ticks.packets().filter(admits).collect()
        };
        let ticks = admitted.iter().map(|packet| self.ticks.tick(py, packet));
        let ticks: Vec<_> = ticks.collect::<PyResult<_>>()?;
        if ticks.is_empty() && !batch.ticks.is_empty() {
            return Ok(None);
        }
        PyList::new(py, ticks).map(Some)
    }
}

fn notice_tuple(py: Python<'_>, socket: usize, notice: Notice) -> PyResult<Bound<'_, PyTuple>> {
    match notice {
        Notice::Up { accepted, .. } => {
            let peer = accepted.as_ref().map(|it| peer(it.peer));
            let headers = accepted.map(|it| it.headers).unwrap_or_default();
            (intern!(py, "up"), socket, peer, headers).into_pyobject(py)
        }
        Notice::Down(cause) => {
            let (code, text) = down(cause);
            (intern!(py, "down"), socket, code.is_some(), code.flatten(), text).into_pyobject(py)
        }
        Notice::OpenFailed(error) => failed_tuple(py, socket, &error),
        Notice::Retry(delay) => {
            (intern!(py, "retry"), socket, delay.as_secs_f64()).into_pyobject(py)
        }
        Notice::Parked(reason) => {
            let refused = matches!(reason, ParkReason::Authentication(_));
            (intern!(py, "parked"), socket, refused, reason.to_string()).into_pyobject(py)
        }
        Notice::Gap(gap) => gap_tuple(py, &gap),
        Notice::Text { text, .. } => {
            (intern!(py, "text"), PyBytes::new(py, &text)).into_pyobject(py)
        }
        Notice::Heartbeat(frame) => {
            (intern!(py, "frame"), PyBytes::new(py, &frame), py.None()).into_pyobject(py)
        }
        Notice::TextsDropped(texts) => {
            let text = format!("{texts} text messages dropped: the callbacks are too slow");
            (intern!(py, "warning"), text).into_pyobject(py)
        }
        Notice::Warning(text) => (intern!(py, "warning"), text).into_pyobject(py),
        Notice::Closed(answered) => (intern!(py, "closed"), socket, answered).into_pyobject(py),
    }
}

/// Returns an address as Twisted's clients show it.
fn peer(address: SocketAddr) -> String {
    let version = if address.is_ipv4() { 4 } else { 6 };
    format!("tcp{version}:{}:{}", address.ip(), address.port())
}

/// Returns the close code, if the server closed in the proper way, and the reason or the cause.
/// The code of a close frame without one is `None`.
fn down(cause: LossCause) -> (Option<Option<u16>>, Option<String>) {
    match cause {
        LossCause::CloseFrame { code: 1005, .. } => (Some(None), None),
        LossCause::CloseFrame { code, reason } => {
            (Some(Some(code)), (!reason.is_empty()).then_some(reason))
        }
        // The text of the caller for this case.
        LossCause::Eof | LossCause::Io(_) => (None, None),
        other => (None, Some(other.to_string())),
    }
}

fn failed_tuple<'py>(
    py: Python<'py>,
    socket: usize,
    error: &OpenError,
) -> PyResult<Bound<'py, PyTuple>> {
    if !has_connected(error) {
        return (intern!(py, "unreached"), socket, error.to_string()).into_pyobject(py);
    }
    let text = match error {
        OpenError::Refused(refusal) => {
            return (intern!(py, "refused"), socket, refusal.status).into_pyobject(py);
        }
        // The text of the caller for this case.
        OpenError::Handshake(HandshakeError::Closed { .. } | HandshakeError::Io { .. }) => None,
        OpenError::Timeout { stage: OpenStage::Handshake, .. } => Some(TIMED_OUT.to_owned()),
        other => Some(other.to_string()),
    };
    (intern!(py, "failed"), socket, text).into_pyobject(py)
}

/// Returns whether an attempt failed after a TCP connection was made.
fn has_connected(error: &OpenError) -> bool {
    match error {
        OpenError::Timeout { stage, .. } => !matches!(stage, OpenStage::Dns | OpenStage::Connect),
        OpenError::Dns { .. }
        | OpenError::NoAddress { .. }
        | OpenError::NotLoopback { .. }
        | OpenError::Connect { .. }
        | OpenError::TlsSetup(_) => false,
        _ => true,
    }
}

fn gap_tuple<'py>(py: Python<'py>, gap: &Gap) -> PyResult<Bound<'py, PyTuple>> {
    let (since, until, missed, text) = gap_fields(py, gap)?;
    (intern!(py, "gap"), since, until, missed, text).into_pyobject(py)
}

/// Returns a gap as the class `Gap`.
pub(crate) fn gap_object<'py>(py: Python<'py>, gap: &Gap) -> PyResult<Bound<'py, PyAny>> {
    static GAP: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    GAP.import(py, "kiteticker._events", "Gap")?.call1(gap_fields(py, gap)?)
}

/// Returns the times of a gap in Unix seconds, what was missed, and a text.
fn gap_fields<'py>(
    py: Python<'py>,
    gap: &Gap,
) -> PyResult<(f64, Option<f64>, Bound<'py, PyDict>, String)> {
    let missed = PyDict::new(py);
    for instrument in &gap.instruments {
        let volume = match instrument.volume {
            VolumeMissed::Known(volume) => Some(volume),
            _ => None,
        };
        missed.set_item(instrument.token, volume)?;
    }
    let seconds = |stamp: Stamp| stamp.to_unix_ns() as f64 / 1e9;
    Ok((seconds(gap.last_heard), gap.resumed.map(seconds), missed, gap.to_string()))
}
