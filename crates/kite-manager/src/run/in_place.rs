//! A run without tasks for its connections; one stream drives all their sockets.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_util::future::join_all;
use kite_conn::{Connection, InPlace, Stamp, Stopped};

use crate::account_id::AccountId;
use crate::error::InPlaceError;
use crate::manager::{Core, Manager, ManagerSink};
use crate::run::{Run, sum};
use crate::stream::{HubSink, Merge, TaggedBatch};

impl Manager {
    /// Starts without tasks for the connections. The task that polls the returned stream opens,
    /// reads and maintains the sockets, and receives frames without a hop. Everything else is as
    /// after [`Manager::start`]. Other streams and [`Manager::latest`] are updated while this
    /// stream is polled, and a stream that blocks holds it back.
    ///
    /// Returns immediately; nothing is connected before the stream is polled. To learn when all
    /// connections are up, call [`Manager::wait_until_live`] on another task or read the events.
    ///
    /// ```no_run
    /// use kite_manager::{Credentials, Manager, Mode};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = Manager::builder()
    ///     .account("mine", Credentials::new("api_key", "access_token"))
    ///     .build()?;
    /// manager.subscribe(&[256_265, 738_561, 408_065], Mode::Full)?;
    /// let mut stream = manager.start_in_place()?;
    /// while let Some(ticks) = stream.recv().await {
    ///     for packet in ticks.packets() {
    ///         println!("{} {}", packet.instrument_token(), packet.last_price());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`InPlaceError`] if a setting is outside its range, there is no Tokio runtime with
    /// timers and I/O (failover still runs on its own task), or the manager is running. Nothing is
    /// changed then.
    pub fn start_in_place(&self) -> Result<InPlaceStream, InPlaceError> {
        self.config().validate()?;
        let core = &self.core;
        let mut seated = Vec::new();
        let run = self.connect(false, |slot, config, credentials, events| {
            let sink = core.sink(slot);
            let (connection, ticks) =
                Connection::in_place_with(config, credentials, sink, events, slot)?;
            let seat = core.seats.seat(slot);
            seated.push(Seated { account: seat.account, connection: seat.connection, ticks });
            Ok(connection)
        })?;
        let Run::Begun(run, _) = run else { return Err(InPlaceError::Running) };
        Ok(InPlaceStream { merge: Merge::new(seated), core: Arc::downgrade(core), run })
    }
}

/// A stream of the ticks of all connections of a manager that drives their sockets itself; created
/// by [`Manager::start_in_place`].
///
/// Polling it does all the work of the connections' tasks. While it is not polled, nothing happens
/// and TCP holds the servers back, so poll it regularly, at least several times within
/// [`silence_threshold`](crate::Liveness::silence_threshold).
///
/// Items of one connection are in order; connections take turns, frame by frame. Packets that a
/// connection still receives of instruments that have left it are left out, as in
/// [`Manager::stream`]. The stream ends with its run, after [`Manager::stop`] or
/// [`Manager::begin_drain`], or when the last manager is dropped. Dropping the stream ends the run without sending close frames;
/// [`InPlaceStream::close`] sends them.
#[derive(Debug)]
pub struct InPlaceStream {
    merge: Merge<Seated>,
    core: Weak<Core>,
    run: Stamp,
}

impl InPlaceStream {
    /// Marks first packets from now on, for [`TaggedBatch::is_first`], as
    /// [`StreamConfig::mark_first`](crate::StreamConfig::mark_first) does for other streams. Call it
    /// before the stream is first polled.
    pub fn mark_first(&mut self) {
        self.merge.streams_mut().filter_map(Seated::hub).for_each(HubSink::mark_first);
    }

    /// Waits for the next frame; `None` once the run has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: no frame is lost if the future is dropped.
    ///
    /// # Panics
    /// Panics outside a Tokio runtime, or in one whose timers or I/O are not enabled.
    pub async fn recv(&mut self) -> Option<TaggedBatch> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next frame; `None` once the run has ended.
    ///
    /// # Panics
    /// Same as [`InPlaceStream::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<TaggedBatch>> {
        self.merge.poll_next(cx)
    }

    /// Stops the manager as [`Manager::stop`] does, while driving the connections. Frames that are
    /// still received are counted and discarded. To receive them, call [`Manager::begin_drain`] and
    /// read the stream to its end.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    ///
    /// # Panics
    /// Same as [`InPlaceStream::recv`].
    pub async fn close(mut self) -> Stopped {
        self.end_run();
        let seated = std::mem::replace(&mut self.merge, Merge::new([])).into_streams();
        sum(join_all(seated.map(|it| it.ticks.close())).await)
    }

    /// Ends the run unless it has already ended.
    fn end_run(&self) {
        if let Some(core) = self.core.upgrade() {
            core.end_run(self.run);
        }
    }
}

impl Stream for InPlaceStream {
    type Item = TaggedBatch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TaggedBatch>> {
        self.poll_recv(cx)
    }
}

impl Drop for InPlaceStream {
    fn drop(&mut self) {
        self.end_run();
    }
}

/// The ticks of one connection, tagged with the connection.
#[derive(Debug)]
struct Seated {
    account: AccountId,
    connection: usize,
    ticks: InPlace<ManagerSink>,
}

impl Seated {
    /// Returns the sink of the merged streams; `None` once the connection has ended.
    fn hub(&mut self) -> Option<&mut HubSink> {
        self.ticks.sink_mut().map(|(_, own)| &mut own.hub)
    }
}

impl Stream for Seated {
    type Item = TaggedBatch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TaggedBatch>> {
        loop {
            let Some(batch) = ready!(self.ticks.poll_recv(cx)) else { return Poll::Ready(None) };
            if batch.ticks.is_empty() {
                continue;
            }
            // The sink has received this batch, so its set of former instruments is current.
            let ours = match self.hub() {
                Some(hub) => hub.ours(&batch),
                None => Some(Cow::Borrowed(&batch)),
            };
            let part = match ours {
                None => continue,
                Some(Cow::Borrowed(_)) => None,
                Some(Cow::Owned(part)) => Some(part),
            };
            let (account, connection) = (self.account.clone(), self.connection);
            let batch = part.unwrap_or(batch);
            let firsts = self.hub().and_then(|hub| hub.first_packets(&batch));
            return Poll::Ready(Some(TaggedBatch { account, connection, batch, firsts }));
        }
    }
}
