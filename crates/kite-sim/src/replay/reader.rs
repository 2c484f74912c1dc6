//! Reads a tape ahead, off the runtime's threads.

use bytes::Bytes;
use kite_server::LatestPackets;
use kite_wire::Frame;
use kite_wire::tape::{Received, RecordKind};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::options::Replay;

/// A batch ends with the record that makes it this large.
const BATCH_BYTES: usize = 1 << 20;
/// Maximum number of records of a batch, because heartbeats are only one byte long.
const BATCH_RECORDS: usize = 1_024;

/// One record of a tape.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) received: Received,
    pub(crate) kind: RecordKind,
    pub(crate) payload: Bytes,
}

/// A record, or a description of the damage in its place.
pub(crate) type Read = Result<Record, String>;
/// The records of a tape in order; an error does not end them.
pub(crate) type Records = Box<dyn Iterator<Item = Read> + Send>;

/// A source of records to replay.
pub(crate) trait Tape: Send + Sync + 'static {
    /// Returns the earliest and the latest time on the tape.
    fn span(&self) -> Option<(u64, u64)>;
    /// Returns the records, starting with the first received at or after a time.
    fn seek(&self, unix_ns: u64) -> Records;
    /// Returns whether what is between two times is left out, so that the replay does not wait for
    /// it.
    fn is_cut(&self, _from_unix_ns: u64, _to_unix_ns: u64) -> bool {
        false
    }
}

/// A tape, read up to the replay's start.
pub(crate) struct TapeStart {
    pub(crate) records: Records,
    pub(crate) latest: LatestPackets,
    /// Packets that are missing in these.
    pub(crate) not_kept: u64,
    /// Damage found on the way.
    pub(crate) damages: Vec<String>,
}

impl TapeStart {
    /// Reads the tape up to the replay's start. Blocks.
    pub(crate) fn new(replay: &Replay) -> Self {
        let (mut latest, mut not_kept, mut damages) = (LatestPackets::default(), 0, Vec::new());
        let from = replay.from_unix_ns.unwrap_or(0);
        let look_back = u64::try_from(replay.look_back.as_nanos()).unwrap_or(u64::MAX);
        if from == 0 || look_back == 0 || replay.is_verbatim() {
            return Self { records: replay.records(from), latest, not_kept, damages };
        }
        let mut records = replay.records(from.saturating_sub(look_back));
        let mut first = None;
        for read in records.by_ref() {
            match read {
                Ok(record) if record.received.recv_unix_ns >= from => {
                    first = Some(Ok(record));
                    break;
                }
                Ok(record) if replay.takes(record.received.source) => {
                    if record.kind == RecordKind::Binary {
                        not_kept += latest.add(&Frame::walk(&record.payload));
                    }
                }
                Ok(_) => {}
                Err(damage) => damages.push(damage),
            }
        }
        let records = Box::new(first.into_iter().chain(records));
        Self { records, latest, not_kept, damages }
    }
}

/// Records read in batches, the next while the last is replayed.
pub(crate) struct Reader {
    batch: std::vec::IntoIter<Read>,
    next: Option<JoinHandle<Batch>>,
}

struct Batch {
    reads: Vec<Read>,
    /// `None` at the end of the tape.
    rest: Option<Records>,
}

impl Reader {
    pub(crate) fn new(records: Records) -> Self {
        Self { batch: Vec::new().into_iter(), next: Some(read_ahead(records)) }
    }

    /// Returns the next record; `None` at the end.
    ///
    /// # Errors
    /// Returns an error if reading panicked; no more records follow.
    pub(crate) async fn next(&mut self) -> Result<Option<Read>, JoinError> {
        loop {
            if let Some(read) = self.batch.next() {
                return Ok(Some(read));
            }
            let Some(next) = self.next.take() else { return Ok(None) };
            let Batch { reads, rest } = next.await?;
            self.batch = reads.into_iter();
            self.next = rest.map(read_ahead);
        }
    }
}

/// Reads a batch. A paused Tokio clock does not advance meanwhile.
fn read_ahead(mut records: Records) -> JoinHandle<Batch> {
    spawn_blocking(move || {
        let (mut reads, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && reads.len() < BATCH_RECORDS {
            let Some(read) = records.next() else { return Batch { reads, rest: None } };
            bytes += read.as_ref().map_or(0, |record| record.payload.len());
            reads.push(read);
        }
        Batch { reads, rest: Some(records) }
    })
}
