//! The handle of a server, and its thread.

use std::net::{SocketAddr, TcpListener};
use std::thread::{Builder, JoinHandle};

use axum::Router;
use kite_manager::Manager;
use kite_server::tls::TlsAcceptor;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::accept::{self, Limits};
use crate::bars;
use crate::builder::HttpBuilder;
use crate::error::HttpError;
use crate::events;
use crate::incidents;
use crate::state::State;

/// Shows a running manager over HTTP.
///
/// Dropping it ends all connections and its thread.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    is_tls: bool,
    /// Ends the thread when dropped.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What the thread runs.
pub(crate) struct Work {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    pub(crate) state: State,
}

impl HttpServer {
    /// Returns a builder with the default settings. The server keeps a clone of the manager, so
    /// that dropping the application's own does not end the feed before the server.
    pub fn builder(manager: &Manager) -> HttpBuilder {
        HttpBuilder::new(manager.clone())
    }

    pub(crate) fn start(address: SocketAddr, work: Work) -> Result<Self, HttpError> {
        let is_tls = work.tls.is_some();
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(HttpError::Thread)?;
        let listener = {
            let _context = runtime.enter();
            let failed = |source| HttpError::Listen { address, source };
            work.listener.set_nonblocking(true).map_err(failed)?;
            tokio::net::TcpListener::from_std(work.listener).map_err(failed)?
        };
        // Before the thread runs, so that no event after the start is missed.
        let incidents = work.state.manager.events();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    // An error means that the handle was dropped.
                    _ = stopped => {}
                    () = accept::run(listener, work.tls, work.router, work.limits) => {}
                    () = incidents::follow(work.state.clone(), incidents) => {}
                    () = bars::keep(work.state.clone()) => {}
                    () = events::publish(work.state) => {}
                }
            });
        };
        let thread = Builder::new().name("kite-http".into()).spawn(run);
        let thread = thread.map_err(HttpError::Thread)?;
        tracing::info!(%address, "HTTP server listens");
        Ok(Self { address, is_tls, running: Some((stop, thread)) })
    }

    /// Returns the address that the server listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the server, such as `http://127.0.0.1:9464`, without a token.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    /// Ends all connections and waits for the end of the thread, which takes milliseconds.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A panic has been printed by its thread.
            let _ = thread.join();
        }
    }
}
