//! The newest packet of each instrument, for occasional readers.
//!
//! Packets are copied, so that none keeps its frame alive. The connections' tasks write without
//! waiting; readers never block them and never see a torn packet.

mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use kite_conn::{Batch, Stamp};
use kite_wire::{Command, CommandKind, Packet, Tick, TokenMap};
use parking_lot::RwLock;

use self::table::{Copied, Table, Writer};

/// Reads the newest packet of any instrument, across all connections. Cheap to clone.
///
/// It holds the packets of the current run, or of the last one while stopped; an instrument that
/// has been unsubscribed keeps its last packet, and what its connection still receives of it is not
/// stored. Instruments that were never subscribed on a
/// connection are not stored, and of the others at most 65,536 per connection, twenty times what a
/// connection can have at a time.
#[derive(Debug, Clone)]
pub struct Latest {
    /// By slot. Readers hold the read lock while they read; only a new run takes the write lock, to
    /// replace its tables. Writing packets takes no lock.
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
    /// Returns the packet, a view into this copy.
    ///
    /// # Panics
    /// Never panics, because only valid packets are stored.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        #[expect(clippy::expect_used, reason = "only packets are written, and read whole")]
        Packet::from_bytes(&self.copied.bytes[..self.copied.len]).expect("it was a packet")
    }

    /// Returns the packet as an owned tick.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.packet().into()
    }

    /// Returns when its frame was read from the socket.
    #[must_use]
    pub fn received(&self) -> Stamp {
        self.received
    }

    /// Returns the number of the socket within its connection, from 1.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.copied.epoch
    }

    /// Returns the number of the connection, counted across all accounts.
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
    /// Creates an empty table for each of `slots` connections.
    pub(crate) fn new(slots: usize) -> Self {
        let tables = (0..slots).map(|_| Arc::new(Table::new())).collect();
        Self { tables: Arc::new(RwLock::new(tables)) }
    }

    /// Copies the newest packet of an instrument; `None` if none was received in this run. If
    /// several connections have carried the instrument, it is the packet received last.
    #[must_use]
    pub fn get(&self, instrument_token: u32) -> Option<LatestTick> {
        let tables = self.tables.read();
        let found = tables.iter().enumerate();
        let found = found.filter_map(|(slot, table)| Some((slot, table.get(instrument_token)?)));
        let (slot, copied) = found.max_by_key(|(_, copied)| copied.received_ns)?;
        let received = Stamp::from_nanos(copied.received_ns);
        Some(LatestTick { copied, received, slot })
    }

    /// Returns the number of packets that were not stored, because their instrument was not
    /// subscribed or there were too many instruments.
    #[must_use]
    pub fn refused(&self) -> u64 {
        let tables = self.tables.read();
        tables.iter().map(|table| table.refused()).sum()
    }

    /// Creates the sink of a connection for a new run. Readers now see only what this sink
    /// receives, nothing at first; a sink of an earlier run no longer has an effect.
    ///
    /// # Panics
    /// Panics if there is no such slot.
    pub(crate) fn sink(&self, slot: usize) -> LatestSink {
        let table = Arc::new(Table::new());
        let mut tables = self.tables.write();
        tables[slot] = Arc::clone(&table);
        LatestSink { table, instruments: 0, subscribed: TokenMap::new() }
    }
}

/// The writing end for one connection in one run; created by [`Latest::sink`].
#[derive(Debug)]
pub(crate) struct LatestSink {
    table: Arc<Table>,
    instruments: usize,
    /// The instruments that were subscribed in this run: a faulty server may send any others.
    subscribed: TokenMap<()>,
}

impl LatestSink {
    /// Stores the packets of a batch, apart from those of the instruments in `former`.
    pub(crate) fn on_batch(&mut self, batch: &Batch, former: &TokenMap<()>) {
        let Self { table, instruments, subscribed } = self;
        let mut writer = Writer { table, len: instruments, subscribed };
        let received_ns = batch.received.as_nanos();
        for packet in batch.ticks.packets() {
            if former.is_empty() || !former.contains(packet.instrument_token()) {
                writer.put(packet, received_ns, batch.epoch);
            }
        }
    }

    /// Handles a command that the connection sends.
    pub(crate) fn on_command(&mut self, command: Command<'_>) {
        if command.kind() != CommandKind::Unsubscribe {
            for &token in command.tokens() {
                self.subscribed.insert(token, ());
            }
        }
    }
}
