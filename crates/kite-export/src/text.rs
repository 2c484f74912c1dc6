//! CSV and JSON lines, with rows formatted by several threads in parallel and written in order.

mod cells;
mod csv;
mod json;
mod lines;
mod rows;

use std::io::Write;

use kite_wire::Packet;
use kite_wire::tape::Received;

use crate::error::{ExportError, Target};
use crate::pool::Pool;
use crate::settings::TimeFormat;
use crate::summary::Summary;
use crate::symbols::CachedSymbols;
use crate::table::{Event, EventTable, TickTable};
use cells::Cells;
use csv::CsvCells;
use json::JsonCells;

pub use lines::TickLines;

/// Rows of a chunk that one thread formats at a time.
const CHUNK_ROWS: usize = 4_096;

/// Capacity of a chunk in bytes: 4,096 full packets.
const CHUNK_BYTES: usize = CHUNK_ROWS * 184;

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

/// Packets to be formatted, copied one after the other.
#[derive(Debug, Default)]
struct Chunk {
    /// Receive time, source and length of each packet.
    rows: Vec<(Received, u8)>,
    packets: Vec<u8>,
}

impl Chunk {
    fn with_room() -> Self {
        let packets = Vec::with_capacity(CHUNK_BYTES + usize::from(u8::MAX));
        Self { rows: Vec::with_capacity(CHUNK_ROWS), packets }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= CHUNK_ROWS
    }

    fn push(&mut self, received: Received, packet: Packet<'_>) {
        let bytes = packet.as_bytes();
        // Layouts have at most 184 bytes.
        self.rows.push((received, bytes.len() as u8));
        self.packets.extend_from_slice(bytes);
    }

    fn iter(&self) -> impl Iterator<Item = (Received, Packet<'_>)> {
        let mut rest = self.packets.as_slice();
        self.rows.iter().filter_map(move |&(received, len)| {
            let (packet, tail) = rest.split_at_checked(len.into())?;
            rest = tail;
            Some((received, Packet::from_bytes(packet).ok()?))
        })
    }
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
            let symbol = self.symbols.as_mut().map(|symbols| symbols.name(token));
            rows::write_tick(&mut self.cells, received, packet, symbol, self.depth);
        }
        self.cells.take()
    }
}

pub(crate) struct TextTicks<W: Write> {
    out: W,
    target: Target,
    chunk: Chunk,
    /// Maximum number of chunks in progress.
    most_outstanding: usize,
    pool: Pool<Chunk, Vec<u8>>,
    bytes: u64,
}

impl<W: Write> TextTicks<W> {
    pub(crate) fn new(
        out: W,
        target: Target,
        settings: TextSettings,
        symbols: Option<&crate::symbols::Symbols>,
        threads: usize,
    ) -> Result<Self, ExportError> {
        let TextSettings { times, depth, .. } = settings;
        let columns = crate::column::tick_columns(symbols.is_some(), depth);
        let cached = || symbols.map(crate::symbols::Symbols::cached);
        let pool = match settings.kind {
            TextKind::Csv { crlf } => Pool::start(threads, || {
                let cells = CsvCells::new(times, crlf);
                let mut formatter = Formatter { cells, symbols: cached(), depth };
                move |chunk: Chunk| formatter.format(&chunk)
            }),
            TextKind::JsonLines { prices_as_text } => Pool::start(threads, || {
                let cells = JsonCells::new(&columns, times, prices_as_text);
                let mut formatter = Formatter { cells, symbols: cached(), depth };
                move |chunk: Chunk| formatter.format(&chunk)
            }),
        };
        let pool = pool.map_err(|source| ExportError::Thread { threads, source })?;
        let most_outstanding = 2 * threads;
        let chunk = Chunk::with_room();
        let mut table = Self { out, target, chunk, most_outstanding, pool, bytes: 0 };
        if let TextKind::Csv { crlf } = settings.kind {
            table.write(&csv::header(&columns, crlf))?;
        }
        Ok(table)
    }

    fn submit(&mut self) -> Result<(), ExportError> {
        if self.pool.outstanding() >= self.most_outstanding {
            self.write_formatted()?;
        }
        self.pool.submit(std::mem::replace(&mut self.chunk, Chunk::with_room()));
        Ok(())
    }

    /// Writes the earliest chunk in progress; returns false if there is none.
    fn write_formatted(&mut self) -> Result<bool, ExportError> {
        let Some(text) = self.pool.take() else { return Ok(false) };
        let text = text.map_err(|_| ExportError::ThreadLost { target: self.target.clone() })?;
        self.write(&text)?;
        Ok(true)
    }

    fn write(&mut self, text: &[u8]) -> Result<(), ExportError> {
        self.bytes += text.len() as u64;
        let written = self.out.write_all(text);
        written.map_err(|source| ExportError::Write { target: self.target.clone(), source })
    }
}

impl<W: Write> TickTable for TextTicks<W> {
    fn push(&mut self, received: Received, packet: Packet<'_>) -> Result<(), ExportError> {
        self.chunk.push(received, packet);
        if self.chunk.is_full() { self.submit() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>, _: &Summary) -> Result<u64, ExportError> {
        self.submit()?;
        while self.write_formatted()? {}
        let flushed = self.out.flush();
        flushed.map_err(|source| ExportError::Write { target: self.target.clone(), source })?;
        Ok(self.bytes)
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
