//! From the socket's task to the sink: in place, or through a bounded queue to a parser task.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::intake::{Intake, Notice};
use super::sink::Sink;
use crate::clock::Stamp;
use crate::observe::Counters;

/// What travels from the socket's task to the sink.
#[derive(Debug)]
enum Delivery {
    Frame { bytes: Bytes, received: Stamp, epoch: u32 },
    Event(Box<Notice>),
}

// A slot of the queue.
const _: () = assert!(size_of::<Delivery>() <= 64);

/// The parser task has ended by itself: the sink panicked. Deliveries have nowhere to go.
#[derive(Debug)]
pub(crate) struct SinkGone;

/// The socket task's side: delivers in place, or through a queue to a parser task.
#[expect(clippy::large_enum_variant, reason = "one for each connection, in place as a rule")]
pub(crate) enum Outlet<S> {
    /// In place.
    Inline(Intake<S>),
    /// Through a bounded queue.
    Queue(ParserQueue),
}

impl<S: Sink> Outlet<S> {
    /// Makes the outlet; with a queue it starts the parser task, which ends with the outlet.
    pub(crate) fn new(intake: Intake<S>, parser_queue: Option<usize>) -> Self {
        let Some(depth) = parser_queue else { return Self::Inline(intake) };
        let (sender, receiver) = mpsc::channel(depth.clamp(1, Semaphore::MAX_PERMITS));
        let room = Arc::new(Room::new(Arc::clone(intake.counters())));
        let task = tokio::spawn(parse(intake, receiver, Arc::clone(&room)));
        let (slot, events) = (Slot::Idle(sender), VecDeque::new());
        Self::Queue(ParserQueue { slot, events, room, task: Some(task) })
    }

    /// Gives the sink, unless it is another task's.
    pub(crate) fn sink_mut(&mut self) -> Option<&mut S> {
        match self {
            Self::Inline(intake) => Some(intake.sink_mut()),
            Self::Queue(_) => None,
        }
    }

    /// Ready: one frame can be delivered.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SinkGone>> {
        match self {
            Self::Inline(intake) => intake.poll_ready(cx).map(Ok),
            Self::Queue(queue) => queue.poll_ready(cx),
        }
    }

    /// Delivers a frame; to be called once after each [`Outlet::poll_ready`].
    pub(crate) fn frame(&mut self, bytes: Bytes, received: Stamp, epoch: u32) {
        match self {
            Self::Inline(intake) => intake.on_frame(bytes, received, epoch),
            Self::Queue(queue) => queue.send(Delivery::Frame { bytes, received, epoch }),
        }
    }

    /// Delivers an event, in order with the frames; can be called at any time. Behind a queue it
    /// goes with the next poll.
    pub(crate) fn event(&mut self, notice: Notice) {
        match self {
            Self::Inline(intake) => intake.on_notice(notice),
            Self::Queue(queue) => queue.events.push_back(notice),
        }
    }

    /// Moves events into the queue as it has room, where no frame is about to.
    pub(crate) fn poll_events(&mut self, cx: &mut Context<'_>) {
        if let Self::Queue(queue) = self
            && !queue.events.is_empty()
        {
            // That the sink is gone is told by `poll_gone`.
            let _ = queue.poll_ready(cx);
        }
    }

    /// Ready, once: the parser task has ended by itself, its sink panicked. In place that ends the
    /// caller's task instead.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<SinkGone> {
        match self {
            Self::Inline(_) => Poll::Pending,
            Self::Queue(queue) => queue.poll_gone(cx),
        }
    }

    /// Completes once all that was delivered has reached the sink and the sink is dropped; what a
    /// blocked sink has not taken by the deadline is dropped with it.
    pub(crate) async fn finish(self, deadline: Duration) {
        let Self::Queue(mut queue) = self else { return };
        let drained = async {
            let _ = std::future::poll_fn(|cx| queue.poll_ready(cx)).await;
            queue.slot = Slot::Gone;
            if let Some(task) = &mut queue.task {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(deadline, drained).await.is_err()
            && let Some(task) = queue.task
        {
            task.abort();
            // At once, unless the sink blocks its thread: nothing can end that.
            let _ = tokio::time::timeout(deadline, task).await;
        }
    }
}

async fn parse<S: Sink>(
    mut intake: Intake<S>,
    mut receiver: mpsc::Receiver<Delivery>,
    room: Arc<Room>,
) {
    let _gone = ParserGone(&room);
    while let Some(delivery) = receiver.recv().await {
        std::future::poll_fn(|cx| intake.poll_ready(cx)).await;
        match delivery {
            Delivery::Frame { bytes, received, epoch } => {
                intake.on_frame(bytes, received, epoch);
                room.made();
            }
            Delivery::Event(notice) => intake.on_notice(*notice),
        }
    }
}

/// Bytes of frames that wait for a parser task, at which reading stops: nearly two of the largest
/// lawful frame. The frame that exceeds it has been read already.
pub(super) const MOST_BYTES: u64 = 1024 * 1024;

/// Holds the socket's task back while too many bytes wait for the parser's.
#[derive(Debug)]
struct Room {
    counters: Arc<Counters>,
    /// Whether the socket's task waits for room.
    waits: AtomicBool,
    waker: AtomicWaker,
}

/// Notes the end of the parser task, however it comes: what waits for it waits no longer.
struct ParserGone<'a>(&'a Room);

impl Drop for ParserGone<'_> {
    fn drop(&mut self) {
        self.0.counters.parser_gone.store(true, Ordering::SeqCst);
        self.0.waker.wake();
    }
}

impl Room {
    fn new(counters: Arc<Counters>) -> Self {
        Self { counters, waits: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    /// Ready: less than the most waits.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.counters.bytes_queued() < MOST_BYTES {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        self.waits.store(true, Ordering::SeqCst);
        // In one order with the other side's: it sees the wish, or this sees the room.
        fence(Ordering::SeqCst);
        if self.counters.bytes_queued() < MOST_BYTES { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A frame has been taken, and counted: wakes who waits once half of it all is.
    fn made(&self) {
        fence(Ordering::SeqCst);
        if self.waits.load(Ordering::SeqCst) && self.counters.bytes_queued() <= MOST_BYTES / 2 {
            self.waits.store(false, Ordering::SeqCst);
            self.waker.wake();
        }
    }
}

/// The sending side of the queue to a parser task.
pub(crate) struct ParserQueue {
    slot: Slot,
    /// Events that have not found their place yet; they go before the next frame.
    pub(super) events: VecDeque<Notice>,
    room: Arc<Room>,
    /// `None` once it is known to have ended.
    task: Option<JoinHandle<()>>,
}

type Reservation = Pin<Box<dyn Future<Output = Option<mpsc::OwnedPermit<Delivery>>> + Send>>;

enum Slot {
    Idle(mpsc::Sender<Delivery>),
    Waiting(Reservation),
    Reserved(mpsc::OwnedPermit<Delivery>),
    Gone,
}

impl ParserQueue {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SinkGone>> {
        loop {
            self.slot = match std::mem::replace(&mut self.slot, Slot::Gone) {
                Slot::Idle(sender) => match sender.try_reserve_owned() {
                    Ok(permit) => Slot::Reserved(permit),
                    Err(mpsc::error::TrySendError::Full(sender)) => {
                        Slot::Waiting(Box::pin(async { sender.reserve_owned().await.ok() }))
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => Slot::Gone,
                },
                Slot::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(Some(permit)) => Slot::Reserved(permit),
                    Poll::Ready(None) => Slot::Gone,
                    Poll::Pending => {
                        self.slot = Slot::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                Slot::Reserved(permit) => match self.events.pop_front() {
                    Some(notice) => Slot::Idle(permit.send(Delivery::Event(Box::new(notice)))),
                    None => {
                        self.slot = Slot::Reserved(permit);
                        return self.room.poll(cx).map(Ok);
                    }
                },
                Slot::Gone => return Poll::Ready(Err(SinkGone)),
            };
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<SinkGone> {
        let Some(task) = &mut self.task else { return Poll::Pending };
        // How it ended is known: it ends by itself with its sender, which is here.
        let _ = std::task::ready!(Pin::new(task).poll(cx));
        self.task = None;
        self.slot = Slot::Gone;
        self.events.clear();
        Poll::Ready(SinkGone)
    }

    fn send(&mut self, delivery: Delivery) {
        self.slot = match std::mem::replace(&mut self.slot, Slot::Gone) {
            Slot::Reserved(permit) => Slot::Idle(permit.send(delivery)),
            other => other,
        };
    }
}
