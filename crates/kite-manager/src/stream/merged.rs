//! Merged streams: the ticks of all connections of all accounts for one consumer.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use kite_conn::{Batch, ConfigError, Lane, LaneConfig, LaneItem, LaneStats, TryRecvError};
use tokio::task::coop;

use crate::account_id::AccountId;

/// What a stream delivers and how much may wait in it. All fields have defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamConfig {
    /// Bounds of what waits, and what happens where they are reached. They hold for each
    /// connection: a stream has a lane of its own on every one, and a full lane that blocks holds
    /// back its connection only, until the consumer comes to it.
    pub lane: LaneConfig,
    /// Delivers these instruments only; `None`, the default, all. Others are left out before the
    /// lanes, so that the bounds count only what is wanted. A frame that has others in it is
    /// copied, as far as it is wanted.
    ///
    /// This chooses among what is subscribed; it subscribes nothing.
    pub tokens: Option<BTreeSet<u32>>,
}

impl StreamConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting outside of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.lane.validate()
    }
}

/// A batch and where it came from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaggedBatch {
    /// The account.
    pub account: AccountId,
    /// The connection's number among the account's, from 0.
    pub connection: usize,
    /// The ticks, with when they were received, on which of the connection's sockets (`epoch`),
    /// and the frame's number on the connection (`sequence`). Frames without ticks are left out,
    /// so that the sequence has gaps where they were.
    pub batch: Batch,
}

/// What a stream delivers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StreamItem {
    /// A frame; in the socket's own memory unless packets were left out.
    Ticks(TaggedBatch),
    /// All frames of a connection that waited, folded into one: the newest packet of each
    /// instrument, with the stamp, epoch and sequence of the newest frame.
    Conflated {
        /// The frame made of them.
        ticks: TaggedBatch,
        /// How many packets were replaced by newer ones of their instruments, and are not in it.
        replaced: u64,
    },
    /// Here frames of a connection are missing: they were dropped between its item before and its
    /// next one.
    Dropped {
        /// The account.
        account: AccountId,
        /// The connection's number among the account's, from 0.
        connection: usize,
        /// How many frames. None, where conflated packets had no room for further instruments.
        frames: u64,
        /// How many ticks of those that the stream wants.
        ticks: u64,
    },
}

/// The ticks of all connections, a stream that any task can own.
///
/// Items of one connection are in order; connections take turns. Lag never ends it: what happens
/// then is chosen by [`LaneConfig::overflow`] and told in place. It ends when the run it was made
/// for, or before, has been stopped and all was taken.
#[derive(Debug)]
pub struct TickStream {
    lanes: Vec<TaggedLane>,
    /// The lane whose turn it is.
    turn: usize,
}

/// A lane and whose it is.
#[derive(Debug)]
pub(crate) struct TaggedLane {
    pub(crate) account: AccountId,
    pub(crate) connection: usize,
    pub(crate) lane: Lane,
}

impl TaggedLane {
    fn tag(&self, item: LaneItem) -> Option<StreamItem> {
        let (account, connection) = (self.account.clone(), self.connection);
        match item {
            LaneItem::Batch(batch) => {
                Some(StreamItem::Ticks(TaggedBatch { account, connection, batch }))
            }
            LaneItem::Conflated { batch, replaced } => {
                let ticks = TaggedBatch { account, connection, batch };
                Some(StreamItem::Conflated { ticks, replaced })
            }
            LaneItem::Dropped { frames, ticks } => {
                Some(StreamItem::Dropped { account, connection, frames, ticks })
            }
            // Lanes deliver nothing else.
            _ => None,
        }
    }
}

impl TickStream {
    pub(crate) fn new(lanes: Vec<TaggedLane>) -> Self {
        Self { lanes, turn: 0 }
    }

    /// Takes the next item, once there is one; `None` once the stream has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: an item is taken when the future completes, or not at all.
    pub async fn recv(&mut self) -> Option<StreamItem> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Takes the next item, if there is one now.
    ///
    /// # Errors
    /// [`TryRecvError`] tells a stream that is empty from one that has ended.
    pub fn try_recv(&mut self) -> Result<StreamItem, TryRecvError> {
        match self.poll_lanes(|lane| match lane.try_recv() {
            Ok(item) => Poll::Ready(Some(item)),
            Err(TryRecvError::Ended) => Poll::Ready(None),
            Err(_) => Poll::Pending,
        }) {
            Poll::Ready(Some(item)) => Ok(item),
            Poll::Ready(None) => Err(TryRecvError::Ended),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Takes the next item; `None` once the stream has ended.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        // A stream that is never empty must not keep its consumer's task from yielding.
        let coop = ready!(coop::poll_proceed(cx));
        // Wakers are set only where nothing waits in any lane.
        let taken = match self.try_recv() {
            Err(TryRecvError::Empty) => ready!(self.poll_lanes(|lane| lane.poll_recv(cx))),
            taken => taken.ok(),
        };
        coop.made_progress();
        Poll::Ready(taken)
    }

    /// Reads the counts of the stream, over all its connections.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        let mut sum = LaneStats::default();
        for stats in self.lanes.iter().map(|tagged| tagged.lane.stats()) {
            sum.queued_frames += stats.queued_frames;
            sum.queued_bytes += stats.queued_bytes;
            sum.bytes_limit = sum.bytes_limit.saturating_add(stats.bytes_limit);
            sum.delivered_frames += stats.delivered_frames;
            sum.delivered_ticks += stats.delivered_ticks;
            sum.dropped_frames += stats.dropped_frames;
            sum.dropped_ticks += stats.dropped_ticks;
            sum.conflated_ticks += stats.conflated_ticks;
        }
        sum
    }

    /// Asks the lanes in turn for an item; ready with `None` once all have ended.
    fn poll_lanes(
        &mut self,
        mut poll: impl FnMut(&mut Lane) -> Poll<Option<LaneItem>>,
    ) -> Poll<Option<StreamItem>> {
        let lanes = self.lanes.len();
        let mut ended = 0;
        for place in (self.turn..lanes).chain(0..self.turn) {
            let tagged = &mut self.lanes[place];
            loop {
                match poll(&mut tagged.lane) {
                    Poll::Ready(Some(item)) => {
                        let Some(item) = tagged.tag(item) else { continue };
                        // Behind the one that had its turn: no lane waits for a busier one.
                        self.turn = (place + 1) % lanes;
                        return Poll::Ready(Some(item));
                    }
                    Poll::Ready(None) => ended += 1,
                    Poll::Pending => {}
                }
                break;
            }
        }
        if ended == lanes { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl Stream for TickStream {
    type Item = StreamItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        self.poll_recv(cx)
    }
}
