//! The typed manager and the channels of its runs, used by every manager of this crate.

use std::error::Error;
use std::sync::Arc;

use kite_conn::{Endpoint, EndpointError};
use kite_manager::{Manager, Seat, StartError, Tap};
use parking_lot::Mutex;

use crate::error::describe;
use crate::manager::channels::{Channels, RingSink};
use crate::manager::unified::OrdersOnce;

/// A manager that can be started and stopped repeatedly; each run has its own channels.
#[derive(Debug)]
pub(crate) struct Runs {
    manager: Manager,
    endpoint: Result<Endpoint, EndpointError>,
    channels: Channels,
    filling: Filling,
    /// Whether the channels belong to a run. A stop closes those, not the ones created after it.
    channels_used: bool,
}

impl Runs {
    /// Creates the manager with a tap that fills these channels.
    pub(crate) fn new(
        make_manager: impl FnOnce(Tap) -> Manager,
        endpoint: Result<Endpoint, EndpointError>,
        channels: Channels,
    ) -> Self {
        let filling = Filling::default();
        let manager = make_manager(filling.tap());
        Self { manager, endpoint, channels, filling, channels_used: false }
    }

    pub(crate) fn manager(&self) -> &Manager {
        &self.manager
    }

    pub(crate) fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Sets the endpoint that later starts use.
    pub(crate) fn set_endpoint(&mut self, endpoint: Result<Endpoint, EndpointError>) {
        self.endpoint = endpoint;
    }

    /// Opens the connections, which fill the channels of this run. With several accounts the order
    /// updates are taken from `orders`. Errors begin with `operation`.
    pub(crate) async fn start(
        &mut self,
        operation: &str,
        raw_only: bool,
        orders: Option<OrdersOnce>,
    ) -> Result<(), String> {
        let failed = |error: &dyn Error| describe(operation, error);
        let endpoint = self.endpoint.clone().map_err(|error| failed(&error))?;
        self.manager.set_endpoint(endpoint);
        self.channels_used = true;
        if !self.manager.is_running() {
            self.channels.reset_lag();
        }
        let channels = self.channels.clone();
        let make_sink =
            move |seat: Seat| channels.sink(channels.place(&seat), raw_only, orders.clone());
        let started = self.filling.start(&self.manager, make_sink).await;
        started.map_err(|error| failed(&error))
    }

    /// Closes the connections and their channels.
    pub(crate) async fn stop(&mut self) {
        self.manager.stop().await;
        if self.channels_used {
            self.channels.send_closed();
            self.channels = self.channels.renewed();
            self.channels_used = false;
        }
    }

    /// Closes the connections permanently and removes the channels.
    pub(crate) async fn close(&mut self) {
        self.stop().await;
        self.channels = Channels::new(0, 1);
    }
}

type MakeSink = Box<dyn Fn(Seat) -> RingSink + Send>;

/// Creates the sinks of the run being started. Empty otherwise, because the manager keeps the tap
/// for its whole life and must not keep the channels open.
#[derive(Clone, Default)]
struct Filling(Arc<Mutex<Option<MakeSink>>>);

impl Filling {
    fn tap(&self) -> Tap {
        let this = self.clone();
        Tap::new(move |seat| {
            let make_sink = this.0.lock();
            make_sink.as_ref().map(|make_sink| make_sink(seat))
        })
    }

    fn set(&self, make_sink: Option<MakeSink>) {
        *self.0.lock() = make_sink;
    }

    async fn start(
        &self,
        manager: &Manager,
        make_sink: impl Fn(Seat) -> RingSink + Send + 'static,
    ) -> Result<(), StartError> {
        struct Empties<'a>(&'a Filling);
        impl Drop for Empties<'_> {
            fn drop(&mut self) {
                self.0.set(None);
            }
        }
        self.set(Some(Box::new(make_sink)));
        let _empties = Empties(self);
        manager.start().await
    }
}

impl std::fmt::Debug for Filling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filling")
    }
}
