//! What a run has written to one file, so that it can be reported if the file is lost.

use std::path::Path;

use kite_wire::tape::{GapReason, Source};

use super::tally::Tally;
use crate::file::{Part, TapeFile};
use crate::queue::Loss;
use crate::unpack::unpack;

/// The account of one file.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) tape_id: u64,
    /// The number of this run's first block.
    pub(crate) first_sequence: u32,
    /// The records of this run.
    pub(crate) tally: Tally,
    /// The length of their blocks.
    pub(crate) bytes: u64,
    /// The records before them, if the file was continued.
    earlier: Option<Earlier>,
}

/// What a file no longer has.
#[derive(Debug)]
pub(crate) struct Missing {
    /// The records of this run.
    pub(crate) tally: Tally,
    /// The length of their blocks.
    pub(crate) bytes: u64,
    /// The records of earlier runs, whose number is not known.
    pub(crate) earlier: Option<Loss>,
}

/// The records of earlier runs.
#[derive(Debug, Clone, Copy)]
struct Earlier {
    /// Where they end, in bytes from the start of the file.
    end: usize,
    from_unix_ns: u64,
    to_unix_ns: u64,
}

impl Written {
    /// Starts the account of a new file.
    pub(crate) fn new(tape_id: u64) -> Self {
        Self { tape_id, first_sequence: 0, tally: Tally::default(), bytes: 0, earlier: None }
    }

    /// Starts the account of a file that is continued with this block.
    pub(crate) fn after(file: &TapeFile, first_sequence: u32) -> Self {
        let ends = file.parts().iter().map(|part| match part {
            Part::Block { end, .. } => *end,
            Part::Skipped(..) => 0,
        });
        let end = ends.max().unwrap_or(0);
        let earlier =
            file.span().map(|(from_unix_ns, to_unix_ns)| Earlier { end, from_unix_ns, to_unix_ns });
        Self { first_sequence, earlier, ..Self::new(file.tape().tape_id()) }
    }

    /// Returns what can no longer be read at the path of the file.
    pub(crate) fn missing(&self, path: &Path) -> Missing {
        let found = TapeFile::open(path).ok().filter(|it| it.tape().tape_id() == self.tape_id);
        let Some(file) = found else {
            let earlier = self.earlier.map(|it| it.lost_since(it.from_unix_ns));
            return Missing { tally: self.tally.clone(), bytes: self.bytes, earlier };
        };
        let (mut rest, mut bytes) = (Tally::default(), 0);
        let (mut end, mut latest) = (0, None);
        for part in file.parts() {
            let Part::Block { offset, end: block_end, latest_unix_ns, .. } = *part else {
                continue;
            };
            let block = file.tape().block_at(offset);
            if block.is_some_and(|it| it.sequence() < self.first_sequence) {
                (end, latest) = (block_end, latest_unix_ns.or(latest));
                continue;
            }
            bytes += (block_end - offset) as u64;
            for entry in unpack(&file, *part).items.into_iter().flatten() {
                rest.note(entry.received, entry.kind, &entry.payload);
            }
        }
        let earlier = self.earlier.filter(|it| end < it.end);
        let lost = earlier.map(|it| it.lost_since(latest.unwrap_or(it.from_unix_ns)));
        Missing {
            tally: self.tally.without(&rest),
            bytes: self.bytes.saturating_sub(bytes),
            earlier: lost,
        }
    }
}

impl Earlier {
    fn lost_since(&self, from_unix_ns: u64) -> Loss {
        Loss {
            source: Source::RECORDER,
            reason: GapReason::WriteFailed,
            from_unix_ns: from_unix_ns.min(self.to_unix_ns),
            to_unix_ns: self.to_unix_ns,
            frames: None,
        }
    }
}
