//! Merged streams: the ticks of all connections of all accounts for one consumer.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use kite_conn::{Batch, ConfigError, Lane, LaneConfig, LaneItem, LaneStats, TryRecvError};
use tokio::task::coop;

use crate::account_id::AccountId;
use crate::blocking::block_on;
use crate::stream::filter::StreamFilter;
use crate::stream::first::Firsts;
use crate::stream::item::{StreamItem, TaggedBatch};

/// What a stream delivers and how much it may queue. All fields have defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamConfig {
    /// Bounds of the queue, and what happens when they are reached. They apply per connection. A
    /// stream has one lane on each, and a full lane that blocks holds back only its connection,
    /// until the consumer reads from it. `commands` has no effect here.
    pub lane: LaneConfig,
    /// The instruments to deliver; `None`, the default, delivers all. Others are left out before
    /// the lanes, so that the bounds count only the chosen instruments. If a frame contains others,
    /// the chosen packets are copied into a new frame.
    ///
    /// This filters the subscribed instruments; it does not subscribe any.
    ///
    /// [`TickStream::filter`] changes it while the stream runs.
    pub tokens: Option<BTreeSet<u32>>,
    /// Whether to mark first packets, for [`TaggedBatch::is_first`]. Default false. While an
    /// instrument has not ticked since it was subscribed, each packet received costs a look-up; at
    /// other times marking costs nothing.
    pub mark_first: bool,
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
    filter: StreamFilter,
}

/// A lane and its connection.
#[derive(Debug)]
pub(crate) struct TaggedLane {
    pub(crate) account: AccountId,
    pub(crate) connection: usize,
    pub(crate) lane: Lane,
    /// If first packets are marked.
    pub(crate) firsts: Option<Firsts>,
}

impl TaggedLane {
    #[inline]
    fn tag(&mut self, item: LaneItem) -> Option<StreamItem> {
        match item {
            LaneItem::Batch(batch) => Some(StreamItem::Ticks(self.tag_batch(batch))),
            other => self.tag_other(other),
        }
    }

    #[inline(never)]
    fn tag_other(&mut self, item: LaneItem) -> Option<StreamItem> {
        let (account, connection) = (self.account.clone(), self.connection);
        Some(match item {
            LaneItem::Conflated { batch, replaced } => {
                StreamItem::Conflated { ticks: self.tag_batch(batch), replaced }
            }
            LaneItem::Dropped { frames, ticks, notices } => {
                StreamItem::Dropped { account, connection, frames, ticks, notices }
            }
            LaneItem::Up { epoch, instruments } => {
                if let Some(firsts) = &mut self.firsts {
                    firsts.on_up();
                }
                StreamItem::Up { account, connection, epoch, instruments }
            }
            LaneItem::Down { epoch, cause, last_heard } => {
                StreamItem::Down { account, connection, epoch, cause, last_heard }
            }
            LaneItem::Gap(gap) => StreamItem::Gap { account, connection, gap },
            LaneItem::Command { kind, tokens } => {
                if let Some(firsts) = &mut self.firsts {
                    firsts.on_command(kind, &tokens);
                }
                return None;
            }
            // Lanes deliver nothing else.
            _ => return None,
        })
    }

    #[inline]
    fn tag_batch(&mut self, batch: Batch) -> TaggedBatch {
        let firsts = self.firsts.as_mut().and_then(|firsts| firsts.mark(&batch.ticks));
        let (account, connection) = (self.account.clone(), self.connection);
        TaggedBatch { account, connection, batch, firsts }
    }
}

impl TickStream {
    pub(crate) fn new(lanes: Vec<TaggedLane>, filter: StreamFilter) -> Self {
        Self { lanes, turn: 0, filter }
    }

    /// Returns a handle that changes which instruments the stream delivers.
    #[must_use]
    pub fn filter(&self) -> StreamFilter {
        self.filter.clone()
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
        let mut ended = 0;
        let item = self.find(|lane| match lane.try_recv() {
            Ok(item) => Some(item),
            Err(error) => {
                ended += usize::from(error == TryRecvError::Ended);
                None
            }
        });
        let error =
            if ended == self.lanes.len() { TryRecvError::Ended } else { TryRecvError::Empty };
        item.ok_or(error)
    }

    /// Polls for the next item; `None` once the stream has ended.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        // A stream that is never empty must not keep its consumer's task from yielding.
        let coop = ready!(coop::poll_proceed(cx));
        let mut item = self.find(|lane| lane.try_recv().ok());
        if item.is_none() {
            item = ready!(self.poll_empty(cx));
        }
        coop.made_progress();
        Poll::Ready(item)
    }

    /// Polls after nothing was found. Wakers are registered only then.
    #[inline(never)]
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        let mut ended = 0;
        let item = self.find(|lane| match lane.poll_recv(cx) {
            Poll::Ready(Some(item)) => Some(item),
            Poll::Ready(None) => {
                ended += 1;
                None
            }
            Poll::Pending => None,
        });
        if item.is_none() && ended < self.lanes.len() {
            return Poll::Pending;
        }
        Poll::Ready(item)
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

    /// Returns the first item that `next` finds in a lane, in turn.
    #[inline]
    fn find(&mut self, mut next: impl FnMut(&mut Lane) -> Option<LaneItem>) -> Option<StreamItem> {
        let lanes = self.lanes.len();
        for _ in 0..lanes {
            let tagged = &mut self.lanes[self.turn];
            // The next call continues after this one, so that a busy lane does not starve the
            // others.
            self.turn += 1;
            if self.turn == lanes {
                self.turn = 0;
            }
            while let Some(item) = next(&mut tagged.lane) {
                if let Some(item) = tagged.tag(item) {
                    return Some(item);
                }
            }
        }
        None
    }
}

impl Stream for TickStream {
    type Item = StreamItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        self.poll_recv(cx)
    }
}
