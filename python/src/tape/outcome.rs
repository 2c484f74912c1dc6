//! What a reading has found missing or damaged, as attributes and a warning.

use std::sync::{Arc, Mutex};

use kite_export::{BarSummary, Summary};
use kite_tape::Damage;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyo3::{create_exception, intern};

use crate::feed::lock;

create_exception!(
    kiteticker,
    TapeWarning,
    PyUserWarning,
    "Part of a recording cannot be read, an instrument has no tick on it, or no bar was made of it."
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
    ended: Option<Ended>,
}

/// What a reading that has ended has counted.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// Of a table of ticks or events.
    Rows(Summary),
    /// Of a table of bars.
    Bars(BarSummary),
}

impl From<Summary> for Ended {
    fn from(summary: Summary) -> Self {
        Self::Rows(summary)
    }
}

impl From<BarSummary> for Ended {
    fn from(summary: BarSummary) -> Self {
        Self::Bars(summary)
    }
}

impl Ended {
    fn tapes(&self) -> &Summary {
        match self {
            Self::Rows(summary) => summary,
            Self::Bars(summary) => &summary.tapes,
        }
    }

    /// Returns why there is no bar, if there is none.
    fn without_bars(&self) -> Option<String> {
        let Self::Bars(BarSummary { bars: 0, counts, .. }) = self else { return None };
        let outside = counts.iter().map(|(_, counts)| counts.outside_trades).max().unwrap_or(0);
        let mut text = "no bar was made: there are no trades within the sessions".to_owned();
        if outside > 0 {
            text +=
                &format!(", and {outside} packets with trades outside; `sessions` sets the hours");
        }
        Some(text)
    }

    /// Returns the counts with the keys of the command's option --json.
    fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (counts, tapes) = (PyDict::new(py), self.tapes());
        match self {
            Self::Rows(_) => {
                counts.set_item("rows", tapes.rows)?;
                counts.set_item("event_rows", tapes.event_rows)?;
                counts.set_item("first_recv_unix_ns", tapes.first_recv_unix_ns)?;
                counts.set_item("last_recv_unix_ns", tapes.last_recv_unix_ns)?;
            }
            Self::Bars(summary) => {
                counts.set_item("bars", summary.bars)?;
                counts.set_item("incomplete", summary.incomplete)?;
                counts.set_item("lengths", lengths(py, summary)?)?;
            }
        }
        for (key, count) in [
            ("frames", tapes.frames),
            ("packets_left_out", tapes.packets_left_out),
            ("unknown_packets", tapes.unknown_packets),
            ("damaged_frames", tapes.damaged_frames),
            ("gaps", tapes.gaps),
            ("frames_missing", tapes.frames_missing),
            ("damages", tapes.damage),
            ("records_lost", tapes.records_lost),
            ("torn_files", tapes.torn_files),
            ("unreadable_files", tapes.unreadable_files),
        ] {
            counts.set_item(key, count)?;
        }
        counts.set_item("unseen", &tapes.unseen_tokens)?;
        counts.set_item("complete", tapes.is_complete())?;
        Ok(counts)
    }
}

fn lengths<'py>(py: Python<'py>, summary: &BarSummary) -> PyResult<Bound<'py, PyList>> {
    let all = PyList::empty(py);
    for (every, counts) in &summary.counts {
        let length = PyDict::new(py);
        length.set_item("every", every.to_string())?;
        for (key, count) in [
            ("packets", counts.packets),
            ("baselines", counts.baselines),
            ("out_of_order", counts.out_of_order),
            ("trades", counts.trades),
            ("outside_trades", counts.outside_trades),
            ("volume", counts.volume),
            ("outside_volume", counts.outside_volume),
            ("late_gaps", counts.late_gaps),
        ] {
            length.set_item(key, count)?;
        }
        all.append(length)?;
    }
    Ok(all)
}

impl Outcome {
    pub(crate) fn add_damage(&self, damage: &Damage) {
        let mut found = lock(&self.0);
        found.damages += 1;
        if found.damage.len() < MOST_TEXTS {
            found.damage.push(damage.to_string());
        }
    }

    pub(crate) fn end(&self, ended: Ended) {
        lock(&self.0).ended = Some(ended);
    }

    /// Takes over what another reading has found.
    pub(crate) fn replace(&self, other: &Self) {
        let (damage, damages, ended) = {
            let other = lock(&other.0);
            (other.damage.clone(), other.damages, other.ended.clone())
        };
        *lock(&self.0) = Found { damage, damages, ended };
    }

    /// Returns descriptions of the damaged parts so far.
    pub(crate) fn damage(&self) -> Vec<String> {
        lock(&self.0).damage.clone()
    }

    /// Returns the counts of a reading that has ended.
    pub(crate) fn summary<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let ended = lock(&self.0).ended.clone();
        ended.map(|ended| ended.dict(py)).transpose()
    }

    /// Warns of what cannot be read, of instruments without a tick, which `label` names, and if no
    /// bar was made.
    pub(crate) fn warn(&self, py: Python<'_>, label: impl Fn(u32) -> String) -> PyResult<()> {
        let (damages, first, unseen, without_bars) = {
            let found = lock(&self.0);
            let unseen = found.ended.as_ref().map(|ended| ended.tapes().unseen_tokens.clone());
            let without_bars = found.ended.as_ref().and_then(Ended::without_bars);
            (found.damages, found.damage.first().cloned(), unseen.unwrap_or_default(), without_bars)
        };
        if let Some(first) = first {
            let more = match damages - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            warn(py, &format!("parts of the tapes cannot be read: {first}{more}"))?;
        }
        if !unseen.is_empty() {
            let names: Vec<_> = unseen.into_iter().map(label).collect();
            warn(py, &format!("the tapes have no tick of {}", names.join(", ")))?;
        }
        if let Some(text) = without_bars {
            warn(py, &text)?;
        }
        Ok(())
    }
}

/// Warns with the category [`TapeWarning`].
pub(crate) fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let warn = py.import(intern!(py, "kiteticker._warn"))?.getattr(intern!(py, "warn"))?;
    warn.call1((text, py.get_type::<TapeWarning>()))?;
    Ok(())
}
