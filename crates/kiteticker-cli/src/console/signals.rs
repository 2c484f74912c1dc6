//! Ctrl-C and SIGTERM: the first requests a clean stop, the second exits immediately.

use tokio::sync::watch;

use crate::exit::{CliError, FORCED};

/// The user's request to stop the command. Cheap to clone.
///
/// Before [`Stop::listen`] a signal ends the process as usual, because there is nothing to finish
/// yet and a shell resets the terminal after an interrupted prompt.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    request: watch::Sender<bool>,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self { request: watch::Sender::new(false) }
    }

    /// Starts to handle the signals; after that the first no longer ends the process.
    pub(crate) fn listen(&self) -> Result<(), CliError> {
        let cannot = |error| CliError::unable("cannot listen for signals").because(error);
        let mut signals = Signals::new().map_err(cannot)?;
        let request = self.request.clone();
        tokio::spawn(async move {
            signals.next().await;
            request.send_replace(true);
            signals.next().await;
            std::process::exit(FORCED);
        });
        Ok(())
    }

    /// Waits for the request to stop; returns immediately if it has been made.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn requested(&self) {
        // The only error is a closed channel, and this clone keeps it open.
        let _ = self.request.subscribe().wait_for(|&requested| requested).await;
    }

    /// Returns whether the user requested a stop; for code outside async tasks.
    pub(crate) fn is_requested(&self) -> bool {
        *self.request.borrow()
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
