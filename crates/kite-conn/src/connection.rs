//! The handle of a connection: cheap to clone, usable from any task.

use std::collections::BTreeMap;
use std::sync::Arc;

use kite_wire::Mode;
use tokio::sync::watch;

use crate::config::ConnectionConfig;
use crate::credentials::Credentials;
use crate::deliver::Sink;
use crate::driver::{Driver, Mailbox, Network, Reporter};
use crate::error::{SpawnError, SubscribeError};
use crate::observe::{
    Counters, Distributions, EventLane, InstrumentStats, LossKind, Phase, Stats, Status,
};
use crate::transport::Dialer;

/// One WebSocket connection that stays alive.
///
/// Made by [`Connection::spawn`], which starts its task, or by [`Connection::in_place`], where
/// whoever takes the ticks does the task's work. All requests are merged into a desired state that
/// is brought to the server, on this socket and on every later one; they never wait for the
/// network. Dropping the last handle closes the connection politely in the background.
#[derive(Debug, Clone)]
pub struct Connection {
    state: Arc<HandleState>,
}

#[derive(Debug)]
struct HandleState {
    mailbox: Arc<Mailbox>,
    counters: Arc<Counters>,
    status: watch::Receiver<Status>,
}

impl Drop for HandleState {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Connection {
    /// Starts a connection: its socket is opened at once and again after every loss.
    ///
    /// What comes is delivered to `sink`; what happens is told on `events` under the number given.
    ///
    /// # Errors
    /// [`SpawnError::Config`] for a setting outside of its range, [`SpawnError::NoRuntime`] outside
    /// of a Tokio runtime.
    ///
    /// # Panics
    /// Not here, but the connection's task panics at its start on a runtime whose timers or I/O
    /// are not enabled, which cannot be asked beforehand: the connection is [`Phase::Closed`] then.
    pub fn spawn(
        config: ConnectionConfig,
        credentials: Credentials,
        sink: impl Sink,
        events: &EventLane,
        number: usize,
    ) -> Result<Self, SpawnError> {
        let dialer = Dialer::from(&config);
        Self::spawn_on(dialer, config, credentials, sink, events, number)
    }

    /// Starts a connection whose sockets come from elsewhere than the network.
    pub(crate) fn spawn_on(
        network: impl Network,
        config: ConnectionConfig,
        credentials: Credentials,
        sink: impl Sink,
        events: &EventLane,
        number: usize,
    ) -> Result<Self, SpawnError> {
        config.validate()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
        let (connection, reporter) = Self::with_reporter(&config, events, number);
        runtime.spawn(Driver::new(config, network, credentials, sink, reporter).run());
        Ok(connection)
    }

    /// Makes a handle, and the reporter of the driver that it is the handle of.
    pub(crate) fn with_reporter(
        config: &ConnectionConfig,
        events: &EventLane,
        number: usize,
    ) -> (Self, Reporter) {
        let mailbox = Arc::new(Mailbox::new(config.instrument_limit));
        let counters = Arc::new(Counters::default());
        let (status_sender, status) = watch::channel(Status::default());
        let events = events.sender(number);
        let reporter =
            Reporter::new(events, Arc::clone(&counters), status_sender, Arc::clone(&mailbox));
        (Self { state: Arc::new(HandleState { mailbox, counters, status }) }, reporter)
    }

    /// Wants instruments in this mode; those already wanted get the mode.
    ///
    /// `Ok` means accepted: Kite sends no acknowledgement. While the connection is down the wish
    /// waits and goes out after the next handshake.
    ///
    /// # Errors
    /// [`SubscribeError`] if they exceed the connection's limit, or if it has ended; nothing is
    /// changed then.
    pub fn subscribe(&self, tokens: &[u32], mode: Mode) -> Result<(), SubscribeError> {
        self.apply(tokens.iter().map(|&token| (token, Some(mode))))
    }

    /// No longer wants instruments; unknown ones are ignored.
    pub fn unsubscribe(&self, tokens: &[u32]) {
        // Cannot exceed a limit: it only takes away. A connection that has ended wants nothing.
        let _ = self.apply(tokens.iter().map(|&token| (token, None)));
    }

    /// Wants each instrument in its mode, or not at all (`None`), in one step.
    ///
    /// # Errors
    /// [`SubscribeError`] if the result exceeds the connection's limit, or if it has ended;
    /// nothing is changed then.
    pub fn apply(
        &self,
        changes: impl IntoIterator<Item = (u32, Option<Mode>)>,
    ) -> Result<(), SubscribeError> {
        self.state.mailbox.want(changes.into_iter())
    }

    /// Gives the instruments wanted and their modes.
    #[must_use]
    pub fn desired(&self) -> BTreeMap<u32, Mode> {
        self.state.mailbox.desired()
    }

    /// Uses other credentials from the next handshake on. A parked or waiting connection tries at
    /// once; an open socket stays, since Kite checks the token at the handshake only.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.state.mailbox.set_credentials(credentials);
    }

    /// Sends a ping, if the connection is live; says whether it is. None goes out while the socket
    /// does not take our bytes.
    pub fn ping(&self) -> bool {
        let live = self.state.status.borrow().phase == Phase::Live;
        if live {
            self.state.mailbox.ping();
        }
        live
    }

    /// Gives where the connection stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.state.status.borrow().clone()
    }

    /// Watches where the connection stands.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.state.status.clone()
    }

    /// Reads the counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.counters.read()
    }

    /// Reads how latencies, sizes and outages are distributed: some microseconds' work.
    #[must_use]
    pub fn distributions(&self) -> Distributions {
        self.state.counters.distributions()
    }

    /// Gives how often each kind of loss occurred, those that did.
    #[must_use]
    pub fn losses_by_kind(&self) -> BTreeMap<LossKind, u64> {
        self.state.counters.losses_by_kind()
    }

    /// Gives what is known of each instrument that ticked, by rising token; empty without
    /// [`ConnectionConfig::track_instruments`]. One that is wanted and not here has not ticked, as
    /// one that does not exist never will. One that was unsubscribed stays until its socket is
    /// lost.
    #[must_use]
    pub fn instruments(&self) -> Vec<InstrumentStats> {
        self.state.counters.instruments.read()
    }

    /// Closes the connection: a close frame, a deadline, then the end of the sink. Completes when
    /// the connection's task has ended: after one `close_deadline` where the server does not answer,
    /// after up to three where the sink takes nothing either. One that was made
    /// [in place](Connection::in_place) has ended when its stream was polled to its end or dropped:
    /// whoever polls it does not wait here, but in [`InPlace::close`](crate::InPlace::close).
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connection closes even if the future is dropped.
    pub async fn close(&self) {
        self.state.mailbox.close();
        // The sender lives in the task: it is gone when the task is.
        let mut status = self.state.status.clone();
        while status.changed().await.is_ok() {}
    }
}
