//! Copies the records of each tape that are to be kept to a tape of the same name.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};
use kite_wire::{Frame, FrameBuilder, Packet};

use super::output::NewTapes;
use super::{Cut, EditError, EditSummary, OnProgress};
use crate::entries::{Entries, ReadConfig};
use crate::entry::Entry;
use crate::error::Damage;
use crate::file::TapeFile;
use crate::instruments::{is_instruments, keep_rows};
use crate::queue::Item;
use crate::reel::{Reel, instrument_notes};

/// Records between two reports of progress.
const PROGRESS_EVERY: u64 = 4_096;

/// The beginning of the note of a cut.
const CUT_NOTE: &str = r#"{"event":"cut""#;

/// What becomes of a tape without records that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    Written,
    LeftOut,
}

/// Copies each tape.
pub(super) fn copy(
    reel: &Reel,
    part: &Cut,
    empty: Empty,
    to: &Path,
    on_progress: OnProgress<'_>,
) -> Result<EditSummary, EditError> {
    check_names(reel)?;
    let mut copy = Copy {
        part,
        window: None,
        notes: VecDeque::new(),
        unseen: part.all_tokens(),
        tapes: NewTapes::in_directory(to)?,
        summary: EditSummary::default(),
    };
    let mut progress = Progress::new(on_progress);
    for file in reel.files() {
        let is_begun = copy.file(file, &mut progress)?;
        if !is_begun && empty == Empty::Written {
            copy.begin(file, file.tape().created_unix_ns())?;
        }
        copy.tapes.end()?;
        progress.before += file.len_bytes();
    }
    let Copy { tapes, mut summary, unseen, .. } = copy;
    summary.unseen_tokens = unseen.into_iter().collect();
    tapes.persist(&mut summary, &mut progress)?;
    Ok(summary)
}

/// Checks that no two tapes have the same name.
fn check_names(reel: &Reel) -> Result<(), EditError> {
    let mut names = HashMap::new();
    for path in reel.files().iter().map(TapeFile::path) {
        if let Some(other) = names.insert(path.file_name(), path) {
            return Err(EditError::SameName { path: other.into(), other: path.into() });
        }
    }
    Ok(())
}

/// Reports progress.
pub(super) struct Progress<'p> {
    /// Bytes of what was read before.
    pub(super) before: u64,
    /// What was reported last.
    reported: Option<u64>,
    on_progress: OnProgress<'p>,
}

impl<'p> Progress<'p> {
    pub(super) fn new(on_progress: OnProgress<'p>) -> Self {
        Self { before: 0, reported: None, on_progress }
    }

    /// Reports the bytes read since `before` with each new block, because a block may hold few large
    /// records, and every few thousand records.
    pub(super) fn at(&mut self, count: u64, bytes: u64) -> Result<(), EditError> {
        let is_due = count.is_multiple_of(PROGRESS_EVERY);
        if is_due || self.reported != Some(self.before + bytes) {
            self.report(bytes)
        } else {
            Ok(())
        }
    }

    /// Reports the bytes read since `before`.
    pub(super) fn report(&mut self, bytes: u64) -> Result<(), EditError> {
        let bytes = self.before + bytes;
        self.reported = Some(bytes);
        match (self.on_progress)(bytes) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EditError::Cancelled),
        }
    }
}

/// Reads ahead with as many threads as there are cores.
pub(super) fn read(reel: &Reel, from_unix_ns: u64) -> Entries {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    reel.entries_with(ReadConfig { from_unix_ns, threads })
}

struct Copy<'c> {
    part: &'c Cut,
    /// The window of the last record.
    window: Option<usize>,
    /// Notes of instruments outside the windows, which are copied before the next record.
    notes: VecDeque<Entry>,
    /// Selected instruments without a packet so far.
    unseen: BTreeSet<u32>,
    tapes: NewTapes,
    summary: EditSummary,
}

impl Copy<'_> {
    /// Copies a tape. Returns whether a new one has been started.
    fn file(&mut self, file: &TapeFile, progress: &mut Progress<'_>) -> Result<bool, EditError> {
        let part = self.part;
        let from = part.windows.as_ref().and_then(|it| it.span()).map_or(0, |it| it.0);
        let mut entries = read(&Reel::from(file.clone()), from);
        let is_outside = |entry: &Entry| {
            part.windows.as_ref().is_some_and(|it| !it.contains(entry.recv_unix_ns()))
        };
        self.notes = instrument_notes(file).filter(is_outside).collect();
        let mut count = 0;
        while let Some(item) = entries.next() {
            count += 1;
            progress.at(count, entries.position_bytes())?;
            match item {
                Ok(entry) => self.entry(file, entry)?,
                Err(damage) => self.damage(file, &damage)?,
            }
        }
        if let Some(loss) = lost_end(file) {
            self.lost(file, loss, file.records_lost_at_end())?;
        }
        let tally = entries.tally();
        self.summary.unknown_kinds += tally.unknown_kinds;
        self.summary.records_left_out += tally.records_skipped;
        Ok(self.tapes.has_begun())
    }

    fn begin(&mut self, file: &TapeFile, created_unix_ns: u64) -> Result<(), EditError> {
        if self.tapes.has_begun() {
            return Ok(());
        }
        let name = file.path().file_name().unwrap_or_default().to_string_lossy();
        let tape = file.tape();
        let metadata = tape.metadata().unwrap_or_else(|_| {
            self.summary.metadata_lost += 1;
            &[]
        });
        self.window = None;
        self.tapes.begin(&name, created_unix_ns, metadata)
    }

    /// Notes at the start of each window, and of each tape, that what came before is cut off.
    fn note_window(&mut self, now: u64) -> Result<(), EditError> {
        let window = match &self.part.windows {
            Some(windows) => windows.position(now),
            None => self.part.selects().then_some(0),
        };
        if window.is_none() || window == self.window {
            return Ok(());
        }
        self.window = window;
        self.tapes.push(&cut_note(now, self.part.tokens_at(now).as_ref()))
    }

    /// Copies the notes of instruments up to this time. They are outside the windows, so they get
    /// the time of the record that follows, as those that a recorder repeats in each file.
    fn push_notes(&mut self, now: u64) -> Result<(), EditError> {
        while self.notes.front().is_some_and(|note| note.recv_unix_ns() <= now)
            && let Some(Entry { received, kind, payload, .. }) = self.notes.pop_front()
        {
            let received = Received { recv_unix_ns: now, ..received };
            let kept = keep_rows(&payload, |token| self.part.keeps(now, token));
            let Some(payload) = kept else { continue };
            self.summary.notes_moved += 1;
            self.tapes.push(&Item { received, kind, payload })?;
        }
        Ok(())
    }

    fn entry(&mut self, file: &TapeFile, entry: Entry) -> Result<(), EditError> {
        let now = entry.recv_unix_ns();
        let windows = self.part.windows.as_ref();
        let is_kept = windows.is_none_or(|windows| windows.contains(now))
            || entry.gap().zip(windows).is_some_and(|(gap, windows)| {
                let (from, to) = span(&gap, now);
                windows.overlap(from, to)
            });
        if !is_kept {
            self.summary.records_left_out += 1;
            return Ok(());
        }
        let Some(payload) = self.cut(&entry) else {
            self.summary.records_left_out += 1;
            return Ok(());
        };
        self.begin(file, now)?;
        self.note_window(now)?;
        self.push_notes(now)?;
        self.summary.records += 1;
        let Entry { received, kind, .. } = entry;
        self.tapes.push(&Item { received, kind, payload })
    }

    /// Returns the payload with only the packets that are kept; `None` if none is left.
    fn cut(&mut self, entry: &Entry) -> Option<Bytes> {
        let (part, now) = (self.part, entry.recv_unix_ns());
        if !part.selects() {
            return Some(entry.payload.clone());
        }
        let Some(frame) = entry.frame() else {
            return match is_instruments(entry.kind, &entry.payload) {
                true => keep_rows(&entry.payload, |token| part.keeps(now, token)),
                false => Some(entry.payload.clone()),
            };
        };
        if !self.unseen.is_empty() {
            let tokens = frame.packets().map(|packet| packet.instrument_token());
            tokens.filter(|token| part.keeps(now, *token)).for_each(|token| {
                self.unseen.remove(&token);
            });
        }
        let frame =
            keep_packets(&frame, &entry.payload, |it| part.keeps(now, it.instrument_token()));
        self.summary.packets_left_out += frame.left_out;
        frame.payload
    }

    fn damage(&mut self, file: &TapeFile, damage: &Damage) -> Result<(), EditError> {
        let loss = Loss { from: damage.from_unix_ns, to: damage.to_unix_ns };
        self.lost(file, loss, damage.records)
    }

    /// Counts what could not be read and may be of the times that are kept, and adds a gap for it
    /// unless no record was lost.
    fn lost(&mut self, file: &TapeFile, loss: Loss, records: Option<u32>) -> Result<(), EditError> {
        let windows = self.part.windows.as_ref();
        let (from, to) = (loss.from.unwrap_or(0), loss.to.unwrap_or(u64::MAX));
        if !windows.is_none_or(|windows| windows.overlap(from, to)) {
            return Ok(());
        }
        self.summary.count_damage(records);
        if records == Some(0) {
            return Ok(());
        }
        let Some(gap) = loss.gap() else { return Ok(()) };
        self.begin(file, gap.received.recv_unix_ns)?;
        self.summary.gaps_added += 1;
        self.tapes.push(&gap)
    }
}

/// The times of the records before and after something that was lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loss {
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
}

impl Loss {
    /// Returns the gap for it; `None` if no time is known, because no record can be read. The
    /// connections are unknown.
    pub(super) fn gap(self) -> Option<Item> {
        let recv_unix_ns = self.to.or(self.from)?;
        let received = Received { recv_unix_ns, source: Source::RECORDER };
        let gap = Gap {
            reason: GapReason::Damaged,
            from_unix_ns: self.from.unwrap_or(0),
            to_unix_ns: self.to.unwrap_or(0),
            frames: None,
        };
        Some(Item::gap(received, &gap))
    }
}

/// Returns what is lost with the end of a file, if records that were complete are.
fn lost_end(file: &TapeFile) -> Option<Loss> {
    (file.records_lost_at_end() != Some(0))
        .then(|| Loss { from: file.span().map(|(_, last)| last), to: None })
}

/// Returns from when to when a gap reaches.
pub(super) fn span(gap: &Gap, recv_unix_ns: u64) -> (u64, u64) {
    let known = |unix_ns: u64| if unix_ns == 0 { recv_unix_ns } else { unix_ns };
    let from = known(gap.from_unix_ns);
    (from, known(gap.to_unix_ns).max(from))
}

/// A frame after packets were cut out of it.
pub(super) struct CutFrame {
    /// `None` if no packet is left.
    pub(super) payload: Option<Bytes>,
    pub(super) left_out: u64,
}

/// Cuts packets out of a frame. If all are kept, or the frame cannot be decoded whole, its bytes
/// stay as they are.
pub(super) fn keep_packets(
    frame: &Frame<'_>,
    payload: &Bytes,
    keeps: impl Fn(Packet<'_>) -> bool,
) -> CutFrame {
    let is_readable = frame.fault().is_none() && frame.skipped() == 0 && !frame.is_heartbeat();
    let packets = frame.packets().len();
    let kept = frame.packets().filter(|packet| keeps(*packet)).count();
    let left_out = (packets - kept) as u64;
    if !is_readable || left_out == 0 {
        return CutFrame { payload: Some(payload.clone()), left_out: 0 };
    }
    let mut cut = FrameBuilder::with_capacity(payload.len());
    let pushed = frame.packets().filter(|packet| keeps(*packet)).try_for_each(|it| cut.push(it));
    let payload = match pushed {
        Ok(()) if kept == 0 => None,
        Ok(()) => Some(cut.finish().into()),
        // A frame never holds more packets than one can have.
        Err(_) => Some(payload.clone()),
    };
    CutFrame { payload, left_out }
}

fn cut_note(unix_ns: u64, tokens: Option<&BTreeSet<u32>>) -> Item {
    let mut note = String::from(CUT_NOTE);
    if let Some(tokens) = tokens {
        note.push_str(r#","instruments":["#);
        for (index, token) in tokens.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(note, "{}{token}", if index > 0 { "," } else { "" });
        }
        note.push(']');
    }
    note.push('}');
    let received = Received { recv_unix_ns: unix_ns, source: Source::RECORDER };
    Item { received, kind: RecordKind::Event, payload: note.into() }
}

/// Returns whether a record is the note of a cut.
pub(super) fn is_cut_note(entry: &Entry) -> bool {
    entry.kind == RecordKind::Event && entry.payload.starts_with(CUT_NOTE.as_bytes())
}
