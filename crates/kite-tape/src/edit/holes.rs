//! What a recording misses: its gaps, its damage, and the time before and after it on each day.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::Bytes;
use kite_wire::ist::Day;
use kite_wire::tape::{Received, RecordKind, Source};

use super::EditError;
use super::copy::{Progress, read, span};
use crate::file::TapeFile;
use crate::reel::Reel;
use crate::windows::Windows;

/// Time between records up to which a recorder was running. Kite sends a heartbeat every second.
const RUNNING_NS: u64 = 5_000_000_000;

/// The stretches of time in which a recording misses something.
pub(super) struct Holes {
    holes: Vec<Hole>,
    /// The union of all.
    union: Windows,
    /// The instruments received by each connection.
    instruments: BTreeMap<Source, HashSet<u32>>,
    /// The highest account of any connection.
    last_account: Option<u8>,
    /// The recorded gaps.
    gaps: HashSet<(u64, Source, Bytes)>,
}

struct Hole {
    /// The connection that misses something; `None` for all.
    source: Option<Source>,
    /// The first and the last time, both included.
    from: u64,
    to: u64,
    /// The instruments that other connections received meanwhile.
    received: HashSet<u32>,
}

impl Hole {
    fn covers(&self, unix_ns: u64) -> bool {
        (self.from..=self.to).contains(&unix_ns)
    }
}

impl Holes {
    /// Reads a recording and finds them.
    pub(super) fn of(reel: &Reel, progress: &mut Progress<'_>) -> Result<Self, EditError> {
        let mut found = Self {
            holes: Vec::new(),
            union: Windows::default(),
            instruments: BTreeMap::new(),
            last_account: None,
            gaps: HashSet::new(),
        };
        let outside = found.read(reel, progress)?;
        let is_single = found.instruments.len() < 2;
        for hole in &mut found.holes {
            // What an only connection misses, the recording misses.
            hole.source = hole.source.filter(|_| !is_single);
        }
        found.holes.extend(outside);
        found.union =
            Windows::new(found.holes.iter().map(|hole| hole.from..hole.to.saturating_add(1)));
        if found.holes.iter().any(|hole| hole.source.is_some()) {
            found.read_within(reel, progress)?;
        }
        Ok(found)
    }

    /// Finds gaps, damage and instruments. Returns the time before and after the recordings of days.
    fn read(&mut self, reel: &Reel, progress: &mut Progress<'_>) -> Result<Vec<Hole>, EditError> {
        let (mut days, mut last, mut count) = (BTreeMap::new(), None, 0);
        let mut entries = read(reel, 0);
        while let Some(item) = entries.next() {
            count += 1;
            progress.at(count, entries.position_bytes())?;
            let entry = match item {
                Ok(entry) => entry,
                Err(damage) if damage.records == Some(0) => continue,
                Err(damage) => {
                    let from = damage.from_unix_ns.or(last).unwrap_or(0);
                    let to = damage.to_unix_ns.unwrap_or(from).max(from);
                    self.holes.push(Hole::new(None, from, to));
                    continue;
                }
            };
            let Received { recv_unix_ns: now, source } = entry.received;
            if source != Source::RECORDER {
                self.last_account = self.last_account.max(Some(source.account));
            }
            if let Some(gap) = entry.gap() {
                let (from, to) = span(&gap, now);
                let source = (source != Source::RECORDER).then_some(source);
                self.holes.push(Hole::new(source, from, to));
                self.gaps.insert((now, entry.received.source, entry.payload));
                continue;
            }
            last = last.max(Some(now));
            let (from, to) = days.entry(Day::at_unix_ns(now)).or_insert((now, now));
            (*from, *to) = (now.min(*from), now.max(*to));
            if let Some(frame) = entry.frame() {
                let instruments = self.instruments.entry(source).or_default();
                instruments.extend(frame.packets().map(|it| it.instrument_token()));
            }
        }
        progress.before += reel.len_bytes();
        Ok(outside(days.into_values()))
    }

    /// Finds the instruments that other connections received while one missed something.
    fn read_within(&mut self, reel: &Reel, progress: &mut Progress<'_>) -> Result<(), EditError> {
        let mut entries = read(reel, 0);
        let mut count = 0;
        while let Some(item) = entries.next() {
            count += 1;
            progress.at(count, entries.position_bytes())?;
            let Ok(entry) = item else { continue };
            let Received { recv_unix_ns: now, source } = entry.received;
            let Some(frame) = entry.frame().filter(|_| self.union.contains(now)) else { continue };
            let holes = self.holes.iter_mut().filter(|hole| hole.covers(now));
            for hole in holes.filter(|hole| hole.source.is_some_and(|it| it != source)) {
                hole.received.extend(frame.packets().map(|it| it.instrument_token()));
            }
        }
        progress.before += reel.len_bytes();
        Ok(())
    }

    /// Returns whether the recording misses something at this time.
    pub(super) fn cover(&self, unix_ns: u64) -> bool {
        self.union.contains(unix_ns)
    }

    /// Returns whether the recording has this record, which is a gap.
    pub(super) fn has_gap(&self, received: Received, kind: RecordKind, payload: &Bytes) -> bool {
        kind == RecordKind::Gap
            && self.gaps.contains(&(received.recv_unix_ns, received.source, payload.clone()))
    }

    /// Returns a test whether the recording misses an instrument at this time.
    pub(super) fn missing(&self, unix_ns: u64) -> impl Fn(u32) -> bool + '_ {
        let holes: Vec<_> = self.holes.iter().filter(|hole| hole.covers(unix_ns)).collect();
        move |token| holes.iter().any(|hole| self.misses(hole, token))
    }

    fn misses(&self, hole: &Hole, token: u32) -> bool {
        let Some(source) = hole.source else { return true };
        let carries = |it: &Source| self.instruments.get(it).is_some_and(|it| it.contains(&token));
        let is_of_others =
            || !carries(&source) && self.instruments.keys().any(|it| *it != source && carries(it));
        !hole.received.contains(&token) && !is_of_others()
    }

    /// Returns the highest account of any connection.
    pub(super) fn last_account(&self) -> Option<u8> {
        self.last_account
    }
}

/// Returns the time before, after and between the spans of days. A recorder that is started again
/// on a later day does not note that it was not running.
fn outside(days: impl Iterator<Item = (u64, u64)>) -> Vec<Hole> {
    let (mut holes, mut from) = (Vec::new(), 0);
    for (first, last) in days {
        let is_running = from > 0 && first.saturating_sub(from) <= RUNNING_NS;
        if first > from && !is_running {
            holes.push(Hole::new(None, from, first - 1));
        }
        from = last.saturating_add(1).max(from);
    }
    holes.push(Hole::new(None, from, u64::MAX));
    holes
}

/// Returns the time between the end of one recording and the start of the other on the same day,
/// in which neither recorder was running.
pub(super) fn missed_by_both(first: &Reel, second: &Reel) -> VecDeque<(u64, u64)> {
    let (first, second) = (days(first), days(second));
    let between = |(day, first): (&Day, &(u64, u64))| {
        let second = second.get(day)?;
        let (earlier, later) = (first.min(second), first.max(second));
        let (from, to) = (earlier.1, later.0);
        (to.saturating_sub(from) > RUNNING_NS).then_some((from, to))
    };
    first.iter().filter_map(between).collect()
}

/// Returns the earliest and the latest time of each day.
fn days(reel: &Reel) -> BTreeMap<Day, (u64, u64)> {
    let mut days = BTreeMap::new();
    for (from, to) in reel.files().iter().filter_map(TapeFile::span) {
        for day in [from, to].map(Day::at_unix_ns) {
            let span: &mut (u64, u64) = days.entry(day).or_insert((from, to));
            *span = (span.0.min(from), span.1.max(to));
        }
    }
    days
}

impl Hole {
    fn new(source: Option<Source>, from: u64, to: u64) -> Self {
        Self { source, from, to, received: HashSet::new() }
    }
}
