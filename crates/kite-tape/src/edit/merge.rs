//! Fills what one recording misses with the records of another.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use kite_wire::ist::Day;
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};

use super::copy::{Loss, Progress, is_cut_note, keep_packets, read};
use super::holes::{Holes, missed_by_both};
use super::output::NewTapes;
use super::{EditError, EditSummary, OnProgress};
use crate::entry::Entry;
use crate::error::Damage;
use crate::file::TapeFile;
use crate::name::{Name, file_name};
use crate::queue::Item;
use crate::reel::Reel;

/// The highest number of an account; 255 is the recorder.
const LAST_ACCOUNT: u8 = 254;

/// Prefix of the new tapes if the first recording has no recorder's file name.
const PREFIX: &str = "merged";

pub(super) fn merge(
    first: &Reel,
    second: &Reel,
    to: &Path,
    on_progress: OnProgress<'_>,
) -> Result<EditSummary, EditError> {
    let mut progress = Progress::new(on_progress);
    let holes = Holes::of(first, &mut progress)?;
    let mut merge = Merge {
        first,
        second,
        // A recording without connections still has the recorder's records.
        offset: holes.last_account().map_or(1, |last| usize::from(last) + 1),
        holes,
        missed: missed_by_both(first, second),
        tapes: NewTapes::in_directory(to)?,
        day: None,
        summary: EditSummary::default(),
    };
    merge.read(&mut progress)?;
    let Merge { tapes, mut summary, .. } = merge;
    tapes.persist(&mut summary, &mut progress)?;
    Ok(summary)
}

struct Merge<'m> {
    first: &'m Reel,
    second: &'m Reel,
    holes: Holes,
    /// The time that neither recording has, up to which the new tapes are not yet written.
    missed: VecDeque<(u64, u64)>,
    /// The number of the second recording's first account.
    offset: usize,
    tapes: NewTapes,
    /// The day of the tape that is written.
    day: Option<Day>,
    summary: EditSummary,
}

impl Merge<'_> {
    fn read(&mut self, progress: &mut Progress<'_>) -> Result<(), EditError> {
        let mut first = read(self.first, 0);
        let mut second = read(self.second, 0);
        let (mut a, mut b) = (first.next(), second.next());
        let mut count = 0_u64;
        while a.is_some() || b.is_some() {
            count += 1;
            progress.at(count, first.position_bytes() + second.position_bytes())?;
            if is_next(a.as_ref(), b.as_ref()) {
                match std::mem::replace(&mut a, first.next()) {
                    Some(Ok(entry)) => self.keep(entry)?,
                    Some(Err(damage)) => self.keep_damage(&damage)?,
                    None => {}
                }
            } else {
                match std::mem::replace(&mut b, second.next()) {
                    Some(Ok(entry)) => self.fill(entry)?,
                    // What the second recording lost is missing from the first, which says so.
                    Some(Err(damage)) => self.summary.count_damage(damage.records),
                    None => {}
                }
            }
        }
        progress.before += self.first.len_bytes() + self.second.len_bytes();
        let files = self.first.files().iter().chain(self.second.files());
        let ends = files.map(TapeFile::records_lost_at_end).filter(|lost| *lost != Some(0));
        ends.for_each(|lost| self.summary.count_damage(lost));
        self.summary.unknown_kinds = first.tally().unknown_kinds + second.tally().unknown_kinds;
        Ok(())
    }

    /// Takes a record of the first recording.
    fn keep(&mut self, entry: Entry) -> Result<(), EditError> {
        let Entry { received, kind, payload, .. } = entry;
        self.push(&Item { received, kind, payload })
    }

    /// Takes damage of the first recording, which becomes a gap.
    fn keep_damage(&mut self, damage: &Damage) -> Result<(), EditError> {
        self.summary.count_damage(damage.records);
        if damage.records == Some(0) {
            return Ok(());
        }
        let loss = Loss { from: damage.from_unix_ns, to: damage.to_unix_ns };
        let Some(gap) = loss.gap() else { return Ok(()) };
        self.begin(gap.received.recv_unix_ns)?;
        self.summary.gaps_added += 1;
        self.tapes.push(&gap)
    }

    /// Takes what the first recording misses from a record of the second.
    fn fill(&mut self, entry: Entry) -> Result<(), EditError> {
        let Entry { received, kind, payload, .. } = &entry;
        let now = received.recv_unix_ns;
        if !self.holes.cover(now)
            || self.holes.has_gap(*received, *kind, payload)
            // Nothing is cut off before it on the new tape.
            || is_cut_note(&entry)
        {
            self.summary.records_left_out += 1;
            return Ok(());
        }
        let payload = match entry.frame() {
            Some(frame) => {
                let is_missing = self.holes.missing(now);
                let cut = keep_packets(&frame, payload, |it| is_missing(it.instrument_token()));
                self.summary.packets_left_out += cut.left_out;
                cut.payload
            }
            None => Some(payload.clone()),
        };
        let Some(payload) = payload else {
            self.summary.records_left_out += 1;
            return Ok(());
        };
        let received = Received { source: self.shifted(received.source)?, ..*received };
        self.summary.records_filled += 1;
        self.push(&Item { received, kind: *kind, payload })
    }

    /// Returns the number of a source of the second recording on the new tapes.
    fn shifted(&self, source: Source) -> Result<Source, EditError> {
        let account = match source {
            Source::RECORDER => 0,
            source => usize::from(source.account),
        };
        let accounts = self.offset + account + 1;
        match u8::try_from(accounts - 1) {
            Ok(account @ ..=LAST_ACCOUNT) => Ok(Source { account, ..source }),
            _ => Err(EditError::TooManyAccounts { accounts }),
        }
    }

    fn push(&mut self, item: &Item) -> Result<(), EditError> {
        self.push_missed(item.received.recv_unix_ns)?;
        self.begin(item.received.recv_unix_ns)?;
        self.summary.records += 1;
        self.tapes.push(item)
    }

    /// Adds gaps for the time before this that neither recording has.
    fn push_missed(&mut self, now: u64) -> Result<(), EditError> {
        while let Some(&(from, to)) = self.missed.front().filter(|(_, to)| *to <= now) {
            self.missed.pop_front();
            let received = Received { recv_unix_ns: to, source: Source::RECORDER };
            let gap = Gap {
                reason: GapReason::RecorderStopped,
                from_unix_ns: from,
                to_unix_ns: to,
                frames: None,
            };
            self.begin(to)?;
            self.summary.gaps_added += 1;
            self.tapes.push(&Item::gap(received, &gap))?;
        }
        Ok(())
    }

    /// Starts the tape of a day, with a note of what it is made of. If the clock stepped back over
    /// midnight, the tape of the later day is kept.
    fn begin(&mut self, unix_ns: u64) -> Result<(), EditError> {
        let day = Day::at_unix_ns(unix_ns);
        if self.day.is_some_and(|current| current >= day) {
            return Ok(());
        }
        self.day = Some(day);
        let files = self.first.files();
        let prefix = files.iter().find_map(|file| Some(Name::of(file.path())?.prefix));
        let name = file_name(prefix.unwrap_or(PREFIX), day, 0);
        // The metadata of the tape of this time.
        let has_begun = |file: &&TapeFile| file.span().is_some_and(|(from, _)| from <= unix_ns);
        let file = files.iter().rev().find(has_begun).or(files.first());
        let metadata = file.map(|file| file.tape().metadata());
        self.summary.metadata_lost += u64::from(matches!(metadata, Some(Err(_))));
        self.tapes.begin(&name, unix_ns, metadata.and_then(Result::ok).unwrap_or_default())?;
        let received = Received { recv_unix_ns: unix_ns, source: Source::RECORDER };
        let payload = self.note().into();
        self.tapes.push(&Item { received, kind: RecordKind::Event, payload })
    }

    fn note(&self) -> String {
        let (offset, tapes, with) = (self.offset, ids(self.first), ids(self.second));
        format!(
            r#"{{"event":"merged","tapes":[{tapes}],"with":[{with}],"account_offset":{offset}}}"#
        )
    }
}

/// Returns whether the record of the first recording goes next. Of records with the same time it
/// does, and damage follows what came before it.
fn is_next(first: Option<&Result<Entry, Damage>>, second: Option<&Result<Entry, Damage>>) -> bool {
    match (first, second) {
        (Some(Ok(first)), Some(Ok(second))) => first.recv_unix_ns() <= second.recv_unix_ns(),
        (Some(Err(_)), _) | (Some(_), None) => true,
        (_, Some(_)) | (None, None) => false,
    }
}

/// Returns the ids of the tapes as JSON strings.
fn ids(reel: &Reel) -> String {
    let ids: BTreeSet<u64> = reel.files().iter().map(|file| file.tape().tape_id()).collect();
    let mut text = String::new();
    for (index, id) in ids.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}\"{id:016x}\"", if index > 0 { "," } else { "" });
    }
    text
}
