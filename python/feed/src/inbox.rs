//! Everything that the sockets of a feed deliver, in order for each socket.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kite_conn::{Batch, Lane, LaneItem};
use kite_manager::OrderFilter;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::notice::{Notice, Notices};

/// Something delivered by a socket.
#[derive(Debug)]
pub enum Item {
    /// A frame.
    Frame(Batch),
    /// Ticks were left out, because the callbacks are too slow.
    Lag(u64),
    /// Something that happened between the frames.
    Notice(Notice),
}

/// The consuming end of the sockets of a feed.
#[derive(Debug)]
pub struct Inbox {
    sources: Vec<Source>,
    /// The source whose turn it is.
    turn: usize,
    /// Every socket receives the texts of the account.
    texts: OrderFilter,
    wake: Arc<Notify>,
}

/// One socket's lane and notices.
#[derive(Debug)]
pub struct Source {
    lane: Lane,
    notices: Arc<Notices>,
    /// An item taken from the lane that notices precede.
    head: Option<LaneItem>,
}

impl Source {
    /// Creates the consuming end of a socket.
    pub fn new(lane: Lane, notices: Arc<Notices>) -> Self {
        Self { lane, notices, head: None }
    }

    fn try_next(&mut self) -> Option<Item> {
        loop {
            // Read before the lane: if the lane is empty then, the frames before this notice have
            // been taken.
            let next_notice = self.notices.peek();
            if self.head.is_none() {
                self.head = self.lane.try_recv().ok();
            }
            let Some(head) = &self.head else {
                next_notice?;
                return self.notices.pop().map(Item::Notice);
            };
            let frame = match head {
                LaneItem::Batch(batch) | LaneItem::Conflated { batch, .. } => Some(batch.sequence),
                _ => None,
            };
            // Read after the lane: a notice before this frame was added before it.
            if let (Some(frame), Some(after)) = (frame, self.notices.peek())
                && after < frame
            {
                return self.notices.pop().map(Item::Notice);
            }
            if let Some(item) = self.take_head() {
                return Some(item);
            }
        }
    }

    /// Takes the item at the head; `None` for one that the notices report too.
    fn take_head(&mut self) -> Option<Item> {
        match self.head.take()? {
            LaneItem::Batch(batch) => Some(Item::Frame(batch)),
            LaneItem::Conflated { batch, replaced: 0 } => Some(Item::Frame(batch)),
            LaneItem::Conflated { batch, replaced } => {
                self.head = Some(LaneItem::Batch(batch));
                Some(Item::Lag(replaced))
            }
            LaneItem::Dropped { ticks, .. } if ticks > 0 => Some(Item::Lag(ticks)),
            _ => None,
        }
    }

    /// Registers the waker; keeps an item that has arrived since.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.head.is_some() {
            return Poll::Ready(());
        }
        match self.lane.poll_recv(cx) {
            Poll::Ready(Some(item)) => {
                self.head = Some(item);
                Poll::Ready(())
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Inbox {
    /// Creates an inbox without sockets; `wake` ends a wait.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { sources: Vec::new(), turn: 0, texts: OrderFilter::new(), wake }
    }

    /// Adds the next socket.
    pub fn add(&mut self, source: Source) {
        self.sources.push(source);
    }

    /// Returns the next item and the number of its socket, if one waits. Of the copies of a text that
    /// Kite sends on every socket, the first is returned.
    pub fn try_next(&mut self) -> Option<(usize, Item)> {
        let sources = self.sources.len();
        let mut idle = 0;
        while idle < sources {
            let turn = self.turn;
            self.turn = (turn + 1) % sources;
            match self.sources[turn].try_next() {
                Some(item) if self.is_copy(turn, &item) => idle = 0,
                Some(item) => return Some((turn, item)),
                None => idle += 1,
            }
        }
        None
    }

    fn is_copy(&mut self, socket: usize, item: &Item) -> bool {
        match item {
            Item::Notice(Notice::Up { at, .. }) => {
                self.texts.on_up(socket, *at);
                false
            }
            Item::Notice(Notice::Text { text, is_on_every_socket: true, received }) => {
                !self.texts.is_new(socket, text, *received)
            }
            _ => false,
        }
    }

    /// Waits until something arrives, the feed is woken, or the time is over. Must not be called
    /// while attached to the interpreter.
    pub fn wait(&mut self, runtime: &Handle, at_most: Duration) {
        let wake = Arc::clone(&self.wake);
        let arrived = async {
            let mut notified = std::pin::pin!(wake.notified());
            poll_fn(|cx| {
                let woken = notified.as_mut().poll(cx).is_ready();
                let arrived = self
                    .sources
                    .iter_mut()
                    .filter_map(|it| it.poll_wait(cx).is_ready().then_some(()));
                // All are polled, so that each registers the waker.
                if arrived.count() > 0 || woken { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        };
        let _ = runtime.block_on(async { tokio::time::timeout(at_most, arrived).await });
    }
}

#[cfg(test)]
mod tests;
