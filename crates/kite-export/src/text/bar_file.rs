//! The table of bars as a text file.

use std::io::Write;

use super::bars::BarLines;
use super::files::{TextKind, TextSettings};
use crate::bars::{BarRow, Rows};
use crate::error::{ExportError, Target};
use crate::output::Counted;
use crate::summary::Summary;

/// Size of buffered rows at which they are written.
const BUFFER_BYTES: usize = 1 << 18;

pub(crate) struct TextBars<W: Write> {
    out: Counted<W>,
    target: Target,
    lines: BarLines,
}

impl<W: Write> TextBars<W> {
    pub(crate) fn new(out: W, target: Target, settings: TextSettings, every: bool) -> Self {
        let lines = match settings.kind {
            TextKind::Csv { crlf } => BarLines::csv_with(every, settings.times, crlf),
            TextKind::JsonLines { prices_as_text } => {
                BarLines::json_with(every, settings.times, prices_as_text)
            }
        };
        Self { out: Counted::new(out), target, lines }
    }

    fn write(&mut self) -> Result<(), ExportError> {
        let written = self.out.write_all(&self.lines.take());
        written.map_err(|source| ExportError::Write { target: self.target.clone(), source })
    }
}

impl<W: Write> Rows for TextBars<W> {
    fn push(&mut self, row: BarRow<'_>) -> Result<(), ExportError> {
        self.lines.push(row);
        if self.lines.len() < BUFFER_BYTES { Ok(()) } else { self.write() }
    }

    fn finish(&mut self, _: &Summary) -> Result<u64, ExportError> {
        self.write()?;
        let flushed = self.out.flush();
        flushed
            .map_err(|source| ExportError::Write { target: self.target.clone(), source })
            .map(|()| self.out.bytes)
    }
}
