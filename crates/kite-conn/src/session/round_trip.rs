//! Measures how long pings take to come back.

use std::time::{Duration, Instant};

/// The pings of one socket. Only the last one is waited for.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    sent: u64,
    waiting: Option<Instant>,
}

impl RoundTrip {
    /// Notes that a ping goes out; gives its payload.
    pub(crate) fn ping(&mut self, now: Instant) -> [u8; 8] {
        self.sent += 1;
        self.waiting = Some(now);
        self.sent.to_be_bytes()
    }

    /// Gives the round trip if this pong answers the last ping: a server may also send pongs that
    /// nobody asked for, or answer several pings by one.
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
    fn only_the_answer_to_the_last_ping_is_measured_and_once() {
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
