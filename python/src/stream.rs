//! The native part of the class `Stream`: the ticks of several connections for one consumer.
//!
//! Nothing here waits. A program takes what is queued, and waits in Python for the file descriptor
//! of a [`Bell`] to become readable, in a thread or in its event loop. So signals, cancellation and
//! the end of the interpreter are Python's own, and no thread waits for an `await`.

mod batch;
mod closing;
mod depth;
mod layout;
mod listener;
mod names;
mod packets;
mod shown;
mod subscriptions;
mod symbols;
mod table;
mod tick;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use kite_conn::{Event, ParkReason, Reconnect};
use kite_manager::{Events, Manager, ManagerConfig, ManagerEvent, StreamConfig, Tap, TickStream};
use kite_tape::{Recorder, Source as TapeSource};
use kiteticker_feed::Bell;
use pyo3::exceptions::{PyEOFError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::runtime;
use crate::settings::{Arguments, Settings};

pub use batch::{Batch, BatchIterator};
pub use closing::Closing;
pub use depth::{Depth, DepthLevel};
pub use listener::Listener;
pub use names::Lookup;
use names::Names;
use shown::Shown;
pub use table::Table;
pub use tick::Tick;

/// Frames that a batch has at most. Further ones are in the next batch.
const MAX_FRAMES: usize = 256;

/// The connections of a stream, and what they have delivered.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Connections {
    process: u32,
    runtime: Handle,
    manager: Manager,
    shown: Arc<Shown>,
    names: Arc<Names>,
    bell: Arc<Bell>,
    news: Arc<News>,
    receiving: Mutex<Option<Receiving>>,
    /// Held while subscriptions are read and written.
    subscribing: Mutex<()>,
    recorder: Option<Recorder>,
    /// Whether the access token was replaced, and no attempt was made since.
    has_new_token: AtomicBool,
    is_closing: AtomicBool,
    /// True once all sockets are closed and the recording, if any, is finished.
    closed: Arc<watch::Sender<bool>>,
}

/// What the thread or task that takes batches works with.
#[derive(Debug)]
struct Receiving {
    stream: TickStream,
    events: Events,
    /// Damaged frames and skipped packets that batches have reported.
    damage: u64,
}

/// Wakes for events, which the program looks at before ticks.
#[derive(Debug)]
struct News {
    bell: Arc<Bell>,
    are_there: AtomicBool,
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.are_there.store(true, Ordering::SeqCst);
        self.bell.ring();
    }
}

/// Texts for the log with their levels, and why there are no further attempts on any connection.
type Notices = (Vec<(u8, String)>, Option<(bool, String)>);

#[pymethods]
impl Connections {
    /// Prepares the connections; opens none.
    #[new]
    fn new(
        py: Python<'_>,
        api_key: String,
        access_token: String,
        connections: usize,
        tz: Option<Py<PyAny>>,
        instruments_file: Option<PathBuf>,
        settings: Arguments,
    ) -> PyResult<Self> {
        let proxy = settings.proxy_url();
        let credentials = kite_conn::Credentials::new(api_key, access_token);
        let Settings { credentials, mut connection, lane, recorder } =
            Settings::new(credentials, settings)?;
        // Random delays, so that clients do not reconnect all together.
        let delay_cap = connection.reconnect.delay_cap;
        connection.reconnect = Reconnect { delay_cap, ..Reconnect::default() };
        let endpoint = connection.endpoint.clone();
        let tapes = recorder.clone();
        let tap = Tap::new(move |seat| {
            let source = TapeSource::of(0, seat.connection);
            tapes.as_ref().map(|recorder| recorder.sink(source))
        });
        let config =
            ManagerConfig { connections, connection, taps: vec![tap], ..ManagerConfig::default() };
        config.validate().map_err(invalid)?;
        let manager = Manager::new(credentials.clone(), config);
        let config = StreamConfig { lane, mark_first: true, ..StreamConfig::default() };
        let stream = manager.stream(config).map_err(invalid)?;
        let receiving = Receiving { stream, events: manager.events(), damage: 0 };
        let bell = Bell::new()?;
        let news = News { bell: Arc::clone(&bell), are_there: AtomicBool::new(true) };
        Ok(Self {
            process: std::process::id(),
            runtime: runtime::handle()?,
            manager,
            shown: Shown::new(py, tz)?,
            names: Arc::new(Names::new(instruments_file, endpoint, credentials, proxy)),
            bell,
            news: Arc::new(news),
            receiving: Mutex::new(Some(receiving)),
            subscribing: Mutex::default(),
            recorder,
            has_new_token: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            closed: Arc::new(watch::Sender::new(false)),
        })
    }

    /// Begins to look names up.
    fn look_up(&self, names: Vec<String>) -> PyResult<Lookup> {
        check_process(self.process)?;
        Lookup::begin(&self.names, names, &self.shown, &self.runtime)
    }

    /// Adds names of instruments that are subscribed by token.
    fn add_names(&self, named: Vec<(u32, String)>) {
        self.shown.symbols().add(named);
    }

    /// Begins to open the connections. Does nothing if they are open.
    fn begin(&self) -> PyResult<()> {
        check_process(self.process)?;
        let _entered = self.runtime.enter();
        self.manager.begin().map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    fn fileno(&self) -> i64 {
        self.bell.fileno()
    }

    fn hush(&self) {
        self.bell.hush();
    }

    /// Returns what is queued; `None` if nothing is, or if there are notices. Raises EOFError once
    /// the stream has ended and everything was taken.
    fn take(&self) -> PyResult<Option<Batch>> {
        let mut receiving = self.receiving()?;
        let Some(receiving) = &mut *receiving else { return Ok(None) };
        if self.news.are_there.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut batch = Batch::new(&self.shown);
        // Also of frames without a tick, which are not delivered; their event has woken the program.
        let damage = self.damage();
        batch.add_damage(damage.saturating_sub(receiving.damage));
        loop {
            match receiving.stream.poll_recv(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(item)) => batch.add(item),
                Poll::Ready(None) if batch.is_void() => {
                    return Err(PyEOFError::new_err("the stream has ended"));
                }
                Poll::Pending if batch.is_void() => return Ok(None),
                Poll::Ready(None) | Poll::Pending => {}
            }
            while batch.frame_count() < MAX_FRAMES
                && let Ok(item) = receiving.stream.try_recv()
            {
                batch.add(item);
            }
            // The next poll registers the waker.
            if !batch.is_void() {
                receiving.damage = damage;
                return Ok(Some(batch));
            }
        }
    }

    /// Returns what there is for the log, and why there are no further attempts, if there are none;
    /// `None` if nothing has happened since the last call.
    fn notices(&self) -> PyResult<Option<Notices>> {
        let mut receiving = self.receiving()?;
        let Some(Receiving { events, .. }) = &mut *receiving else { return Ok(None) };
        if !self.news.are_there.swap(false, Ordering::SeqCst) {
            return Ok(None);
        }
        let waker = Waker::from(Arc::clone(&self.news));
        let mut cx = Context::from_waker(&waker);
        let (mut texts, mut has_attempt) = (Vec::new(), false);
        while let Poll::Ready(Some(event)) = listener::next_event(events, &mut cx) {
            match &event {
                // Text frames have listeners of their own.
                ManagerEvent::Connection { event: Event::Text { .. }, .. } => continue,
                ManagerEvent::Connection { event: Event::Opening { .. }, .. }
                | ManagerEvent::Lagged { .. } => has_attempt = true,
                _ => {}
            }
            texts.push((listener::log_level(&event), event.to_string()));
        }
        if has_attempt {
            self.has_new_token.store(false, Ordering::Relaxed);
        }
        let failure = if self.has_new_token.load(Ordering::Relaxed) { None } else { self.parked() };
        Ok(Some((texts, failure)))
    }

    /// Adds instruments; those already subscribed switch to the mode given.
    fn subscribe(&self, wanted: Vec<(u32, String)>) -> PyResult<()> {
        let wanted = subscriptions::with_modes(wanted)?;
        self.name(&wanted);
        self.change(|all| all.extend(wanted))
    }

    /// Removes instruments; unknown ones are ignored.
    fn unsubscribe(&self, tokens: Vec<u32>) -> PyResult<()> {
        self.change(|all| {
            for token in tokens {
                all.remove(&token);
            }
        })
    }

    /// Replaces all instruments. Those that stay keep their connection.
    fn set_subscriptions(&self, wanted: Vec<(u32, String)>) -> PyResult<()> {
        let wanted = subscriptions::with_modes(wanted)?;
        self.name(&wanted);
        self.change(|all| *all = wanted)
    }

    /// Returns the instruments and their modes.
    fn subscriptions(&self) -> PyResult<BTreeMap<u32, &'static str>> {
        let all = self.subscribed()?;
        Ok(all.into_iter().map(|(token, mode)| (token, mode.as_str())).collect())
    }

    /// Returns a listener for events from now on.
    fn events(&self) -> PyResult<Listener> {
        check_process(self.process)?;
        Listener::to_events(self.manager.events())
    }

    /// Returns a listener for order updates from now on.
    fn orders(&self) -> PyResult<Listener> {
        check_process(self.process)?;
        Listener::to_orders(self.manager.orders())
    }

    /// Returns the state of the connections as JSON.
    fn status(&self) -> PyResult<String> {
        check_process(self.process)?;
        serde_json::to_string(&self.manager.snapshot()).map_err(invalid)
    }

    /// Replaces the access token. Connections that wait or gave up retry immediately with it.
    fn set_access_token(&self, access_token: String) -> PyResult<()> {
        check_process(self.process)?;
        self.has_new_token.store(true, Ordering::Relaxed);
        self.manager.set_access_token(access_token);
        Ok(())
    }

    /// Begins to close the connections, and returns immediately. What was received can still be
    /// taken. Returns False, and does nothing, in the child of a fork.
    fn close(&self) -> bool {
        if self.process != std::process::id() {
            return false;
        }
        if self.is_closing.swap(true, Ordering::SeqCst) {
            return true;
        }
        let (manager, recorder) = (self.manager.clone(), self.recorder.clone());
        let closed = Arc::clone(&self.closed);
        self.runtime.spawn(async move {
            manager.stop().await;
            if let Some(recorder) = recorder {
                let _ = tokio::task::spawn_blocking(|| recorder.finish()).await;
            }
            closed.send_replace(true);
        });
        true
    }

    /// Returns a waiter for the end of a close.
    fn closing(&self) -> PyResult<Closing> {
        check_process(self.process)?;
        Closing::new(self.closed.subscribe(), &self.runtime)
    }
}

impl Connections {
    /// Locks what batches are taken with. Never waits: a thread that holds it may be waiting for the
    /// interpreter.
    fn receiving(&self) -> PyResult<MutexGuard<'_, Option<Receiving>>> {
        check_process(self.process)?;
        match self.receiving.try_lock() {
            Ok(receiving) => Ok(receiving),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(PyRuntimeError::new_err("another thread is reading this stream"))
            }
        }
    }

    /// Returns the number of damaged frames and skipped packets so far.
    fn damage(&self) -> u64 {
        let statuses = self.manager.statuses();
        statuses.iter().map(|(_, stats)| stats.damaged_frames + stats.skipped_packets).sum()
    }

    /// Returns why there are no further attempts on any connection, and whether that is because the
    /// token was refused. The status of a connection changes before the event is sent.
    fn parked(&self) -> Option<(bool, String)> {
        let statuses = self.manager.statuses();
        let parked = statuses.iter().map(|(status, _)| status.parked.as_ref());
        let reasons: Vec<_> = parked.collect::<Option<_>>()?;
        let first: &ParkReason = reasons.first()?;
        Some((matches!(first, ParkReason::Authentication(_)), first.to_string()))
    }
}

impl Drop for Connections {
    /// Closes the sockets. In the child of a fork they are the parent's, whose threads do not exist
    /// there.
    fn drop(&mut self) {
        if self.process == std::process::id() {
            self.close();
            return;
        }
        std::mem::forget(self.manager.clone());
        let receiving = self.receiving.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(receiving.take());
    }
}

/// Raises in the child of a fork.
fn check_process(process: u32) -> PyResult<()> {
    if process == std::process::id() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "this stream was created before the process forked, and its sockets are the parent's: \
         create a Stream in this process",
    ))
}

fn invalid(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
