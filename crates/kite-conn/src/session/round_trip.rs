//! Measures the round-trip time of pings.

use std::time::{Duration, Instant};

/// The pings of one socket. Only the last one is measured.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    sent: u64,
    waiting: Option<Instant>,
}

impl RoundTrip {
    /// Records that a ping is sent; returns its payload.
    pub(crate) fn ping(&mut self, now: Instant) -> [u8; 8] {
        self.sent += 1;
        self.waiting = Some(now);
        self.sent.to_be_bytes()
    }

    /// Returns the round-trip time if this pong answers the last ping. A server may also send
    /// unsolicited pongs, or answer several pings with one.
    pub(crate) fn on_pong(&mut self, now: Instant, payload: &[u8]) -> Option<Duration> {
        if payload != self.sent.to_be_bytes() {
            return None;
        }
        self.waiting.take().map(|sent| now.saturating_duration_since(sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_answer_to_the_last_ping_is_measured() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.on_pong(start, &0_u64.to_be_bytes()), None, "none was sent");
        let first = round_trip.ping(start);
        let last = round_trip.ping(start + second);
        assert_ne!(first, last);
        assert_eq!(round_trip.on_pong(start + second * 2, &first), None);
        assert_eq!(round_trip.on_pong(start + second * 2, b"unasked"), None);
        assert_eq!(round_trip.on_pong(start + second * 3, &last), Some(second * 2));
        assert_eq!(round_trip.on_pong(start + second * 4, &last), None);
    }
}
