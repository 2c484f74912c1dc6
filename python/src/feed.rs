//! The class `Feed`: the sockets of a ticker from a connect to a close.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kite_conn::Credentials;
use kite_manager::{Manager, Mode};
use kiteticker_feed::{Inbox, Plan, Source};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::items::Converter;
use crate::runtime;
use crate::settings::{Arguments, Settings};
use crate::socket::Socket;

/// The sockets of a ticker, from a connect to a close.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Feed {
    runtime: Handle,
    settings: Settings,
    /// The process that opened the sockets.
    process: u32,
    consumer: Mutex<Consumer>,
    plan: Mutex<Plan>,
    /// Locked before the plan, which is never locked for long.
    sockets: Mutex<Sockets>,
    /// Sources of sockets that were opened since the consumer last looked.
    new_sources: Mutex<Vec<Source>>,
    has_new_sources: AtomicBool,
    heartbeats: Arc<AtomicBool>,
    wake: Arc<Notify>,
    /// True once all sockets are closed and the recording, if any, is finished.
    closed: watch::Sender<bool>,
}

/// What the thread that calls [`Feed::next`] works with.
#[derive(Debug)]
struct Consumer {
    inbox: Inbox,
    converter: Converter,
}

/// The sockets that were opened.
#[derive(Debug, Default)]
struct Sockets {
    opened: Vec<Socket>,
    is_closing: bool,
}

#[pymethods]
impl Feed {
    /// Begins to open the first socket, and further ones if the instruments need them.
    #[new]
    fn new(
        py: Python<'_>,
        api_key: String,
        access_token: String,
        subscriptions: Vec<(u32, String)>,
        tz: Option<Py<PyAny>>,
        settings: Arguments,
    ) -> PyResult<Self> {
        let settings = Settings::new(Credentials::new(api_key, access_token), settings)?;
        let wake = Arc::new(Notify::new());
        let inbox = Inbox::new(Arc::clone(&wake));
        let feed = Self {
            runtime: runtime::handle()?,
            settings,
            process: std::process::id(),
            consumer: Mutex::new(Consumer { inbox, converter: Converter::new(py, tz)? }),
            plan: Mutex::default(),
            new_sources: Mutex::default(),
            has_new_sources: AtomicBool::new(false),
            sockets: Mutex::default(),
            heartbeats: Arc::default(),
            wake,
            closed: watch::Sender::new(false),
        };
        let mut by_mode: HashMap<Mode, Vec<u32>> = HashMap::new();
        for (token, name) in subscriptions {
            by_mode.entry(mode(&name)?).or_default().push(token);
        }
        let mut sockets = lock(&feed.sockets);
        for mode in Mode::ALL {
            let tokens = by_mode.remove(&mode).unwrap_or_default();
            lock(&feed.plan).subscribe(&tokens, Some(mode)).map_err(invalid)?;
        }
        let needed = lock(&feed.plan).sockets();
        for number in 0..needed {
            feed.open(&mut sockets, number)?;
        }
        drop(sockets);
        Ok(feed)
    }

    /// Returns what happened next, as a tuple that begins with its kind; `None` if nothing did in
    /// this many seconds, or the feed was woken.
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: f64,
        wants_ticks: bool,
        wants_messages: bool,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Ok(mut consumer) = self.consumer.try_lock() else {
            return Err(PyRuntimeError::new_err("another thread is waiting for this feed"));
        };
        self.heartbeats.store(wants_messages, Ordering::Relaxed);
        let Consumer { inbox, converter } = &mut *consumer;
        if self.has_new_sources.swap(false, Ordering::Acquire) {
            lock(&self.new_sources).drain(..).for_each(|source| inbox.add(source));
        }
        let mut waited = false;
        loop {
            if let Some((socket, item)) = inbox.try_next() {
                let wants = crate::items::Wants { ticks: wants_ticks, messages: wants_messages };
                let converted = converter.convert(py, socket, item, wants, &self.plan)?;
                if converted.is_some() {
                    return Ok(converted);
                }
                continue;
            }
            if std::mem::replace(&mut waited, true) {
                return Ok(None);
            }
            let at_most = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
            py.detach(|| inbox.wait(&self.runtime, at_most));
        }
    }

    /// Ends a wait in `next`.
    fn wake(&self) {
        self.wake.notify_one();
    }

    /// Adds instruments. Those that are subscribed already keep their mode, unless `mode` is given.
    #[pyo3(signature = (tokens, mode = None))]
    fn subscribe(&self, tokens: Vec<u32>, mode: Option<&str>) -> PyResult<()> {
        let mode = mode.map(self::mode).transpose()?;
        let mut sockets = lock(&self.sockets);
        let change = lock(&self.plan).subscribe(&tokens, mode).map_err(invalid)?;
        let mode = mode.unwrap_or(Mode::Quote);
        for (socket, tokens) in sockets.opened.iter().zip(&change.switched) {
            socket.set_mode(tokens, mode);
        }
        for (number, tokens) in change.added.iter().enumerate().filter(|(_, it)| !it.is_empty()) {
            match sockets.opened.get(number) {
                Some(socket) => socket.subscribe(tokens, mode)?,
                None => self.open(&mut sockets, number)?,
            }
        }
        Ok(())
    }

    /// Removes instruments; unknown ones are ignored.
    fn unsubscribe(&self, tokens: Vec<u32>) {
        let sockets = lock(&self.sockets);
        lock(&self.plan).unsubscribe(&tokens);
        sockets.opened.iter().for_each(|socket| socket.unsubscribe(&tokens));
    }

    /// Returns the instruments.
    fn tokens(&self) -> Vec<u32> {
        lock(&self.plan).tokens().collect()
    }

    /// Replaces the access token. Sockets that wait or gave up retry immediately with it.
    fn set_access_token(&self, access_token: &str) {
        let sockets = lock(&self.sockets);
        sockets.opened.iter().for_each(|socket| socket.set_access_token(access_token));
    }

    /// Begins to close the sockets, and returns immediately.
    fn close(&self) {
        let mut sockets = lock(&self.sockets);
        if std::mem::replace(&mut sockets.is_closing, true) || self.process != std::process::id() {
            return;
        }
        let managers: Vec<Manager> = sockets.opened.iter().map(Socket::manager).collect();
        let (recorder, closed) = (self.settings.recorder.clone(), self.closed.clone());
        self.runtime.spawn(async move {
            for stopping in managers.iter().map(Manager::stop).collect::<Vec<_>>() {
                stopping.await;
            }
            if let Some(recorder) = recorder {
                let _ = tokio::task::spawn_blocking(|| recorder.finish()).await;
            }
            closed.send_replace(true);
        });
    }

    /// Waits until a close is done; returns whether it was within this many seconds.
    fn wait_closed(&self, py: Python<'_>, timeout: f64) -> bool {
        let at_most = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
        let mut closed = self.closed.subscribe();
        py.detach(|| {
            let done = async { closed.wait_for(|closed| *closed).await.is_ok() };
            let done = async { tokio::time::timeout(at_most, done).await };
            self.runtime.block_on(done).unwrap_or(false)
        })
    }

    /// The number of sockets.
    #[getter]
    fn sockets(&self) -> usize {
        lock(&self.sockets).opened.len()
    }
}

impl Feed {
    /// Opens the next socket with the instruments that are planned for it, unless the feed is closed.
    fn open(&self, sockets: &mut Sockets, number: usize) -> PyResult<()> {
        if sockets.is_closing {
            return Ok(());
        }
        let wanted: Vec<_> = lock(&self.plan).of_socket(number).collect();
        let (socket, source) = Socket::open(
            &self.settings,
            number,
            &wanted,
            &self.runtime,
            &self.heartbeats,
            &self.wake,
        )?;
        sockets.opened.push(socket);
        lock(&self.new_sources).push(source);
        self.has_new_sources.store(true, Ordering::Release);
        self.wake.notify_one();
        Ok(())
    }
}

impl Drop for Feed {
    /// In the child of a fork the sockets are the parent's, and its runtime has no threads here.
    fn drop(&mut self) {
        if self.process != std::process::id() {
            let sockets = self.sockets.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(std::mem::take(&mut sockets.opened));
        }
    }
}

/// Locks state that no panic leaves half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parses a mode.
pub(crate) fn invalid(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(crate) fn mode(name: &str) -> PyResult<Mode> {
    name.parse().map_err(|_| {
        PyValueError::new_err(format!(
            "mode is {name:?}; it must be \"full\", \"quote\" or \"ltp\""
        ))
    })
}
