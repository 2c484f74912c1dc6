//! Writes new tapes from recorded ones: repaired, cut or merged.
//!
//! Every record keeps its time and its bytes; the tapes that are read are never changed. What could
//! not be read becomes a gap, so that the new tape does not look complete.

mod copy;
mod holes;
mod merge;
mod output;

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use kite_wire::ist::Day;

use crate::reel::Reel;
use crate::windows::Windows;

/// The part of the tapes that [`cut`] keeps. Everything by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// Keep what was received in these windows, and gaps that overlap them; `None` for all times.
    pub windows: Option<Windows>,
    /// Keep the packets of these instruments; `None` for all.
    ///
    /// Frames from which nothing is left are dropped. Frames that cannot be decoded whole are kept
    /// as they are, and so are heartbeats, text frames and notes. Notes of instruments keep the rows
    /// of these.
    pub tokens: Option<BTreeSet<u32>>,
    /// Keep the packets of instruments only on these days in India, and of `tokens` those among
    /// them; `None` for all. A token is reused for another instrument after its contract has
    /// expired.
    pub tokens_by_day: Option<BTreeSet<(Day, u32)>>,
}

impl Cut {
    /// Returns whether some instruments are left out.
    fn selects(&self) -> bool {
        self.tokens.is_some() || self.tokens_by_day.is_some()
    }

    /// Returns whether the packets of an instrument are kept at a time.
    fn keeps(&self, recv_unix_ns: u64, instrument_token: u32) -> bool {
        let on_day = |tokens: &BTreeSet<(Day, u32)>| {
            tokens.contains(&(Day::at_unix_ns(recv_unix_ns), instrument_token))
        };
        self.tokens.as_ref().is_none_or(|tokens| tokens.contains(&instrument_token))
            && self.tokens_by_day.as_ref().is_none_or(on_day)
    }

    /// Returns all tokens that are selected.
    fn all_tokens(&self) -> BTreeSet<u32> {
        match &self.tokens_by_day {
            Some(by_day) => by_day.iter().map(|&(_, token)| token).collect(),
            None => self.tokens.clone().unwrap_or_default(),
        }
    }

    /// Returns the tokens that are kept at a time, if they are selected.
    fn tokens_at(&self, recv_unix_ns: u64) -> Option<BTreeSet<u32>> {
        let Some(by_day) = &self.tokens_by_day else { return self.tokens.clone() };
        let tokens = by_day.iter().map(|&(_, token)| token);
        Some(tokens.filter(|&token| self.keeps(recv_unix_ns, token)).collect())
    }
}

/// The result of [`repair`], [`cut`] or [`merge`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EditSummary {
    /// Records on the new tapes, without the notes and gaps added to them.
    pub records: u64,
    /// Notes of instruments from before a window, which a cut repeats at its start; `records` does
    /// not include them.
    pub notes_moved: u64,
    /// Records that a cut left out, or that a merge did not take from the second recording. Blocks
    /// from before the first window are not read and count by their headers.
    pub records_left_out: u64,
    /// Packets that were cut out of frames; those of frames left out as a whole are included.
    pub packets_left_out: u64,
    /// Records taken from the second recording of a merge; `records` includes them.
    pub records_filled: u64,
    /// Damaged parts of the tapes that were read.
    pub damages: u64,
    /// Records known to be lost with them: a lower bound, unless `damages_of_unknown_size` is 0.
    pub records_lost: u64,
    /// Damaged parts with an unknown number of lost records.
    pub damages_of_unknown_size: u64,
    /// Gaps added for what could not be read, and between two recordings of a merge.
    pub gaps_added: u64,
    /// Records of kinds from a later version, which are not on the new tapes.
    pub unknown_kinds: u64,
    /// Tapes whose metadata are damaged; the new ones have none.
    pub metadata_lost: u64,
    /// Instruments that a cut selects and of which no packet was kept, by ascending token.
    pub unseen_tokens: Vec<u32>,
    /// The new tapes.
    pub files: Vec<PathBuf>,
    /// Their total length in bytes.
    pub bytes: u64,
}

impl EditSummary {
    /// Returns whether everything on the tapes could be read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damages == 0 && self.unknown_kinds == 0 && self.metadata_lost == 0
    }

    /// Counts a damaged part, and the records lost with it if their number is known.
    fn count_damage(&mut self, records: Option<u32>) {
        self.damages += 1;
        match records {
            Some(records) => self.records_lost += u64::from(records),
            None => self.damages_of_unknown_size += 1,
        }
    }
}

/// An error of [`repair`], [`cut`] or [`merge`]. No file is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A new tape cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// A new tape would replace a file.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Two of the tapes have the same file name, in different directories.
    #[error("{} and {} would be written to the same file", path.display(), other.display())]
    SameName {
        /// One of them.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// Two recordings together have more accounts than a tape can number.
    #[error("{accounts} accounts in the two recordings; a tape numbers at most 254")]
    TooManyAccounts {
        /// The number of accounts.
        accounts: usize,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Called with the number of bytes read, for each block, every few thousand records, and before and
/// after the new tapes get their names. [`ControlFlow::Break`] cancels, also on the last call.
pub type OnProgress<'p> = &'p mut dyn FnMut(u64) -> ControlFlow<()>;

/// Writes every record of the tapes that can be read to new tapes, of the same names, in a
/// directory, which is created if needed.
///
/// Each damaged part with which records were lost becomes a gap with the reason
/// [`GapReason::Damaged`](crate::GapReason::Damaged), from the record before it to the record after
/// it. Reading the new tapes yields the same records, without damage.
///
/// # Errors
/// Returns an error if a tape cannot be written; no file is left.
pub fn repair(
    reel: &Reel,
    to: impl AsRef<Path>,
    on_progress: OnProgress<'_>,
) -> Result<EditSummary, EditError> {
    copy::copy(reel, &Cut::default(), copy::Empty::Written, to.as_ref(), on_progress)
}

/// Writes a part of the tapes to new tapes, of the same names, in a directory, which is created if
/// needed. A tape of which nothing is left is not written.
///
/// The notes of [`Recorder::instruments`](crate::Recorder::instruments) from before a window are
/// repeated at its start, so that the names stay on the tape. Damage becomes gaps as with [`repair`]. Each window on a new tape begins with the note
/// `{"event":"cut"}`, or `{"event":"cut","instruments":[…]}` if packets are cut out.
///
/// # Errors
/// Returns an error if a tape cannot be written; no file is left.
pub fn cut(
    reel: &Reel,
    part: &Cut,
    to: impl AsRef<Path>,
    on_progress: OnProgress<'_>,
) -> Result<EditSummary, EditError> {
    copy::copy(reel, part, copy::Empty::LeftOut, to.as_ref(), on_progress)
}

/// Writes two recordings of the same instruments to new tapes, one for each day in India, in a
/// directory, which is created if needed: everything that the first recorder has, and what the
/// second has where the first misses something.
///
/// The first misses something in its gaps, where its tapes are damaged, and before its first and
/// after its last record of a day. In a gap of one of several connections, only packets of instruments that
/// the others did not receive are taken.
///
/// The accounts of the second recording are numbered after those of the first. Each new tape begins
/// with the note `{"event":"merged","tapes":[…],"with":[…],"account_offset":…}`, which has the ids
/// of the tapes. Its own records under [`Source::RECORDER`](crate::Source::RECORDER) have the
/// account of this offset and the connection 255. Gaps of the first recording remain, also where
/// the second fills them. If neither was running for more than 5 s between the end of one and the
/// start of the other on a day, a gap with the reason
/// [`GapReason::RecorderStopped`](crate::GapReason::RecorderStopped) is added.
///
/// # Errors
/// Returns an error if the recordings have more accounts than fit, or a tape cannot be written; no
/// file is left.
pub fn merge(
    first: &Reel,
    second: &Reel,
    to: impl AsRef<Path>,
    on_progress: OnProgress<'_>,
) -> Result<EditSummary, EditError> {
    merge::merge(first, second, to.as_ref(), on_progress)
}
