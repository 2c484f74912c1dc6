//! Merged streams: the ticks of all connections of all accounts for one consumer.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use kite_conn::{Batch, ConfigError, Lane, LaneConfig, LaneItem, LaneStats, TryRecvError};
use kite_wire::{Packet, Packets};
use tokio::task::coop;

use crate::account_id::AccountId;
use crate::blocking::block_on;

/// What a stream delivers and how much it may queue. All fields have defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamConfig {
    /// Bounds of the queue, and what happens when they are reached. They apply per connection. A
    /// stream has one lane on each, and a full lane that blocks holds back only its connection,
    /// until the consumer reads from it.
    pub lane: LaneConfig,
    /// The instruments to deliver; `None`, the default, delivers all. Others are left out before
    /// the lanes, so that the bounds count only the chosen instruments. If a frame contains others,
    /// the chosen packets are copied into a new frame.
    ///
    /// This filters the subscribed instruments; it does not subscribe any.
    pub tokens: Option<BTreeSet<u32>>,
}

impl StreamConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.lane.validate()
    }
}

/// A batch and the connection that received it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaggedBatch {
    /// The account.
    pub account: AccountId,
    /// The connection's number within the account, from 0.
    pub connection: usize,
    /// The ticks, with the receive time, the number of the connection's socket (`epoch`) and the
    /// frame's number on the connection (`sequence`). Frames without ticks are left out, so the
    /// sequence has gaps.
    pub batch: Batch,
}

impl TaggedBatch {
    /// Returns the packets, in order.
    #[must_use]
    pub fn packets(&self) -> Packets<'_> {
        self.batch.ticks.packets()
    }
}

/// An item of a [`TickStream`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StreamItem {
    /// A frame; it shares the socket's read buffer unless packets were left out.
    Ticks(TaggedBatch),
    /// All queued frames of a connection, conflated into one: the newest packet of each instrument,
    /// with the stamp, epoch and sequence of the newest frame.
    Conflated {
        /// The conflated frame.
        ticks: TaggedBatch,
        /// Number of packets left out because a newer one of the same instrument replaced them.
        replaced: u64,
    },
    /// Frames of a connection were dropped between its previous and its next item.
    Dropped {
        /// The account.
        account: AccountId,
        /// The connection's number within the account, from 0.
        connection: usize,
        /// Number of frames dropped; 0 if conflated packets had no room for further instruments.
        frames: u64,
        /// Number of ticks dropped, of the chosen instruments.
        ticks: u64,
    },
}

impl StreamItem {
    /// Returns the frame of [`StreamItem::Ticks`] or [`StreamItem::Conflated`], the items that
    /// carry ticks.
    #[must_use]
    pub fn ticks(&self) -> Option<&TaggedBatch> {
        match self {
            Self::Ticks(ticks) | Self::Conflated { ticks, .. } => Some(ticks),
            Self::Dropped { .. } => None,
        }
    }

    /// Returns the packets of [`StreamItem::ticks`], in order; none for any other item.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.ticks().into_iter().flat_map(TaggedBatch::packets)
    }
}

/// A stream of the ticks of all connections, which any task can own.
///
/// Items of one connection are in order; connections take turns. A lag never ends the stream:
/// [`LaneConfig::overflow`] chooses what happens, and losses are reported in place. The stream ends
/// when its run has been stopped and all items were read.
#[derive(Debug)]
pub struct TickStream {
    lanes: Vec<TaggedLane>,
    /// The lane whose turn it is.
    turn: usize,
}

/// A lane and its connection.
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

    /// Waits for the next item; `None` once the stream has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: no item is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<StreamItem> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Waits for at least one item, then appends all queued ones to `items`, up to `limit`. Returns
    /// their number; 0 once the stream has ended, or if `limit` is 0.
    ///
    /// # Cancel safety
    /// Cancel safe: no item is lost if the future is dropped.
    pub async fn recv_many(&mut self, items: &mut Vec<StreamItem>, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        let Some(first) = self.recv().await else { return 0 };
        items.push(first);
        let queued = std::iter::from_fn(|| self.try_recv().ok()).take(limit - 1);
        let before = items.len();
        items.extend(queued);
        1 + items.len() - before
    }

    /// Waits for the next item on a thread that runs no async code; `None` once the stream has
    /// ended.
    ///
    /// # Panics
    /// Panics if called from async code.
    pub fn blocking_recv(&mut self) -> Option<StreamItem> {
        block_on(self.recv())
    }

    /// Returns the next item if one is queued.
    ///
    /// # Errors
    /// Returns [`TryRecvError::Empty`] if none is queued, and [`TryRecvError::Ended`] once the
    /// stream has ended.
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

    /// Polls for the next item; `None` once the stream has ended.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        // A stream that is never empty must not keep its consumer's task from yielding.
        let coop = ready!(coop::poll_proceed(cx));
        // Wakers are registered only if all lanes are empty.
        let taken = match self.try_recv() {
            Err(TryRecvError::Empty) => ready!(self.poll_lanes(|lane| lane.poll_recv(cx))),
            taken => taken.ok(),
        };
        coop.made_progress();
        Poll::Ready(taken)
    }

    /// Returns the counts of the stream, across all its connections.
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

    /// Polls the lanes in turn for an item; ready with `None` once all have ended.
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
                        // Continue after this one, so that a busy lane does not starve the others.
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
