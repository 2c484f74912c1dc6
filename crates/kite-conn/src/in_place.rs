//! A connection without a task, whose socket is driven by the stream that yields its ticks.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use kite_wire::Command;

use crate::config::ConnectionConfig;
use crate::connection::Connection;
use crate::credentials::Credentials;
use crate::deliver::{Batch, Sink, Unread};
use crate::driver::{Driver, Network, Pause};
use crate::error::ConfigError;
use crate::observe::{Event, EventLane, Stopped};
use crate::transport::Dialer;

impl Connection {
    /// Creates a connection without a task. The task that polls the stream opens the socket, reads
    /// it and keeps it alive, and receives each frame without a hop between tasks. Everything else
    /// is as with [`Connection::spawn`].
    ///
    /// Nothing happens before the stream is first polled, and no runtime is needed until then:
    /// [`Connection::runtime`] checks whether the current one will do. Keep the handle, because a
    /// connection closes when its last handle is dropped.
    ///
    /// ```no_run
    /// use kite_conn::{Connection, ConnectionConfig, Credentials, EventLane};
    /// use kite_wire::Mode;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let credentials = Credentials::new("api_key", "access_token");
    /// let events = EventLane::default();
    /// let (connection, mut stream) =
    ///     Connection::in_place(ConnectionConfig::default(), credentials, &events, 1)?;
    /// connection.subscribe(&[256_265, 408_065], Mode::Quote)?;
    /// while let Some(batch) = stream.recv().await {
    ///     for packet in batch.ticks.packets() {
    ///         println!("{} {}", packet.instrument_token(), packet.last_price());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns a [`ConfigError`] for a setting outside its range.
    pub fn in_place(
        config: ConnectionConfig,
        credentials: Credentials,
        events: &EventLane,
        number: usize,
    ) -> Result<(Self, InPlace), ConfigError> {
        Self::in_place_with(config, credentials, (), events, number)
    }

    /// Creates a connection like [`Connection::in_place`] that also delivers to a sink: heartbeats,
    /// events, and each frame before the stream yields it. A sink that is not ready blocks the
    /// stream too.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] for a setting outside its range.
    pub fn in_place_with<S: Sink>(
        config: ConnectionConfig,
        credentials: Credentials,
        sink: S,
        events: &EventLane,
        number: usize,
    ) -> Result<(Self, InPlace<S>), ConfigError> {
        let dialer = Dialer::from(&config);
        let (connection, driven) = Driven::new(dialer, config, credentials, sink, events, number)?;
        Ok((connection, InPlace { driven }))
    }
}

/// The ticks of one connection, as a stream that drives the connection's socket itself; created by
/// [`Connection::in_place`].
///
/// Polling it opens the socket, reads it, answers pings, sends the handles' requests, checks for
/// silence, reconnects and resubscribes. While it is not polled, none of that happens and TCP holds
/// the server back, so poll it steadily, at least several times within
/// [`silence_threshold`](crate::Liveness::silence_threshold). After a longer pause, data that has
/// arrived is read before silence is checked; but the server may have dropped the connection by
/// then, and [`Batch::received`] is the time a frame was read, not the time it arrived.
///
/// Frames are yielded as received, without heartbeats, so [`Batch::sequence`] skips their numbers.
/// The stream ends once the connection has been closed or drained by a handle, by
/// [`InPlace::close`], or by dropping the last handle. To receive everything that the server has
/// sent, call [`Connection::begin_drain`] and read the stream to its end. Dropping the stream drops the socket without a close frame; the
/// connection is then [`Closed`](crate::Phase::Closed).
pub struct InPlace<S: Sink = ()> {
    driven: Driven<S, Dialer>,
}

impl<S: Sink> InPlace<S> {
    /// Waits for the next frame; `None` once the connection has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: no frame is lost if the future is dropped.
    ///
    /// # Panics
    /// Panics outside a Tokio runtime, in one whose timers or I/O are not enabled, or if the sink
    /// beside it panics.
    pub async fn recv(&mut self) -> Option<Batch> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next frame; `None` once the connection has ended.
    ///
    /// # Panics
    /// Same as [`InPlace::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.driven.poll_recv(cx)
    }

    /// Returns the sink beside the stream; `None` once the connection has ended.
    pub fn sink_mut(&mut self) -> Option<&mut S> {
        self.driven.sink_mut()
    }

    /// Closes the connection like [`Connection::close`], and does the work for it. Frames that
    /// still arrive are counted and discarded; to receive them, call [`Connection::begin_drain`]
    /// and read the stream to its end.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    ///
    /// # Panics
    /// Same as [`InPlace::recv`].
    pub async fn close(mut self) -> Stopped {
        self.driven.begin_close();
        while self.recv().await.is_some() {}
        self.driven.stopped
    }
}

impl<S: Sink> Stream for InPlace<S> {
    type Item = Batch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.poll_recv(cx)
    }
}

impl<S: Sink> fmt::Debug for InPlace<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_ended = self.driven.driver.is_none();
        f.debug_struct("InPlace").field("has_ended", &has_ended).finish_non_exhaustive()
    }
}

/// A driver that is polled by its consumer, for any source of sockets.
pub(crate) struct Driven<S: Sink, O: Network> {
    /// `None` once it has ended.
    driver: Option<Box<Driver<NextBatch<S>, O>>>,
    /// How it ended.
    stopped: Stopped,
}

impl<S: Sink, O: Network> Driven<S, O> {
    pub(crate) fn new(
        network: O,
        config: ConnectionConfig,
        credentials: Credentials,
        sink: S,
        events: &EventLane,
        number: usize,
    ) -> Result<(Connection, Self), ConfigError> {
        config.validate()?;
        let (connection, reporter) = Connection::with_reporter(&config, events, number);
        let next = NextBatch { batch: None, beside: sink, discarded: None };
        let driver = Box::new(Driver::new(config, network, credentials, next, reporter));
        Ok((connection, Self { driver: Some(driver), stopped: Stopped::default() }))
    }

    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        loop {
            let Some(driver) = &mut self.driver else { return Poll::Ready(None) };
            match ready!(driver.poll_run(cx, |next| next.batch.is_some())) {
                Pause::Enough => {
                    if let Some(batch) = driver.sink_mut().batch.take() {
                        return Poll::Ready(Some(batch));
                    }
                }
                Pause::Over => {
                    if let Some(driver) = self.driver.take() {
                        self.stopped = driver.finish();
                    }
                }
            }
        }
    }

    /// Closes the connection, and discards its frames from now on.
    fn begin_close(&mut self) {
        if let Some(driver) = &mut self.driver {
            driver.close();
            driver.sink_mut().discarded = Some(Unread::default());
        }
    }

    fn sink_mut(&mut self) -> Option<&mut S> {
        Some(&mut self.driver.as_mut()?.sink_mut().beside)
    }
}

/// The slot for the frame that a driver passes to its consumer.
struct NextBatch<S> {
    batch: Option<Batch>,
    /// What the consumer no longer receives; `None` while it receives everything.
    discarded: Option<Unread>,
    /// The application's sink, which receives everything.
    beside: S,
}

impl<S: Sink> Sink for NextBatch<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.beside.poll_ready(cx)
    }

    fn on_batch(&mut self, batch: &Batch) {
        self.beside.on_batch(batch);
        if batch.ticks.frame().is_heartbeat() {
            return;
        }
        match &mut self.discarded {
            None => self.batch = Some(batch.clone()),
            Some(discarded) => discarded.discard(batch.ticks.len()),
        }
    }

    fn on_event(&mut self, event: &Event) {
        self.beside.on_event(event);
    }

    fn on_command(&mut self, command: Command<'_>) {
        self.beside.on_command(command);
    }

    fn on_departed(&mut self, tokens: &[u32]) {
        self.beside.on_departed(tokens);
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.beside.poll_drained(cx)
    }

    fn stop_waiting(&mut self) {
        self.beside.stop_waiting();
    }

    fn unread(&self) -> Unread {
        self.discarded.unwrap_or_default() + self.beside.unread()
    }
}
