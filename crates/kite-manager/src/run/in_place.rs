//! A run without tasks for its connections: one stream drives all their sockets.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_util::future::{join, join_all};
use kite_conn::{Connection, InPlace, Stamp};

use crate::account_id::AccountId;
use crate::error::InPlaceError;
use crate::manager::{Core, Manager, ManagerSink};
use crate::run::Run;
use crate::stream::{Merge, TaggedBatch};

impl Manager {
    /// Starts without tasks for the connections: their sockets are opened, read and kept alive by
    /// whoever polls the stream, and a frame gets to them without a hop. All else is as after
    /// [`Manager::start`]; other streams and [`Manager::latest`] get their ticks while this one is
    /// polled, and one that blocks holds it back.
    ///
    /// Completes at once: nothing is connected before the stream is polled.
    /// [`Manager::wait_until_live`] on another task tells when all are up, and so do the events.
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
    ///     for packet in ticks.batch.ticks.packets() {
    ///         println!("{} {}", packet.instrument_token(), packet.last_price());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InPlaceError`] for a setting outside of its range, outside of a Tokio runtime (a task of
    /// its own looks after failover, as ever), and while running. Nothing is changed then.
    pub fn start_in_place(&self) -> Result<InPlaceStream, InPlaceError> {
        self.config().validate()?;
        let core = &self.core;
        let mut seated = Vec::new();
        let run = self.connect(false, |slot, config, credentials| {
            let (sink, events) = (core.sink(slot), &core.events);
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

/// The ticks of all connections of a manager, a stream that drives their sockets itself; made by
/// [`Manager::start_in_place`].
///
/// Polling it does all that the connections' tasks would do, those that have something to do. While
/// nobody polls, nothing happens and TCP holds the servers back: poll it steadily, several times
/// within [`silence_threshold`](crate::Liveness::silence_threshold) at least.
///
/// Items of one connection are in order; connections take turns, frame by frame. What still comes
/// from a connection whose instruments were handed over is left out, as in [`Manager::stream`]. It
/// ends with its run, after [`Manager::stop`] or the drop of the last manager. Dropping it drops
/// the sockets without a farewell and ends the run; [`InPlaceStream::close`] ends it politely.
#[derive(Debug)]
pub struct InPlaceStream {
    merge: Merge<Seated>,
    core: Weak<Core>,
    run: Stamp,
}

impl InPlaceStream {
    /// Takes the next frame, once there is one; `None` once the run has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: a frame is taken when the future completes, or not at all.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, or in one whose timers or I/O are not enabled.
    pub async fn recv(&mut self) -> Option<TaggedBatch> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Takes the next frame; `None` once the run has ended.
    ///
    /// # Panics
    /// As [`InPlaceStream::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<TaggedBatch>> {
        self.merge.poll_next(cx)
    }

    /// Stops the manager as [`Manager::stop`] does, and does the work of it. Frames that still come
    /// are counted and discarded; who wants them lets another task stop, and takes them until the
    /// stream ends.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    ///
    /// # Panics
    /// As [`InPlaceStream::recv`].
    pub async fn close(mut self) {
        let connections = self.end_run();
        let closed = join_all(connections.iter().map(Connection::close));
        let drained = async { while self.recv().await.is_some() {} };
        join(closed, drained).await;
    }

    /// Ends the run, unless that has happened; gives its connections then.
    fn end_run(&self) -> Vec<Connection> {
        self.core.upgrade().map(|core| core.end_run(self.run)).unwrap_or_default()
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

/// One connection's ticks, and whose they are.
#[derive(Debug)]
struct Seated {
    account: AccountId,
    connection: usize,
    ticks: InPlace<ManagerSink>,
}

impl Stream for Seated {
    type Item = TaggedBatch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TaggedBatch>> {
        loop {
            let Some(batch) = ready!(self.ticks.poll_recv(cx)) else { return Poll::Ready(None) };
            if batch.ticks.is_empty() {
                continue;
            }
            // It has been given this batch, and knows what belongs to whom since.
            let ours = match self.ticks.sink_mut() {
                Some((_, (hub, _))) => hub.ours(&batch),
                None => Some(Cow::Borrowed(&batch)),
            };
            let part = match ours {
                None => continue,
                Some(Cow::Borrowed(_)) => None,
                Some(Cow::Owned(part)) => Some(part),
            };
            let (account, connection) = (self.account.clone(), self.connection);
            let batch = part.unwrap_or(batch);
            return Poll::Ready(Some(TaggedBatch { account, connection, batch }));
        }
    }
}
