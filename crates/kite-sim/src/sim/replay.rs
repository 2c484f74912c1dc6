//! Starts a replay, moves it and reports its progress.

use super::Sim;
use crate::replay::{ReplayProgress, Speed};

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

    /// Continues the replay at another place of the tape, with the first record received at or after
    /// a time, in nanoseconds since the Unix epoch; back as well as forward, and also after the end.
    /// A time outside the tape is its first or its last. Does nothing if there is no replay.
    ///
    /// No record from before this call is sent after those queued already. Each socket then receives
    /// the last packets at that place of the instruments to which it has subscribed, as far as they
    /// are within [`Replay::look_back`](crate::Replay::look_back); also while the simulator is
    /// paused. A verbatim replay sends no such packets.
    pub fn seek_replay(&self, unix_ns: u64) {
        if let Some(fanout) = &self.state.fanout {
            fanout.seek(unix_ns);
            self.state.changes.notify();
        }
    }

    /// Changes the replay's speed from its present place on. A factor outside the range of
    /// [`Speed::Times`] is the nearest within. Does nothing if there is no replay.
    pub fn set_replay_speed(&self, speed: Speed) {
        if let Some(fanout) = &self.state.fanout {
            fanout.set_speed(speed.within_range());
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
