//! Decides whether an open socket is alive, and whether its feed is.
//!
//! A pong proves the path, not the feed, so the two are watched separately. Bytes of a message that
//! is not complete prove the path too: on a slow link one message can take longer than any silence
//! that is tolerated, and pongs and heartbeats wait in the server's queue until it is sent.

use std::time::{Duration, Instant};

use super::Why;

/// Watches the silence of one socket.
///
/// The timer is not reset per frame: at 2,000 frames/s that would be 2,000 timer updates for a
/// deadline that is never reached. When it fires, [`Watchdog::check`] compares and returns the next
/// deadline.
#[derive(Debug)]
pub(crate) struct Watchdog {
    threshold: Duration,
    /// Maximum silence of a feed while pongs are received.
    feed_patience: Duration,
    last_heard: Instant,
    /// Start of the current silence: the last bytes read, or the end of a pause in reading.
    silent_since: Instant,
    /// When the first bytes of the message now being received were read, if it takes several reads.
    message_since: Option<Instant>,
    /// When the last frame of the feed (ticks or a heartbeat) was received.
    last_fed: Instant,
    /// Start of the feed's current silence: its last frame, or the end of a pause in reading. The
    /// time that another message takes to arrive does not count.
    feed_silent_since: Instant,
    /// Since when the feed has flowed without a pause of twice the threshold.
    flowing_since: Instant,
    /// Whether the current silence of the feed has been reported.
    feed_reported: bool,
    /// When a ping was sent for the current silence.
    probed: Option<Instant>,
    /// Whether to send a ping without waiting for a silence.
    suspicious: bool,
    /// Since when bytes have been waiting without the socket accepting any.
    write_blocked_since: Option<Instant>,
    /// Whether reading is paused, in which case silence does not count against the server.
    reading_paused: bool,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing to do before this instant.
    Fine {
        /// When to check again, and why.
        next: Option<(Instant, Why)>,
    },
    /// Silent for the threshold, or suspected: send a ping.
    Probe,
    /// Neither ticks nor a heartbeat for twice the threshold, although the path works. Returned once
    /// for each silence, to be reported.
    FeedSilent {
        /// Time without ticks or a heartbeat.
        silence: Duration,
        /// Time until the socket is replaced.
        grace: Duration,
    },
    /// Not a byte was received for twice the threshold, nor for the threshold since a ping.
    Silent {
        /// Time since the last byte was received.
        silence: Duration,
    },
    /// Neither ticks nor a heartbeat for longer than the feed may be silent.
    FeedDead {
        /// Time without ticks or a heartbeat.
        silence: Duration,
    },
    /// The socket has accepted no bytes for twice the threshold.
    WriteBlocked {
        /// Duration of this state.
        blocked: Duration,
    },
}

impl Watchdog {
    /// Creates a watchdog for a socket opened now. Its feed may be silent for `feed_patience`, but
    /// at least twice the threshold.
    pub(crate) fn new(now: Instant, threshold: Duration, feed_patience: Duration) -> Self {
        Self {
            threshold,
            feed_patience: feed_patience.max(threshold * 2),
            last_heard: now,
            silent_since: now,
            message_since: None,
            last_fed: now,
            feed_silent_since: now,
            flowing_since: now,
            feed_reported: false,
            probed: None,
            suspicious: false,
            write_blocked_since: None,
            reading_paused: false,
        }
    }

    /// Records that a message was received that is not of the feed: a text, a ping or a pong.
    pub(crate) fn received(&mut self, now: Instant) {
        if let Some(since) = self.message_since {
            // The feed could not be received meanwhile.
            self.feed_silent_since += now.saturating_duration_since(since);
        }
        self.on_message(now);
    }

    /// Records that a frame of the feed was received: ticks or a heartbeat.
    pub(crate) fn fed(&mut self, now: Instant) {
        self.on_message(now);
        if now.saturating_duration_since(self.last_fed) >= self.threshold * 2 {
            self.flowing_since = now;
        }
        self.last_fed = now;
        self.feed_silent_since = now;
        self.feed_reported = false;
    }

    fn on_message(&mut self, now: Instant) {
        self.last_heard = now;
        self.message_since = None;
        self.read(now);
    }

    /// Records that bytes were read which do not complete a message.
    pub(crate) fn progressed(&mut self, now: Instant) {
        self.message_since.get_or_insert(now);
        self.read(now);
    }

    fn read(&mut self, now: Instant) {
        self.silent_since = now;
        // A pong that is still due waits for the rest of the message.
        self.probed = None;
        self.suspicious = false;
    }

    /// Returns when the last message was received.
    pub(crate) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Returns whether the feed has flowed for twice the threshold without a pause of that length,
    /// which is more than the snapshot that any new socket receives.
    pub(crate) fn has_flowed(&self) -> bool {
        self.last_fed.saturating_duration_since(self.flowing_since) >= self.threshold * 2
    }

    /// Resets the tolerated silence to the shortest, because the feed has proved to work.
    pub(crate) fn lose_patience(&mut self) {
        self.feed_patience = self.threshold * 2;
    }

    /// Requests a ping at the next check, no matter how recently something was received.
    pub(crate) fn suspect(&mut self) {
        self.suspicious = true;
        self.probed = None;
    }

    /// Records whether bytes wait to be written to the socket.
    pub(crate) fn write_blocked(&mut self, now: Instant, blocked: bool) {
        self.write_blocked_since = blocked.then(|| self.write_blocked_since.unwrap_or(now));
    }

    /// Records that the socket accepted some bytes while others still wait.
    pub(crate) fn write_progressed(&mut self, now: Instant) {
        if let Some(since) = &mut self.write_blocked_since {
            *since = now;
        }
    }

    /// Returns whether bytes wait to be written to the socket.
    pub(crate) fn is_write_blocked(&self) -> bool {
        self.write_blocked_since.is_some()
    }

    /// Returns whether reading is paused.
    pub(crate) fn is_reading_paused(&self) -> bool {
        self.reading_paused
    }

    /// Pauses while reading is stopped by a slow consumer, or resumes.
    pub(crate) fn pause_reading(&mut self, now: Instant, paused: bool) {
        if self.reading_paused && !paused {
            // What arrived meanwhile is still in the socket, so every silence starts over.
            self.silent_since = now;
            self.message_since = None;
            self.feed_silent_since = now;
            self.feed_reported = false;
            self.probed = None;
        }
        self.reading_paused = paused;
    }

    /// Compares the state with the clock.
    pub(crate) fn check(&mut self, now: Instant) -> Finding {
        let limit = self.threshold * 2;
        if let Some(since) = self.write_blocked_since {
            let blocked = now.saturating_duration_since(since);
            if blocked >= limit {
                return Finding::WriteBlocked { blocked };
            }
            // No ping is sent either, because it would wait for the blocked bytes.
            return Finding::Fine { next: Some((since + limit, Why::Write)) };
        }
        if self.reading_paused {
            return Finding::Fine { next: None };
        }
        let fine = |next| Finding::Fine { next: Some(next) };
        let silence = now.saturating_duration_since(self.silent_since);
        if let Some(pinged) = self.probed {
            // The silence counts from the ping. If this task was delayed, what arrived meanwhile
            // may still wait in the socket, and a socket that was not pinged must not be considered
            // dead.
            let due = pinged + self.threshold;
            if now >= due {
                return Finding::Silent { silence };
            }
            return fine((due, Why::Pong));
        }
        if let Some(finding) = self.check_feed(now) {
            return finding;
        }
        if self.suspicious || silence >= self.threshold {
            self.suspicious = false;
            self.probed = Some(now);
            return Finding::Probe;
        }
        let silent = (self.silent_since + self.threshold, Why::Silence);
        if self.message_since.is_some() {
            return fine(silent);
        }
        let due = if self.feed_reported { self.feed_patience } else { limit };
        fine(silent.min((self.feed_silent_since + due, Why::Feed)))
    }

    /// Checks the silence of the feed. It counts once another message was received after the feed's
    /// last frame, and not while a message is being received.
    ///
    /// Called before the next ping is due, since timers fire late and the next silence of the path
    /// begins with the last pong.
    fn check_feed(&mut self, now: Instant) -> Option<Finding> {
        let others = self.last_heard.saturating_duration_since(self.feed_silent_since);
        if self.message_since.is_some() || others < self.threshold {
            return None;
        }
        let silence = now.saturating_duration_since(self.feed_silent_since);
        if silence >= self.threshold * 2 && !self.feed_reported {
            self.feed_reported = true;
            let grace = self.feed_patience.saturating_sub(silence);
            return Some(Finding::FeedSilent { silence, grace });
        }
        (silence >= self.feed_patience).then_some(Finding::FeedDead { silence })
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

        /// Answers every ping immediately, up to the first finding that is not about pings.
        fn answer_pings(&mut self, seconds: std::ops::RangeInclusive<u32>) -> (u32, Finding) {
            for second in seconds {
                let mut finding = self.check(second);
                if finding == Finding::Probe {
                    self.dog.received(self.at(second));
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
    fn silence_is_probed_once_and_then_ends_the_socket() {
        let mut line = Timeline::new(THRESHOLD * 2);
        assert_eq!(line.check(0), line.fine(10, Why::Silence));
        assert_eq!(line.check(10), Finding::Probe);
        assert_eq!(line.check(10), line.fine(20, Why::Pong));
        assert_eq!(line.check(15), line.fine(20, Why::Pong));
        assert_eq!(line.check(20), Finding::Silent { silence: THRESHOLD * 2 });
    }

    #[test]
    fn any_message_starts_the_silence_over() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.check(12);
        line.dog.fed(line.at(19));
        assert_eq!(line.check(20), line.fine(29, Why::Silence));
        assert_eq!(line.check(29), Finding::Probe);
        assert_eq!(line.check(29), line.fine(39, Why::Pong));
    }

    #[test]
    fn a_socket_that_was_not_pinged_is_not_dead() {
        let mut line = Timeline::new(THRESHOLD * 2);
        assert_eq!(line.check(100), Finding::Probe);
        assert_eq!(line.check(109), line.fine(110, Why::Pong));
        assert_eq!(line.check(110), Finding::Silent { silence: SECOND * 110 });
    }

    #[test]
    fn a_slow_consumer_does_not_end_the_socket() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.pause_reading(line.at(1), true);
        assert_eq!(line.check(500), Finding::Fine { next: None });
        line.dog.pause_reading(line.at(500), false);
        assert_eq!(line.check(500), line.fine(510, Why::Silence));
        assert_eq!(line.dog.last_heard(), line.at(0), "nothing was received meanwhile");
    }

    #[test]
    fn a_peer_that_accepts_no_bytes_is_dead_even_if_it_sends() {
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
    fn no_ping_is_sent_while_writing_is_blocked() {
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
    fn a_silent_feed_is_reported_again_after_a_pause() {
        let mut line = Timeline::new(THRESHOLD * 8);
        line.answer_pings(1..=100);
        line.dog.pause_reading(line.at(30), true);
        line.dog.pause_reading(line.at(40), false);
        let silent = Finding::FeedSilent { silence: THRESHOLD * 2, grace: THRESHOLD * 6 };
        assert_eq!(line.answer_pings(41..=200), (60, silent));
    }

    #[test]
    fn pongs_prove_the_path_and_not_the_feed() {
        let mut line = Timeline::new(THRESHOLD * 2);
        let silence = THRESHOLD * 2;
        let silent = Finding::FeedSilent { silence, grace: Duration::ZERO };
        assert_eq!(line.answer_pings(1..=100), (20, silent));
        assert_eq!(line.check(20), Finding::FeedDead { silence });
    }

    #[test]
    fn a_silent_feed_is_tolerated_for_as_long_as_configured() {
        let mut line = Timeline::new(THRESHOLD * 8);
        let silent = Finding::FeedSilent { silence: THRESHOLD * 2, grace: THRESHOLD * 6 };
        assert_eq!(line.answer_pings(1..=100), (20, silent));
        let dead = Finding::FeedDead { silence: THRESHOLD * 8 };
        assert_eq!(line.answer_pings(20..=100), (80, dead), "reported once for each silence");
    }

    #[test]
    fn a_message_that_arrives_slowly_is_not_silence() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.fed(line.at(1));
        for second in (5..=995).step_by(9) {
            line.dog.progressed(line.at(second));
            assert_eq!(line.check(second + 8), line.fine(second + 10, Why::Silence));
        }
        assert_eq!(line.dog.last_heard(), line.at(1), "no message is complete");
        line.dog.fed(line.at(1_000));
        assert_eq!(line.check(1_000), line.fine(1_010, Why::Silence));
        assert!(!line.dog.has_flowed(), "a long snapshot is not a flow");
    }

    #[test]
    fn a_pong_is_awaited_once_reading_makes_no_progress() {
        let mut line = Timeline::new(THRESHOLD * 2);
        assert_eq!(line.check(10), Finding::Probe);
        for second in [19, 28, 37] {
            line.dog.progressed(line.at(second));
            assert_eq!(line.check(second + 9), line.fine(second + 10, Why::Silence));
        }
        assert_eq!(line.check(47), Finding::Probe);
        assert_eq!(line.check(47), line.fine(57, Why::Pong));
        assert_eq!(line.check(57), Finding::Silent { silence: THRESHOLD * 2 });
    }

    #[test]
    fn a_feed_is_not_silent_while_a_message_delays_it() {
        let mut line = Timeline::new(THRESHOLD * 2);
        // A pong, so that the silence of the feed counts, and then a text that takes 90 s.
        line.dog.received(line.at(12));
        for second in (15..=105).step_by(9) {
            line.dog.progressed(line.at(second));
            assert_eq!(line.check(second + 8), line.fine(second + 10, Why::Silence));
        }
        line.dog.received(line.at(105));
        // 15 s of silence before the text, and 5 s after it.
        assert_eq!(line.check(105), line.fine(110, Why::Feed));
        let silent = Finding::FeedSilent { silence: THRESHOLD * 2, grace: Duration::ZERO };
        assert_eq!(line.check(110), silent);
    }

    #[test]
    fn heartbeats_alone_keep_the_feed_alive() {
        let mut line = Timeline::new(THRESHOLD * 2);
        for second in 1..=100 {
            line.dog.fed(line.at(second));
            assert_eq!(line.check(second), line.fine(second + 10, Why::Silence));
        }
        assert!(line.dog.has_flowed());
    }

    #[test]
    fn a_snapshot_followed_by_silence_is_not_a_flow() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.fed(line.at(1));
        line.dog.fed(line.at(2));
        assert!(!line.dog.has_flowed());
        // Neither is one frame in more than twice the threshold.
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
    fn a_suspected_socket_is_pinged_immediately() {
        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.fed(line.at(1));
        line.dog.suspect();
        assert_eq!(line.check(2), Finding::Probe);
        assert_eq!(line.check(2), line.fine(12, Why::Pong));
        assert_eq!(line.check(12), Finding::Silent { silence: SECOND * 11 });

        let mut line = Timeline::new(THRESHOLD * 2);
        line.dog.suspect();
        line.dog.fed(line.at(3));
        assert_eq!(line.check(3), line.fine(13, Why::Silence), "a frame arrived before the ping");
    }
}
