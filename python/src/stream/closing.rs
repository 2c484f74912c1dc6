//! The class `Closing`: waits until a stream is closed.

use std::sync::Arc;

use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use kiteticker_feed::Bell;

/// Waits for the end of a close.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Closing {
    bell: Arc<Bell>,
    closed: watch::Receiver<bool>,
    waiting: AbortHandle,
}

impl Closing {
    pub(crate) fn new(closed: watch::Receiver<bool>, runtime: &Handle) -> PyResult<Self> {
        let bell = Bell::new()?;
        let (ringing, mut closing) = (Arc::clone(&bell), closed.clone());
        let waiting = runtime.spawn(async move {
            let _ = closing.wait_for(|closed| *closed).await;
            ringing.ring();
        });
        Ok(Self { bell, closed, waiting: waiting.abort_handle() })
    }
}

#[pymethods]
impl Closing {
    fn fileno(&self) -> i64 {
        self.bell.fileno()
    }

    fn hush(&self) {
        self.bell.hush();
    }

    /// Returns True once all sockets are closed and the recording, if any, is finished; else None.
    fn take(&self) -> Option<bool> {
        self.closed.borrow().then_some(true)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.waiting.abort();
    }
}
