//! Iterates over the records of several tapes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::iter::FusedIterator;
use std::vec;

use crate::ahead::{Ahead, Promise};
use crate::entry::Entry;
use crate::error::Damage;
use crate::file::{Part, TapeFile};
use crate::unpack::{Unpacked, unpack};

/// Settings for reading tapes. All have defaults, so change only the fields that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadConfig {
    /// Start with the first record received at or after this time, in nanoseconds since the Unix
    /// epoch. Default 0, which means the first record.
    pub from_unix_ns: u64,
    /// Number of threads that decompress and check blocks ahead, at most 64. The records and their
    /// order do not depend on it. Default 0, with which the iterator decompresses blocks itself
    /// when it needs them.
    ///
    /// Each thread keeps two blocks in memory per recording that is read at the same time, usually
    /// of 1 MiB each, and of 16 MiB on packed tapes.
    pub threads: usize,
}

/// Counts of what was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Records returned.
    pub entries: u64,
    /// Damaged parts returned.
    pub damages: u64,
    /// Records known to be lost with them, a lower bound.
    pub records_lost: u64,
    /// Records skipped because this version does not know their kind.
    pub unknown_kinds: u64,
    /// Records before [`ReadConfig::from_unix_ns`], by the headers of blocks that are not read.
    pub records_skipped: u64,
}

/// An iterator over the records of several tapes, and over the damaged parts between them.
///
/// An `Err` does not end the iteration.
pub struct Entries {
    streams: Vec<Stream>,
    /// Index of the recording with the next record, which is the earliest; among equals, the first.
    /// Recordings not yet read are ordered by their earliest time.
    order: BinaryHeap<Reverse<(u64, usize)>>,
    ahead: Option<Ahead>,
    tally: Tally,
}

impl Entries {
    pub(crate) fn new(recordings: impl Iterator<Item = Vec<TapeFile>>, config: ReadConfig) -> Self {
        let ahead = (config.threads > 0).then(|| Ahead::new(config.threads));
        let streams: Vec<Stream> =
            recordings.map(|files| Stream::new(files, config.from_unix_ns)).collect();
        let order = streams.iter().enumerate().map(|(index, stream)| {
            let first = stream.files.iter().find_map(TapeFile::span);
            // A recording without records may still have damage to report, at any position.
            Reverse((first.map_or(0, |it| it.0.max(config.from_unix_ns)), index))
        });
        Self { order: order.collect(), streams, ahead, tally: Tally::default() }
    }

    /// Returns how many of the [`Reel::len_bytes`](crate::Reel::len_bytes) have been read, for a
    /// progress bar.
    #[must_use]
    pub fn position_bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.position).sum()
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let records_skipped = self.streams.iter().map(|stream| stream.skipped).sum();
        Tally { records_skipped, ..self.tally }
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
            // If the next record is not the earliest, another recording goes first.
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
            .field("tally", &self.tally())
            .finish_non_exhaustive()
    }
}

/// The records of one recording, file by file.
struct Stream {
    files: Vec<TapeFile>,
    /// The next part to read: index of the file, and of the part in it.
    next_part: (usize, usize),
    /// Parts that threads are decompressing, in order.
    requested: VecDeque<(Place, Promise)>,
    items: vec::IntoIter<Result<Entry, Damage>>,
    put_back: Option<Result<Entry, Damage>>,
    /// Records before this time are skipped until one at or after it has been returned.
    not_before: u64,
    /// How many they are.
    skipped: u64,
    position: u64,
}

/// A part, and the number of the file that it is in.
#[derive(Debug, Clone, Copy)]
struct Place {
    file: usize,
    part: Part,
}

impl Stream {
    fn new(files: Vec<TapeFile>, not_before: u64) -> Self {
        Self {
            files,
            next_part: (0, 0),
            requested: VecDeque::new(),
            items: Vec::new().into_iter(),
            put_back: None,
            not_before,
            skipped: 0,
            position: 0,
        }
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
                        self.skipped += 1;
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
            let place = self.next_place()?;
            self.reached(place);
            return Some(unpack(&self.files[place.file], place.part));
        };
        // Until the first record sought is found, it is unknown which parts are needed.
        let window = if self.not_before > 0 { 1 } else { ahead.window() };
        while self.requested.len() < window
            && let Some(place) = self.next_place()
        {
            let promise = ahead.request(self.files[place.file].clone(), place.part);
            self.requested.push_back((place, promise));
        }
        let (place, promise) = self.requested.pop_front()?;
        self.reached(place);
        Some(promise.wait().unwrap_or_else(|| unpack(&self.files[place.file], place.part)))
    }

    /// Advances to the next part that may have records at or after the time sought.
    fn next_place(&mut self) -> Option<Place> {
        loop {
            let (file, part) = self.next_part;
            let Some(parts) = self.files.get(file).map(TapeFile::parts) else {
                if self.requested.is_empty() {
                    self.position = self.len_before(self.files.len());
                }
                return None;
            };
            let Some(&part) = parts.get(part) else {
                self.next_part = (file + 1, 0);
                continue;
            };
            self.next_part.1 += 1;
            match part {
                Part::Block { latest_unix_ns: Some(latest), records, .. }
                    if latest < self.not_before =>
                {
                    self.skipped += u64::from(records);
                }
                Part::Skipped(..) if self.not_before > 0 => {}
                part => return Some(Place { file, part }),
            }
        }
    }

    fn reached(&mut self, place: Place) {
        let end = match place.part {
            Part::Block { end, .. } => end,
            Part::Skipped(skipped, _) => skipped.to,
        };
        self.position = self.len_before(place.file) + end as u64;
    }

    /// Returns the length in bytes of the files before this one.
    fn len_before(&self, file: usize) -> u64 {
        self.files[..file].iter().map(TapeFile::len_bytes).sum()
    }
}
