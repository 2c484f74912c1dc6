//! Several tapes as one stream.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kite_wire::tape::TapeError;

use crate::entries::{Entries, ReadConfig};
use crate::entry::Entry;
use crate::error::{OpenError, PassedOver};
use crate::file::{Part, TapeFile};
use crate::instruments::{InstrumentsNote, is_instruments};
use crate::name::{EXTENSION, Name};
use crate::unpack::unpack;

/// Several tapes as one stream of records, such as the files of a day. Cheap to clone.
///
/// The files of one recorder (one directory, one prefix) are read in the order in which they were
/// written, so that each connection keeps its order even if the clock was changed. Different
/// recordings are merged by receive time.
#[derive(Debug, Clone)]
pub struct Reel {
    files: Vec<TapeFile>,
    /// The files of each recording.
    recordings: Vec<Range<usize>>,
    passed_over: Arc<[PassedOver]>,
}

impl Reel {
    /// Opens files, and all files of directories whose names end in `.ktape`.
    ///
    /// A tape that is reached in several ways, such as by its directory and by its name, or through
    /// a copy, is read once: tapes have identifiers. Of copies with a different number of records,
    /// such as one made while the tape was recorded, the one with most is read.
    ///
    /// In a directory, a file that is not a tape or cannot be read is skipped. [`Reel::passed_over`]
    /// lists all files that are not read.
    ///
    /// # Errors
    /// Returns an error if a path cannot be read, a directory contains no tape, or a file that was
    /// named is not a tape.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OpenError> {
        let (mut files, mut unreadable) = (Vec::new(), Vec::new());
        for path in paths {
            let path = path.as_ref();
            if !path.is_dir() {
                files.push(TapeFile::open(path)?);
                continue;
            }
            for path in tapes_in(path)? {
                match TapeFile::open(path) {
                    Ok(file) => files.push(file),
                    Err(error) => unreadable.push(error),
                }
            }
        }
        if files.is_empty() {
            return Err(unreadable.pop().unwrap_or(OpenError::Nothing));
        }
        let skipped = unreadable.into_iter().map(|error| {
            tracing::warn!(%error, "file skipped");
            match is_incomplete_header(&error) {
                true => PassedOver::Unfinished(error),
                false => PassedOver::Unreadable(error),
            }
        });
        let mut passed_over = skipped.collect();
        let files = without_copies(files, &mut passed_over);
        Ok(Self::of(files, passed_over))
    }

    /// Groups the files by recorder.
    fn of(files: Vec<TapeFile>, passed_over: Vec<PassedOver>) -> Self {
        let mut recordings: Vec<Vec<TapeFile>> = Vec::new();
        for file in files {
            let fellow =
                recordings.iter_mut().find(|fellows| are_of_one_recorder(&fellows[0], &file));
            match fellow {
                Some(fellows) => fellows.push(file),
                None => recordings.push(vec![file]),
            }
        }
        let (mut files, mut ranges) = (Vec::new(), Vec::new());
        for mut recording in recordings {
            recording.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
            ranges.push(files.len()..files.len() + recording.len());
            files.append(&mut recording);
        }
        Self { files, recordings: ranges, passed_over: passed_over.into() }
    }

    /// Returns the files: recordings in the order in which they were named, the files of each in
    /// the order of writing.
    #[must_use]
    pub fn files(&self) -> &[TapeFile] {
        &self.files
    }

    /// Returns the files that are not read, and why.
    #[must_use]
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// Returns the earliest and the latest receive time, in nanoseconds since the Unix epoch;
    /// `None` if there are no records.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let spans = self.files.iter().filter_map(TapeFile::span);
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Returns the total length of the files in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.files.iter().map(TapeFile::len_bytes).sum()
    }

    /// Iterates over all records.
    #[must_use]
    pub fn entries(&self) -> Entries {
        self.entries_with(ReadConfig::default())
    }

    /// Returns an iterator that starts with the first record received at or after `unix_ns`, in
    /// nanoseconds since the Unix epoch. Blocks that end before that time are skipped unread, and
    /// damage in them is not reported.
    #[must_use]
    pub fn seek(&self, unix_ns: u64) -> Entries {
        self.entries_with(ReadConfig { from_unix_ns: unix_ns, ..ReadConfig::default() })
    }

    /// Returns an iterator over the records with the given settings.
    #[must_use]
    pub fn entries_with(&self, config: ReadConfig) -> Entries {
        let recordings = self.recordings.iter().map(|range| self.files[range.clone()].to_vec());
        Entries::new(recordings, config)
    }

    /// Returns the notes of subscribed instruments, in the order of the files. Reads only the blocks
    /// that can have notes, so that it takes milliseconds for a day.
    ///
    /// A recorder writes notes as blocks of their own, all of whose records have one time. The first
    /// block of each file is read too. Damage is skipped; reading the records reports it.
    #[must_use]
    pub fn instruments(&self) -> Vec<InstrumentsNote> {
        self.files.iter().flat_map(instruments_of).collect()
    }
}

impl From<TapeFile> for Reel {
    fn from(file: TapeFile) -> Self {
        Self::of(vec![file], Vec::new())
    }
}

fn instruments_of(file: &TapeFile) -> impl Iterator<Item = InstrumentsNote> {
    instrument_notes(file).filter_map(|entry| entry.instruments())
}

/// Returns the notes of instruments as they are on the tape.
pub(crate) fn instrument_notes(file: &TapeFile) -> impl Iterator<Item = Entry> + use<> {
    let tape = file.tape();
    let mut notes = Vec::new();
    for (number, part) in file.parts().iter().enumerate() {
        let Part::Block { offset, .. } = *part else { continue };
        let has_one_time = || {
            let block = tape.block_at(offset);
            block.is_some_and(|it| it.earliest_unix_ns() == it.latest_unix_ns())
        };
        if number == 0 || has_one_time() {
            let entries = unpack(file, *part).items.into_iter().flatten();
            notes.extend(entries.filter(|it| is_instruments(it.kind, &it.payload)));
        }
    }
    notes.into_iter()
}

/// Returns the tapes in a directory, sorted by name.
fn tapes_in(directory: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let failed = |source| OpenError::Io { path: directory.into(), source };
    let mut paths = Vec::new();
    for file in std::fs::read_dir(directory).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path.extension().is_some_and(|it| it == EXTENSION) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(OpenError::NoTapes { path: directory.into() });
    }
    paths.sort();
    Ok(paths)
}

/// Keeps one file of each tape, in the place of the first.
fn without_copies(files: Vec<TapeFile>, passed_over: &mut Vec<PassedOver>) -> Vec<TapeFile> {
    let mut kept: Vec<TapeFile> = Vec::with_capacity(files.len());
    let mut places: HashMap<u64, usize> = HashMap::with_capacity(files.len());
    let mut copies = Vec::new();
    for mut file in files {
        let place = *places.entry(file.tape().tape_id()).or_insert(kept.len());
        let Some(first) = kept.get_mut(place) else {
            kept.push(file);
            continue;
        };
        // A copy with a damaged header has lost less than one with fewer records.
        let extent =
            |file: &TapeFile| (file.records(), file.header_damage().is_none(), file.len_bytes());
        if extent(&file) > extent(first) {
            std::mem::swap(&mut file, first);
        }
        copies.push((file, place));
    }
    passed_over.extend(copies.into_iter().map(|(file, place)| PassedOver::Copy {
        path: file.path().to_owned(),
        other: kept[place].path().to_owned(),
    }));
    kept
}

/// Returns whether a file ends within the header of a tape.
fn is_incomplete_header(error: &OpenError) -> bool {
    use TapeError::{Empty, HeaderCut};
    matches!(error, OpenError::Tape { source: Empty | HeaderCut { .. }, .. })
}

/// Returns whether two files are of the same recorder.
fn are_of_one_recorder(a: &TapeFile, b: &TapeFile) -> bool {
    let directory_and_prefix = |file: &TapeFile| {
        Some((file.path().parent()?.to_owned(), Name::of(file.path())?.prefix.to_owned()))
    };
    directory_and_prefix(a).is_some_and(|it| Some(it) == directory_and_prefix(b))
}

/// Returns the position of a file among those of its recorder.
fn order_of(file: &TapeFile) -> Option<(&str, u32)> {
    Name::of(file.path()).map(|name| (name.day, name.number))
}
