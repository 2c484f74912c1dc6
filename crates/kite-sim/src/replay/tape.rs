//! Tape files as the source of a replay.

use std::sync::Arc;

use kite_tape::{Entry, Reel, Windows};

use super::options::Replay;
use super::reader::{Record, Records, Tape};

impl Replay {
    /// Replays tape files, of one recorder or several, in the order of receive times.
    pub fn new(reel: Reel) -> Self {
        Self::of(reel)
    }

    /// Replays only what was received within these windows, such as the trading hours of several
    /// days, one directly after the other; replaces [`Replay::from`] and [`Replay::until`]. Without
    /// windows nothing is replayed.
    pub fn windows(mut self, windows: Windows) -> Self {
        let (from, until) = windows.span().unwrap_or((0, 0));
        let tape = Arc::clone(&self.tape);
        self.tape = Arc::new(Cut { tape, windows });
        self.from(from).until(until)
    }
}

/// A tape of which only some windows are replayed.
struct Cut {
    tape: Arc<dyn Tape>,
    windows: Windows,
}

impl Tape for Cut {
    fn span(&self) -> Option<(u64, u64)> {
        let (first, last) = self.tape.span()?;
        let (from, until) = self.windows.span()?;
        Some((first.max(from), last.min(until)))
    }

    fn seek(&self, unix_ns: u64) -> Records {
        let windows = self.windows.clone();
        // What was received before them is needed for the first snapshots.
        let first = windows.span().map_or(0, |(first, _)| first);
        let is_kept = move |at: u64| at < first || windows.contains(at);
        let records = self.tape.seek(unix_ns);
        Box::new(records.filter(move |read| match read {
            Ok(record) => is_kept(record.received.recv_unix_ns),
            Err(_) => true,
        }))
    }

    fn is_cut(&self, from_unix_ns: u64, to_unix_ns: u64) -> bool {
        self.windows.position(from_unix_ns) != self.windows.position(to_unix_ns)
    }
}

impl Tape for Reel {
    fn span(&self) -> Option<(u64, u64)> {
        Self::span(self)
    }

    fn seek(&self, unix_ns: u64) -> Records {
        let record = |Entry { received, kind, payload, .. }| Record { received, kind, payload };
        let entries = Self::seek(self, unix_ns);
        Box::new(entries.map(move |entry| entry.map(record).map_err(|damage| damage.to_string())))
    }
}
