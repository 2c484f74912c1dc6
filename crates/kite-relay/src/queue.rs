//! What one client is sent next, and what is left out if it reads too slowly.
//!
//! The task that owns the client's socket moves everything into the queue as it arrives, even while
//! the socket accepts nothing, so that one slow client delays nothing else.

mod notice;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::newest::Newest;
use notice::DropNotice;

/// The size of frames that conflated packets are sent in. The rest stays where newer packets
/// replace it.
const CONFLATED_FRAME_BYTES: usize = 64 * 1024;

/// Number of waiting frames that share the memory they were received in.
///
/// Such a frame keeps the block alive that it was read into, 128 KiB, even if it is a few bytes
/// long. A client that is further behind gets copies of frames that are small compared with that.
const SHARED_FRAMES: usize = 8;

/// The length from which a frame is shared no matter how many wait.
const SHARED_BYTES: usize = 64 * 1024;

/// Added to the length of each text, for the memory it takes besides.
const TEXT_OVERHEAD: usize = 64;

/// What happens to a client that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowClients {
    /// Once the queue is full, its frames and all that follow are reduced to the newest packet of
    /// each instrument, until the client has caught up.
    #[default]
    Conflate,
    /// The oldest frames are dropped, and the client is sent a message with their number.
    DropOldest,
    /// The client is disconnected.
    Disconnect,
    /// The feed waits for the slowest client, and the queue accepts everything. For replays, whose
    /// source can wait; over a live feed, ticks would get old for all clients.
    Block,
}

/// Bounds of a [`Queue`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueConfig {
    /// What happens when the queue is full.
    pub policy: SlowClients,
    /// Most bytes of queued frames. A larger frame passes through an empty queue. Default: 512 KiB.
    pub bytes: usize,
    /// Most queued frames. Default: 4,096.
    pub frames: usize,
    /// Most bytes of queued texts. Default: 256 KiB.
    pub text_bytes: usize,
}

impl Default for QueueConfig {
    fn default() -> Self {
        let (bytes, text_bytes) = (512 * 1024, 256 * 1024);
        Self { policy: SlowClients::default(), bytes, frames: 4_096, text_bytes }
    }
}

/// What a queue sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outgoing {
    /// A binary frame.
    Frame {
        /// Its bytes.
        bytes: Bytes,
        /// Number of packets in it.
        packets: u16,
    },
    /// A text frame.
    Text(Arc<str>),
}

/// The client is to be disconnected because it reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Overrun {
    /// The queue of frames is full, and the policy is [`SlowClients::Disconnect`].
    #[error("{frames} frames of {bytes} bytes wait for the client")]
    Frames {
        /// Number of queued frames.
        frames: usize,
        /// Their length.
        bytes: usize,
    },
    /// Texts, which are never dropped, exceed [`QueueConfig::text_bytes`].
    #[error("{texts} texts of {bytes} bytes wait for the client")]
    Texts {
        /// Number of queued texts.
        texts: usize,
        /// Their length, with an allowance for the memory of each.
        bytes: usize,
    },
}

/// What has become of the packets of one client. Without those still queued,
/// `pushed == sent + replaced + dropped + unsubscribed + unsent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueueCounts {
    /// Packets queued.
    pub pushed: u64,
    /// Packets handed out to be sent.
    pub sent: u64,
    /// Packets replaced by a newer one of the same instrument.
    pub replaced: u64,
    /// Packets dropped with their frames, because the queue was full.
    pub dropped: u64,
    /// Packets that were queued when the queue ended.
    pub unsent: u64,
    /// Conflated packets left out because the client unsubscribed their instruments.
    pub unsubscribed: u64,
    /// Frames dropped.
    pub dropped_frames: u64,
}

/// The frames and texts that wait for one client.
#[derive(Debug)]
pub struct Queue {
    config: QueueConfig,
    frames: VecDeque<Queued>,
    /// Length of all frames, without snapshots.
    bytes: usize,
    /// Number of snapshots among the frames.
    snapshots: usize,
    /// While it has packets, no frames are queued, and new ones are folded into it.
    newest: Newest,
    texts: VecDeque<Arc<str>>,
    text_bytes: usize,
    counts: QueueCounts,
    notice: DropNotice,
}

/// A frame that waits.
#[derive(Debug)]
struct Queued {
    bytes: Bytes,
    packets: u16,
    is_snapshot: bool,
}

impl Queue {
    /// Creates an empty queue.
    #[must_use]
    pub fn new(config: QueueConfig) -> Self {
        Self {
            config,
            frames: VecDeque::new(),
            bytes: 0,
            snapshots: 0,
            newest: Newest::default(),
            texts: VecDeque::new(),
            text_bytes: 0,
            counts: QueueCounts::default(),
            notice: DropNotice::default(),
        }
    }

    /// Queues a frame of `packets` packets.
    ///
    /// # Errors
    /// Returns [`Overrun`] if the queue is full and the policy is [`SlowClients::Disconnect`]; the frame
    /// is counted as dropped.
    pub fn push(&mut self, frame: Bytes, packets: u16) -> Result<(), Overrun> {
        self.counts.pushed += u64::from(packets);
        if !self.newest.is_empty() {
            self.counts.replaced += self.newest.fold(&frame);
            return Ok(());
        }
        if !self.has_room_for(frame.len()) {
            match self.config.policy {
                SlowClients::Conflate => {
                    self.conflate(&frame);
                    return Ok(());
                }
                SlowClients::DropOldest => self.drop_until_it_fits(frame.len()),
                SlowClients::Disconnect => {
                    self.count_dropped(packets);
                    return Err(Overrun::Frames { frames: self.frames.len(), bytes: self.bytes });
                }
                SlowClients::Block => {}
            }
        }
        self.bytes += frame.len();
        let bytes = self.detached(frame);
        self.frames.push_back(Queued { bytes, packets, is_snapshot: false });
        Ok(())
    }

    /// Queues a frame that the client has asked for, which is not counted against the bounds: a
    /// client does not read slowly because it subscribes to many instruments. Do not queue another
    /// one while [`Queue::has_snapshot`].
    pub fn push_snapshot(&mut self, bytes: Bytes, packets: u16) {
        self.counts.pushed += u64::from(packets);
        if self.newest.is_empty() {
            self.snapshots += 1;
            self.frames.push_back(Queued { bytes, packets, is_snapshot: true });
        } else {
            self.counts.replaced += self.newest.fold(&bytes);
        }
    }

    /// Returns whether a snapshot is queued.
    #[must_use]
    pub fn has_snapshot(&self) -> bool {
        self.snapshots > 0
    }

    /// Queues a text, which is sent before all frames and never dropped.
    ///
    /// # Errors
    /// Returns [`Overrun`] if several texts exceed [`QueueConfig::text_bytes`].
    pub fn push_text(&mut self, text: Arc<str>) -> Result<(), Overrun> {
        self.text_bytes += text.len() + TEXT_OVERHEAD;
        self.texts.push_back(text);
        let texts = self.texts.len();
        if texts > 1 && self.text_bytes > self.config.text_bytes {
            return Err(Overrun::Texts { texts, bytes: self.text_bytes });
        }
        Ok(())
    }

    /// Leaves out conflated packets of instruments that the client has unsubscribed, so that the
    /// queue's memory is bounded by what the client is subscribed to.
    pub fn forget(&mut self, tokens: impl IntoIterator<Item = u32>) {
        if !self.newest.is_empty() {
            self.counts.unsubscribed += self.newest.forget(tokens);
            self.release_if_empty();
        }
    }

    /// Removes what is to be sent next; `None` if there is nothing before
    /// [`Queue::next_deadline`].
    pub fn pop(&mut self, now: Instant) -> Option<Outgoing> {
        if let Some(text) = self.texts.pop_front() {
            self.text_bytes -= text.len() + TEXT_OVERHEAD;
            return Some(Outgoing::Text(text));
        }
        if let Some(text) = self.notice.take(now) {
            return Some(Outgoing::Text(text.into()));
        }
        let (bytes, packets) = match self.take_frame(0) {
            Some(frame) => (frame.bytes, frame.packets),
            None => {
                let conflated = self.newest.take(CONFLATED_FRAME_BYTES)?;
                self.release_if_empty();
                conflated
            }
        };
        self.counts.sent += u64::from(packets);
        Some(Outgoing::Frame { bytes, packets })
    }

    /// Returns when a message about dropped frames may be sent although nothing else is queued.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.notice.next_deadline()
    }

    /// Returns whether nothing is queued, apart from a message that waits for
    /// [`Queue::next_deadline`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.newest.is_empty() && self.texts.is_empty()
    }

    /// Returns the number of queued packets.
    #[must_use]
    pub fn queued_packets(&self) -> u64 {
        let frames: u64 = self.frames.iter().map(|frame| u64::from(frame.packets)).sum();
        frames + self.newest.len() as u64
    }

    /// Returns what has become of the packets so far.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        self.counts
    }

    /// Ends the queue, counts what is still queued as unsent, and returns the totals.
    #[must_use]
    pub fn close(mut self) -> QueueCounts {
        self.counts.unsent += self.queued_packets();
        self.counts
    }

    /// Returns the frame, or a copy of it if it would keep much more memory than its length.
    fn detached(&self, frame: Bytes) -> Bytes {
        let is_kept = self.frames.len() >= SHARED_FRAMES && frame.len() < SHARED_BYTES;
        if is_kept && !frame.is_unique() { Bytes::copy_from_slice(&frame) } else { frame }
    }

    /// Returns whether a frame fits. Any frame fits into an empty queue, so that none stalls.
    fn has_room_for(&self, bytes: usize) -> bool {
        let frames = self.frames.len() - self.snapshots;
        let fits = self.bytes.saturating_add(bytes) <= self.config.bytes;
        frames == 0 || (fits && frames < self.config.frames)
    }

    /// Reduces the queue and a new frame to the newest packets.
    fn conflate(&mut self, frame: &[u8]) {
        // Each frame is freed before the next one is copied.
        for queued in std::mem::take(&mut self.frames) {
            self.counts.replaced += self.newest.fold(&queued.bytes);
        }
        (self.bytes, self.snapshots) = (0, 0);
        self.counts.replaced += self.newest.fold(frame);
    }

    fn drop_until_it_fits(&mut self, bytes: usize) {
        while !self.has_room_for(bytes)
            && let Some(oldest) = self.frames.iter().position(|frame| !frame.is_snapshot)
            && let Some(Queued { packets, .. }) = self.take_frame(oldest)
        {
            self.count_dropped(packets);
            self.notice.add(packets);
        }
    }

    fn take_frame(&mut self, place: usize) -> Option<Queued> {
        let frame = self.frames.remove(place)?;
        if frame.is_snapshot {
            self.snapshots -= 1;
        } else {
            self.bytes -= frame.bytes.len();
        }
        Some(frame)
    }

    fn count_dropped(&mut self, packets: u16) {
        self.counts.dropped += u64::from(packets);
        self.counts.dropped_frames += 1;
    }

    /// Frees the memory of conflated packets once the client has caught up.
    fn release_if_empty(&mut self) {
        if self.newest.is_empty() {
            self.newest = Newest::default();
        }
    }
}
