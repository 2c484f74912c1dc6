//! Reads a tape from start to end and adds each record to the table it belongs to.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kite_tape::{Damage, Entries, Entry, RecordKind, SilenceDetector};
use kite_wire::Scan;
use kite_wire::tape::{Gap, Received};

use crate::error::ExportError;
use crate::selection::Selection;
use crate::summary::Summary;
use crate::table::{Event, EventTable, TickTable};

/// Rows and records after which progress is reported.
const PROGRESS_EVERY: u64 = 8_192;

/// The latest time that a timestamp column can hold.
const LAST_UNIX_NS: u64 = i64::MAX as u64;

/// The progress of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the tapes read.
    pub bytes_done: u64,
    /// Bytes of all tapes, once for each time that they are read. A table of more than 256
    /// partitions reads them several times, and the total grows with each.
    pub bytes_total: u64,
    /// Rows of ticks so far.
    pub rows: u64,
}

/// A running export.
pub(crate) struct Run<'a, 'w> {
    pub(crate) selection: &'a Selection,
    /// The time after the end of the selection at which reading stops.
    pub(crate) stop_unix_ns: Option<u64>,
    /// Bytes of the tapes.
    pub(crate) len_bytes: u64,
    /// Bytes read before the present reading of the tapes.
    pub(crate) bytes_before: u64,
    pub(crate) cancel: Option<&'a AtomicBool>,
    pub(crate) on_progress: Option<&'a mut (dyn FnMut(Progress) + Send + 'w)>,
    pub(crate) on_damage: Option<&'a mut (dyn FnMut(&Damage) + Send + 'w)>,
    pub(crate) ticks: Box<dyn TickTable + 'a>,
    pub(crate) events: Option<Box<dyn EventTable + 'a>>,
    pub(crate) silences: SilenceDetector,
    /// Instruments that were asked for and of which there is no row yet.
    pub(crate) unseen: HashSet<u32>,
    pub(crate) summary: Summary,
}

impl Run<'_, '_> {
    /// Reads everything; `entries_from` reads the tapes from a time on. `endings` describes the files
    /// with a torn end, `unreadable` those that cannot be read.
    pub(crate) fn finish(
        mut self,
        entries_from: impl Fn(u64) -> Entries,
        endings: impl Iterator<Item = (String, Option<u64>)>,
        unreadable: impl Iterator<Item = String>,
    ) -> Result<Summary, ExportError> {
        let mut entries = entries_from(self.selection.from_unix_ns);
        let mut next_progress = 0;
        let mut records = 0_u64;
        while let Some(entry) = entries.next() {
            self.check_cancelled()?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(damage) => {
                    self.ticks.on_damage(&damage)?;
                    self.on_damage(&damage)?;
                    continue;
                }
            };
            if self.stop_unix_ns.is_some_and(|stop| entry.recv_unix_ns() >= stop) {
                break;
            }
            self.silences.take(entry.received, entry.kind, &entry.payload);
            self.ticks.on_record(&entry)?;
            self.on_entry(&entry)?;
            records += 1;
            if records + self.summary.rows >= next_progress {
                next_progress = records + self.summary.rows + PROGRESS_EVERY;
                self.report(entries.position_bytes());
            }
        }
        self.note_silences()?;
        for (ending, last_unix_ns) in endings {
            self.summary.torn_files += 1;
            let last = last_unix_ns.map(|it| self.within_column(it));
            self.note(|| Event::of_tape("torn_end", ending, None).between(last, None))?;
        }
        for file in unreadable {
            self.summary.unreadable_files += 1;
            self.note(|| Event::of_tape("damage", file, None))?;
        }
        self.summary.unseen_tokens = self.unseen.iter().copied().collect();
        self.summary.unseen_tokens.sort_unstable();
        self.summary.unknown_records = entries.tally().unknown_kinds;
        while let Some(from_unix_ns) = self.ticks.next_reading(&self.summary)? {
            self.bytes_before += self.len_bytes;
            self.read_again(entries_from(from_unix_ns))?;
        }
        (self.summary.files, self.summary.bytes_written) = self.ticks.finish(&self.summary)?;
        if let Some(events) = self.events.take() {
            events.finish(&self.summary)?;
        }
        self.report(self.len_bytes);
        Ok(self.summary)
    }

    /// Notes the silences that overlap the selection.
    fn note_silences(&mut self) -> Result<(), ExportError> {
        let detector = SilenceDetector::new(Duration::ZERO);
        let mut found = std::mem::replace(&mut self.silences, detector).finish();
        found.retain(|first, last| self.selection.overlaps(first, last));
        for silence in &found.silences {
            let [from, to] =
                [silence.from_unix_ns, silence.to_unix_ns].map(|it| it.min(LAST_UNIX_NS));
            self.note(|| Event::silence(silence, from, to))?;
        }
        self.summary.silences = found;
        Ok(())
    }

    /// Reads the rows that the table did not take before. Everything is already counted.
    fn read_again(&mut self, mut entries: Entries) -> Result<(), ExportError> {
        let mut records = 0_u64;
        while let Some(entry) = entries.next() {
            self.check_cancelled()?;
            let Ok(entry) = entry else { continue };
            if records.is_multiple_of(PROGRESS_EVERY) {
                self.report(entries.position_bytes());
            }
            records += 1;
            if entry.kind != RecordKind::Binary || !self.selection.covers(entry.recv_unix_ns()) {
                continue;
            }
            let recv_unix_ns = entry.recv_unix_ns().min(LAST_UNIX_NS);
            let received = Received { recv_unix_ns, ..entry.received };
            for packet in Scan::new(&entry.payload) {
                if self.selection.includes(received.recv_unix_ns, packet.instrument_token()) {
                    self.ticks.push(received, packet)?;
                }
            }
            if self.ticks.has_all() {
                break;
            }
        }
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), ExportError> {
        let is_cancelled = self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed));
        match is_cancelled || self.ticks.is_abandoned() {
            true => Err(ExportError::Cancelled { rows: self.summary.rows }),
            false => Ok(()),
        }
    }

    fn report(&mut self, position_bytes: u64) {
        let (bytes_done, rows) = (self.bytes_before + position_bytes, self.summary.rows);
        let bytes_total = self.bytes_before + self.len_bytes;
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(Progress { bytes_done, bytes_total, rows });
        }
    }

    fn on_damage(&mut self, damage: &Damage) -> Result<(), ExportError> {
        let (from, to) = (damage.from_unix_ns, damage.to_unix_ns);
        if !self.selection.overlaps(from.unwrap_or(0), to.unwrap_or(u64::MAX)) {
            return Ok(());
        }
        self.summary.damage += 1;
        match damage.records {
            Some(records) => self.summary.records_lost += u64::from(records),
            None => self.summary.damage_of_unknown_size += 1,
        }
        if let Some(on_damage) = &mut self.on_damage {
            on_damage(damage);
        }
        let [from, to] = [from, to].map(|it| it.map(|it| self.within_column(it)));
        self.note(|| Event::of_tape("damage", damage.to_string(), damage.records).between(from, to))
    }

    fn on_entry(&mut self, entry: &Entry) -> Result<(), ExportError> {
        if entry.kind == RecordKind::Gap {
            return self.on_gap(entry);
        }
        if !self.selection.covers(entry.recv_unix_ns()) {
            return Ok(());
        }
        let received = self.within_columns(entry.received);
        match entry.kind {
            RecordKind::Binary if entry.payload.len() == 1 => {
                self.summary.heartbeats += 1;
                self.note(|| Event::received(received, "heartbeat"))
            }
            RecordKind::Binary => self.on_frame(received, &entry.payload),
            RecordKind::Text => {
                self.summary.texts += 1;
                self.on_text(received, "text", &entry.payload)
            }
            RecordKind::Event => {
                self.summary.notes += 1;
                self.on_text(received, "note", &entry.payload)
            }
            // A kind known to kite-wire but not yet to this crate.
            _ => {
                self.summary.unreadable_records += 1;
                Ok(())
            }
        }
    }

    #[inline]
    fn on_frame(&mut self, received: Received, payload: &[u8]) -> Result<(), ExportError> {
        self.summary.frames += 1;
        let mut rows = 0;
        let mut scan = Scan::new(payload);
        for packet in scan.by_ref() {
            if self.selection.includes(received.recv_unix_ns, packet.instrument_token()) {
                self.ticks.push(received, packet)?;
                rows += 1;
                if !self.unseen.is_empty() {
                    self.unseen.remove(&packet.instrument_token());
                }
            } else {
                self.summary.packets_left_out += 1;
            }
        }
        self.summary.add_rows(rows, received.recv_unix_ns);
        let frame = scan.finish();
        if frame.skipped() > 0 {
            let skipped = u64::from(frame.skipped());
            self.summary.unknown_packets += skipped;
            self.note(|| Event::received(received, "unknown_packets").with_frames(skipped))?;
        }
        if let Some(fault) = frame.fault() {
            self.summary.damaged_frames += 1;
            self.summary.damaged_bytes += frame.bytes_left() as u64;
            self.note(|| Event::received(received, "damaged_frame").with_text(fault.to_string()))?;
        }
        Ok(())
    }

    fn on_text(
        &mut self,
        received: Received,
        kind: &'static str,
        payload: &[u8],
    ) -> Result<(), ExportError> {
        let text = String::from_utf8_lossy(payload);
        self.summary.unreadable_texts += u64::from(matches!(text, Cow::Owned(_)));
        self.note(|| Event::received(received, kind).with_text(text))
    }

    fn on_gap(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let Some(mut gap) = entry.gap() else {
            self.summary.unreadable_records += 1;
            return Ok(());
        };
        if !self.selection.is_touched_by(&gap, entry.recv_unix_ns()) {
            return Ok(());
        }
        self.summary.add_gap(&gap);
        let received = self.within_columns(entry.received);
        gap = Gap {
            from_unix_ns: self.within_column(gap.from_unix_ns),
            to_unix_ns: self.within_column(gap.to_unix_ns),
            ..gap
        };
        self.note(|| Event::gap(received, &gap))
    }

    fn note<'e>(&mut self, event: impl FnOnce() -> Event<'e>) -> Result<(), ExportError> {
        let Some(events) = &mut self.events else { return Ok(()) };
        self.summary.event_rows += 1;
        events.push(&event())
    }

    #[inline]
    fn within_columns(&mut self, received: Received) -> Received {
        Received { recv_unix_ns: self.within_column(received.recv_unix_ns), ..received }
    }

    #[inline]
    fn within_column(&mut self, unix_ns: u64) -> u64 {
        self.summary.times_out_of_range += u64::from(unix_ns > LAST_UNIX_NS);
        unix_ns.min(LAST_UNIX_NS)
    }
}
