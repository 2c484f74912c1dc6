//! The tables of tapes in memory, as record batches that are read one after the other.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use kite_wire::Packet;
use kite_wire::tape::Received;

use crate::arrow::{BarColumns, EventRows, TickBatches};
use crate::bars::{BarRow, Rows as BarRows};
use crate::chunk::Chunk;
use crate::error::{EncodeFailure, ExportError, Target};
use crate::pool::Pool;
use crate::summary::Summary;
use crate::table::{Event, EventTable, TickTable};

/// Rows of a batch. With market depth a batch takes 8 MB, and its packets 3 MB while they wait.
const BATCH_ROWS: usize = 16_384;

/// The rows of tapes as record batches, in the order of the tape. [`Export::to_batches`],
/// [`Export::to_event_batches`] and [`Bars::to_batches`](crate::Bars::to_batches) return it.
///
/// Nothing is read before the first batch is asked for. Threads then read ahead of the caller by a
/// few batches, and wait for it. Dropped early, it ends them.
///
/// [`Export::to_batches`]: crate::Export::to_batches
/// [`Export::to_event_batches`]: crate::Export::to_event_batches
pub struct Batches<S = Summary> {
    schema: SchemaRef,
    state: State<S>,
}

/// Reads the tapes, and passes batches to the output.
type Read<S> = dyn FnOnce(Output) -> Result<S, ExportError> + Send;

enum State<S> {
    Ready(Box<Read<S>>),
    Running(Reading<S>),
    /// `None` if it failed.
    Ended(Option<Box<S>>),
}

/// The thread that reads the tapes.
struct Reading<S> {
    batches: Receiver<RecordBatch>,
    thread: JoinHandle<Result<S, ExportError>>,
    is_dropped: Arc<AtomicBool>,
}

impl<S: Send + 'static> Batches<S> {
    pub(crate) fn new(
        schema: SchemaRef,
        read: impl FnOnce(Output) -> Result<S, ExportError> + Send + 'static,
    ) -> Self {
        Self { schema, state: State::Ready(Box::new(read)) }
    }

    /// Returns the schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns what was read once all batches were: counts of everything that is missing or damaged
    /// too. `None` before, and after an error.
    #[must_use]
    pub fn summary(&self) -> Option<&S> {
        match &self.state {
            State::Ended(summary) => summary.as_deref(),
            _ => None,
        }
    }

    /// Waits for the next batch, at most for this time. `None` is the end; `Some(Ok(None))` means
    /// that no batch is ready yet.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if the tapes could not be read to the end; it is returned once.
    pub fn next_within(
        &mut self,
        time: Duration,
    ) -> Option<Result<Option<RecordBatch>, ExportError>> {
        self.receive(|batches| batches.recv_timeout(time))
    }

    fn receive(
        &mut self,
        receive: impl FnOnce(&Receiver<RecordBatch>) -> Result<RecordBatch, RecvTimeoutError>,
    ) -> Option<Result<Option<RecordBatch>, ExportError>> {
        if matches!(self.state, State::Ready(..)) {
            let ready = std::mem::replace(&mut self.state, State::Ended(None));
            if let State::Ready(read) = ready {
                match Reading::start(read) {
                    Ok(reading) => self.state = State::Running(reading),
                    Err(error) => return Some(Err(error)),
                }
            }
        }
        let State::Running(reading) = &self.state else { return None };
        match receive(&reading.batches) {
            Ok(batch) => Some(Ok(Some(batch))),
            Err(RecvTimeoutError::Timeout) => Some(Ok(None)),
            Err(RecvTimeoutError::Disconnected) => {
                match std::mem::replace(&mut self.state, State::Ended(None)) {
                    State::Running(reading) => match reading.finish() {
                        Ok(summary) => {
                            self.state = State::Ended(Some(Box::new(summary)));
                            None
                        }
                        Err(error) => Some(Err(error)),
                    },
                    _ => None,
                }
            }
        }
    }
}

impl<S: Send + 'static> Iterator for Batches<S> {
    type Item = Result<RecordBatch, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receive(|batches| batches.recv().map_err(|_| RecvTimeoutError::Disconnected))?
            .transpose()
    }
}

impl<S: Send + 'static> std::iter::FusedIterator for Batches<S> {}

impl<S> Drop for Batches<S> {
    fn drop(&mut self) {
        if let State::Running(reading) = std::mem::replace(&mut self.state, State::Ended(None)) {
            reading.is_dropped.store(true, Ordering::Relaxed);
            drop(reading.batches);
            // What it returns is of no use any more.
            let _ = reading.thread.join();
        }
    }
}

impl<S> fmt::Debug for Batches<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl<S: Send + 'static> Reading<S> {
    fn start(read: Box<Read<S>>) -> Result<Self, ExportError> {
        let (sender, batches) = mpsc::sync_channel(1);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let out = Output { batches: sender, is_dropped: is_dropped.clone() };
        let thread = thread::Builder::new().name("kite-export".into()).spawn(|| read(out));
        let thread = thread.map_err(|source| ExportError::Thread { threads: 1, source })?;
        Ok(Self { batches, thread, is_dropped })
    }

    fn finish(self) -> Result<S, ExportError> {
        let lost = |_| ExportError::ThreadLost { target: Target::Memory };
        self.thread.join().map_err(lost)?
    }
}

/// The caller's side of a reading.
pub(crate) struct Output {
    batches: SyncSender<RecordBatch>,
    is_dropped: Arc<AtomicBool>,
}

impl Output {
    fn send(&self, batch: Result<RecordBatch, EncodeFailure>) -> Result<(), ExportError> {
        let failed = |source| ExportError::Encode { target: Target::Memory, source };
        let batch = batch.map_err(failed)?;
        // The error is never seen, since the caller has dropped the batches.
        self.batches.send(batch).map_err(|_| ExportError::Cancelled { rows: 0 })
    }

    /// Returns whether the caller has dropped the batches.
    fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Relaxed)
    }
}

/// The table of ticks in memory, built by several threads.
pub(crate) struct MemoryTicks {
    out: Output,
    pool: Pool<Chunk, Result<RecordBatch, EncodeFailure>>,
    most_outstanding: usize,
    chunk: Chunk,
}

impl MemoryTicks {
    /// Starts the threads; `builder` is called once for each.
    pub(crate) fn new(
        out: Output,
        threads: usize,
        builder: impl Fn() -> TickBatches,
    ) -> Result<Self, ExportError> {
        let pool = Pool::start(threads, || {
            let mut batches = builder();
            move |chunk: Chunk| batches.build(chunk.iter())
        });
        let pool = pool.map_err(|source| ExportError::Thread { threads, source })?;
        Ok(Self { out, pool, most_outstanding: 2 * threads, chunk: Chunk::default() })
    }

    fn submit(&mut self) -> Result<(), ExportError> {
        if self.pool.outstanding() >= self.most_outstanding {
            self.send_built()?;
        }
        let chunk = std::mem::replace(&mut self.chunk, Chunk::with_room(BATCH_ROWS));
        if chunk.rows() > 0 {
            self.pool.submit(chunk);
        }
        Ok(())
    }

    /// Sends the earliest batch being built; returns false if there is none.
    fn send_built(&mut self) -> Result<bool, ExportError> {
        let Some(batch) = self.pool.take() else { return Ok(false) };
        let lost = |_| ExportError::ThreadLost { target: Target::Memory };
        self.out.send(batch.map_err(lost)?)?;
        Ok(true)
    }
}

impl TickTable for MemoryTicks {
    fn push(&mut self, received: Received, packet: Packet<'_>) -> Result<(), ExportError> {
        self.chunk.push(received, packet);
        if self.chunk.rows() >= BATCH_ROWS { self.submit() } else { Ok(()) }
    }

    fn is_abandoned(&self) -> bool {
        self.out.is_dropped()
    }

    fn finish(&mut self, _: &Summary) -> Result<(u64, u64), ExportError> {
        self.submit()?;
        while self.send_built()? {}
        Ok((0, 0))
    }
}

/// No table of ticks: only their events are read.
pub(crate) struct NoTicks {
    is_dropped: Arc<AtomicBool>,
}

impl NoTicks {
    pub(crate) fn new(out: &Output) -> Self {
        Self { is_dropped: out.is_dropped.clone() }
    }
}

impl TickTable for NoTicks {
    fn push(&mut self, _: Received, _: Packet<'_>) -> Result<(), ExportError> {
        Ok(())
    }

    fn is_abandoned(&self) -> bool {
        self.is_dropped.load(Ordering::Relaxed)
    }

    fn finish(&mut self, _: &Summary) -> Result<(u64, u64), ExportError> {
        Ok((0, 0))
    }
}

/// The table of events in memory.
pub(crate) struct MemoryEvents {
    out: Output,
    rows: EventRows,
}

impl MemoryEvents {
    pub(crate) fn new(out: Output, rows: EventRows) -> Self {
        Self { out, rows }
    }

    fn send(&mut self) -> Result<(), ExportError> {
        let batch = self.rows.take().map_err(EncodeFailure::new).transpose();
        batch.map_or(Ok(()), |batch| self.out.send(batch))
    }
}

impl EventTable for MemoryEvents {
    fn push(&mut self, event: &Event<'_>) -> Result<(), ExportError> {
        if self.rows.push(event) { self.send() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>, _: &Summary) -> Result<(), ExportError> {
        self.send()
    }
}

/// The table of bars in memory.
pub(crate) struct MemoryBars {
    out: Output,
    columns: BarColumns,
}

impl MemoryBars {
    pub(crate) fn new(out: Output, columns: BarColumns) -> Self {
        Self { out, columns }
    }

    fn send(&mut self) -> Result<(), ExportError> {
        match self.columns.rows() {
            0 => Ok(()),
            _ => self.out.send(self.columns.take().map_err(EncodeFailure::new)),
        }
    }
}

impl BarRows for MemoryBars {
    fn push(&mut self, row: BarRow<'_>) -> Result<(), ExportError> {
        self.columns.push(row);
        if self.columns.rows() >= BATCH_ROWS { self.send() } else { Ok(()) }
    }

    fn is_abandoned(&self) -> bool {
        self.out.is_dropped()
    }

    fn finish(&mut self, _: &Summary) -> Result<u64, ExportError> {
        self.send()?;
        Ok(0)
    }
}
