//! The table of ticks as a tree of files, one in each partition.
//!
//! An exchange lists more instruments than files can be open. The first reading of the tapes finds
//! all partitions and writes the first of them; the tapes are then read again for the next ones,
//! until all are written. Each file is thus written from start to end while it is open, in row
//! groups as large as memory allows, and needs no temporary copy of its rows.

use std::path::Path;

use kite_wire::Packet;
use kite_wire::tape::Received;

use crate::chunk::Chunk;
use crate::error::ExportError;
use crate::partition::Partitions;
use crate::settings::Format;
use crate::summary::Summary;
use crate::table::{TickFiles, TickTable};
use crate::tree::{OutputTree, TreeFile};

/// Maximum number of files open at the same time; many systems allow a process 1,024.
const MOST_OPEN: usize = 256;

/// Maximum number of rows waiting in all partitions together. A full packet and its receive time
/// take 208 bytes.
const MOST_WAITING: usize = 1 << 20;

/// Returns the name of the file in each partition.
pub(crate) fn file_name(format: Format) -> String {
    format!("ticks.{}", format.extension())
}

pub(crate) struct PartitionedTicks<'a> {
    tree: &'a mut OutputTree,
    files: Box<dyn TickFiles<TreeFile> + 'a>,
    partitions: Partitions,
    /// The partitions found, by number.
    found: Vec<Found>,
    /// Name of the file in each partition.
    file_name: String,
    /// Rows of a partition after which they are written.
    most_rows: usize,
    /// The first partition of the present reading.
    first: usize,
    /// Rows that this reading has still to find; `None` in the first, which finds the partitions.
    left: Option<u64>,
    /// Rows waiting for each open file.
    waiting: Vec<Chunk>,
    rows_waiting: usize,
    bytes: u64,
}

/// A partition found, and what is in it.
struct Found {
    directory: String,
    rows: u64,
    first_recv_unix_ns: u64,
    last_recv_unix_ns: u64,
}

impl<'a> PartitionedTicks<'a> {
    pub(crate) fn new(
        tree: &'a mut OutputTree,
        files: Box<dyn TickFiles<TreeFile> + 'a>,
        partitions: Partitions,
        file_name: String,
        most_rows: usize,
    ) -> Self {
        Self {
            tree,
            files,
            partitions,
            found: Vec::new(),
            file_name,
            most_rows,
            first: 0,
            left: None,
            waiting: Vec::new(),
            rows_waiting: 0,
            bytes: 0,
        }
    }

    /// Counts a row, and returns the number of its partition.
    #[inline]
    fn partition(&mut self, recv_unix_ns: u64, instrument_token: u32) -> usize {
        let (number, new) = self.partitions.of(recv_unix_ns, instrument_token);
        if let Some(directory) = new {
            let (first_recv_unix_ns, last_recv_unix_ns) = (recv_unix_ns, recv_unix_ns);
            self.found.push(Found { directory, rows: 0, first_recv_unix_ns, last_recv_unix_ns });
        }
        if let (None, Some(found)) = (self.left, self.found.get_mut(number)) {
            found.rows += 1;
            found.first_recv_unix_ns = found.first_recv_unix_ns.min(recv_unix_ns);
            found.last_recv_unix_ns = found.last_recv_unix_ns.max(recv_unix_ns);
        }
        number
    }

    /// Opens the files up to the one with this number in the present reading.
    fn open_to(&mut self, file: usize) -> Result<(), ExportError> {
        while self.waiting.len() <= file {
            let Some(found) = self.found.get(self.first + self.waiting.len()) else { break };
            let path = Path::new(&found.directory).join(&self.file_name);
            let out = self.tree.file(&path)?;
            let target = out.target();
            self.files.add(out, target)?;
            self.waiting.push(Chunk::default());
        }
        Ok(())
    }

    fn write(&mut self, file: usize) -> Result<(), ExportError> {
        let rows = std::mem::take(&mut self.waiting[file]);
        self.rows_waiting -= rows.rows();
        if rows.rows() == 0 { Ok(()) } else { self.files.write(file, rows) }
    }

    /// Writes the rows of the partition with the most, which keeps row groups large.
    fn write_most(&mut self) -> Result<(), ExportError> {
        let sizes = self.waiting.iter().map(Chunk::rows).enumerate();
        match sizes.max_by_key(|&(_, rows)| rows) {
            Some((file, _)) => self.write(file),
            None => Ok(()),
        }
    }

    fn close_all(&mut self, summary: &Summary) -> Result<(), ExportError> {
        for file in 0..self.waiting.len() {
            self.write(file)?;
        }
        let (found, first) = (&self.found, self.first);
        let complete = self.files.complete(&|file| match found.get(first + file) {
            Some(found) => Summary {
                rows: found.rows,
                first_recv_unix_ns: Some(found.first_recv_unix_ns),
                last_recv_unix_ns: Some(found.last_recv_unix_ns),
                ..summary.clone()
            },
            None => summary.clone(),
        })?;
        for (file, bytes) in complete {
            file.close()?;
            self.bytes += bytes;
        }
        self.waiting.clear();
        Ok(())
    }
}

impl TickTable for PartitionedTicks<'_> {
    fn push(&mut self, received: Received, packet: Packet<'_>) -> Result<(), ExportError> {
        let number = self.partition(received.recv_unix_ns, packet.instrument_token());
        let Some(file) = number.checked_sub(self.first).filter(|&file| file < MOST_OPEN) else {
            return Ok(());
        };
        if file >= self.waiting.len() {
            self.open_to(file)?;
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        let waiting = &mut self.waiting[file];
        waiting.push(received, packet);
        self.rows_waiting += 1;
        if waiting.rows() >= self.most_rows {
            self.write(file)
        } else if self.rows_waiting >= MOST_WAITING {
            self.write_most()
        } else {
            Ok(())
        }
    }

    fn has_all(&self) -> bool {
        self.left == Some(0)
    }

    fn next_reading(&mut self, summary: &Summary) -> Result<Option<u64>, ExportError> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(ExportError::TapesChanged);
        }
        self.close_all(summary)?;
        self.first += MOST_OPEN;
        let next = self.found.iter().skip(self.first).take(MOST_OPEN);
        self.left = Some(next.clone().map(|found| found.rows).sum());
        Ok(next.map(|found| found.first_recv_unix_ns).min())
    }

    fn finish(&mut self, _: &Summary) -> Result<(u64, u64), ExportError> {
        Ok((self.found.len() as u64, self.bytes))
    }
}
