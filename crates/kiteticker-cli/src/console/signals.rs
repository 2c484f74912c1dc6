//! Ctrl-C and SIGTERM: the first asks for a clean end, the second ends at once.

use tokio::sync::watch;

use crate::exit::{CliError, FORCED};

/// Tells whoever waits that the user wants the command to end. Cheap to clone.
///
/// Before [`Stop::listen`] a signal ends the process, as signals do: nothing is to be finished yet,
/// and a shell sets the terminal right after a prompt that was broken off.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    ask: watch::Sender<bool>,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self { ask: watch::Sender::new(false) }
    }

    /// Listens for the signals from now on; the first no longer ends the process by itself.
    pub(crate) fn listen(&self) -> Result<(), CliError> {
        let cannot = |error| CliError::unable("cannot listen for signals").because(error);
        let mut signals = Signals::new().map_err(cannot)?;
        let ask = self.ask.clone();
        tokio::spawn(async move {
            signals.next().await;
            ask.send_replace(true);
            signals.next().await;
            std::process::exit(FORCED);
        });
        Ok(())
    }

    /// Waits until the end is asked for; at once where it has been.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn asked(&self) {
        // This very clone keeps the channel open: there is no other error.
        let _ = self.ask.subscribe().wait_for(|&asked| asked).await;
    }

    /// Says whether the end has been asked for: for threads.
    pub(crate) fn is_asked(&self) -> bool {
        *self.ask.borrow()
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
