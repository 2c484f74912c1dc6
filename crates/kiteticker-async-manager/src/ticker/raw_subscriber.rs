//! A reader of the full packets in raw frames.

use bytes::Bytes;
use kite_wire::{PacketCursor, PacketKind};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::manager::ring::LagCount;
use crate::raw::{TICK_FULL_SIZE, TickRaw, as_tick_raw};

/// Yields every full packet (184 bytes) of a connection's raw frames, in order and without
/// copying.
///
/// Lag is not an error and never ends the loop. Lost frames are counted in [`lagged`](Self::lagged)
/// and in the manager's error counts.
#[derive(Debug)]
pub struct KiteTickerRawSubscriber184 {
    receiver: broadcast::Receiver<Bytes>,
    /// The position in the current frame.
    present: PacketCursor,
    /// The last packet returned, which the returned references point into.
    current: Bytes,
    lagged: u64,
    lag: LagCount,
}

impl KiteTickerRawSubscriber184 {
    pub(crate) fn new(receiver: broadcast::Receiver<Bytes>, lag: LagCount) -> Self {
        let present = PacketCursor::new(Bytes::new());
        Self { receiver, present, current: Bytes::new(), lagged: 0, lag }
    }

    /// Returns the number of frames lost to lag so far.
    #[must_use]
    pub fn lagged(&self) -> u64 {
        self.lagged
    }

    fn note_lag(&mut self, lost: u64) {
        self.lagged += lost;
        self.lag.add(lost);
    }

    /// Takes the next full packet of the current frame.
    fn next_in_frame(&mut self) -> Option<Bytes> {
        self.present.next_bytes_of(PacketKind::Full)
    }

    fn enter(&mut self, frame: Bytes) {
        // The ring carries valid frames only, because damaged tails have been cut off.
        self.present = PacketCursor::new(frame);
    }

    /// Receives the bytes of the next full packet; `Ok(None)` once the channel is closed.
    ///
    /// # Errors
    /// Currently never fails; lag is counted, not returned as an error.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub async fn recv_raw(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(packet) = self.next_in_frame() {
                return Ok(Some(packet));
            }
            match self.receiver.recv().await {
                Ok(frame) => self.enter(frame),
                Err(RecvError::Lagged(lost)) => self.note_lag(lost),
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// Receives the next full packet as an array.
    ///
    /// # Errors
    /// Currently never fails; lag is counted, not returned as an error.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub async fn recv_raw_ref(&mut self) -> Result<Option<&[u8; TICK_FULL_SIZE]>, String> {
        let Some(packet) = self.recv_raw().await? else { return Ok(None) };
        self.current = packet;
        Ok(self.current.first_chunk())
    }

    /// Receives the next full packet as a typed view.
    ///
    /// # Errors
    /// Currently never fails; lag is counted, not returned as an error.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub async fn recv_raw_tickraw(&mut self) -> Result<Option<&TickRaw>, String> {
        let Some(packet) = self.recv_raw().await? else { return Ok(None) };
        self.current = packet;
        Ok(as_tick_raw(&self.current))
    }

    /// Waits for at least one full packet and returns up to `max` that are available. An empty
    /// list means that the channel is closed, or that `max` is 0.
    ///
    /// # Errors
    /// Currently never fails; lag is counted, not returned as an error.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub async fn recv_batch_raw(&mut self, max: usize) -> Result<Vec<Bytes>, String> {
        let mut packets = Vec::new();
        if max == 0 {
            return Ok(packets);
        }
        packets.extend(self.recv_raw().await?);
        while !packets.is_empty() && packets.len() < max {
            if let Some(packet) = self.next_in_frame() {
                packets.push(packet);
                continue;
            }
            match self.receiver.try_recv() {
                Ok(frame) => self.enter(frame),
                Err(TryRecvError::Lagged(lost)) => self.note_lag(lost),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(packets)
    }
}
