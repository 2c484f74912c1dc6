//! The newest packet of each instrument, copied out of its frame.

use kite_wire::{FrameBuilder, Packet, TokenMap};

use crate::clock::Stamp;
use crate::deliver::Batch;

/// The largest packet count a frame can declare, about twenty times Kite's limit of instruments per
/// connection. Keeps a faulty server from exhausting memory.
pub(super) const MAX_ROWS: usize = u16::MAX as usize;

/// Frames folded into one, which has the newest packet of each instrument, in the order of the
/// instruments' first packets.
#[derive(Debug)]
pub(super) struct Table {
    received: Stamp,
    epoch: u32,
    sequence: u64,
    rows: Vec<Row>,
    places: TokenMap<u32>,
    packets: Vec<u8>,
    sums: Sums,
}

/// Totals of the packets folded in. They never decrease.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Packets replaced by newer ones.
    pub(super) replaced: u64,
    /// Packets dropped because the table was full.
    pub(super) lost: u64,
    /// Length of `packets`, including bytes that are no longer used.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Row {
    token: u32,
    at: usize,
    len: usize,
    /// Bytes reserved, the length of this instrument's longest packet so far.
    room: usize,
}

impl Table {
    /// Creates a table from a frame.
    pub(super) fn new(batch: &Batch) -> Self {
        let mut table = Self {
            received: batch.received,
            epoch: batch.epoch,
            sequence: batch.sequence,
            rows: Vec::new(),
            places: TokenMap::new(),
            packets: Vec::new(),
            sums: Sums::default(),
        };
        table.fold(batch);
        table
    }

    /// Folds a newer frame in.
    pub(super) fn fold(&mut self, newer: &Batch) {
        for packet in newer.ticks.packets() {
            self.put(packet.instrument_token(), packet.as_bytes());
        }
        (self.received, self.epoch, self.sequence) = (newer.received, newer.epoch, newer.sequence);
    }

    /// Folds in a table of newer frames.
    pub(super) fn fold_table(&mut self, newer: &Self) {
        for row in &newer.rows {
            self.put(row.token, newer.packet(row));
        }
        self.sums.replaced += newer.sums.replaced;
        self.sums.lost += newer.sums.lost;
        (self.received, self.epoch, self.sequence) = (newer.received, newer.epoch, newer.sequence);
    }

    fn put(&mut self, token: u32, packet: &[u8]) {
        let len = packet.len();
        match self.places.get(token) {
            Some(&place) => {
                self.sums.replaced += 1;
                let row = &mut self.rows[place as usize];
                row.len = len;
                if len <= row.room {
                    self.packets[row.at..row.at + len].copy_from_slice(packet);
                    return;
                }
                // Leave the old bytes unused; this happens at most once per packet layout.
                (row.at, row.room) = (self.packets.len(), len);
            }
            None if self.rows.len() < MAX_ROWS => {
                self.places.insert(token, self.rows.len() as u32);
                self.rows.push(Row { token, at: self.packets.len(), len, room: len });
            }
            None => {
                self.sums.lost += 1;
                return;
            }
        }
        self.packets.extend_from_slice(packet);
        self.sums.bytes += len;
    }

    fn packet(&self, row: &Row) -> &[u8] {
        &self.packets[row.at..row.at + row.len]
    }

    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    /// Returns the rows as one frame, with the stamp, epoch and sequence of the newest frame.
    pub(super) fn to_batch(&self) -> Batch {
        let mut frame = FrameBuilder::with_capacity(self.rows.iter().map(|row| 2 + row.len).sum());
        // Each row is a packet, and a frame can hold all of them.
        for packet in self.rows.iter().flat_map(|row| Packet::from_bytes(self.packet(row))) {
            if frame.push(packet).is_err() {
                break;
            }
        }
        let ticks = frame.finish_batch();
        Batch::new(ticks, self.received, self.epoch, self.sequence)
    }
}
