//! The comparison at the end of a run, and closing the connection.

use std::time::Instant;

use kite_wire::Mode;

use super::Account;
use crate::frame_check::Finding;
use crate::timing::{POLL_EVERY, TIMEOUT};

impl Account {
    /// Sends a tick of each permanent instrument: the last fault may have lost the newest state of
    /// some.
    pub(crate) fn tick_once_more(&self) {
        let tokens: Vec<u32> = self.subscriptions.permanent().keys().copied().collect();
        self.simulator.sim.tick_now(&tokens);
    }

    /// Compares everything once the market is paused and nothing is in flight.
    pub(crate) async fn final_check(&mut self, deadline: Instant) {
        while let Err(what) = self.matches_server() {
            if Instant::now() >= deadline {
                self.fail(None, what);
                break;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        self.frame_check.close(&self.simulator.sim, &self.api_key);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Err(what) = self.count_lane_events() {
                return self.fail(None, what);
            }
            match self.counters_match() {
                Ok(()) => return,
                // Heartbeats continue: a sink receives one a moment before it is counted.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(POLL_EVERY).await,
                Err(what) => return self.fail(None, what),
            }
        }
    }

    fn matches_server(&mut self) -> Result<(), String> {
        if let Some(desired_mismatch) = self.desired_mismatch() {
            return Err(desired_mismatch);
        }
        let mut state = self.recorder.state();
        if let Some(wrong) = state.take_wrong() {
            return Err(wrong);
        }
        if state.gaps.is_open() {
            return Err("the last gap was not reported".into());
        }
        let (simulator, mut frame_check) = (&self.simulator, std::mem::take(&mut self.frame_check));
        let finding = frame_check.check_whole(&simulator.sim, &self.api_key, &mut state);
        self.frame_check = frame_check;
        if let Finding::Missing(missing) = finding {
            return Err(missing);
        }
        for &token in self.subscriptions.permanent().keys() {
            let (seen, sent) = (state.gaps.last_volume(token), simulator.sim.instrument(token));
            let mode = self.subscriptions.desired().get(&token);
            if mode != Some(&Mode::Ltp) && seen != sent.volume() {
                return Err(format!("{token} has volume {:?}, last seen {seen:?}", sent.volume()));
            }
        }
        Ok(())
    }

    /// Compares the counts of the connection, its sink and its lane.
    fn counters_match(&self) -> Result<(), String> {
        let state = self.recorder.state();
        let (totals, stats) = (&state.totals, self.connection.stats());
        let events = |name| totals.events(name);
        let unreadable = events("text_unreadable");
        let failed = events("down") + events("open_failed") + events("renewal_failed");
        let compared = [
            ("frames delivered", stats.frames_delivered, totals.batches),
            ("frames read", stats.frames, totals.batches),
            ("heartbeats", stats.heartbeats, totals.heartbeats),
            ("ticks", stats.ticks, totals.ticks),
            ("damaged frames", stats.damaged_frames, totals.damaged),
            ("damaged frames injected", self.dealt.damaging, totals.damaged),
            ("skipped packets", stats.skipped_packets, totals.skipped),
            ("unknown packets injected", self.dealt.unknown_packets, totals.skipped),
            ("text frames", stats.texts, events("text") + unreadable),
            ("unreadable text frames", stats.unreadable_texts, unreadable),
            ("connects", stats.connects, events("up")),
            ("losses", stats.losses, events("down")),
            ("errors", stats.errors, failed + unreadable),
            ("gaps", events("gap"), events("down")),
        ];
        if let Some((what, one, other)) = compared.iter().find(|(_, one, other)| one != other) {
            return Err(format!("{what}: {one} against {other}"));
        }
        if totals.damage_reported > totals.damaged || totals.skips_reported > totals.skipped {
            return Err("events reported more damage than there was".into());
        }
        for (name, &count) in totals.events.iter().filter(|(name, _)| **name != "text_unreadable") {
            let on_lane = self.lane_events.get(name).copied().unwrap_or_default();
            if on_lane != count {
                return Err(format!("{name}: {on_lane} on the lane, {count} at the sink"));
            }
        }
        Ok(())
    }

    /// Closes the connection and checks how it ended.
    pub(crate) async fn close(&mut self) {
        self.recorder.state().event_order.expect_end();
        let is_closed = tokio::time::timeout(TIMEOUT, self.connection.close()).await.is_ok();
        let ended = self.recorder.until(TIMEOUT, |state| state.is_dropped.then_some(()));
        let is_dropped = ended.await.is_some();
        let (was_reported, wrong) = {
            let mut state = self.recorder.state();
            (state.event_order.is_closed(), state.take_wrong())
        };
        if let Some(wrong) = wrong {
            self.fail(None, wrong);
        }
        if !(is_closed && is_dropped && was_reported) {
            self.fail(
                None,
                format!(
                    "no proper end: closed {is_closed}, reported {was_reported}, sink dropped {is_dropped}"
                ),
            );
        }
    }
}
