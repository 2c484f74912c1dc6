//! What a reading has found missing or damaged, as attributes and a warning.

use std::ffi::CString;
use std::sync::{Arc, Mutex};

use kite_export::Summary;
use kite_tape::Damage;
use pyo3::create_exception;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::feed::lock;

create_exception!(
    kiteticker,
    TapeWarning,
    PyUserWarning,
    "Part of a recording cannot be read, or an instrument has no tick on it."
);

/// Maximum number of damaged parts that are kept as texts; all are counted.
const MOST_TEXTS: usize = 1_000;

/// What a reading has found. Shared by the object that a program has and the threads that read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    damage: Vec<String>,
    /// All damaged parts.
    damages: u64,
    summary: Option<Summary>,
}

impl Outcome {
    pub(crate) fn add_damage(&self, damage: &Damage) {
        let mut found = lock(&self.0);
        found.damages += 1;
        if found.damage.len() < MOST_TEXTS {
            found.damage.push(damage.to_string());
        }
    }

    pub(crate) fn set_summary(&self, summary: &Summary) {
        lock(&self.0).summary = Some(summary.clone());
    }

    /// Takes over what another reading has found.
    pub(crate) fn replace(&self, other: &Self) {
        let (damage, damages, summary) = {
            let other = lock(&other.0);
            (other.damage.clone(), other.damages, other.summary.clone())
        };
        *lock(&self.0) = Found { damage, damages, summary };
    }

    /// Returns descriptions of the damaged parts so far.
    pub(crate) fn damage(&self) -> Vec<String> {
        lock(&self.0).damage.clone()
    }

    /// Returns the counts of a reading that has ended, with the keys of `kite export --json`.
    pub(crate) fn summary<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(summary) = lock(&self.0).summary.clone() else { return Ok(None) };
        let counts = PyDict::new(py);
        for (key, count) in [
            ("rows", summary.rows),
            ("event_rows", summary.event_rows),
            ("frames", summary.frames),
            ("packets_left_out", summary.packets_left_out),
            ("unknown_packets", summary.unknown_packets),
            ("damaged_frames", summary.damaged_frames),
            ("gaps", summary.gaps),
            ("frames_missing", summary.frames_missing),
            ("damages", summary.damage),
            ("records_lost", summary.records_lost),
            ("torn_files", summary.torn_files),
            ("unreadable_files", summary.unreadable_files),
        ] {
            counts.set_item(key, count)?;
        }
        counts.set_item("unseen", &summary.unseen_tokens)?;
        counts.set_item("first_recv_unix_ns", summary.first_recv_unix_ns)?;
        counts.set_item("last_recv_unix_ns", summary.last_recv_unix_ns)?;
        counts.set_item("complete", summary.is_complete())?;
        Ok(Some(counts))
    }

    /// Warns of what cannot be read, and of instruments without a tick; `label` names them.
    pub(crate) fn warn(&self, py: Python<'_>, label: impl Fn(u32) -> String) -> PyResult<()> {
        let (damages, first, summary) = {
            let found = lock(&self.0);
            (found.damages, found.damage.first().cloned(), found.summary.clone())
        };
        if let Some(first) = first {
            let more = match damages - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            warn(py, &format!("parts of the tapes cannot be read: {first}{more}"))?;
        }
        let Some(summary) = summary else { return Ok(()) };
        if !summary.unseen_tokens.is_empty() {
            let names: Vec<_> = summary.unseen_tokens.iter().map(|&it| label(it)).collect();
            warn(py, &format!("the tapes have no tick of {}", names.join(", ")))?;
        }
        Ok(())
    }
}

/// Warns with the category [`TapeWarning`].
pub(crate) fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    // A file name may have any characters.
    let text = CString::new(text.replace('\0', " "))?;
    PyErr::warn(py, &py.get_type::<TapeWarning>(), &text, 1)
}
