//! The class `Feed`: the sockets of a ticker from a connect to a close.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kite_conn::Credentials;
use kite_manager::{Manager, Mode};
use kiteticker_feed::{Inbox, Source};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::items::Converter;
use crate::runtime;
use crate::settings::{Arguments, Settings};
use crate::socket::Socket;

/// Sockets that Kite allows per api_key, and instruments on each.
const MAX_SOCKETS: usize = 3;
const PER_SOCKET: usize = 3_000;

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
    /// Sources of sockets that were opened since the consumer last looked.
    new_sources: Mutex<Vec<Source>>,
    has_new_sources: AtomicBool,
    /// Number of sockets; set when one is added.
    sockets: AtomicUsize,
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

/// Which socket has which instrument in which mode.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    sockets: Vec<Socket>,
    instruments: HashMap<u32, Place>,
    counts: [usize; MAX_SOCKETS],
    is_closing: bool,
}

/// An instrument's socket and mode.
#[derive(Debug, Clone, Copy)]
struct Place {
    socket: usize,
    mode: Mode,
}

impl Plan {
    /// Returns the mode asked for an instrument.
    pub(crate) fn mode(&self, token: u32) -> Option<Mode> {
        self.instruments.get(&token).map(|place| place.mode)
    }

    /// Returns the instruments of a socket.
    pub(crate) fn of_socket(&self, socket: usize) -> impl Iterator<Item = u32> {
        let places = self.instruments.iter().filter(move |(_, place)| place.socket == socket);
        places.map(|(token, _)| *token)
    }

    /// Returns the new instruments among `tokens` by the socket that has room for them.
    fn place(&self, tokens: &[u32]) -> PyResult<[Vec<u32>; MAX_SOCKETS]> {
        let mut new: Vec<u32> =
            tokens.iter().copied().filter(|it| !self.instruments.contains_key(it)).collect();
        new.sort_unstable();
        new.dedup();
        let free = MAX_SOCKETS * PER_SOCKET - self.instruments.len();
        if new.len() > free {
            return Err(PyValueError::new_err(format!(
                "{} more instruments requested, {free} free on {MAX_SOCKETS} sockets of \
                 {PER_SOCKET}; unsubscribe some first",
                new.len()
            )));
        }
        let mut rest = new.as_slice();
        Ok(std::array::from_fn(|socket| {
            let room = PER_SOCKET.saturating_sub(self.counts[socket]);
            let (here, others) = rest.split_at(rest.len().min(room));
            rest = others;
            here.to_vec()
        }))
    }

    fn add(&mut self, socket: usize, tokens: &[u32], mode: Mode) {
        self.counts[socket] += tokens.len();
        let places = tokens.iter().map(|token| (*token, Place { socket, mode }));
        self.instruments.extend(places);
    }
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
            sockets: AtomicUsize::new(0),
            heartbeats: Arc::default(),
            wake,
            closed: watch::Sender::new(false),
        };
        let mut by_mode: HashMap<Mode, Vec<u32>> = HashMap::new();
        for (token, name) in subscriptions {
            by_mode.entry(mode(&name)?).or_default().push(token);
        }
        let mut plan = feed.plan();
        for mode in Mode::ALL {
            let tokens = by_mode.remove(&mode).unwrap_or_default();
            for (socket, tokens) in plan.place(&tokens)?.iter().enumerate() {
                plan.add(socket, tokens, mode);
            }
        }
        let sockets = plan.counts.iter().filter(|count| **count > 0).count().max(1);
        for socket in 0..sockets {
            feed.open(&mut plan, socket)?;
        }
        drop(plan);
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
        let asked = mode.map(self::mode).transpose()?;
        let mut plan = self.plan();
        let new = plan.place(&tokens)?;
        if let Some(asked) = asked {
            let mut changed: [Vec<u32>; MAX_SOCKETS] = Default::default();
            for token in &tokens {
                if let Some(place) = plan.instruments.get_mut(token) {
                    place.mode = asked;
                    changed[place.socket].push(*token);
                }
            }
            for (socket, tokens) in plan.sockets.iter().zip(&changed) {
                socket.set_mode(tokens, asked);
            }
        }
        let mode = asked.unwrap_or(Mode::Quote);
        for (socket, tokens) in new.iter().enumerate().filter(|(_, it)| !it.is_empty()) {
            plan.add(socket, tokens, mode);
            match plan.sockets.get(socket) {
                Some(open) => open.subscribe(tokens, mode)?,
                None => self.open(&mut plan, socket)?,
            }
        }
        Ok(())
    }

    /// Removes instruments; unknown ones are ignored.
    fn unsubscribe(&self, tokens: Vec<u32>) {
        let mut plan = self.plan();
        for token in &tokens {
            if let Some(place) = plan.instruments.remove(token) {
                plan.counts[place.socket] -= 1;
            }
        }
        plan.sockets.iter().for_each(|socket| socket.unsubscribe(&tokens));
    }

    /// Returns the instruments.
    fn tokens(&self) -> Vec<u32> {
        self.plan().instruments.keys().copied().collect()
    }

    /// Replaces the access token. Sockets that wait or gave up retry immediately with it.
    fn set_access_token(&self, access_token: &str) {
        self.plan().sockets.iter().for_each(|socket| socket.set_access_token(access_token));
    }

    /// Begins to close the sockets, and returns immediately.
    fn close(&self) {
        let mut plan = self.plan();
        if std::mem::replace(&mut plan.is_closing, true) || self.process != std::process::id() {
            return;
        }
        let managers: Vec<Manager> = plan.sockets.iter().map(Socket::manager).collect();
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
        self.sockets.load(Ordering::Relaxed)
    }
}

impl Feed {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    /// Opens the next socket with the instruments that are planned for it.
    fn open(&self, plan: &mut Plan, number: usize) -> PyResult<()> {
        let of_socket = plan.instruments.iter().filter(|(_, place)| place.socket == number);
        let wanted: Vec<_> = of_socket.map(|(token, place)| (*token, place.mode)).collect();
        let (socket, source) = Socket::open(
            &self.settings,
            number,
            &wanted,
            &self.runtime,
            &self.heartbeats,
            &self.wake,
        )?;
        plan.sockets.push(socket);
        self.sockets.store(plan.sockets.len(), Ordering::Relaxed);
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
            let plan = self.plan.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(std::mem::take(&mut plan.sockets));
        }
    }
}

/// Locks state that no panic leaves half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parses a mode.
pub(crate) fn mode(name: &str) -> PyResult<Mode> {
    name.parse().map_err(|_| {
        PyValueError::new_err(format!(
            "mode is {name:?}; it must be \"full\", \"quote\" or \"ltp\""
        ))
    })
}
