//! The instruments that a recorder notes in each of its files.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use kite_wire::ist::Day;
use parking_lot::Mutex;

use crate::instruments::{InstrumentRow, notes};

/// All instruments that were subscribed, shared by the recorder and its writer.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// By token: the day of the names, and the row.
    rows: Mutex<BTreeMap<u32, (Day, InstrumentRow)>>,
    /// Counts the changes, so that the writer need not lock to find that there is none.
    version: AtomicU64,
}

impl Roster {
    /// Adds instruments, or replaces their rows.
    pub(crate) fn add(&self, date: Day, rows: impl IntoIterator<Item = InstrumentRow>) {
        let mut all = self.rows.lock();
        let mut has_changed = false;
        for row in rows {
            let entry = (date, row);
            has_changed |= all.get(&entry.1.instrument_token) != Some(&entry);
            all.insert(entry.1.instrument_token, entry);
        }
        if has_changed {
            self.version.fetch_add(1, Release);
        }
    }

    /// Returns the number of changes; 0 if there are no instruments.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Returns the notes of all instruments, and their version.
    pub(crate) fn notes(&self) -> (u64, Vec<String>) {
        let all = self.rows.lock();
        let mut by_date: BTreeMap<i32, (Day, Vec<&InstrumentRow>)> = BTreeMap::new();
        for (date, row) in all.values() {
            by_date.entry(date.unix_days()).or_insert_with(|| (*date, Vec::new())).1.push(row);
        }
        let notes = by_date.into_values().flat_map(|(date, rows)| notes(date, rows)).collect();
        (self.version(), notes)
    }
}
