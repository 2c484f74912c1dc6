//! What a connection received and its consumers have not taken.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Frames that a connection received and its consumers have not taken, as counted by its sinks.
/// Heartbeats are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Unread {
    /// Frames that wait for a consumer and can still be taken. A table of conflated packets counts
    /// as one.
    pub queued_frames: u64,
    /// Frames discarded because the connection closed without waiting for a consumer.
    pub discarded_frames: u64,
    /// Ticks in the discarded frames.
    pub discarded_ticks: u64,
}

impl Unread {
    /// Counts a discarded frame.
    pub(crate) fn discard(&mut self, ticks: usize) {
        self.discarded_frames += 1;
        self.discarded_ticks += ticks as u64;
    }
}

impl Add for Unread {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            queued_frames: self.queued_frames + other.queued_frames,
            discarded_frames: self.discarded_frames + other.discarded_frames,
            discarded_ticks: self.discarded_ticks + other.discarded_ticks,
        }
    }
}

impl AddAssign for Unread {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Unread {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}
