//! The reckoning at the end: everything compared once more, and the end itself.

use std::time::Instant;

use kite_wire::Mode;

use super::Account;
use crate::pace::{LOOK_EVERY, PATIENCE};
use crate::proof::Finding;

impl Account {
    /// Has the market send each steady instrument once more: the last fault may have taken the
    /// newest state of some with it.
    pub(crate) fn tick_once_more(&self) {
        let tokens: Vec<u32> = self.holdings.steady().keys().copied().collect();
        self.ground.sim.tick_now(&tokens);
    }

    /// Compares everything once the market rests: nothing may be on its way any more.
    pub(crate) async fn settle(&mut self, deadline: Instant) {
        while let Err(what) = self.settled() {
            if Instant::now() >= deadline {
                self.fail(None, what);
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.proof.close(&self.ground.sim, &self.api_key);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Err(what) = self.hear_lane() {
                return self.fail(None, what);
            }
            match self.counted() {
                Ok(()) => return,
                // Heartbeats go on: a sink has one a moment before it is counted.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
                Err(what) => return self.fail(None, what),
            }
        }
    }

    fn settled(&mut self) -> Result<(), String> {
        if let Some(strayed) = self.strayed() {
            return Err(strayed);
        }
        let mut state = self.recorder.state();
        if let Some(wrong) = state.take_wrong() {
            return Err(wrong);
        }
        if state.gaps.is_open() {
            return Err("the last gap was not told".into());
        }
        let (ground, mut proof) = (&self.ground, std::mem::take(&mut self.proof));
        let finding = proof.check_whole(&ground.sim, &self.api_key, &mut state);
        self.proof = proof;
        if let Finding::Open(missing) = finding {
            return Err(missing);
        }
        for &token in self.holdings.steady().keys() {
            let (seen, sent) = (state.gaps.last_volume(token), ground.sim.instrument(token));
            let mode = self.holdings.desired().get(&token);
            if mode != Some(&Mode::Ltp) && seen != sent.volume() {
                return Err(format!("{token} stands at {:?}, {seen:?} was seen", sent.volume()));
            }
        }
        Ok(())
    }

    /// Compares the connection's own counts, its sink's and its lane's.
    fn counted(&self) -> Result<(), String> {
        let state = self.recorder.state();
        let (totals, stats) = (&state.totals, self.connection.stats());
        let events = |name| totals.events(name);
        let unreadable = events("text_unreadable");
        let fallen = events("down") + events("open_failed") + events("renewal_failed");
        let compared = [
            ("frames delivered", stats.frames_delivered, totals.batches),
            ("frames read", stats.frames, totals.batches),
            ("heartbeats", stats.heartbeats, totals.heartbeats),
            ("ticks", stats.ticks, totals.ticks),
            ("damaged frames", stats.damaged_frames, totals.damaged),
            ("damaged frames injected", self.dealt.damaging, totals.damaged),
            ("skipped packets", stats.skipped_packets, totals.skipped),
            ("unknown packets injected", self.dealt.unknown_packets, totals.skipped),
            ("texts", stats.texts, events("text") + unreadable),
            ("unreadable texts", stats.unreadable_texts, unreadable),
            ("connects", stats.connects, events("up")),
            ("losses", stats.losses, events("down")),
            ("errors", stats.errors, fallen + unreadable),
            ("gaps", events("gap"), events("down")),
        ];
        if let Some((what, one, other)) = compared.iter().find(|(_, one, other)| one != other) {
            return Err(format!("{what}: {one} against {other}"));
        }
        if totals.damage_told > totals.damaged || totals.skips_told > totals.skipped {
            return Err("events spoke of more damage than there was".into());
        }
        for (name, &count) in totals.events.iter().filter(|(name, _)| **name != "text_unreadable") {
            let heard = self.heard.get(name).copied().unwrap_or_default();
            if heard != count {
                return Err(format!("{name}: {heard} on the lane, {count} at the sink"));
            }
        }
        Ok(())
    }

    /// Closes the connection, and looks how it ended.
    pub(crate) async fn close(&mut self) {
        self.recorder.state().course.expect_end();
        let is_closed = tokio::time::timeout(PATIENCE, self.connection.close()).await.is_ok();
        let ended = self.recorder.until(PATIENCE, |state| state.is_dropped.then_some(()));
        let is_dropped = ended.await.is_some();
        let (was_told, wrong) = {
            let mut state = self.recorder.state();
            (state.course.is_closed(), state.take_wrong())
        };
        if let Some(wrong) = wrong {
            self.fail(None, wrong);
        }
        if !(is_closed && is_dropped && was_told) {
            self.fail(
                None,
                format!(
                    "no proper end: closed {is_closed}, told {was_told}, sink dropped {is_dropped}"
                ),
            );
        }
    }
}
