//! A broadcast ring that keeps messages for its first receiver, and the counter of lag losses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use crate::manager::texts::{Texts, TooManyTexts};

/// Counts messages lost to lag, shared by the subscribers of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct LagCount(Arc<AtomicU64>);

impl LagCount {
    pub(crate) fn add(&self, lost: u64) {
        self.0.fetch_add(lost, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A broadcast ring that keeps its messages for the first receiver.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    sender: broadcast::Sender<T>,
    /// The actual capacity, which is the requested one rounded up to a power of two.
    slots: usize,
    kept: Arc<Mutex<Option<broadcast::Receiver<T>>>>,
    /// Number of messages sent.
    sent: Arc<AtomicU64>,
    texts: Arc<Mutex<Texts>>,
    /// Number of messages released because of the texts among them.
    let_go: Arc<AtomicU64>,
}

/// The position of a ring's slowest receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    /// Number of messages that it has not read.
    pub(crate) unread: u64,
    /// Number of messages that it has read, of those sent since the ring exists.
    pub(crate) read: u64,
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            slots: self.slots,
            kept: Arc::clone(&self.kept),
            sent: Arc::clone(&self.sent),
            texts: Arc::clone(&self.texts),
            let_go: Arc::clone(&self.let_go),
        }
    }
}

impl<T: Clone> Ring<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let (sender, kept) = broadcast::channel(capacity);
        Self {
            sender,
            slots: capacity.next_power_of_two(),
            kept: Arc::new(Mutex::new(Some(kept))),
            sent: Arc::default(),
            texts: Arc::default(),
            let_go: Arc::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<broadcast::Receiver<T>>> {
        self.kept.lock()
    }

    fn unkeep(&self) -> Option<broadcast::Receiver<T>> {
        self.kept().take()
    }

    /// Returns whether messages are still kept for the first receiver.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept().is_some()
    }

    /// Stops keeping messages for the first receiver.
    pub(crate) fn release(&self) {
        // Dropped under the lock, so that `receivers` counts it once or not at all.
        *self.kept() = None;
    }

    /// Returns a receiver. The first call returns the kept one, with what the ring still holds.
    pub(crate) fn take(&self, lag: &LagCount) -> broadcast::Receiver<T> {
        let Some(mut kept) = self.unkeep() else {
            lag.add(self.let_go.swap(0, Ordering::Relaxed));
            return self.sender.subscribe();
        };
        // Beyond the ring's capacity, its first result would be `Lagged`, which ends the loop of
        // many programs. Delivery of earlier messages is not guaranteed, so the loss is only
        // counted.
        if kept.len() > self.slots
            && let Err(TryRecvError::Lagged(lost)) = kept.try_recv()
        {
            lag.add(lost);
        }
        kept
    }

    /// Sends to all receivers; returns whether any exist.
    pub(crate) fn send(&self, message: T) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.sender.send(message).is_ok()
    }

    /// Sends a message of a text, which takes up to `bytes`, unless the receivers have not read
    /// [`MOST_TEXT_BYTES`](super::texts::MOST_TEXT_BYTES) of earlier ones.
    ///
    /// A ring that has had no receiver releases what it kept for the first one instead. That one
    /// has missed these messages, as if it had lagged.
    pub(crate) fn send_text(&self, message: T, bytes: usize) -> Result<(), TooManyTexts> {
        let mut texts = self.texts.lock();
        let (sent, unread) = (self.sent.load(Ordering::Relaxed), self.sender.len() as u64);
        texts.forget_before(sent.saturating_sub(unread));
        if !texts.have_room_for(bytes) {
            if !self.is_kept() {
                return Err(TooManyTexts);
            }
            self.let_go.fetch_add(unread, Ordering::Relaxed);
            self.release();
            texts.forget_before(sent);
        }
        texts.add(sent, bytes);
        self.send(message);
        Ok(())
    }

    /// Returns whether a receiver exists, including the one kept for the first call of `take`.
    pub(crate) fn has_receiver(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Returns how far the slowest receiver is behind. One that cannot be waited for counts as not
    /// behind: before the first call of `take`, and if it has lost messages.
    pub(crate) fn backlog(&self) -> Backlog {
        let sent = self.sent.load(Ordering::Relaxed);
        if self.sender.is_empty() || self.is_kept() {
            return Backlog { unread: 0, read: sent };
        }
        let unread = self.sender.len();
        let unread = if unread < self.slots { unread as u64 } else { 0 };
        Backlog { unread, read: sent.saturating_sub(unread) }
    }

    /// Returns the number of receivers, excluding the kept one.
    pub(crate) fn receivers(&self) -> usize {
        let kept = self.kept();
        self.sender.receiver_count().saturating_sub(usize::from(kept.is_some()))
    }
}

/// Returns a receiver of a closed channel.
pub(crate) fn ended<T: Clone>() -> broadcast::Receiver<T> {
    broadcast::Sender::new(1).subscribe()
}
