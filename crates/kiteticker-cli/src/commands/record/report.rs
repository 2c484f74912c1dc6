//! The output of a recording: a line while it runs, and a summary.

use kite_conn::Severity;
use kite_manager::ManagerEvent;
use kite_tape::{RecorderStats, RecorderSummary};
use serde_json::json;

use crate::format::numbers::{counted, grouped};
use crate::format::silences;
use crate::format::sizes::bytes;

/// Returns the line that is rewritten every second.
pub(super) fn line(stats: &RecorderStats) -> String {
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
    if let Some(error) = &stats.last_error {
        line += &format!(", writing failed: {error}");
    }
    line
}

/// Returns the line that is printed every minute without a terminal.
pub(super) fn minute(stats: &RecorderStats, (up, connections): (usize, usize)) -> String {
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

/// Returns the summary as text.
pub(super) fn summary(summary: &RecorderSummary) -> String {
    let stats = &summary.stats;
    let ratio = match stats.bytes_on_disk {
        0 => String::new(),
        disk => format!(", {:.1} to 1", stats.bytes_raw as f64 / disk as f64),
    };
    let mut text = format!(
        "{}, {}, {}, {}\n{} raw, {} on disk{ratio}\n",
        counted(stats.frames, "frame"),
        counted(stats.ticks, "tick"),
        counted(stats.gaps, "gap"),
        counted(stats.dropped + stats.lost, "lost frame"),
        bytes(stats.bytes_raw),
        bytes(stats.bytes_on_disk)
    );
    for line in silences::lines(&summary.silences) {
        text += &format!("{line}\n");
    }
    for file in &stats.files {
        text += &format!("{}\n", file.display());
    }
    text
}

/// Returns the summary as JSON.
pub(super) fn json(summary: &RecorderSummary, unseen: &[u32]) -> serde_json::Value {
    let stats = &summary.stats;
    let files: Vec<String> = stats.files.iter().map(|file| file.display().to_string()).collect();
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
        "files": files,
        "failures": stats.failures,
        "last_error": stats.last_error,
    });
    silences::add_json(&mut report, &summary.silences);
    report
}

/// Returns an event as a line if it matters here: data may be missing, or no longer is.
pub(super) fn event(event: &ManagerEvent) -> Option<String> {
    (event.severity() >= Severity::Recovery).then(|| event.to_string())
}
