//! How a connection, or several together, ended.

use std::fmt;

use super::wording::counted;
use crate::deliver::Unread;

/// How a connection, or all connections of a manager, ended: whether everything that the server had
/// sent was received, and what of it has not been taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stopped {
    /// Whether the end lost nothing. True if the server's close frame, or the end of its stream,
    /// was read after the close frame sent to it, and every frame before it was accepted by the
    /// sinks. Also true if no socket was open. What was lost before the end is reported by the
    /// events of that time.
    pub clean: bool,
    /// Frames that were received and had not been taken when the connection ended: those that wait
    /// in lanes and streams, which can still be taken, and `discarded_frames`. Heartbeats are not
    /// counted. A frame in two streams is counted for each. `None` if it is not known what was
    /// received, because a socket was cut while the server might still have been sending.
    pub unread_frames: Option<u64>,
    /// Frames that were received and discarded, because the connection closed without waiting for a
    /// consumer that had no room. A lane or stream also reports them, as the last
    /// [`Dropped`](crate::LaneItem::Dropped).
    pub discarded_frames: u64,
    /// Ticks in the discarded frames.
    pub discarded_ticks: u64,
}

impl Stopped {
    /// The end of nothing: clean, and nothing is unread.
    pub const NOTHING: Self =
        Self { clean: true, unread_frames: Some(0), discarded_frames: 0, discarded_ticks: 0 };

    /// Creates the result of a connection whose socket was read to its end, or cut.
    pub(crate) fn new(read_to_end: bool, unread: Unread) -> Self {
        let Unread { queued_frames, discarded_frames, discarded_ticks } = unread;
        Self {
            clean: read_to_end && discarded_frames == 0,
            unread_frames: read_to_end.then_some(queued_frames + discarded_frames),
            discarded_frames,
            discarded_ticks,
        }
    }

    /// Adds the end of another connection.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let unread = self.unread_frames.zip(other.unread_frames);
        Self {
            clean: self.clean && other.clean,
            unread_frames: unread.map(|(one, other)| one + other),
            discarded_frames: self.discarded_frames + other.discarded_frames,
            discarded_ticks: self.discarded_ticks + other.discarded_ticks,
        }
    }
}

/// One line of plain English, such as "stopped, 3 frames not taken yet".
impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")?;
        match self.unread_frames {
            None => f.write_str(", a socket was cut before the server ended it")?,
            Some(unread) if unread > self.discarded_frames => {
                let waiting = many(unread - self.discarded_frames, "frame");
                write!(f, ", {waiting} not taken yet")?;
            }
            Some(_) => {}
        }
        if self.discarded_frames > 0 {
            let frames = many(self.discarded_frames, "frame");
            let ticks = many(self.discarded_ticks, "tick");
            write!(f, ", {frames} with {ticks} discarded")?;
        }
        Ok(())
    }
}

fn many(count: u64, noun: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_clean_only_if_the_socket_was_read_to_its_end_and_nothing_discarded() {
        let mut unread = Unread { queued_frames: 3, ..Unread::default() };
        let end = Stopped::new(true, unread);
        assert_eq!((end.clean, end.unread_frames), (true, Some(3)));
        assert_eq!(end.to_string(), "stopped, 3 frames not taken yet");
        unread.discard(7);
        let end = Stopped::new(true, unread);
        assert_eq!((end.clean, end.unread_frames, end.discarded_ticks), (false, Some(4), 7));
        let words = "stopped, 3 frames not taken yet, 1 frame with 7 ticks discarded";
        assert_eq!(end.to_string(), words);
        let cut = Stopped::new(false, Unread::default());
        assert_eq!((cut.clean, cut.unread_frames), (false, None));
        assert_eq!(cut.to_string(), "stopped, a socket was cut before the server ended it");
        assert_eq!(Stopped::NOTHING.to_string(), "stopped");
        assert_eq!(Stopped::NOTHING, Stopped::new(true, Unread::default()));
    }

    #[test]
    fn one_connection_that_was_cut_makes_the_sum_unknown() {
        let mut unread = Unread::default();
        unread.discard(2);
        let (whole, cut) = (Stopped::new(true, unread), Stopped::new(false, unread));
        let sum = whole.merged(&whole);
        assert_eq!((sum.unread_frames, sum.discarded_frames), (Some(2), 2));
        let sum = whole.merged(&cut);
        assert_eq!((sum.clean, sum.unread_frames, sum.discarded_ticks), (false, None, 4));
        assert_eq!(Stopped::NOTHING.merged(&cut), cut);
    }
}
