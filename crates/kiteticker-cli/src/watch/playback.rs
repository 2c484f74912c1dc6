//! The pace of a replayed tape, and the requests that change it.
//!
//! Performs no I/O, except for [`Order::apply`], which passes a request to the replay.

use std::fmt;

use kite_sim::{ReplayProgress, Sim};

use crate::feed::Speed;
use crate::format::times::SECOND_NS;

/// The speeds that the keys step through; the fastest is [`Speed::Max`].
const STEPS: [f64; 13] =
    [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// The state of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Playback {
    pub(crate) speed: Speed,
    pub(crate) is_paused: bool,
    pub(crate) position_unix_ns: Option<u64>,
    /// The first and the last time of the tape.
    pub(crate) span_unix_ns: Option<(u64, u64)>,
    pub(crate) has_ended: bool,
}

/// A request to a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    Pause(bool),
    Seek(u64),
    Speed(Speed),
}

impl Playback {
    pub(crate) fn new(speed: Speed) -> Self {
        Self {
            speed,
            is_paused: false,
            position_unix_ns: None,
            span_unix_ns: None,
            has_ended: false,
        }
    }

    /// Takes what the replay reports; returns whether it has just ended.
    pub(crate) fn update(&mut self, progress: &ReplayProgress) -> bool {
        self.position_unix_ns = progress.position_unix_ns;
        self.span_unix_ns = progress.span_unix_ns;
        let has_just_ended = progress.finished && !self.has_ended;
        self.has_ended = progress.finished;
        has_just_ended
    }

    pub(crate) fn toggle_pause(&mut self) -> Order {
        self.is_paused = !self.is_paused;
        Order::Pause(self.is_paused)
    }

    /// Moves by minutes, forward or back, within the tape; `None` before the first record.
    pub(crate) fn seek(&mut self, minutes: i64) -> Option<Order> {
        let ((first, last), position) = self.span_unix_ns.zip(self.position_unix_ns)?;
        let step = minutes.unsigned_abs().saturating_mul(60 * SECOND_NS);
        let to = match minutes < 0 {
            true => position.saturating_sub(step),
            false => position.saturating_add(step),
        };
        // The keys may be pressed again before the replay reports its position.
        let to = to.clamp(first, last.max(first));
        self.position_unix_ns = Some(to);
        self.has_ended = false;
        Some(Order::Seek(to))
    }

    /// Changes to the next speed, or to the previous one; `None` at the end of the steps.
    pub(crate) fn change_speed(&mut self, is_faster: bool) -> Option<Order> {
        let speed = match (self.speed, is_faster) {
            (Speed::Max, true) => return None,
            (Speed::Max, false) => Speed::Times(STEPS[STEPS.len() - 1]),
            (Speed::Times(times), true) => {
                STEPS.into_iter().find(|&step| step > times).map_or(Speed::Max, Speed::Times)
            }
            (Speed::Times(times), false) => {
                Speed::Times(STEPS.into_iter().rev().find(|&step| step < times)?)
            }
        };
        self.speed = speed;
        Some(Order::Speed(speed))
    }
}

impl fmt::Display for Playback {
    /// Prints the pace: `10x`, `10x paused`, `full speed ended`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.speed {
            Speed::Times(times) => write!(f, "{times}x")?,
            Speed::Max => f.write_str("full speed")?,
        }
        match (self.has_ended, self.is_paused) {
            (true, _) => f.write_str(" ended"),
            (false, true) => f.write_str(" paused"),
            (false, false) => Ok(()),
        }
    }
}

impl Order {
    /// Passes the request to the replay.
    ///
    /// # Cancel safety
    /// Cancel safe: the request is passed on with the first poll.
    pub(crate) async fn apply(self, sim: &Sim) {
        match self {
            Self::Pause(true) => sim.pause().await,
            Self::Pause(false) => sim.resume(),
            Self::Seek(unix_ns) => sim.seek_replay(unix_ns),
            Self::Speed(speed) => sim.set_replay_speed(speed.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: u64 = 60 * SECOND_NS;

    fn playing() -> Playback {
        Playback {
            position_unix_ns: Some(5 * MINUTE_NS),
            span_unix_ns: Some((4 * MINUTE_NS, 30 * MINUTE_NS)),
            ..Playback::new(Speed::Times(1.0))
        }
    }

    #[test]
    fn seeking_moves_within_the_tape_also_before_the_replay_reports_its_position() {
        let mut playback = playing();
        for (minutes, to) in [(1, 6), (1, 7), (10, 17), (-1, 16), (10, 26), (10, 30), (-10, 20)] {
            assert_eq!(playback.seek(minutes), Some(Order::Seek(to * MINUTE_NS)), "{minutes}");
        }
        assert_eq!(playing().seek(-10), Some(Order::Seek(4 * MINUTE_NS)));
        assert_eq!(Playback::new(Speed::Max).seek(1), None, "nothing was replayed yet");
    }

    #[test]
    fn speeds_are_stepped_through_from_any_speed_up_to_full_speed_and_back() {
        let mut playback = Playback::new(Speed::Times(300.0));
        assert_eq!(playback.change_speed(true), Some(Order::Speed(Speed::Times(500.0))));
        playback.change_speed(true);
        assert_eq!(playback.change_speed(true), Some(Order::Speed(Speed::Max)));
        assert_eq!(playback.change_speed(true), None);
        assert_eq!(playback.change_speed(false), Some(Order::Speed(Speed::Times(1_000.0))));
        let mut playback = Playback::new(Speed::Times(0.15));
        assert_eq!(playback.change_speed(false), Some(Order::Speed(Speed::Times(0.1))));
        assert_eq!(playback.change_speed(false), None);
    }

    #[test]
    fn the_pace_is_described() {
        let mut playback = playing();
        assert_eq!(playback.to_string(), "1x");
        assert_eq!(playback.toggle_pause(), Order::Pause(true));
        assert_eq!(playback.to_string(), "1x paused");
        playback.has_ended = true;
        playback.speed = Speed::Max;
        assert_eq!(playback.to_string(), "full speed ended");
    }
}
