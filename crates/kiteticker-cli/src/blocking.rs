//! Work that blocks, away from the threads that run sockets and the screen.

use crate::exit::CliError;

/// Runs work that reads files, or takes long, on a thread of its own.
///
/// # Errors
/// The work has panicked; `what` names it: "reading the tapes".
///
/// # Cancel safety
/// The work goes on to its end where the future is dropped.
pub(crate) async fn run<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CliError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| CliError::unable(format!("{what} broke off")).because(error))
}
