//! When the screen has to be drawn again, and how long ticks waited for it.

use std::time::{Duration, Instant};

/// What the screen lacks.
#[derive(Debug)]
pub(crate) struct Redraw {
    is_wanted: bool,
    /// When the last glow has faded; `None` once that was drawn.
    glows_until: Option<Instant>,
    /// When the oldest tick that is not drawn yet was received.
    waiting_since: Option<Instant>,
    longest_wait: Option<Duration>,
    /// The longest that a tick waited to be drawn, over the last full second.
    pub(crate) drawn_after: Option<Duration>,
}

impl Default for Redraw {
    /// Nothing is drawn yet.
    fn default() -> Self {
        Self {
            is_wanted: true,
            glows_until: None,
            waiting_since: None,
            longest_wait: None,
            drawn_after: None,
        }
    }
}

impl Redraw {
    /// Says whether the screen would look different if it were drawn.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted || self.glows_until.is_some()
    }

    /// Notes that something has changed.
    pub(crate) fn request(&mut self) {
        self.is_wanted = true;
    }

    /// Notes a tick that is to be shown, and until when its change stands out.
    pub(crate) fn on_tick(&mut self, received: Instant, glows_until: Option<Instant>) {
        self.glows_until = self.glows_until.max(glows_until);
        self.waiting_since = Some(self.waiting_since.map_or(received, |it| it.min(received)));
        self.is_wanted = true;
    }

    /// Notes that the state of a moment was drawn, and whether more is due already.
    pub(crate) fn on_drawn(&mut self, of: Instant, now: Instant, is_more_due: bool) {
        self.is_wanted = is_more_due;
        if self.glows_until.is_some_and(|until| of >= until) {
            self.glows_until = None;
        }
        if let Some(since) = self.waiting_since.take() {
            let waited = now.saturating_duration_since(since);
            self.longest_wait = self.longest_wait.max(Some(waited));
        }
    }

    /// Ends the second over which the longest wait is taken.
    pub(crate) fn on_second(&mut self) {
        self.drawn_after = self.longest_wait.take();
        self.is_wanted = true;
    }
}
