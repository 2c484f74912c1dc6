//! The newest packet of each instrument, copied out of frames that a client was too slow for.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use bytes::Bytes;
use kite_wire::{Frame, FrameBuilder, FullPacket, Packet, TokenMap};

/// Rows of a block: few, so that little memory is reserved and not used.
const BLOCK_ROWS: usize = 256;

/// In place of a row's number for an instrument without one.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// The newest packets, in the order of their instruments' first packets.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    rows: Rows,
    row_by_token: TokenMap<u32>,
    /// The rows in use.
    order: VecDeque<u32>,
    free: Vec<u32>,
}

/// Rows in blocks that stay where they are: a vector would hold its rows twice while it grows.
#[derive(Debug, Default)]
struct Rows(Vec<Vec<Row>>);

/// A copy of an instrument's packet. Aligned so that it takes no more than three cache lines.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Row {
    token: u32,
    len: u8,
    bytes: [u8; FullPacket::LEN],
}

impl Row {
    /// Creates a row without a packet.
    pub(crate) fn new(token: u32) -> Self {
        Self { token, len: 0, bytes: [0; FullPacket::LEN] }
    }

    /// Returns the packet; empty if there is none.
    pub(crate) fn packet(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(crate) fn set(&mut self, packet: Packet<'_>) {
        let packet = packet.as_bytes();
        // The longest layout has 184 bytes.
        self.len = packet.len() as u8;
        match packet.first_chunk() {
            // A copy of constant length is not a call.
            Some(full) => self.bytes = *full,
            None => self.bytes[..packet.len()].copy_from_slice(packet),
        }
    }
}

impl Rows {
    /// Appends a row, and returns its number.
    fn push(&mut self, row: Row) -> u32 {
        match self.0.last_mut().filter(|block| block.len() < BLOCK_ROWS) {
            Some(block) => block.push(row),
            None => {
                let mut block = Vec::with_capacity(BLOCK_ROWS);
                block.push(row);
                self.0.push(block);
            }
        }
        let in_last = self.0.last().map_or(0, Vec::len);
        ((self.0.len() - 1) * BLOCK_ROWS + in_last - 1) as u32
    }
}

impl Index<u32> for Rows {
    type Output = Row;

    fn index(&self, row: u32) -> &Row {
        &self.0[row as usize / BLOCK_ROWS][row as usize % BLOCK_ROWS]
    }
}

impl IndexMut<u32> for Rows {
    fn index_mut(&mut self, row: u32) -> &mut Row {
        &mut self.0[row as usize / BLOCK_ROWS][row as usize % BLOCK_ROWS]
    }
}

impl Newest {
    /// Returns the number of instruments, of which each has a packet.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds a newer frame, and returns how many packets it replaced, in the table or within itself.
    pub(crate) fn fold(&mut self, frame: &[u8]) -> u64 {
        Frame::walk(frame).packets().map(|packet| u64::from(self.put(packet))).sum()
    }

    fn put(&mut self, packet: Packet<'_>) -> bool {
        let token = packet.instrument_token();
        let known = self.row_by_token.get(token).copied().filter(|&row| row != NO_ROW);
        let row = known.unwrap_or_else(|| self.add(token));
        self.rows[row].set(packet);
        known.is_some()
    }

    fn add(&mut self, token: u32) -> u32 {
        let new = Row::new(token);
        let row = match self.free.pop() {
            Some(row) => {
                self.rows[row] = new;
                row
            }
            None => self.rows.push(new),
        };
        self.row_by_token.insert(token, row);
        self.order.push_back(row);
        row
    }

    /// Removes the first packets, of at most `most_bytes` in total but at least one, and returns
    /// them as a frame with their number; `None` if there are none.
    pub(crate) fn take(&mut self, most_bytes: usize) -> Option<(Bytes, u16)> {
        let mut bytes = 0;
        let fits = |row: &&u32| {
            let is_first = bytes == 0;
            bytes += 2 + usize::from(self.rows[**row].len);
            is_first || bytes <= most_bytes
        };
        let count = self.order.iter().take(usize::from(u16::MAX)).take_while(fits).count();
        let mut frame = FrameBuilder::with_capacity(bytes);
        for row in self.order.drain(..count) {
            let held = &self.rows[row];
            // Only whole packets are stored, and a frame has room for as many.
            if let Ok(packet) = Packet::from_bytes(held.packet()) {
                frame.push(packet).ok();
            }
            self.row_by_token.insert(held.token, NO_ROW);
            self.free.push(row);
        }
        let packets = frame.packets();
        (packets > 0).then(|| (frame.finish().into(), packets))
    }

    /// Removes the packets of these instruments, and returns how many there were.
    pub(crate) fn forget(&mut self, tokens: impl IntoIterator<Item = u32>) -> u64 {
        let before = self.len();
        for token in tokens {
            let row = self.row_by_token.get(token).copied().unwrap_or(NO_ROW);
            if row != NO_ROW {
                self.row_by_token.insert(token, NO_ROW);
                self.rows[row].len = 0;
                self.free.push(row);
            }
        }
        self.order.retain(|&row| self.rows[row].len > 0);
        (before - self.len()) as u64
    }

    /// Returns the memory in use, in bytes, without what grows only with the number of different
    /// instruments.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.rows.0.len() * BLOCK_ROWS * size_of::<Row>()
    }
}
