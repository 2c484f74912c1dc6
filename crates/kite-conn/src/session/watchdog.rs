//! Decides whether an open socket is alive, and whether its feed is.
//!
//! A pong proves the path, not the feed: the two are watched apart.

use std::time::{Duration, Instant};

use super::Why;

/// Watches the silence of one socket.
///
/// Not armed anew for every frame: at 2,000 frames/s that would be 2,000 timer updates for a
/// deadline nobody reaches. The timer fires, [`Watchdog::check`] compares and gives the next one.
#[derive(Debug)]
pub(crate) struct Watchdog {
    threshold: Duration,
    /// How long a feed may be silent while pongs come.
    feed_patience: Duration,
    last_heard: Instant,
    /// Since when silence counts: the last sign of life, or the end of our own not reading.
    silent_since: Instant,
    /// When the last frame of the feed came, ticks or a heartbeat, or we began to read again.
    last_fed: Instant,
    /// Since when the feed has flowed without a pause of twice the threshold.
    flowing_since: Instant,
    /// Whether the present silence of the feed has been told.
    feed_told: bool,
    /// When a ping went out for the present silence.
    probed: Option<Instant>,
    /// Whether there is reason to ask without a silence.
    suspicious: bool,
    /// Since when the socket has taken none of the bytes of ours that wait for it.
    write_blocked_since: Option<Instant>,
    /// Whether we have stopped reading: then silence is our own doing.
    reading_paused: bool,
}

/// What the watchdog finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing to do before this moment.
    Fine {
        /// When to look again, and what for.
        next: Option<(Instant, Why)>,
    },
    /// Silent for the threshold, or under suspicion: ask for a sign of life.
    Probe,
    /// Only pongs for twice the threshold: to be told. Comes once for each silence.
    FeedSilent {
        /// How long neither ticks nor a heartbeat came.
        silence: Duration,
        /// How long from now the socket is given.
        grace: Duration,
    },
    /// No sign of life for twice the threshold, nor for the threshold since we asked for one.
    Silent {
        /// How long nothing came.
        silence: Duration,
    },
    /// Only pongs, and the patience with that is at its end.
    FeedDead {
        /// How long neither ticks nor a heartbeat came.
        silence: Duration,
    },
    /// The socket has taken none of our bytes for twice the threshold.
    WriteBlocked {
        /// How long.
        blocked: Duration,
    },
}

impl Watchdog {
    /// Watches a socket from now on. Its feed may be silent for `feed_patience`, and never for
    /// less than twice the threshold.
    pub(crate) fn new(now: Instant, threshold: Duration, feed_patience: Duration) -> Self {
        Self {
            threshold,
            feed_patience: feed_patience.max(threshold * 2),
            last_heard: now,
            silent_since: now,
            last_fed: now,
            flowing_since: now,
            feed_told: false,
            probed: None,
            suspicious: false,
            write_blocked_since: None,
            reading_paused: false,
        }
    }

    /// Something came: data, a heartbeat or a pong.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.silent_since = now;
        self.probed = None;
        self.suspicious = false;
    }

    /// A frame of the feed came: ticks or a heartbeat.
    pub(crate) fn fed(&mut self, now: Instant) {
        self.heard(now);
        if now.saturating_duration_since(self.last_fed) >= self.threshold * 2 {
            self.flowing_since = now;
        }
        self.last_fed = now;
        self.feed_told = false;
    }

    /// Gives when anything came last.
    pub(crate) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Says whether the feed has flowed for twice the threshold without a pause of that length:
    /// more than the snapshot that any new socket gets.
    pub(crate) fn has_flowed(&self) -> bool {
        self.last_fed.saturating_duration_since(self.flowing_since) >= self.threshold * 2
    }

    /// The feed has proved itself: from now on its silence is borne no longer than at first.
    pub(crate) fn lose_patience(&mut self) {
        self.feed_patience = self.threshold * 2;
    }

    /// There is reason to doubt the socket, whenever it was heard last.
    pub(crate) fn suspect(&mut self) {
        self.suspicious = true;
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

    /// Says whether we have stopped reading.
    pub(crate) fn is_reading_paused(&self) -> bool {
        self.reading_paused
    }

    /// Reading stops because our consumer is slow, or goes on.
    pub(crate) fn pause_reading(&mut self, now: Instant, paused: bool) {
        if self.reading_paused && !paused {
            // What came meanwhile waits in the socket: every silence starts over.
            self.silent_since = now;
            self.last_fed = now;
            self.feed_told = false;
            self.probed = None;
        }
        self.reading_paused = paused;
    }

    /// Looks at the clock.
    pub(crate) fn check(&mut self, now: Instant) -> Finding {
        let limit = self.threshold * 2;
        if let Some(since) = self.write_blocked_since {
            let blocked = now.saturating_duration_since(since);
            if blocked >= limit {
                return Finding::WriteBlocked { blocked };
            }
            // Nor is anybody asked: a ping would wait behind the bytes that are not taken.
            return Finding::Fine { next: Some((since + limit, Why::Write)) };
        }
        if self.reading_paused {
            return Finding::Fine { next: None };
        }
        let fine = |next| Finding::Fine { next: Some(next) };
        let silence = now.saturating_duration_since(self.silent_since);
        if let Some(asked) = self.probed {
            // From the question on: where our own task was held up, what came meanwhile may still
            // wait in the socket, and nobody is dead for not answering what was never asked.
            let due = asked + self.threshold;
            if now >= due {
                return Finding::Silent { silence };
            }
            return fine((due, Why::Pong));
        }
        let feed_silence = now.saturating_duration_since(self.last_fed);
        let only_pongs = self.last_heard.saturating_duration_since(self.last_fed);
        // The path outlived the feed, by pongs: so it is the feed's silence that counts. Looked at
        // before the next ping, for timers are late and the next silence of the path begins with
        // the last pong.
        if only_pongs >= self.threshold {
            if feed_silence >= limit && !self.feed_told {
                self.feed_told = true;
                let grace = self.feed_patience.saturating_sub(feed_silence);
                return Finding::FeedSilent { silence: feed_silence, grace };
            }
            if feed_silence >= self.feed_patience {
                return Finding::FeedDead { silence: feed_silence };
            }
        }
        if self.suspicious || silence >= self.threshold {
            self.suspicious = false;
            self.probed = Some(now);
            return Finding::Probe;
        }
        let silent = (self.silent_since + self.threshold, Why::Silence);
        let due = if self.feed_told { self.feed_patience } else { limit };
        fine(silent.min((self.last_fed + due, Why::Feed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    struct Timeline {
        start: Instant,
        dog: Watchdog,
    }

    impl Timeline {
        fn new(patience: Duration) -> Self {
            let start = Instant::now();
            Self { start, dog: Watchdog::new(start, THRESHOLD, patience) }
        }

        fn at(&self, seconds: u32) -> Instant {
            self.start + SECOND * seconds
        }

        fn check(&mut self, seconds: u32) -> Finding {
            self.dog.check(self.at(seconds))
        }

        fn fine(&self, until: u32, why: Why) -> Finding {
            Finding::Fine { next: Some((self.at(until), why)) }
        }

        /// Answers every ping at once, up to the first finding that is not about pings.
        fn answer_pings(&mut self, seconds: std::ops::RangeInclusive<u32>) -> (u32, Finding) {
            for second in seconds {
                let mut finding = self.check(second);
                if finding == Finding::Probe {
                    self.dog.heard(self.at(second));
                    finding = self.check(second);
                }
                match finding {
                    Finding::Fine { next } => {
                        assert!(next.is_some_and(|(until, _)| until > self.at(second)));
                    }
                    other => return (second, other),
                }
            }
            panic!("nothing but pings and pongs");
        }
    }

    #[test]
    fn silence_is_probed_once_and_then_is_death() {
        let mut line = Timeline::new(THRESHOLD * 2);
        assert_eq!(line.check(0), line.fine(10, Why::Silence));
        assert_eq!(line.check(10), Finding::Probe);
        assert_eq!(line.check(10), line.fine(20, Why::Pong));
        assert_eq!(line.check(15), line.fine(20, Why::Pong));
        assert_eq!(line.check(20), Finding::Silent { silence: THRESHOLD * 2 });
    }

    #[test]
    fn any_sign_of_life_starts_the_silence_over() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.check(12);
        line.dog.fed(line.at(19));
        assert_eq!(line.check(20), line.fine(29, Why::Silence));
        assert_eq!(line.check(29), Finding::Probe);
        assert_eq!(line.check(29), line.fine(39, Why::Pong));
    }

    #[test]
    fn nobody_is_dead_who_has_not_been_asked() {
        let mut line = Timeline::new(THRESHOLD * 2);
        assert_eq!(line.check(100), Finding::Probe);
        assert_eq!(line.check(109), line.fine(110, Why::Pong));
        assert_eq!(line.check(110), Finding::Silent { silence: SECOND * 110 });
    }

    #[test]
    fn our_own_slowness_is_not_the_peers_death() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.pause_reading(line.at(1), true);
        assert_eq!(line.check(500), Finding::Fine { next: None });
        line.dog.pause_reading(line.at(500), false);
        assert_eq!(line.check(500), line.fine(510, Why::Silence));
        assert_eq!(line.dog.last_heard(), line.at(0), "nothing was heard meanwhile");
    }

    #[test]
    fn a_peer_that_takes_no_bytes_is_dead_though_it_talks() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.write_blocked(line.at(5), true);
        line.dog.write_blocked(line.at(9), true);
        line.dog.fed(line.at(24));
        assert_eq!(line.check(24), line.fine(25, Why::Write));
        assert_eq!(line.check(25), Finding::WriteBlocked { blocked: THRESHOLD * 2 });
        line.dog.write_blocked(line.at(25), false);
        assert!(matches!(line.check(25), Finding::Fine { .. }));
    }

    #[test]
    fn nobody_is_asked_behind_bytes_that_are_not_taken() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.write_blocked(line.at(1), true);
        for second in (10..100).step_by(10) {
            line.dog.write_progressed(line.at(second));
            assert_eq!(line.check(second), line.fine(second + 20, Why::Write));
        }
        line.dog.write_blocked(line.at(100), false);
        assert_eq!(line.check(100), Finding::Probe);
    }

    #[test]
    fn a_silent_feed_is_told_again_after_a_pause() {
        let mut line = Timeline::new(THRESHOLD * 8);
        line.answer_pings(1..=100);
        line.dog.pause_reading(line.at(30), true);
        line.dog.pause_reading(line.at(40), false);
        let told = Finding::FeedSilent { silence: THRESHOLD * 2, grace: THRESHOLD * 6 };
        assert_eq!(line.answer_pings(41..=200), (60, told));
    }

    #[test]
    fn pongs_prove_the_path_and_not_the_feed() {
        let mut line = Timeline::new(THRESHOLD * 2);
        let silence = THRESHOLD * 2;
        let told = Finding::FeedSilent { silence, grace: Duration::ZERO };
        assert_eq!(line.answer_pings(1..=100), (20, told));
        assert_eq!(line.check(20), Finding::FeedDead { silence });
    }

    #[test]
    fn patience_with_a_silent_feed_goes_as_far_as_it_was_given() {
        let mut line = Timeline::new(THRESHOLD * 8);
        let told = Finding::FeedSilent { silence: THRESHOLD * 2, grace: THRESHOLD * 6 };
        assert_eq!(line.answer_pings(1..=100), (20, told));
        let dead = Finding::FeedDead { silence: THRESHOLD * 8 };
        assert_eq!(line.answer_pings(20..=100), (80, dead), "told once for one silence");
    }

    #[test]
    fn a_heartbeat_is_feed_enough() {
        let mut line = Timeline::new(THRESHOLD * 2);
        for second in 1..=100 {
            line.dog.fed(line.at(second));
            assert_eq!(line.check(second), line.fine(second + 10, Why::Silence));
        }
        assert!(line.dog.has_flowed());
    }

    #[test]
    fn a_snapshot_and_then_silence_is_no_flow() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.fed(line.at(1));
        line.dog.fed(line.at(2));
        assert!(!line.dog.has_flowed());
        // Nor is one frame in more than twice the threshold.
        for second in [30, 55, 80, 101] {
            line.dog.fed(line.at(second));
            assert!(!line.dog.has_flowed(), "{second}");
        }
        line.dog.fed(line.at(120));
        assert!(!line.dog.has_flowed());
        line.dog.fed(line.at(121));
        assert!(line.dog.has_flowed(), "twenty seconds without a long pause");
    }

    #[test]
    fn a_suspected_socket_is_asked_at_once() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.fed(line.at(1));
        line.dog.suspect();
        assert_eq!(line.check(2), Finding::Probe);
        assert_eq!(line.check(2), line.fine(12, Why::Pong));
        assert_eq!(line.check(12), Finding::Silent { silence: SECOND * 11 });

        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.suspect();
        line.dog.fed(line.at(3));
        assert_eq!(line.check(3), line.fine(13, Why::Silence), "it has answered unasked");
    }
}
