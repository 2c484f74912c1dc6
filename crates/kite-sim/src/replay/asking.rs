//! How the user of the simulator begins a replay and follows it.

use super::progress::ReplayProgress;
use crate::sim::Sim;

impl Sim {
    /// Begins the replay now, whatever it waits for; nothing where it has begun or there is none.
    ///
    /// All subscriptions that the simulator has obeyed before are there from the first record on.
    pub fn begin_replay(&self) {
        if let Some(stage) = &self.shared.stage {
            stage.request();
            self.shared.changed.notify_waiters();
        }
    }

    /// Tells how far the replay has come; `None` where the simulator has its own market.
    #[must_use]
    pub fn replay(&self) -> Option<ReplayProgress> {
        let stage = self.shared.stage.as_ref()?;
        let stats = self.shared.stats();
        let (frames_sent, ticks_sent) = (stats.frames_sent, stats.ticks_sent);
        Some(ReplayProgress { frames_sent, ticks_sent, ..stage.progress() })
    }

    /// Waits until the tape has been sent to its end; returns at once where there is none. For
    /// ever, if the replay does not begin, is paused or, as fast as clients read, has none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn replay_finished(&self) {
        let Some(stage) = &self.shared.stage else { return };
        self.shared.until(|| stage.progress().finished).await;
    }
}
