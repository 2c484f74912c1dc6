//! The last packet of each instrument that is subscribed upstream, for snapshots.

use kite_wire::{Frame, FrameBuilder, Mode, Packet, TokenMap};

use crate::newest::{NO_ROW, Row};

/// The last packets. Only instruments that were added have one, so that what still arrives after
/// an unsubscribe is not kept.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    row_by_token: TokenMap<u32>,
    free: Vec<u32>,
}

impl Table {
    /// Makes room for an instrument. Keeps its packet if it has one.
    pub(crate) fn add(&mut self, token: u32) {
        if self.row(token).is_some() {
            return;
        }
        let row = self.free.pop().unwrap_or_else(|| {
            self.rows.push(Row::new(token));
            (self.rows.len() - 1) as u32
        });
        self.rows[row as usize] = Row::new(token);
        self.row_by_token.insert(token, row);
    }

    /// Removes an instrument and its packet.
    pub(crate) fn remove(&mut self, token: u32) {
        if let Some(row) = self.row(token) {
            self.row_by_token.insert(token, NO_ROW);
            self.free.push(row);
        }
    }

    /// Takes over the packets of a frame.
    pub(crate) fn update(&mut self, frame: &Frame<'_>) {
        for packet in frame.packets() {
            if let Some(row) = self.row(packet.instrument_token()) {
                self.rows[row as usize].set(packet);
            }
        }
    }

    /// Returns a frame of the last packets of these instruments, each cut to its mode, with their
    /// number; `None` if there are none. Packets that are leaner than the mode are left out.
    pub(crate) fn snapshot(
        &self,
        asked: impl Iterator<Item = (u32, Mode)>,
    ) -> Option<(Vec<u8>, u16)> {
        let mut frame = FrameBuilder::default();
        for (token, mode) in asked {
            let Some(row) = self.row(token) else { continue };
            let last = Packet::from_bytes(self.rows[row as usize].packet());
            if let Ok(packet) = last
                && packet.mode() >= mode
                && frame.push(packet.in_mode(mode)).is_err()
            {
                break;
            }
        }
        let packets = frame.packets();
        (packets > 0).then(|| (frame.finish(), packets))
    }

    #[inline]
    fn row(&self, token: u32) -> Option<u32> {
        self.row_by_token.get(token).copied().filter(|&row| row != NO_ROW)
    }
}
