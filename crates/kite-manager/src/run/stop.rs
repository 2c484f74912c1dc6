//! Ends the run of a manager.

use std::time::Duration;

use futures_util::future::join_all;
use kite_conn::{Connection, Stamp, Stopped};

use crate::manager::{Control, Core, Manager};

impl Manager {
    /// Closes the connections without waiting for the consumers: sends close frames, reads on until
    /// each server has ended its socket or `close_deadline` has passed, and ends the sinks and
    /// streams. What lies in a stream can still be taken. Frames that a stream has no room for are
    /// discarded, counted in the result, and reported as the stream's last item. To lose nothing,
    /// use [`Manager::drain`], which this call cuts short.
    ///
    /// Subscriptions are kept for a later start. Does nothing before the first start. While stopped,
    /// returns how the last run ended.
    ///
    /// After [`Manager::start_in_place`] it completes once the stream was polled to its end or
    /// dropped. The task that polls the stream must call [`InPlaceStream::close`] instead.
    ///
    /// [`InPlaceStream::close`]: crate::InPlaceStream::close
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connections close even if the future is dropped.
    pub async fn stop(&self) -> Stopped {
        let connections = self.end_run();
        sum(join_all(connections.iter().map(Connection::close)).await)
    }

    /// Ends the run like [`Manager::stop`], but delivers everything that the servers have sent:
    /// sends close frames, reads on until each server has ended its socket, and waits until the
    /// consumers have taken everything. Streams end after their last item. A stream that is slow or
    /// blocks holds reading back as usual.
    ///
    /// At the deadline, counted from this call, the run ends anyway. What a slow stream has held
    /// back is then read, for at most 100 ms more, and discarded, so that it can be counted. Kite
    /// often does not end a socket, so on its feed the deadline usually ends the run, and
    /// [`Stopped::unread_frames`] is `None`.
    ///
    /// Of several drains the earliest deadline counts. A stream that is not read is waited for
    /// until the deadline; drop it. A task that reads a stream or polls an
    /// [`InPlaceStream`](crate::InPlaceStream) must not wait here: it calls
    /// [`Manager::begin_drain`] and reads on.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use kite_manager::{Manager, StreamConfig, TickStream};
    /// # async fn run(manager: Manager, mut stream: TickStream) {
    /// let reader = tokio::spawn(async move { while stream.recv().await.is_some() {} });
    /// let stopped = manager.drain(Duration::from_secs(10)).await;
    /// println!("{stopped}");
    /// # drop(reader);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connections drain even if the future is dropped.
    pub async fn drain(&self, deadline: Duration) -> Stopped {
        let connections = self.end_run();
        sum(join_all(connections.iter().map(|it| it.drain(deadline))).await)
    }

    /// Begins a [drain](Manager::drain) and returns immediately. Read the streams to their ends: the
    /// drain goes on even if the last manager is dropped.
    pub fn begin_drain(&self, deadline: Duration) {
        for connection in self.end_run() {
            connection.begin_drain(deadline);
        }
    }

    /// Ends the current run, and returns its connections or those of the last one.
    fn end_run(&self) -> Vec<Connection> {
        let mut control = self.lock();
        self.core.end(&mut control);
        control.connections()
    }
}

/// Returns how several connections ended together.
pub(crate) fn sum(ends: impl IntoIterator<Item = Stopped>) -> Stopped {
    ends.into_iter().fold(Stopped::NOTHING, |sum, end| sum.merged(&end))
}

impl Core {
    /// Ends the current run, except for its connections.
    fn end(&self, control: &mut Control) {
        control.started = None;
        if let Some(watchman) = control.watchman.take() {
            watchman.abort();
        }
        self.hub.end();
        // While stopped, the channels are those of the next run.
        let _ = self.next_run_events();
    }

    /// Ends `run` if it is the current one, and returns its connections, which stay open.
    pub(crate) fn end_run(&self, run: Stamp) -> Vec<Connection> {
        let mut control = self.lock();
        if control.started != Some(run) {
            return Vec::new();
        }
        self.end(&mut control);
        control.connections()
    }
}
