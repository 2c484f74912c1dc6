//! The class `Listener`: receives the events of a stream, or its order updates.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use kite_manager::{Events, ManagerEvent, OrderItem, Orders, Severity};
use pyo3::exceptions::PyEOFError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::feed::lock;
use kiteticker_feed::Bell;

/// Receives events or order updates.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Listener {
    process: u32,
    bell: Arc<Bell>,
    source: Mutex<Source>,
}

#[derive(Debug)]
enum Source {
    Events(Events),
    Orders(Orders),
}

impl Listener {
    pub(crate) fn to_events(events: Events) -> PyResult<Self> {
        Self::new(Source::Events(events))
    }

    pub(crate) fn to_orders(orders: Orders) -> PyResult<Self> {
        Self::new(Source::Orders(orders))
    }

    fn new(source: Source) -> PyResult<Self> {
        let (process, bell) = (std::process::id(), Bell::new()?);
        Ok(Self { process, bell, source: Mutex::new(source) })
    }
}

#[pymethods]
impl Listener {
    fn fileno(&self) -> i64 {
        self.bell.fileno()
    }

    fn hush(&self) {
        self.bell.hush();
    }

    /// Returns the name, the severity, the connection and the text of the next event; `None` if none
    /// waits. Raises EOFError once the stream has ended.
    fn take_event(&self) -> PyResult<Option<EventParts>> {
        super::check_process(self.process)?;
        let waker = Waker::from(Arc::clone(&self.bell));
        let Source::Events(events) = &mut *lock(&self.source) else { return Ok(None) };
        match next_event(events, &mut Context::from_waker(&waker)) {
            Poll::Pending => Ok(None),
            Poll::Ready(None) => Err(ended()),
            Poll::Ready(Some(event)) => Ok(Some(event_parts(&event))),
        }
    }

    /// Returns the text of the next order update, or the number of events that were missed before it;
    /// `None` if none waits. Raises EOFError once the stream has ended.
    fn take_order(&self, py: Python<'_>) -> PyResult<Option<(Option<Py<PyBytes>>, u64)>> {
        super::check_process(self.process)?;
        let waker = Waker::from(Arc::clone(&self.bell));
        let polled = match &mut *lock(&self.source) {
            Source::Orders(orders) => pin!(orders.recv()).poll(&mut Context::from_waker(&waker)),
            Source::Events(_) => return Ok(None),
        };
        match polled {
            Poll::Ready(Some(OrderItem::Update(update))) => {
                Ok(Some((Some(PyBytes::new(py, &update.text).unbind()), 0)))
            }
            Poll::Ready(Some(OrderItem::Lagged { missed })) => Ok(Some((None, missed))),
            Poll::Ready(None) => Err(ended()),
            _ => Ok(None),
        }
    }
}

/// Name, severity, connection and text.
type EventParts = (&'static str, &'static str, Option<usize>, String);

fn ended() -> PyErr {
    PyEOFError::new_err("the stream has ended")
}

/// Polls for the next event.
pub(crate) fn next_event(events: &mut Events, cx: &mut Context<'_>) -> Poll<Option<ManagerEvent>> {
    pin!(events.recv()).poll(cx)
}

fn event_parts(event: &ManagerEvent) -> EventParts {
    let connection = match event {
        ManagerEvent::Connection { seat, .. } => Some(seat.connection),
        ManagerEvent::Dark { connection, .. } => Some(*connection),
        _ => None,
    };
    (event_name(event), severity_name(event.severity()), connection, event.to_string())
}

fn event_name(event: &ManagerEvent) -> &'static str {
    match event {
        ManagerEvent::Connection { event, .. } => event.name(),
        ManagerEvent::Moved { .. } => "moved",
        ManagerEvent::Dark { .. } => "dark",
        ManagerEvent::Stopped(_) => "stopped",
        ManagerEvent::Lagged { .. } => "lagged",
        _ => "unknown",
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Detail => "detail",
        Severity::Notice => "notice",
        Severity::Recovery => "recovery",
        Severity::Error => "error",
        _ => "warning",
    }
}

/// Returns the level of Python's logging for an event.
pub(crate) fn log_level(event: &ManagerEvent) -> u8 {
    match event.severity() {
        Severity::Detail => 10,
        Severity::Notice | Severity::Recovery => 20,
        Severity::Error => 40,
        _ => 30,
    }
}
