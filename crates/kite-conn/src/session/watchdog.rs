//! Decides whether an open socket is alive.

use std::time::{Duration, Instant};

/// Watches the silence of one socket.
///
/// Not armed anew for every frame: at 2,000 frames/s that would be 2,000 timer updates for a
/// deadline nobody reaches. The timer fires, [`Watchdog::check`] compares and gives the next one.
#[derive(Debug)]
pub(crate) struct Watchdog {
    threshold: Duration,
    last_heard: Instant,
    /// When a ping went out for the present silence.
    probed: Option<Instant>,
    /// Since when the socket has taken none of the bytes of ours that wait for it.
    write_blocked_since: Option<Instant>,
    /// Whether we have stopped reading: then silence is our own doing.
    reading_paused: bool,
}

/// What the watchdog finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to do before this moment.
    Fine {
        /// When to look again.
        until: Instant,
    },
    /// Silent for the threshold: ask for a sign of life, look again at `until`.
    Probe {
        /// When to look again.
        until: Instant,
    },
    /// No sign of life for twice the threshold, nor for the threshold since we asked for one.
    Silent {
        /// How long nothing came.
        silence: Duration,
    },
    /// The socket has taken none of our bytes for twice the threshold.
    WriteBlocked {
        /// How long.
        blocked: Duration,
    },
}

impl Watchdog {
    pub(crate) fn new(now: Instant, threshold: Duration) -> Self {
        Self {
            threshold,
            last_heard: now,
            probed: None,
            write_blocked_since: None,
            reading_paused: false,
        }
    }

    /// Something came: data, a heartbeat or a pong.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.probed = None;
    }

    /// Bytes of ours wait for the socket, or no longer do.
    pub(crate) fn write_blocked(&mut self, now: Instant, blocked: bool) {
        self.write_blocked_since = blocked.then(|| self.write_blocked_since.unwrap_or(now));
    }

    /// The socket took some of our bytes, and others wait still.
    pub(crate) fn write_progressed(&mut self, now: Instant) {
        if let Some(since) = &mut self.write_blocked_since {
            *since = now;
        }
    }

    /// Says whether bytes of ours wait for the socket.
    pub(crate) fn is_write_blocked(&self) -> bool {
        self.write_blocked_since.is_some()
    }

    /// Reading stops because our consumer is slow, or goes on.
    pub(crate) fn pause_reading(&mut self, now: Instant, paused: bool) {
        if self.reading_paused && !paused {
            // What came meanwhile waits in the socket: the silence starts over.
            self.heard(now);
        }
        self.reading_paused = paused;
    }

    /// Looks at the clock.
    pub(crate) fn check(&mut self, now: Instant) -> Verdict {
        let limit = self.threshold * 2;
        let mut until = now + limit;
        if let Some(since) = self.write_blocked_since {
            let blocked = now.saturating_duration_since(since);
            if blocked >= limit {
                return Verdict::WriteBlocked { blocked };
            }
            until = since + limit;
        }
        if self.reading_paused {
            return Verdict::Fine { until };
        }
        let silence = now.saturating_duration_since(self.last_heard);
        if silence < self.threshold {
            return Verdict::Fine { until: until.min(self.last_heard + self.threshold) };
        }
        let Some(asked) = self.probed else {
            self.probed = Some(now);
            return Verdict::Probe { until: until.min(now + self.threshold) };
        };
        // From the question on: where our own task was held up, what came meanwhile may still wait
        // in the socket, and nobody is dead for not answering what was never asked.
        let due = asked + self.threshold;
        if now >= due {
            return Verdict::Silent { silence };
        }
        Verdict::Fine { until: until.min(due) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: Duration = Duration::from_secs(10);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_probed_once_and_then_is_death() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start, THRESHOLD);
        assert_eq!(dog.check(start), Verdict::Fine { until: after(start, 10) });
        assert_eq!(dog.check(after(start, 10)), Verdict::Probe { until: after(start, 20) });
        assert_eq!(dog.check(after(start, 15)), Verdict::Fine { until: after(start, 20) });
        assert_eq!(dog.check(after(start, 20)), Verdict::Silent { silence: THRESHOLD * 2 });
    }

    #[test]
    fn any_sign_of_life_starts_the_silence_over() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start, THRESHOLD);
        dog.check(after(start, 12));
        dog.heard(after(start, 19));
        assert_eq!(dog.check(after(start, 20)), Verdict::Fine { until: after(start, 29) });
        assert_eq!(dog.check(after(start, 29)), Verdict::Probe { until: after(start, 39) });
    }

    #[test]
    fn nobody_is_dead_who_has_not_been_asked() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start, THRESHOLD);
        assert_eq!(dog.check(after(start, 100)), Verdict::Probe { until: after(start, 110) });
        assert_eq!(dog.check(after(start, 109)), Verdict::Fine { until: after(start, 110) });
        let silence = Duration::from_secs(110);
        assert_eq!(dog.check(after(start, 110)), Verdict::Silent { silence });
    }

    #[test]
    fn our_own_slowness_is_not_the_peers_death() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start, THRESHOLD);
        dog.pause_reading(after(start, 1), true);
        assert!(matches!(dog.check(after(start, 500)), Verdict::Fine { .. }));
        dog.pause_reading(after(start, 500), false);
        assert_eq!(dog.check(after(start, 500)), Verdict::Fine { until: after(start, 510) });
    }

    #[test]
    fn a_peer_that_takes_no_bytes_is_dead_though_it_talks() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start, THRESHOLD);
        dog.write_blocked(after(start, 5), true);
        dog.write_blocked(after(start, 9), true);
        dog.heard(after(start, 24));
        assert_eq!(dog.check(after(start, 24)), Verdict::Fine { until: after(start, 25) });
        assert_eq!(dog.check(after(start, 25)), Verdict::WriteBlocked { blocked: THRESHOLD * 2 });
        dog.write_blocked(after(start, 25), false);
        assert!(matches!(dog.check(after(start, 25)), Verdict::Fine { .. }));
    }
}
