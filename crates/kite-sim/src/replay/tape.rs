//! Tape files as the source of a replay.

use kite_tape::{Entry, Reel};

use super::options::Replay;
use super::reader::{Record, Records, Tape};

impl Replay {
    /// Replays tape files, of one recorder or several, in the order of receive times.
    pub fn new(reel: Reel) -> Self {
        Self::of(reel)
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
