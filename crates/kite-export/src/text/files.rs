//! Files of CSV and JSON lines, with rows formatted by several threads in parallel and written in
//! order.

use std::collections::VecDeque;
use std::io::Write;

use kite_wire::Packet;
use kite_wire::tape::Received;

use super::cells::Cells;
use super::csv::{self, CsvCells};
use super::json::JsonCells;
use super::rows;
use crate::chunk::Chunk;
use crate::error::{ExportError, Target};
use crate::output::Counted;
use crate::pool::Pool;
use crate::settings::TimeFormat;
use crate::summary::Summary;
use crate::symbols::{CachedSymbols, Symbols};
use crate::table::{Event, EventTable, TickFiles, TickTable};

/// Rows of a chunk that one thread formats at a time.
pub(crate) const CHUNK_ROWS: usize = 4_096;

/// The text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    Csv { crlf: bool },
    JsonLines { prices_as_text: bool },
}

/// How rows are formatted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextSettings {
    pub(crate) kind: TextKind,
    pub(crate) times: TimeFormat,
    pub(crate) depth: bool,
}

/// Formats the rows of one thread.
struct Formatter<C> {
    cells: C,
    symbols: Option<CachedSymbols>,
    depth: bool,
}

impl<C: Cells> Formatter<C> {
    fn format(&mut self, chunk: &Chunk) -> Vec<u8> {
        for (received, packet) in chunk.iter() {
            let token = packet.instrument_token();
            let symbol =
                self.symbols.as_mut().map(|symbols| symbols.name(received.recv_unix_ns, token));
            rows::write_tick(&mut self.cells, received, packet, symbol, self.depth);
        }
        self.cells.take()
    }
}

/// Text files of ticks, whose rows are formatted by shared threads.
pub(crate) struct TextFiles<W: Write> {
    files: Vec<TextFile<W>>,
    /// The first row of CSV.
    header: Vec<u8>,
    /// Maximum number of chunks in progress.
    most_outstanding: usize,
    pool: Pool<Chunk, Vec<u8>>,
    /// The file of each chunk in progress, in the order of the chunks.
    files_of_chunks: VecDeque<usize>,
}

struct TextFile<W> {
    out: Counted<W>,
    target: Target,
}

impl<W: Write> TextFile<W> {
    fn write(&mut self, text: &[u8]) -> Result<(), ExportError> {
        let written = self.out.write_all(text);
        written.map_err(|source| ExportError::Write { target: self.target.clone(), source })
    }
}

impl<W: Write> TextFiles<W> {
    /// Starts the threads. `symbols` is `None` if there is no such column.
    pub(crate) fn new(
        settings: TextSettings,
        symbols: Option<&Symbols>,
        threads: usize,
    ) -> Result<Self, ExportError> {
        let TextSettings { times, depth, .. } = settings;
        let columns = crate::column::tick_columns(symbols.is_some(), depth);
        let cached = || symbols.map(Symbols::cached);
        let (pool, header) = match settings.kind {
            TextKind::Csv { crlf } => {
                let pool = Pool::start(threads, || {
                    let cells = CsvCells::new(times, crlf);
                    let mut formatter = Formatter { cells, symbols: cached(), depth };
                    move |chunk: Chunk| formatter.format(&chunk)
                });
                (pool, csv::header(&columns, crlf))
            }
            TextKind::JsonLines { prices_as_text } => {
                let pool = Pool::start(threads, || {
                    let cells = JsonCells::new(&columns, times, prices_as_text);
                    let mut formatter = Formatter { cells, symbols: cached(), depth };
                    move |chunk: Chunk| formatter.format(&chunk)
                });
                (pool, Vec::new())
            }
        };
        let pool = pool.map_err(|source| ExportError::Thread { threads, source })?;
        let (files, files_of_chunks) = (Vec::new(), VecDeque::new());
        Ok(Self { files, header, most_outstanding: 2 * threads, pool, files_of_chunks })
    }

    /// Writes the earliest chunk in progress; returns false if there is none.
    fn write_formatted(&mut self) -> Result<bool, ExportError> {
        let Some(text) = self.pool.take() else { return Ok(false) };
        let file = self.files_of_chunks.pop_front().and_then(|file| self.files.get_mut(file));
        if let Some(file) = file {
            let lost = |_| ExportError::ThreadLost { target: file.target.clone() };
            let text = text.map_err(lost)?;
            file.write(&text)?;
        }
        Ok(true)
    }
}

impl<W: Write> TickFiles<W> for TextFiles<W> {
    fn add(&mut self, out: W, target: Target) -> Result<(), ExportError> {
        let mut file = TextFile { out: Counted::new(out), target };
        file.write(&self.header)?;
        self.files.push(file);
        Ok(())
    }

    fn write(&mut self, file: usize, rows: Chunk) -> Result<(), ExportError> {
        if self.pool.outstanding() >= self.most_outstanding {
            self.write_formatted()?;
        }
        self.pool.submit(rows);
        self.files_of_chunks.push_back(file);
        Ok(())
    }

    fn complete(&mut self, _: &dyn Fn(usize) -> Summary) -> Result<Vec<(W, u64)>, ExportError> {
        while self.write_formatted()? {}
        let complete = self.files.drain(..).map(|TextFile { mut out, target }| {
            out.flush().map_err(|source| ExportError::Write { target, source })?;
            Ok((out.out, out.bytes))
        });
        complete.collect()
    }
}

/// The table of ticks as one text file.
pub(crate) struct TextTicks<W: Write> {
    files: TextFiles<W>,
    chunk: Chunk,
}

impl<W: Write> TextTicks<W> {
    pub(crate) fn new(
        out: W,
        target: Target,
        mut files: TextFiles<W>,
    ) -> Result<Self, ExportError> {
        files.add(out, target)?;
        Ok(Self { files, chunk: Chunk::with_room(CHUNK_ROWS) })
    }

    fn submit(&mut self) -> Result<(), ExportError> {
        let chunk = std::mem::replace(&mut self.chunk, Chunk::with_room(CHUNK_ROWS));
        self.files.write(0, chunk)
    }
}

impl<W: Write> TickTable for TextTicks<W> {
    fn push(&mut self, received: Received, packet: Packet<'_>) -> Result<(), ExportError> {
        self.chunk.push(received, packet);
        if self.chunk.rows() >= CHUNK_ROWS { self.submit() } else { Ok(()) }
    }

    fn finish(&mut self, summary: &Summary) -> Result<(u64, u64), ExportError> {
        self.submit()?;
        let files = self.files.complete(&|_| summary.clone())?;
        Ok((1, files.iter().map(|(_, bytes)| bytes).sum()))
    }
}

/// Size of buffered events at which they are written.
const EVENT_BYTES: usize = 1 << 18;

pub(crate) struct TextEvents<W: Write> {
    out: W,
    target: Target,
    cells: Box<dyn Cells + Send>,
}

impl<W: Write> TextEvents<W> {
    pub(crate) fn new(
        mut out: W,
        target: Target,
        settings: TextSettings,
    ) -> Result<Self, ExportError> {
        let columns = crate::column::event_columns();
        let cells: Box<dyn Cells + Send> = match settings.kind {
            TextKind::Csv { crlf } => {
                let written = out.write_all(&csv::header(&columns, crlf));
                let failed = |source| ExportError::Write { target: target.clone(), source };
                written.map_err(failed)?;
                Box::new(CsvCells::new(settings.times, crlf))
            }
            TextKind::JsonLines { prices_as_text } => {
                Box::new(JsonCells::new(&columns, settings.times, prices_as_text))
            }
        };
        Ok(Self { out, target, cells })
    }

    fn write(&mut self) -> Result<(), ExportError> {
        let written = self.out.write_all(&self.cells.take());
        written.map_err(|source| ExportError::Write { target: self.target.clone(), source })
    }
}

impl<W: Write> EventTable for TextEvents<W> {
    fn push(&mut self, event: &Event<'_>) -> Result<(), ExportError> {
        rows::write_event(self.cells.as_mut(), event);
        if self.cells.rows().len() < EVENT_BYTES { Ok(()) } else { self.write() }
    }

    fn finish(mut self: Box<Self>, _: &Summary) -> Result<(), ExportError> {
        self.write()?;
        let flushed = self.out.flush();
        flushed.map_err(|source| ExportError::Write { target: self.target.clone(), source })
    }
}
