//! Several files as one stream of records.
//!
//! The order within a file is the file's. Between files the record that was received first comes
//! first, and of two received at the same time that of the file which begins earlier. A file is
//! opened for reading when its earliest record is due, so files that follow one another are read
//! one after another.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

use kite_wire::tape::{Ending, Tally};

use crate::entry::Entry;
use crate::error::Damage;
use crate::file::TapeFile;
use crate::stream::FileStream;

/// The records of a [`Reel`](crate::Reel), in order of time, with what had to be passed over.
///
/// An `Err` does not end the iteration. Once it has ended, [`Entries::endings`] tells how the files
/// end and [`Entries::tally`] what was lost.
pub struct Entries {
    /// Files whose records are not due yet, by their earliest.
    waiting: VecDeque<TapeFile>,
    /// Files being read, in the order of the files.
    open: Vec<Open>,
    not_before: u64,
    tally: Tally,
    endings: Vec<(TapeFile, Ending)>,
    /// Length of the files that have been read.
    done_bytes: u64,
}

struct Open {
    file: TapeFile,
    stream: FileStream,
    /// The next record, once it is known.
    head: Option<Entry>,
}

impl Entries {
    /// The files must be in the order of their earliest records.
    pub(crate) fn new(files: &[TapeFile], not_before: u64) -> Self {
        Self {
            waiting: files.iter().cloned().collect(),
            open: Vec::new(),
            not_before,
            tally: Tally::default(),
            endings: Vec::new(),
            done_bytes: 0,
        }
    }

    /// How many bytes of the files lie behind, of [`Reel::len_bytes`](crate::Reel::len_bytes).
    #[must_use]
    pub fn position_bytes(&self) -> u64 {
        self.done_bytes + self.open.iter().map(|open| open.stream.position_bytes()).sum::<u64>()
    }

    /// What was read and what was not, so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How the files end that have been read to their end, in the order in which they were.
    pub fn endings(&self) -> impl Iterator<Item = (&TapeFile, Ending)> {
        self.endings.iter().map(|(file, ending)| (file, *ending))
    }
}

impl Entries {
    /// Sees to it that every open file has its next record at hand.
    fn fill(&mut self) -> Option<Damage> {
        let mut at = 0;
        while let Some(open) = self.open.get_mut(at) {
            if open.head.is_some() {
                at += 1;
                continue;
            }
            let item = open.stream.next();
            self.tally.unknown_kinds += open.stream.take_unknown_kinds();
            match item {
                Some(Ok(entry)) => open.head = Some(entry),
                Some(Err(damage)) => return Some(damage),
                None => {
                    let open = self.open.remove(at);
                    self.done_bytes += open.file.len_bytes();
                    let ending = open.file.ending();
                    self.endings.push((open.file, ending));
                }
            }
        }
        None
    }

    /// Gives the open file whose record is due, and its time.
    fn due(&self) -> Option<(usize, u64)> {
        let heads = self.open.iter().enumerate();
        heads
            .filter_map(|(at, open)| Some((at, open.head.as_ref()?.received.recv_unix_ns)))
            .min_by_key(|(_, recv_unix_ns)| *recv_unix_ns)
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(damage) = self.fill() {
                self.tally.skips += 1;
                self.tally.bytes_skipped += damage.bytes;
                self.tally.records_lost += u64::from(damage.records.unwrap_or(0));
                return Some(Err(damage));
            }
            let due = self.due();
            let is_next_due = self.waiting.front().is_some_and(|file| {
                due.is_none_or(|(_, now)| file.span().is_none_or(|(earliest, _)| earliest <= now))
            });
            if is_next_due && let Some(file) = self.waiting.pop_front() {
                let stream = FileStream::new(file.clone(), self.not_before);
                self.open.push(Open { file, stream, head: None });
                continue;
            }
            let (at, _) = due?;
            let entry = self.open.get_mut(at)?.head.take()?;
            self.tally.records += 1;
            return Some(Ok(entry));
        }
    }
}

impl FusedIterator for Entries {}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries")
            .field("position_bytes", &self.position_bytes())
            .field("tally", &self.tally)
            .field("files_open", &self.open.len())
            .field("files_waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
