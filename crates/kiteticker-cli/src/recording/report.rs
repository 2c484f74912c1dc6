//! The output of a recording: a line while it runs, and a summary.

use std::path::PathBuf;

use kite_tape::{RecorderStats, RecorderSummary, Silences};
use serde_json::{Value, json};

use crate::console::paths;
use crate::format::numbers::{counted, grouped};
use crate::format::silences;
use crate::format::sizes::bytes;

/// Returns the line that is rewritten every second.
pub(crate) fn line(stats: &RecorderStats) -> String {
    let mut line = format!(
        "{} frames, {} ticks, {} raw, {} on disk",
        grouped(stats.frames),
        grouped(stats.ticks),
        bytes(stats.bytes_raw),
        bytes(stats.bytes_on_disk)
    );
    for (count, what) in [(stats.gaps, "gap"), (stats.dropped + stats.lost, "lost frame")] {
        if count > 0 {
            line += &format!(", {}", counted(count, what));
        }
    }
    line += &failures(stats);
    if let Some(error) = stats.last_error.as_ref().filter(|_| stats.is_failing) {
        line += &format!(": {error}");
    }
    line
}

/// Returns the line that is printed every minute without a terminal.
pub(crate) fn minute(stats: &RecorderStats, (up, connections): (usize, usize)) -> String {
    format!(
        "{}, {}, {up} of {} up, {}, {}, {} on disk",
        counted(stats.frames, "frame"),
        counted(stats.ticks, "tick"),
        counted(connections as u64, "connection"),
        counted(stats.gaps, "gap"),
        counted(stats.dropped + stats.lost, "lost frame"),
        bytes(stats.bytes_on_disk)
    )
}

/// Returns the failed writes and the lost files, as the end of a line that counts.
fn failures(stats: &RecorderStats) -> String {
    let failed = failed_writes(stats);
    let counts = [(stats.files_lost, "lost file"), (failed, "failed write")];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| format!(", {}", counted(*count, what))).collect()
}

/// Returns the number of failures other than the files lost.
pub(crate) fn failed_writes(stats: &RecorderStats) -> u64 {
    stats.failures.saturating_sub(stats.files_lost)
}

/// Returns the summary as text.
pub(crate) fn summary(summary: &RecorderSummary) -> String {
    let stats = &summary.stats;
    let ratio = match stats.bytes_on_disk {
        0 => String::new(),
        disk => format!(", {:.1} to 1", stats.bytes_raw as f64 / disk as f64),
    };
    let mut text = format!(
        "{}, {}, {}, {}{}\n{} raw, {} on disk{ratio}\n",
        counted(stats.frames, "frame"),
        counted(stats.ticks, "tick"),
        counted(stats.gaps, "gap"),
        counted(stats.dropped + stats.lost, "lost frame"),
        failures(stats),
        bytes(stats.bytes_raw),
        bytes(stats.bytes_on_disk)
    );
    for line in silences::lines(&summary.silences) {
        text += &format!("{line}\n");
    }
    for file in &stats.files {
        let is_missing = if file.exists() { "" } else { " (no longer there)" };
        text += &format!("{}{is_missing}\n", paths::shown(file));
    }
    text
}

/// Returns the summary as JSON.
pub(crate) fn json(summary: &RecorderSummary, unseen: &[u32]) -> Value {
    json_of(&summary.stats, &summary.silences, unseen)
}

/// Returns the summary of a recording that ended before it began as JSON.
pub(crate) fn json_of_nothing() -> Value {
    json_of(&RecorderStats::default(), &Silences::default(), &[])
}

fn json_of(stats: &RecorderStats, found: &Silences, unseen: &[u32]) -> Value {
    let (files, missing): (Vec<&PathBuf>, Vec<&PathBuf>) =
        stats.files.iter().partition(|file| file.exists());
    let shown = |files: Vec<&PathBuf>| -> Value {
        files.into_iter().map(|file| paths::json(file)).collect()
    };
    let mut report = json!({
        "frames": stats.frames,
        "ticks": stats.ticks,
        "heartbeats": stats.heartbeats,
        "texts": stats.texts,
        "records": stats.records,
        "unseen": unseen,
        "gaps": stats.gaps,
        "dropped": stats.dropped,
        "lost": stats.lost,
        "raw_bytes": stats.bytes_raw,
        "bytes": stats.bytes_on_disk,
        "files": shown(files),
        "files_missing": shown(missing),
        "files_lost": stats.files_lost,
        "failures": stats.failures,
        "last_error": stats.last_error,
    });
    silences::add_json(&mut report, found);
    report
}
