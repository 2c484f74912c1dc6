//! Bounded lanes, each from a connection to one consumer on its own task.
//!
//! What happens if the consumer is slower than the market is configured ([`Overflow`]), counted,
//! and reported in the lane itself. Nothing here locks; a lane is a queue of frames, one of what
//! happened between them, a slot for one table, and two wakers.

use std::sync::Arc;

use kite_wire::CommandKind;

pub use self::consumer::Lane;
pub use self::sink::LaneSink;
use self::state::LaneState;
use super::batch::Batch;
use crate::clock::Stamp;
use crate::error::ConfigError;
use crate::error::{MAX_QUEUE, check_range};
use crate::observe::{Gap, LossCause};

mod consumer;
mod notice;
mod sink;
mod state;
mod table;
#[cfg(test)]
mod tests;

/// What a lane does when its consumer lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Loses nothing while the connection is open, nor if it is [drained](crate::Connection::drain)
    /// at its end. The socket is not read until there is room, so TCP holds the server back.
    /// Data that waits in TCP ages before [`Batch::received`], which is the time of the read. Once
    /// a lane is full, reading resumes when half of it has been consumed.
    #[default]
    Block,
    /// Drops the oldest frames, and reports it ([`LaneItem::Dropped`]). Needs larger bounds than
    /// [`LaneConfig::default`]: see [`LaneConfig::drop_oldest`].
    DropOldest,
    /// Keeps the newest packet of each instrument. The consumer receives one frame made of them
    /// ([`LaneItem::Conflated`]) instead of all that waited. The last packet of every instrument
    /// always arrives, up to 65,535 instruments; while the consumer keeps up, frames pass
    /// unchanged. Folding a packet in costs the connection's task some tens of nanoseconds. Needs
    /// larger bounds than [`LaneConfig::default`]: see [`LaneConfig::conflate`].
    Conflate,
}

/// Bounds of a lane. All have defaults: change the fields that matter.
///
/// Lanes are best kept short. The memory of a waiting frame cannot be reused, which is the cost of
/// a deep queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneConfig {
    /// Maximum number of queued frames, from 1 to 1,048,576. Default 64.
    pub frames: usize,
    /// Maximum number of bytes of queued frames. Default 128 KiB, which stays in the processor's
    /// caches: with [`Overflow::Block`] the rest waits in TCP and nothing is lost. For the other
    /// policies use more: [`LaneConfig::drop_oldest`], [`LaneConfig::conflate`]. Frames are
    /// adjacent in blocks of 128 KiB, so waiting frames retain little more than their own bytes.
    ///
    /// A larger frame passes if nothing else waits. With [`Overflow::Block`] the frame that exceeds
    /// the bound is still accepted, since it has already been read. A table of conflated packets is
    /// not counted against the bound; it holds one packet per instrument, 558 kB for 3,000
    /// instruments in full mode (12 MB for its maximum of 65,535), and briefly twice that while it
    /// is consumed.
    pub bytes: usize,
    /// What happens when a bound is reached. Default [`Overflow::Block`].
    pub overflow: Overflow,
    /// Whether to deliver the commands that the connection sends ([`LaneItem::Command`]). Default
    /// false.
    pub commands: bool,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self { frames: 64, bytes: 128 * 1024, overflow: Overflow::default(), commands: false }
    }
}

impl LaneConfig {
    /// Bounds for [`Overflow::DropOldest`]: 1,024 frames and 1 MiB, so that a consumer that stops
    /// briefly loses nothing.
    #[must_use]
    pub fn drop_oldest() -> Self {
        let overflow = Overflow::DropOldest;
        Self { frames: 1_024, bytes: 1024 * 1024, overflow, ..Self::default() }
    }

    /// Bounds for [`Overflow::Conflate`]: 1,024 frames and 1 MiB, beyond which the newest packet of
    /// each instrument is kept.
    #[must_use]
    pub fn conflate() -> Self {
        Self { overflow: Overflow::Conflate, ..Self::drop_oldest() }
    }

    /// Checks every setting; [`lane`] does so too.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_range("frames", self.frames, 1..=MAX_QUEUE, "from 1 to 1,048,576")?;
        check_range("bytes", self.bytes, 1..=usize::MAX, "above 0")
    }
}

/// What a lane delivers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LaneItem {
    /// A frame as received, sharing the socket's read buffer. Heartbeats are left out, so
    /// [`Batch::sequence`] skips their numbers.
    Batch(Batch),
    /// All frames that waited, folded into one: the newest packet of each instrument, with the
    /// stamp, epoch and sequence of the newest frame.
    Conflated {
        /// The frame made of them.
        batch: Batch,
        /// Number of packets that are not in it because newer ones of the same instrument replaced
        /// them.
        replaced: u64,
    },
    /// Frames are missing here, because they were dropped between the previous item and the next
    /// one. After the last frame: a lane that blocks was full when its connection was closed without
    /// a drain ([`Connection::close`](crate::Connection::close)).
    Dropped {
        /// Number of frames dropped; 0 if a table of conflated packets had no room for more
        /// instruments.
        frames: u64,
        /// Number of ticks dropped.
        ticks: u64,
        /// Number of items other than frames dropped ([`LaneItem::Up`] and those below it), because
        /// more than 256 waited. Reported before the next such item.
        notices: u64,
    },
    /// A socket was opened; the frames after this item are from it.
    ///
    /// This item and those below are in order with the frames of the lane. They take no room in it,
    /// and are not dropped with frames. If frames were conflated, those that happened between them
    /// come before the conflated frame, whose packets may then be older.
    Up {
        /// Number of this socket on its connection, from 1.
        epoch: u32,
        /// Number of instruments being subscribed.
        instruments: usize,
    },
    /// The socket was lost; no frame of it follows.
    Down {
        /// The socket's number.
        epoch: u32,
        /// The cause.
        cause: LossCause,
        /// When the last message of any kind, including a pong, was received.
        last_heard: Stamp,
    },
    /// What was missed between a loss and the ticks after it. It follows the frame that settles it,
    /// see [`Event::Gap`](crate::Event::Gap).
    Gap(Arc<Gap>),
    /// A command was sent to the server ([`LaneConfig::commands`]); its effect shows in later
    /// frames only. A new socket starts without subscriptions.
    Command {
        /// What the command does.
        kind: CommandKind,
        /// The instruments that it names.
        tokens: Arc<[u32]>,
    },
}

/// Counts of a lane since its creation.
///
/// Once everything was consumed, the ticks put into the lane equal the sum of those delivered,
/// dropped and conflated, which also equals the sum of the items received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LaneStats {
    /// Frames waiting; a table of conflated packets counts as one.
    pub queued_frames: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// The bytes at which the lane is full. With [`Overflow::Block`] one frame, with
    /// [`Overflow::Conflate`] a table of conflated packets may exceed them.
    pub bytes_limit: u64,
    /// Frames delivered; conflated ones count as one.
    pub delivered_frames: u64,
    /// Ticks in them.
    pub delivered_ticks: u64,
    /// Frames dropped, reported by [`LaneItem::Dropped`].
    pub dropped_frames: u64,
    /// Ticks dropped, reported by [`LaneItem::Dropped`].
    pub dropped_ticks: u64,
    /// Ticks replaced by newer ones, reported by [`LaneItem::Conflated`].
    pub conflated_ticks: u64,
}

/// Why no item is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing is queued now.
    #[error("nothing is queued")]
    Empty,
    /// Everything was consumed, and nothing more will come.
    #[error("the stream has ended")]
    Ended,
}

/// Creates a lane: a sink for a connection, and the consuming end.
///
/// ```no_run
/// use kite_conn::{Connection, ConnectionConfig, Credentials, EventLane};
/// use kite_conn::{LaneConfig, LaneItem, lane};
/// use kite_wire::Mode;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let (sink, mut lane) = lane(LaneConfig::conflate())?;
/// let credentials = Credentials::new("api_key", "access_token");
/// let events = EventLane::default();
/// let connection =
///     Connection::spawn(ConnectionConfig::default(), credentials, sink, &events, 1)?;
/// connection.subscribe(&[256_265, 408_065], Mode::Quote)?;
/// while let Some(item) = lane.recv().await {
///     match item {
///         LaneItem::Batch(batch) | LaneItem::Conflated { batch, .. } => {
///             for packet in batch.ticks.packets() {
///                 println!("{} {}", packet.instrument_token(), packet.last_price());
///             }
///         }
///         LaneItem::Dropped { ticks, .. } => println!("{ticks} ticks are missing here"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns a [`ConfigError`] for a bound outside its range.
pub fn lane(config: LaneConfig) -> Result<(LaneSink, Lane), ConfigError> {
    config.validate()?;
    let shared = Arc::new(LaneState::new(&config));
    let lane = Lane::new(Arc::clone(&shared));
    Ok((LaneSink::new(shared, config.commands), lane))
}
