//! Ctrl-Z: in raw mode the terminal does not send the signal, so the table does.

#[cfg(unix)]
pub(super) use unix::Suspension;

#[cfg(not(unix))]
pub(super) use elsewhere::Suspension;

#[cfg(unix)]
mod unix {
    use std::io;
    use std::time::Duration;

    use rustix::process::{Signal, kill_current_process_group};
    use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
    use tokio::time::timeout;

    /// How long to wait for the end of a stop. It is not longer while the process is stopped: the
    /// system ignores the request if no shell could continue the process.
    const IGNORED_AFTER: Duration = Duration::from_millis(200);

    /// Stops the process and detects that it continues.
    #[derive(Debug)]
    pub(crate) struct Suspension {
        continued: Signals,
    }

    impl Suspension {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self { continued: signal(SignalKind::from_raw(Signal::CONT.as_raw()))? })
        }

        /// Stops the process group, so that the shell takes over, and waits until it continues.
        pub(crate) async fn begin(&mut self) {
            // Fails only for a signal that does not exist.
            let _ = kill_current_process_group(Signal::TSTP);
            // A signal that arrives later is reported as the end of another stop.
            let _ = timeout(IGNORED_AFTER, self.continued.recv()).await;
        }

        /// Waits until the process continues after it was stopped.
        ///
        /// # Cancel safety
        /// Cancel safe.
        pub(crate) async fn ended(&mut self) {
            if self.continued.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::io;

    /// Does nothing: there is no job control.
    #[derive(Debug)]
    pub(crate) struct Suspension;

    impl Suspension {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) async fn begin(&mut self) {}

        pub(crate) async fn ended(&mut self) {
            std::future::pending().await
        }
    }
}
