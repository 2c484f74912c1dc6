//! Decides when a connection waits for the receivers of a ring.
//!
//! A ring never makes its sender wait, and holds as many frames as it has slots. At the speed of a
//! replay, receivers that fall behind read from memory that the processor's caches no longer hold,
//! which makes them slower still. A connection therefore lets them catch up, for a limited time: a
//! receiver that has stopped must not stop the feed. No ring and no clock here.

use std::time::{Duration, Instant};

use crate::manager::ring::Backlog;

/// Bytes of unread frames from which a connection waits, about a second of the busiest feed.
const FAR_BEHIND: u64 = 1024 * 1024;

/// Bytes sent between two checks.
const CHECK_EVERY: u64 = 256 * 1024;

/// Maximum wait after a check. A connection whose receivers are too slow still reads 25 MB per
/// second, twenty times as much as the busiest feed sends.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// Whether to wait for a ring's receivers.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// Frames and bytes sent since the last check.
    unchecked: u64,
    unchecked_bytes: u64,
    waiting: Option<Wait>,
    /// Frames that the slowest receiver had read when it was last waited for in vain.
    stopped_at: Option<u64>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    /// Frames that the slowest receiver had read then.
    read: u64,
    /// Unread frames from which it is far behind.
    far_behind: u64,
}

impl CatchUp {
    /// Counts a frame sent to the ring, and returns whether a check is due.
    #[inline]
    pub(super) fn on_sent(&mut self, bytes: usize) -> bool {
        self.unchecked += 1;
        self.unchecked_bytes += bytes as u64;
        self.unchecked_bytes >= CHECK_EVERY
    }

    /// Returns whether [`CatchUp::must_wait`] must be asked before the next frame is read.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.waiting.is_some() || self.unchecked_bytes >= CHECK_EVERY
    }

    /// Returns whether the connection must wait for the slowest receiver; ask again after a while
    /// if so.
    pub(super) fn must_wait(&mut self, now: Instant, Backlog { unread, read }: Backlog) -> bool {
        match &self.waiting {
            None => {
                let far_behind = FAR_BEHIND * self.unchecked / self.unchecked_bytes.max(1);
                (self.unchecked, self.unchecked_bytes) = (0, 0);
                if unread > far_behind && self.stopped_at != Some(read) {
                    self.waiting = Some(Wait { since: now, read, far_behind });
                }
            }
            // Half as far, so that the connection does not wait for every frame.
            Some(wait) if unread <= wait.far_behind / 2 => self.waiting = None,
            Some(wait) if now.saturating_duration_since(wait.since) >= LONGEST_WAIT => {
                self.stopped_at = (wait.read == read).then_some(read);
                self.waiting = None;
            }
            Some(_) => {}
        }
        self.waiting.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 64 * 1024;
    const FRAMES_A_CHECK: u64 = CHECK_EVERY / FRAME as u64;
    const FAR: u64 = FAR_BEHIND / FRAME as u64;

    /// A connection and its slowest receiver.
    struct Feed {
        catch_up: CatchUp,
        now: Instant,
        sent: u64,
        read: u64,
    }

    impl Feed {
        /// Starts with a receiver that has this many unread frames.
        fn behind(unread: u64) -> Self {
            Self { catch_up: CatchUp::default(), now: Instant::now(), sent: unread, read: 0 }
        }

        /// Sends until a check is due.
        fn send(&mut self) {
            for _ in 0..FRAMES_A_CHECK {
                assert!(!self.catch_up.is_due());
                let is_due = self.catch_up.on_sent(FRAME);
                assert_eq!(is_due, self.catch_up.is_due());
                self.sent += 1;
            }
            assert!(self.catch_up.is_due());
        }

        fn must_wait(&mut self) -> bool {
            let backlog = Backlog { unread: self.sent - self.read, read: self.read };
            let must_wait = self.catch_up.must_wait(self.now, backlog);
            assert_eq!(must_wait, self.catch_up.is_due());
            must_wait
        }
    }

    #[test]
    fn a_receiver_that_keeps_up_is_not_waited_for() {
        let mut feed = Feed::behind(0);
        for unread in [0, 1, FAR / 2, FAR] {
            feed.send();
            feed.read = feed.sent.saturating_sub(unread);
            assert!(!feed.must_wait());
        }
    }

    #[test]
    fn a_receiver_that_is_far_behind_catches_up_by_half() {
        let mut feed = Feed::behind(FAR - FRAMES_A_CHECK + 1);
        feed.send();
        assert!(feed.must_wait());
        feed.read = feed.sent - FAR / 2 - 1;
        assert!(feed.must_wait());
        feed.read += 1;
        assert!(!feed.must_wait());
    }

    #[test]
    fn a_slow_receiver_is_waited_for_after_every_check_but_not_for_long() {
        let mut feed = Feed::behind(100 * FAR);
        for _ in 0..5 {
            feed.send();
            assert!(feed.must_wait());
            feed.read += 1;
            feed.now += LONGEST_WAIT;
            assert!(!feed.must_wait());
        }
    }

    #[test]
    fn a_receiver_that_has_stopped_is_waited_for_once_until_it_reads_again() {
        let mut feed = Feed::behind(100 * FAR);
        feed.send();
        assert!(feed.must_wait());
        feed.now += LONGEST_WAIT;
        assert!(!feed.must_wait());
        for _ in 0..5 {
            feed.send();
            assert!(!feed.must_wait());
        }
        feed.read += 1;
        feed.send();
        assert!(feed.must_wait());
    }
}
