//! Starts a replay and reports its progress.

use super::Sim;
use crate::replay::ReplayProgress;

impl Sim {
    /// Starts the replay without waiting any longer. Does nothing if it has started or if
    /// there is no replay.
    ///
    /// Subscriptions that the simulator has obeyed before this call receive the first record.
    pub fn begin_replay(&self) {
        if let Some(fanout) = &self.state.fanout {
            fanout.request();
            self.state.changes.notify();
        }
    }

    /// Returns the replay's progress; `None` if the simulator has its own market.
    #[must_use]
    pub fn replay(&self) -> Option<ReplayProgress> {
        let fanout = self.state.fanout.as_ref()?;
        let stats = self.state.stats();
        let (frames_sent, ticks_sent) = (stats.frames_sent, stats.ticks_sent);
        Some(ReplayProgress { frames_sent, ticks_sent, ..fanout.progress() })
    }

    /// Waits until the whole tape has been sent; returns immediately if there is no replay. Never
    /// returns if the replay does not start, is paused, or runs at
    /// [`Speed::AsRead`](crate::Speed::AsRead) without clients.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn replay_finished(&self) {
        let Some(fanout) = &self.state.fanout else { return };
        self.state.changes.until(|| fanout.progress().finished).await;
    }
}
