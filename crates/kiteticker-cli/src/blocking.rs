//! Runs blocking work away from the threads that serve sockets and the screen.

use crate::exit::CliError;

/// Runs work that reads files, or takes long, on a separate thread.
///
/// # Errors
/// Returns an error if the work panicked; `what` names it in the message: "reading the tapes".
///
/// # Cancel safety
/// If the future is dropped, the work still runs to its end.
pub(crate) async fn run<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CliError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| CliError::unable(format!("{what} failed unexpectedly")).because(error))
}
