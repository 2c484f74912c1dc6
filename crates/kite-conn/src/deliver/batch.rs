//! A frame on its way to the application.

use bytes::Bytes;
use kite_wire::TickBatch;

use crate::clock::Stamp;

/// A validated frame, with its socket and receive time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// The ticks, in the memory that the socket was read into. A heartbeat is a batch without ticks.
    pub ticks: TickBatch,
    /// When the frame was read from the socket.
    pub received: Stamp,
    /// Number of the socket on its connection, from 1.
    pub epoch: u32,
    /// Number of the frame on this connection, from 1, without gaps, across all its sockets.
    pub sequence: u64,
    /// The frame as received, if its tail was damaged and is not in `ticks`. Boxed because it is
    /// rare.
    pub(super) damaged: Option<Box<Bytes>>,
}

impl Batch {
    /// Creates a batch, for instance to test a sink without a connection.
    #[must_use]
    pub fn new(ticks: TickBatch, received: Stamp, epoch: u32, sequence: u64) -> Self {
        Self { ticks, received, epoch, sequence, damaged: None }
    }

    /// Returns the frame as received, byte for byte, including a damaged tail
    /// ([`Event::FrameDamaged`](crate::Event::FrameDamaged)).
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        self.damaged.as_deref().unwrap_or_else(|| self.ticks.as_bytes())
    }
}
