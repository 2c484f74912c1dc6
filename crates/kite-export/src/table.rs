//! The traits that a format implements, for a table of ticks and a table of events.

use std::borrow::Cow;

use kite_tape::{Damage, Entry, Silence};
use kite_wire::Packet;
use kite_wire::tape::{Gap, GapReason, Received, Source};

use crate::chunk::Chunk;
use crate::error::{ExportError, Target};
use crate::summary::Summary;

/// The table of ticks in some format.
pub(crate) trait TickTable {
    /// Handles a record of the tape, before its rows, whether it is selected or not.
    fn on_record(&mut self, _: &Entry) -> Result<(), ExportError> {
        Ok(())
    }

    /// Handles a part of the tape that could not be read.
    fn on_damage(&mut self, _: &Damage) -> Result<(), ExportError> {
        Ok(())
    }

    /// Adds a row. The time must fit a timestamp column.
    fn push(&mut self, received: Received, packet: Packet<'_>) -> Result<(), ExportError>;

    /// Returns whether the tapes have no more rows for this table in the present reading.
    fn has_all(&self) -> bool {
        false
    }

    /// Returns whether the caller has no more use for the rows, so that reading ends.
    fn is_abandoned(&self) -> bool {
        false
    }

    /// Prepares for another reading of the tapes, and returns the time from which they must be
    /// read; `None` if the table has all of its rows.
    fn next_reading(&mut self, _: &Summary) -> Result<Option<u64>, ExportError> {
        Ok(None)
    }

    /// Writes the remaining rows, and returns the number of files and their size in bytes.
    fn finish(&mut self, summary: &Summary) -> Result<(u64, u64), ExportError>;
}

/// Files of ticks with the same columns.
pub(crate) trait TickFiles<W> {
    /// Adds a file without rows. Files are numbered from 0 in the order in which they are added.
    fn add(&mut self, out: W, target: Target) -> Result<(), ExportError>;

    /// Adds rows to a file, after those it has.
    fn write(&mut self, file: usize, rows: Chunk) -> Result<(), ExportError>;

    /// Completes all files, and returns them with their sizes in bytes. The next file that is added
    /// has the number 0.
    fn complete(
        &mut self,
        summary_of: &dyn Fn(usize) -> Summary,
    ) -> Result<Vec<(W, u64)>, ExportError>;
}

/// The table of events in some format.
pub(crate) trait EventTable {
    fn push(&mut self, event: &Event<'_>) -> Result<(), ExportError>;

    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), ExportError>;
}

/// A row of the table of events; see [`event_columns`](crate::event_columns).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    pub(crate) recv_unix_ns: Option<u64>,
    pub(crate) source: Option<Source>,
    pub(crate) kind: &'static str,
    pub(crate) reason: Option<Cow<'static, str>>,
    pub(crate) from_unix_ns: Option<u64>,
    pub(crate) to_unix_ns: Option<u64>,
    pub(crate) frames: Option<u64>,
    pub(crate) text: Option<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    /// Returns an event of the tape itself, whose time is unknown.
    pub(crate) fn of_tape(kind: &'static str, text: String, records: Option<u32>) -> Self {
        Self {
            recv_unix_ns: None,
            source: None,
            kind,
            reason: None,
            from_unix_ns: None,
            to_unix_ns: None,
            frames: records.map(u64::from),
            text: Some(text.into()),
        }
    }

    /// Sets the times between which it happened.
    pub(crate) fn between(self, from_unix_ns: Option<u64>, to_unix_ns: Option<u64>) -> Self {
        Self { from_unix_ns, to_unix_ns, ..self }
    }

    pub(crate) fn received(received: Received, kind: &'static str) -> Self {
        Self {
            recv_unix_ns: Some(received.recv_unix_ns),
            source: Some(received.source),
            kind,
            reason: None,
            from_unix_ns: None,
            to_unix_ns: None,
            frames: None,
            text: None,
        }
    }

    pub(crate) fn gap(received: Received, gap: &Gap) -> Self {
        let known = |unix_ns: u64| (unix_ns != 0).then_some(unix_ns);
        Self {
            reason: Some(reason_name(gap.reason)),
            from_unix_ns: known(gap.from_unix_ns),
            to_unix_ns: known(gap.to_unix_ns),
            frames: gap.frames,
            ..Self::received(received, "gap")
        }
    }

    pub(crate) fn silence(silence: &Silence, from_unix_ns: u64, to_unix_ns: u64) -> Self {
        let received = Received { recv_unix_ns: to_unix_ns, source: silence.source };
        Self {
            reason: Some(silence.kind.name().into()),
            ..Self::received(received, "silence").between(Some(from_unix_ns), Some(to_unix_ns))
        }
    }

    pub(crate) fn with_text(self, text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    pub(crate) fn with_frames(self, frames: u64) -> Self {
        Self { frames: Some(frames), ..self }
    }
}

fn reason_name(reason: GapReason) -> Cow<'static, str> {
    match (reason.name(), reason.code()) {
        (Some(name), _) => name.into(),
        (None, 0) => "unknown".into(),
        (None, code) => code.to_string().into(),
    }
}
