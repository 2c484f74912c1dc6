//! The newest packet of each instrument, kept for whoever asks now and then.
//!
//! Packets are copied, so that none pins its frame. The connections' tasks write and never wait;
//! readers never lock them out, and never get half of one packet and half of the next.

mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use kite_conn::{Batch, Event, Sink, Stamp};
use kite_wire::{Packet, Tick};
use parking_lot::RwLock;

use self::table::{Copied, Table, Writer};

/// Reads the newest packet of any instrument, over all connections. Cheap to clone.
///
/// It knows what came in the present run, or in the last one while stopped; an instrument that was
/// unsubscribed since keeps its last packet. Of each connection it remembers 65,536 instruments at
/// most, twenty times what one can subscribe.
#[derive(Debug, Clone)]
pub struct Latest {
    /// By slot. Readers hold the lock while they read; it is locked against them only when a run
    /// replaces its tables, and never by who writes packets.
    tables: Arc<RwLock<Box<[Arc<Table>]>>>,
}

/// The newest packet of an instrument, copied.
#[derive(Clone, Copy)]
pub struct LatestTick {
    copied: Copied,
    received: Stamp,
    slot: usize,
}

impl LatestTick {
    /// Gives the packet, a view into this copy.
    ///
    /// # Panics
    /// Never: only packets are kept.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        #[expect(clippy::expect_used, reason = "only packets are written, and read whole")]
        Packet::from_bytes(&self.copied.bytes[..self.copied.len]).expect("it was a packet")
    }

    /// Gives the packet as an owned tick.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.packet().into()
    }

    /// Gives when its frame was read from the socket.
    #[must_use]
    pub fn received(&self) -> Stamp {
        self.received
    }

    /// Gives the number of the socket among its connection's, from 1.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.copied.epoch
    }

    /// Gives the number of the connection over all accounts.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }
}

impl fmt::Debug for LatestTick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatestTick")
            .field("tick", &self.tick())
            .field("received", &self.received)
            .field("epoch", &self.epoch())
            .field("slot", &self.slot)
            .finish()
    }
}

impl Latest {
    /// Makes a reader over so many connections, and nothing to read.
    pub(crate) fn new(slots: usize) -> Self {
        let tables = (0..slots).map(|_| Arc::new(Table::new())).collect();
        Self { tables: Arc::new(RwLock::new(tables)) }
    }

    /// Copies the newest packet of an instrument; `None` if none came in this run. Where several
    /// connections have had the instrument, it is the one received last.
    #[must_use]
    pub fn get(&self, instrument_token: u32) -> Option<LatestTick> {
        let tables = self.tables.read();
        let found = tables.iter().enumerate();
        let found = found.filter_map(|(slot, table)| Some((slot, table.get(instrument_token)?)));
        let (slot, copied) = found.max_by_key(|(_, copied)| copied.received_ns)?;
        let received = Stamp::from_nanos(copied.received_ns);
        Some(LatestTick { copied, received, slot })
    }

    /// Gives how many packets were not remembered, their instruments being too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        let tables = self.tables.read();
        tables.iter().map(|table| table.refused()).sum()
    }

    /// Makes the sink of a connection for a new run: from now on readers see what it is given,
    /// nothing at first. One of an earlier run may still be there, unheard.
    ///
    /// # Panics
    /// If there is no such slot.
    pub(crate) fn sink(&self, slot: usize) -> LatestSink {
        let table = Arc::new(Table::new());
        let mut tables = self.tables.write();
        tables[slot] = Arc::clone(&table);
        LatestSink { table, instruments: 0 }
    }
}

/// The writing end for one connection in one run; made by [`Latest::sink`].
#[derive(Debug)]
pub(crate) struct LatestSink {
    table: Arc<Table>,
    instruments: usize,
}

impl Sink for LatestSink {
    fn on_batch(&mut self, batch: &Batch) {
        let mut writer = Writer { table: &self.table, len: &mut self.instruments };
        let received_ns = batch.received.as_nanos();
        for packet in batch.ticks.packets() {
            writer.put(packet, received_ns, batch.epoch);
        }
    }

    fn on_event(&mut self, _: &Event) {}
}
