//! Decides whether a client that sends nothing is still there.
//!
//! A client whose machine has vanished closes nothing, and the system goes on sending it heartbeats
//! for a quarter of an hour before it gives up. Meanwhile the client holds one of its sockets.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes after which a client is not judged here: with more, the system's buffers are full soon, and
/// a client that takes no byte is reset for that.
const FEW_BYTES: u64 = 64 * 1024;

/// When a silent client is asked, and given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PresenceConfig {
    /// How long nothing was received before the client is sent a ping.
    pub(crate) ping_after: Duration,
    /// How long after the ping it has to send anything.
    pub(crate) answer_within: Duration,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        let (ping_after, answer_within) = (Duration::from_secs(30), Duration::from_secs(60));
        Self { ping_after, answer_within }
    }
}

/// What is to be done about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Present,
    /// It is to be sent a ping, which client libraries answer by themselves.
    Ping,
    /// It is to be reset.
    Gone,
}

/// When anything was last received from a client.
#[derive(Debug)]
pub(super) struct Presence {
    config: PresenceConfig,
    heard: Instant,
    /// Bytes that the socket had taken by then.
    taken: u64,
    pinged: Option<Instant>,
}

impl Presence {
    pub(super) fn new(config: PresenceConfig, now: Instant) -> Self {
        Self { config, heard: now, taken: 0, pinged: None }
    }

    /// Records that something was received, after the socket had taken so many bytes.
    pub(super) fn on_received(&mut self, now: Instant, taken: u64) {
        (self.heard, self.taken, self.pinged) = (now, taken, None);
    }

    /// To be called each second or so, once everything that can be read has been.
    pub(super) fn check(&mut self, now: Instant, taken: u64) -> Verdict {
        match self.pinged {
            None if now.saturating_duration_since(self.heard) >= self.config.ping_after => {
                self.pinged = Some(now);
                Verdict::Ping
            }
            Some(pinged)
                if now.saturating_duration_since(pinged) >= self.config.answer_within
                    && taken.saturating_sub(self.taken) < FEW_BYTES =>
            {
                Verdict::Gone
            }
            _ => Verdict::Present,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Checks each second, with so many bytes taken in each; returns when it was pinged, and when
    /// given up.
    fn watch(answers: bool, bytes: u64, seconds: u32) -> (Vec<u32>, Option<u32>) {
        let start = Instant::now();
        let (mut presence, mut pings) = (Presence::new(PresenceConfig::default(), start), vec![]);
        for second in 1..=seconds {
            let (now, taken) = (start + SECOND * second, bytes * u64::from(second));
            match presence.check(now, taken) {
                Verdict::Present => {}
                Verdict::Gone => return (pings, Some(second)),
                Verdict::Ping => {
                    pings.push(second);
                    if answers {
                        presence.on_received(now, taken);
                    }
                }
            }
        }
        (pings, None)
    }

    #[test]
    fn a_silent_client_is_asked_and_given_up_if_it_does_not_answer() {
        assert_eq!(watch(true, 3, 120), (vec![30, 60, 90, 120], None));
        assert_eq!(watch(false, 3, 120), (vec![30], Some(90)));
    }

    #[test]
    fn a_client_that_takes_much_is_left_to_the_rule_for_those_that_take_nothing() {
        assert_eq!(watch(false, FEW_BYTES / 90, 1_000), (vec![30], Some(90)));
        assert_eq!(watch(false, FEW_BYTES / 89, 1_000), (vec![30], None));
    }

    proptest! {
        #[test]
        fn a_client_that_sends_anything_each_minute_and_a_half_is_never_given_up(
            waits in prop::collection::vec(0_u32..90, 1..40),
        ) {
            let mut now = Instant::now();
            let mut presence = Presence::new(PresenceConfig::default(), now);
            for wait in waits {
                let mut pings = 0;
                for _ in 0..wait {
                    now += SECOND;
                    let verdict = presence.check(now, 0);
                    prop_assert_ne!(verdict, Verdict::Gone);
                    pings += u32::from(verdict == Verdict::Ping);
                }
                prop_assert_eq!(pings, u32::from(wait >= 30));
                presence.on_received(now, 0);
            }
        }
    }
}
