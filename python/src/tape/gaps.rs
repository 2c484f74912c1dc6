//! The gaps of a recording.

use kite_tape::{Entries, Gap, Received, RecordKind, Windows};
use pyo3::prelude::*;

use super::outcome::Outcome;

/// Records that are read at a time, without the interpreter.
const CHUNK: usize = 4_096;

/// A gap: when it was recorded and of which connection, its reason, its start and end, and the number
/// of frames, as far as they are known.
pub(crate) type Row = (u64, u8, u8, String, Option<u64>, Option<u64>, Option<u64>);

/// Reads the gaps that overlap the windows.
pub(crate) fn read(
    py: Python<'_>,
    mut entries: Entries,
    windows: Option<&Windows>,
    stop_unix_ns: Option<u64>,
) -> PyResult<Vec<Row>> {
    let outcome = Outcome::default();
    let mut gaps = Vec::new();
    loop {
        let is_end = py.detach(|| {
            let mut is_end = true;
            for entry in entries.by_ref().take(CHUNK) {
                is_end = false;
                match entry {
                    Ok(entry) if stop_unix_ns.is_some_and(|stop| entry.recv_unix_ns() >= stop) => {
                        return true;
                    }
                    Ok(entry) if entry.kind == RecordKind::Gap => {
                        let gap = entry.gap().map(|gap| row(entry.received, &gap));
                        gaps.extend(gap.filter(|gap| is_within(gap, windows)));
                    }
                    Ok(_) => {}
                    Err(damage) => outcome.add_damage(&damage),
                }
            }
            is_end
        });
        py.check_signals()?;
        if is_end {
            outcome.warn(py, |token| token.to_string())?;
            return Ok(gaps);
        }
    }
}

fn row(received: Received, gap: &Gap) -> Row {
    let known = |unix_ns: u64| (unix_ns != 0).then_some(unix_ns);
    let reason = match gap.reason.name() {
        Some(name) => name.to_owned(),
        None => gap.reason.code().to_string(),
    };
    let (from, to) = (known(gap.from_unix_ns), known(gap.to_unix_ns));
    let source = received.source;
    (received.recv_unix_ns, source.account, source.connection, reason, from, to, gap.frames)
}

fn is_within(gap: &Row, windows: Option<&Windows>) -> bool {
    let (recv, from, to) = (gap.0, gap.4.unwrap_or(gap.0), gap.5.unwrap_or(gap.0));
    windows.is_none_or(|it| it.contains(recv) || it.overlap(from, to.max(from)))
}
