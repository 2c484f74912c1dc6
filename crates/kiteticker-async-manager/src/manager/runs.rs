//! The typed manager and the channels of its runs, which every manager of this crate is made of.

use std::error::Error;

use kite_conn::{Endpoint, EndpointError, Sink};
use kite_manager::{Manager, Seat};

use crate::error::describe;
use crate::manager::channels::Channels;

/// A manager that can be started and stopped again and again; each run has its own channels.
#[derive(Debug)]
pub(crate) struct Runs {
    manager: Manager,
    endpoint: Result<Endpoint, EndpointError>,
    channels: Channels,
    /// Whether the channels have belonged to a run: a stop ends these, not those taken after it.
    channels_used: bool,
}

impl Runs {
    pub(crate) fn new(
        manager: Manager,
        endpoint: Result<Endpoint, EndpointError>,
        channels: Channels,
    ) -> Self {
        Self { manager, endpoint, channels, channels_used: false }
    }

    pub(crate) fn manager(&self) -> &Manager {
        &self.manager
    }

    pub(crate) fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Connects elsewhere from the next start on.
    pub(crate) fn set_endpoint(&mut self, endpoint: Result<Endpoint, EndpointError>) {
        self.endpoint = endpoint;
    }

    /// Opens the connections, whose sinks are made with the channels of this run.
    pub(crate) async fn start<S: Sink>(
        &mut self,
        make_sink: impl Fn(&Channels, Seat) -> S + Send,
    ) -> Result<(), String> {
        let failed = |error: &dyn Error| describe("start", error);
        let endpoint = self.endpoint.clone().map_err(|error| failed(&error))?;
        self.manager.set_endpoint(endpoint);
        self.channels_used = true;
        if !self.manager.is_running() {
            self.channels.reset_lag();
        }
        let channels = &self.channels;
        let started = self.manager.start_with(|seat| make_sink(channels, seat)).await;
        started.map_err(|error| failed(&error))
    }

    /// Closes the connections and ends their channels.
    pub(crate) async fn stop(&mut self) {
        self.manager.stop().await;
        if self.channels_used {
            self.channels.say_closed();
            self.channels = self.channels.renewed();
            self.channels_used = false;
        }
    }
}
