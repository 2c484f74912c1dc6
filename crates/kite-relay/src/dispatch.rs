//! Cuts a frame into the part of each group of clients.
//!
//! One pass over the packets, with a look-up each, then one copy for each group that does not get
//! the whole frame. Every richer layout begins with the leaner one, so that a packet is cut by its
//! length alone. Nothing is allocated per packet.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use kite_wire::{Frame, Packet};

use crate::groups::{GroupId, Groups};
use crate::successors::Successors;

/// The part of a frame for one group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// The group.
    pub group: GroupId,
    /// The received bytes themselves if nothing was cut or left out and they declare as many packets
    /// as they have, otherwise a new frame. Well-formed no matter what was received.
    pub frame: Bytes,
    /// Number of packets in it, at least 1.
    pub packets: u16,
}

/// What of a frame was not sent although it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Undelivered {
    /// Packets that were leaner than a client's mode, counted once for each of the clients.
    pub leaner: u64,
    /// Packets of unknown length, whose instrument is unknown too.
    pub unknown: u64,
    /// Whether the frame's tail was damaged; the packets before the damage are sent.
    pub is_damaged: bool,
}

/// Cuts frames. Reuses its memory from frame to frame.
#[derive(Debug, Default)]
pub struct Dispatcher {
    /// By the number of the group; empty between frames.
    parts: Vec<Part>,
    /// The groups whose parts are not empty.
    touched: Vec<GroupId>,
    successors: Successors,
}

/// What one group gets of the present frame.
#[derive(Debug, Default)]
struct Part {
    pieces: Vec<Piece>,
    packets: u16,
    /// Length of all pieces.
    bytes: usize,
}

/// A range of the frame's bytes: either whole packets that follow one another, or one packet that
/// is cut. Begins with the length prefix of its first packet.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u32,
    end: u32,
    is_cut: bool,
}

impl Dispatcher {
    /// Appends the share of each group that wants something of a frame, which has been walked from
    /// `bytes`, to `out`.
    ///
    /// A packet that is richer than a group's mode is cut. One that is leaner is not sent: after a
    /// client has raised the mode it gets nothing of the instrument until the first packet in its
    /// mode. Packets of unknown length and everything after damage are not sent, because their
    /// instrument is unknown.
    pub fn dispatch(
        &mut self,
        groups: &Groups,
        bytes: &Bytes,
        frame: &Frame<'_>,
        out: &mut Vec<Share>,
    ) -> Undelivered {
        if self.parts.len() < groups.end() {
            self.parts.resize_with(groups.end(), Part::default);
        }
        let unknown = u64::from(frame.skipped());
        let is_damaged = frame.fault().is_some();
        let mut undelivered = Undelivered { leaner: 0, unknown, is_damaged };
        let mut end = 2;
        for body in frame.bodies() {
            let start = end;
            end += 2 + body.len() as u32;
            if let Ok(packet) = Packet::from_bytes(body) {
                undelivered.leaner += self.add(groups, packet, start);
            }
        }
        for group in self.touched.drain(..) {
            let part = &mut self.parts[group.index()];
            let packets = part.packets;
            out.push(Share { group, frame: part.take(bytes), packets });
        }
        undelivered
    }

    /// Adds a packet to the parts of all groups that want it, and returns the number of clients for
    /// which it is too lean.
    #[inline]
    fn add(&mut self, groups: &Groups, packet: Packet<'_>, start: u32) -> u64 {
        let kind = packet.kind();
        let mut leaner = 0;
        for want in groups.wants_next(packet.instrument_token(), &mut self.successors) {
            if kind.mode() < want.mode {
                leaner += groups.members(want.group).len() as u64;
                continue;
            }
            let part = &mut self.parts[want.group.index()];
            if part.packets == 0 {
                self.touched.push(want.group);
            }
            let sent = kind.in_mode(want.mode);
            part.add(start, sent.packet_len() as u32, sent != kind);
        }
        leaner
    }
}

impl Part {
    #[inline]
    fn add(&mut self, start: u32, len: u32, is_cut: bool) {
        // No more than in the frame, which declares them in 16 bits.
        self.packets += 1;
        self.bytes += 2 + len as usize;
        let end = start + 2 + len;
        match self.pieces.last_mut() {
            // A packet that is cut ends before the next one starts.
            Some(last) if last.end == start && !is_cut => last.end = end,
            _ => self.pieces.push(Piece { start, end, is_cut }),
        }
    }

    /// Returns the part as a frame, and empties it.
    fn take(&mut self, bytes: &Bytes) -> Bytes {
        let has_all = match self.pieces[..] {
            [Piece { start: 2, end, is_cut: false }] => end as usize == bytes.len(),
            _ => false,
        };
        // The good part of a damaged frame still declares the packets that are lost, which official
        // clients would read beyond its end.
        let is_whole = has_all && bytes.starts_with(&self.packets.to_be_bytes());
        let frame = if is_whole { bytes.clone() } else { self.build(bytes) };
        self.pieces.clear();
        (self.packets, self.bytes) = (0, 0);
        frame
    }

    fn build(&self, bytes: &[u8]) -> Bytes {
        let mut frame = Vec::with_capacity(2 + self.bytes);
        frame.extend_from_slice(&self.packets.to_be_bytes());
        for &Piece { start, end, is_cut } in &self.pieces {
            let at = frame.len();
            frame.extend_from_slice(&bytes[start as usize..end as usize]);
            if is_cut {
                // Copied with the length prefix of the whole packet.
                frame[at..at + 2].copy_from_slice(&((end - start - 2) as u16).to_be_bytes());
            }
        }
        frame.into()
    }
}
