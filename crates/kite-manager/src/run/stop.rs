//! Ends the run of a manager.

use futures_util::future::join_all;
use kite_conn::{Connection, Stamp};

use crate::manager::{Control, Core, Manager};

impl Manager {
    /// Closes the connections: close frames, a deadline, the end of the sinks and streams.
    /// Subscriptions are kept for a later start. Without a start before it does nothing.
    ///
    /// After [`Manager::start_in_place`] it completes once the stream was polled to its end or
    /// dropped: whoever polls it does not wait here, but in [`InPlaceStream::close`].
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
    /// Ends the present run, but for its connections.
    fn end(&self, control: &mut Control) {
        control.started = None;
        if let Some(watchman) = control.watchman.take() {
            watchman.abort();
        }
        self.hub.end();
    }

    /// Ends this run, but for its connections, which are given; if it is the present one.
    pub(crate) fn end_run(&self, run: Stamp) -> Vec<Connection> {
        let mut control = self.lock();
        if control.started != Some(run) {
            return Vec::new();
        }
        self.end(&mut control);
        control.connections()
    }
}
