//! How the user of the simulator begins a replay and follows it.

use super::Sim;
use crate::replay::ReplayProgress;

impl Sim {
    /// Begins the replay now, whatever it waits for; nothing where it has begun or there is none.
    ///
    /// All subscriptions that the simulator has obeyed before are there from the first record on.
    pub fn begin_replay(&self) {
        if let Some(fanout) = &self.state.fanout {
            fanout.request();
            self.state.changes.notify();
        }
    }

    /// Tells how far the replay has come; `None` where the simulator has its own market.
    #[must_use]
    pub fn replay(&self) -> Option<ReplayProgress> {
        let fanout = self.state.fanout.as_ref()?;
        let stats = self.state.stats();
        let (frames_sent, ticks_sent) = (stats.frames_sent, stats.ticks_sent);
        Some(ReplayProgress { frames_sent, ticks_sent, ..fanout.progress() })
    }

    /// Waits until the tape has been sent to its end; returns at once where there is none. For
    /// ever, if the replay does not begin, is paused or, as fast as clients read, has none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn replay_finished(&self) {
        let Some(fanout) = &self.state.fanout else { return };
        self.state.changes.until(|| fanout.progress().finished).await;
    }
}
