//! One socket of a feed: a manager with a single connection.
//!
//! A feed opens its second and third socket when there are more instruments than one can carry. A
//! manager opens all its connections when it starts, and Kite permits three sockets per api_key, of
//! which a program may need the others.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kite_conn::lane;
use kite_manager::{Manager, ManagerConfig, Mode};
use kite_tape::Source as TapeSource;
use kiteticker_feed::{FeedSink, LastAccepted, Notices, Source};
use pyo3::PyResult;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::settings::Settings;

/// A socket that stays open until it is closed.
#[derive(Debug)]
pub(crate) struct Socket {
    manager: Manager,
}

impl Socket {
    /// Begins to open the socket of this number, with these subscriptions.
    pub(crate) fn open(
        settings: &Settings,
        number: usize,
        subscriptions: &[(u32, Mode)],
        runtime: &Handle,
        heartbeats: &Arc<AtomicBool>,
        wake: &Arc<Notify>,
    ) -> PyResult<(Self, Source)> {
        let (sink, lane) = lane(settings.lane.clone())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let notices = Arc::new(Notices::new(Arc::clone(heartbeats), Arc::clone(wake)));
        let source = Source::new(lane, Arc::clone(&notices));
        let recorder = settings.recorder.clone();
        let accepted = Arc::new(LastAccepted::default());
        let sink = FeedSink::new(sink, notices, Arc::clone(&accepted));
        let sink = std::sync::Mutex::new(Some(sink));
        let mut connection = settings.connection.clone();
        connection.transport.on_accepted = Some(accepted);
        // Sockets with the same seed would reconnect at the same time.
        let seed = connection.reconnect.jitter_seed;
        connection.reconnect.jitter_seed = seed.wrapping_add(number as u64);
        let config = ManagerConfig {
            connections: 1,
            connection,
            failover: None,
            ..ManagerConfig::default()
        };
        let built = Manager::builder()
            .config(config)
            .account("", settings.credentials.clone())
            .tap(move |_| {
                let source = TapeSource::of(0, number);
                let tape = recorder.as_ref().map(|recorder| recorder.sink(source));
                // A manager is started once, so there is one sink.
                let sink = sink.lock().map(|mut it| it.take()).unwrap_or_default();
                (tape, sink)
            })
            .build();
        let manager = built.map_err(|error| PyValueError::new_err(error.to_string()))?;
        manager
            .set_subscriptions(subscriptions.iter().copied())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let _entered = runtime.enter();
        manager.begin().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok((Self { manager }, source))
    }

    pub(crate) fn subscribe(&self, tokens: &[u32], mode: Mode) -> PyResult<()> {
        let accepted = self.manager.subscribe(tokens, mode);
        accepted.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    pub(crate) fn set_mode(&self, tokens: &[u32], mode: Mode) {
        self.manager.set_mode(tokens, mode);
    }

    pub(crate) fn unsubscribe(&self, tokens: &[u32]) {
        self.manager.unsubscribe(tokens);
    }

    pub(crate) fn set_access_token(&self, access_token: &str) {
        self.manager.set_access_token(access_token);
    }

    pub(crate) fn manager(&self) -> Manager {
        self.manager.clone()
    }
}
