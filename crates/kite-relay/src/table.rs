//! The last packet of each instrument that is subscribed upstream, for snapshots.

use kite_wire::{Frame, FrameBuilder, Mode, Packet, TokenMap};

use crate::newest::{NO_ROW, Row};
use crate::successors::Successors;

/// The last packets. Only instruments that were added have one, so that what still arrives after
/// an unsubscribe is not kept.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// The instrument of each row; 0, which Kite does not use, if the row is free.
    tokens: Vec<u32>,
    row_by_token: TokenMap<u32>,
    successors: Successors,
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
            self.tokens.push(token);
            (self.rows.len() - 1) as u32
        });
        self.rows[row as usize] = Row::new(token);
        self.tokens[row as usize] = token;
        self.row_by_token.insert(token, row);
    }

    /// Removes an instrument and its packet.
    pub(crate) fn remove(&mut self, token: u32) {
        if let Some(row) = self.row(token) {
            self.row_by_token.insert(token, NO_ROW);
            self.tokens[row as usize] = 0;
            self.free.push(row);
        }
    }

    /// Takes over the packets of a frame.
    pub(crate) fn update(&mut self, frame: &Frame<'_>) {
        let Self { rows, tokens, row_by_token, successors, .. } = self;
        for packet in frame.packets() {
            let token = packet.instrument_token();
            if let Some(row) = successors.find(token, tokens, || row_of(row_by_token, token)) {
                rows[row as usize].set(packet);
            }
        }
    }

    /// Returns a frame of the last packets of these instruments, each cut to its mode, with their
    /// number; `None` if there are none. Packets that are leaner than the mode are left out.
    pub(crate) fn snapshot(
        &self,
        asked: impl Iterator<Item = (u32, Mode)> + Clone,
    ) -> Option<(Vec<u8>, u16)> {
        let known = asked.filter_map(|(token, mode)| {
            let row = row_of(&self.row_by_token, token)?;
            let last = Packet::from_bytes(self.rows[row as usize].packet()).ok()?;
            (last.mode() >= mode).then(|| last.in_mode(mode))
        });
        // Counted first, because the frame may be much larger than anything else of a client.
        let bytes = known.clone().map(|packet| 2 + packet.as_bytes().len()).sum();
        let mut frame = FrameBuilder::with_capacity(bytes);
        for packet in known {
            if frame.push(packet).is_err() {
                break;
            }
        }
        let packets = frame.packets();
        (packets > 0).then(|| (frame.finish(), packets))
    }

    fn row(&self, token: u32) -> Option<u32> {
        row_of(&self.row_by_token, token)
    }
}

#[inline]
fn row_of(row_by_token: &TokenMap<u32>, token: u32) -> Option<u32> {
    row_by_token.get(token).copied().filter(|&row| row != NO_ROW)
}
