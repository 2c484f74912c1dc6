//! The thread on which all sockets of the process run.

use std::sync::{Mutex, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyOSError;
use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime, and the process that created it.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

/// Returns the runtime of this process, and starts it if there is none.
///
/// One thread serves all tickers: it reads frames and answers pings, and runs no Python code, so
/// that it is idle most of the time. After a fork the child starts its own, because threads do not
/// survive a fork.
pub(crate) fn handle() -> PyResult<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, runtime)) = &*runtime
        && *owner == process
    {
        return Ok(runtime.handle().clone());
    }
    let new = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("kiteticker")
        .enable_all()
        .build()
        .map_err(|error| PyOSError::new_err(format!("cannot start a thread: {error}")))?;
    let handle = new.handle().clone();
    // The parent's is not dropped: its threads do not exist here, and its sockets are the parent's.
    std::mem::forget(runtime.replace((process, new)));
    Ok(handle)
}
