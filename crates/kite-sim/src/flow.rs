//! Pauses market frames and counts those in flight.

use std::sync::Arc;
use std::time::Duration;

use kite_server::Changes;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Shared by the tasks that send market frames and those that pause them.
#[derive(Debug)]
pub(crate) struct Flow {
    state: Mutex<FlowState>,
    changes: Arc<Changes>,
}

#[derive(Debug, Default)]
struct FlowState {
    /// When the current pause began; `None` while updates flow.
    paused_at: Option<Instant>,
    /// Total length of the earlier pauses.
    paused_for: Duration,
    writing: usize,
}

impl Flow {
    pub(crate) fn new(changes: Arc<Changes>) -> Self {
        Self { state: Mutex::default(), changes }
    }

    /// Announces a market frame.
    pub(crate) fn begin(self: &Arc<Self>) -> Writing {
        self.state.lock().writing += 1;
        Writing { flow: Arc::clone(self) }
    }

    /// Announces a frame of updates; `None` if updates are paused.
    pub(crate) fn begin_updates(self: &Arc<Self>) -> Option<Writing> {
        let mut state = self.state.lock();
        if state.paused_at.is_some() {
            return None;
        }
        state.writing += 1;
        Some(Writing { flow: Arc::clone(self) })
    }

    pub(crate) fn set_paused(&self, is_paused: bool) {
        let mut state = self.state.lock();
        match (is_paused, state.paused_at) {
            (true, None) => state.paused_at = Some(Instant::now()),
            (false, Some(since)) => {
                state.paused_at = None;
                state.paused_for += since.elapsed();
            }
            _ => {}
        }
        drop(state);
        self.changes.notify();
    }

    /// Returns the total length of the pauses that have ended.
    pub(crate) fn paused_for(&self) -> Duration {
        self.state.lock().paused_for
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().paused_at.is_some()
    }

    /// Waits until updates are not paused.
    pub(crate) async fn until_resumed(&self) {
        self.changes.until(|| !self.is_paused()).await;
    }

    /// Waits until no market frame is in flight.
    pub(crate) async fn until_quiet(&self) {
        self.changes.until(|| self.state.lock().writing == 0).await;
    }
}

/// A market frame in flight, from before its subscriptions are visible until it is counted.
pub(crate) struct Writing {
    flow: Arc<Flow>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.flow.state.lock().writing -= 1;
        self.flow.changes.notify();
    }
}
