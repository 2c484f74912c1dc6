//! Decides when to redraw the screen, and measures how long ticks waited for it.

use std::time::{Duration, Instant};

/// Whether the screen is out of date.
#[derive(Debug)]
pub(crate) struct Redraw {
    is_needed: bool,
    /// When the last glow fades; `None` once that was drawn.
    glows_until: Option<Instant>,
    /// When the oldest tick not drawn yet was received.
    waiting_since: Option<Instant>,
    longest_wait: Option<Duration>,
    /// The longest time that a tick waited to be drawn, over the last full second.
    pub(crate) drawn_after: Option<Duration>,
}

impl Default for Redraw {
    /// Nothing has been drawn yet.
    fn default() -> Self {
        Self {
            is_needed: true,
            glows_until: None,
            waiting_since: None,
            longest_wait: None,
            drawn_after: None,
        }
    }
}

impl Redraw {
    /// Returns whether a redraw would change the screen.
    pub(crate) fn is_needed(&self) -> bool {
        self.is_needed || self.glows_until.is_some()
    }

    /// Records a change.
    pub(crate) fn request(&mut self) {
        self.is_needed = true;
    }

    /// Records a tick to be shown, and until when its change glows.
    pub(crate) fn on_tick(&mut self, received: Instant, glows_until: Option<Instant>) {
        self.glows_until = self.glows_until.max(glows_until);
        self.waiting_since = Some(self.waiting_since.map_or(received, |it| it.min(received)));
        self.is_needed = true;
    }

    /// Records that the state at the time `of` was drawn, and whether another redraw is due.
    pub(crate) fn on_drawn(&mut self, of: Instant, now: Instant, is_more_due: bool) {
        self.is_needed = is_more_due;
        if self.glows_until.is_some_and(|until| of >= until) {
            self.glows_until = None;
        }
        if let Some(since) = self.waiting_since.take() {
            let waited = now.saturating_duration_since(since);
            self.longest_wait = self.longest_wait.max(Some(waited));
        }
    }

    /// Ends the second over which the longest wait is measured.
    pub(crate) fn on_second(&mut self) {
        self.drawn_after = self.longest_wait.take();
        self.is_needed = true;
    }
}
