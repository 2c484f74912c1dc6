//! The event lane, a small broadcast channel, separate from the ticks, for any number of
//! subscribers.
//!
//! Bounded in events and in bytes, because texts are as long as the server makes them. A channel of
//! Tokio keeps the order and the count; the lane takes the oldest events back when they hold too
//! many bytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use kite_wire::text::TextMessage;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::event::Event;
use super::gap::Missed;
use crate::clock::Stamp;
use crate::transport::OpenError;

/// Number of events buffered for a slow subscriber.
const CAPACITY: usize = 1_024;
/// Number of bytes that buffered events hold. A thousand ordinary order updates fit.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Size of a message from which only its text is buffered, and read again by each receiver. The
/// parsed form can be a hundred times as large.
const LARGE_MESSAGE: usize = 64 * 1024;

/// An event and the connection it happened to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tagged {
    /// The connection's number, as passed when it was created.
    pub connection: usize,
    /// What happened.
    pub event: Event,
    /// When it was sent.
    pub at: Stamp,
}

/// The lane that receives the events of one or several connections.
#[derive(Debug, Clone)]
pub struct EventLane {
    sender: broadcast::Sender<Arc<Slot>>,
    buffered: Arc<Mutex<Buffered>>,
    /// Number of the last step of the wall clock that was sent.
    step: Arc<AtomicU64>,
}

impl Default for EventLane {
    fn default() -> Self {
        let sender = broadcast::Sender::new(CAPACITY);
        Self { sender, buffered: Arc::default(), step: Arc::default() }
    }
}

impl EventLane {
    /// Returns a receiver for events sent after this call. One that falls more than 1,024 events or
    /// 16 MiB behind receives the number of missed events ([`RecvError::Lagged`]).
    #[must_use]
    pub fn subscribe(&self) -> EventReceiver {
        EventReceiver { receiver: self.sender.subscribe(), missed: 0, next: None }
    }

    /// Sends an event of a connection, for feeds that a program receives in another way than by a
    /// [`Connection`](crate::Connection).
    pub fn report(&self, connection: usize, event: Event) {
        self.sender(connection).send(event);
    }

    /// Returns a sender for the events of a connection.
    pub(crate) fn sender(&self, connection: usize) -> EventSender {
        EventSender { lane: self.clone(), connection }
    }

    fn send(&self, tagged: Tagged) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let held = Held::from(tagged);
        let bytes = held.bytes();
        // Held while sending, so that the oldest of `buffered` is the oldest in the channel.
        let mut buffered = self.buffered.lock();
        buffered.make_room(bytes);
        let slot = buffered.add(held, bytes);
        let _ = self.sender.send(slot);
    }
}

/// Receives the events of a lane; created by [`EventLane::subscribe`].
pub struct EventReceiver {
    receiver: broadcast::Receiver<Arc<Slot>>,
    /// Number of missed events to report before `next`.
    missed: u64,
    next: Option<Tagged>,
}

impl EventReceiver {
    /// Waits for the next event.
    ///
    /// # Errors
    /// Returns [`RecvError::Lagged`] with the number of events missed before the next one, and
    /// [`RecvError::Closed`] once the lane and its connections are gone and everything was read.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost if the future is dropped.
    pub async fn recv(&mut self) -> Result<Tagged, RecvError> {
        loop {
            match self.take_next() {
                Some(Ok(tagged)) => return Ok(tagged),
                Some(Err(missed)) => return Err(RecvError::Lagged(missed)),
                None => {}
            }
            match self.receiver.recv().await {
                Ok(slot) => self.on_slot(&slot),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return Err(RecvError::Closed),
            }
        }
    }

    /// Returns the next event, if one is queued.
    ///
    /// # Errors
    /// Returns [`TryRecvError::Empty`] if none is queued, and otherwise the same errors as
    /// [`EventReceiver::recv`].
    pub fn try_recv(&mut self) -> Result<Tagged, TryRecvError> {
        loop {
            match self.take_next() {
                Some(Ok(tagged)) => return Ok(tagged),
                Some(Err(missed)) => return Err(TryRecvError::Lagged(missed)),
                None => {}
            }
            match self.receiver.try_recv() {
                Ok(slot) => self.on_slot(&slot),
                Err(TryRecvError::Lagged(missed)) => self.missed += missed,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until there is an event, and discards it and what was missed. For programs that read
    /// the state of a connection after each event: a large text is not parsed again.
    ///
    /// # Errors
    /// Returns [`RecvError::Closed`] once the lane and its connections are gone and everything was
    /// read.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn skip(&mut self) -> Result<(), RecvError> {
        self.missed = 0;
        if self.next.take().is_some() {
            return Ok(());
        }
        match self.receiver.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => Ok(()),
            Err(RecvError::Closed) => Err(RecvError::Closed),
        }
    }

    /// Returns what was found in the channel: the number of missed events, then the next one. The
    /// newest event is never taken back, so that missed ones always precede another.
    fn take_next(&mut self) -> Option<Result<Tagged, u64>> {
        self.next.as_ref()?;
        match std::mem::take(&mut self.missed) {
            0 => self.next.take().map(Ok),
            missed => Some(Err(missed)),
        }
    }

    fn on_slot(&mut self, slot: &Slot) {
        // Parsed without the lock, for which a connection may wait.
        let held = slot.held.lock().clone();
        self.next = held.map(Held::into_tagged);
        self.missed += u64::from(self.next.is_none());
    }
}

impl fmt::Debug for EventReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReceiver").field("missed", &self.missed).finish_non_exhaustive()
    }
}

/// Sends the events of one connection.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    lane: EventLane,
    connection: usize,
}

impl EventSender {
    /// Sends to all subscribers, if any.
    pub(crate) fn send(&self, event: Event) {
        self.lane.send(Tagged { connection: self.connection, event, at: Stamp::now() });
    }

    /// Returns whether the wall clock's step with this number, from 1, is to be sent: whether no
    /// connection of the lane has sent it.
    pub(crate) fn admits_step(&self, number: u64) -> bool {
        self.lane.step.fetch_max(number, Ordering::Relaxed) < number
    }

    /// Returns the connection's number.
    pub(crate) fn connection(&self) -> usize {
        self.connection
    }
}

/// An event in the channel, until the lane takes it back or all receivers have read it.
#[derive(Debug)]
struct Slot {
    held: Mutex<Option<Held>>,
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Slot {
    fn take_back(&self) {
        if self.held.lock().take().is_some() {
            self.total.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// The events in the channel, the oldest first.
#[derive(Debug, Default)]
struct Buffered {
    slots: VecDeque<Weak<Slot>>,
    /// Bytes of those that are still held.
    total: Arc<AtomicUsize>,
}

impl Buffered {
    /// Takes back the oldest events until there is room for one of `bytes`, or nothing is left.
    fn make_room(&mut self, bytes: usize) {
        while let Some(oldest) = self.slots.front() {
            let is_full = self.total.load(Ordering::Relaxed) + bytes > MOST_BYTES;
            match oldest.upgrade() {
                Some(oldest) if is_full => oldest.take_back(),
                // The channel overwrites it.
                Some(_) if self.slots.len() >= CAPACITY => {}
                Some(_) => break,
                None => {}
            }
            self.slots.pop_front();
        }
    }

    fn add(&mut self, held: Held, bytes: usize) -> Arc<Slot> {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        let (held, total) = (Mutex::new(Some(held)), Arc::clone(&self.total));
        let slot = Arc::new(Slot { held, bytes, total });
        self.slots.push_back(Arc::downgrade(&slot));
        slot
    }
}

/// An event as it is buffered.
#[derive(Debug, Clone)]
enum Held {
    Whole(Tagged),
    /// A text whose parsed form is large.
    Text {
        connection: usize,
        at: Stamp,
        text: Bytes,
        received: Stamp,
    },
}

impl Held {
    /// Returns about how many bytes it holds.
    fn bytes(&self) -> usize {
        let further = match self {
            Self::Text { text, .. } => text.len(),
            Self::Whole(tagged) => match &tagged.event {
                Event::Text { text, .. } => text.len() + TextMessage::most_bytes(text),
                Event::TextUnreadable { text, .. } => text.len(),
                Event::LimitRefused { message, .. } => message.len(),
                Event::Gap(gap) => gap.instruments.len() * size_of::<Missed>(),
                Event::OpenFailed {
                    error: OpenError::Refused(refusal) | OpenError::ProxyRefused { refusal, .. },
                    ..
                } => refusal.body.len() + refusal.message.as_ref().map_or(0, String::len),
                _ => 0,
            },
        };
        size_of::<Slot>() + further
    }

    fn into_tagged(self) -> Tagged {
        match self {
            Self::Whole(tagged) => tagged,
            Self::Text { connection, at, text, received } => {
                let event = match TextMessage::parse(&String::from_utf8_lossy(&text)) {
                    Ok(message) => Event::Text { text, message: Arc::new(message), received },
                    // Not reached, because the connection has read the same text.
                    Err(error) => Event::TextUnreadable { text, error, received, suppressed: 0 },
                };
                Tagged { connection, event, at }
            }
        }
    }
}

impl From<Tagged> for Held {
    fn from(tagged: Tagged) -> Self {
        let Tagged { connection, event, at } = tagged;
        match event {
            Event::Text { text, received, .. }
                if TextMessage::most_bytes(&text) > LARGE_MESSAGE =>
            {
                Self::Text { connection, at, text, received }
            }
            event => Self::Whole(Tagged { connection, event, at }),
        }
    }
}

#[cfg(test)]
mod tests;
