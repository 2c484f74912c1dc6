//! Counts the contents of tapes, record by record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kite_tape::{
    Damage, Entry, Gap, GapReason, PassedOver, RecordKind, Reel, SilenceDetector, Silences, Source,
    TapeFile, Windows,
};
use kite_wire::ist::Day;
use kite_wire::tape::Ending;

use super::instruments::Instruments;
use crate::format::times::SECOND_NS;

/// Number of gaps and damaged places kept; all are counted. A file of noise must not exhaust
/// memory.
const MOST_LISTED: usize = 100_000;

/// What is on tapes.
#[derive(Debug)]
pub(super) struct Survey {
    /// The times that are counted; `None` is all.
    windows: Option<Windows>,
    pub(super) span: Option<(u64, u64)>,
    pub(super) files: Vec<FileFacts>,
    /// Records by kind: binary, text, gap, event.
    pub(super) kinds: [u64; 4],
    pub(super) unknown_kinds: u64,
    pub(super) sources: BTreeMap<Source, SourceFacts>,
    pub(super) frames: u64,
    pub(super) heartbeats: u64,
    pub(super) ticks: u64,
    /// Packets of unknown length within frames.
    pub(super) unknown_packets: u64,
    /// Frames with an unreadable tail, as the server sent them.
    pub(super) damaged_frames: u64,
    pub(super) instruments: Instruments,
    /// Ticks in each second since the epoch.
    pub(super) seconds: BTreeMap<u64, u64>,
    pub(super) gaps: u64,
    pub(super) listed_gaps: Vec<(Source, Gap)>,
    pub(super) damages: u64,
    pub(super) listed_damages: Vec<Damage>,
    /// Records lost to damage and with the ends of files, as far as is known.
    pub(super) records_lost: u64,
    /// Damaged parts, and ends of files, with an unknown number of lost records.
    pub(super) damages_of_unknown_size: u64,
    /// The silences found so far; complete after [`Survey::find_silences`].
    detector: SilenceDetector,
    pub(super) silences: Silences,
    /// Whether the tapes were read to the end.
    pub(super) is_read_to_end: bool,
    /// Files that were named, or are in a directory that was, but are not read.
    pub(super) passed_over: Vec<FilePassedOver>,
}

/// A file that is not read.
#[derive(Debug)]
pub(super) struct FilePassedOver {
    pub(super) path: PathBuf,
    /// Why it is not read, in a sentence.
    pub(super) reason: String,
    /// Whether records may be missing.
    pub(super) is_loss: bool,
}

/// Facts from a file's headers.
#[derive(Debug)]
pub(super) struct FileFacts {
    pub(super) path: PathBuf,
    pub(super) len_bytes: u64,
    /// Size of its records without compression.
    pub(super) raw_bytes: u64,
    pub(super) blocks: u64,
    pub(super) span: Option<(u64, u64)>,
    pub(super) ending: Ending,
    /// Whether the end is lost, and not only still being recorded.
    pub(super) is_cut_off: bool,
    pub(super) metadata: Option<String>,
}

/// Counts of one connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SourceFacts {
    pub(super) frames: u64,
    pub(super) ticks: u64,
    pub(super) texts: u64,
    pub(super) gaps: u64,
}

impl Survey {
    /// Starts with the facts from the files' headers.
    pub(super) fn from_files(reel: &Reel, windows: Option<Windows>, quiet_after: Duration) -> Self {
        // Of windows only the records show from when to when they reach.
        let span = if windows.is_none() { reel.span() } else { None };
        let instruments = Instruments::of(reel, windows.as_ref());
        let mut survey = Self {
            windows,
            span,
            files: reel.files().iter().map(FileFacts::of).collect(),
            kinds: [0; 4],
            unknown_kinds: 0,
            sources: BTreeMap::new(),
            frames: 0,
            heartbeats: 0,
            ticks: 0,
            unknown_packets: 0,
            damaged_frames: 0,
            instruments,
            seconds: BTreeMap::new(),
            gaps: 0,
            listed_gaps: Vec::new(),
            damages: 0,
            listed_damages: Vec::new(),
            records_lost: 0,
            damages_of_unknown_size: 0,
            detector: SilenceDetector::new(quiet_after),
            silences: Silences::default(),
            is_read_to_end: true,
            passed_over: reel.passed_over().iter().map(FilePassedOver::of).collect(),
        };
        for file in reel.files() {
            let last = file.span().map_or(0, |(_, last)| last);
            if survey.windows.as_ref().is_none_or(|it| it.overlap(last, u64::MAX)) {
                survey.count_lost(file.records_lost_at_end());
            }
        }
        survey
    }

    fn count_lost(&mut self, records: Option<u32>) {
        match records {
            Some(records) => self.records_lost += u64::from(records),
            None => self.damages_of_unknown_size += 1,
        }
    }

    /// Counts a record, or a damaged place.
    pub(super) fn take(&mut self, entry: Result<Entry, Damage>) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(damage) => {
                let (from, to) = (damage.from_unix_ns, damage.to_unix_ns);
                let overlaps =
                    |windows: &Windows| windows.overlap(from.unwrap_or(0), to.unwrap_or(u64::MAX));
                if !self.windows.as_ref().is_none_or(overlaps) {
                    return;
                }
                self.damages += 1;
                self.count_lost(damage.records);
                if self.listed_damages.len() < MOST_LISTED {
                    self.listed_damages.push(damage);
                }
                return;
            }
        };
        self.detector.take(entry.received, entry.kind, &entry.payload);
        if !self.covers(&entry) {
            return;
        }
        let source = entry.received.source;
        if let Some(kind) = self.kinds.get_mut(usize::from(entry.kind as u8) - 1) {
            *kind += 1;
        }
        match entry.kind {
            RecordKind::Binary => self.take_frame(&entry),
            RecordKind::Text => self.sources.entry(source).or_default().texts += 1,
            RecordKind::Gap => {
                self.gaps += 1;
                self.sources.entry(source).or_default().gaps += 1;
                if let Some(gap) = entry.gap()
                    && self.listed_gaps.len() < MOST_LISTED
                {
                    self.listed_gaps.push((source, gap));
                }
            }
            _ => {}
        }
    }

    /// Returns whether a record, or the time of a gap, is within the windows.
    fn covers(&mut self, entry: &Entry) -> bool {
        let Some(windows) = &self.windows else { return true };
        let at = entry.recv_unix_ns();
        if windows.contains(at) {
            let (from, to) = self.span.unwrap_or((at, at));
            self.span = Some((from.min(at), to.max(at)));
            return true;
        }
        let known = |unix_ns: u64| if unix_ns == 0 { at } else { unix_ns };
        let gap = entry.gap().map(|gap| (known(gap.from_unix_ns), known(gap.to_unix_ns)));
        gap.is_some_and(|(from, to)| windows.overlap(from, to))
    }

    /// Completes the list of silences; those outside the windows are left out.
    pub(super) fn find_silences(&mut self) {
        self.silences = self.detector.clone().finish();
        if let Some(windows) = &self.windows {
            self.silences.retain(|first, last| windows.overlap(first, last));
        }
    }

    fn take_frame(&mut self, entry: &Entry) {
        let Some(frame) = entry.frame() else { return };
        if frame.is_heartbeat() {
            self.heartbeats += 1;
            return;
        }
        let mut ticks = 0;
        let day = Day::at_unix_ns(entry.recv_unix_ns());
        for packet in frame.packets() {
            self.instruments.add(day, entry.received.source, packet.instrument_token());
            ticks += 1;
        }
        self.frames += 1;
        self.ticks += ticks;
        self.unknown_packets += u64::from(frame.skipped());
        self.damaged_frames += u64::from(frame.fault().is_some());
        *self.seconds.entry(entry.recv_unix_ns() / SECOND_NS).or_default() += ticks;
        let source = self.sources.entry(entry.received.source).or_default();
        source.frames += 1;
        source.ticks += ticks;
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len_bytes).sum()
    }

    pub(super) fn raw_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.raw_bytes).sum()
    }

    /// Returns the duration of the tapes.
    pub(super) fn lasts(&self) -> Duration {
        let (from, to) = self.span.unwrap_or_default();
        Duration::from_nanos(to.saturating_sub(from))
    }

    /// Returns the instruments that the tapes note as subscribed and that never ticked, by ascending
    /// token. None unless the tapes were read to the end.
    pub(super) fn unseen(&self) -> Vec<u32> {
        if self.is_read_to_end { self.instruments.unseen() } else { Vec::new() }
    }

    /// Returns whether recorded data can no longer be read.
    pub(super) fn has_damage(&self) -> bool {
        self.damages > 0
            || self.files.iter().any(|file| file.is_cut_off)
            || self.passed_over.iter().any(|file| file.is_loss)
    }
}

impl FilePassedOver {
    fn of(file: &PassedOver) -> Self {
        let (path, reason) = (file.path().to_owned(), file.to_string());
        Self { path, reason, is_loss: file.is_loss() }
    }
}

impl FileFacts {
    fn of(file: &TapeFile) -> Self {
        let tape = file.tape();
        let (mut blocks, mut raw_bytes) = (0, 0);
        for block in tape.blocks().flatten() {
            blocks += 1;
            raw_bytes += u64::from(block.raw_len());
        }
        let metadata = tape.metadata().ok().filter(|metadata| !metadata.is_empty());
        Self {
            path: file.path().to_owned(),
            len_bytes: file.len_bytes(),
            raw_bytes,
            blocks,
            span: file.span(),
            ending: file.ending(),
            is_cut_off: file.is_cut_off(),
            metadata: metadata.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

/// Returns the length of a gap if both ends are known.
pub(super) fn length(gap: &Gap) -> Option<Duration> {
    let known = gap.from_unix_ns > 0 && gap.to_unix_ns >= gap.from_unix_ns;
    known.then(|| Duration::from_nanos(gap.to_unix_ns - gap.from_unix_ns))
}

/// Returns the reason for a gap, in words.
pub(super) fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::QueueFull => "the recorder's queue was full",
        GapReason::Lagged => "the recorder read too late",
        GapReason::Disconnected => "disconnected",
        GapReason::RecorderStopped => "the recorder was not running",
        GapReason::WriteFailed => "writing failed",
        _ => "unknown reason",
    }
}

/// Returns the reason for a gap, for JSON.
pub(super) fn reason_name(reason: GapReason) -> &'static str {
    reason.name().unwrap_or("other")
}
