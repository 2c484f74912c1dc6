//! The handle of a connection: cheap to clone, usable from any task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kite_wire::Mode;
use tokio::sync::watch;

use crate::clock::FAR;
use crate::config::ConnectionConfig;
use crate::credentials::Credentials;
use crate::deliver::Sink;
use crate::driver::{Driver, Mailbox, Network, Reporter};
use crate::error::{SpawnError, SubscribeError};
use crate::observe::{
    Counters, Distributions, EventLane, Handover, InstrumentStats, LossKind, Phase, Stats, Status,
    Stopped,
};
use crate::runtime;
use crate::transport::Dialer;

/// One WebSocket connection that stays alive.
///
/// Created by [`Connection::spawn`], which starts its task, or by [`Connection::in_place`], where
/// the task that reads the ticks does the connection's work too. All requests are merged into a
/// desired state that is sent to the server, on this socket and on every later one; they never wait
/// for the network. Dropping the last handle drains the connection in the background, within its
/// [`close_deadline`](crate::Liveness::close_deadline), unless it is closing already.
#[derive(Debug, Clone)]
pub struct Connection {
    state: Arc<HandleState>,
}

#[derive(Debug)]
struct HandleState {
    mailbox: Arc<Mailbox>,
    counters: Arc<Counters>,
    status: watch::Receiver<Status>,
    close_deadline: Duration,
}

impl HandleState {
    fn drain(&self, deadline: Duration) {
        let now = tokio::time::Instant::now().into_std();
        self.mailbox.drain(now + deadline.min(FAR));
    }
}

impl Drop for HandleState {
    fn drop(&mut self) {
        // A drain that was begun keeps its deadline.
        if !self.mailbox.is_closing() {
            self.drain(self.close_deadline);
        }
    }
}

impl Connection {
    /// Starts a connection. Its socket is opened immediately, and again after every loss.
    ///
    /// Ticks and text frames are delivered to `sink`; events are sent on `events`, tagged with
    /// `number`.
    ///
    /// # Errors
    /// Returns [`SpawnError::Config`] if a setting is outside its range, and the errors of
    /// [`Connection::runtime`].
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

    /// Returns the current Tokio runtime, if connections can run on it.
    ///
    /// # Errors
    /// Returns [`SpawnError::NoRuntime`] outside a Tokio runtime, and [`SpawnError::NoTimers`] or
    /// [`SpawnError::NoIo`] in one that was built without them. Tokio reports these two only by a
    /// panic, which is caught here, but the program's panic hook receives it.
    pub fn runtime() -> Result<tokio::runtime::Handle, SpawnError> {
        runtime::current()
    }

    /// Starts a connection whose sockets come from `network`.
    pub(crate) fn spawn_on(
        network: impl Network,
        config: ConnectionConfig,
        credentials: Credentials,
        sink: impl Sink,
        events: &EventLane,
        number: usize,
    ) -> Result<Self, SpawnError> {
        config.validate()?;
        let runtime = Self::runtime()?;
        let (connection, reporter) = Self::with_reporter(&config, events, number);
        runtime.spawn(Driver::new(config, network, credentials, sink, reporter).run());
        Ok(connection)
    }

    /// Creates a handle, and the reporter for its driver.
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
        let close_deadline = config.liveness.close_deadline;
        let state = HandleState { mailbox, counters, status, close_deadline };
        (Self { state: Arc::new(state) }, reporter)
    }

    /// Adds instruments in `mode`; those already subscribed switch to it.
    ///
    /// `Ok` means only that the request was accepted: Kite sends no acknowledgement. While the
    /// connection is down the request waits and is sent after the next handshake.
    ///
    /// # Errors
    /// Returns [`SubscribeError`] if they exceed the connection's limit, or if it has ended;
    /// nothing changes then.
    pub fn subscribe(&self, tokens: &[u32], mode: Mode) -> Result<(), SubscribeError> {
        self.apply(tokens.iter().map(|&token| (token, Some(mode))))
    }

    /// Removes instruments; unknown ones are ignored.
    pub fn unsubscribe(&self, tokens: &[u32]) {
        // Cannot exceed a limit, because it only removes. A connection that has ended has no
        // subscriptions.
        let _ = self.apply(tokens.iter().map(|&token| (token, None)));
    }

    /// Sets each instrument's mode, or removes it (`None`), in one step.
    ///
    /// # Errors
    /// Returns [`SubscribeError`] if the result exceeds the connection's limit, or if it has ended;
    /// nothing changes then.
    pub fn apply(
        &self,
        changes: impl IntoIterator<Item = (u32, Option<Mode>)>,
    ) -> Result<(), SubscribeError> {
        self.state.mailbox.apply(changes.into_iter())
    }

    /// Removes instruments that another connection takes over, and returns what that connection
    /// needs to report their gap: the loss of the last socket, if there is no other yet, and their
    /// last ticks. This connection's own gap then leaves them out. `number` identifies this
    /// connection in [`Gap::moved_from`](crate::Gap::moved_from).
    pub fn hand_over(&self, tokens: &[u32], number: usize) -> Handover {
        self.unsubscribe(tokens);
        let counters = &self.state.counters;
        Handover::take(tokens, number, &counters.instruments, &counters.unsettled)
    }

    /// Adds instruments that another connection handed over. If that connection had no socket, this
    /// one reports their gap as [`Event::Gap`](crate::Event::Gap), from the loss to their first
    /// ticks here.
    ///
    /// # Errors
    /// Returns [`SubscribeError`] as [`Connection::apply`] does; nothing changes then, and the gap
    /// is not reported.
    pub fn take_over(
        &self,
        instruments: impl IntoIterator<Item = (u32, Mode)>,
        handover: Handover,
    ) -> Result<(), SubscribeError> {
        self.state.mailbox.take_over(instruments.into_iter(), handover)
    }

    /// Returns the subscribed instruments and their modes.
    #[must_use]
    pub fn desired(&self) -> BTreeMap<u32, Mode> {
        self.state.mailbox.desired()
    }

    /// Replaces the credentials that later handshakes use. A parked or waiting connection tries
    /// again immediately, and so does one whose token source has not answered yet: its answer is no
    /// longer awaited. An open socket stays, since Kite checks the token at the handshake only.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.state.mailbox.set_credentials(credentials);
    }

    /// Sends a ping if the connection is live, and returns whether it is. No ping is sent while
    /// writing to the socket is blocked.
    pub fn ping(&self) -> bool {
        let live = self.state.status.borrow().phase == Phase::Live;
        if live {
            self.state.mailbox.ping();
        }
        live
    }

    /// Returns the current status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.state.status.borrow().clone()
    }

    /// Returns a receiver of status changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.state.status.clone()
    }

    /// Returns the counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.counters.read()
    }

    /// Returns the distributions of latencies, sizes and outages. Takes some microseconds.
    #[must_use]
    pub fn distributions(&self) -> Distributions {
        self.state.counters.distributions()
    }

    /// Returns how often each kind of loss occurred, omitting kinds that did not.
    #[must_use]
    pub fn losses_by_kind(&self) -> BTreeMap<LossKind, u64> {
        self.state.counters.losses_by_kind()
    }

    /// Returns the statistics of each instrument that ticked, by ascending token; empty without
    /// [`ConnectionConfig::track_instruments`]. A subscribed instrument that is missing has not
    /// ticked yet, or does not exist. An unsubscribed one stays until its socket is lost.
    #[must_use]
    pub fn instruments(&self) -> Vec<InstrumentStats> {
        self.state.counters.instruments.read()
    }

    /// Closes the connection without waiting for its consumers: sends a close frame, reads on until
    /// the server ends the socket or `close_deadline` has passed, then drops the sink. While it
    /// reads, frames that a consumer has no room for are discarded, counted in the result and
    /// reported in its lane; what lies in a lane can still be taken. To lose nothing, use
    /// [`Connection::drain`], which this call cuts short.
    ///
    /// Completes when the connection has ended. A connection created [in
    /// place](Connection::in_place) has ended when its stream was polled to its end or dropped; the
    /// task that polls it calls [`InPlace::close`](crate::InPlace::close) instead of waiting here.
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connection closes even if the future is dropped.
    pub async fn close(&self) -> Stopped {
        self.state.mailbox.close();
        self.ended().await
    }

    /// Closes the connection and delivers everything that the server has sent: sends a close frame,
    /// reads on until the server ends the socket, waits until the consumers have taken everything,
    /// then drops the sink. A consumer that is slow or blocks holds reading back as usual.
    ///
    /// At the deadline, counted from this call, the connection ends anyway. If a consumer held
    /// reading back, what has arrived by then is read, for at most 100 ms more, and discarded, so
    /// that it can be counted. Kite often does not end a socket, so on its feed the deadline usually
    /// does.
    ///
    /// Of several drains the earliest deadline counts. Without an open socket only the consumers are
    /// waited for. Completes when the connection has ended; the task that consumes the frames calls
    /// [`Connection::begin_drain`] instead of waiting here, and so does the one that polls a
    /// connection in place.
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connection drains even if the future is dropped.
    pub async fn drain(&self, deadline: Duration) -> Stopped {
        self.begin_drain(deadline);
        self.ended().await
    }

    /// Begins a [drain](Connection::drain) and returns immediately. The sink is dropped at its end,
    /// so a lane ends after its last item, and a stream in place does too.
    pub fn begin_drain(&self, deadline: Duration) {
        self.state.drain(deadline);
    }

    /// Waits until the connection has ended, without closing it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ended(&self) -> Stopped {
        let mut status = self.state.status.clone();
        // The reporter owns the sender, so it is dropped when the connection has ended.
        while status.changed().await.is_ok() {}
        let stopped = status.borrow().stopped.clone();
        stopped.unwrap_or_default()
    }
}
