//! Ends the run of a manager.

use futures_util::future::join_all;
use kite_conn::{Connection, Stamp};

use crate::manager::{Control, Core, Manager};

impl Manager {
    /// Closes the connections: sends close frames, waits for them up to a deadline, and ends the
    /// sinks and streams. Subscriptions are kept for a later start. Does nothing before the first
    /// start.
    ///
    /// After [`Manager::start_in_place`] it completes once the stream was polled to its end or
    /// dropped. The task that polls the stream must call [`InPlaceStream::close`] instead.
    ///
    /// [`InPlaceStream::close`]: crate::InPlaceStream::close
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connections close even if the future is dropped.
    pub async fn stop(&self) {
        let connections = {
            let mut control = self.lock();
            self.core.end(&mut control);
            control.connections()
        };
        join_all(connections.iter().map(Connection::close)).await;
    }
}

impl Core {
    /// Ends the current run, except for its connections.
    fn end(&self, control: &mut Control) {
        control.started = None;
        if let Some(watchman) = control.watchman.take() {
            watchman.abort();
        }
        self.hub.end();
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
