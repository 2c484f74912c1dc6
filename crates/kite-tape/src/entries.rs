//! Iterates over the records of several tapes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::iter::FusedIterator;
use std::vec;

use crate::ahead::Ahead;
use crate::entry::Entry;
use crate::error::Damage;
use crate::file::{Part, TapeFile};
use crate::unpack::{Unpacked, unpack};

/// How tapes are read. All settings have defaults: change the fields that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadConfig {
    /// Begin with the first record received at or after this time, in nanoseconds since the Unix
    /// epoch. Default 0: with the first.
    pub from_unix_ns: u64,
    /// How many threads unpack and check blocks ahead; at most 64 are made. The records are the
    /// same, in the same order. Default 0: whoever iterates does it, when they are wanted.
    ///
    /// For each thread two blocks are held in memory, of 1 MiB each as a rule.
    pub threads: usize,
}

/// What reading came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Records given.
    pub entries: u64,
    /// Damaged parts given.
    pub damages: u64,
    /// Records that were lost with them, where that is known: at least so many.
    pub records_lost: u64,
    /// Records passed over because this version does not know their kind.
    pub unknown_kinds: u64,
}

/// The records of several tapes, with what had to be passed over between them.
///
/// An `Err` does not end the iteration.
pub struct Entries {
    streams: Vec<Stream>,
    /// Who gives the next record: the earliest, the first file of those equally early. Files that
    /// were not looked into yet stand at their earliest time.
    order: BinaryHeap<Reverse<(u64, usize)>>,
    ahead: Option<Ahead>,
    tally: Tally,
}

impl Entries {
    pub(crate) fn new(files: &[TapeFile], config: ReadConfig) -> Self {
        let ahead = (config.threads > 0).then(|| Ahead::new(config.threads));
        let streams: Vec<Stream> =
            files.iter().map(|file| Stream::new(file.clone(), config.from_unix_ns)).collect();
        let order = streams.iter().enumerate().map(|(index, stream)| {
            // One without records may have damage to tell: first, it does not matter.
            Reverse((stream.file.span().map_or(0, |it| it.0.max(config.from_unix_ns)), index))
        });
        Self { order: order.collect(), streams, ahead, tally: Tally::default() }
    }

    /// How far reading has come, of [`Reel::len_bytes`](crate::Reel::len_bytes): for a progress
    /// bar.
    #[must_use]
    pub fn position_bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.position).sum()
    }

    /// What reading came to so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Reverse((time, index)) = *self.order.peek()?;
            let stream = &mut self.streams[index];
            let item = stream.next(&mut self.ahead, &mut self.tally.unknown_kinds);
            let Some(item) = item else {
                self.order.pop();
                continue;
            };
            // A file whose next record is not the earliest gives way.
            if let Ok(entry) = &item
                && entry.recv_unix_ns() > time
            {
                self.order.pop();
                let time = entry.recv_unix_ns();
                let gives_way =
                    self.order.peek().is_some_and(|first| *first > Reverse((time, index)));
                self.order.push(Reverse((time, index)));
                if gives_way {
                    stream.put_back(item);
                    continue;
                }
            }
            match &item {
                Ok(_) => self.tally.entries += 1,
                Err(damage) => {
                    self.tally.damages += 1;
                    self.tally.records_lost += u64::from(damage.records.unwrap_or(0));
                }
            }
            return Some(item);
        }
    }
}

impl FusedIterator for Entries {}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries")
            .field("position_bytes", &self.position_bytes())
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

/// The records of one file.
struct Stream {
    file: TapeFile,
    /// The next part to be asked for.
    next_part: usize,
    /// Parts that others unpack, in order.
    asked: VecDeque<(Part, crate::ahead::Promise)>,
    items: vec::IntoIter<Result<Entry, Damage>>,
    put_back: Option<Result<Entry, Damage>>,
    /// Records before it are passed over until one from then on has been given.
    not_before: u64,
    position: u64,
}

impl Stream {
    fn new(file: TapeFile, not_before: u64) -> Self {
        let (asked, items) = (VecDeque::new(), Vec::new().into_iter());
        Self { file, next_part: 0, asked, items, put_back: None, not_before, position: 0 }
    }

    fn put_back(&mut self, item: Result<Entry, Damage>) {
        self.put_back = Some(item);
    }

    fn next(
        &mut self,
        ahead: &mut Option<Ahead>,
        unknown_kinds: &mut u64,
    ) -> Option<Result<Entry, Damage>> {
        if let Some(item) = self.put_back.take() {
            return Some(item);
        }
        loop {
            for item in self.items.by_ref() {
                if let Ok(entry) = &item {
                    if entry.recv_unix_ns() < self.not_before {
                        continue;
                    }
                    self.not_before = 0;
                }
                return Some(item);
            }
            let Unpacked { items, unknown_kinds: unknown } = self.next_unpacked(ahead)?;
            *unknown_kinds += unknown;
            self.items = items.into_iter();
        }
    }

    fn next_unpacked(&mut self, ahead: &mut Option<Ahead>) -> Option<Unpacked> {
        let Some(ahead) = ahead else {
            let part = self.next_part()?;
            self.reached(part);
            return Some(unpack(&self.file, part));
        };
        // Which parts matter is not known before the first record sought is found.
        let window = if self.not_before > 0 { 1 } else { ahead.window() };
        while self.asked.len() < window
            && let Some(part) = self.next_part()
        {
            self.asked.push_back((part, ahead.ask(self.file.clone(), part)));
        }
        let (part, promise) = self.asked.pop_front()?;
        self.reached(part);
        Some(promise.wait().unwrap_or_else(|| unpack(&self.file, part)))
    }

    /// Steps to the next part that may have records from the time sought on.
    fn next_part(&mut self) -> Option<Part> {
        loop {
            let Some(part) = self.file.parts().get(self.next_part).copied() else {
                if self.asked.is_empty() {
                    self.position = self.file.len_bytes();
                }
                return None;
            };
            self.next_part += 1;
            match part {
                Part::Block { latest_unix_ns: Some(latest), .. } if latest < self.not_before => {}
                Part::Skipped(_) if self.not_before > 0 => {}
                part => return Some(part),
            }
        }
    }

    fn reached(&mut self, part: Part) {
        self.position = match part {
            Part::Block { end, .. } => end,
            Part::Skipped(skipped) => skipped.to,
        } as u64;
    }
}
